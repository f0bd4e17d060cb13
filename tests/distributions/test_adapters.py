"""Objects of other libraries: their records say what they say, alone, compiled and mapped over."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax.distributions.density import log_prob, profile, support, tails
from divjax.distributions.resolve import resolve
from divjax.models.flows import init_spline_flow, spline_flow
from divjax.models.laws import HeldNormal, Mixture, StudentT


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


def check(case: Case, *, log_prob_of: Callable = lambda d, x: d.log_prob(x), jit=jax.jit, vmap=jax.vmap):
    """What the record says is what the object says: alone, compiled, and of every member of a batch."""
    x, params = jnp.asarray(case.x), [jnp.asarray(of, float) for of in case.params]
    members = [case.build(*(of[i] for of in params)) for i in range(2)]
    expected = np.stack([np.asarray(log_prob_of(member, x)) for member in members])
    assert np.all(np.isfinite(expected))

    def of_record(dist):
        return log_prob(resolve(dist), x)

    close(of_record(members[0]), expected[0])
    close(jit(of_record)(members[1]), expected[1])
    # Inside, a distribution that was built of all parameters may still say that it is a batch.
    close(jit(vmap(of_record))(vmap(case.build)(*params)), expected)
    with jax.enable_x64(True):  # noqa: FBT003
        member = case.build(*(jnp.asarray(of[0], float) for of in case.params))
        x = jnp.asarray(case.x)
        close(log_prob(resolve(member), x), log_prob_of(member, x), 1e-9)


def close(got, want, rtol=1e-5):
    """Up to rounding."""
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


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
    check(DISTRAX[name])


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


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
@pytest.mark.parametrize("name", TFP)
def test_tfp_says_what_its_record_says(name):
    check(TFP[name])


# --- What holds for all ------------------------------------------------------------------------------------

TABLES = {"distrax": DISTRAX, "tfp": TFP}


@pytest.mark.parametrize("library", TABLES)
def test_every_class_of_a_table_is_tested(library):
    assert classes_of(TABLES[library]) == set(adapter(library).TABLE) - {"DistributionFromTFP"}


def classes_of(cases):
    """The classes, whose name a case begins with."""
    return {name.partition(" ")[0].rstrip(",") for name in cases}


class Louder(distrax.Normal):
    """Not normal any more."""

    def log_prob(self, value):
        return -(jnp.abs(value) ** 3)


class Shifted(distrax.Normal):
    """Still normal, of parameters of its own."""

    def __init__(self, loc):
        super().__init__(loc + 1.0, 2.0)


class Doubled(tfd.Gamma):
    """No gamma law."""

    def _log_prob(self, x):
        return 2.0 * tfd.Gamma(self.concentration, self.rate).log_prob(x)


def test_a_log_prob_of_ones_own_is_kept():
    x = jnp.asarray(POSITIVE)
    for dist in (Louder(0.0, 1.0), Doubled(2.0, 1.0)):
        p = resolve(dist)
        assert p.name == type(dist).__name__
        close(log_prob(p, x), dist.log_prob(x))


def test_a_subclass_without_one_is_what_its_parent_is():
    assert resolve(Shifted(0.5)).name == "Normal"
    close(log_prob(resolve(Shifted(0.5)), jnp.asarray(LINE)), distrax.Normal(1.5, 2.0).log_prob(jnp.asarray(LINE)))


def test_what_distrax_was_given_of_tfp_is_resolved():
    for dist in (tfd.Normal(0.3, 1.2), tfd.Gamma(2.0, 1.5)):
        assert resolve(distrax.as_distribution(dist)).name == type(dist).__name__


def test_a_tfp_bijector_in_a_distrax_flow():
    dist = distrax.Transformed(distrax.Normal(0.3, 1.2), tfb.Softplus())
    close(log_prob(resolve(dist), jnp.asarray(POSITIVE)), dist.log_prob(jnp.asarray(POSITIVE)))
    low, high = support(resolve(dist))
    assert float(low) == 0.0
    assert high == np.inf


def test_weights_stay_what_they_were_given_as():
    probs = resolve(
        distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.ones(2) / 2), distrax.Normal(jnp.zeros(2), 1.0))
    )
    logits = resolve(tfd.MixtureSameFamily(tfd.Categorical(logits=jnp.zeros(2)), tfd.Normal(jnp.zeros(2), 1.0)))
    assert probs.params.logits is None
    assert logits.params.probs is None


def test_a_class_without_a_record_is_served_by_its_own_methods():
    dist = tfd.PERT(0.0, 1.0, 3.0)
    p = resolve(dist)
    assert p.name == "PERT"
    assert [float(end) for end in support(p)] == [0.0, 3.0]
    close(profile(p).center, jnp.ravel(dist.mean()))
    with pytest.raises(TypeError, match="Expected a distribution with a distribution function; got NormalInv"):
        tails(resolve(tfd.NormalInverseGaussian(0.0, 1.0, 1.0, 0.0)), jnp.asarray(LINE))


def test_a_joint_distribution_is_refused():
    with pytest.raises(TypeError, match="Expected a distribution of one array; got JointDistributionSequential"):
        resolve(tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)]))


def test_a_mixture_of_what_has_no_record():
    dist = distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.ones(2) / 2), Louder(jnp.zeros(2), 1.0))
    close(log_prob(resolve(dist), jnp.asarray(LINE)), dist.log_prob(jnp.asarray(LINE)))


# --- The library's own models ------------------------------------------------------------------------------


MODELS = {
    "Mixture": Case(
        lambda loc, scale: Mixture(distrax.Categorical(logits=loc), distrax.Normal(loc, scale)), (LOCS, SCALES), LINE
    ),
    "HeldNormal": located(HeldNormal),
    "StudentT": Case(StudentT, (SHAPE, LOC, SCALE), LINE),
    "SplineFlow": Case(
        lambda loc, log_scale, spline: spline_flow({"loc": loc, "log_scale": log_scale, "spline": spline}),
        (LOC, SCALE, [[0.3, -0.2, 0.5, 0.1, 0.0, -0.4, 0.2], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]),
        LINE,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_what_its_record_says(name):
    case = MODELS[name]
    check(case)
    first = case.build(*(jnp.asarray(of[0]) for of in case.params))
    assert resolve(first).name == {"HeldNormal": "Normal", "SplineFlow": "Transformed"}.get(name, name)


def test_every_model_is_tested():
    assert classes_of(MODELS) == set(adapter("models").TABLE)


def test_panels_end_on_the_knots_of_a_spline():
    flow = spline_flow(init_spline_flow(num_bins=4, loc=1.0, scale=2.0))
    close(profile(resolve(flow)).kinks, 1.0 + 2.0 * jnp.linspace(-4.0, 4.0, 5))
