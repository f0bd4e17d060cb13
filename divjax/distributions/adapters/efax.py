"""efax: natural, expectation and other parametrisations of exponential families, as records."""

from typing import Any

import jax
import jax.numpy as jnp

from divjax.distributions import counts, finite, half_line, interval, lifetimes, real_line, vectors
from divjax.distributions.adapters import look_up
from divjax.distributions.family import Density
from divjax.distributions.protocol import by_protocol
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection, transformed
from divjax.numerics import linalg
from divjax.numerics.special import log1m_exp


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    return look_up(dist, kind, TABLE, served, methods=("log_pdf", "log_normalizer", "carrier_measure"))


def served(dist: Any) -> Density:
    """By its own methods."""
    if not hasattr(dist, "log_pdf"):
        return resolve(dist.to_nat())
    return by_protocol(
        dist,
        log_prob=_log_prob,
        event=_event,
        batch=_batch,
        draw=_draw if hasattr(dist, "sample") else None,
        moments=_no_moments,
        tails=None,
        discrete="Integral" in type(_support(dist).ring).__name__ or "Boolean" in type(_support(dist).ring).__name__,
    )


def _log_prob(dist, x):
    return dist.log_pdf(x)


def _support(dist):
    return dist.domain_support()


def _event(dist):
    return tuple(_support(dist).shape(dist.dimensions() if hasattr(dist, "dimensions") else 1))


def _batch(dist):
    return tuple(dist.shape)


def _draw(dist, key, shape):
    return dist.sample(key, shape)


def _no_moments(dist):
    raise NotImplementedError


def _natural(dist):
    """Location and scale of a Gaussian on the line, or of each coordinate."""
    precision = -2.0 * dist.negative_half_precision
    return dist.mean_times_precision / precision, 1.0 / jnp.sqrt(precision)


def _multivariate_normal(dist):
    precision = -2.0 * dist.negative_half_precision
    loc = linalg.solve(precision, dist.mean_times_precision[..., None])[..., 0]
    return vectors.from_precision(loc, precision)


def _isotropic_normal(dist):
    precision = -2.0 * dist.negative_half_precision[..., None]
    return vectors.multivariate_normal_diag(dist.mean_times_precision / precision, 1.0 / jnp.sqrt(precision))


def _fixed_variance_normal(dist):
    variance = jnp.asarray(dist.variance)[..., None]
    return vectors.multivariate_normal_diag(dist.mean_times_precision * variance, jnp.sqrt(variance))


def _inverse_gaussian(dist):
    half, over = -dist.negative_lambda_over_two, -dist.negative_lambda_over_two_mu_squared
    return lifetimes.INVERSE_GAUSSIAN(jnp.sqrt(half / over), 2.0 * half)


def _weibull(dist):
    return lifetimes.WEIBULL(dist.concentration, jnp.exp(-jnp.log(-dist.eta) / dist.concentration))


# y = log(1 + e^x); its inverse is written so that nothing cancels, however small y is.
_SOFTPLUS = Bijection(
    forward=lambda _, x: jax.nn.softplus(x),
    inverse_and_log_det=lambda _, y: (y + log1m_exp(-y), -log1m_exp(-y)),
)


def _negative_binomial(dist):
    return counts.NEGATIVE_BINOMIAL(dist.failures, failure=jnp.exp(dist.log_not_p))


_NATURAL = {
    "NormalNP": lambda d: real_line.NORMAL(*_natural(d)),
    "UnitVarianceNormalNP": lambda d: real_line.NORMAL(d.mean, 1.0),
    "ExponentialNP": lambda d: half_line.EXPONENTIAL_LAW(-d.negative_rate),
    "GammaNP": lambda d: half_line.GAMMA(d.shape_minus_one + 1.0, -d.negative_rate),
    "ChiSquareNP": lambda d: half_line.GAMMA(d.k_over_two_minus_one + 1.0, 0.5),
    "ChiNP": lambda d: half_line.CHI(2.0 * d.k_over_two_minus_one + 2.0),
    "InverseGammaNP": lambda d: half_line.INVERSE_GAMMA(d.shape_minus_one + 1.0, -d.negative_scale),
    "InverseGaussianNP": _inverse_gaussian,
    "LogNormalNP": lambda d: lifetimes.LOG_NORMAL(*_natural(d)),
    "UnitVarianceLogNormalNP": lambda d: lifetimes.LOG_NORMAL(d.mean, 1.0),
    # Their own log-density is NaN below 0, where they have no mass.
    "SoftplusNormalNP": lambda d: transformed(real_line.NORMAL(*_natural(d)), (), _SOFTPLUS),
    "UnitVarianceSoftplusNormalNP": lambda d: transformed(real_line.NORMAL(d.mean, 1.0), (), _SOFTPLUS),
    "RayleighNP": lambda d: lifetimes.WEIBULL(2.0, 1.0 / jnp.sqrt(-d.eta)),
    "WeibullNP": _weibull,
    "BetaNP": lambda d: interval.BETA(d.alpha_minus_one[..., 0] + 1.0, d.alpha_minus_one[..., 1] + 1.0),
    "BernoulliNP": lambda d: finite.BERNOULLI(logits=d.log_odds),
    "PoissonNP": lambda d: counts.POISSON(log_rate=d.log_mean),
    "GeometricNP": lambda d: counts.GEOMETRIC(failure=jnp.exp(d.log_not_p)),
    "NegativeBinomialNP": _negative_binomial,
    "MultivariateNormalNP": _multivariate_normal,
    "MultivariateDiagonalNormalNP": lambda d: vectors.multivariate_normal_diag(*_natural(d)),
    "IsotropicNormalNP": _isotropic_normal,
    "MultivariateFixedVarianceNormalNP": _fixed_variance_normal,
    "MultivariateUnitVarianceNormalNP": lambda d: vectors.multivariate_normal_diag(d.mean, 1.0),
}
_OTHER = {
    "NormalVP": lambda d: real_line.NORMAL(d.mean, jnp.sqrt(d.variance)),
    "NormalDP": lambda d: real_line.NORMAL(d.mean, d.deviation),
    "GammaVP": lambda d: half_line.GAMMA(d.mean**2 / d.variance, d.mean / d.variance),
    "BernoulliEP": lambda d: finite.BERNOULLI(probs=d.probability),
    "PoissonEP": lambda d: counts.POISSON(rate=d.mean),
    "MultivariateNormalVP": lambda d: vectors.from_covariance(d.mean, d.variance),
    "MultivariateDiagonalNormalVP": lambda d: vectors.multivariate_normal_diag(d.mean, jnp.sqrt(d.variance)),
}
TABLE = _NATURAL | _OTHER
