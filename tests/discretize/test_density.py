"""Log-densities of Gaussian mixtures, laid out for vector units, against scipy's; and the sort of few numbers."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from tensorflow_probability.substrates import jax as tfp

from divjax import divergences, numerics
from divjax.discretize.quadrature import quadrature
from divjax.distributions import resolve
from divjax.distributions.density import log_prob
from tests.marks import cases

tfd = tfp.distributions
LOC, SCALE, WEIGHTS = np.array([0.0, 3.0, -1.0]), np.array([1.0, 0.2, 4.0]), np.array([0.2, 0.5, 0.3])


@pytest.mark.parametrize("given", ["probs", "logits"])
@pytest.mark.parametrize(
    ("mixture", "categorical", "normal"),
    [
        (distrax.MixtureSameFamily, distrax.Categorical, distrax.Normal),
        (tfd.MixtureSameFamily, tfd.Categorical, tfd.Normal),
    ],
)
def test_mixtures_of_gaussians(mixture, categorical, normal, given):
    w = WEIGHTS if given == "probs" else np.log(WEIGHTS) + 0.7

    def at(x, scale):
        dist = mixture(
            categorical(**{given: jnp.asarray(w, jnp.float32)}), normal(jnp.asarray(LOC, jnp.float32), scale)
        )
        return log_prob(resolve(dist), x)

    x = np.linspace(-20.0, 20.0, 41).astype(np.float32)
    exact = special.logsumexp(stats.norm.logpdf(x[:, None], LOC, SCALE) + np.log(WEIGHTS), axis=1)
    np.testing.assert_allclose(at(x, jnp.asarray(SCALE, jnp.float32)), exact, rtol=3e-6)
    # One scale for all components, and points with axes of their own.
    exact = special.logsumexp(stats.norm.logpdf(x[:, None], LOC, 2.0) + np.log(WEIGHTS), axis=1)
    np.testing.assert_allclose(at(x[:40].reshape(8, 5), jnp.float32(2.0)).ravel(), exact[:40], rtol=3e-6)
    # So narrow that the slope in the scale would overflow, held: neither the value nor a slope is NaN.
    slope = jax.grad(lambda scale: jnp.exp(at(jnp.float32([0.0, 16.0]), scale)).sum())(jnp.float32([1e-18, 1.0, 1.0]))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("size", [1, 33, 64, 65])
def test_a_few_numbers_are_sorted(size):
    x = np.random.default_rng(size).integers(-9, 9, size).astype(np.float32) / 4
    np.testing.assert_array_equal(numerics.sort_few(x), np.sort(x))
    np.testing.assert_array_equal(jax.vmap(numerics.sort_few)(np.stack([x, -x]))[1], np.sort(-x))


@pytest.mark.parametrize("normal", [distrax.Normal, tfd.Normal])
def test_a_gaussian_as_a_polynomial_has_its_derivatives_of_every_order(normal, x64):
    """Of both parameters, and of points that move with them, against those of the textbook formula."""
    x, theta = np.array([-7.0, -0.3, 2.0, 30.0]), np.array([0.4, -0.7])

    def ours(theta):
        dist = normal(theta[0], jnp.exp(theta[1]))
        return log_prob(resolve(dist), x + jnp.sin(theta[0] * theta[1]))

    def textbook(theta):
        u = (x + jnp.sin(theta[0] * theta[1]) - theta[0]) * jnp.exp(-theta[1])
        return -0.5 * u * u - theta[1] - 0.5 * np.log(2.0 * np.pi)

    for _ in range(4):
        np.testing.assert_allclose(jax.jit(ours)(theta), jax.jit(textbook)(theta), rtol=1e-12, atol=1e-12)
        ours, textbook = jax.jacrev(ours), jax.jacrev(textbook)


@pytest.mark.parametrize("scale", cases([1e-9, 2e-8, 1e3], slow=[1e-9, 1e3]))
def test_hessian_in_a_scale_far_from_the_other(scale):
    """KL(N(0, 1) ‖ N(0, s)) = log s + 1 / (2 s²) − ½: its second derivative is 3 / s⁴ − 1 / s², near overflow too."""

    def kl(s):
        return divergences.kl(quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(0.0, s), crossings=0))

    exact = 3.0 / scale**4 - 1.0 / scale**2
    for second in (jax.hessian(kl), jax.grad(jax.grad(kl)), jax.jacfwd(jax.jacfwd(kl))):
        assert second(jnp.float32(scale)) == pytest.approx(exact, rel=3e-3)
