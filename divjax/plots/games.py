"""Figures of games: what they found beside the exact optima, and samples over training."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from divjax.plots import look
from divjax.studies import adversarial, adversarial_plane, methods

if TYPE_CHECKING:
    import xarray

COLUMNS = 4
SHOWN = (0.05, 0.2, 0.5, 1.0)  # of the rounds, in the figure of samples over training
CYCLED, SETTLED = look.ORANGE, look.BLUE


def found_against_exact(fits: "xarray.Dataset", exact: dict[str, list[list[tuple[float, float]]]]) -> Figure:
    """Where each game's Gaussian ended, over the separation, beside every exact optimum of its criterion.

    fits: of ``adversarial_line.run_line``; exact: of ``adversarial_line.minimisers`` at the same separations.
    """
    names = [str(name) for name in fits["game"].values]
    separations = fits["separation"].values
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(9.6, 0.7 + 2.3 * rows), dpi=look.DPI, layout="constrained")
    panels = np.atleast_2d(figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False))
    width = 0.28 * float(np.min(np.diff(separations))) if separations.size > 1 else 1.0
    for ax, name in zip(panels.flat, names, strict=False):
        look.axes(ax)
        _exact(ax, separations, exact[methods.lookup(name).criterion], width)
        _found(ax, fits.sel(game=name), width)
        ax.set_title(name, fontsize=look.BODY, color=look.INK, loc="left", weight="bold", pad=12)
        ax.annotate(f"towards {methods.lookup(name).criterion}", (0, 1), (0, 3), xycoords="axes fraction",
                    textcoords="offset points", fontsize=look.SMALL, color=look.MUTED)  # fmt: skip
    for ax in panels.flat[len(names) :]:
        ax.set_visible(False)
    for ax in panels[:, 0]:
        look.label(ax, y="mean ± standard deviation")
    for ax in panels.flat[max(len(names) - COLUMNS, 0) : len(names)]:
        look.label(ax, x="separation of the modes")
        ax.tick_params(labelbottom=True)
    cycled, diverged = (f"{100 * float(fits[name].mean()):.0f} %" for name in ("cycled", "diverged"))
    look.heading(figure, "What adversarial training finds, beside what it is meant to minimise",
                 f"A Gaussian generator on ½ N(0, 1) + ½ N(d, 1), {fits.sizes['seed']} seeds each; {cycled} of all "
                 f"games go to and fro, {diverged} diverge")  # fmt: skip
    look.legend(figure, (
        (Patch(color=look.DATA), "the two modes, ± 2 standard deviations"),
        (Line2D([], [], color=look.INK, lw=0, marker="_", ms=12, mew=1.6), "exact optima, the best one bold"),
        (Line2D([], [], color=SETTLED, lw=1.2, marker="o", ms=4), "game, at its end"),
        (Line2D([], [], color=CYCLED, lw=1.2, marker="^", ms=4), "game, going to and fro"),
        (Line2D([], [], color=look.VERMILLION, lw=0, marker="x", ms=5), "game, diverged"),
    ), columns=3)  # fmt: skip
    return figure


def _exact(ax, separations, optima, width):
    for at, found in zip(separations, optima, strict=True):
        for mode in (0.0, at):
            ax.add_patch(Rectangle((at - 1.2 * width, mode - 2.0), 2.4 * width, 4.0, color=look.DATA, lw=0))
        for rank, (loc, _) in enumerate(found):
            ax.plot([at - 1.2 * width, at + 1.2 * width], [loc, loc], color=look.INK, lw=2.2 if rank == 0 else 0.9)


def _found(ax, fits, width):
    for at in fits["separation"].values:
        here = fits.sel(separation=at)
        ends = zip(*(here[name].values for name in ("loc", "scale", "cycled", "diverged")), strict=True)
        places = at + np.linspace(-width, width, here.sizes["seed"] + 2)[1:-1]
        for x, (loc, scale, cycled, diverged) in zip(places, ends, strict=True):
            if diverged:
                ax.plot(x, np.nan_to_num(loc), color=look.VERMILLION, marker="x", ms=5)
                continue
            color, marker = (CYCLED, "^") if cycled else (SETTLED, "o")
            ax.errorbar(x, loc, scale, color=color, marker=marker, ms=3.2, lw=0.7, alpha=0.9)


def samples_over_training(fits: "xarray.Dataset", target: str, *, seed: int = 0) -> Figure:
    """A row for each method: samples of one seed's generator at four times, and how often all seeds kept the modes.

    fits: of ``adversarial_plane.run_plane``.
    """
    centres, scale = adversarial_plane.TARGETS[target]()
    names, rounds = [str(name) for name in fits["game"].values], fits.sizes["round"]
    shown = [max(int(np.ceil(share * rounds)), 1) - 1 for share in SHOWN]
    figure = Figure(figsize=(8.4, 0.9 + 2.0 * len(names)), dpi=look.DPI, layout="constrained")
    panels = figure.subplots(len(names), len(shown), squeeze=False)
    reach = 1.35 * np.abs(centres).max()
    for row, name in zip(panels, names, strict=True):
        here = fits.sel(game=name)
        modes, quality = here["modes"].values, here["high_quality"].values
        for ax, at in zip(row, shown, strict=True):
            _scatter(ax, here.isel(seed=seed, round=at)["samples_path"].values, centres, reach)
            if name == names[0]:
                share = 100 * (at + 1) / rounds
                ax.set_title(f"after {share:.0f} % of the steps", fontsize=look.SMALL + 0.5, color=look.MUTED)
            found = here.isel(seed=seed, round=at)
            text = f"{int(found['modes_path'])}/{len(centres)}, {100 * float(found['high_quality_path']):.0f} %"
            ax.set_xlabel(text, fontsize=look.SMALL, color=look.INK, labelpad=2)
        error = adversarial.standard_error if modes.size > 1 else lambda _: np.nan
        remark = (f"modes {modes.mean():.1f} ± {error(modes):.1f}\n"
                  f"high quality {100 * quality.mean():.0f} ± {100 * error(quality):.0f} %")  # fmt: skip
        look.row_label(row[0], name, remark)
    look.heading(figure, f"Modes found on the {target} of {len(centres)} Gaussians of width {scale:g}",
                 f"One seed's samples over training; beside the name, mean ± standard error over {modes.size} seeds. "
                 "Below each picture: modes captured, share of samples within three widths of one")  # fmt: skip
    return figure


def _scatter(ax, x, centres, reach):
    ax.scatter(*centres.T, s=40, facecolors="none", edgecolors=look.VERMILLION, lw=0.7)
    ax.scatter(*x.T, s=3, color=look.BLUE, alpha=0.45, lw=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=(), yticks=(), aspect="equal")
    for side in ax.spines.values():
        side.set_color(look.FAINT)
