"""Objects of other libraries: their records say what they say, alone, compiled and mapped over."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax.distributions.density import log_prob
from divjax.distributions.resolve import resolve


class Case(NamedTuple):
    """How to build a distribution, from parameters of which there are two sets; and where to ask it."""

    build: Callable[..., Any]
    params: tuple[Any, ...]
    x: Any


LINE, POSITIVE, UNIT, COUNTS = [-1.3, 0.2, 2.1], [0.3, 1.1, 2.7], [0.2, 0.5, 0.9], [0.0, 1.0, 3.0]
PLANE = [[0.3, -1.2], [1.5, 0.4], [-0.2, 0.0]]
SIMPLEX = [[0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]]
LOC, SCALE, SHAPE, CHANCE = [0.3, -0.5], [1.4, 0.7], [2.5, 1.2], [0.3, 0.8]
LOCS, SCALES = [[0.3, -0.5], [1.0, 0.2]], [[1.4, 0.7], [0.6, 2.0]]
TRIANGLES = [[[1.2, 0.0], [0.4, 0.8]], [[0.5, 0.0], [-1.0, 2.0]]]
PMFS, LOGITS = [[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]], [[0.2, -1.0, 0.5], [1.5, 0.1, 0.3]]
CONCENTRATIONS = [[2.0, 1.5, 0.7], [0.9, 3.0, 1.0]]


def located(build, x=LINE):
    """Of a location and a scale."""
    return Case(build, (LOC, SCALE), x)


def shaped(build, x=POSITIVE):
    """Of two positive parameters."""
    return Case(build, (SHAPE, SCALE), x)


def covariance(factor):
    """Of a triangular factor."""
    return jnp.einsum("ij,kj->ik", factor, factor, precision="highest")


def check(case: Case, rtol: float, *, is_pytree: bool = True, log_prob_of: Callable = lambda d, x: d.log_prob(x)):
    """What the record says is what the object says: alone, compiled, and of every member of a batch."""
    x = jnp.asarray(case.x)
    params = [jnp.asarray(of, float) for of in case.params]
    members = [case.build(*(of[i] for of in params)) for i in range(2)]
    expected = np.stack([np.asarray(log_prob_of(member, x)) for member in members])
    assert np.all(np.isfinite(expected))

    def of_record(dist):
        return log_prob(resolve(dist), x)

    def close(got, want):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)

    close(of_record(members[0]), expected[0])
    close(jax.jit(jax.vmap(lambda *of: of_record(case.build(*of))))(*params), expected)
    if is_pytree:
        close(jax.jit(of_record)(members[1]), expected[1])
        close(jax.vmap(of_record)(jax.vmap(case.build)(*params)), expected)


def both_precisions(case: Case, **kwargs):
    """In float32 and in float64."""
    check(case, 1e-5, **kwargs)
    with jax.enable_x64(True):  # noqa: FBT003
        check(case, 1e-9, **kwargs)


def adapter(name: str) -> Any:
    """The file of that library."""
    return importlib.import_module(f"divjax.distributions.adapters.{name}")


# --- distrax -----------------------------------------------------------------------------------------------

distrax = pytest.importorskip("distrax")


def distrax_mixture(weights):
    """Two Gaussians of the weights given."""

    def build(loc, scale):
        return distrax.MixtureSameFamily(distrax.Categorical(**weights()), distrax.Normal(loc, scale))

    return Case(build, (LOCS, SCALES), LINE)


DISTRAX = {
    "Normal": located(distrax.Normal),
    "Laplace": located(distrax.Laplace),
    "Logistic": located(distrax.Logistic),
    "Gumbel": located(distrax.Gumbel),
    "Gamma": shaped(distrax.Gamma),
    "Beta": shaped(distrax.Beta, UNIT),
    "Uniform": Case(lambda low, width: distrax.Uniform(low, low + width), ([0.0, 0.1], [1.0, 1.5]), UNIT),
    "VonMises": Case(distrax.VonMises, (LOC, SHAPE), LINE),
    "Bernoulli": Case(lambda p: distrax.Bernoulli(probs=p), (CHANCE,), [0.0, 1.0]),
    "Bernoulli of logits": Case(lambda p: distrax.Bernoulli(logits=p), (LOC,), [0.0, 1.0]),
    "Categorical": Case(lambda p: distrax.Categorical(probs=p), (PMFS,), [0, 1, 2]),
    "Categorical of logits": Case(lambda p: distrax.Categorical(logits=p), (LOGITS,), [0, 1, 2]),
    "OneHotCategorical": Case(lambda p: distrax.OneHotCategorical(logits=p), (LOGITS,), [[1.0, 0, 0], [0, 0, 1.0]]),
    "Multinomial": Case(lambda p: distrax.Multinomial(3, probs=p), (PMFS,), [[1.0, 0, 2.0], [0, 3.0, 0]]),
    "Dirichlet": Case(distrax.Dirichlet, (CONCENTRATIONS,), SIMPLEX),
    "MultivariateNormalDiag": Case(distrax.MultivariateNormalDiag, (LOCS, SCALES), PLANE),
    "MultivariateNormalTri": Case(distrax.MultivariateNormalTri, (LOCS, TRIANGLES), PLANE),
    "MultivariateNormalTri, upper": Case(
        lambda loc, factor: distrax.MultivariateNormalTri(loc, factor.T, is_lower=False), (LOCS, TRIANGLES), PLANE
    ),
    "MultivariateNormalFromBijector": Case(
        lambda loc, scale: distrax.MultivariateNormalDiagPlusLowRank(loc, scale, loc[:, None]), (LOCS, SCALES), PLANE
    ),
    "MixtureSameFamily": distrax_mixture(lambda: {"probs": jnp.asarray([0.3, 0.7])}),
    "MixtureSameFamily of logits": distrax_mixture(lambda: {"logits": jnp.asarray([0.3, 0.7])}),
    "MixtureOfTwo": located(lambda a, s: distrax.MixtureOfTwo(0.3, distrax.Normal(a, s), distrax.Laplace(a, 2.0))),
    "Independent": Case(lambda a, s: distrax.Independent(distrax.Laplace(a, s), 1), (LOCS, SCALES), PLANE),
    "Transformed": located(
        lambda a, s: distrax.Transformed(
            distrax.Normal(a, s), distrax.Chain([distrax.ScalarAffine(a, s), distrax.Lambda(jnp.exp)])
        ),
        [1.2, 2.0, 3.5],
    ),
}


@pytest.mark.parametrize("name", DISTRAX)
def test_distrax_says_what_its_record_says(name):
    both_precisions(DISTRAX[name])


# --- TFP ---------------------------------------------------------------------------------------------------

tfp = pytest.importorskip("tensorflow_probability.substrates.jax")
tfd, tfb = tfp.distributions, tfp.bijectors


def tfd_mixture(loc, scale):
    """Two Gaussians."""
    return tfd.MixtureSameFamily(tfd.Categorical(probs=jnp.asarray([0.3, 0.7])), tfd.Normal(loc, scale))


def lower(factor):
    """As an operator."""
    return tfd.MultivariateNormalTriL(None, factor).scale


TFP = {
    "Normal": located(tfd.Normal),
    "Laplace": located(tfd.Laplace),
    "Logistic": located(tfd.Logistic),
    "Gumbel": located(tfd.Gumbel),
    "Cauchy": located(tfd.Cauchy),
    "StudentT": Case(tfd.StudentT, (SHAPE, LOC, SCALE), LINE),
    "GeneralizedNormal": Case(tfd.GeneralizedNormal, (LOC, SCALE, SHAPE), LINE),
    "ExpGamma": shaped(tfd.ExpGamma, LINE),
    "JohnsonSU": Case(tfd.JohnsonSU, (LOC, SHAPE, LOC, SCALE), LINE),
    "SinhArcsinh": Case(tfd.SinhArcsinh, (LOC, SCALE, LOC, SHAPE), LINE),
    "TruncatedNormal": Case(
        lambda a, s: tfd.TruncatedNormal(a, s, jnp.full_like(a, -2.0), jnp.full_like(a, jnp.inf)), (LOC, SCALE), LINE
    ),
    "TruncatedCauchy": Case(lambda a, s: tfd.TruncatedCauchy(a, s, a - 3.0, a + 4.0), (LOC, SCALE), LINE),
    "Exponential": Case(tfd.Exponential, (SHAPE,), POSITIVE),
    "Gamma": shaped(tfd.Gamma),
    "Gamma of log_rate": Case(lambda a, b: tfd.Gamma(a, log_rate=b), (SHAPE, LOC), POSITIVE),
    "Chi2": Case(tfd.Chi2, (SHAPE,), POSITIVE),
    "Chi": Case(tfd.Chi, (SHAPE,), POSITIVE),
    "InverseGamma": shaped(tfd.InverseGamma),
    "InverseGaussian": shaped(tfd.InverseGaussian),
    "LogNormal": located(tfd.LogNormal, POSITIVE),
    "HalfNormal": Case(tfd.HalfNormal, (SCALE,), POSITIVE),
    "Weibull": shaped(tfd.Weibull),
    "Pareto": Case(tfd.Pareto, (SHAPE, [0.2, 0.1]), POSITIVE),
    "GeneralizedPareto": Case(tfd.GeneralizedPareto, ([0.1, -0.5], SCALE, CHANCE), POSITIVE),
    "HalfCauchy": Case(tfd.HalfCauchy, ([0.1, -0.5], SCALE), POSITIVE),
    "HalfStudentT": Case(tfd.HalfStudentT, (SHAPE, [0.1, -0.5], SCALE), POSITIVE),
    "LogLogistic": located(tfd.LogLogistic, POSITIVE),
    "Uniform": Case(lambda low, width: tfd.Uniform(low, low + width), ([0.0, 0.1], [1.0, 1.5]), UNIT),
    "Beta": shaped(tfd.Beta, UNIT),
    "Kumaraswamy": shaped(tfd.Kumaraswamy, UNIT),
    "Triangular": Case(tfd.Triangular, ([0.0, -1.0], [1.5, 1.0], [0.5, 0.2]), UNIT),
    "LogitNormal": located(tfd.LogitNormal, UNIT),
    "RelaxedBernoulli": Case(lambda t, p: tfd.RelaxedBernoulli(t, probs=p), (SHAPE, CHANCE), UNIT),
    "VonMises": Case(tfd.VonMises, (LOC, SHAPE), LINE),
    "Poisson": Case(tfd.Poisson, (SHAPE,), COUNTS),
    "Poisson of log_rate": Case(lambda r: tfd.Poisson(log_rate=r), (LOC,), COUNTS),
    "Geometric": Case(lambda p: tfd.Geometric(probs=p), (CHANCE,), COUNTS),
    "Geometric of logits": Case(lambda p: tfd.Geometric(logits=p), (LOC,), COUNTS),
    "NegativeBinomial": Case(lambda n, p: tfd.NegativeBinomial(n, probs=p), (SHAPE, CHANCE), COUNTS),
    "NegativeBinomial of logits": Case(lambda n, p: tfd.NegativeBinomial(n, logits=p), (SHAPE, LOC), COUNTS),
    "Binomial": Case(lambda n, p: tfd.Binomial(n, probs=p), ([4.0, 7.0], CHANCE), COUNTS),
    "Binomial of logits": Case(lambda n, p: tfd.Binomial(n, logits=p), ([4.0, 7.0], LOC), COUNTS),
    "Bernoulli": Case(lambda p: tfd.Bernoulli(probs=p), (CHANCE,), [0.0, 1.0]),
    "BetaBinomial": Case(tfd.BetaBinomial, ([4.0, 7.0], SHAPE, SCALE), COUNTS),
    "Categorical": Case(lambda p: tfd.Categorical(logits=p), (LOGITS,), [0, 1, 2]),
    "OneHotCategorical": Case(lambda p: tfd.OneHotCategorical(probs=p), (PMFS,), [[1.0, 0, 0], [0, 0, 1.0]]),
    "Multinomial": Case(lambda p: tfd.Multinomial(3.0, logits=p), (LOGITS,), [[1.0, 0, 2.0], [0, 3.0, 0]]),
    "Dirichlet": Case(tfd.Dirichlet, (CONCENTRATIONS,), SIMPLEX),
    "MultivariateNormalDiag": Case(tfd.MultivariateNormalDiag, (LOCS, SCALES), PLANE),
    "MultivariateNormalTriL": Case(tfd.MultivariateNormalTriL, (LOCS, TRIANGLES), PLANE),
    "MultivariateNormalTriL of a covariance": Case(
        lambda loc, factor: tfd.MultivariateNormalFullCovariance(loc, covariance(factor)), (LOCS, TRIANGLES), PLANE
    ),
    "MultivariateNormalLinearOperator": Case(
        lambda loc, scale: tfd.MultivariateNormalDiagPlusLowRank(loc, scale, loc[:, None]), (LOCS, SCALES), PLANE
    ),
    "MultivariateStudentTLinearOperator": Case(
        lambda df, loc, factor: tfd.MultivariateStudentTLinearOperator(df, loc, lower(factor)),
        (SHAPE, LOCS, TRIANGLES),
        PLANE,
    ),
    "MixtureSameFamily": Case(tfd_mixture, (LOCS, SCALES), LINE),
    "Mixture": located(
        lambda a, s: tfd.Mixture(tfd.Categorical(logits=jnp.stack([a, s])), [tfd.Normal(a, s), tfd.Cauchy(a, s)])
    ),
    "Inflated": Case(lambda r: tfd.Inflated(tfd.Poisson(r), inflated_loc_probs=0.2), (SHAPE,), COUNTS),
    "Independent": Case(lambda a, s: tfd.Independent(tfd.Laplace(a, s), 1), (LOCS, SCALES), PLANE),
    "Sample": located(lambda a, s: tfd.Sample(tfd.Logistic(a, s), 2), PLANE),
    "TransformedDistribution": located(
        lambda a, s: tfd.TransformedDistribution(tfd.Normal(a, s), tfb.Chain([tfb.Shift(a), tfb.Exp()])),
        [0.5, 1.1, 2.7],
    ),
}


@pytest.mark.parametrize("name", TFP)
def test_tfp_says_what_its_record_says(name):
    both_precisions(TFP[name])


# --- What holds for all ------------------------------------------------------------------------------------

TABLES = {"distrax": DISTRAX, "tfp": TFP}


@pytest.mark.parametrize("library", TABLES)
def test_every_class_of_a_table_is_tested(library):
    tested = {name.partition(" ")[0].rstrip(",") for name in TABLES[library]}
    assert set(adapter(library).TABLE) - {"DistributionFromTFP"} == tested
