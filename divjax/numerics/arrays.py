"""Products, sums and orders of whole arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax.numerics.guards import finite, safe_ratio


def matmul(*factors: Array) -> Array:
    """a @ b @ ..., from the left, in full precision: by default a GPU rounds float32 to 11 bits in it, a TPU to 8."""
    return functools.reduce(functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST), factors)


def logsumexp(x: Array) -> Float[Array, ""]:
    """log Σ e^x over all entries: −inf for nothing but −inf, +inf for a +inf, with zero gradient at both."""
    most = jax.lax.stop_gradient(jnp.max(x))  # NaN if any is
    infinite, top = most == jnp.inf, finite(most)
    total = jnp.sum(jnp.exp(jnp.where(infinite, 0.0, x) - top))
    empty = total == 0.0
    finite_sum = jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1.0, total)) + top)
    return jnp.where(infinite, jnp.inf, finite_sum)


def softmax(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """e^x / Σ e^x, 0 everywhere for nothing but −inf: it sums to one to rounding also where x is large.

    e^(x − log Σ e^x) does not: the logarithm is rounded by as much as x is.
    """
    top = finite(jax.lax.stop_gradient(jnp.max(x)))
    power = jnp.exp(x - top)
    return safe_ratio(power, jnp.sum(power))


def sort_few(x: Array) -> Array:
    """``jnp.sort`` of a few dozen finite numbers [n], under vmap in n² elementwise steps, which a CPU vectorises.

    XLA's own sort takes 40 ns an entry there; the steps take half a second to compile. What is not finite may not be
    put in order. Not differentiable.
    """
    return _sort_few(jax.lax.stop_gradient(x)) if x.size <= 64 else jnp.sort(x)


@jax.custom_batching.custom_vmap
def _sort_few(x):
    return jnp.sort(x)


@_sort_few.def_vmap
def _sort_few_vmap(size, batched, x):
    return jax.vmap(_by_rank)(x), batched[0]


def _by_rank(x):
    place = np.arange(x.size)
    before = (x < x[:, None]) | ((x == x[:, None]) & (place < place[:, None]))
    rank = jnp.sum(before, axis=1, dtype=jnp.int32)
    return jnp.sum(jnp.where(rank == place[:, None], x, 0.0), axis=1)
