"""Divergences by an integration of two log-densities that shares nothing with the library: for ``matrix.py``.

The line is broken at kinks and at the ends of supports; every piece is mapped as for a double exponential rule
(Takahasi, Mori 1974) and cut into panels of 16 Gauss-Legendre nodes, on which densities are integrated to distribution
functions by their Legendre series.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy.optimize import brentq

_X, _W = legendre.leggauss(16)
_PANELS, _SPAN = 120, 4.2
_TO_SERIES = np.linalg.inv(legendre.legvander(_X, 15))

Truth = dict[str, float | None] | str  # a reason, where there is none


class Law(NamedTuple):
    """A log-density and where it is not smooth."""

    log_prob: Callable[[np.ndarray], np.ndarray]
    event_shape: tuple[int, ...]
    discrete: bool
    ends: tuple[float, float]
    kinks: tuple[float, ...]
    center: float
    scale: float
    grid: Any


def truth(p: Law, q: Law) -> Truth:
    """kl, jensen_shannon, renyi, wasserstein, energy, unrealistic_rate of p and q."""
    if p.discrete:
        return of_masses(p, q)
    if p.event_shape == (2,):
        return on_plane(p, q)
    if p.event_shape == (3,):
        return on_simplex(p, q)
    return on_line(p, q)


def of_logs(log_p, log_q, w) -> dict[str, float]:
    """The three on log-densities at nodes of weights w."""
    p, q = np.exp(log_p), np.exp(log_q)
    some, other = p > 0.0, q > 0.0
    kl = np.inf if np.any(some & ~other & (w * p > 1e-30)) else np.sum((w * p * (log_p - log_q))[some & other])
    log_m = np.logaddexp(log_p, log_q) - np.log(2.0)
    js = 0.5 * np.sum((w * p * (log_p - log_m))[some]) + 0.5 * np.sum((w * q * (log_q - log_m))[other])
    return {"kl": kl, "jensen_shannon": js, "renyi": -2.0 * np.log(np.sum(w * np.sqrt(p * q)))}


# --- Discrete ----------------------------------------------------------------------------------------------


def of_masses(p: Law, q: Law) -> Truth:
    finite = p.grid is not None and q.grid is not None and np.array_equal(p.grid, q.grid)
    if p.event_shape and not finite:
        return "reference"
    x = p.grid if finite else np.arange(-40, 4000)
    logs = [law.log_prob(x if finite else x * 1.0) for law in (p, q)]
    log_p, log_q = (np.where(np.isnan(log), -np.inf, log) for log in logs)
    ones = np.ones(len(log_p))
    if (p.event_shape and not finite) or max(abs(np.sum(np.exp(log)) - 1.0) for log in (log_p, log_q)) > 1e-9:
        return "reference"
    found = of_logs(log_p, log_q, ones)
    # Of mass 1: what a library's masses lack of it would be counted at every value of a long tail.
    gap = np.cumsum(np.exp(log_p) / np.sum(np.exp(log_p)) - np.exp(log_q) / np.sum(np.exp(log_q)))
    return found | {"wasserstein": np.sum(np.abs(gap)), "energy": 2.0 * np.sum(gap * gap), "unrealistic_rate": None}


# --- On the line -------------------------------------------------------------------------------------------


class Nodes(NamedTuple):
    """[panels, 16]: points and dx/dt, with the panels' half-widths in t."""

    x: np.ndarray
    slope: np.ndarray
    half: np.ndarray


def pieces(ends: tuple[float, float], kinks: list[float], scale: float) -> Nodes:
    """Every piece between two breaks, and the tails beyond them."""
    inner = sorted({k for k in kinks if ends[0] < k < ends[1] and np.isfinite(k)} | {e for e in ends if np.isfinite(e)})
    edge = np.linspace(-_SPAN, _SPAN, _PANELS + 1)
    half = 0.5 * np.diff(edge)
    t = 0.5 * (edge[1:] + edge[:-1])[:, None] + half[:, None] * _X
    grow, rate = np.exp(0.5 * np.pi * np.sinh(t)), 0.5 * np.pi * np.cosh(t)
    found = []
    if ends[0] == -np.inf:
        found.append((inner[0] - scale / grow, scale / grow * rate))
    for low, high in itertools.pairwise(inner):
        share, rest = 1.0 / (1.0 + grow**-2), 1.0 / (1.0 + grow**2)
        width = high - low
        x = np.where(share < 0.5, low + width * share, high - width * rest)
        found.append((x, 2.0 * width * share * rest * rate))
    if ends[1] == np.inf:
        found.append((inner[-1] + scale * grow, scale * grow * rate))
    x, slope = (np.concatenate(each) for each in zip(*found, strict=True))
    return Nodes(x, slope, np.tile(half, len(found)))


def on_line(p: Law, q: Law) -> Truth:
    ends = min(p.ends[0], q.ends[0]), max(p.ends[1], q.ends[1])
    breaks = [*p.kinks, *q.kinks, *p.ends, *q.ends, p.center]
    grid = pieces(ends, breaks, p.scale)
    flat = grid.x.ravel()
    inside = (flat > ends[0]) & (flat < ends[1]) & (np.abs(flat) < 1e150)
    logs = []
    for law in (p, q):
        here = inside & (flat > law.ends[0]) & (flat < law.ends[1])
        log = np.full(flat.shape, -np.inf)
        log[here] = law.log_prob(np.where(here, flat, p.center))[here]
        logs.append(np.where(np.isnan(log), -np.inf, log).reshape(grid.x.shape))
    w = grid.half[:, None] * grid.slope * _W
    if max(abs(np.sum(w * np.exp(log)) - 1.0) for log in logs) > 1e-9:
        return "reference"
    found = of_logs(*logs, w)
    densities = [np.exp(log) * grid.slope for log in logs]
    gap = cumulative(densities[0] - densities[1], grid.half)
    found |= {"wasserstein": transport(gap, grid), "energy": energy(gap, w)}
    return found | {"unrealistic_rate": outside(p, q, grid, logs, w)}


def cumulative(rate: np.ndarray, half: np.ndarray) -> np.ndarray:
    """∫ rate dt up to every node, from the nearer end: from the right it is minus what is beyond."""
    series = rate @ _TO_SERIES.T
    anti = legendre.legint(series, lbnd=-1, axis=1)
    within = legendre.legval(_X, anti.T) * half[:, None]
    whole = legendre.legval(1.0, anti.T) * half
    from_left = np.concatenate([[0.0], np.cumsum(whole)[:-1]])[:, None] + within
    from_right = -(np.concatenate([np.cumsum(whole[::-1])[::-1][1:], [0.0]])[:, None] + whole[:, None] - within)
    middle = len(rate) // 2
    return np.concatenate([from_left[:middle], from_right[middle:]])


def transport(gap: np.ndarray, grid: Nodes) -> float | None:
    """∫|P − Q| dx, cut where P − Q changes sign; None where it does not converge."""
    total = grid.half * (np.abs(gap * grid.slope) @ _W)
    for i in np.flatnonzero((np.min(gap, axis=1) < 0.0) & (np.max(gap, axis=1) > 0.0)):
        roots = legendre.legroots(_TO_SERIES @ gap[i])
        roots = np.sort(roots.real[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) < 1.0)])
        anti = legendre.legint(_TO_SERIES @ (gap[i] * grid.slope[i]))
        total[i] = grid.half[i] * np.sum(np.abs(np.diff(legendre.legval([-1.0, *roots, 1.0], anti))))
    return _converged(total)


def energy(gap: np.ndarray, w: np.ndarray) -> float | None:
    return _converged(2.0 * np.sum(gap * gap * w, axis=1))


def _converged(total: np.ndarray) -> float | None:
    value = np.sum(total)
    outer = np.sum(total[:8]) + np.sum(total[-8:])
    return float(value) if np.isfinite(value) and outer <= 1e-10 * max(value, 1e-300) else None


def outside(p: Law, q: Law, grid: Nodes, logs, w, mass: float = 0.99) -> float | None:
    """The mass of q outside of the smallest region with this mass of p."""
    # In every panel the log-density is a polynomial, so that ends of a region are found within it.
    low, high = np.min(logs[0][np.exp(logs[0]) * w > 0.0]), np.max(logs[0])
    if high - low < 1e-9:  # every region of one size is as small
        return None
    return 1.0 - _held(brentq(lambda c: _held(c, grid, logs, 0) - mass, low, high, xtol=1e-13), grid, logs, 1)


def _held(level: float, grid: Nodes, logs, which: int) -> float:
    """The mass of p, or q, where log p is above the level."""
    rate = np.exp(logs[which]) * grid.slope
    finite = np.where(np.isfinite(logs[0]), logs[0], -1e9)
    series = np.where(np.all(np.isfinite(logs[0]), axis=1, keepdims=True), finite @ _TO_SERIES.T, 0.0)
    series[~np.all(np.isfinite(logs[0]), axis=1), 0] = -1e9
    edges = legendre.legval(np.array([-1.0, 1.0]), series.T)  # an end may lie beyond the last node of a panel
    above = np.concatenate([edges[:, :1], finite, edges[:, 1:]], axis=1) > level
    total = grid.half * (rate @ _W) * np.all(above, axis=1)
    for i in np.flatnonzero(np.any(above, axis=1) & ~np.all(above, axis=1)):
        anti = legendre.legint(_TO_SERIES @ rate[i])
        roots = legendre.legroots(legendre.legtrim(series[i] - level * (np.arange(16) == 0)))
        roots = np.sort(roots.real[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) < 1.0)])
        places = np.array([-1.0, *roots, 1.0])
        inside = legendre.legval(0.5 * (places[1:] + places[:-1]), series[i]) > level
        total[i] = grid.half[i] * np.sum(np.diff(legendre.legval(places, anti)) * inside)
    return float(np.sum(total))


# --- In several dimensions ---------------------------------------------------------------------------------


def on_plane(p: Law, q: Law) -> Truth:
    """A grid of both axes, broken at the locations of the tests' parameters."""
    from tests.distributions.test_adapters import LOC, LOCS

    at = [{LOC[0], LOC[0] + 0.1 * (LOC[1] - LOC[0]), LOCS[0][i], LOCS[0][i] + 0.1 * (LOCS[1][i] - LOCS[0][i])}
          for i in range(2)]  # fmt: skip
    grids = [_coarse(sorted(breaks)) for breaks in at]
    x = np.stack(np.meshgrid(*(g[0] for g in grids), indexing="ij"), -1).reshape(-1, 2)
    w = np.outer(grids[0][1], grids[1][1]).ravel()
    logs = [law.log_prob(x) for law in (p, q)]
    if max(abs(np.sum(w * np.exp(log)) - 1.0) for log in logs) > 1e-8:
        return "reference"
    return of_logs(*logs, w)


def _coarse(breaks):
    edge = np.linspace(-3.4, 3.4, 13)
    half = 0.5 * np.diff(edge)
    t = (0.5 * (edge[1:] + edge[:-1])[:, None] + half[:, None] * _X).ravel()
    w = (half[:, None] * _W).ravel()
    grow, rate = np.exp(0.5 * np.pi * np.sinh(t)), 0.5 * np.pi * np.cosh(t)
    share, rest = 1.0 / (1.0 + grow**-2), 1.0 / (1.0 + grow**2)
    x, weights = [breaks[0] - 1.0 / grow], [w / grow * rate]
    for low, high in itertools.pairwise(breaks):
        x.append(low + (high - low) * share)
        weights.append(2.0 * (high - low) * share * rest * rate * w)
    return np.concatenate([*x, breaks[-1] + grow]), np.concatenate([*weights, w * grow * rate])


def on_simplex(p: Law, q: Law) -> Truth:
    """Over x₁ = s, x₂ = (1 − s) t, by a grid of both in (0, 1)."""
    edge = np.linspace(-3.0, 3.0, 25)
    half = 0.5 * np.diff(edge)
    t = (0.5 * (edge[1:] + edge[:-1])[:, None] + half[:, None] * _X).ravel()
    grow, rate = np.exp(np.pi * np.sinh(t)), np.pi * np.cosh(t)
    share, rest = grow / (1.0 + grow), 1.0 / (1.0 + grow)
    w = (half[:, None] * _W).ravel() * share * rest * rate
    s, left, t, over = share[:, None], rest[:, None], share[None], rest[None]
    x = np.stack(np.broadcast_arrays(s, left * t, left * over), -1).reshape(-1, 3)
    weights = (np.outer(w, w) * left).ravel()
    logs = [law.log_prob(x) for law in (p, q)]
    if max(abs(np.sum(weights * np.exp(log)) - 1.0) for log in logs) > 1e-8:
        return "reference"
    return of_logs(*logs, weights)
