"""Edges that a gradient must survive, or refuse: weights of 0, moving supports off the line, broken weights."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import status

KEY = jax.random.key(0)


def mixture(w):
    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.stack([1 - w, w])), distrax.Normal(jnp.array([0.0, 3.0]), jnp.ones(2))
    )


def square(side):
    return distrax.Independent(distrax.Uniform(jnp.zeros(2), side * jnp.ones(2)), 1)


def disc(m):
    return distrax.MultivariateNormalDiag(jnp.stack([m, jnp.asarray(0.5)]), 0.5 * jnp.ones(2))


def test_a_component_of_weight_zero_has_a_gradient(x64):
    """∫ (p₂ − p₁) log(p₁/q) = −4.125; distrax's own log_prob gives NaN."""
    slope = jax.jit(jax.grad(lambda w: dj.kl(*dj.quadrature(mixture(w), distrax.Normal(1.0, 2.0)))))(0.0)
    assert float(slope) == pytest.approx(-4.125, rel=1e-9)
    drawn = jax.grad(lambda w: dj.kl(*dj.monte_carlo(KEY, mixture(w), distrax.Normal(1.0, 2.0), 64)))(0.0)
    assert np.isfinite(drawn)


def test_moving_supports_are_refused_in_more_dimensions():
    pathwise = lambda m: dj.jensen_shannon(*dj.monte_carlo(KEY, square(1.0), disc(m), 64))  # noqa: E731
    with pytest.raises(ValueError, match="gradient='score'"):
        pathwise(0.2)
    scored = lambda s: dj.total_variation(  # noqa: E731
        *dj.monte_carlo(KEY, square(s), disc(jnp.asarray(0.2)), 64, gradient="score")
    )
    assert np.isfinite(scored(1.0))
    with pytest.raises(ValueError, match="do not move"):
        jax.grad(scored)(1.0)
    nodes = lambda s: dj.kl(*dj.quadrature(square(s), disc(jnp.asarray(0.2))))  # noqa: E731
    with pytest.raises(ValueError, match="do not move"):
        jax.grad(nodes)(1.0)


def test_variational_names_a_remedy_it_has():
    with pytest.raises(ValueError, match=r"dj\.monte_carlo with gradient='score'"):
        dj.iwae(KEY, square(1.0), disc(jnp.asarray(0.2)), 8, particles=2)


def test_the_error_of_equal_distributions_has_a_gradient():
    def error(m):
        draws = dj.monte_carlo(KEY, distrax.Normal(0.0, 1.0), distrax.Normal(m, 1.0), 64)
        return dj.estimate(dj.kl, draws).stderr

    assert float(error(0.0)) == 0.0
    assert np.isfinite(jax.jit(jax.grad(error))(0.0))


def test_one_weight_for_all_nodes():
    x = distrax.Normal(0.0, 1.0).sample(seed=KEY, sample_shape=(1000,))
    log_p, log_q = distrax.Normal(0.0, 1.0).log_prob(x), distrax.Normal(0.2, 1.0).log_prob(x)
    broadcast = -log_p - jnp.log(1000.0)
    whole = dj.estimate(dj.kl, dj.Nodes(log_p, log_q, broadcast))
    assert float(whole.stderr) > 0.0
    pmf = dj.Nodes(jnp.log(jnp.array([0.2, 0.8])), jnp.log(jnp.array([0.5, 0.5])), 0.0)
    assert np.isfinite(dj.estimate(dj.kl, pmf).stderr)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_broken_weights_are_a_status(broken):
    assert float(dj.pareto_k(jnp.zeros(100).at[3].set(broken))) == np.inf
    nodes = dj.Nodes(jnp.zeros(100), jnp.zeros(100).at[3].set(broken), jnp.full(100, -np.log(100.0)))
    found = dj.estimate(dj.kl, nodes)
    assert int(found.status) & status.HEAVY_TAIL
    assert np.isinf(found.stderr) or np.isfinite(found.value)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: dj.monte_carlo(KEY, p, p, 64.0), TypeError),
        (lambda p: dj.dreg(KEY, p, p, 8, particles=0), ValueError),
        (lambda p: dj.dreg(KEY, p, p, 0, particles=2), ValueError),
        (lambda p: dj.quadrature(p, p, refine=0), ValueError),
        (lambda p: dj.quadrature(p, p, refine=1.5), TypeError),
    ],
)
def test_counts_are_whole_numbers(call, error):
    with pytest.raises(error, match="Expected"):
        call(distrax.Normal(0.0, 1.0))
