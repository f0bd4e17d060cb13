"""Penalties on critics whose gradients are known, and singular values against numpy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax.divergences import penalties

KEY = jax.random.key(0)
X, Y = jax.random.normal(KEY, (2, 64, 3))


def linear(slope):
    return lambda x: slope @ x + 1.0


def test_penalties_of_a_linear_critic():
    slope = jnp.array([2.0, 0.0, 0.0])
    assert penalties.gradient_penalty(KEY, linear(slope), X, Y) == pytest.approx(1.0)
    assert penalties.gradient_penalty(KEY, linear(slope), X, Y, norm=3.0, one_sided=True) == 0.0
    assert penalties.zero_centred_penalty(linear(slope), X) == pytest.approx(2.0)
    by_slope = jax.grad(lambda s: penalties.gradient_penalty(KEY, linear(s), X, Y))(slope)
    np.testing.assert_allclose(by_slope, [2.0, 0.0, 0.0], atol=1e-6)
    flat = jax.grad(lambda s: penalties.gradient_penalty(KEY, linear(s), X, Y))(jnp.zeros(3))
    np.testing.assert_array_equal(flat, 0.0)  # and not NaN


def test_the_points_are_between_pairs():
    """Of v = ½ ‖x‖² the gradient is x: R1 is half the mean square, and the penalty sees segments from X to Y."""
    assert penalties.zero_centred_penalty(lambda x: 0.5 * x @ x, X) == pytest.approx(0.5 * float((X**2).sum(1).mean()))
    step = jnp.array([3.0, 0.0, 0.0])
    on_line = penalties.gradient_penalty(KEY, lambda x: 0.5 * x @ x, 0.0 * X, 0.0 * X + step, norm=0.0)
    share = jax.random.uniform(KEY, (64, 1))
    assert on_line == pytest.approx(9.0 * float(jnp.mean((1.0 - share) ** 2)), rel=1e-5)


def test_spectral_normalisation():
    weight = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    start = jnp.ones(4)
    normalised, vector = penalties.spectral(jnp.asarray(weight), start, num_steps=100)
    np.testing.assert_allclose(normalised, weight / np.linalg.svd(weight)[1][0], rtol=1e-4)
    np.testing.assert_allclose(np.abs(vector), np.abs(np.linalg.svd(weight)[2][0]), atol=1e-3)
    step_by_step = start
    for _ in range(100):
        one, step_by_step = penalties.spectral(jnp.asarray(weight), step_by_step)
    np.testing.assert_allclose(one, normalised, rtol=1e-5)
    np.testing.assert_array_equal(penalties.spectral(jnp.zeros((5, 4)), start)[0], 0.0)
    # Its derivative along the matrix itself is 0: a scale is divided out.
    _, along = jax.jvp(lambda w: penalties.spectral(w, vector)[0], (jnp.asarray(weight),), (jnp.asarray(weight),))
    np.testing.assert_allclose(along, 0.0, atol=1e-4)
    clipped = penalties.clip({"a": jnp.array([-2.0, 0.1])}, 0.5)["a"]
    np.testing.assert_allclose(clipped, [-0.5, 0.1])


def test_bad_input():
    with pytest.raises(TypeError, match="to a scalar"):
        penalties.zero_centred_penalty(lambda x: x, X)
    with pytest.raises(ValueError, match=r"shape \[n, d\]; got \(64,\)"):
        penalties.zero_centred_penalty(linear(jnp.ones(3)), X[:, 0])
    with pytest.raises(ValueError, match="as many samples"):
        penalties.gradient_penalty(KEY, linear(jnp.ones(3)), X, Y[:10])
