"""Networks against loops over neurons; modules of other libraries against themselves; losses against their parts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import divjax as dj
from divjax import models

X = np.linspace(-2, 2, 10, dtype=np.float32).reshape(5, 2)


def by_hand(layers, x, *, residual):
    """float64, one point and one layer at a time."""
    out = []
    for point in np.asarray(x, float):
        for i, (weight, bias) in enumerate(layers):
            sums = [sum(x * float(w) for x, w in zip(point, column, strict=True)) for column in np.transpose(weight)]
            new = np.array([total + float(own) for total, own in zip(sums, bias, strict=True)])
            if i < len(layers) - 1:
                new = np.tanh(new) + (point if residual and new.size == point.size else 0.0)
            point = new
        out.append(point)
    return np.array(out)


@pytest.mark.parametrize("residual", [False, True])
def test_layers(residual):
    layers = models.init_mlp(jax.random.key(0), (2, 7, 7, 3))
    layers = tuple(layer._replace(bias=layer.bias + 0.1) for layer in layers)
    apply = models.residual_mlp if residual else models.mlp
    np.testing.assert_allclose(apply(layers, X), by_hand(layers, X, residual=residual), rtol=1e-5, atol=1e-6)
    assert apply(layers, X[None]).shape == (1, 5, 3)
    assert apply(layers, X[0]).shape == (3,)


def test_initial_weights_have_glorots_variance():
    (layer,) = models.init_mlp(jax.random.key(1), (300, 200), gain=2.0)
    assert float(jnp.var(layer.weight)) == pytest.approx(4.0 * 2.0 / 500, rel=0.02)
    assert not layer.bias.any()
    with pytest.raises(ValueError, match="Expected sizes"):
        models.init_mlp(jax.random.key(1), (3,))
    with pytest.raises(ValueError, match="Expected sizes"):
        models.init_mlp(jax.random.key(1), (3, 0, 1))


def equinox_module():
    equinox = pytest.importorskip("equinox")
    module = equinox.nn.MLP(2, "scalar", 8, 2, key=jax.random.key(2))
    return module, jax.vmap(module)(X), lambda apply: lambda params, x: jax.vmap(lambda point: apply(params, point))(x)


def flax_module():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = nnx.Linear(2, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, x):
            return self.two(jnp.tanh(self.one(x)))[..., 0]

    module = Net(nnx.Rngs(0))
    return module, module(X), lambda apply: apply


@pytest.mark.parametrize("make", [equinox_module, flax_module])
def test_modules_of_other_libraries(make):
    module, expected, batched = make()
    params, apply = models.from_module(module)
    critic = batched(apply)
    np.testing.assert_allclose(critic(params, X), expected, rtol=1e-6)
    # Trained for a few steps as a critic, it tells p from q.
    losses = dj.adversarial_losses(
        dj.critic.non_saturating,
        critic,
        lambda key, case: jax.random.normal(key, (64, 2)) + 1.0,
        lambda g, key, case: jax.random.normal(key, (64, 2)) + g,
    )
    start = lambda case: dj.Start(params, jnp.float32(-1.0), jax.random.key(3))  # noqa: E731
    played = jax.jit(lambda: dj.run(dj.game(*losses, start, optax.adam(1e-2), optax.sgd(0.0), rounds=2, steps=40)))()
    assert float(played.losses.critic[1]) < float(played.losses.critic[0]) < 1.4
    with pytest.raises(TypeError, match="equinox or flax"):
        models.from_module(np.zeros(3))


def linear(params, x):
    return x @ params


def losses_of(objective, **options):
    real = lambda key, case: jax.random.normal(key, (6, 2))  # noqa: E731
    generated = lambda g, key, case: g + jax.random.normal(key, (4, 2))  # noqa: E731
    return dj.adversarial_losses(objective, linear, real, generated, **options)


def test_losses_are_those_of_the_outputs_and_the_penalty_is_the_critics():
    key, slope, shift = jax.random.key(5), jnp.array([0.3, -0.4]), jnp.array([1.0, 2.0])
    of_p, of_q = jax.random.split(key)
    v_p, v_q = jax.random.normal(of_p, (6, 2)) @ slope, (shift + jax.random.normal(of_q, (4, 2))) @ slope
    for objective in (
        dj.critic.non_saturating,
        dj.critic.wasserstein_1,
        dj.critic.f_gan("kl"),
        dj.critic.ratio_gan(dj.kl),
    ):
        losses = losses_of(objective)
        assert float(losses.critic(slope, shift, key, None)) == pytest.approx(
            float(objective.critic(v_p, v_q)), rel=1e-5
        )
        expected = float(objective.generator(v_p, v_q))
        assert float(losses.generator(slope, shift, key, None)) == pytest.approx(expected, rel=1e-5)
    penalised = losses_of(
        dj.critic.wasserstein_1, penalty=lambda key, v, x_p, x_q: dj.penalties.zero_centred_penalty(v, x_p)
    )
    extra = penalised.critic(slope, shift, key, None) - losses_of(dj.critic.wasserstein_1).critic(
        slope, shift, key, None
    )
    assert float(extra) == pytest.approx(0.5 * 0.25, rel=1e-5)


def test_outputs_of_another_shape_and_a_divergence_without_a_conjugate():
    real, generated = lambda key, case: jnp.ones((6, 2)), lambda g, key, case: jnp.ones((4, 2))
    wide = dj.adversarial_losses(dj.critic.hinge, lambda params, x: x, real, generated)
    with pytest.raises(ValueError, match=r"critic outputs of shape \(10,\).*\(10, 2\)"):
        wide.critic(None, None, jax.random.key(0), None)
    one_column = lambda g, key, case: jnp.ones((4, 1))  # noqa: E731
    flat = dj.adversarial_losses(dj.critic.hinge, lambda params, x: x[:, 0], real, one_column)
    with pytest.raises(ValueError, match=r"\(6, 2\) of p, \(4, 1\) of q"):
        flat.critic(None, None, jax.random.key(0), None)
    for wrong in ("kl", dj.critic.f_gan, dj.critic.donsker_varadhan):
        with pytest.raises(TypeError, match="Expected an objective of"):
            losses_of(wrong)
    with pytest.raises(ValueError, match=r"divergence with a conjugate.*'renyi'"):
        dj.critic.f_gan("renyi")
    with pytest.raises(ValueError, match="Expected an f-divergence"):
        losses_of(dj.critic.ratio_gan(functools.partial(dj.renyi, alpha=0.5))).critic(
            jnp.ones(2), jnp.ones(2), jax.random.key(0), None
        )


def test_held_out_error_is_that_of_two_means():
    v_p, v_q = (
        jax.random.normal(key, (n,)) for key, n in zip(jax.random.split(jax.random.key(7)), (500, 300), strict=True)
    )
    bound = dj.critic.held_out(v_p, v_q, dual=dj.critic.DUALS["kl"])
    a, b = np.asarray(v_p, float), np.exp(np.asarray(v_q, float) - 1)
    assert float(bound.value) == pytest.approx(a.mean() - b.mean(), rel=1e-4)
    assert float(bound.stderr) == pytest.approx(np.sqrt(a.var(ddof=1) / 500 + b.var(ddof=1) / 300), rel=1e-5)
