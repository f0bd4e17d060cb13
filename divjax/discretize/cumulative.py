"""Distribution functions and quantiles of two distributions, or of a distribution and a sample, at shared nodes.

p and q may each be an unbatched distribution on the line, discrete ones too, or a sample: ``Points`` or an array [n].
"""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import checks
from divjax import numerics as nu
from divjax.discretize import panels
from divjax.discretize.compiled import compiled
from divjax.discretize.pmf import values
from divjax.discretize.quadrature import default_refine
from divjax.discretize.validity import is_counted, one, univariate
from divjax.distributions.decay import decays, is_bare_power
from divjax.distributions.density import centred, log_prob, profile, quantile, tails
from divjax.distributions.family import Density
from divjax.distributions.resolve import is_distribution
from divjax.distributions.source import dtype_of
from divjax.divergences.reading import onto_heaviest
from divjax.divergences.transport.monotone import (
    cdfs_of_counts,
    cdfs_of_samples,
    coupling_of_counts,
    coupling_of_samples,
)
from divjax.measures import Cdfs, Coupling, Points, Rule
from divjax.numerics.calls import said
from divjax.sorting import ranked, take

_REMEDY_OF_SHAPE = (
    "Use jax.vmap over batches; points [n, d] have dj.energy, dj.sliced_wasserstein and dj.sinkhorn_divergence."
)
Side = Density | Points | Array  # a law, a weighted sample, a sample


def _side(data: Any, name: str) -> Side:
    """What was given as p or q: a density, or a sample [n], with its log-weights if it has some.

    A discrete law is the sample of all its values, weighted by their probabilities.
    """
    if is_distribution(data):
        side = one(data, name)
        return values(side) if is_counted(side) else univariate(side, name)
    x, log_w = (data.x, data.log_w) if isinstance(data, Points) else (data, None)
    x = checks.sample(x, name)
    if log_w is not None and np.shape(log_w) not in ((), x.shape[:1]):
        raise ValueError(
            f"Expected one log-weight for each of the {x.shape[0]} points of {name}; got shape {np.shape(log_w)}. Use "
            "dj.Points(x[n], log_w[n])."
        )
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32)) if jnp.issubdtype(x.dtype, jnp.inexact) else x * 1.0
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 1 or x.size == 0:
        remedy = "Look where its points were lost." if x.size == 0 else _REMEDY_OF_SHAPE
        raise ValueError(f"Expected a sample {name} of shape [n] with n > 0; got shape {x.shape}. {remedy}")
    if log_w is None:
        return x
    log_w = jnp.broadcast_to(jnp.asarray(log_w, x.dtype), x.shape)
    return Points(onto_heaviest(x, log_w), jax.nn.log_softmax(log_w))


def _is_sample(side: Side) -> bool:
    return not isinstance(side, Density)


def _points(sample: Points | Array) -> Points:
    """With normalised weights."""
    if isinstance(sample, Points):
        return sample
    return Points(sample, jnp.full(sample.shape, -math.log(sample.size), sample.dtype))


def _broken(*sides: Side) -> Array | float:
    """NaN where a sample or its weights have one, else 0: sorted to the end it would not be seen."""
    samples = [_points(side) for side in sides if _is_sample(side)]
    values = [part for sample in samples for part in (sample.x, sample.log_w)]
    return jnp.where(jnp.any(jnp.stack([jnp.any(jnp.isnan(x)) for x in values])), jnp.nan, 0.0) if values else 0.0


def _steps(points: Points, x: Array) -> tuple[Array, Array]:
    """P(X ≤ x), P(X > x) of a sample."""
    sorted_x, order = ranked(points.x)
    weights = take(jnp.exp(points.log_w), order)
    below = jnp.append(0.0, jnp.cumsum(weights))
    above = jnp.append(jnp.cumsum(weights[::-1])[::-1], 0.0)
    index = jnp.searchsorted(sorted_x, x, side="right")
    return below[index], above[index]


@said
def cdfs(p: Any, q: Any, *, crossings: int = 0, refine: int | None = None) -> Cdfs:
    """Nodes for every ∫ h(P(x) − Q(x)) dx: what ``energy`` and ``cramer`` are measured on.

    Panels follow the mass of both; the points of a sample are knots, so that its steps are exact. Returns
    ``Cdfs(cdf_p, cdf_q, log_w)`` [n]. crossings: how many sign changes of P − Q become knots (for ∫|P − Q|).

    Examples:
        >>> round(float(dj.cramer(dj.cdfs(jnp.array([0.0]), jnp.array([3.0])))), 4)
        3.0
    """
    return _cdfs(_side(p, "p"), _side(q, "q"), crossings=crossings, refine=refine)


@compiled
def _cdfs(p: Side, q: Side, *, crossings: int, refine: int | None) -> Cdfs:
    if _is_sample(p) and _is_sample(q):
        weighted = isinstance(p, Points) or isinstance(q, Points)
        found = cdfs_of_samples(_points(p), _points(q)) if weighted else cdfs_of_counts(p, q)
        return replace(found, log_w=found.log_w + _broken(p, q))
    if not (_is_sample(p) or _is_sample(q)):
        p, q = centred(p, q)
    shapes = [profile(side) for side in (p, q) if not _is_sample(side)]
    points = [_points(side).x for side in (p, q) if _is_sample(side)]
    grid = panels.lay(*shapes, points=jnp.concatenate(points) if points else None)
    placed = panels.nodes(grid, default_refine(grid.left.dtype) if refine is None else refine)

    def both(x):
        pairs = [_steps(_points(side), x) if _is_sample(side) else tails(side, x) for side in (p, q)]
        (below_p, above_p), (below_q, above_q) = pairs
        upper = below_p + below_q > 1.0
        return jnp.where(upper, -above_p, below_p), jnp.where(upper, -above_q, below_q)

    def gap(x):
        cdf_p, cdf_q = both(x)
        return cdf_p - cdf_q

    if crossings and not points:
        placed = panels.split(grid, placed, gap, gap(jax.lax.stop_gradient(placed.x)), crossings)
    cdf_p, cdf_q = both(placed.x)
    return Cdfs(cdf_p.ravel(), cdf_q.ravel(), placed.log_w.ravel() + _broken(p, q), Rule.PANELS)


@said
def coupling(p: Any, q: Any, *, crossings: int = 0, refine: int | None = None) -> Coupling:
    """Nodes for every ∫₀¹ h(P⁻¹(u), Q⁻¹(u)) du: what ``wasserstein`` is measured on.

    Between distributions the nodes are laid on the one without a closed-form quantile and carried to the other by
    Q⁻¹(P(x)). Between a distribution and a sample they are levels u, the sample's steps exact. Returns
    ``Coupling(x, y, log_w)`` [n]. crossings: how many sign changes of x − y become knots, for ``wasserstein`` of order
    1, which warns of a coupling of two distributions that was laid without; 4, say.

    Examples:
        >>> pairs = dj.coupling(jnp.array([0.0, 1.0]), jnp.array([5.0, 2.0]))
        >>> round(float(dj.wasserstein(pairs, order=1)), 4)
        3.0
    """
    return _coupling(_side(p, "p"), _side(q, "q"), crossings=crossings, refine=refine)


@compiled
def _coupling(p: Side, q: Side, *, crossings: int, refine: int | None) -> Coupling:
    if _is_sample(p) and _is_sample(q):
        weighted = isinstance(p, Points) or isinstance(q, Points)
        found = coupling_of_samples(_points(p), _points(q)) if weighted else coupling_of_counts(p, q)
        return replace(found, log_w=found.log_w + _broken(p, q)) if weighted else found
    if _is_sample(p):
        x, y, log_w = _against_sample(q, _points(p))
        return Coupling(y, x, log_w + _broken(p), rule=Rule.PANELS)
    if _is_sample(q):
        x, y, log_w = _against_sample(p, _points(q))
        return Coupling(x, y, log_w + _broken(q), rule=Rule.PANELS)
    if p.family.quantile is not None and q.family.quantile is None:
        y, x, log_w = _carried(q, p, crossings, refine)
    else:
        x, y, log_w = _carried(p, q, crossings, refine)
    return Coupling(x, y, log_w, crossings, Rule.PANELS)


def _carried(base: Density, other: Density, crossings: int, refine: int | None):
    """Nodes x on the mass of base, and other's quantile at base's level."""
    # Where the other's density is not smooth its quantile has a kink, and where next to none of it is, a jump.
    shape = profile(other)
    below, above = tails(other, jnp.concatenate([shape.kinks, panels.gaps(shape)]))
    points = quantile(base, below, above) if below.size else None
    grid = panels.lay(profile(base), points=points, tail=_growth(base))
    # Even where the density is flat, the other's quantile may have a logarithm at the end of the support.
    grid = grid._replace(order=jnp.maximum(grid.order, 8.0))
    placed = panels.nodes(grid, default_refine(grid.left.dtype) if refine is None else refine)

    def image(x):
        return _quantile(other, *tails(base, x))

    if crossings:
        x = jax.lax.stop_gradient(placed.x)
        placed = panels.split(grid, placed, lambda x: x - image(x), x - image(x), crossings)
    log_w = placed.log_w + log_prob(base, placed.x)
    return placed.x.ravel(), image(placed.x).ravel(), log_w.ravel()


def _growth(base: Density) -> int:
    """How fast nodes go out: of a tail with hardly a moment most of the distance is where next to no mass is left."""
    powers = [decay for decay in decays(base) or () if is_bare_power(decay)]
    double = dtype_of(base.params) == jnp.float64
    return 16 if powers and double else panels.TAIL  # of single precision no level is as small


def _quantile(dist: Density, u: Array, v: Array) -> Array:
    """At no level so small that the second derivative of a quantile, like u⁻², would overflow."""
    least = math.sqrt(jnp.finfo(u.dtype).tiny)
    return quantile(dist, jnp.maximum(u, least), jnp.maximum(v, least))


def _against_sample(dist, sample):
    """Between a sample's steps u runs over an interval, on which the quantile of dist is smooth."""
    y, order = ranked(sample.x)
    weights = take(jnp.exp(sample.log_w), order)
    below, above = jnp.append(0.0, jnp.cumsum(weights)), jnp.append(jnp.cumsum(weights[::-1])[::-1], 0.0)
    y, below, above = _cut_at_half(y, below, above)
    # Nothing is rounded if levels are u below the median and v = 1 − u above: ``start`` < ``end``, the nearer to 0.
    lower = jnp.arange(y.size) <= jnp.argmax(below[1:] >= 0.5)
    start, end = jnp.where(lower, below[:-1], above[1:]), jnp.where(lower, below[1:], above[:-1])
    # At a level P(y), x = y: the kink of |x − y| becomes the end of a piece, and moves with the parameters of dist.
    cdf, survival = tails(dist, y)
    kink = jnp.clip(jnp.where(lower, cdf, survival), start, end)
    level, log_w = (jnp.stack(part) for part in zip(_levels(start, kink), _levels(kink, end), strict=True))
    u, v = jnp.where(lower[:, None], level, 1.0 - level), jnp.where(lower[:, None], 1.0 - level, level)
    x = _quantile(dist, u, v)
    return x.ravel(), jnp.broadcast_to(y[:, None], x.shape).ravel(), log_w.ravel()


def _cut_at_half(y, below, above):
    """The step that holds the median as two: each piece then has at most one singular level at its ends."""
    middle = jnp.argmax(below[1:] >= 0.5)
    index = jnp.arange(y.size + 1)
    ends = jnp.arange(y.size + 2)
    is_cut, shifted = ends == middle + 1, ends - (ends > middle)
    below, above = (jnp.where(is_cut, 0.5, level[shifted]) for level in (below, above))
    return y[index - (index > middle)], below, above


def _levels(start, end):
    """Gauss-Kronrod levels on (start, end) and log-weights, like t⁸ on pieces that begin near 0, where a quantile is
    singular; on others t⁸ would cost digits."""
    dtype = start.dtype
    t, width = jnp.asarray(panels.T, dtype), (end - start)[:, None]
    positive = width > math.sqrt(jnp.finfo(dtype).tiny)  # else the second derivative of its logarithm overflows
    start, end = start[:, None], jnp.where(positive, end[:, None], 1.0)
    graded = positive & (end > 2.0 * start)
    low, high = (nu.safe_root(jnp.where(graded, level, other), 8.0) for level, other in ((start, 0.5), (end, 1.0)))
    root = low + (high - low) * t
    level = jnp.where(graded, root**8, start + jnp.where(positive, width, 0.5 - start) * t)
    # Not the logarithm of the slope, whose square underflows next to the level 0.
    graded_slope = math.log(8.0) + 7.0 * jnp.log(root) + jnp.log(high - low)
    log_slope = jnp.where(graded, graded_slope, jnp.log(jnp.where(positive, width, 1.0)))
    log_slope = jnp.where(positive, log_slope, -jnp.inf)
    return level, log_slope + jnp.asarray(panels.LOG_WEIGHTS, dtype)
