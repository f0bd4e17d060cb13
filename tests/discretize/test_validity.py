"""Pathwise gradients where they would be wrong are refused; where they are right, they are right at edges too."""

import functools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from tests.marks import cases

tfd = tfp.distributions
KEY, KEYS = jax.random.key(0), jax.random.split(jax.random.key(5), 300)
NORMAL = distrax.Normal(0.0, 1.0)
PLANE = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))


def product_of_mixtures(w):
    parts = distrax.Normal(jnp.tile(jnp.array([0.0, 3.0]), (2, 1)), 1.0)
    weights = distrax.Categorical(probs=jnp.tile(jnp.stack([w, 1 - w]), (2, 1)))
    return distrax.Independent(distrax.MixtureSameFamily(weights, parts), 1)


SQUARE = distrax.Transformed(
    distrax.Independent(distrax.Uniform(jnp.zeros(2), jnp.ones(2)), 1), distrax.Block(distrax.ScalarAffine(0.0, 2.0), 1)
)
STEP = distrax.MixtureOfTwo(0.5, distrax.Uniform(0.0, 1.0), distrax.Normal(0.0, 1.0))
STEPS = tfd.Mixture(tfd.Categorical(probs=[0.5, 0.5]), [tfd.Uniform(0.0, 1.0), tfd.Normal(0.0, 1.0)])
STAIRS = distrax.MixtureSameFamily(
    distrax.Categorical(probs=jnp.array([0.5, 0.5])), distrax.Uniform(jnp.zeros(2), jnp.array([1.0, 0.8]))
)
REFUSED = {
    "mixtures drawn by their own sampler": (product_of_mixtures(0.3), product_of_mixtures(0.6)),
    "a square from a map": (SQUARE, PLANE),
    "an end inside a mixture": (STEP, NORMAL),
    "an end inside a tfp mixture": (STEPS, NORMAL),
    "ends of components": (STAIRS, distrax.Uniform(0.0, 1.0)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pathwise_is_refused(name):
    p, q = REFUSED[name]
    with pytest.raises(ValueError, match="gradient='score'"):
        dj.monte_carlo(KEY, p, q, num_draws=64)
    assert np.isfinite(dj.squared_hellinger(dj.monte_carlo(KEY, p, q, num_draws=64, gradient="score")))


MIXTURES = {
    "distrax": lambda w: distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.stack([1 - w, w])), distrax.Normal(jnp.array([0.0, 1.0]), jnp.array([1.0, 0.8]))
    ),
    "tfp": lambda w: tfd.MixtureSameFamily(
        tfd.Categorical(probs=jnp.stack([1 - w, w])), tfd.Normal(jnp.array([0.0, 1.0]), jnp.array([1.0, 0.8]))
    ),
    "of two": lambda w: distrax.MixtureOfTwo(1 - w, distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 0.8)),
}


@pytest.mark.parametrize(
    ("name", "w"),
    [pytest.param(name, 0.0, marks=pytest.mark.slow) for name in MIXTURES]
    + cases([(name, 0.4) for name in MIXTURES], slow=[("tfp", 0.4), ("of two", 0.4)]),
)
def test_weights_of_zero_have_the_right_gradient(name, w):
    """d KL(p‖q_w)/dw = −∫ p (c₁ − c₀)/q_w, by scipy."""
    p, c0, c1 = st.norm(0.3, 0.9), st.norm(0, 1), st.norm(1, 0.8)

    def integrand(x):
        return -p.pdf(x) * (c1.pdf(x) - c0.pdf(x)) / ((1 - w) * c0.pdf(x) + w * c1.pdf(x))

    truth = scipy.integrate.quad(integrand, -20, 20, limit=200)[0]
    target = distrax.Normal(0.3, 0.9)
    loss = lambda w, key: dj.kl(dj.monte_carlo(key, target, MIXTURES[name](w), num_draws=256))  # noqa: E731
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(w, KEYS), np.float64)
    assert abs(slopes.mean() - truth) < 4 * slopes.std() / np.sqrt(len(KEYS))
    exact = jax.jit(jax.grad(lambda w: dj.kl(dj.quadrature(target, MIXTURES[name](w)))))(w)
    assert float(exact) == pytest.approx(truth, rel=1e-5)


@pytest.mark.slow
def test_an_infinite_value_has_a_gradient():
    p = distrax.Normal(0.0, 1e-20)
    for estimator in (
        functools.partial(dj.variational.reverse_kl_stl, num_draws=16),
        functools.partial(dj.variational.iwae, num_groups=16, num_particles=4),
    ):
        value, slope = jax.value_and_grad(lambda w, f=estimator: f(KEY, p, MIXTURES["distrax"](w)))(0.5)
        assert value == np.inf
        assert not np.isnan(slope)


@pytest.mark.slow
@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4])
def test_chernoff_of_nearly_equal_distributions(eps):
    """(eps)²/8; in float32 what the rounding of the log-densities allows, and never further off than the error says."""
    found = estimate_chernoff(jnp.asarray(eps))
    assert abs(float(found.value) - eps**2 / 8) <= max(float(found.stderr), 2e-3 * eps**2)
    draws = estimate_drawn_chernoff(jnp.asarray(eps), KEYS)
    z = (np.asarray(draws.value) - eps**2 / 8) / np.asarray(draws.stderr)
    assert 0.8 < z.std() < 1.25
    assert abs(z.mean()) < 0.5


@jax.jit
def estimate_chernoff(eps):
    return dj.estimate(dj.chernoff, dj.quadrature(NORMAL, distrax.Normal(eps, 1.0)))


@jax.jit
def estimate_drawn_chernoff(eps, keys):
    one = lambda key: dj.estimate(dj.chernoff, dj.monte_carlo(key, NORMAL, distrax.Normal(eps, 1.0), num_draws=512))  # noqa: E731
    return jax.vmap(one)(keys)


@pytest.mark.parametrize("eps", [1e-2, 1e-4])
def test_the_error_is_that_of_the_terms_near_equality(eps):
    one = lambda key: dj.estimate(dj.kl, dj.monte_carlo(key, NORMAL, distrax.Normal(eps, 1.0), num_draws=512))  # noqa: E731
    found = jax.jit(jax.vmap(one))(KEYS)
    assert np.sqrt(np.mean(found.stderr**2)) == pytest.approx(np.std(found.value), rel=0.25)
