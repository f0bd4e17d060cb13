"""Bounds hold: against KL by quadrature, on random mixtures of Gaussians."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax import exact

GRID = np.linspace(-40.0, 40.0, 40001)


def _log_density(w, loc, scale):
    z = (GRID[:, None] - loc) / scale
    return np.logaddexp.reduce(np.log(w) - 0.5 * z**2 - np.log(scale * np.sqrt(2 * np.pi)), axis=1)


def _kl(p, q):
    a, b = _log_density(*p), _log_density(*q)
    return np.sum(np.exp(a) * (a - b)) * (GRID[1] - GRID[0])


def _random(rng, k):
    return (
        rng.dirichlet(np.ones(k)),
        rng.normal(size=k) * rng.choice([0.5, 2.0, 5.0]),
        rng.uniform(0.4, 1.5, k),
    )


def _mixture(w, loc, scale):
    return distrax.MixtureSameFamily(distrax.Categorical(probs=w), distrax.Normal(loc, scale))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("k", "m"),
    [pytest.param(1, 3, marks=pytest.mark.slow), pytest.param(3, 1, marks=pytest.mark.slow), (3, 2)],
)
def test_bounds_hold(k, m):
    rng = np.random.default_rng(7)
    pairs = [(_random(rng, k), _random(rng, m)) for _ in range(60)]
    # and mixtures that are nearly each other, where a wrong sign would show
    if k == m + 1:
        pairs += [((p[0], p[1], p[2]), (p[0][:2] / p[0][:2].sum(), p[1][:2], p[2][:2])) for p, _ in pairs[:20]]
    true = np.array([_kl(p, q) for p, q in pairs])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *pairs)
    run = jax.jit(jax.vmap(lambda p, q: exact.bounds.kl(_mixture(*p), _mixture(*q))))
    lower, upper, _ = (np.asarray(x) for x in run(*stacked))
    assert np.all(lower <= true * (1 + 1e-9) + 1e-9)
    assert np.all(upper >= true * (1 - 1e-9) - 1e-9)
    # and say something: on average within a nat or so of mixtures apart by many
    assert np.median(upper - true) < 1.0
    assert np.median(true - lower) < 0.6 * np.median(true) + 0.7


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("correlated", [False, True])
def test_two_gaussians_are_exact(correlated):
    p, q = distrax.Normal(jnp.array(0.3), jnp.array(1.2)), distrax.Normal(jnp.array(-0.5), jnp.array(2.0))
    if correlated:
        p = distrax.MultivariateNormalTri(jnp.array([0.3, -0.1]), jnp.array([[1.2, 0.0], [0.9, 0.4]]))
        q = distrax.MultivariateNormalTri(jnp.array([-0.5, 0.2]), jnp.array([[2.0, 0.0], [-0.7, 1.1]]))
    three, unscented = jax.jit(lambda: (exact.bounds.kl(p, q), exact.bounds.unscented_kl(p, q)))()
    np.testing.assert_allclose([*three, unscented], exact.kl(p, q), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_mixture_and_itself():
    """Lower 0, upper small, variational 0."""
    p = _mixture(jnp.array([0.3, 0.7]), jnp.array([-3.0, 3.0]), jnp.array([1.0, 1.0]))
    lower, upper, variational = jax.jit(lambda: exact.bounds.kl(p, p))()
    assert lower == 0.0
    assert 0.0 <= upper < 1e-2
    assert abs(variational) < 1e-12


@pytest.mark.slow
def test_several_dimensions_in_float32():
    loc = jnp.array([[0.0, 0.0], [3.0, 1.0]])
    components = distrax.MultivariateNormalDiag(loc, jnp.ones((2, 2)))
    p = distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.array([0.5, 0.5])), components)
    q = distrax.MultivariateNormalDiag(jnp.array([1.5, 0.5]), jnp.array([2.0, 1.0]))
    (lower, upper, variational), unscented = jax.jit(lambda: (exact.bounds.kl(p, q), exact.bounds.unscented_kl(p, q)))()
    sampled = p.log_prob(x := p.sample(seed=jax.random.key(0), sample_shape=(4000,))) - q.log_prob(x)
    error = 4 * sampled.std() / np.sqrt(4000)
    assert lower - error <= sampled.mean() <= upper + error
    assert jnp.isfinite(variational)
    assert abs(unscented - sampled.mean()) < 0.1
