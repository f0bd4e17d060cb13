"""Figure of the post's other models: unrealistic documents over the number of topics, and ratings over the rank."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from divjax.plots import look
from divjax.studies.topics import study
from divjax.tables import count

if TYPE_CHECKING:
    import xarray

# Of the subjects, in the order of the vocabulary; words common to all come last.
_COLORS = (look.ORANGE, look.BLUE, look.GREEN, look.PURPLE, look.FAINT)
_SHOWN = 4  # documents for each size below


def unrealistic(table: "xarray.Dataset") -> Figure:
    """Two panels, each with what is generated below: rates with their standard errors, one point for each data set.

    table: of ``study.run``, with both models.
    """
    best = study.likeliest(table)
    figure = Figure(figsize=(8.4, 5.6), dpi=look.DPI, layout="constrained")
    left, right = figure.subfigures(1, 2, wspace=0.04)
    _documents(left, best.sel(model=study.DOCUMENTS))
    _ratings(right, best.sel(model=study.RATINGS))
    seeds, starts = table.sizes["seed"], table.sizes["start"]
    look.heading(
        figure,
        "Too few topics, too few factors: maximum likelihood generates what nobody wrote or rated",
        f"Share of generated draws whose true density is below that of {study.MASS:.0%} of real ones: "
        f"{count(seeds, 'data set')} (dots, ± standard error), their mean (lines); the likeliest of "
        f"{count(starts, 'start')}",
    )
    handles = (
        (Line2D([], [], color=look.BLUE, lw=2, marker="o", ms=4), "documents; ratings by the users at hand"),
        (Line2D([], [], color=look.VERMILLION, lw=2, ls=look.DASHES[1], marker="s", ms=4), "new users, Gaussian prior"),
        (Line2D([], [], color=look.MUTED, lw=1, ls=look.DASHES[2]), f"real data: {1.0 - study.MASS:.0%}"),
    )
    look.legend(figure, handles, columns=3)
    return figure


def _documents(part, fits):
    panel, below = part.subfigures(2, 1, height_ratios=(1.7, 1))
    ax = _panel(panel, fits, "number of topics", "Documents: latent Dirichlet allocation")
    _rates(ax, fits, "", look.BLUE, look.DASHES[0], "o", 0.0)
    sizes = _few(fits)
    for ax, size in zip(below.subplots(1, len(sizes), squeeze=False)[0], sizes, strict=True):
        counts = fits["example_documents"].sel(size=size).isel(seed=0).values[:_SHOWN].astype(int)
        _stacked(ax, counts)
        look.title(ax, f"{size} topic" + "s" * (size > 1))
    below.supxlabel(" ", fontsize=look.BODY)  # leaves room for the names
    for index, (name, color) in enumerate(zip((*study.SUBJECTS, "in all"), _COLORS, strict=True)):
        style = {"color": look.MUTED if color == look.FAINT else color, "fontsize": look.SMALL, "weight": "bold"}
        below.text((index + 0.5) / len(_COLORS), 0.05, name, ha="center", **style)


def _stacked(ax, counts):
    """A bar for each document, its words by subject; words that all subjects share in grey."""
    each = (len(study.VOCABULARY) - len(study.COMMON)) // len(study.SUBJECTS)
    for row, document in enumerate(counts):
        start = 0
        for index, color in enumerate(_COLORS):
            width = document[index * each : (index + 1) * each].sum()
            ax.barh(row, width, left=start, color=color, height=0.72, lw=0)
            start += width
    ax.set(xlim=(0, study.LENGTH), ylim=(len(counts) - 0.5, -0.5))
    _bare(ax)


def _ratings(part, fits):
    panel, below = part.subfigures(2, 1, height_ratios=(1.7, 1))
    ax = _panel(panel, fits, "rank: number of factors", "Ratings: probabilistic matrix factorisation")
    _rates(ax, fits, "", look.BLUE, look.DASHES[0], "o", -0.06)
    _rates(ax, fits, "_of_new_users", look.VERMILLION, look.DASHES[1], "s", 0.06)
    sizes = _few(fits)
    shown = fits["example_rows"].sel(size=sizes).isel(seed=0).transpose("size", "row", "item").values
    # The same users at every rank; those of a kind together, by the genre that they love at the last one shown.
    favourite = shown[-1].reshape(len(shown[-1]), study.GENRES, -1).mean(2).argmax(1)
    order = np.argsort(favourite, kind="stable")
    for ax, size, rows in zip(below.subplots(1, len(sizes), squeeze=False)[0], sizes, shown, strict=True):
        ax.imshow(rows[order], cmap="RdBu_r", vmin=0.8, vmax=5.8, aspect="auto", interpolation="nearest")
        look.title(ax, f"rank {size}")
        _bare(ax)
    below.supxlabel("users × items, from dislike (blue) to love (red)", fontsize=look.SMALL, color=look.MUTED)


def _panel(part, fits, x, title):
    ax = look.axes(part.subplots())
    ax.axhline(1.0 - study.MASS, color=look.MUTED, lw=1, ls=look.DASHES[2])
    ax.set_xticks(fits["size"].values)
    ax.set_ylim(0.0, 1.04)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    look.title(ax, title, weight="bold")
    look.label(ax, x=x, y="unrealistic rate")
    return ax


def _rates(ax, fits, which, color, dashes, marker, shift):
    rate, error = (
        fits[f"unrealistic{which}"].transpose("size", "seed"),
        fits[f"stderr{which}"].transpose("size", "seed"),
    )
    sizes, num = fits["size"].values, fits.sizes["seed"]
    aside = shift + (np.linspace(-0.1, 0.1, num) if num > 1 else np.zeros(1))
    ax.plot(sizes + shift, rate.mean("seed").values, color=color, lw=1.8, ls=dashes)
    style = {"color": color, "lw": 0, "elinewidth": 0.9, "marker": marker, "ms": 3, "alpha": 0.8}
    for i in range(num):
        ax.errorbar(sizes + aside[i], rate.values[:, i], error.values[:, i], **style)


def _few(fits):
    """Sizes to be shown: the first, the second, and that of the data, or the last."""
    sizes = fits["size"].values.tolist()
    return sorted({*sizes[:2], study.GENRES if study.GENRES in sizes else sizes[-1]})


def _bare(ax):
    ax.set(xticks=(), yticks=())
    ax.spines[:].set_visible(False)
