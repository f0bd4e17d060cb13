"""Optimal transport on the line, where the monotone coupling is optimal: coupled points in, scalar out."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import numerics as nu
from divjax import operands as op


def wasserstein(
    x: Float[Array, " n"], y: Float[Array, " n"], log_w: ArrayLike = 0.0, *, order: ArrayLike = 1.0
) -> Float[Array, ""]:
    """Wasserstein distance (∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du)^(1/k) of order k ≥ 1, in the units of x (Villani 2003).

    x, y, log_w: a ``Coupling``, e.g. ``wasserstein(*coupling(p, q), order=2)``. A metric, finite where both have k
    moments, whatever the supports. Its gradient at x = y is taken as 0. To minimise it, ``transport_cost`` is smoother.
    """
    return nu.safe_root(transport_cost(x, y, log_w, order=order), order)


def transport_cost(
    x: Float[Array, " n"], y: Float[Array, " n"], log_w: ArrayLike = 0.0, *, order: ArrayLike = 1.0
) -> Float[Array, ""]:
    """The k-th power of ``wasserstein``: ∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du.

    For k = 2 a quadratic form in the location and the scale of q: one Newton step minimises it.
    """
    order = op.parameter(order, "order", 1.0)
    x, y, log_w, order = op.operands(x, y, log_w, order, names=("x", "y"))
    distance = jnp.abs(x - y)
    still = distance == 0.0  # of a NaN that is false: it stays
    cost = jnp.where(still, 0.0, jnp.where(still, 1.0, distance) ** order)
    # A node of weight 0 may sit where a heavy tail has taken the distance to infinity.
    weight = jnp.exp(log_w)
    none = weight == 0.0
    return jnp.sum(jnp.where(none, 0.0, weight * jnp.where(none, 0.0, cost)))
