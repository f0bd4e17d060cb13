"""alpha: continuity, derivatives, identities; supports; infinities."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions


def two(build, p, q):
    """Built when called, so that the dtype is that of the test."""
    return tuple(lambda t=t: build(*jnp.array(t)) for t in (p, q))


PAIRS = {
    "normal": two(distrax.Normal, (0.3, 1.2), (-0.5, 2.0)),
    "gamma": two(distrax.Gamma, (2.0, 3.0), (3.0, 2.0)),
    "laplace": two(distrax.Laplace, (0.3, 1.2), (-0.5, 2.0)),
    "bernoulli": two(lambda x: distrax.Bernoulli(probs=x), (0.25,), (0.75,)),
    "mvn": (
        lambda: distrax.MultivariateNormalTri(jnp.array([0.0, 1.0]), jnp.array([[1.0, 0.0], [0.5, 2.0]])),
        lambda: distrax.MultivariateNormalTri(jnp.array([0.3, 0.2]), jnp.array([[1.5, 0.0], [-0.2, 0.7]])),
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("normal", "laplace") else pytest.mark.slow) for n in PAIRS]
)
def test_alpha_is_smooth_through_0_and_1(name):
    p, q = (build() for build in PAIRS[name])
    with_gradient = jax.jit(jax.vmap(jax.value_and_grad(lambda a: exact.alpha_divergence(p, q, alpha=a))))
    for limit, value in ((0.0, exact.reverse_kl(p, q)), (1.0, exact.kl(p, q))):
        h = 1e-4
        alphas = jnp.array([limit - h, limit, limit + h, limit - 1e-9, limit + 1e-9])
        values, slopes = with_gradient(alphas)
        np.testing.assert_allclose(values[1], value, rtol=1e-12)
        np.testing.assert_allclose(values[3:], value, rtol=1e-7)
        np.testing.assert_allclose(slopes[1], (values[2] - values[0]) / (2 * h), rtol=1e-5)
        np.testing.assert_allclose(slopes[3:], slopes[1], rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("order", [0.25, 0.5, 1.5])
def test_one_integral_behind_all(order):
    p, q = (build() for build in PAIRS["normal"])
    integral = 1 - order * (1 - order) * exact.alpha_divergence(p, q, alpha=order)
    np.testing.assert_allclose(exact.renyi(p, q, alpha=order), jnp.log(integral) / (order - 1), rtol=1e-12)
    np.testing.assert_allclose(exact.tsallis(p, q, alpha=order), (integral - 1) / (order - 1), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_named_orders():
    p, q = (build() for build in PAIRS["normal"])
    alpha = lambda a: exact.alpha_divergence(p, q, alpha=a)  # noqa: E731
    np.testing.assert_allclose(exact.squared_hellinger(p, q), alpha(0.5) / 4, rtol=1e-12)
    np.testing.assert_allclose(exact.bhattacharyya(p, q), -jnp.log1p(-alpha(0.5) / 4), rtol=1e-12)
    np.testing.assert_allclose(exact.pearson_chi2(p, q), 2 * alpha(2.0), rtol=1e-12)
    np.testing.assert_allclose(exact.neyman_chi2(q, p), exact.pearson_chi2(p, q), rtol=1e-12)
    np.testing.assert_allclose(exact.jeffreys(p, q), alpha(1.0) + alpha(0.0), rtol=1e-12)
    for f in (exact.renyi, exact.tsallis):
        np.testing.assert_allclose(f(p, q, alpha=1.0), exact.kl(p, q), rtol=1e-12)
    assert exact.renyi(p, q, alpha=0.0) == 0.0


def test_uniforms():
    """Overlap of ½ of p and ⅓ of q."""
    p, q = distrax.Uniform(0.0, 2.0), distrax.Uniform(1.0, 4.0)
    affinity = 1 / np.sqrt(6)
    np.testing.assert_allclose(exact.bhattacharyya(p, q), -np.log(affinity), rtol=1e-6)
    np.testing.assert_allclose(exact.squared_hellinger(p, q), 1 - affinity, rtol=1e-6)
    np.testing.assert_allclose(exact.renyi(p, q, alpha=0.0), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(exact.l2(p, q), 1 / 2 + 1 / 3 - 2 / 6, rtol=1e-6)
    assert exact.kl(p, q) == exact.reverse_kl(p, q) == exact.pearson_chi2(p, q) == jnp.inf
    inner, outer = distrax.Uniform(1.0, 2.0), distrax.Uniform(0.0, 4.0)
    np.testing.assert_allclose(exact.kl(inner, outer), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(exact.pearson_chi2(inner, outer), 3.0, rtol=1e-6)
    assert exact.reverse_kl(inner, outer) == jnp.inf
    apart = distrax.Uniform(5.0, 6.0)
    assert exact.bhattacharyya(p, apart) == exact.renyi(p, apart, alpha=0.5) == jnp.inf
    assert exact.squared_hellinger(p, apart) == 1.0
    np.testing.assert_allclose(exact.alpha_divergence(p, apart, alpha=0.25), 1 / (0.25 * 0.75), rtol=1e-6)
    np.testing.assert_allclose(exact.l2(p, apart), 1.5, rtol=1e-6)


def test_zero_probabilities():
    p = distrax.Categorical(probs=jnp.array([0.5, 0.5, 0.0]))
    q = distrax.Categorical(probs=jnp.array([0.25, 0.25, 0.5]))
    renyi0 = lambda p, q: exact.renyi(p, q, alpha=0.0)  # noqa: E731
    measures = (exact.kl, exact.reverse_kl, renyi0, exact.squared_hellinger, exact.l2)
    got = jax.jit(lambda: [f(p, q) for f in measures])()
    expected = [np.log(2), np.inf, np.log(2), 1 - 2 * np.sqrt(0.125), 2 / 16 + 1 / 4]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_pareto_tails():
    """P starts where Q already is: KL is finite one way only."""
    p, q = tfd.Pareto(3.0, 2.0), tfd.Pareto(2.0, 1.0)
    np.testing.assert_allclose(exact.kl(p, q), np.log(1.5) + 2 * np.log(2) + 2 / 3 - 1, rtol=1e-6)
    assert exact.kl(q, p) == jnp.inf


def test_divergent_integrals_are_infinite():
    narrow, wide = distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.5)
    assert exact.pearson_chi2(wide, narrow) == jnp.inf
    assert jnp.isfinite(exact.pearson_chi2(narrow, wide))
    assert exact.renyi(wide, narrow, alpha=2.0) == exact.alpha_divergence(wide, narrow, alpha=2.0) == jnp.inf
    gradient = jax.grad(lambda s: exact.pearson_chi2(distrax.Normal(0.0, s), narrow))(1.5)
    assert not jnp.isnan(gradient)


@pytest.mark.parametrize("name", PAIRS)
def test_equal_distributions(name):
    p = PAIRS[name][0]()
    measures = (exact.kl, exact.pearson_chi2, exact.l2)
    assert max(jax.jit(lambda: [abs(f(p, p)) for f in measures])()) < 1e-12
