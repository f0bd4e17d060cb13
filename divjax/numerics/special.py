"""Special functions of densities, free of overflow and cancellation."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array

from divjax import numerics as nu
from divjax.numerics.series import STIRLING

LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
_ROOT_PI = math.sqrt(math.pi)


def stirling_rest(x: Array) -> Array:
    """log Γ(x) − (x − ½) log x + x − ½ log 2π for x > 0, about 1/(12x): what Stirling's formula leaves."""
    large = x >= 8.0
    inverse, small = 1.0 / jnp.where(large, x, 8.0), jnp.where(large, 1.0, x)
    series = inverse * nu.polynomial(inverse * inverse, STIRLING)
    # log Γ(x + 1) is about 0 where x is, so that log x is counted once.
    log_small = jnp.log(small)
    direct = jax.lax.lgamma(small + 1.0) - (small + 0.5) * log_small + small - LOG_ROOT_2PI
    return jnp.where(large, series, direct)


def exp_excess(y: Array) -> Array:
    """e^y − 1 − y ≥ 0, held where it is so large that e^(−it) is 0 long since."""
    return nu.expm1_minus(jnp.minimum(y, _log_far(y.dtype)))


def log1m_exp(y: Array) -> Array:
    """log(1 − e^y) for y < 0, to its own relative precision where e^y is small, and where it is close to 1."""
    near = y > -math.log(2.0)
    close, far = jnp.where(near, y, -1.0), jnp.where(near, -1.0, y)
    return jnp.where(near, jnp.log(-jnp.expm1(close)), jnp.log1p(-jnp.exp(far)))


def held_exp(y: Array) -> Array:
    """e^y, held where e^(−e^y) is 0 long since, so far from an overflow that derivatives are finite too."""
    return jnp.exp(jnp.minimum(y, _log_far(y.dtype)))


def _log_far(dtype: jnp.dtype) -> float:
    return 0.5 * math.log(jnp.finfo(dtype).max)


def logs(u: Array, v: Array) -> tuple[Array, Array]:
    """(log u, log v) for u + v = 1, both from the smaller of the two."""
    lower = u < v
    log_u = jnp.where(lower, jnp.log(u), jnp.log1p(-jnp.minimum(v, 0.5)))
    return log_u, jnp.where(lower, jnp.log1p(-jnp.minimum(u, 0.5)), jnp.log(v))


def erfcx(x: Array) -> Array:
    """e^(x²) erfc(x) for x ≥ −5: from 6 or 8 on by its asymptotic series, (1 − 1/(2x²) + 3/(2x²)² − ...)/(x √π)."""
    border, terms = (6.0, 9) if jnp.finfo(x.dtype).bits <= 32 else (8.0, 19)
    large = x > border
    inverse, small = 1.0 / jnp.where(large, x, border), jnp.where(large, 0.0, x)
    coefficients = [math.prod(range(1, 2 * k, 2)) * (-0.5) ** k / _ROOT_PI for k in range(terms)]
    series = inverse * nu.polynomial(inverse * inverse, coefficients)
    return jnp.where(large, series, jnp.exp(small * small) * jax.lax.erfc(small))


def normal_quantile(u: Array, v: Array) -> Array:
    """The quantile of a standard normal variable, from the smaller of u and v = 1 − u."""
    lower = u < v
    z = ndtri(jnp.where(lower, u, v))
    return jnp.where(lower, z, -z)
