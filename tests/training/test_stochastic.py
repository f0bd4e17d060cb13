"""Stochastic gradients: a loop of optax's, a known mean, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from divjax import run, status
from divjax.training import stochastic_fit


def noisy(params, key, case):
    """Least where params = case, of noise with standard deviation 1."""
    return 0.5 * jnp.sum((params - case - jax.random.normal(key, params.shape)) ** 2)


def begin(_):
    return jnp.zeros(2), jax.random.key(0)


def test_without_noise_it_is_the_loop_of_optax():
    def loss(params, key, case):
        return jnp.sum(jnp.cosh(params["a"] - case) + params["a"] * params["b"] ** 2)

    start = {"a": jnp.asarray([0.3, 1.0]), "b": jnp.asarray([0.5, -0.2])}
    optimizer = optax.adam(0.1)
    found = run(stochastic_fit(loss, lambda _: (start, jax.random.key(0)), optimizer, num_rounds=3, num_steps=4), 2.0)
    params, state = start, optimizer.init(start)
    for _ in range(12):
        grads = jax.grad(loss)(params, None, 2.0)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    for ours, plain in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5)
    assert (int(found.steps), int(found.status)) == (12, status.OK)
    assert found.losses.shape == (3,)


def test_the_average_comes_to_the_mean_and_the_trace_is_of_it():
    """SGD at rate r has a stationary variance of r / (2 − r); its average over n steps one of about 1/n."""
    fit = stochastic_fit(
        noisy,
        begin,
        optax.sgd(0.1),
        num_rounds=4,
        num_steps=1000,
        ema=0.999,
        evaluate=lambda params, key, case: params - case,
    )
    found = jax.jit(jax.vmap(lambda case: run(fit, case)))(jnp.linspace(-2.0, 2.0, 16))
    away = np.asarray(found.trace[:, -1])
    np.testing.assert_allclose(away, found.average - jnp.linspace(-2.0, 2.0, 16)[:, None], atol=1e-6)
    assert np.abs(away).max() < 5.0 / 2000**0.5  # over about 2,000 steps, 32 numbers
    last = np.asarray(found.params - jnp.linspace(-2.0, 2.0, 16)[:, None])
    assert last.std() > 3.0 * away.std()


def test_a_nan_stops_it_at_the_last_finite_parameters():
    def loss(params, key, case):
        return jnp.sum(params) + jnp.where(params[0] < -0.35, jnp.nan, 0.0)

    found = run(stochastic_fit(loss, begin, optax.sgd(0.1), num_rounds=2, num_steps=5))
    assert int(found.status) == status.NON_FINITE
    assert int(found.steps) == 4
    np.testing.assert_allclose(found.params, -0.4, rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"Expected a scalar from loss; got shape \(2,\)"):
        run(stochastic_fit(lambda params, key, case: params, begin, optax.sgd(0.1), num_rounds=1))
    with pytest.raises(ValueError, match="Expected num_rounds to be an integer >= 1; got 0"):
        stochastic_fit(noisy, begin, optax.sgd(0.1), num_rounds=0)
    with pytest.raises(ValueError, match="Expected ema in"):
        stochastic_fit(noisy, begin, optax.sgd(0.1), num_rounds=1, ema=1.0)
    with pytest.raises(TypeError, match=r"Expected \(params, key\) from init; got dict. Add jax.random.key"):
        run(stochastic_fit(noisy, lambda _: {"loc": 0.0}, optax.sgd(0.1), num_rounds=1), 0.0)
    with pytest.raises(TypeError, match="init to be a function; got tuple"):
        stochastic_fit(noisy, (0.0, jax.random.key(0)), optax.sgd(0.1), num_rounds=1)
    with pytest.raises(TypeError, match="Expected an optax optimiser; got str"):
        stochastic_fit(noisy, begin, "adam", num_rounds=1)
    with pytest.raises(TypeError, match="floating-point"):
        run(stochastic_fit(noisy, lambda _: (jnp.arange(2), jax.random.key(0)), optax.sgd(0.1), num_rounds=1), 0.0)
