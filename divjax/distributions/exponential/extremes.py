"""Location-scale families that are exponential only when part of their parameters agree: Laplace, Gumbel,
Cauchy.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import numerics as nu
from divjax.distributions.exponential.families import Located, log_gap
from divjax.distributions.exponential.family import Family, guarded, same_support
from divjax.numerics import segments

_X, _W = np.polynomial.legendre.leggauss(20)
_EULER = float(np.euler_gamma)


def _slope_of_mean_exponential(x: Array, y: Array) -> Array:
    """(e(x) − e(y))/(y − x) for e(x) = (1 − e^(−x))/x: the mean of ∫₀¹ u e^(−xu) du between x and y."""
    gap = jnp.abs(x - y)
    near = gap < jnp.maximum(4.0, 0.5 * jnp.maximum(x, y))
    x_near, y_near = jnp.where(near, x, 0.0), jnp.where(near, y, 0.0)
    nodes = jnp.asarray(0.5 + 0.5 * _X, x.dtype)
    point = x_near + nodes * (y_near - x_near)
    moments = segments.moment_of_exponential(-point) * jnp.exp(jnp.maximum(-point, 0.0))
    mean = nu.matmul(jnp.asarray(0.5 * _W, x.dtype), moments)
    difference = nu.one_minus_exp_over(x) - nu.one_minus_exp_over(y)
    return jnp.where(near, mean, difference / jnp.where(near, 1.0, y - x))


def _laplace_location_gap(alpha: Array, p: Located, q: Located) -> Array:
    """−log F/(a(1−a)), F = (x e^(−y) − y e^(−x))/(x − y), x = a d/b_p, y = (1−a) d/b_q: what d = abs(Δμ)
    adds.

    1 − F = x y D, D the difference quotient above, while F is not small; else log F = log1p(m e(M − m)) − m.
    """
    d = jnp.abs(p.loc - q.loc)
    x, y = alpha * d / p.scale, (1.0 - alpha) * d / q.scale
    product = alpha * (1.0 - alpha)
    low, high = jnp.minimum(x, y), jnp.maximum(x, y)
    bounded = (high < 30.0) & (low > -30.0)
    x_safe, y_safe = jnp.where(bounded, x, 0.0), jnp.where(bounded, y, 0.0)
    ratio = (d / p.scale) * (d / q.scale) * _slope_of_mean_exponential(x_safe, y_safe)
    near = bounded & (product * ratio < 0.7)
    ratio = jnp.where(near, ratio, 0.0)
    series = ratio * nu.log1p_over(-product * ratio)
    low, width = jnp.where(near, 0.0, low), jnp.where(near, 0.0, high - low)
    far = low - jnp.log1p(low * nu.one_minus_exp_over(width))
    return jnp.where(near, series, far / jnp.where(near, 1.0, product))


def _laplace_gap(alpha: Array, p: Located, q: Located) -> Array:
    def inside(alpha, p, q):
        return alpha / p.scale + (1.0 - alpha) / q.scale > 0.0

    scale = log_gap(1.0 - alpha, nu.log_quotient(p.scale, q.scale))
    return scale + guarded(_laplace_location_gap, inside)(alpha, p, q)


def _laplace_kl(p: Located, q: Located) -> Array:
    ratio = p.scale / q.scale
    distance = jnp.abs(p.loc - q.loc) / p.scale
    return nu.expm1_minus(nu.log_quotient(p.scale, q.scale)) + ratio * nu.expm1_minus(-distance)


LAPLACE = same_support(_laplace_gap, _laplace_kl)


def _extreme_kl(excess: Array, log_scale: Array, shift: Array) -> Array:
    """Gumbel: s = β_p/β_q given as s − 1 and log s, shift = (μ_p − μ_q)/β_q.

    −log s + γ(s−1) + shift + e^(−shift) Γ(1+s) − 1 = B + (e^y − 1 − y), where
    B = log Γ(s) + γ(s−1) = (s−1)² ∫₀¹ u ψ'((1−u) s + u) du ≥ 0 and y = log Γ(1+s) − shift.
    """
    s = 1.0 + excess
    trigamma = segments.moment(lambda x: (nu.trigamma_excess(x) / x + 1.0) / x, s, jnp.ones_like(s))
    bregman = excess * excess * trigamma
    y = log_scale - _EULER * excess + bregman - shift
    return bregman + nu.expm1_minus(y)


def _gumbel_kl(p: Located, q: Located) -> Array:
    excess = (p.scale - q.scale) / q.scale
    return _extreme_kl(excess, nu.log_quotient(p.scale, q.scale), (p.loc - q.loc) / q.scale)


def _weibull_kl(p: Located, q: Located) -> Array:
    """−log X is Gumbel(−log scale, 1/k); Located is (scale, k)."""
    excess = (q.scale - p.scale) / p.scale
    return _extreme_kl(excess, nu.log_quotient(q.scale, p.scale), q.scale * nu.log_quotient(q.loc, p.loc))


GUMBEL = same_support(lambda alpha, p, q: log_gap(1.0 - alpha, (q.loc - p.loc) / p.scale), _gumbel_kl)
"""exp(−X/scale) is exponential, so that one scale makes an exponential family."""

WEIBULL = same_support(lambda alpha, p, q: log_gap(1.0 - alpha, p.scale * nu.log_quotient(p.loc, q.loc)), _weibull_kl)
"""X^k is exponential: one shape k makes an exponential family."""


def _cauchy_kl(p: Located, q: Located) -> Array:
    """log(((γ_p + γ_q)² + Δ²)/(4 γ_p γ_q)), symmetric (Chyzak, Nielsen 2019)."""
    distance = ((p.scale - q.scale) ** 2 + (p.loc - q.loc) ** 2) / (4.0 * p.scale * q.scale)
    return jnp.log1p(distance)


CAUCHY = Family(None, _cauchy_kl)
