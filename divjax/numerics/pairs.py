"""Two densities, or two positive numbers, set against each other without cancellation."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax.numerics.series import even_tanh_series, exp_slope


def log_ratio(log_p: Array, log_q: Array) -> Array:
    """log p − log q, which is 0 where p = q = 0 and ±inf where one of the two is 0."""
    both_zero = (log_p == -jnp.inf) & (log_q == -jnp.inf)
    return jnp.where(both_zero, 0.0, log_p) - jnp.where(both_zero, 0.0, log_q)


@jax.custom_jvp
def log_quotient(u: Array, v: Array) -> Array:
    """log(u/v) for u, v > 0, to full relative accuracy also where u ≈ v (u − v is exact there)."""
    near = jnp.abs(u - v) < 0.5 * v
    small = jnp.where(near, (u - v) / jnp.where(near, v, 1.0), 0.0)
    return jnp.where(near, jnp.log1p(small), jnp.log(u) - jnp.log(v))


@log_quotient.defjvp
def _log_quotient_jvp(primals, tangents):
    # by hand, because the derivative of a quotient squares its denominator, which underflows
    (u, v), (du, dv) = primals, tangents
    return log_quotient(u, v), du / u - dv / v


@jax.custom_jvp
def quotient(a: Array, b: Array) -> Array:
    """a / b; its derivative does not square b, which may underflow."""
    return a / b


@quotient.defjvp
def _quotient_jvp(primals, tangents):
    (a, b), (da, db) = primals, tangents
    ratio = quotient(a, b)
    return ratio, da / b - ratio * (db / b)


def difference(log_p: Array, log_q: Array, d: Array) -> Array:
    """p − q from the logarithms and d = log p − log q, to full relative precision where p ≈ q."""
    near = jnp.abs(d) < 0.5
    small = jnp.where(near, d, 0.0)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    return jnp.where(near, q * (small * exp_slope(small)), p - q)


def log_mixture(log_p: Array, log_q: Array, weight: ArrayLike) -> Array:
    """log(w p + (1−w) q), −inf where both are."""
    weight = jnp.asarray(weight, log_p.dtype)
    top = jax.lax.stop_gradient(jnp.maximum(log_p, log_q))
    top = jnp.where(top == -jnp.inf, 0.0, top)
    total = weight * jnp.exp(log_p - top) + (1.0 - weight) * jnp.exp(log_q - top)
    # Where the larger has no weight and the smaller underflows beside it, the mixture is the smaller.
    alone = jnp.where(weight > 0.5, log_p, log_q)
    gone = total <= 0.0
    return jnp.where(gone, alone, top + jnp.log(jnp.where(gone, 1.0, total)))


@jax.custom_jvp
def logs_over_mean(d: Array) -> tuple[Array, Array]:
    """(log p/m, log q/m) for m = (p + q)/2 and d = log p/q, each to full relative precision."""
    distance = jnp.abs(d)
    near = distance < 0.5
    t = jnp.where(near, 0.5 * distance, 0.0)
    by_series = t - even_tanh_series(t, 0.25, lambda k: 1 / (2 * k + 2))
    larger = jnp.where(near, by_series, math.log(2.0) - jnp.log(1.0 + jnp.exp(-distance)))
    return larger + jnp.minimum(d, 0.0), larger - jnp.maximum(d, 0.0)


@logs_over_mean.defjvp
def _logs_over_mean_jvp(primals, tangents):
    (d,), (tangent,) = primals, tangents
    of_p, of_q = _shares(d)
    return logs_over_mean(d), (of_q * tangent, -of_p * tangent)


@jax.custom_jvp
def _shares(d: Array) -> tuple[Array, Array]:
    """(p/(p + q), q/(p + q)) for d = log p/q, of the exponential that ``logs_over_mean`` has."""
    ratio = jnp.exp(-jnp.abs(d))
    larger = 1.0 / (1.0 + ratio)
    smaller = ratio * larger
    return jnp.where(d >= 0.0, larger, smaller), jnp.where(d >= 0.0, smaller, larger)


@_shares.defjvp
def _shares_jvp(primals, tangents):
    (d,), (tangent,) = primals, tangents
    of_p, of_q = _shares(d)
    slope = of_p * of_q * tangent
    return (of_p, of_q), (slope, -slope)
