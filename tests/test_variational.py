"""Sticking the landing, the importance-weighted bound and its doubly reparameterised gradient."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj

KEYS = jax.random.split(jax.random.key(0), 1000)
P = distrax.Normal(0.3, 1.2)
AT = jnp.array([0.5, 0.1])


def normal(theta):
    return distrax.Normal(theta[0], jnp.exp(theta[1]))


def mixture(theta):
    weights = distrax.Categorical(logits=jnp.stack([theta[0], -theta[0]]))
    return distrax.MixtureSameFamily(weights, distrax.Normal(jnp.stack([theta[1], 2.0]), jnp.array([1.0, 0.7])))


def z_scores(samples, truth):
    samples = np.asarray(samples, np.float64)
    return (samples.mean(0) - np.asarray(truth, np.float64)) / (samples.std(0, ddof=1) / np.sqrt(len(samples)))


def over_keys(loss, theta):
    return jax.jit(jax.vmap(lambda key: jax.value_and_grad(lambda t: loss(key, t))(theta)))(KEYS)


@pytest.mark.parametrize("model", [normal, pytest.param(mixture, marks=pytest.mark.slow)])
def test_sticking_the_landing_has_the_gradient_of_the_reverse_kl(model):
    truth = jax.jit(jax.value_and_grad(lambda t: dj.reverse_kl(dj.quadrature(P, model(t)))))(AT)
    value, slope = over_keys(lambda key, t: dj.variational.reverse_kl_stl(key, P, model(t), num_draws=64), AT)
    assert abs(z_scores(value, truth[0])) < 4.0
    assert np.abs(z_scores(slope, truth[1])).max() < 4.0


@pytest.mark.slow
def test_it_lands_without_noise_where_others_do_not():
    landed = jnp.array([0.3, np.log(1.2)])
    stl = jax.grad(lambda t: dj.variational.reverse_kl_stl(jax.random.key(1), P, normal(t), num_draws=64))(landed)
    plain = jax.grad(lambda t: dj.variational.iwae(jax.random.key(1), P, normal(t), num_groups=64, num_particles=1))(
        landed
    )
    assert np.abs(stl).max() < 1e-5 < 1e-2 < np.abs(plain).max()


@pytest.mark.slow
def test_one_particle_is_the_reverse_kl_and_more_fall_towards_zero():
    truth = float(dj.reverse_kl(dj.quadrature(P, normal(AT))))
    values = [
        over_keys(lambda key, t, k=k: dj.variational.iwae(key, P, normal(t), num_groups=16, num_particles=k), AT)[0]
        for k in (1, 4, 16)
    ]
    assert abs(z_scores(values[0], truth)) < 4.0
    errors = [np.std(value) / np.sqrt(len(KEYS)) for value in values]
    means = [np.mean(value) for value in values]
    assert means[0] > means[1] + 4 * errors[0] > means[2] + 4 * errors[0]
    assert means[2] > -4 * errors[2]


def test_two_particles_against_quadrature_over_both(x64):
    """−E log ½ (p/q(x₁) + p/q(x₂)) by a Gauss-Hermite product rule."""
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()

    def bound(t):
        x = t[0] + jnp.exp(t[1]) * z
        log_ratio = P.log_prob(x) - normal(t).log_prob(x)
        pairs = jnp.logaddexp(log_ratio[:, None], log_ratio[None]) - jnp.log(2.0)
        return -w @ pairs @ w

    truth = jax.value_and_grad(bound)(AT)
    for estimator in (dj.variational.iwae, dj.variational.dreg):
        value, slope = over_keys(lambda key, t, f=estimator: f(key, P, normal(t), num_groups=64, num_particles=2), AT)
        assert abs(z_scores(value, truth[0])) < 4.0
        assert np.abs(z_scores(slope, truth[1])).max() < 4.0


def test_weights_of_a_mixture_within_the_bound():
    """The gradient in the weights by the score, against differences of values at common draws of a wide base."""
    theta = jnp.array([0.4, -0.5])
    _, slope = over_keys(lambda key, t: dj.variational.iwae(key, P, mixture(t), num_groups=64, num_particles=2), theta)
    x = jnp.linspace(-9.0, 9.0, 400)

    def bound(t):
        log_q = mixture(t).log_prob(x)
        log_ratio = P.log_prob(x) - log_q
        mass = jnp.exp(log_q) * (x[1] - x[0])
        return -mass @ (jnp.logaddexp(log_ratio[:, None], log_ratio[None]) - jnp.log(2.0)) @ mass

    assert np.abs(z_scores(slope, jax.jit(jax.grad(bound))(theta))).max() < 4.0


def test_doubly_reparameterised_is_less_noisy():
    noise = [
        np.std(over_keys(lambda key, t, f=f: f(key, P, normal(t), num_groups=8, num_particles=16), AT)[1], axis=0)
        for f in (dj.variational.iwae, dj.variational.dreg)
    ]
    assert (noise[1] < 0.5 * noise[0]).all()


def test_the_gradient_in_p_is_that_of_the_bound():
    def slopes(estimator):
        def loss(key, t):
            return estimator(key, distrax.Normal(t[0], 1.2), normal(AT), num_groups=16, num_particles=4)

        return over_keys(loss, jnp.array([0.3]))[1]

    difference = slopes(dj.variational.iwae) - slopes(dj.variational.dreg)
    assert np.abs(difference).max() < 1e-5


def test_what_has_no_draws_to_follow_is_refused():
    coin = distrax.Categorical(logits=jnp.zeros(2))
    with pytest.raises(ValueError, match="differentiable"):
        dj.variational.reverse_kl_stl(jax.random.key(0), coin, coin, num_draws=8)
    with pytest.raises(ValueError, match=r"dj\.variational\.iwae"):
        dj.variational.dreg(jax.random.key(0), P, mixture(AT), num_groups=8, num_particles=2)
    with pytest.raises(ValueError, match="support"):
        dj.variational.reverse_kl_stl(jax.random.key(0), distrax.Uniform(0.0, 1.0), P, num_draws=8)
