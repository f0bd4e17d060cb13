"""TensorFlow Probability on JAX: its classes as records, its bijectors as maps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import numerics as nu
from divjax.distributions import (
    circle,
    counts,
    density,
    finite,
    half_line,
    heavy_tails,
    interval,
    lifetimes,
    real_line,
    skewed,
    truncated,
    vectors,
)
from divjax.distributions.adapters import different_families, given, image, independent, look_up, same_family
from divjax.distributions.family import Density
from divjax.distributions.products import product
from divjax.distributions.protocol import by_protocol, is_by_protocol
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection, transformed
from divjax.numerics import linalg


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    return look_up(dist, kind, TABLE, served)


def served(dist: Any) -> Density:
    """By its own methods."""
    names = {kind.__name__ for kind in type(dist).__mro__}
    return by_protocol(
        dist,
        support=None if _bijector(dist) is None else _ends,
        pathwise="FULLY" in repr(dist.reparameterization_type),
        discrete="DiscreteDistributionMixin" in names,
        tails=_tails if hasattr(dist, "_cdf") or hasattr(dist, "_log_cdf") else None,
    )


def _tails(dist, x):
    return dist.cdf(x), dist.survival_function(x)


def _bijector(dist):
    """The map of the line onto the support, None where TFP has none."""
    try:
        return dist.experimental_default_event_space_bijector()
    except (AttributeError, NotImplementedError):
        return None


def _ends(dist):
    """Those of the image of a variable on the whole line."""
    return density.support(transformed(real_line.NORMAL(0.0, 1.0), _bijector(dist), bijection(0)))


@functools.cache
def bijection(ndims: int) -> Bijection:
    """How to use TFP's bijectors on arrays of so many axes."""

    def inverse_and_log_det(bijector, y):
        of_image = ndims + bijector.inverse_min_event_ndims - bijector.forward_min_event_ndims
        return bijector.inverse(y), bijector.inverse_log_det_jacobian(y, of_image)

    return Bijection(
        forward=lambda bijector, x: bijector.forward(x),
        inverse_and_log_det=inverse_and_log_det,
        chain=lambda bijector: list(reversed(getattr(bijector, "bijectors", (bijector,)))),
        is_affine=lambda bijector: bool(getattr(bijector, "is_constant_jacobian", False)),
    )


def _transformed(dist):
    base, bijector = resolve(dist.distribution), dist.bijector
    ndims = max(len(base.event_shape), bijector.forward_min_event_ndims)
    return image(dist, base, bijector, bijection(ndims), ndims, served)


def _sample(dist):
    """Independent draws of one law: its members are repeated along the axes of the sample."""
    base = resolve(dist.distribution)
    if is_by_protocol(base):
        return served(dist)
    shape, own = tuple(int(n) for n in np.ravel(dist.sample_shape)), len(base.batch_shape)

    def repeated(leaf):
        axes = jnp.expand_dims(leaf, range(own, own + len(shape)))
        return jnp.broadcast_to(axes, leaf.shape[:own] + shape + leaf.shape[own:])

    return product(jax.tree.map(repeated, base), len(shape))


def rate_of(dist: Any) -> Array:
    """The rate of a distribution that may have been given its logarithm."""
    return jnp.exp(dist.log_rate) if dist.rate is None else dist.rate


def _poisson(dist):
    rate = {"log_rate": dist.log_rate} if dist.rate is None else {"rate": dist.rate}
    return counts.POISSON(**rate)


def _geometric(dist):
    chance = {"logit": dist._logits} if dist._probs is None else {"success": dist._probs}
    return counts.GEOMETRIC(**chance)


def _negative_binomial(dist):
    """TFP counts successes before so many failures: its success is a failure here."""
    chance = {"logit": -dist._logits} if dist._probs is None else {"failure": dist._probs}
    return counts.NEGATIVE_BINOMIAL(dist.total_count, **chance)


def _relaxed_bernoulli(dist):
    return interval.RELAXED_BERNOULLI(dist.temperature, dist.logits_parameter())


def _located(dist, factor):
    """The location, 0 where none was given."""
    return jnp.zeros_like(factor[..., 0]) if dist.loc is None else dist.loc


def _normal_diag(dist):
    scale = jnp.abs(dist.scale.diag_part())
    return vectors.multivariate_normal_diag(jnp.zeros_like(scale) if dist.loc is None else dist.loc, scale)


def _normal_of_triangle(dist):
    factor = dist.scale.to_dense()
    return vectors.MULTIVARIATE_NORMAL(_located(dist, factor), vectors.positive_diagonal(factor))


def _normal_of_operator(dist):
    factor = dist.scale.to_dense()
    return vectors.from_covariance(_located(dist, factor), nu.matmul(factor, jnp.swapaxes(factor, -1, -2)))


def _student_t_of_operator(dist):
    factor = dist.scale.to_dense()
    factor = linalg.cholesky(nu.matmul(factor, jnp.swapaxes(factor, -1, -2)))
    return vectors.MULTIVARIATE_STUDENT_T(dist.df, _located(dist, factor), factor)


def _sinh_arcsinh(dist):
    if dist.parameters["distribution"] is not None:
        return _transformed(dist)
    return skewed.SINH_ARCSINH(dist.loc, dist.scale, dist.skewness, dist.tailweight)


_ON_LINE = {
    "Normal": lambda d: real_line.NORMAL(d.loc, d.scale),
    "Laplace": lambda d: real_line.LAPLACE(d.loc, d.scale),
    "Logistic": lambda d: real_line.LOGISTIC(d.loc, d.scale),
    "Gumbel": lambda d: real_line.GUMBEL(d.loc, d.scale),
    "Cauchy": lambda d: real_line.CAUCHY(d.loc, d.scale),
    "StudentT": lambda d: real_line.STUDENT_T(d.df, d.loc, d.scale),
    "GeneralizedNormal": lambda d: skewed.GENERALIZED_NORMAL(d.loc, d.scale, d.power),
    "ExpGamma": lambda d: skewed.EXP_GAMMA(d.concentration, rate_of(d)),
    "JohnsonSU": lambda d: skewed.JOHNSON_SU(d.skewness, d.tailweight, d.loc, d.scale),
    "SinhArcsinh": _sinh_arcsinh,
    "TruncatedNormal": lambda d: truncated.TRUNCATED_NORMAL(d.loc, d.scale, d.low, d.high),
    "TruncatedCauchy": lambda d: truncated.TRUNCATED_CAUCHY(d.loc, d.scale, d.low, d.high),
}
_ON_HALF_LINE = {
    "Exponential": lambda d: half_line.EXPONENTIAL_LAW(rate_of(d)),
    "Gamma": lambda d: half_line.GAMMA(d.concentration, rate_of(d)),
    "Chi2": lambda d: half_line.GAMMA(0.5 * d.df, 0.5),
    "Chi": lambda d: half_line.CHI(d.df),
    "InverseGamma": lambda d: half_line.INVERSE_GAMMA(d.concentration, d.scale),
    "InverseGaussian": lambda d: lifetimes.INVERSE_GAUSSIAN(d.loc, d.concentration),
    "LogNormal": lambda d: lifetimes.LOG_NORMAL(d.distribution.loc, d.distribution.scale),
    "HalfNormal": lambda d: half_line.HALF_NORMAL(d.scale),
    "Weibull": lambda d: lifetimes.WEIBULL(d.concentration, d.scale),
    "Pareto": lambda d: heavy_tails.PARETO(d.concentration, d.scale),
    "GeneralizedPareto": lambda d: heavy_tails.GENERALIZED_PARETO(d.loc, d.scale, d.concentration),
    "HalfCauchy": lambda d: heavy_tails.HALF_CAUCHY(d.loc, d.scale),
    "HalfStudentT": lambda d: heavy_tails.HALF_STUDENT_T(d.df, d.loc, d.scale),
    "LogLogistic": lambda d: heavy_tails.LOG_LOGISTIC(d.loc, d.scale),
}
_ON_INTERVAL = {
    "Uniform": lambda d: interval.UNIFORM(d.low, d.high),
    "Beta": lambda d: interval.BETA(d.concentration1, d.concentration0),
    "Kumaraswamy": lambda d: interval.KUMARASWAMY(d.concentration1, d.concentration0),
    "Triangular": lambda d: interval.TRIANGULAR(d.low, d.high, d.peak),
    "LogitNormal": lambda d: interval.LOGIT_NORMAL(d.distribution.loc, d.distribution.scale),
    "RelaxedBernoulli": _relaxed_bernoulli,
    "VonMises": lambda d: circle.VON_MISES(d.loc, d.concentration),
}
_DISCRETE = {
    "Poisson": _poisson,
    "Geometric": _geometric,
    "NegativeBinomial": _negative_binomial,
    "Binomial": lambda d: finite.BINOMIAL(d.total_count, **given(d)),
    "Bernoulli": lambda d: finite.BERNOULLI(**given(d)),
    "BetaBinomial": lambda d: finite.BETA_BINOMIAL(d.total_count, d.concentration1, d.concentration0),
    "Categorical": lambda d: finite.CATEGORICAL(**given(d)),
    "OneHotCategorical": lambda d: finite.ONE_HOT(**given(d)),
    "Multinomial": lambda d: finite.MULTINOMIAL(d.total_count, **given(d)),
}
_VECTORS = {
    "Dirichlet": lambda d: vectors.DIRICHLET(d.concentration),
    "MultivariateNormalDiag": _normal_diag,
    "MultivariateNormalTriL": _normal_of_triangle,
    "MultivariateNormalLinearOperator": _normal_of_operator,
    "MultivariateStudentTLinearOperator": _student_t_of_operator,
}
_COMPOSED = {
    "MixtureSameFamily": lambda d: same_family(d, d.components_distribution, given(d.mixture_distribution), served),
    "Mixture": lambda d: different_families(d.components, given(d.cat)),
    "Inflated": served,  # a mixture of a law and of a point
    "Independent": lambda d: independent(d, d.distribution, int(d._get_reinterpreted_batch_ndims()), served),
    "Sample": _sample,
    "TransformedDistribution": _transformed,
}
TABLE = _ON_LINE | _ON_HALF_LINE | _ON_INTERVAL | _DISCRETE | _VECTORS | _COMPOSED
