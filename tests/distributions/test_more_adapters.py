"""Objects of numpyro, scipy, flowjax, distreqx and efax: their records say what they say."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

from divjax.distributions.density import log_prob, profile, support, tails
from divjax.distributions.resolve import resolve
from tests.distributions.test_adapters import (
    CHANCE,
    CONCENTRATIONS,
    COUNTS,
    LINE,
    LOC,
    LOCS,
    LOGITS,
    PLANE,
    PMFS,
    POSITIVE,
    SCALE,
    SCALES,
    SHAPE,
    SIMPLEX,
    TRIANGLES,
    UNIT,
    Case,
    adapter,
    check,
    classes_of,
    close,
    covariance,
    located,
    shaped,
)


def library(name):
    """The library, None where it is not installed: its tests are skipped."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def needs(module):
    """Skips what is about a library that is not here."""
    return pytest.mark.skipif(module is None, reason="not installed")


# --- scipy -------------------------------------------------------------------------------------------------

SCIPY = {
    "norm": (st.norm(0.3, 1.4), LINE),
    "laplace": (st.laplace(0.3, 1.4), LINE),
    "logistic": (st.logistic(0.3, scale=1.4), LINE),
    "gumbel_r": (st.gumbel_r(0.3, 1.4), LINE),
    "cauchy": (st.cauchy(0.3, 1.4), LINE),
    "t": (st.t(3.0, 0.3, 1.4), LINE),
    "hypsecant": (st.hypsecant(0.3, 1.4), LINE),
    "gennorm": (st.gennorm(1.5, 0.3, 1.4), LINE),
    "johnsonsu": (st.johnsonsu(0.3, 1.2, 0.1, 1.4), LINE),
    "uniform": (st.uniform(-2.0, 5.0), LINE),
    "triang": (st.triang(0.3, -2.0, 5.0), LINE),
    "halfcauchy": (st.halfcauchy(0.1, 1.4), POSITIVE),
    "levy": (st.levy(0.1, 1.4), POSITIVE),
    "genpareto": (st.genpareto(0.3, 0.1, 1.4), POSITIVE),
    "truncnorm": (st.truncnorm(-1.0, 2.0, 0.3, 1.4), UNIT),
    "vonmises_line": (st.vonmises_line(1.4, 0.1), LINE),
    "vonmises": (st.vonmises(1.4, 0.1), LINE),
    "expon": (st.expon(0.1, 1.4), POSITIVE),
    "gamma": (st.gamma(2.5, scale=1.4), POSITIVE),
    "chi2": (st.chi2(3, 0.1, 1.4), POSITIVE),
    "invgamma": (st.invgamma(2.5, scale=1.4), POSITIVE),
    "invgauss": (st.invgauss(0.7, scale=1.4), POSITIVE),
    "lognorm": (st.lognorm(0.7, scale=1.4), POSITIVE),
    "halfnorm": (st.halfnorm(scale=1.4), POSITIVE),
    "weibull_min": (st.weibull_min(1.5, scale=1.4), POSITIVE),
    "gompertz": (st.gompertz(1.5, scale=1.4), POSITIVE),
    "pareto": (st.pareto(2.5, scale=0.1), POSITIVE),
    "lomax": (st.lomax(2.5, scale=1.4), POSITIVE),
    "fisk": (st.fisk(2.5, scale=1.4), POSITIVE),
    "invweibull": (st.invweibull(2.5, scale=1.4), POSITIVE),
    "loguniform": (st.loguniform(0.1, 2.0, scale=1.4), POSITIVE),
    "reciprocal": (st.reciprocal(0.1, 3.0), POSITIVE),
    "beta": (st.beta(2.5, 1.4, -1.0, 3.0), UNIT),
    "arcsine": (st.arcsine(), UNIT),
    "chi": (st.chi(3.0, scale=1.4), POSITIVE),
    "loggamma": (st.loggamma(2.5, 0.3, 1.4), LINE),
    "poisson": (st.poisson(2.5), COUNTS),
    "geom": (st.geom(0.3, -1), COUNTS),
    "nbinom": (st.nbinom(3, 0.3), COUNTS),
    "binom": (st.binom(5, 0.3), COUNTS),
    "bernoulli": (st.bernoulli(0.3), [0.0, 1.0]),
    "betabinom": (st.betabinom(5, 2.5, 1.4), COUNTS),
    "randint": (st.randint(0, 5), COUNTS),
    "multivariate_normal": (st.multivariate_normal([0.3, -0.5], [[1.2, 0.3], [0.3, 0.8]]), PLANE),
    "multivariate_t": (st.multivariate_t([0.3, -0.5], [[1.2, 0.3], [0.3, 0.8]], df=3), PLANE),
    "multinomial": (st.multinomial(3, [0.2, 0.3, 0.5]), [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]),
    "no record": (st.skewnorm(2.0, 0.3, 1.4), LINE),
    "no record, counts": (st.zipf(2.5), [1.0, 2.0, 4.0]),
    "counts from 1": (st.geom(0.3), [1.0, 2.0, 4.0]),
}


@pytest.mark.parametrize("name", SCIPY)
def test_scipy_says_what_its_record_says(name):
    dist, x = SCIPY[name]
    own = dist.logpdf if hasattr(dist, "logpdf") else dist.logpmf
    p = resolve(dist)
    close(log_prob(p, jnp.asarray(x)), own(np.asarray(x)))
    close(jax.jit(jax.vmap(lambda x: log_prob(p, x)))(jnp.asarray(x)), own(np.asarray(x)))
    with jax.enable_x64(True):  # noqa: FBT003
        close(log_prob(resolve(dist), jnp.asarray(x)), own(np.asarray(x)), 1e-9)


def test_every_law_of_scipy_in_a_table_is_tested():
    rooms = adapter("scipy")
    assert set(rooms.LOCATED) | set(rooms.SCALED) | set(rooms.STANDARD) | set(rooms.DISCRETE) <= set(SCIPY)


def test_a_dirichlet_law_of_scipy():
    dist = st.dirichlet([2.0, 1.5, 0.7])
    close(log_prob(resolve(dist), jnp.asarray(SIMPLEX)), dist.logpdf(np.asarray(SIMPLEX).T))


def test_a_law_of_scipy_without_a_record_is_called():
    dist = st.skewnorm(2.0, 0.3, 1.4)
    p = resolve(dist)
    below, above = jax.jit(lambda x: tails(p, x))(jnp.asarray(LINE))
    close(below, dist.cdf(LINE))
    close(above, dist.sf(LINE))
    close(profile(p).center, [dist.median()])
    with pytest.raises(ValueError, match="Expected points that stand still"):
        jax.grad(lambda x: log_prob(p, x))(0.3)


def test_a_law_of_ones_own_with_a_name_of_scipy_is_called():
    class Mine(st.rv_continuous):
        def _pdf(self, x):
            return np.exp(-np.abs(x)) / 2.0

    dist = Mine(name="norm")()
    close(log_prob(resolve(dist), jnp.asarray(LINE)), -np.abs(LINE) - np.log(2.0))


def test_a_moved_law_of_scipy_ends_where_it_does():
    assert [float(end) for end in support(resolve(st.beta(2.5, 1.4, -1.0, 3.0)))] == [-1.0, 2.0]


# --- numpyro -----------------------------------------------------------------------------------------------

nd = library("numpyro.distributions")


def expanded(loc, scale):
    """Of one law, two."""
    return nd.Normal(loc, scale).expand([2]).to_event(1)


def numpyro_mixture(loc, scale):
    """Two Gaussians."""
    return nd.MixtureSameFamily(nd.Categorical(probs=jnp.asarray([0.3, 0.7])), nd.Normal(loc, scale))


def numpyro_general(loc, scale):
    """A Gaussian and a Laplace law."""
    weights = nd.Categorical(logits=jnp.asarray([0.3, 0.7]))
    return nd.MixtureGeneral(weights, [nd.Normal(loc, scale), nd.Laplace(loc, scale)])


def numpyro_flow(loc, scale):
    """An exponential of a Gaussian, stretched."""
    maps = [nd.transforms.ExpTransform(), nd.transforms.AffineTransform(-0.5, 2.0)]
    return nd.TransformedDistribution(nd.Normal(loc, scale), maps)


NUMPYRO = {} if nd is None else {
    **{name: located(getattr(nd, name)) for name in ("Normal", "Laplace", "Logistic", "Gumbel", "Cauchy")},
    "SoftLaplace": located(nd.SoftLaplace),
    "StudentT": Case(nd.StudentT, (SHAPE, LOC, SCALE), LINE),
    "AsymmetricLaplace": Case(nd.AsymmetricLaplace, (LOC, SCALE, SHAPE), LINE),
    "AsymmetricLaplaceQuantile": Case(nd.AsymmetricLaplaceQuantile, (LOC, SCALE, CHANCE), LINE),
    "LeftTruncatedDistribution": located(lambda a, s: nd.TruncatedNormal(a, s, low=a - 3.0)),
    "RightTruncatedDistribution": located(lambda a, s: nd.TruncatedCauchy(a, s, high=a + 4.0)),
    "TwoSidedTruncatedDistribution": located(
        lambda a, s: nd.TruncatedDistribution(nd.Laplace(a, s), low=a - 3.0, high=a + 4.0)
    ),
    "Exponential": Case(nd.Exponential, (SHAPE,), POSITIVE),
    "Gamma": shaped(nd.Gamma),
    "Gamma as Chi2": Case(nd.Chi2, (SHAPE,), POSITIVE),
    "InverseGamma": shaped(nd.InverseGamma),
    "HalfNormal": Case(nd.HalfNormal, (SCALE,), POSITIVE),
    "HalfCauchy": Case(nd.HalfCauchy, (SCALE,), POSITIVE),
    "LogNormal": located(nd.LogNormal, POSITIVE),
    "Weibull": shaped(nd.Weibull),
    "Gompertz": shaped(nd.Gompertz),
    "Pareto": Case(nd.Pareto, ([0.2, 0.1], SHAPE), POSITIVE),
    "LowerTruncatedPowerLaw": Case(nd.LowerTruncatedPowerLaw, ([-2.5, -1.5], [0.2, 0.1]), POSITIVE),
    "Levy": Case(nd.Levy, ([0.1, -0.5], SCALE), POSITIVE),
    "Dagum": Case(nd.Dagum, (SHAPE, SCALE, SHAPE), POSITIVE),
    "LeftTruncatedGamma": shaped(lambda a, b: nd.TruncatedGamma(a, b, low=0.1)),
    "RightTruncatedGamma": shaped(lambda a, b: nd.TruncatedGamma(a, b, high=3.0)),
    "TwoSidedTruncatedGamma": shaped(lambda a, b: nd.TruncatedGamma(a, b, low=0.1, high=3.0)),
    "Uniform": Case(nd.Uniform, ([0.0, 0.1], [1.0, 1.5]), UNIT),
    "LogUniform": Case(nd.LogUniform, ([0.02, 0.1], [1.0, 1.5]), UNIT),
    "Beta": shaped(nd.Beta, UNIT),
    "Beta as BetaProportion": Case(nd.BetaProportion, (CHANCE, SHAPE), UNIT),
    "Kumaraswamy": shaped(nd.Kumaraswamy, UNIT),
    "RelaxedBernoulliLogits": Case(nd.RelaxedBernoulliLogits, (SHAPE, LOC), UNIT),
    "VonMises": Case(nd.VonMises, (LOC, SHAPE), LINE),
    "Poisson": Case(nd.Poisson, (SHAPE,), COUNTS),
    "GeometricProbs": Case(nd.GeometricProbs, (CHANCE,), COUNTS),
    "GeometricLogits": Case(nd.GeometricLogits, (LOC,), COUNTS),
    "GammaPoisson": Case(nd.GammaPoisson, (SHAPE, SCALE), COUNTS),
    "NegativeBinomialProbs": Case(nd.NegativeBinomialProbs, (SHAPE, CHANCE), COUNTS),
    "NegativeBinomialLogits": Case(nd.NegativeBinomialLogits, (SHAPE, LOC), COUNTS),
    "NegativeBinomial2": Case(nd.NegativeBinomial2, (SHAPE, SCALE), COUNTS),
    "ZeroInflatedProbs": Case(nd.ZeroInflatedPoisson, (CHANCE, SHAPE), COUNTS),
    "ZeroInflatedLogits": Case(lambda g, r: nd.ZeroInflatedLogits(nd.Poisson(r), g), (LOC, SHAPE), COUNTS),
    "HurdleProbs": Case(nd.HurdlePoisson, (CHANCE, SHAPE), COUNTS),
    "HurdleLogits": Case(lambda g, r: nd.HurdleLogits(nd.Poisson(r), g), (LOC, SHAPE), COUNTS),
    "BernoulliProbs": Case(nd.BernoulliProbs, (CHANCE,), [0, 1]),
    "BernoulliLogits": Case(nd.BernoulliLogits, (LOC,), [0, 1]),
    "BinomialProbs": Case(nd.BinomialProbs, (CHANCE, [4.0, 7.0]), COUNTS),
    "BinomialLogits": Case(nd.BinomialLogits, (LOC, [4.0, 7.0]), COUNTS),
    "BetaBinomial": Case(nd.BetaBinomial, (SHAPE, SCALE, [4.0, 7.0]), COUNTS),
    "DiscreteUniform": Case(nd.DiscreteUniform, ([0.0, -2.0], [3.0, 5.0]), COUNTS),
    "CategoricalProbs": Case(nd.CategoricalProbs, (PMFS,), [0, 1, 2]),
    "CategoricalLogits": Case(nd.CategoricalLogits, (LOGITS,), [0, 1, 2]),
    "MultinomialProbs": Case(lambda p: nd.MultinomialProbs(p, 3), (PMFS,), [[1, 0, 2], [0, 3, 0]]),
    "MultinomialLogits": Case(lambda p: nd.MultinomialLogits(p, 3), (LOGITS,), [[1, 0, 2], [0, 3, 0]]),
    "Dirichlet": Case(nd.Dirichlet, (CONCENTRATIONS,), SIMPLEX),
    "MultivariateNormal": Case(lambda a, f: nd.MultivariateNormal(a, scale_tril=f), (LOCS, TRIANGLES), PLANE),
    "MultivariateNormal of a covariance": Case(
        lambda a, f: nd.MultivariateNormal(a, covariance(f)), (LOCS, TRIANGLES), PLANE
    ),
    "MultivariateNormal of a precision": Case(
        lambda a, f: nd.MultivariateNormal(a, precision_matrix=covariance(f)), (LOCS, TRIANGLES), PLANE
    ),
    "LowRankMultivariateNormal": Case(
        lambda a, s: nd.LowRankMultivariateNormal(a, a[:, None], s), (LOCS, SCALES), PLANE
    ),
    "MultivariateStudentT": Case(nd.MultivariateStudentT, (SHAPE, LOCS, TRIANGLES), PLANE),
    "MixtureSameFamily": Case(numpyro_mixture, (LOCS, SCALES), LINE),
    "MixtureGeneral": located(numpyro_general),
    "Independent": Case(lambda a, s: nd.Laplace(a, s).to_event(1), (LOCS, SCALES), PLANE),
    "ExpandedDistribution": located(expanded, PLANE),
    "MaskedDistribution": located(lambda a, s: nd.MaskedDistribution(nd.Normal(a, s), True)),  # noqa: FBT003
    "TransformedDistribution": located(numpyro_flow, POSITIVE),
    "ZeroSumNormal": Case(lambda s: nd.ZeroSumNormal(s, (2,)), (SCALE,), [[1.0, -1.0], [-0.2, 0.2]]),
}  # fmt: skip


@needs(nd)
@pytest.mark.parametrize("name", NUMPYRO or [""])
def test_numpyro_says_what_its_record_says(name):
    check(NUMPYRO[name])


@needs(nd)
def test_every_class_of_numpyro_in_the_table_is_tested():
    served, refused = {"CirculantNormal", "LKJ", "Wishart", "InverseWishart"}, set(adapter("numpyro").ATOMS)
    assert set(adapter("numpyro").TABLE) - classes_of(NUMPYRO) == served | refused


@needs(nd)
def test_what_is_above_the_diagonal_of_a_factor_does_not_count():
    """Numpyro's log-density reads the lower triangle alone: so do nodes, which are images of the factor."""
    lower, other = jnp.asarray(TRIANGLES[0]), jnp.asarray([[1.2, 5.0], [0.4, 0.8]])
    dists = [nd.MultivariateNormal(jnp.zeros(2), scale_tril=f, validate_args=False) for f in (lower, other)]
    close(resolve(dists[1]).params.scale_tril, resolve(dists[0]).params.scale_tril)
