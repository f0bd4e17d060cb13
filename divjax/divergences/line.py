"""Divergences on the line: coupled points, or distribution functions at shared nodes, in, scalar out.

The coupling is the monotone one, which is optimal for every order.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.measured import measured_on
from divjax.measures import Cdfs, Coupling


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
    order = checks.parameter(order, "order", 1.0)
    coupling, order = checks.operands(coupling, order)
    distance = jnp.abs(coupling.x - coupling.y)
    still = distance == 0.0  # of a NaN that is false: it stays
    cost = jnp.where(still, 0.0, jnp.where(still, 1.0, distance) ** order)
    # A node of weight 0 may sit where a heavy tail has taken the distance to infinity.
    weight = jnp.exp(coupling.log_w)
    none = weight == 0.0
    return jnp.sum(jnp.where(none, 0.0, weight * jnp.where(none, 0.0, cost)))


@measured_on(Cdfs)
def cramer(cdfs: Cdfs) -> Float[Array, ""]:
    """Cramér distance ∫ (P − Q)² dx ≥ 0, in the units of x (Cramér 1928). Its root is a metric.

    E.g. ``cramer(cdfs(p, q))``. Finite wherever both means are, whatever the supports.
    """
    (cdfs,) = checks.operands(cdfs)
    root = jnp.where(cdfs.log_w == -jnp.inf, 0.0, jnp.exp(0.5 * cdfs.log_w) * (cdfs.cdf_p - cdfs.cdf_q))
    return jnp.sum(root * root)


@measured_on(Cdfs)
def energy(cdfs: Cdfs) -> Float[Array, ""]:
    """Energy distance 2E|X−Y| − E|X−X'| − E|Y−Y'| = 2 ∫ (P − Q)² dx on the line (Székely, Rizzo 2013).

    Twice ``cramer``; the same nodes.
    """
    return 2.0 * cramer(cdfs)
