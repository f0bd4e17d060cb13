"""Figures of the two-mode sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from divjax.plots import line, look, words
from divjax.studies.two_modes import study, titles
from divjax.tables import count

if TYPE_CHECKING:
    import xarray

MASS = 0.99  # of the data, where they are said to be
MOST = 4  # optima that one panel shows


def figure_1(
    fits: "xarray.Dataset",
    *,
    divergence: str = "kl",
    separation: float | None = None,
    weights: Sequence[float] = (0.5, 0.5),
    scales: Sequence[float] = (1.0, 1.0),
) -> Figure:
    """The blog post's figure 1: the best Gaussian under one divergence, and its mass where there are no data.

    fits: a Dataset of ``study.run_sweep``; weights and scales: the target's, as there. ``separation``: the
    nearest one in the sweep, the largest if not given. The data are where the target's smallest region holding
    99 % is, as in the sweep's ``unrealistic_rate``. Raises ValueError if no fit of the divergence converged there.
    """
    fits, separation = _at(fits.sel(divergence=divergence), separation)
    found = study.optima(fits)
    if not found:
        raise ValueError(
            f"Expected a converged fit of {divergence} at separation {separation:g}; got none. Choose another one."
        )
    best, modes = found[0], list(zip((0.0, separation), scales, strict=True))
    rate = best.unrealistic_rate
    low, high = line.span(modes, [(best.loc, best.scale)], widths=3.0, beyond=1.0)
    x = line.grid(low, high, [(best.loc, best.scale), *modes])
    target, model = line.mixture(x, modes, weights), line.gaussian(x, best.loc, best.scale)
    real = _data_region(x, target, MASS)

    figure = Figure(figsize=(6.4, 3.9), dpi=look.DPI, layout="constrained")
    ax = look.axes(figure.subplots())
    ax.fill_between(x, 0, 1, where=real, transform=ax.get_xaxis_transform(), color=look.DATA, lw=0)
    ax.fill_between(x, model, where=~real, facecolor=look.VERMILLION, alpha=0.35, lw=0)
    ax.fill_between(x, model, where=~real, facecolor="none", edgecolor=look.VERMILLION, hatch="////", lw=0, alpha=0.8)
    ax.plot(x, target, color=look.INK, lw=1.6)
    ax.plot(x, model, color=look.VERMILLION, lw=2.0, ls=look.DASHES[1])
    ax.set(xlim=(low, high), ylim=(0, 1.12 * max(target.max(), model.max())))
    ax.locator_params(axis="y", nbins=5)
    look.label(ax, x="x", y="density")
    _call_out(ax, x, np.maximum(model, target), real, rate)
    fitter = "Maximum likelihood" if divergence == "kl" else divergence
    look.heading(figure, f"{fitter} puts {words.percent(rate)} of its samples where there are no data")
    fit = f"{fitter.lower()} fit {words.normal(best.loc, best.scale)}, {words.value(divergence, best.value)}"
    target_line = Line2D([], [], color=look.INK, lw=1.6)
    fit_line = Line2D([], [], color=look.VERMILLION, lw=2, ls=look.DASHES[1])
    hatched = Patch(facecolor="#eeb48c", edgecolor=look.VERMILLION, hatch="////", lw=0)
    handles = (
        (target_line, f"target {words.mixture(modes, weights)}"),
        (fit_line, fit),
        (Patch(color=look.DATA), f"where {words.percent(MASS)} of the data are"),
        (hatched, f"unrealistic: {words.percent(rate)} of the fit"),
    )
    look.legend(figure, handles, columns=2)
    return figure


def _data_region(x, density, mass):
    """Where on x, which spans all the data, the smallest region holding ``mass`` of them is."""
    densest = np.argsort(density)[::-1]
    held = np.cumsum((density * np.gradient(x))[densest])
    return density >= density[densest[np.searchsorted(held, mass * held[-1])]]


def _at(fits, separation):
    """The fits at the nearest separation (None: the largest), and which it is."""
    wanted = float(fits["separation"].max()) if separation is None else separation
    fits = fits.sortby("separation").sel(separation=wanted, method="nearest").compute()
    return fits, float(fits["separation"])


def _call_out(ax, x, height, real, rate):
    """The unrealistic share, in large type, over the stretch between the modes if that has room for it."""
    ends = np.flatnonzero(np.diff(real.astype(int)))
    if len(ends) != 4 or x[ends[2]] - x[ends[1]] < 0.22 * np.ptp(ax.get_xlim()):
        return
    gap = slice(ends[1] + 1, ends[2] + 1)
    floor, top, middle = height[gap].max(), ax.get_ylim()[1], 0.5 * (x[ends[1]] + x[ends[2]])
    if floor > 0.5 * top:
        return
    style = {"color": look.VERMILLION, "ha": "center"}
    ax.text(middle, floor + 0.17 * top, words.percent(rate), fontsize=20, weight="bold", va="bottom", **style)
    ax.text(middle, floor + 0.15 * top, "unrealistic", fontsize=look.BODY + 1, va="top", **style)


def optima(
    fits: "xarray.Dataset",
    *,
    separation: float | None = None,
    weights: Sequence[float] = (0.5, 0.5),
    scales: Sequence[float] = (1.0, 1.0),
) -> Figure:
    """One panel per divergence: the target and every distinct optimum that its seeds found, at one separation.

    fits: a Dataset of ``study.run_sweep``; weights and scales: the target's, as there. ``separation``: the
    nearest one in the sweep, the largest if not given. Fits that did not converge are left out, and counted.
    Densities are drawn on a square-root scale, so that σ = 1 and σ = 8 are legible in one panel.
    """
    fits, separation = _at(fits, separation)
    names, modes = [str(name) for name in fits["divergence"].values], list(zip((0.0, separation), scales, strict=True))
    found = [study.optima(fits.isel(divergence=i)) for i in range(len(names))]
    every = [o for row in found for o in row]
    columns = min(3, len(names))
    tables = [max(map(_rows, found[i : i + columns])) for i in range(0, len(names), columns)]
    size = (max(4.6, 2.9 * columns), 1.2 + sum(1.5 + 0.13 * rows for rows in tables))
    figure = Figure(figsize=size, dpi=look.DPI, layout="constrained")
    grid = figure.subplots(len(tables), columns, squeeze=False, sharex=True, sharey=True).ravel()

    low, high = line.span(modes, [(o.loc, o.scale) for o in every], widths=2.5, beyond=0.5)
    x = line.grid(low, high, [*modes, *((o.loc, o.scale) for o in every)])
    target = line.mixture(x, modes, weights)
    top = max([target.max(), *(line.gaussian(o.loc, o.loc, o.scale) for o in every)])
    grid[0].set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    grid[0].set(xlim=(low, high), ylim=(0, 1.1 * top), yticks=look.root_ticks(top))
    for i, ax in enumerate(grid[: len(names)]):
        ax.fill_between(x, target, facecolor=look.DATA, edgecolor=look.MUTED, lw=0.8)
        _optima_panel(look.axes(ax), x, names[i], found[i], tables[i // columns])
        bottom = i + columns >= len(names)
        look.label(ax, x="x" if bottom else "", y="" if i % columns else "density (√ scale)")
        ax.tick_params(labelbottom=bottom)
        ax.locator_params(axis="x", nbins=5)
    for ax in grid[len(names) :]:
        ax.remove()
    starts = count(fits.sizes["seed"], "random start")
    under = f"Every distinct optimum that {starts} found: the best solid, worse ones broken."
    look.heading(figure, titles.verdict(separation, names, found), under, titles.left_out(fits))
    key = (Patch(fc=look.DATA, ec=look.MUTED), f"target {words.mixture(modes, weights)}")
    look.legend(figure, (key, *look.basin_handles([o.basin for o in every], lines=True)), columns=min(4, columns + 1))
    return figure


def _rows(found):
    return max(1, min(MOST, len(found)) + (len(found) > MOST))


def _optima_panel(ax, x, name, found, rows):
    """The densities, and above them a table of ``rows`` rows with a line of the key each."""
    cells, unit = (0.28, 0.43, 0.60, 0.75, 1.0), words.unit(name)
    plain, muted = {}, {"color": look.MUTED}
    look.row(ax, rows + 1.15, [(0.0, name, "left", {"weight": "bold", "fontsize": look.BODY})])
    look.row(ax, rows + 1.15, [(1.0, f"value in {unit}" if unit else "", "right", muted)])
    if not found:
        look.row(ax, rows, [(0.0, "no fit converged", "left", muted)])
        return
    header = ("μ", "σ", "value", "seeds", "unrealistic")
    look.row(ax, rows, [(at, text, "right", muted) for at, text in zip(cells, header, strict=True)])
    best = found[0].value + 1e-3 * abs(found[0].value) + 1e-6
    shown = sorted(found[:MOST], key=lambda o: (max(o.value, best), o.loc))
    worse = 0
    for i, o in enumerate(shown, 1):
        worse += o.value > best
        style = {"color": look.basin_look(o.basin)[0], "lw": 1.7, "ls": look.DASHES[worse]}
        ax.plot(x, line.gaussian(x, o.loc, o.scale), **style)
        above = ScaledTranslation(0, (look.height(rows - i) + 0.45 * look.SMALL) / 72, ax.figure.dpi_scale_trans)
        ax.add_line(Line2D([0.0, 0.12], [1, 1], transform=ax.transAxes + above, clip_on=False, **style))
        shares = (words.percent(share, 0) for share in (o.share, o.unrealistic_rate))
        texts = (words.place(o.loc, o.scale), words.fixed(o.scale), words.short(o.value), *shares)
        look.row(ax, rows - i, [(at, text, "right", plain) for at, text in zip(cells, texts, strict=True)])
    if len(found) > MOST:
        look.row(ax, rows - MOST - 1, [(1.0, f"and {len(found) - MOST} more", "right", muted)])


def against_separation(
    fits: "xarray.Dataset", *, weights: Sequence[float] = (0.5, 0.5), scales: Sequence[float] = (1.0, 1.0)
) -> Figure:
    """One row per divergence, against separation: σ of the optima, unrealistic rate, and where the seeds end.

    fits: a Dataset of ``study.run_sweep``; weights and scales: the target's, as there. σ: the best optimum as a
    line, every optimum as a mark whose area grows with its share of the seeds. Fits that did not converge are left
    out of σ and rates; in the shares they are what is missing to 100 %. One separation alone is shown as points.
    """
    fits = fits.sortby("separation").compute()
    d, names = fits["separation"].values.astype(float), [str(name) for name in fits["divergence"].values]
    rows = [fits.isel(divergence=i) for i in range(len(names))]
    found = [[study.optima(row.isel(separation=j)) for j in range(len(d))] for row in rows]
    figure = Figure(figsize=(8.7, 1.35 + 0.88 * len(names)), dpi=look.DPI, layout="constrained")
    grid = figure.subplots(len(names), 3, squeeze=False, sharex=True, sharey="col")
    w, s = np.asarray(weights, float), np.asarray(scales, float)
    spread = np.sqrt(w @ s**2 + w[0] * w[1] * d**2)
    for name, panels, row, found_here in zip(names, grid, rows, found, strict=True):
        sigma, rate, share = map(look.axes, panels)
        _sigma_panel(sigma, d, found_here, spread)
        _rate_panel(rate, d, found_here, row)
        _share_panel(share, d, row)
        look.row_label(sigma, name, titles.onset(d, found_here))
    for ax, title in zip(grid[0], ("σ of the optima", "unrealistic rate", "where the seeds end"), strict=True):
        look.title(ax, title, weight="bold")
    for ax in grid[-1]:
        look.label(ax, x="separation (units of x)")
    pad, top = 0.02 * np.ptp(d) or 1.0, max([*spread, *(o.scale for row in found for here in row for o in here)])
    grid[0, 0].set(xlim=(d[0] - pad, d[-1] + pad), ylim=(0, 1.1 * top))
    best, target, mean = _looks(d)
    handles = (
        (Line2D([], [], **best), "best optimum"),
        (Line2D([], [], **target), "σ of the target"),
        (Line2D([], [], **mean), "mean rate over seeds"),
        *look.basin_handles(fits["basin"].values[titles.converged(fits)], lines=False),
    )
    under = (
        "Left: what the best optimum does. Large marks: many seeds. Unrealistic: outside where 99 % of the data are."
    )
    look.heading(figure, titles.story(d, names, found), under, titles.left_out(fits))
    look.legend(figure, handles, columns=4)
    return figure


def _looks(d):
    """The best optimum, the target, the mean over seeds: lines, or points where there is one separation."""
    ink, muted = {"color": look.INK, "lw": 1.4}, {"color": look.MUTED, "lw": 1.2}
    if len(d) > 1:
        return ink, {**muted, "ls": look.DASHES[2]}, {**muted, "ls": look.DASHES[1]}
    point = {"ls": "", "marker": "o", "clip_on": False}
    return (
        {**ink, **point, "ms": 4},
        {**muted, **point, "marker": "_", "ms": 14},
        {**muted, **point, "mfc": "none", "ms": 7},
    )


def _sigma_panel(ax, d, found, spread):
    best, target, _ = _looks(d)
    ax.plot(d, spread, **target)
    ax.plot(d, [row[0].scale if row else np.nan for row in found], zorder=2 if len(d) > 1 else 4, **best)
    for basin in sorted({o.basin for row in found for o in row}):
        here = [(at, o) for at, row in zip(d, found, strict=True) for o in row if o.basin == basin]
        color, marker = look.basin_look(basin)
        areas = [7 + 15 * o.share for _, o in here] if len(d) > 1 else [14 + 30 * o.share for _, o in here]
        style = {"marker": marker, "color": color, "lw": 0, "alpha": 0.85, "zorder": 3}
        ax.scatter([at for at, _ in here], [o.scale for _, o in here], s=areas, **style)


def _rate_panel(ax, d, found, fits):
    best = [100 * row[0].unrealistic_rate if row else np.nan for row in found]
    ok, rates = titles.converged(fits), fits["unrealistic_rate"].transpose("separation", "seed").values
    mean = 100 * np.where(ok, rates, 0.0).sum(-1) / np.where(ok.any(-1), ok.sum(-1), np.nan)
    best_look, _, mean_look = _looks(d)
    ax.plot(d, mean, **mean_look)
    ax.plot(d, best, **best_look)
    look.percent_axis(ax)


def _share_panel(ax, d, fits):
    """Shares of all seeds, stacked: collapsed ones at the bottom."""
    ok, basins = titles.converged(fits), fits["basin"].transpose("separation", "seed").values
    bottom = np.zeros(len(d))
    for label in sorted({int(b) for b in basins[ok]}, key=look.collapsed_first):
        top, style = bottom + 100 * np.mean(ok & (basins == label), axis=-1), {"ec": "white", "lw": 0.6, "alpha": 0.85}
        if len(d) > 1:
            ax.fill_between(d, bottom, top, fc=look.basin_look(label)[0], **style)
        else:
            ax.bar(d, top - bottom, bottom=bottom, width=0.5, fc=look.basin_look(label)[0], **style)
        bottom = top
    look.percent_axis(ax)
