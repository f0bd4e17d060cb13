"""Families as the first argument of a cross-family ``kl``; importing this module registers them."""

import math

import distrax
import jax
import jax.numpy as jnp
from tensorflow_probability.substrates import jax as tfp

from divjax.exact import _numerics as num
from divjax.exact.cross import Moments, register_moments
from divjax.exact.members import rate_of

tfd = tfp.distributions
_EULER = 0.5772156649015329
_digamma, _lgamma = jax.scipy.special.digamma, jax.scipy.special.gammaln


@register_moments(distrax.Normal, tfd.Normal)
def _normal(p):
    loc, scale = jnp.asarray(p.loc), jnp.asarray(p.scale)

    def distance(m):
        z = (loc - m) / scale
        return scale * math.sqrt(2 / math.pi) * jnp.exp(-0.5 * z * z) + (loc - m) * jax.lax.erf(z / math.sqrt(2))

    entropy = 0.5 + 0.5 * math.log(2 * math.pi) + jnp.log(scale)
    exp = lambda t: jnp.exp(t * loc + 0.5 * (t * scale) ** 2)  # noqa: E731
    return Moments(-math.inf, math.inf, entropy, loc, scale**2, exp=exp, distance=distance)


@register_moments(distrax.Laplace, tfd.Laplace)
def _laplace(p):
    loc, scale = jnp.asarray(p.loc), jnp.asarray(p.scale)

    def exp(t):
        ok = jnp.abs(t * scale) < 1.0
        safe = jnp.where(ok, t * scale, 0.0)
        return jnp.where(ok, jnp.exp(t * loc) / (1.0 - safe**2), jnp.inf)

    def distance(m):
        return jnp.abs(loc - m) + scale * jnp.exp(-jnp.abs(loc - m) / scale)

    entropy = 1.0 + jnp.log(2.0 * scale)
    return Moments(-math.inf, math.inf, entropy, loc, 2.0 * scale**2, exp=exp, distance=distance)


@register_moments(distrax.Gumbel, tfd.Gumbel)
def _gumbel(p):
    loc, scale = jnp.asarray(p.loc), jnp.asarray(p.scale)
    exp = lambda t: jnp.exp(t * loc + _lgamma(1.0 - t * scale))  # noqa: E731
    entropy = jnp.log(scale) + _EULER + 1.0
    mean, variance = loc + _EULER * scale, (math.pi * scale) ** 2 / 6.0
    return Moments(-math.inf, math.inf, entropy, mean, variance, exp=exp)


@register_moments(distrax.Logistic, tfd.Logistic)
def _logistic(p):
    loc, scale = jnp.asarray(p.loc), jnp.asarray(p.scale)

    def exp(t):
        ok = jnp.abs(t * scale) < 1.0
        safe = jnp.where(ok, t * scale, 0.5)
        return jnp.where(ok, jnp.exp(t * loc) / jnp.sinc(safe), jnp.inf)

    def distance(m):
        z = jnp.abs(loc - m) / scale
        return scale * (z + 2.0 * jnp.log1p(jnp.exp(-z)))

    return Moments(
        -math.inf,
        math.inf,
        jnp.log(scale) + 2.0,
        loc,
        (math.pi * scale) ** 2 / 3.0,
        exp=exp,
        distance=distance,
    )


@register_moments(distrax.Uniform, tfd.Uniform)
def _uniform(p):
    low, high = jnp.asarray(p.low), jnp.asarray(p.high)
    width = high - low

    def mean_log(a, b):  # of a uniform variable on [a, b], a ≥ 0
        ok = b > 0.0
        top = jnp.where(ok, b, 1.0)
        bottom = jnp.where(a > 0.0, a, top)
        rest = jnp.where(a > 0.0, num.log1p_over((top - bottom) / bottom), 0.0)
        return jnp.log(top) - 1.0 + rest

    def exp(t):
        # e^(t low) (1 − e^(−y))/y with y = −t width
        return jnp.exp(t * low) * num.one_minus_exp_over(-t * width)

    def power(s):
        a, b = jnp.maximum(low, 0.0), jnp.maximum(high, 0.0)
        return (_pow(b, s + 1.0) - _pow(a, s + 1.0)) / ((s + 1.0) * width)

    def distance(m):
        left, right = jnp.clip(m, low, high) - low, high - jnp.clip(m, low, high)
        outside = jnp.abs(m - jnp.clip(m, low, high))
        return (left**2 + right**2) / (2.0 * width) + outside

    return Moments(
        low,
        high,
        jnp.log(width),
        mean=0.5 * (low + high),
        variance=width**2 / 12.0,
        log=mean_log(low, high),
        log1m=mean_log(1.0 - high, 1.0 - low),
        exp=exp,
        power=power,
        distance=distance,
    )


def _pow(x, s):
    some = x > 0.0
    return jnp.where(some, jnp.exp(s * jnp.log(jnp.where(some, x, 1.0))), 0.0)


@register_moments(distrax.Gamma, tfd.Gamma)
def _gamma(p):
    return _gamma_moments(p.concentration, rate_of(p))


@register_moments(tfd.Exponential)
def _exponential(p):
    rate = jnp.asarray(rate_of(p))
    return _gamma_moments(jnp.ones_like(rate), rate)


@register_moments(tfd.Chi2)
def _chi2(p):
    return _gamma_moments(0.5 * jnp.asarray(p.df), 0.5)


def _gamma_moments(a, b):
    a, b = jnp.asarray(a), jnp.asarray(b)

    def distance(m):
        positive = jnp.maximum(m, 0.0)
        below, below_next = (jax.scipy.special.gammainc(c, b * positive) for c in (a, a + 1.0))
        return m * (2.0 * below - 1.0) + a / b * (1.0 - 2.0 * below_next)

    trigamma = (num.trigamma_excess(a) / a + 1.0) / a
    return Moments(
        0.0,
        math.inf,
        a - jnp.log(b) + _lgamma(a) + (1.0 - a) * _digamma(a),
        mean=a / b,
        variance=a / b**2,
        log=_digamma(a) - jnp.log(b),
        log_variance=trigamma,
        exp=lambda t: jnp.exp(-a * jnp.log1p(-t / b)),
        power=lambda s: jnp.exp(_lgamma(a + s) - _lgamma(a) - s * jnp.log(b)),
        distance=distance,
    )


@register_moments(distrax.Beta, tfd.Beta)
def _beta(p):
    a, b = (p.alpha, p.beta) if isinstance(p, distrax.Beta) else (p.concentration1, p.concentration0)
    a, b = jnp.asarray(a), jnp.asarray(b)
    total = a + b
    log, log1m = _digamma(a) - _digamma(total), _digamma(b) - _digamma(total)
    entropy = _lgamma(a) + _lgamma(b) - _lgamma(total) - (a - 1.0) * log - (b - 1.0) * log1m
    trigamma = lambda x: (num.trigamma_excess(x) / x + 1.0) / x  # noqa: E731
    return Moments(
        0.0,
        1.0,
        entropy,
        mean=a / total,
        variance=a * b / (total**2 * (total + 1.0)),
        log=log,
        log_variance=trigamma(a) - trigamma(total),
        log1m=log1m,
        power=lambda s: jnp.exp(_lgamma(a + s) - _lgamma(a) + _lgamma(total) - _lgamma(total + s)),
    )


@register_moments(tfd.Pareto)
def _pareto(p):
    a, scale = jnp.asarray(p.concentration), jnp.asarray(p.scale)

    def power(s):
        ok = a > s
        return jnp.where(ok, a * jnp.exp(s * jnp.log(scale)) / jnp.where(ok, a - s, 1.0), jnp.inf)

    heavy = a <= 2.0
    safe = jnp.where(heavy, 3.0, a)
    variance = scale**2 * safe / ((safe - 1.0) ** 2 * (safe - 2.0))
    return Moments(
        scale,
        math.inf,
        jnp.log(scale / a) + 1.0 + 1.0 / a,
        mean=power(jnp.ones_like(a)),
        variance=jnp.where(heavy, jnp.inf, variance),
        log=jnp.log(scale) + 1.0 / a,
        log_variance=1.0 / a**2,
        power=power,
    )


@register_moments(tfd.LogNormal)
def _log_normal(p):
    loc, scale = jnp.asarray(p.loc), jnp.asarray(p.scale)
    power = lambda s: jnp.exp(s * loc + 0.5 * (s * scale) ** 2)  # noqa: E731
    entropy = loc + 0.5 + 0.5 * math.log(2 * math.pi) + jnp.log(scale)
    mean = power(jnp.ones_like(loc))
    variance = mean**2 * jnp.expm1(scale**2)
    return Moments(0.0, math.inf, entropy, mean, variance, log=loc, log_variance=scale**2, power=power)


@register_moments(tfd.Weibull)
def _weibull(p):
    k, scale = jnp.asarray(p.concentration), jnp.asarray(p.scale)
    power = lambda s: jnp.exp(s * jnp.log(scale) + _lgamma(1.0 + s / k))  # noqa: E731
    mean = power(jnp.ones_like(k))
    return Moments(
        0.0,
        math.inf,
        _EULER * (1.0 - 1.0 / k) + jnp.log(scale / k) + 1.0,
        mean=mean,
        variance=power(jnp.full_like(k, 2.0)) - mean**2,
        log=jnp.log(scale) - _EULER / k,
        log_variance=math.pi**2 / (6.0 * k**2),
        power=power,
    )


@register_moments(tfd.HalfNormal)
def _half_normal(p):
    scale = jnp.asarray(p.scale)
    return Moments(
        0.0,
        math.inf,
        0.5 * math.log(math.pi / 2) + 0.5 + jnp.log(scale),
        mean=scale * math.sqrt(2 / math.pi),
        variance=scale**2 * (1 - 2 / math.pi),
        log=jnp.log(scale) - 0.5 * (_EULER + math.log(2.0)),
        log_variance=jnp.full_like(scale, math.pi**2 / 8.0),
        power=lambda s: jnp.exp(
            s * jnp.log(scale * math.sqrt(2.0)) + _lgamma(0.5 * (s + 1.0)) - 0.5 * math.log(math.pi)
        ),
    )
