"""Families as the second argument of a cross-family ``kl``; importing this module registers them."""

import math

import distrax
import jax
import jax.numpy as jnp
from tensorflow_probability.substrates import jax as tfp

from divjax.exact.cross import Target, register_target
from divjax.exact.members import rate_of

tfd = tfp.distributions
_lgamma = jax.scipy.special.gammaln
_LINE = (-math.inf, math.inf)
_HALF_LINE = (0.0, math.inf)


@register_target(distrax.Normal, tfd.Normal)
def _normal(q):
    loc, scale = jnp.asarray(q.loc), jnp.asarray(q.scale)

    def value(m):
        square = ((m.mean - loc) / scale) ** 2 + m.variance / scale**2
        return -0.5 * math.log(2 * math.pi) - jnp.log(scale) - 0.5 * square

    return Target(*_LINE, ("mean", "variance"), value)


@register_target(distrax.Laplace, tfd.Laplace)
def _laplace(q):
    loc, scale = jnp.asarray(q.loc), jnp.asarray(q.scale)
    return Target(*_LINE, ("distance",), lambda m: -jnp.log(2.0 * scale) - m.distance(loc) / scale)


@register_target(distrax.Gumbel, tfd.Gumbel)
def _gumbel(q):
    loc, scale = jnp.asarray(q.loc), jnp.asarray(q.scale)

    def value(m):
        return -jnp.log(scale) - (m.mean - loc) / scale - jnp.exp(loc / scale) * m.exp(-1.0 / scale)

    return Target(*_LINE, ("mean", "exp"), value)


@register_target(distrax.Uniform, tfd.Uniform)
def _uniform(q):
    low, high = jnp.asarray(q.low), jnp.asarray(q.high)
    return Target(low, high, (), lambda m: -jnp.log(high - low))


def _gamma_target(a, b):
    a, b = jnp.asarray(a), jnp.asarray(b)

    def value(m):
        return a * jnp.log(b) - _lgamma(a) + (a - 1.0) * m.log - b * m.mean

    return Target(*_HALF_LINE, ("log", "mean"), value)


@register_target(distrax.Gamma, tfd.Gamma)
def _gamma(q):
    return _gamma_target(q.concentration, rate_of(q))


@register_target(tfd.Chi2)
def _chi2(q):
    return _gamma_target(0.5 * jnp.asarray(q.df), 0.5)


@register_target(tfd.Exponential)
def _exponential(q):
    rate = jnp.asarray(rate_of(q))
    return Target(*_HALF_LINE, ("mean",), lambda m: jnp.log(rate) - rate * m.mean)


@register_target(distrax.Beta, tfd.Beta)
def _beta(q):
    a, b = (q.alpha, q.beta) if isinstance(q, distrax.Beta) else (q.concentration1, q.concentration0)
    a, b = jnp.asarray(a), jnp.asarray(b)

    def value(m):
        return _lgamma(a + b) - _lgamma(a) - _lgamma(b) + (a - 1.0) * m.log + (b - 1.0) * m.log1m

    return Target(0.0, 1.0, ("log", "log1m"), value)


@register_target(tfd.Pareto)
def _pareto(q):
    a, scale = jnp.asarray(q.concentration), jnp.asarray(q.scale)
    return Target(scale, math.inf, ("log",), lambda m: jnp.log(a) + a * jnp.log(scale) - (a + 1.0) * m.log)


@register_target(tfd.LogNormal)
def _log_normal(q):
    loc, scale = jnp.asarray(q.loc), jnp.asarray(q.scale)

    def value(m):
        square = ((m.log - loc) ** 2 + m.log_variance) / scale**2
        return -0.5 * math.log(2 * math.pi) - jnp.log(scale) - m.log - 0.5 * square

    return Target(*_HALF_LINE, ("log", "log_variance"), value)


@register_target(tfd.Weibull)
def _weibull(q):
    k, scale = jnp.asarray(q.concentration), jnp.asarray(q.scale)

    def value(m):
        power = m.power(k) * jnp.exp(-k * jnp.log(scale))
        return jnp.log(k / scale) + (k - 1.0) * (m.log - jnp.log(scale)) - power

    return Target(*_HALF_LINE, ("log", "power"), value)


@register_target(tfd.HalfNormal)
def _half_normal(q):
    scale = jnp.asarray(q.scale)

    def value(m):
        square = (m.mean**2 + m.variance) / scale**2
        return 0.5 * math.log(2 / math.pi) - jnp.log(scale) - 0.5 * square

    return Target(*_HALF_LINE, ("mean", "variance"), value)
