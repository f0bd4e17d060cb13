"""Autoencoders whose networks are affine: x is Gaussian then, and its posterior too, both in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from divjax import models, variational

DIM, SCALE = 4, 0.5


def exact():
    """One latent, affine networks, and the encoder that is the posterior."""
    params = models.init_autoencoder(jax.random.key(0), dim=DIM, latent=1, hidden=(), scale=SCALE)
    weight, bias = params.decoder[0].weight[0], jnp.asarray([1.0, 0.0, -1.0, 2.0])
    precision = 1.0 + jnp.sum(weight**2) / SCALE**2
    gain = weight / SCALE**2 / precision
    encoder = models.Layer(
        jnp.stack([gain, jnp.zeros(DIM)], axis=1), jnp.asarray([-gain @ bias, -0.5 * jnp.log(precision)])
    )
    return params._replace(encoder=(encoder,), decoder=(models.Layer(weight[None], bias),))


def log_p(params, x):
    weight, bias = (np.asarray(part, np.float64) for part in params.decoder[0])
    return multivariate_normal.logpdf(np.asarray(x), bias, weight.T @ weight + SCALE**2 * np.eye(DIM))


def test_the_bound_is_reached_by_the_posterior_for_every_draw_on_average():
    params, x = exact(), jnp.asarray([0.3, 0.1, -1.2, 2.5])
    bounds = jax.vmap(lambda key: models.elbo(key, params, x))(jax.random.split(jax.random.key(1), 20_000))
    assert abs(bounds.mean() - log_p(params, x)) < 4.0 * bounds.std() / 20_000**0.5


def test_importance_weights_give_the_likelihood_whatever_the_encoder():
    params, x = exact(), jnp.asarray([0.3, 0.1, -1.2, 2.5])
    wide = params._replace(encoder=(params.encoder[0]._replace(bias=jnp.asarray([0.0, 0.0])),))
    keys = jax.random.split(jax.random.key(2), 50)

    def bound(key):
        joint, q = models.Joint(wide, x), models.encode(wide, x)
        return -variational.iwae(key, joint, q, num_groups=1, num_particles=2000)

    found = jax.vmap(bound)(keys)
    assert abs(found.mean() - log_p(params, x)) < 4.0 * found.std() / 50**0.5 + found.var()
    loose = jax.vmap(lambda key: models.elbo(key, wide, x))(jax.random.split(jax.random.key(3), 5000))
    assert loose.mean() + 4.0 * loose.std() / 5000**0.5 < log_p(params, x)


def test_draws_of_the_decoder_have_the_moments():
    params = exact()
    latent, pixels = jax.random.split(jax.random.key(4))
    z = models.latent_prior(params).sample(seed=latent, sample_shape=(100_000,))
    x = np.asarray(models.decode(params, z).sample(seed=pixels), np.float64)
    weight, bias = (np.asarray(part, np.float64) for part in params.decoder[0])
    covariance = weight.T @ weight + SCALE**2 * np.eye(DIM)
    np.testing.assert_array_less(np.abs(x.mean(0) - bias), 4.5 * (np.diag(covariance) / len(x)) ** 0.5)
    spread = (np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / len(x)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - covariance), 4.5 * spread**0.5)


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"latent": 0}, {"hidden": (0,)}, {"scale": 0.0}])
def test_bad_sizes(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Expected {name} >=? [01]; got"):
        models.init_autoencoder(jax.random.key(0), **({"dim": 2, "latent": 1} | wrong))
