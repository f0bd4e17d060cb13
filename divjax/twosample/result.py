"""What a test returns, and the p-value that every one of them has."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.sorting import sort


class TestResult(NamedTuple):
    """The statistic, its p-value, and what the statistic was under each of the ``num_draws`` random relabellings."""

    # Not itself a test to be collected.
    __test__ = False

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]
    null: Float[Array, " num_draws"]


def against_null(values: Float[Array, " num+1"], scale: Array | float = 0.0) -> TestResult:
    """The first value against the others: p = (1 + #{null ≥ statistic}) / (1 + num).

    Where the first is exchangeable with the others P(p ≤ a) ≤ a, exactly (Phipson, Smyth 2010). Values within a
    rounding of each other are equal, and count; scale: the size of the terms that the values are sums of. A NaN
    statistic has p-value NaN.
    """
    statistic, null = values[0], values[1:]
    eps = jnp.finfo(values.dtype).eps
    rounding = 64.0 * eps * (jnp.mean(jnp.abs(null)) + eps * jnp.abs(scale))
    p_value = (1.0 + jnp.sum(null >= statistic - rounding, dtype=values.dtype)) / values.shape[0]
    return TestResult(statistic, jnp.where(jnp.isnan(statistic), jnp.nan, p_value), null)


def subsets(key: Array, size: int, of: int, num: int, dtype: jnp.dtype) -> Float[Array, "of num"]:
    """``num`` columns of 0 and 1, each with ``size`` ones at places drawn uniformly without replacement."""
    # Positive floats are ordered as their bits are; these are normal numbers below 2.
    bits = (jax.random.bits(key, (num, of), jnp.uint32) >> 3) + jnp.uint32(1 << 29)
    ordered = jax.vmap(sort)(jax.lax.bitcast_convert_type(bits, jnp.float32))
    last = jax.lax.bitcast_convert_type(ordered[:, size - 1 : size], jnp.uint32)
    below, equal = bits < last, bits == last
    # Of equal numbers at the edge, a chance of about of / 2²⁹, no more than are wanted.
    wanted = size - jnp.sum(below, axis=1, keepdims=True)
    return (below | (equal & (jnp.cumsum(equal, axis=1) <= wanted))).astype(dtype).T


def relabellings(key: Array, n: int, m: int, num_draws: int, dtype: jnp.dtype) -> Float[Array, "n+m num_draws+1"]:
    """The labels of n + m pooled points, 1 for the first sample: as they are, then ``num_draws`` times at random."""
    if num_draws < 1:
        raise ValueError(f"Expected num_draws >= 1; got {num_draws}.")
    observed = (jnp.arange(n + m) < n).astype(dtype)[:, None]
    return jnp.concatenate([observed, subsets(key, n, n + m, num_draws, dtype)], axis=1)
