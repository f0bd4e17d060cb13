"""log x! and the log-densities made of it without cancellation, after Loader (2000), "Fast and accurate computation
of binomial probabilities".

A probability mass that is written with log x! of large numbers cancels: log 10⁶! is 10⁷, and float32 keeps seven
digits of it. With log x! = x log x − x + c(x) all that is large is in deviances, which are ≥ 0 and add up.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax.numerics import expm1_minus, polynomial
from divjax.numerics.series import STIRLING


def factorial_excess(x: Array) -> Array:
    """c(x) = log Γ(x + 1) − x log x + x for x ≥ 0: 0 at 0, and ½ log(2πx) + 1/(12x) − … for large x."""
    large, zero = x >= 16.0, x == 0.0
    far, near = jnp.where(large, x, 16.0), jnp.where(large | zero, 1.0, x)
    inverse = 1.0 / far
    series = 0.5 * jnp.log(2.0 * jnp.pi * far) + inverse * polynomial(inverse * inverse, STIRLING[:6])
    direct = jax.lax.lgamma(near + 1.0) - near * jnp.log(near) + near
    return jnp.where(large, series, jnp.where(zero, 0.0, direct))


def deviance(x: Array, mean: Array, log_ratio: Array) -> Array:
    """x log(x/mean) + mean − x ≥ 0, given log(mean/x), of which any finite value will do where x is 0."""
    some, far = x > 0.0, log_ratio > 1.0
    near = x * expm1_minus(jnp.where(some & ~far, log_ratio, 0.0))
    # Far above x nothing cancels, and the exponential may overflow where the mean does not.
    return jnp.where(some, jnp.where(far, mean - x - x * log_ratio, near), mean)
