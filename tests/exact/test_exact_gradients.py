"""Gradients against central differences in float64; jit and vmap over parameters."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions
TRIL = lambda t: jnp.array([[1.0, 0.0], [0.0, 0.0]]) * t[2] + jnp.array([[0.0, 0.0], [1.0, 0.0]]) * t[3]  # noqa: E731
mvn = lambda t: distrax.MultivariateNormalTri(t[:2], TRIL(t) + jnp.diag(jnp.array([0.0, 1.0])) * t[4])  # noqa: E731
BUILDERS = {
    "normal": (lambda t: distrax.Normal(t[0], t[1]), (0.3, 1.2), (-0.5, 2.0)),
    "gamma": (lambda t: distrax.Gamma(t[0], t[1]), (2.25, 3.5), (3.0, 3.0)),
    "laplace": (lambda t: distrax.Laplace(t[0], t[1]), (0.3, 1.2), (-0.5, 2.0)),
    "von_mises": (lambda t: distrax.VonMises(t[0], t[1]), (0.3, 0.4), (-0.5, 2.0)),
    "categorical": (lambda t: tfd.Categorical(logits=t), (0.3, 0.4, 0.0), (-0.5, 2.0, 1.0)),
    "mvn": (mvn, (0.0, 1.0, 1.0, 0.5, 1.0), (0.3, 0.2, 1.5, -0.2, 0.9)),
}
MEASURES = {
    "kl": exact.kl,
    "renyi": lambda p, q: exact.renyi(p, q, alpha=0.7),
    "pearson_chi2": exact.pearson_chi2,
    "l2": exact.l2,
}
GEOMETRY = {
    "wasserstein2": exact.wasserstein2,
    "fisher": exact.fisher,
    "mmd2": lambda p, q: exact.mmd2(p, q, bandwidth=0.7),
}


def compare(build, measures, theta):
    """The gradient of a weighted sum of the measures and its central difference along one direction."""
    half = theta.shape[0] // 2

    def f(theta):
        p, q = build(theta[:half]), build(theta[half:])
        return sum((1.0 + 0.3 * k) * measure(p, q) for k, measure in enumerate(measures.values()))

    direction = jnp.cos(jnp.arange(theta.shape[0], dtype=theta.dtype))
    run, h = jax.jit(jax.value_and_grad(f)), 1e-5
    (up, _), (down, _) = run(theta + h * direction), run(theta - h * direction)
    _, gradient = run(theta)
    np.testing.assert_allclose(gradient @ direction, (up - down) / (2 * h), rtol=1e-7, atol=1e-9)


SLOW = ("von_mises", "laplace", "mvn", "categorical")
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in BUILDERS]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    build, p, q = BUILDERS[name]
    compare(build, MEASURES | (GEOMETRY if name in ("normal", "mvn") else {}), jnp.array(p + q))


@pytest.mark.usefixtures("x64")
def test_hessian_of_bures():
    """Second derivatives too, which a frozen rotation alone would get wrong."""
    _, p, q = BUILDERS["mvn"]

    def f(t):
        return exact.wasserstein2(mvn(t[:5]), mvn(t[5:]))

    theta, direction = jnp.array(p + q), jnp.cos(jnp.arange(10.0))
    run, h = jax.jit(jax.grad(f)), 1e-5
    _, hv = jax.jvp(run, (theta,), (direction,))
    difference = (run(theta + h * direction) - run(theta - h * direction)) / (2 * h)
    np.testing.assert_allclose(hv, difference, rtol=1e-6, atol=1e-8)


def test_gradients_where_p_is_q():
    """No NaN from equal eigenvalues, square roots or logarithms at the minimum."""
    theta = jnp.array([0.0, 1.0, 1.0, 0.0, 1.0])

    def f(t):
        measures = (exact.kl, exact.wasserstein2, exact.fisher)
        return sum(g(mvn(t), mvn(theta)) for g in measures)

    value, gradient = jax.jit(jax.value_and_grad(f))(theta)
    assert abs(value) < 1e-6
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)


def test_vmap_over_parameters():
    p = distrax.Normal(0.0, 1.0)
    loc = jnp.linspace(-2.0, 2.0, 5)
    values = jax.jit(jax.vmap(lambda m: exact.kl(p, distrax.Normal(m, 1.0))))(loc)
    np.testing.assert_allclose(values, loc**2 / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["l2", "cauchy_schwarz", "mmd2"])
def test_a_component_of_weight_0_has_a_derivative(name):
    """In its weight, against differences to the inside."""
    components, q = distrax.Normal(jnp.array([0.0, 2.0, 5.0]), jnp.array([1.0, 0.5, 1.0])), distrax.Normal(1.0, 2.0)
    measure = {"l2": exact.l2, "cauchy_schwarz": exact.cauchy_schwarz, "mmd2": GEOMETRY["mmd2"]}[name]

    @jax.jit
    @jax.value_and_grad
    def f(w):
        return measure(distrax.MixtureSameFamily(distrax.Categorical(probs=w), components), q)

    w, h = jnp.array([0.4, 0.6, 0.0]), jnp.array([0.0, 0.0, 1e-6])
    (value, slopes), (above, _) = f(w), f(w + h)
    np.testing.assert_allclose(slopes[2], (above - value) / 1e-6, rtol=1e-4)
