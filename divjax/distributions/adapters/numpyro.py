"""numpyro: its classes as records, its lists of transforms as maps."""

import functools
import math
from typing import Any

import jax.numpy as jnp

from divjax.distributions import (
    circle,
    counts,
    finite,
    half_line,
    heavy_tails,
    interval,
    lifetimes,
    real_line,
    skewed,
    truncated,
    vectors,
    zeros,
)
from divjax.distributions.adapters import (
    batch_of_log_prob,
    different_families,
    image,
    independent,
    look_up,
    same_family,
    widened,
)
from divjax.distributions.family import Density
from divjax.distributions.protocol import by_protocol, is_by_protocol
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    return look_up(dist, kind, TABLE, served)


def served(dist: Any) -> Density:
    """By its own methods."""
    return by_protocol(
        dist,
        batch=batch_of_log_prob,
        draw=_draw,
        moments=_moments,
        tails=_tails,
        support=_ends if hasattr(_constraint(dist), "lower_bound") or _constraint(dist) == "real" else None,
        pathwise=bool(dist.has_rsample),
        discrete=bool(getattr(dist.support, "is_discrete", False)),
    )


def _draw(dist, key, shape):
    return dist.sample(key, shape)


def _moments(dist):
    return dist.mean, jnp.sqrt(dist.variance)


def _tails(dist, x):
    below = dist.cdf(x)
    return below, 1.0 - below


def _constraint(dist):
    """Of a variable on the line, "real" where it has no end."""
    support = dist.support
    return "real" if type(support).__name__ == "_Real" else support


def _ends(dist):
    """Floats where no parameter moves them."""
    ends = (getattr(dist.support, name, end) for name, end in (("lower_bound", -math.inf), ("upper_bound", math.inf)))
    return tuple(float(end) if isinstance(end, int | float) else end for end in ends)


# --- Wrappers ----------------------------------------------------------------------------------------------


@functools.cache
def bijection(ndims: int) -> Bijection:
    """How to use a tuple of numpyro's transforms on arrays of so many axes."""

    def forward(transforms, x):
        for transform in transforms:
            x = transform(x)
        return x

    def inverse_and_log_det(transforms, y):
        # A transform of fewer axes than y has acts on each place of the others.
        axes = ndims + sum(t.codomain.event_dim - t.domain.event_dim for t in transforms)
        log_det = 0.0
        for transform in reversed(transforms):
            others = axes - transform.codomain.event_dim
            x = transform.inv(y)
            own = transform.log_abs_det_jacobian(x, y, None)
            log_det = log_det - jnp.sum(own, axis=tuple(range(-others, 0)))
            axes, y = others + transform.domain.event_dim, x
        return y, log_det

    return Bijection(
        forward=forward,
        inverse_and_log_det=inverse_and_log_det,
        chain=lambda transforms: [(transform,) for transform in transforms],
        is_affine=lambda transforms: all(type(t).__name__ == "AffineTransform" for t in transforms),
    )


def _transformed(dist):
    base = resolve(dist.base_dist)
    ndims = len(base.event_shape)
    return image(dist, base, tuple(dist.transforms), bijection(ndims), ndims, served)


def _expanded(dist):
    base = resolve(dist.base_dist)
    if is_by_protocol(base):
        return served(dist)
    batch = list(base.batch_shape)
    for axis, size in dist._interstitial_sizes.items():
        batch[axis] = size
    sizes = sorted(dist._expanded_sizes.items())
    return widened(base, (*(size for _, size in sizes), *batch))


def _masked(dist):
    return resolve(dist.base_dist) if dist._mask is True else served(dist)


def _truncated(dist):
    low, high = getattr(dist, "low", -math.inf), getattr(dist, "high", math.inf)
    base, kind = dist.base_dist, type(dist.base_dist).__name__
    if kind in ("Normal", "Cauchy"):
        family = truncated.TRUNCATED_NORMAL if kind == "Normal" else truncated.TRUNCATED_CAUCHY
        return family(base.loc, base.scale, low, high)
    return truncated.truncated(resolve(base), low, high)


def _weights(categorical):
    """As they were given; the other form is computed where it is asked for."""
    names = [kind.__name__ for kind in type(categorical).__mro__]
    return {"logits": categorical.logits} if "CategoricalLogits" in names else {"probs": categorical.probs}


def _quantile_laplace(dist):
    asymmetry = jnp.sqrt(dist.quantile / (1.0 - dist.quantile))
    return skewed.ASYMMETRIC_LAPLACE(dist.loc, dist.scale * asymmetry / dist.quantile, asymmetry)


def _negative_binomial_of_mean(dist):
    logit = jnp.log(dist.concentration) - jnp.log(dist.mean)
    return counts.NEGATIVE_BINOMIAL(dist.concentration, logit=logit)


def _lower(dist):
    """The factor as numpyro's log-density reads it: what is above the diagonal does not count."""
    return jnp.tril(dist.scale_tril)


def _hurdle(dist):
    """0 with some probability, else what is not 0; the latter may be a density."""
    if not getattr(dist.support, "is_discrete", False):
        return _with_atoms(dist)
    if hasattr(dist, "gate_logits"):
        return zeros.hurdle(resolve(dist.base_dist), logits=dist.gate_logits)
    return zeros.hurdle(resolve(dist.base_dist), dist.gate)


def _with_atoms(dist):
    raise TypeError(
        f"Expected a distribution with a density, or of integers; got {type(dist).__name__}, which has points of "
        "positive probability in a continuum. Compare its parts apart: those points by dj.pmf, the rest by its density."
    )


# --- The table ---------------------------------------------------------------------------------------------

_ON_LINE = {
    "Normal": lambda d: real_line.NORMAL(d.loc, d.scale),
    "Laplace": lambda d: real_line.LAPLACE(d.loc, d.scale),
    "Logistic": lambda d: real_line.LOGISTIC(d.loc, d.scale),
    "Gumbel": lambda d: real_line.GUMBEL(d.loc, d.scale),
    "Cauchy": lambda d: real_line.CAUCHY(d.loc, d.scale),
    "StudentT": lambda d: real_line.STUDENT_T(d.df, d.loc, d.scale),
    "SoftLaplace": lambda d: skewed.SOFT_LAPLACE(d.loc, d.scale),
    "AsymmetricLaplace": lambda d: skewed.ASYMMETRIC_LAPLACE(d.loc, d.scale, d.asymmetry),
    "AsymmetricLaplaceQuantile": _quantile_laplace,
    "LeftTruncatedDistribution": _truncated,
    "RightTruncatedDistribution": _truncated,
    "TwoSidedTruncatedDistribution": _truncated,
}
_ON_HALF_LINE = {
    "Exponential": lambda d: half_line.EXPONENTIAL_LAW(d.rate),
    "Gamma": lambda d: half_line.GAMMA(d.concentration, d.rate),
    "InverseGamma": lambda d: half_line.INVERSE_GAMMA(d.concentration, d.rate),
    "HalfNormal": lambda d: half_line.HALF_NORMAL(d.scale),
    "HalfCauchy": lambda d: heavy_tails.HALF_CAUCHY(0.0, d.scale),
    "LogNormal": lambda d: lifetimes.LOG_NORMAL(d.loc, d.scale),
    "Weibull": lambda d: lifetimes.WEIBULL(d.concentration, d.scale),
    "Gompertz": lambda d: lifetimes.GOMPERTZ(d.concentration, d.rate),
    "Pareto": lambda d: heavy_tails.PARETO(d.alpha, d.scale),
    "LowerTruncatedPowerLaw": lambda d: heavy_tails.PARETO(-1.0 - d.alpha, d.low),
    "Levy": lambda d: heavy_tails.LEVY(d.loc, d.scale),
    "Dagum": lambda d: heavy_tails.DAGUM(d.concentration, d.sharpness, d.scale),
    "LeftTruncatedGamma": _truncated,
    "RightTruncatedGamma": _truncated,
    "TwoSidedTruncatedGamma": _truncated,
}
_ON_INTERVAL = {
    "Uniform": lambda d: interval.UNIFORM(d.low, d.high),
    "LogUniform": lambda d: interval.LOG_UNIFORM(d.low, d.high),
    "Beta": lambda d: interval.BETA(d.concentration1, d.concentration0),
    "Kumaraswamy": lambda d: interval.KUMARASWAMY(d.concentration1, d.concentration0),
    "RelaxedBernoulliLogits": lambda d: interval.RELAXED_BERNOULLI(d.temperature, d.logits),
    "VonMises": lambda d: circle.VON_MISES(d.loc, d.concentration),
}
_DISCRETE = {
    "Poisson": lambda d: counts.POISSON(rate=d.rate),
    "GeometricProbs": lambda d: counts.GEOMETRIC(success=d.probs),
    "GeometricLogits": lambda d: counts.GEOMETRIC(logit=d.logits),
    "GammaPoisson": lambda d: counts.NEGATIVE_BINOMIAL(d.concentration, logit=jnp.log(d.rate)),
    "NegativeBinomialProbs": lambda d: counts.NEGATIVE_BINOMIAL(d.total_count, failure=d.probs),
    "NegativeBinomialLogits": lambda d: counts.NEGATIVE_BINOMIAL(d.total_count, logit=-d.logits),
    "NegativeBinomial2": _negative_binomial_of_mean,
    "ZeroInflatedProbs": lambda d: zeros.zero_inflated(resolve(d.base_dist), d.gate),
    "ZeroInflatedLogits": lambda d: zeros.zero_inflated(resolve(d.base_dist), logits=d.gate_logits),
    "BernoulliProbs": lambda d: finite.BERNOULLI(probs=d.probs),
    "BernoulliLogits": lambda d: finite.BERNOULLI(logits=d.logits),
    "BinomialProbs": lambda d: finite.BINOMIAL(d.total_count, probs=d.probs),
    "BinomialLogits": lambda d: finite.BINOMIAL(d.total_count, logits=d.logits),
    "BetaBinomial": lambda d: finite.BETA_BINOMIAL(d.total_count, d.concentration1, d.concentration0),
    "DiscreteUniform": lambda d: finite.DISCRETE_UNIFORM(d.low, d.high),
    "CategoricalProbs": lambda d: finite.CATEGORICAL(probs=d.probs),
    "CategoricalLogits": lambda d: finite.CATEGORICAL(logits=d.logits),
    "MultinomialProbs": lambda d: finite.MULTINOMIAL(d.total_count, probs=d.probs),
    "MultinomialLogits": lambda d: finite.MULTINOMIAL(d.total_count, logits=d.logits),
}
_VECTORS = {
    "Dirichlet": lambda d: vectors.DIRICHLET(d.concentration),
    "MultivariateNormal": lambda d: vectors.MULTIVARIATE_NORMAL(d.loc, vectors.positive_diagonal(_lower(d))),
    "LowRankMultivariateNormal": lambda d: vectors.LOW_RANK_NORMAL(d.loc, d.cov_factor, d.cov_diag),
    "MultivariateStudentT": lambda d: vectors.MULTIVARIATE_STUDENT_T(d.df, d.loc, _lower(d)),
}
ATOMS = ("Delta", "LeftCensoredDistribution", "RightCensoredDistribution", "IntervalCensoredDistribution")
_COMPOSED = {
    "MixtureSameFamily": lambda d: same_family(d, d._component_distribution, _weights(d._mixing_distribution), served),
    "MixtureGeneral": lambda d: different_families(d._component_distributions, _weights(d._mixing_distribution)),
    "Independent": lambda d: independent(d, d.base_dist, d.reinterpreted_batch_ndims, served),
    "ExpandedDistribution": _expanded,
    "MaskedDistribution": _masked,
    "TransformedDistribution": _transformed,
    **dict.fromkeys(("HurdleProbs", "HurdleLogits"), _hurdle),
    **dict.fromkeys(ATOMS, _with_atoms),
    # Images on a plane of lower dimension, or of matrices, which numpyro's transforms have no density of.
    **dict.fromkeys(("ZeroSumNormal", "CirculantNormal", "LKJ", "Wishart", "InverseWishart"), served),
}
TABLE = _ON_LINE | _ON_HALF_LINE | _ON_INTERVAL | _DISCRETE | _VECTORS | _COMPOSED
