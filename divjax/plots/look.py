"""How every figure looks: colours, axes, headings and legends; all set on the artist, nothing global.

Colours are Okabe and Ito's (2008), told apart with any colour vision; line styles and markers repeat what they say.
"""

import textwrap
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from divjax import diagnostics

DPI = 150
INK, MUTED, FAINT, DATA = "#222222", "#666666", "#d0d0d0", "#dfe3e8"
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, WINE, INDIGO, OLIVE = "#E69F00", "#56B4E9", "#882255", "#332288", "#999933"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK, WINE, INDIGO, OLIVE, "#44AA99", "#888888")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
# What a fit is, by basin: colour and marker, the same in every figure.
COLLAPSED = ((BLUE, "v"), (PURPLE, "^"), (ORANGE, "<"), (SKY, ">"))
SMALL, BODY, TITLE = 7.0, 8.5, 10.5  # points


def save(figure: Figure, path: str | PathLike) -> None:
    """Write a figure as PNG, or as what the path's suffix names (pdf, svg). Makes the folder; overwrites."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix[1:].lower()
    known = suffix in figure.canvas.get_supported_filetypes()
    figure.savefig(path, dpi=DPI, format=suffix if known else "png")


def basin_look(basin):
    if basin < 0:
        return {diagnostics.AVERAGES: (VERMILLION, "o"), diagnostics.COVERS: (GREEN, "s")}[basin]
    return COLLAPSED[basin % len(COLLAPSED)]


def collapsed_first(basin):
    return (basin < 0, abs(basin))


def basin_handles(basins, *, lines):
    for basin in sorted({int(b) for b in basins}, key=collapsed_first):
        color, marker = basin_look(basin)
        style = {"lw": 1.8} if lines else {"lw": 0, "marker": marker, "ms": 6}
        yield Line2D([], [], color=color, **style), diagnostics.basin_name(basin)


def axes(ax):
    """The same axes with a frame on two sides and small ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=SMALL + 0.5, color=MUTED, labelcolor=INK, length=3)
    return ax


def label(ax, *, x="", y=""):
    ax.set_xlabel(x, fontsize=BODY, color=INK, parse_math=False)
    ax.set_ylabel(y, fontsize=BODY, color=INK, parse_math=False)


def title(ax, text, **style):
    """A heading of one axes, from its left edge."""
    ax.set_title(text, loc="left", **{"fontsize": BODY, "color": INK, **style})


def note(ax, text, at, by, *, xycoords="data", **style):
    """A small text, so many points away from a place of the axes."""
    ax.annotate(text, at, by, xycoords, "offset points", **{"fontsize": SMALL, "color": MUTED, **style})


def percent_axis(ax):
    ax.set(ylim=(0, 102), yticks=(0, 50, 100))
    ax.set_yticklabels(("0", "50", "100 %"))


def root_ticks(top):
    """0 and three round numbers that are spread evenly over a square-root scale from 0 to ``top``."""
    wanted = top * np.asarray([0.08, 0.35, 0.9])
    digit = 10.0 ** np.floor(np.log10(wanted))
    return np.unique([0.0, *np.floor(wanted / digit) * digit])


def height(row):
    """Points above an axes of a row of its table."""
    return 5 + 9.5 * row


def row(ax, row, cells):
    """One row of the table above an axes: (place from 0 to 1, text, side, properties of the text)."""
    for at, text, side, style in cells:
        style = {"ha": side, "va": "bottom", "parse_math": False, "color": INK, **style}
        note(ax, text, (at, 1), (0, height(row)), xycoords="axes fraction", **style)


def row_label(ax, name, remark):
    """What a row of panels shows, to the left of its first."""
    for text, rise, side, style in (
        (name, 0, "bottom", {"fontsize": BODY, "color": INK, "weight": "bold"}),
        (remark, -2, "top", {"fontsize": SMALL, "color": MUTED}),
    ):
        style |= {"ha": "right", "va": side, "parse_math": False}
        note(ax, text, (0, 0.5), (-32, rise), xycoords="axes fraction", **style)


def heading(figure, title, *lines):
    """A title, and under it what it rests on, from the left edge, wrapped to the figure's width."""
    points = 72 * figure.get_figwidth() - 12
    title = textwrap.wrap(title, int(points / (0.615 * TITLE)))
    lines = [part for line in lines if line for part in textwrap.wrap(line, int(points / (0.58 * BODY)))]
    left = 6 / (72 * figure.get_figwidth())
    # The layout leaves room for this text; the empty lines are for the smaller ones below the title.
    style = {"x": left, "ha": "left", "parse_math": False}
    figure.suptitle("\n".join(title + [""] * len(lines)), fontsize=TITLE, weight="bold", color=INK, **style)
    below = figure.transFigure + ScaledTranslation(0, -(7 + 1.2 * TITLE * len(title)) / 72, figure.dpi_scale_trans)
    if lines:
        figure.text(y=1, s="\n".join(lines), transform=below, va="top", fontsize=BODY, color=MUTED, **style)


def legend(figure, handles, *, columns):
    """Below everything, so that it covers no data."""
    artists, labels = zip(*handles, strict=True)
    style = {"fontsize": BODY - 0.5, "labelcolor": INK, "frameon": False, "handlelength": 2.6, "columnspacing": 1.6}
    figure.legend(artists, labels, loc="outside lower center", ncols=columns, **style)
