"""Densities on the line, and where to draw them."""

import numpy as np


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
