"""Figures of games: what they found beside the exact optima, and samples over training."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from divjax.plots import look
from divjax.studies.adversarial import methods, plane
from divjax.tables import count, standard_error

if TYPE_CHECKING:
    import xarray

COLUMNS = 4
SHOWN = (0.05, 0.2, 0.5, 1.0)  # of the rounds, in the figure of samples over training
CYCLED, SETTLED = look.ORANGE, look.BLUE


def found_against_exact(fits: "xarray.Dataset", exact: dict[str, list[list[tuple[float, float]]]]) -> Figure:
    """Where each game's Gaussian ended, over the separation, beside every exact optimum of its criterion.

    fits: of ``line.run_line``; exact: of ``line.minimisers`` at the same separations.
    """
    names = [str(name) for name in fits["game"].values]
    separations = fits["separation"].values
    figure, panels = _panels(len(names))
    width = 0.28 * float(np.min(np.diff(np.sort(separations)))) if separations.size > 1 else 1.0
    for ax, name in zip(panels, names, strict=True):
        _exact(ax, separations, exact[methods.lookup(name).criterion], width)
        _found(ax, fits.sel(game=name), width)
        look.title(ax, name, weight="bold", pad=12)
        look.note(ax, f"towards {methods.lookup(name).criterion}", (0, 1), (0, 3), xycoords="axes fraction")
        ax.set_xticks(separations)
        ax.set_xlim(separations.min() - 2.0 * width, separations.max() + 2.0 * width)
    _outer_labels(panels, x="separation of the modes", y="mean ± standard deviation")
    cycled, diverged = (f"{100 * float(fits[name].mean()):.0f} %" for name in ("cycled", "diverged"))
    look.heading(
        figure,
        "What adversarial training finds, beside what it is meant to minimise",
        f"A Gaussian generator on ½ N(0, 1) + ½ N(d, 1), {count(fits.sizes['seed'], 'seed')} each; "
        f"{cycled} of all games go to and fro, {diverged} diverge",
    )
    handles = [
        (Patch(color=look.DATA), "the two modes, ± 2 standard deviations"),
        (Line2D([], [], color=look.INK, lw=0, marker="_", ms=12, mew=1.6), "exact optima, the best bold"),
        (Line2D([], [], color=SETTLED, lw=1.2, marker="o", ms=4), "game, at its end"),
    ]
    if fits["cycled"].any():
        handles.append((Line2D([], [], color=CYCLED, lw=1.2, marker="^", ms=4), "game, going to and fro"))
    if fits["diverged"].any():
        handles.append((Line2D([], [], color=look.VERMILLION, lw=0, marker="x", ms=5), "game, diverged"))
    look.legend(figure, handles, columns=min(3, len(panels)))
    return figure


def _exact(ax, separations, optima, width):
    for at, found in zip(separations, optima, strict=True):
        for mode in (0.0, at):
            ax.add_patch(Rectangle((at - 1.2 * width, mode - 2.0), 2.4 * width, 4.0, color=look.DATA, lw=0))
        for loc, scale in found:
            best = abs(scale / found[0][1] - 1.0) < 1e-3  # the mirror image is as good
            ax.plot([at - 1.2 * width, at + 1.2 * width], [loc, loc], color=look.INK, lw=2.2 if best else 0.9)


def _found(ax, fits, width):
    for at in fits["separation"].values:
        here = fits.sel(separation=at)
        ends = zip(*(here[name].values for name in ("loc", "scale", "cycled", "diverged")), strict=True)
        places = at + np.linspace(-width, width, here.sizes["seed"] + 2)[1:-1]
        for x, (loc, scale, cycled, diverged) in zip(places, ends, strict=True):
            if diverged:
                # Wherever it was: at the upper edge.
                ax.plot(
                    x, 1.0, color=look.VERMILLION, marker="x", ms=5, transform=ax.get_xaxis_transform(), clip_on=False
                )
                continue
            color, marker = (CYCLED, "^") if cycled else (SETTLED, "o")
            ax.errorbar(x, loc, scale, color=color, marker=marker, ms=3.2, lw=0.7, alpha=0.9)


FATES = (
    ("serves both modes", look.GREEN),
    ("collapsed onto one mode", look.BLUE),
    ("to and fro", CYCLED),
    ("diverged", look.VERMILLION),
)


def fates(fits: "xarray.Dataset") -> Figure:
    """What became of the games of each method, over the separation: shares of the seeds, and modes captured on average.

    A mode is captured if the generator gives it a tenth of its share. fits: of ``line.run_line``.
    """
    fits = fits.sortby("separation")
    names, separations = [str(name) for name in fits["game"].values], fits["separation"].values
    figure, panels = _panels(len(names))
    for ax, name in zip(panels, names, strict=True):
        here = fits.sel(game=name).transpose("separation", "seed", ...)
        bottom = np.zeros(separations.size)
        for flags, (_, color) in zip(_fates(here), FATES, strict=True):
            share = 100.0 * flags.mean(axis=1)
            ax.bar(np.arange(separations.size), share, bottom=bottom, color=color, alpha=0.85, width=0.8, lw=0)
            bottom = bottom + share
        for at, modes in enumerate(_captured(here).mean(axis=1)):
            look.note(ax, f"{modes:.2g}", (at, 100), (0, 2), ha="center")
        ax.set_xticks(np.arange(separations.size), [f"{d:g}" for d in separations])
        look.title(ax, name, weight="bold", pad=14)
        look.percent_axis(ax)
    _outer_labels(panels, x="separation of the modes", y="share of the seeds")
    look.heading(
        figure,
        "What becomes of adversarial training as the modes part",
        f"A Gaussian generator on ½ N(0, 1) + ½ N(d, 1), {count(fits.sizes['seed'], 'seed')} each. "
        "Above a bar: modes captured on average",
    )
    look.legend(
        figure, [(Patch(color=color, alpha=0.85), text) for text, color in FATES], columns=4 if len(panels) > 2 else 2
    )
    return figure


def _captured(fits):
    """2, or 1 where the generator has collapsed, or 0 where it has diverged."""
    return np.where(fits["diverged"].values, 0, np.where(fits["basin"].values >= 0, 1, 2))


def _fates(fits):
    """Flags [separation, seed] of each of ``FATES``; to and fro goes before what a game was at when it ended."""
    diverged, cycled = fits["diverged"].values, fits["cycled"].values
    settled, one = ~diverged & ~cycled, _captured(fits) == 1
    return settled & ~one, settled & one, cycled & ~diverged, diverged


def _panels(num):
    """A figure of so many panels, ``COLUMNS`` to a row and as wide as they need."""
    columns = min(COLUMNS, num)
    rows = -(-num // columns)
    figure = Figure(figsize=(max(2.4 * columns, 5.6), 1.2 + 2.2 * rows), dpi=look.DPI, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in panels[num:]:
        ax.remove()
    return figure, [look.axes(ax) for ax in panels[:num]]


def _outer_labels(panels, *, x, y):
    """On the left and on the lowest of each column."""
    columns = min(COLUMNS, len(panels))
    for i, ax in enumerate(panels):
        lowest = i + columns >= len(panels)
        look.label(ax, x=x if lowest else "", y="" if i % columns else y)
        ax.tick_params(labelbottom=True)


def samples_over_training(fits: "xarray.Dataset", target: str, *, seed: int = 0) -> Figure:
    """A row for each method: samples of one seed's generator at four times, and how often all seeds kept the modes.

    fits: of ``plane.run_plane``.
    """
    centres, scale = plane.TARGETS[target]()
    names, rounds = [str(name) for name in fits["game"].values], fits.sizes["round"]
    shown = [max(int(np.ceil(share * rounds)), 1) - 1 for share in SHOWN]
    figure = Figure(figsize=(8.4, 1.0 + 1.85 * len(names)), dpi=look.DPI, layout="constrained")
    panels = figure.subplots(len(names), len(shown), squeeze=False)
    reach = 1.35 * np.abs(centres).max()
    for row, name in zip(panels, names, strict=True):
        here = fits.sel(game=name)
        modes, quality = (here[key].where(~here["diverged"], 0).values for key in ("modes", "high_quality"))
        for ax, at in zip(row, shown, strict=True):
            _scatter(ax, here.isel(seed=seed, round=at)["samples_path"].values, centres, reach)
            if name == names[0]:
                share = 100 * (at + 1) / rounds
                ax.set_title(f"after {share:.0f} % of the steps", fontsize=look.SMALL + 0.5, color=look.MUTED)
            found = here.isel(seed=seed, round=at)
            text = f"{int(found['modes_path'])}/{len(centres)}, {100 * float(found['high_quality_path']):.0f} %"
            ax.set_xlabel(
                "diverged" if int(found["modes_path"]) < 0 else text, fontsize=look.SMALL, color=look.INK, labelpad=2
            )
        error = standard_error if modes.size > 1 else lambda _: np.nan
        remark = (
            f"modes {modes.mean():.1f} ± {error(modes):.1f}\n"
            f"high quality {100 * quality.mean():.1f} ± {100 * error(quality):.1f} %"
        )
        look.row_label(row[0], name, remark)
    under = (
        f"One seed's samples over training; beside the name, mean ± standard error over "
        f"{count(fits.sizes['seed'], 'seed')}. Below each picture: modes captured, share of samples within three "
        "widths of one"
    )
    look.heading(figure, f"Modes found on the {target} of {len(centres)} Gaussians of width {scale:g}", under)
    return figure


def _scatter(ax, x, centres, reach):
    ax.scatter(*centres.T, s=40, facecolors="none", edgecolors=look.VERMILLION, lw=0.7)
    ax.scatter(*x.T, s=3, color=look.BLUE, alpha=0.45, lw=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=(), yticks=(), aspect="equal")
    for side in ax.spines.values():
        side.set_color(look.FAINT)
