"""Divergences of distribution functions on the line: P and Q at shared nodes in, scalar out."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import operands as op
from divjax.divergences.measured import measured_on
from divjax.measures import Cdfs


@measured_on(Cdfs)
def cramer(cdfs: Cdfs) -> Float[Array, ""]:
    """Cramér distance ∫ (P − Q)² dx ≥ 0, in the units of x (Cramér 1928). Its root is a metric.

    E.g. ``cramer(cdfs(p, q))``. Finite wherever both means are, whatever the supports.
    """
    (cdfs,) = op.operands(cdfs)
    root = jnp.where(cdfs.log_w == -jnp.inf, 0.0, jnp.exp(0.5 * cdfs.log_w) * (cdfs.cdf_p - cdfs.cdf_q))
    return jnp.sum(root * root)


@measured_on(Cdfs)
def energy(cdfs: Cdfs) -> Float[Array, ""]:
    """Energy distance 2E|X−Y| − E|X−X'| − E|Y−Y'| = 2 ∫ (P − Q)² dx on the line (Székely, Rizzo 2013).

    Twice ``cramer``; the same nodes.
    """
    return 2.0 * cramer(cdfs)
