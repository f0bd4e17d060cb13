"""Figure of the remedy: where mixtures of one, two and three Gaussians end, by optimiser and separation."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from divjax.plots import look
from divjax.studies.remedy import study
from divjax.tables import count

if TYPE_CHECKING:
    import xarray

ENDS = {
    "recovered": (look.GREEN, "the target itself"),
    "merged": (look.VERMILLION, "a component over both modes"),
    "one_mode": (look.BLUE, "all on one mode"),
    "other": (look.FAINT, "not there yet"),
}
OPTIMIZERS = {"em": "EM, on a sample", "adam": "Adam", "lbfgs": "L-BFGS", "newton": "Newton"}


def recovered(table: "xarray.Dataset") -> Figure:
    """Shares of the starts by where they end: a row for each number of components, a column for each optimiser.

    table: of ``studies.remedy.run_sweep``, or as it lies in the store.
    """
    table = study.by_fit(table)
    shares = study.shares(table)
    optimizers, components = ([*table[name].values] for name in ("optimizer", "components"))
    separations = table["separation"].values
    figure = Figure(
        figsize=(1.2 + 1.95 * len(optimizers), 1.9 + 1.15 * len(components)), dpi=look.DPI, layout="constrained"
    )
    axes = figure.subplots(len(components), len(optimizers), sharex=True, sharey=True, squeeze=False)
    for i, num in enumerate(components):
        for j, optimizer in enumerate(optimizers):
            ax, bottom = axes[i, j], np.zeros(separations.size)
            look.axes(ax)
            for name, (color, _) in ENDS.items():
                share = 100.0 * shares.sel(label=name, optimizer=optimizer, components=num).values
                ax.bar(np.arange(separations.size), share, bottom=bottom, color=color, width=0.84, lw=0)
                bottom = bottom + share
            ax.set_xticks(np.arange(separations.size), [f"{d:g}" for d in separations])
            look.percent_axis(ax)
            if i == 0:
                look.title(ax, OPTIMIZERS.get(str(optimizer), str(optimizer)), weight="bold")
            if i == len(components) - 1:
                look.label(ax, x="separation", y=count(int(num), "component") if j == 0 else "")
            elif j == 0:
                look.label(ax, y=count(int(num), "component"))
    look.heading(
        figure,
        "A richer model is the remedy, where the optimiser gets there",
        f"Mixtures fitted to ½ N(0, 1) + ½ N(d, 1) by maximum likelihood from {table.sizes['seed']} random "
        "starts each: where they end",
    )
    there = [end for name, end in ENDS.items() if shares.sel(label=name).any()]
    look.legend(figure, [(Patch(color=color), text) for color, text in there], columns=len(ENDS))
    return figure
