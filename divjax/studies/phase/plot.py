"""The phase diagram of mode seeking."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.ndimage import distance_transform_edt

from divjax.plots import line, look
from divjax.studies.phase import study

if TYPE_CHECKING:
    import xarray

    from divjax.studies.phase.lines import Lines

# From covering to seeking, by how far the best is from the middle.
SHADES = LinearSegmentedColormap.from_list("covers to seeks", ("#f6c7a0", "#f4e9df", "#9fc8e6", "#2f7fb8"))
KNOWN = {
    "alpha": ((-1.0, "Neyman χ²"), (0.0, "KL(q‖p)"), (0.5, "Hellinger"), (1.0, "KL(p‖q)"), (2.0, "Pearson χ²")),
    "jensen_shannon": ((0.01, "≈ KL(p‖q)"), (0.5, "Jensen-Shannon"), (0.99, "≈ KL(q‖p)")),
}
FEW = 20  # orders of the lines, below which they are marked
AXIS = {"alpha": "order α of ∫ pᵅ q¹⁻ᵅ", "jensen_shannon": "weight w of the data in m = w p + (1 − w) q"}


def phase_diagram(fits: "xarray.Dataset", orders: np.ndarray, lines: "Lines", name: str) -> Figure:
    """What the best Gaussian does, over order and separation, with the lines where it changes.

    fits: of ``study.run`` for the family ``name``; lines: of ``lines`` at ``orders``. The colour is how far the
    best optimum's mean is from the middle of the modes: 0 covers both, 1 is on one of them. Between the broken lines
    both kinds are optima; at the full one the better changes.
    """
    fits = fits.sortby(["order", "separation"])
    kinds = study.kinds(fits)
    if not (kinds.kind != study.NEITHER).any():
        raise ValueError("Expected a fit that converged; got none. Use more seeds or other separations.")
    figure = Figure(figsize=(9.6, 6.2), dpi=look.DPI, layout="constrained")
    plane, side = figure.subfigures(1, 2, width_ratios=(4.6, 1))
    ax = look.axes(plane.subplots())
    d, order = fits["separation"].values, fits["order"].values
    ax.pcolormesh(d, order, kinds.offset, cmap=SHADES, vmin=0.0, vmax=1.0, shading="nearest", rasterized=True)
    both = np.isin(kinds.kind, (study.COVERS_OR_SEEKS, study.SEEKS_OR_COVERS)).astype(float)
    if both.any() and not both.all():
        corners, cells = (_corners(d), _corners(order)), np.repeat(np.repeat(both, 2, axis=0), 2, axis=1)
        hatched = ax.contourf(*corners, cells, levels=(0.5, 1.5), colors="none", hatches=("////",))
        hatched.set(edgecolor=(0.13, 0.13, 0.13, 0.28), linewidth=0)
    for at, style, _ in _lines(lines):
        ax.plot(at, orders, marker="o" if len(orders) < FEW else "", ms=3.5, **style)
    ax.set(xlim=(d.min(), d.max()), ylim=(order.min(), order.max()))
    if name == "jensen_shannon":
        ax.set_yscale("logit")
        ax.minorticks_off()
        ax.set_yticks((0.01, 0.1, 0.5, 0.9, 0.99), ("0.01", "0.1", "0.5", "0.9", "0.99"))
    look.label(ax, x="separation d of the modes, in their standard deviations", y=AXIS[name])
    for at, text in KNOWN[name]:
        beside = ("axes fraction", "data")
        look.note(ax, text, (1.0, at), (4, 0), xycoords=beside, va="center", annotation_clip=False)
    _regions(ax, kinds, d, order, fits, side)
    look.heading(
        figure,
        "The phase diagram of mode seeking",
        "The best Gaussian for ½ N(0, 1) + ½ N(d, 1): one that covers both modes, or one of two that sit on "
        f"a mode, shaded by how far from the middle. {fits['value'].size:,} fits; hatched where both kinds "
        "are optima",
    )
    handles = [(Patch(color=SHADES(0.0)), "covering is best"), (Patch(color=SHADES(1.0)), "seeking is best")]
    handles += [(Line2D([], [], **style), text) for at, style, text in _lines(lines) if not np.isnan(at).all()]
    look.legend(figure, handles, columns=5)
    return figure


def _corners(middles):
    """Both ends of every cell about ``middles``."""
    between = 0.5 * (middles[1:] + middles[:-1])
    return np.concatenate([middles[:1], np.repeat(between, 2), middles[-1:]])


def _lines(lines):
    """Separations, look and meaning of each."""
    return (
        (lines.seeking, {"color": look.BLUE, "ls": look.DASHES[1], "lw": 1.4}, "seeking appears"),
        (lines.covering, {"color": look.VERMILLION, "ls": look.DASHES[1], "lw": 1.4}, "covering vanishes"),
        (lines.switch, {"color": look.INK, "lw": 2}, "the best changes"),
    )


def _regions(ax, kinds, d, order, fits, side):
    """A letter in the largest patch of each kind, and beside the plane what the Gaussian does there."""
    shown = [
        kind
        for kind in (study.COVERS, study.COVERS_OR_SEEKS, study.SEEKS_OR_COVERS, study.SEEKS)
        if (kinds.kind == kind).mean() > 0.005
    ]
    names = {
        study.COVERS: "covers",
        study.COVERS_OR_SEEKS: "covers, could seek",
        study.SEEKS_OR_COVERS: "seeks, could cover",
        study.SEEKS: "seeks",
    }
    for panel, letter, kind in zip(np.atleast_1d(side.subplots(len(shown), 1)), "abcd", shown, strict=False):
        i, j = _middle(kinds.kind == kind)
        ring = {"boxstyle": "circle,pad=0.25", "fc": "white", "ec": look.INK, "lw": 0.7}
        style = {"fontsize": look.TITLE, "weight": "bold", "color": look.INK, "bbox": ring}
        ax.annotate(letter, (d[j], order[i]), ha="center", va="center", **style)
        _densities(look.axes(panel), fits.isel(order=i, separation=j))
        look.title(panel, f"{letter}  {names[kind]}", weight="bold")


def _middle(mask):
    """The cell deepest inside a region."""
    padded = np.pad(mask, 1)
    return np.unravel_index(np.argmax(distance_transform_edt(padded)[1:-1, 1:-1]), mask.shape)


def _densities(ax, fits):
    """The target and its distinct optima, the best one bold."""
    d = float(fits["separation"])
    modes = [(0.0, 1.0), (d, 1.0)]
    x = np.linspace(-3.5, d + 3.5, 400)
    ax.fill_between(x, line.mixture(x, modes, (0.5, 0.5)), color=look.DATA, lw=0)
    for rank, (loc, scale, best) in enumerate(_distinct(fits)):
        color = look.BLUE if abs(loc - 0.5 * d) > study.APART * scale else look.VERMILLION
        style = {"lw": 1.8, "ls": look.DASHES[0]} if best else {"lw": 0.9, "ls": look.DASHES[2]}
        ax.plot(x, line.gaussian(x, loc, scale), color=color, zorder=4 - rank * 0.1, **style)
    ax.set(yticks=(), xlim=(x[0], x[-1]), ylim=(0, None))
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=4)


def _distinct(fits):
    """(mean, deviation, whether as good as the best) of the kinds of optimum of one cell; mirror images too."""
    good = study.settled(fits)
    table = np.stack([fits[name].values[good] for name in ("value", "loc", "scale")], axis=1).astype(float)
    found = []
    for value, loc, scale in table[np.argsort(table[:, 0])]:
        if all(np.hypot(loc - other[0], scale - other[1]) > 0.1 * scale for other in found):
            found.append((loc, scale, value <= table[:, 0].min() + 1e-4))
    return found[:4]
