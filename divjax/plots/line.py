"""Densities on the line: what they are, where to draw them, and a sample with those fitted to it."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import ArrayLike, Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from divjax.plots import look, words
from divjax.tables import count


def gaussian(x, loc, scale):
    return np.exp(-0.5 * ((x - loc) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))


def mixture(x, modes, weights):
    return sum(w * gaussian(x, m, s) for w, (m, s) in zip(weights, modes, strict=True))


def span(modes, gaussians, *, widths, beyond):
    """Where to draw: around the modes, and ``widths`` σ of the Gaussians, but no more than ``beyond`` the modes'
    distance on either side."""
    low, high = min(m - 4 * s for m, s in modes), max(m + 4 * s for m, s in modes)
    room = beyond * np.ptp([m for m, _ in modes])
    return widen(low, high, [(m - widths * s, m + widths * s) for m, s in gaussians], room)


def sample_span(values, gaussians):
    """Where to draw: the values, and three σ of the Gaussians, but no more than half the range on either side."""
    low, high = (values[0], values[-1]) if values.size else (-1.0, 1.0)
    room = 0.5 * (high - low) or 0.5 * max(1.0, abs(high))
    margin = 0.08 * room
    return widen(low - margin, high + margin, [(m - 3 * s, m + 3 * s) for m, s in gaussians], room)


def widen(low, high, intervals, room):
    """[low, high] extended towards the intervals, by at most ``room`` on either side."""
    starts, ends = [low, *(a for a, _ in intervals)], [high, *(b for _, b in intervals)]
    return max(min(starts), low - room), min(max(ends), high + room)


def grid(low, high, gaussians):
    """Points that resolve every Gaussian, however narrow."""
    pieces = [np.linspace(m - 5 * s, m + 5 * s, 301) for m, s in gaussians]
    x = np.unique(np.concatenate([np.linspace(low, high, 1201), *pieces]))
    return x[(x >= low) & (x <= high)]


def num_bins(values):
    """The larger of Freedman and Diaconis's number, too small for two modes, and √n; 5 to 80."""
    width = 2 * np.subtract(*np.percentile(values, [75, 25])) / len(values) ** (1 / 3)
    wanted = max(np.sqrt(len(values)), np.ptp(values) / width if width > 0 else 0.0)
    return int(np.clip(wanted, 5, 80))


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
        heights, edges = np.histogram(values, bins=num_bins(values), density=True)
        ax.stairs(heights, edges, fill=True, color=look.FAINT)
        rug = values[np.linspace(0, values.size - 1, min(values.size, 1000)).astype(int)]
        ticks = {"color": look.INK, "ms": 5, "mew": 0.5, "alpha": 0.5, "clip_on": False}
        ax.plot(rug, np.full(rug.size, -0.025), "|", transform=ax.get_xaxis_transform(), **ticks)
    low, high = sample_span(values, list(fits.values()))
    at, handles = grid(low, high, fits.values()), [(Patch(color=look.FAINT), count(values.size, "value"))]
    for i, (name, (loc, scale)) in enumerate(fits.items()):
        style = {"color": look.PALETTE[i % len(look.PALETTE)], "ls": look.DASHES[i % len(look.DASHES)], "lw": 1.8}
        ax.plot(at, gaussian(at, loc, scale), **style)
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
