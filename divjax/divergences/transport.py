"""Optimal transport on the line, where the monotone coupling is optimal: coupled points in, scalar out."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import numerics as nu
from divjax import operands as op
from divjax.divergences.measured import measured_on
from divjax.measures import Coupling


@measured_on(Coupling, kinked=True)
def wasserstein(coupling: Coupling, *, order: ArrayLike = 1.0) -> Float[Array, ""]:
    """Wasserstein distance (∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du)^(1/k) of order k ≥ 1, in the units of x (Villani 2003).

    E.g. ``wasserstein(coupling(p, q), order=2)``. A metric, finite where both have k moments, whatever the supports.
    Its gradient at x = y is taken as 0. To minimise it, ``transport_cost`` is smoother.
    """
    return nu.safe_root(transport_cost(coupling, order=order), order)


@measured_on(Coupling, kinked=True)
def transport_cost(coupling: Coupling, *, order: ArrayLike = 1.0) -> Float[Array, ""]:
    """The k-th power of ``wasserstein``: ∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du.

    For k = 2 a quadratic form in the location and the scale of q: one Newton step minimises it.
    """
    order = op.parameter(order, "order", 1.0)
    coupling, order = op.operands(coupling, order)
    distance = jnp.abs(coupling.x - coupling.y)
    still = distance == 0.0  # of a NaN that is false: it stays
    cost = jnp.where(still, 0.0, jnp.where(still, 1.0, distance) ** order)
    # A node of weight 0 may sit where a heavy tail has taken the distance to infinity.
    weight = jnp.exp(coupling.log_w)
    none = weight == 0.0
    return jnp.sum(jnp.where(none, 0.0, weight * jnp.where(none, 0.0, cost)))
