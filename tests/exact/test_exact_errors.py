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
    with pytest.raises(NotImplementedError, match=r"got StudentT and Logistic.*dj.quadrature.*dj.Nodes.*dj.bounds"):
        f(tfd.StudentT(3.0, 0.0, 1.0), distrax.Logistic(0.0, 1.0))


def test_no_closed_form_of_kl_between_mixtures():
    mixture = distrax.MixtureOfTwo(0.5, distrax.Normal(0.0, 1.0), distrax.Normal(3.0, 1.0))
    with pytest.raises(NotImplementedError, match="MixtureOfTwo and Normal"):
        exact.kl(mixture, distrax.Normal(0.0, 1.0))
    with pytest.raises(NotImplementedError, match="Laplace"):
        exact.bounds.kl(mixture, distrax.Laplace(0.0, 1.0))


def test_families_by_a_shared_parameter():
    """Two Weibulls of one shape are an exponential family, of two shapes are not: only kl is left."""
    p, q = tfd.Weibull(1.5, 1.0), tfd.Weibull(2.0, 1.0)
    with pytest.raises(NotImplementedError, match="share the parameter"):
        exact.squared_hellinger(p, q)
    assert jnp.isfinite(exact.kl(p, q))


def test_a_shared_traced_parameter_is_seen():
    f = jax.jit(lambda k, s: exact.squared_hellinger(tfd.Weibull(k, 1.0), tfd.Weibull(k, s)))
    assert 0.0 < f(jnp.float32(2.0), jnp.float32(3.0)) < 1.0
