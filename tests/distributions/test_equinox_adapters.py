"""Objects of flowjax, distreqx and efax: their records say what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

from divjax.distributions.density import log_prob
from divjax.distributions.resolve import resolve
from tests.distributions.test_adapters import (
    CHANCE,
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
from tests.distributions.test_more_adapters import library, needs

eqx = library("equinox")
fd, ff, fb = (library(f"flowjax.{name}") for name in ("distributions", "flows", "bijections"))
dd, db = (library(f"distreqx.{name}") for name in ("distributions", "bijectors"))
efax = library("efax")
HALVES = [0.0, 1.0]

# --- flowjax -----------------------------------------------------------------------------------------------

FLOWJAX = {} if fd is None else {
    **{name: located(getattr(fd, name)) for name in ("Normal", "Gumbel", "Cauchy", "Laplace", "Logistic")},
    "Normal of a plane": Case(fd.Normal, (LOCS, SCALES), PLANE),
    "Uniform": Case(fd.Uniform, ([0.0, 0.1], [1.0, 1.5]), UNIT),
    "StudentT": Case(fd.StudentT, (SHAPE, LOC, SCALE), LINE),
    "Exponential": Case(fd.Exponential, (SHAPE,), POSITIVE),
    "Gamma": shaped(fd.Gamma),
    "Beta": shaped(fd.Beta, UNIT),
    "LogNormal": located(fd.LogNormal, POSITIVE),
    "MultivariateNormal": Case(lambda a, f: fd.MultivariateNormal(a, covariance(f)), (LOCS, TRIANGLES), PLANE),
    "VmapMixture": Case(
        lambda a, s: fd.VmapMixture(eqx.filter_vmap(fd.Normal)(a, s), jnp.ones(2)), (LOCS, SCALES), LINE
    ),
    "AbstractTransformed": located(
        lambda a, s: fd.Transformed(fd.Normal(a, s), fb.Chain([fb.Affine(a, s), fb.Exp()])), POSITIVE
    ),
}  # fmt: skip
FLOWS = ("masked_autoregressive_flow", "coupling_flow", "planar_flow", "block_neural_autoregressive_flow")


@needs(fd)
@pytest.mark.parametrize("name", FLOWJAX or [""])
def test_flowjax_says_what_its_record_says(name):
    check(FLOWJAX[name], jit=eqx.filter_jit, vmap=eqx.filter_vmap)


@needs(fd)
@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_says_what_its_record_says(name):
    flow = getattr(ff, name)(jax.random.key(0), base_dist=fd.StandardNormal((2,)), flow_layers=2)
    x, p = jnp.asarray(PLANE), resolve(flow)
    assert p.event_shape == (2,)
    close(log_prob(p, x), flow.log_prob(x))
    close(jax.jit(log_prob)(p, x), flow.log_prob(x))


@needs(fd)
def test_a_conditional_flow_is_refused():
    flow = ff.coupling_flow(jax.random.key(0), base_dist=fd.StandardNormal((2,)), cond_dim=1)
    with pytest.raises(TypeError, match="Expected a distribution of one variable; got a conditional Transformed"):
        resolve(flow)


@needs(fd)
def test_every_class_of_flowjax_in_the_table_is_tested():
    standard = {name for name in adapter("flowjax").TABLE if name.startswith("Standard")}
    assert set(adapter("flowjax").TABLE) - standard == classes_of(FLOWJAX)
    for dist in (
        fd.Uniform(0.0, 1.0),
        fd.StudentT(3.0),
        fd.Gamma(2.0, 1.0),
        fd.Exponential(),
        fd.Normal(),
        fd.Cauchy(),
    ):
        close(log_prob(resolve(dist.base_dist), jnp.asarray(UNIT)), dist.base_dist.log_prob(jnp.asarray(UNIT)))


# --- distreqx ----------------------------------------------------------------------------------------------


def distreqx_mixture(loc, scale):
    """Two Gaussians."""
    return dd.MixtureSameFamily(dd.Categorical(probs=jnp.asarray([0.3, 0.7])), dd.Normal(loc, scale))


DISTREQX = {} if dd is None else {
    "Normal": located(dd.Normal),
    "Logistic": located(dd.Logistic),
    "Gamma": shaped(dd.Gamma),
    "Beta": shaped(dd.Beta, UNIT),
    "Uniform": Case(dd.Uniform, ([0.0, 0.1], [1.0, 1.5]), UNIT),
    "Bernoulli": Case(lambda p: dd.Bernoulli(probs=p), (CHANCE,), HALVES),
    "Categorical": Case(lambda p: dd.Categorical(probs=p), (PMFS,), [0, 1, 2]),
    "OneHotCategorical": Case(lambda p: dd.OneHotCategorical(logits=p), (LOGITS,), [[1.0, 0, 0], [0, 0, 1.0]]),
    "MultivariateNormalDiag": Case(dd.MultivariateNormalDiag, (LOCS, SCALES), PLANE),
    "MultivariateNormalTri": Case(dd.MultivariateNormalTri, (LOCS, TRIANGLES), PLANE),
    "MultivariateNormalTri, upper": Case(
        lambda a, f: dd.MultivariateNormalTri(a, f.T, is_lower=False), (LOCS, TRIANGLES), PLANE
    ),
    "MultivariateNormalFullCovariance": Case(
        lambda a, f: dd.MultivariateNormalFullCovariance(a, covariance(f)), (LOCS, TRIANGLES), PLANE
    ),
    "MultivariateNormalFromBijector": Case(
        lambda a, f: dd.MultivariateNormalFromBijector(a, db.TriangularLinear(f)), (LOCS, TRIANGLES), PLANE
    ),
    "MixtureSameFamily": Case(distreqx_mixture, (LOCS, SCALES), LINE),
    "Independent": Case(lambda a, s: dd.Independent(dd.Logistic(a, s)), (LOCS, SCALES), PLANE),
    "Transformed": located(
        lambda a, s: dd.Transformed(dd.Normal(a, s), db.Chain([db.ScalarAffine(jnp.zeros(()), s), db.Sigmoid()])),
        [0.1, 0.3, 0.6],
    ),
}  # fmt: skip


@needs(dd)
@pytest.mark.parametrize("name", DISTREQX or [""])
def test_distreqx_says_what_its_record_says(name):
    check(DISTREQX[name], log_prob_of=lambda d, x: jax.vmap(d.log_prob)(x), jit=eqx.filter_jit, vmap=eqx.filter_vmap)


@needs(dd)
def test_every_class_of_distreqx_in_the_table_is_tested():
    assert set(adapter("distreqx").TABLE) == classes_of(DISTREQX)


# --- efax --------------------------------------------------------------------------------------------------

MINUS, MINUSES, ABOVE = [-1.4, -0.7], [[-1.4, -0.7], [-0.6, -2.0]], [0.0, 1.0, 3.0]
EFAX = {
    "NormalNP": ((LOC, MINUS), LINE),
    "NormalVP": ((LOC, SCALE), LINE),
    "NormalDP": ((LOC, SCALE), LINE),
    "UnitVarianceNormalNP": ((LOC,), LINE),
    "ExponentialNP": ((MINUS,), POSITIVE),
    "GammaNP": ((MINUS, SHAPE), POSITIVE),
    "GammaVP": ((SHAPE, SCALE), POSITIVE),
    "ChiSquareNP": ((SHAPE,), POSITIVE),
    "InverseGammaNP": ((MINUS, SHAPE), POSITIVE),
    "InverseGaussianNP": ((MINUS, MINUS), POSITIVE),
    "LogNormalNP": ((LOC, MINUS), POSITIVE),
    "UnitVarianceLogNormalNP": ((LOC,), POSITIVE),
    "RayleighNP": ((MINUS,), POSITIVE),
    "BetaNP": ((SCALES,), UNIT),
    "BernoulliNP": ((LOC,), HALVES),
    "BernoulliEP": ((CHANCE,), HALVES),
    "PoissonNP": ((LOC,), ABOVE),
    "PoissonEP": ((SHAPE,), ABOVE),
    "GeometricNP": ((MINUS,), ABOVE),
    "MultivariateDiagonalNormalNP": ((LOCS, MINUSES), PLANE),
    "MultivariateDiagonalNormalVP": ((LOCS, SCALES), PLANE),
    "IsotropicNormalNP": ((LOCS, MINUS), PLANE),
    "MultivariateUnitVarianceNormalNP": ((LOCS,), PLANE),
    "SoftplusNormalNP": ((LOC, MINUS), POSITIVE),
    "UnitVarianceSoftplusNormalNP": ((LOC,), POSITIVE),
    # Not in the table: by its other parametrisation.
    "NormalEP": ((LOC, SCALE), LINE),
}


def own_log_pdf(dist, x):
    """Some parametrisations have none."""
    return (dist if hasattr(dist, "log_pdf") else dist.to_nat()).log_pdf(x)


@needs(efax)
@pytest.mark.parametrize("name", EFAX)
def test_efax_says_what_its_record_says(name):
    params, x = EFAX[name]
    check(Case(getattr(efax, name), params, x), log_prob_of=own_log_pdf)


@needs(efax)
def test_what_efax_is_not_sure_of_is_what_scipy_says():
    """Its log_pdf of these depends on the type of a fixed parameter, and is NaN for some in double precision."""
    x, counts = jnp.asarray(POSITIVE), jnp.asarray(ABOVE)
    close(log_prob(resolve(efax.ChiNP(jnp.asarray(0.5))), x), st.chi(3.0).logpdf(x))
    weibull = efax.WeibullNP(jnp.asarray(2.5), jnp.asarray(-1.4))
    close(log_prob(resolve(weibull), x), st.weibull_min(2.5, scale=1.4 ** (-1 / 2.5)).logpdf(x))
    law = efax.NegativeBinomialNP(jnp.asarray(-0.3), jnp.asarray(3))
    close(log_prob(resolve(law), counts), st.nbinom(3, -np.expm1(-0.3)).logpmf(counts))


@needs(efax)
def test_multivariate_normals_of_efax():
    loc, cov, x = jnp.asarray(LOCS[0]), covariance(jnp.asarray(TRIANGLES[0])), jnp.asarray(PLANE)
    precision = jnp.linalg.inv(cov)
    natural = efax.MultivariateNormalNP(jnp.einsum("ij,j->i", precision, loc), -0.5 * precision)
    fixed = efax.MultivariateFixedVarianceNormalNP(loc, variance=jnp.asarray(1.4))
    for dist in (natural, fixed):
        close(log_prob(resolve(dist), x), dist.log_pdf(x))
    close(log_prob(resolve(efax.MultivariateNormalVP(loc, cov)), x), natural.log_pdf(x))
