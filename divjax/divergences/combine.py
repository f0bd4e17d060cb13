"""Combinators: from divergences to divergences, for any leaf with the signature div(log_p, log_q, log_w, **params)."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax import numerics as nu
from divjax import operands as op

Divergence = Callable[..., Array]


def _share(weight, part):
    """weight · part; an infinite part is a constant, and 0 where it has no weight."""
    infinite = jnp.isinf(part)
    constant = jnp.where(jnp.asarray(weight) == 0.0, 0.0, part)
    return jnp.where(infinite, constant, weight * jnp.where(infinite, 0.0, part))


def reverse(divergence: Divergence) -> Divergence:
    """D(q, p): the arguments exchanged."""

    def reversed_divergence(log_p: Array, log_q: Array, log_w: ArrayLike = 0.0, **params: ArrayLike) -> Array:
        return divergence(log_q, log_p, log_w, **params)

    return reversed_divergence


def symmetrize(divergence: Divergence) -> Divergence:
    """D(p, q) + D(q, p), e.g. Jeffreys from kl."""

    def symmetric(log_p: Array, log_q: Array, log_w: ArrayLike = 0.0, **params: ArrayLike) -> Array:
        return divergence(log_p, log_q, log_w, **params) + divergence(log_q, log_p, log_w, **params)

    return symmetric


def skew(divergence: Divergence, *, weight: ArrayLike) -> Divergence:
    """D(p, w p + (1−w) q): finite where D is not, since the second argument covers the first (Lee 1999)."""
    op.parameter(weight, "weight", 0.0, 1.0)

    def skewed(log_p: Array, log_q: Array, log_w: ArrayLike = 0.0, **params: ArrayLike) -> Array:
        log_p, log_q, log_w = op.operands(log_p, log_q, log_w)
        return divergence(log_p, nu.log_mixture(log_p, log_q, weight), log_w, **params)

    return skewed


def jensen(divergence: Divergence, *, weight: ArrayLike = 0.5) -> Divergence:
    """w D(p, m) + (1−w) D(q, m) with m = w p + (1−w) q, e.g. Jensen-Shannon from kl."""
    op.parameter(weight, "weight", 0.0, 1.0)

    def jensen_divergence(log_p: Array, log_q: Array, log_w: ArrayLike = 0.0, **params: ArrayLike) -> Array:
        log_p, log_q, log_w = op.operands(log_p, log_q, log_w)
        log_m = nu.log_mixture(log_p, log_q, weight)
        p_part, q_part = divergence(log_p, log_m, log_w, **params), divergence(log_q, log_m, log_w, **params)
        return _share(weight, p_part) + _share(1.0 - weight, q_part)

    return jensen_divergence
