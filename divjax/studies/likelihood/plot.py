"""Figure of maximum likelihood on data: how fast its KL is known, and how well its estimates are."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from divjax.plots import line, look, words
from divjax.studies.likelihood.study import Convergence, Sampling
from divjax.tables import count

_SHOWN = 1500  # estimates drawn one by one


def likelihood_on_data(convergence: Convergence, sampling: Sampling) -> Figure:
    """The error of the Monte-Carlo KL over the number of draws, beside what quadrature says of it; and the estimates
    (μ̂, σ̂) over samples, with the regions that the sandwich and the inverse Fisher information give for 95 % of them.

    convergence, sampling: of ``studies.likelihood``, for the same separation.
    """
    figure = Figure(figsize=(8.4, 5.0), dpi=look.DPI, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.12), wspace=0.03)
    _errors(left, convergence)
    _estimates(right, sampling)
    loc, scale = sampling.truth[0], np.exp(sampling.truth[1])
    covered, by_fisher = (words.percent(share[1]) for share in (sampling.covered, sampling.covered_fisher))
    wider = np.sqrt(sampling.inverse_fisher[1, 1]) / sampling.estimates[:, 1].std()
    under = (
        f"Data from ½ N(0, 1) + ½ N({2.0 * loc:g}, 1), Gaussian model. Left, the mean of log p/q over draws "
        f"against KL(p‖q) = {convergence.kl:.3f} nats: {convergence.num_seeds} seeds for each number. Right, the "
        f"estimates from {count(len(sampling.estimates), 'sample')} of {sampling.num:,} about "
        f"{words.normal(loc, scale)}; 95 % intervals for σ hold {words.fixed(scale)} in {covered} of them by the "
        f"sandwich, in {by_fisher} by Fisher's information."
    )
    if wider > 1.5:
        title = f"A wrong model: by Fisher's information, σ̂ is {wider:.1f} times as uncertain as it is"
    else:
        title = "How fast maximum likelihood becomes KL, and how well its estimates are known"
    look.heading(figure, title, under)
    handles = (
        (Line2D([], [], color=look.VERMILLION, lw=0, marker="o", ms=4.5), "rms error ± standard error"),
        (Line2D([], [], color=look.BLUE, lw=0, marker="s", ms=4.5, mfc="none"), "mean absolute error"),
        (Line2D([], [], color=look.INK, lw=1.2), "predicted: sd(log p/q) / √n, and √(2/π) of it"),
        (Patch(color=look.SKY, alpha=0.6), "estimates"),
        (Line2D([], [], color=look.INK, lw=1.8), "sandwich A⁻¹BA⁻¹/n, 95 %"),
        (Line2D([], [], color=look.VERMILLION, lw=1.8, ls=look.DASHES[1]), "inverse Fisher information A⁻¹/n, 95 %"),
    )
    look.legend(figure, handles, columns=3)
    return figure


def _errors(figure, found):
    ax, ratio = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    num = found.num.astype(float)
    ends = np.array([num[0] / 1.7, num[-1] * 1.7])
    squares = {"color": look.BLUE, "marker": "s", "ms": 4.5, "mfc": "white"}
    for value, stderr, factor, dodge, style in (
        (found.rms, found.rms_stderr, 1.0, 1.09, {"color": look.VERMILLION, "marker": "o", "ms": 4.5}),
        (found.mean_abs, found.mean_abs_stderr, (2.0 / np.pi) ** 0.5, 1.0 / 1.09, squares),
    ):
        ax.plot(ends, factor * found.constant / ends**0.5, color=look.INK, lw=1.2, zorder=1)
        ax.errorbar(num, value, stderr, lw=0, elinewidth=0.9, **style)
        predicted = factor * found.constant / num**0.5
        ratio.errorbar(num * dodge, value / predicted, stderr / predicted, lw=0, elinewidth=0.9, **style)
    ratio.axhline(1.0, color=look.INK, lw=1.2, zorder=1)
    look.axes(ax).set(xscale="log", yscale="log", xlim=ends)
    reach = 1.1 * max(abs(ratio.dataLim.y0 - 1.0), abs(ratio.dataLim.y1 - 1.0))
    look.axes(ratio).set(ylim=(1.0 - reach, 1.0 + reach))
    for each in (ax, ratio):
        each.minorticks_off()
    said = (
        f"measured slope {found.slope:.3f} ± {found.slope_stderr:.3f}\nsd(log p/q) = {words.fixed(found.constant)} nats"
    ).replace("-", "−")
    style = {"fontsize": look.BODY, "color": look.INK, "linespacing": 1.5}
    ax.text(0.97, 0.95, said, transform=ax.transAxes, ha="right", va="top", **style)
    look.label(ax, y="error of the Monte-Carlo KL, nats")
    look.label(ratio, x="number of draws n", y="over predicted")


def _estimates(figure, found):
    grid = figure.subplots(2, 2, width_ratios=(4.2, 1), height_ratios=(1, 4.2))
    (top, corner), (ax, side) = grid
    corner.set_axis_off()
    loc, scale = found.estimates[:, 0], np.exp(found.estimates[:, 1])
    look.axes(ax).plot(loc[:_SHOWN], scale[:_SHOWN], "o", color=look.SKY, ms=1.6, mew=0, alpha=0.55)
    for covariance, style in _told(found):
        x, log_y = _ellipse(found.truth, covariance)
        ax.plot(x, np.exp(log_y), **style)
    ax.plot(found.truth[0], np.exp(found.truth[1]), "+", color=look.INK, ms=7, mew=1.2)
    look.label(ax, x="μ̂", y="σ̂")
    for marginal, values, across in ((top, loc, False), (side, scale, True)):
        _marginal(marginal, found, values, across=across)
    reach = 4.3 * np.sqrt(found.covariance[0, 0])
    ax.set_xlim(found.truth[0] - reach, found.truth[0] + reach)
    top.set_xlim(ax.get_xlim())
    side.set_ylim(ax.get_ylim())


def _told(found):
    yield found.covariance, {"color": look.INK, "lw": 1.8}
    yield found.inverse_fisher, {"color": look.VERMILLION, "lw": 1.8, "ls": look.DASHES[1]}


def _ellipse(centre, covariance):
    """The curve that holds 95 % of a normal variable in the plane: radius² = −2 log 0.05 in its own units."""
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    circle = np.sqrt(-2.0 * np.log(0.05)) * np.stack([np.cos(angle), np.sin(angle)])
    return centre[:, None] + np.linalg.cholesky(covariance) @ circle


def _marginal(ax, found, values, *, across):
    """The histogram of one estimate and the densities that are predicted for it: of σ̂, normal in its logarithm."""
    heights, edges = np.histogram(values, bins=int(np.clip(len(values) ** 0.5, 5, 40)), density=True)
    orientation = "horizontal" if across else "vertical"
    ax.stairs(heights, edges, fill=True, color=look.SKY, alpha=0.6, orientation=orientation)
    for covariance, style in _told(found):
        sd = np.sqrt(covariance[int(across), int(across)])
        log_or_not = found.truth[int(across)] + sd * np.linspace(-4.0, 4.0, 201)
        at = np.exp(log_or_not) if across else log_or_not
        density = line.gaussian(log_or_not, found.truth[int(across)], sd) / (at if across else 1.0)
        ax.plot(*((density, at) if across else (at, density)), **style | {"lw": 1.4})
    ax.set_axis_off()
    ax.set(**{"xlim" if across else "ylim": (0, None)})
