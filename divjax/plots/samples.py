"""Figures of samples."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import ArrayLike, Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from divjax.plots import line, look, words
from divjax.tables import count


def sample_fits(x: Float[ArrayLike, " n"], fits: Mapping[str, tuple[float, float]], *, column: str = "x") -> Figure:
    """A histogram of a sample with the Gaussians fitted to it, ``{name: (loc, scale)}``; ``column`` names the axis.

    A rug below it shows the values themselves, at most 1000 of them, evenly through the order. Values that are not
    finite are left out, and counted.
    """
    x = np.asarray(x, float).ravel()
    values = np.sort(x[np.isfinite(x)])
    dropped = f"{count(x.size - values.size, 'value')} not finite, left out." if values.size < x.size else ""
    figure = Figure(figsize=(6.4, 3.6 + 0.16 * -(-len(fits) // 2)), dpi=look.DPI, layout="constrained")
    ax = look.axes(figure.subplots())
    if values.size:
        heights, edges = np.histogram(values, bins=line.num_bins(values), density=True)
        ax.stairs(heights, edges, fill=True, color=look.FAINT)
        rug = values[np.linspace(0, values.size - 1, min(values.size, 1000)).astype(int)]
        ax.plot(rug, np.full(rug.size, -0.025), "|", color=look.INK, ms=5, mew=0.5, alpha=0.5, clip_on=False,
                transform=ax.get_xaxis_transform())  # fmt: skip
    low, high = line.sample_span(values, list(fits.values()))
    grid, handles = line.grid(low, high, fits.values()), [(Patch(color=look.FAINT), count(values.size, "value"))]
    for i, (name, (loc, scale)) in enumerate(fits.items()):
        style = {"color": look.PALETTE[i % len(look.PALETTE)], "ls": look.DASHES[i % len(look.DASHES)], "lw": 1.8}
        ax.plot(grid, line.gaussian(grid, loc, scale), **style)
        handles.append((Line2D([], [], **style), f"{name}  {words.normal(loc, scale)}"))
    ax.set(xlim=(low, high), ylim=(0, None))
    ax.tick_params(axis="x", pad=9)
    look.label(ax, x=column, y="density")
    look.heading(figure, _spread_story(fits), dropped)
    look.legend(figure, handles, columns=2 if len(fits) > 1 else 1)
    return figure


def _spread_story(fits):
    """How far the Gaussians fitted to one sample differ in σ."""
    scales = {name: scale for name, (_, scale) in fits.items()}
    if len(scales) < 2:
        return "".join(f"The Gaussian fitted with {name}" for name in scales) or "The sample"
    narrow, wide = min(scales, key=scales.get), max(scales, key=scales.get)
    return f"The fitted σ goes from {words.fixed(scales[narrow])} ({narrow}) to {words.fixed(scales[wide])} ({wide})"
