"""What is refused, and how."""

import distrax
import jax
import jax.numpy as jnp
import pytest
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions


def test_batched():
    with pytest.raises(ValueError, match=r"Expected an unbatched distribution; got batch_shape \(3,\)"):
        exact.kl(distrax.Normal(jnp.zeros(3), 1.0), distrax.Normal(0.0, 1.0))


def test_event_shapes():
    p = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
    with pytest.raises(ValueError, match=r"equal event shapes; got \(2,\) and \(\)"):
        exact.kl(p, distrax.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    "f", [exact.kl, exact.squared_hellinger, exact.l2, exact.wasserstein2, exact.fisher, exact.cauchy_schwarz]
)
def test_no_closed_form(f):
    with pytest.raises(NotImplementedError, match=r"got StudentT and Logistic.*quadrature.*dj.monte_carlo.*dj.bounds"):
        f(tfd.StudentT(3.0, 0.0, 1.0), distrax.Logistic(0.0, 1.0))


def test_no_closed_form_of_kl_between_mixtures():
    mixture = distrax.MixtureOfTwo(0.5, distrax.Normal(0.0, 1.0), distrax.Normal(3.0, 1.0))
    with pytest.raises(NotImplementedError, match="Mixture and Normal"):
        exact.kl(mixture, distrax.Normal(0.0, 1.0))
    with pytest.raises(NotImplementedError, match="Laplace"):
        exact.bounds.kl(mixture, distrax.Laplace(0.0, 1.0))


def test_arrays_are_no_distributions():
    with pytest.raises(TypeError, match=r"Expected p to be a distribution; got .*dj\.pmf\(log_p, log_q\)"):
        exact.kl(jnp.zeros(3), jnp.zeros(3))


@pytest.mark.parametrize(
    ("name", "parameter", "outside", "domain"),
    [
        ("renyi", "alpha", -0.1, r"\[0, inf\)"),
        ("tsallis", "alpha", float("nan"), r"\[0, inf\)"),
        ("alpha_divergence", "alpha", float("inf"), r"\(-inf, inf\)"),
        ("mmd2", "bandwidth", 0.0, r"\(0, inf\)"),
    ],
)
def test_parameters(name, parameter, outside, domain):
    p, q = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0)
    with pytest.raises(ValueError, match=f"Expected {parameter} in {domain}; got {outside:g}"):
        getattr(exact, name)(p, q, **{parameter: outside})
    with pytest.raises(ValueError, match=rf"scalar {parameter}; got shape \(2,\). Use jax.vmap"):
        getattr(exact, name)(p, q, **{parameter: jnp.ones(2)})


def test_families_by_a_shared_parameter():
    """Two Weibulls of one shape are an exponential family, of two shapes are not: only kl is left."""
    p, q = tfd.Weibull(1.5, 1.0), tfd.Weibull(2.0, 1.0)
    with pytest.raises(NotImplementedError, match="share the parameter"):
        exact.squared_hellinger(p, q)
    assert jnp.isfinite(exact.kl(p, q))


def test_a_shared_traced_parameter_is_seen():
    f = jax.jit(lambda k, s: exact.squared_hellinger(tfd.Weibull(k, 1.0), tfd.Weibull(k, s)))
    assert 0.0 < f(jnp.float32(2.0), jnp.float32(3.0)) < 1.0
