"""Divergences of distribution functions on the line: arrays of P and Q at shared nodes in, scalar out."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import operands as op


def cramer(cdf_p: Float[Array, " n"], cdf_q: Float[Array, " n"], log_w: ArrayLike = 0.0) -> Float[Array, ""]:
    """Cramér distance ∫ (P − Q)² dx ≥ 0, in the units of x (Cramér 1928). Its root is a metric.

    cdf_p, cdf_q, log_w: ``Cdfs``, e.g. ``cramer(*cdfs(p, q))``. Finite wherever both means are, whatever the supports.
    """
    cdf_p, cdf_q, log_w = op.operands(cdf_p, cdf_q, log_w, names=("cdf_p", "cdf_q"))
    root = jnp.where(log_w == -jnp.inf, 0.0, jnp.exp(0.5 * log_w) * (cdf_p - cdf_q))
    return jnp.sum(root * root)


def energy(cdf_p: Float[Array, " n"], cdf_q: Float[Array, " n"], log_w: ArrayLike = 0.0) -> Float[Array, ""]:
    """Energy distance 2E|X−Y| − E|X−X'| − E|Y−Y'| = 2 ∫ (P − Q)² dx on the line (Székely, Rizzo 2013).

    Twice ``cramer``; the same nodes.
    """
    return 2.0 * cramer(cdf_p, cdf_q, log_w)
