"""Two weighted samples on the line: their common distribution functions and their monotone coupling.

Exact: both are step functions, so that n + m nodes hold everything. Every function is one or two sorts.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import numerics as nu
from divjax.measures import Cdfs, Coupling, Points
from divjax.sorting import merged, ranked, running_count, sort, take


def cdfs_of_counts(x: Array, y: Array) -> Cdfs:
    """``Cdfs`` of two samples without weights: from counts, which are exact."""
    n, m = x.size, y.size
    values, counts = merged(x, y)
    below_p = counts[:-1]
    below_q = jnp.arange(1, n + m) - below_p
    upper = below_p.astype(x.dtype) / n + below_q.astype(x.dtype) / m > 1.0
    cdf_p, cdf_q = (
        jnp.where(upper, count - size, count).astype(x.dtype) / size for count, size in ((below_p, n), (below_q, m))
    )
    return Cdfs(cdf_p, cdf_q, nu.safe_log(jnp.diff(values)))


def cdfs_of_samples(p: Points, q: Points) -> Cdfs:
    """``Cdfs`` of two samples whose log-weights are normalised."""
    n = p.x.size
    values, order = ranked(jnp.concatenate([p.x, q.x]))
    weights = take(jnp.exp(jnp.concatenate([p.log_w, q.log_w])), order)
    (below_p, above_p), (below_q, above_q) = (
        (jnp.cumsum(share)[:-1], jnp.cumsum(share[::-1])[-2::-1])
        for share in (jnp.where(order < n, weights, 0.0), jnp.where(order < n, 0.0, weights))
    )
    upper = below_p + below_q > 1.0
    cdf_p, cdf_q = jnp.where(upper, -above_p, below_p), jnp.where(upper, -above_q, below_q)
    return Cdfs(cdf_p, cdf_q, nu.safe_log(jnp.diff(values)))


def coupling_of_counts(x: Array, y: Array) -> Coupling:
    """``Coupling`` of two samples without weights: pairs of equal rank, or pieces known beforehand."""
    n, m = x.size, y.size
    x, y = sort(x), sort(y)
    if n == m:
        return Coupling(x, y, jnp.full(n, -math.log(n), x.dtype))
    # A piece begins at every i/n and at every j/m that is not one of those, and ends at the next of either. All
    # lengths are multiples of 1/(n m).
    (of_y, past_y), (of_x, past_x) = _positions(n, m), _positions(m, n)
    length = jnp.concatenate([jnp.minimum(m, n - past_y), jnp.where(past_x > 0, jnp.minimum(n, m - past_x), 0)])
    x_all = jnp.concatenate([x, x.at[of_x].get(mode="promise_in_bounds")])
    y_all = jnp.concatenate([y.at[of_y].get(mode="promise_in_bounds"), y])
    return Coupling(x_all, y_all, nu.safe_log(length.astype(x.dtype) / n / m))


def _positions(n: int, m: int) -> tuple[Array, Array]:
    """Quotient and remainder of i m by n for i < n, without overflow: i m itself may need 64 bits."""
    side = math.isqrt(n - 1) + 1
    coarse, fine = (np.arange(side, dtype=np.int64) * step * m for step in (side, 1))
    quotient, rest = (
        jnp.add.outer(*(jnp.asarray(part(i, n), jnp.int32) for i in (coarse, fine))).ravel()[:n]
        for part in (np.floor_divide, np.remainder)
    )
    # both remainders are below n: their sum may reach 2 n < 2³²
    over = rest.astype(jnp.uint32) >= n
    return quotient + over, (rest.astype(jnp.uint32) - jnp.where(over, jnp.uint32(n), 0)).astype(jnp.int32)


def coupling_of_samples(p: Points, q: Points) -> Coupling:
    """``Coupling`` of two samples whose log-weights are normalised: the merged levels of both.

    A level is counted from the nearer end, so that no piece of a tail is what rounding leaves of a difference from 1.
    """
    n, m = p.x.size, q.x.size
    (x, *levels_p), (y, *levels_q) = (_quantiles(points) for points in (p, q))
    below, above = (jnp.concatenate(pair) for pair in zip(levels_p, levels_q, strict=True))
    lower = below < 0.5
    near = jnp.where(lower, below, above)
    away = 1.0 / jnp.where(near > 0.0, near, jnp.finfo(near.dtype).tiny)
    _, order = ranked(jax.lax.stop_gradient(jnp.where(lower, -away, away)))
    is_p, lower, near = order < n, lower[order], take(near, order)
    # On the piece that ends at a level, the quantile's index is the number of levels before it.
    of_x = running_count(is_p) - is_p
    of_y = jnp.arange(n + m) - of_x
    # Up to the middle levels rise, from there on what is above them falls.
    signed = jnp.where(lower, near, -near)
    over = lower[:-1] & ~lower[1:]
    width = jnp.concatenate([signed[:1] + ~lower[0], jnp.diff(signed) + over])
    return Coupling(x[jnp.minimum(of_x, n - 1)], y[jnp.minimum(of_y, m - 1)], nu.safe_log(width))


def _quantiles(points: Points) -> tuple[Array, Array, Array]:
    """The sorted points, the weight up to each of them, and the weight beyond it: 0 from the last positive one on, as
    what rounding leaves must not fall to masked points."""
    x, order = ranked(points.x)
    weights = take(jnp.exp(points.log_w), order)
    return x, jnp.cumsum(weights), jnp.append(jnp.cumsum(weights[:0:-1])[::-1], 0.0)
