"""Figures of Huszár's two arguments (2015): JS across its weight, and scheduled sampling across its rate."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from divjax.plots import look
from divjax.studies.huszar import scheduled_sampling
from divjax.studies.two_modes import study as two_modes

if TYPE_CHECKING:
    import xarray


def across_weights(exact: "xarray.Dataset", games: "xarray.Dataset") -> Figure:
    """Mean ± standard deviation of the best Gaussian, and its unrealistic rate, over the weight: by the exact route as
    lines, by the game as points.

    exact, games: of ``generalised_js.run``.
    """
    weights = exact["weight"].values.astype(float)
    found = [two_modes.optima(exact.isel(weight=i)) for i in range(len(weights))]
    figure = Figure(figsize=(7.6, 5.4), dpi=look.DPI, layout="constrained")
    place, rate = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.6))
    separation = float(exact["separation"])
    for ax in (place, rate):
        look.axes(ax)
        ax.set_xscale("logit")
        ax.xaxis.set_minor_formatter("")
        ax.minorticks_off()
    for mode in (0.0, separation):
        place.axhspan(mode - 1.0, mode + 1.0, color=look.DATA, lw=0)
    _branches(place, rate, weights, found)
    _games(place, rate, games)
    place.set_xlim(weights[0] * 0.8, 1.0 - (1.0 - weights[-1]) * 0.8)
    shown = games["weight"].values.astype(float)
    rate.set_xticks(shown, [f"{weight:.2g}" for weight in shown])
    look.label(place, y="mean ± standard deviation")
    look.label(rate, x="weight w of the data in the mixture m: towards KL(p‖q) to the left, KL(q‖p) to the right", y="")
    look.title(rate, "unrealistic rate", weight="bold")
    rate.set_ylim(0, None)
    rate.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    target = f"½ N(0, 1) + ½ N({separation:g}, 1)"
    under = (
        f"Gaussians of least JS_w to {target}: by quadrature and Newton (lines), and by a generator against a "
        f"critic, from samples alone (points, {games.sizes['seed']} seeds each)"
    )
    look.heading(figure, "One dial from mode covering to mode seeking", under)
    _dial_legend(figure)
    return figure


def _dial_legend(figure):
    rows = (
        (Patch(color=look.DATA), "the two modes, ± their standard deviation"),
        (Patch(color=look.VERMILLION, alpha=0.13), "the best, ± its standard deviation"),
        (Line2D([], [], color=look.VERMILLION, lw=2), "exact, covers"),
        (Line2D([], [], color=look.BLUE, lw=2), "exact, seeks"),
        (Line2D([], [], color=look.MUTED, lw=1, ls=look.DASHES[2]), "an optimum, not the best"),
        (Line2D([], [], color=look.INK, lw=0.9, marker="o", ms=4), "game, at its end"),
    )
    look.legend(figure, rows, columns=3)


def _branches(place, rate, weights, found):
    """Optima by what they do: about the middle, or on one of the modes; bold where they are the best."""
    for color, of_branch in ((look.VERMILLION, lambda o: o.basin < 0), (look.BLUE, lambda o: o.basin >= 0)):
        for side in (0, 1):
            here = [next((o for o in row if of_branch(o) and max(o.basin, 0) == side), None) for row in found]
            if not any(here):
                continue
            best = [bool(o) and o.value <= row[0].value * (1.0 + 1e-3) for o, row in zip(here, found, strict=True)]
            loc, scale, share = (
                np.array([np.nan if o is None else value(o) for o in here])
                for value in (lambda o: o.loc, lambda o: o.scale, lambda o: 100.0 * o.unrealistic_rate)
            )
            place.plot(weights, loc, color=color, lw=1, ls=look.DASHES[2])
            rate.plot(weights, share, color=color, lw=1, ls=look.DASHES[2])
            best_loc, best_share = np.where(best, loc, np.nan), np.where(best, share, np.nan)
            place.fill_between(weights, best_loc - scale, best_loc + scale, color=color, alpha=0.13, lw=0)
            place.plot(weights, best_loc, color=color, lw=2)
            rate.plot(weights, best_share, color=color, lw=2)


def _games(place, rate, games):
    for at in games["weight"].values:
        here = games.sel(weight=at)
        logit = np.log(float(at) / (1.0 - float(at))) + np.linspace(-0.22, 0.22, here.sizes["seed"] + 2)[1:-1]
        x = 1.0 / (1.0 + np.exp(-logit))
        style = {"color": look.INK, "lw": 0, "elinewidth": 0.6, "marker": "o", "ms": 2.6, "alpha": 0.85}
        place.errorbar(x, here["loc"].values, here["scale"].values, **style)
        rate.plot(x, 100.0 * here["unrealistic_rate"].values, color=look.INK, lw=0, marker="o", ms=2.6, alpha=0.85)


def across_rates(fits: "xarray.Dataset", p: np.ndarray) -> Figure:
    """What scheduled sampling ends in over its rate: how much of the dependence is left, how far it is from the data,
    and three of the tables.

    fits: of ``scheduled_sampling.run`` for p, a table of two or more first and second steps.
    """
    p, rates = np.asarray(p, float), fits["rate"].values.astype(float)
    figure = Figure(figsize=(7.6, 3.9), dpi=look.DPI, layout="constrained")
    curves, pictures = figure.subfigures(1, 2, width_ratios=(1.45, 1))
    ax = look.axes(curves.subplots())
    dense = np.linspace(0.0, 1.0, 201)
    tables = [np.asarray(scheduled_sampling.optimum(p, rate)) for rate in dense]
    independent = p.sum(1, keepdims=True) * p.sum(0)
    ax.plot(dense, [np.sum(q * np.log(q / independent)) for q in tables], color=look.BLUE, lw=2)
    ax.plot(dense, [np.sum(p * np.log(p / q)) for q in tables], color=look.VERMILLION, lw=2, ls=look.DASHES[1])
    for draw, marker, filled in ((scheduled_sampling.HELD, "o", True), (scheduled_sampling.THROUGH, "s", False)):
        here = fits.sel(draw=draw).mean("seed")
        for name, color in (("mutual_information", look.BLUE), ("kl", look.VERMILLION)):
            style = {"ms": 4, "mfc": color} if filled else {"ms": 6.5, "mfc": "none"}
            ax.plot(rates, here[name].values, color=color, lw=0, marker=marker, mew=0.9, **style)
    ax.set(xlim=(-0.03, 1.03), ylim=(0, None))
    look.label(ax, x="rate: how often a step is conditioned on the data", y="nats")
    _tables(pictures, p)
    look.heading(
        figure,
        "Scheduled sampling forgets what the steps have to do with each other",
        "A free model of two steps, trained on the data's first step at a rate, else on its own: closed form "
        "(lines), fits that hold the model's draw (dots) or differentiate through it (squares)",
    )
    look.legend(
        figure,
        (
            (Line2D([], [], color=look.BLUE, lw=2), "mutual information of the model's steps"),
            (Line2D([], [], color=look.VERMILLION, lw=2, ls=look.DASHES[1]), "KL(data‖model)"),
        ),
        columns=2,
    )
    return figure


def _tables(pictures, p):
    """The tables that scheduled sampling ends in at three rates."""
    for at, panel in zip((1.0, 0.5, 0.0), pictures.subplots(3, 1), strict=True):
        q = np.asarray(scheduled_sampling.optimum(p, at))
        panel.imshow(q, cmap="Blues", vmin=0.0, vmax=p.max(), aspect="auto")
        for (i, j), value in np.ndenumerate(q):
            color = "white" if value > 0.6 * p.max() else look.INK
            panel.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=look.SMALL, color=color)
        panel.set(xticks=(), yticks=())
        panel.set_title(
            {1.0: "rate 1: the data", 0.0: "rate 0: independent"}.get(at, f"rate {at:g}"),
            fontsize=look.BODY,
            color=look.INK,
            loc="left",
        )
        look.label(panel, y="first step", x="second step" if at == 0.0 else "")
