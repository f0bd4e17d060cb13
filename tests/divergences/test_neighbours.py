"""Nearest-neighbour estimators: distances against scipy's tree, values against closed forms in standard errors."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import digamma, gammaln

import divjax as dj
from divjax.divergences import neighbour_distances, neighbours

RNG = np.random.default_rng(3)
X = RNG.normal(size=(150, 3)).astype(np.float32)
Y = (1.5 * RNG.normal(size=(130, 3)) + 0.5).astype(np.float32)
KEYS = jax.random.split(jax.random.key(5), 30)


def tree(x, y, k, skip=0):
    return cKDTree(y.astype(np.float64)).query(x.astype(np.float64), k + skip)[0].reshape(len(x), -1)[:, skip:]


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 5, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_distances(k, offset, monkeypatch):
    """In blocks, the last not full; far from the origin too, where ‖x‖² − 2⟨x, y⟩ + ‖y‖² would lose its digits."""
    monkeypatch.setattr(neighbours, "_BLOCK", 64 * 130)
    x, y = X + np.float32(offset), Y + np.float32(offset)
    np.testing.assert_allclose(neighbour_distances(x, y, k=k), tree(x, y, k), rtol=2e-6, atol=1e-7)
    own = neighbour_distances(x, x, k=k, skip_self=True)
    np.testing.assert_allclose(own, tree(x, x, k, skip=1), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 2, 6])
def test_distances_of_what_is_crowded(d):
    """Thousands of points on a line, and groups a thousand times their width apart: |x|² + |y|² − 2 x·y has no digits.

    Also where more points than there are candidates coincide.
    """
    far = np.repeat(np.eye(6, dtype=np.float32)[:, :d] * 1e3, 50, axis=0)
    crowd = RNG.normal(size=(300, d)).astype(np.float32) * np.float32(0.1) + far
    line = RNG.normal(size=(3000, 1)).astype(np.float32)
    for x, k in ((crowd, 4), (np.repeat(crowd[::10], 30, axis=0), 40), (line, 4)):
        own = neighbour_distances(x, x, k=k, skip_self=True)
        np.testing.assert_allclose(own, tree(x, x, k, skip=1), rtol=1e-4, atol=1e-30)


def by_hand(x, y, k):
    """log of (n − 1) ρ^d / (m ν^d)."""
    own, other = tree(x, x, k, skip=1)[:, -1], tree(x, y, k)[:, -1]
    return x.shape[1] * np.log(own / other) + np.log((len(x) - 1) / len(y))


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 4])
def test_formulas(k):
    ratio = by_hand(X, Y, k)
    assert float(dj.samples.neighbour_kl(X, Y, k=k)) == pytest.approx(-ratio.mean(), rel=1e-5)
    renyi = jax.jit(lambda alpha: dj.samples.neighbour_renyi(X, Y, alpha=alpha, k=k))
    for alpha in (0.3, 0.7, 1.4, 1.9):
        correction = 2 * gammaln(k) - gammaln(k - alpha + 1) - gammaln(k + alpha - 1)
        expected = (np.log(np.mean(np.exp((1 - alpha) * ratio))) + correction) / (alpha - 1)
        assert float(renyi(alpha)) == pytest.approx(expected, rel=1e-4)
    for alpha in (1.0, 1.0 + 1e-6, 1.0 - 1e-4):
        assert float(renyi(alpha)) == pytest.approx(-ratio.mean(), rel=1e-3)
    assert float(renyi(k + 1.5)) == np.inf
    assert np.isfinite(jax.grad(renyi)(1.0))


@pytest.mark.slow
def test_consistency():
    """Two normals in the plane, means over 30 keys within five standard errors plus the documented bias.

    That bias falls with n, and is smallest for alpha > 1, where p's tails count least.
    """
    p = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
    q = distrax.MultivariateNormalDiag(jnp.full(2, 0.5), jnp.full(2, 1.5))

    @jax.jit
    @jax.vmap
    def estimates(key):
        one, two = jax.random.split(key)
        x, y = (jax.random.normal(k, (2000, 2)) for k in (one, two))
        y = 1.5 * y + 0.5
        return jnp.append(
            dj.samples.neighbour_kl(x, y), jax.vmap(lambda a: dj.samples.neighbour_renyi(x, y, alpha=a))(ALPHAS)
        )

    values = np.asarray(estimates(KEYS))
    exact = np.append(dj.exact.kl(p, q), jax.vmap(lambda a: dj.exact.renyi(p, q, alpha=a))(ALPHAS))
    stderr = values.std(0, ddof=1) / np.sqrt(len(KEYS))
    bias = np.array([0.01, 0.015, 0.01, 0.01])
    assert (np.abs(values.mean(0) - exact) < 5 * stderr + bias).all()


ALPHAS = jnp.array([0.8, 1.3, 2.0])


def test_gradient(x64):
    x, y = X.astype(np.float64), Y.astype(np.float64)

    def value(x, y):
        return dj.samples.neighbour_kl(x, y, k=3) + dj.samples.neighbour_renyi(x, y, alpha=1.5, k=3)

    value, gradient = jax.jit(value), jax.jit(jax.grad(value, (0, 1)))
    step = [1e-7 * RNG.normal(size=z.shape) for z in (x, y)]
    slope = sum(np.sum(g * d) for g, d in zip(gradient(x, y), step, strict=True))
    difference = 0.5 * float(value(x + step[0], y + step[1]) - value(x - step[0], y - step[1]))
    assert float(slope) == pytest.approx(difference, rel=1e-5)


def test_duplicates_and_errors():
    """More than k copies of a point have distance 0: the estimate is finite, and so is its gradient."""
    copies, other = np.repeat(X[:5], 8, axis=0), Y[:40]

    @jax.jit
    def both(x, y):
        return jax.value_and_grad(dj.samples.neighbour_kl)(x, y), dj.samples.neighbour_renyi(x, y, alpha=0.5)

    for x, y in ((copies, other), (copies, copies), (other, copies), (0.0 * other, 0.0 * other)):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(both(x, y)))
    unfit = ((X, Y[:, :2]), (X[:, 0], Y[:, 0]), (X[:4], Y))
    weighted = (dj.Points(X, np.zeros(150)), Y)
    for arguments, error in (*((each, ValueError) for each in unfit), (weighted, TypeError)):
        with pytest.raises(error, match="Expected"):
            dj.samples.neighbour_kl(*arguments)
    with pytest.raises(ValueError, match="Expected 1 ≤ k"):
        neighbour_distances(X, X, k=150, skip_self=True)


TIED = {  # two laws, KL and Rényi of order ½ between them
    "Poisson": (lambda: RNG.poisson(3.0, (500, 1)), lambda: RNG.poisson(3.0, (500, 1)), 0.0, 0.0),
    "two Poissons": (lambda: RNG.poisson(3.0, (500, 1)), lambda: RNG.poisson(4.0, (500, 1)),
                     1.0 - 3.0 * np.log(4.0 / 3.0), (2.0 - np.sqrt(3.0)) ** 2),
    "rounded": (lambda: RNG.normal(size=(500, 1)).round(1), lambda: RNG.normal(size=(500, 1)).round(1), 0.0, 0.0),
    "rounded and moved": (lambda: RNG.normal(size=(500, 1)).round(1), lambda: RNG.normal(1.0, size=(500, 1)).round(1),
                          0.5, 0.25),
    "copies": (lambda: RNG.choice(X[:90], 500), lambda: RNG.choice(X[:90], 500), 0.0, 0.0),
    "constants": (lambda: np.zeros((500, 1)), lambda: np.zeros((500, 1)), 0.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", TIED)
def test_ties_are_counted(name):
    """The mean of ten pairs of samples within four standard errors and 0.02 of the law's own divergences."""
    draw_x, draw_y, *right = TIED[name]
    x, y = (np.stack([draw() for _ in range(10)]).astype(np.float32) for draw in (draw_x, draw_y))
    found = np.array([_both(*pair) for pair in zip(x, y, strict=True)])
    stderr = found.std(0, ddof=1) / np.sqrt(10)
    assert (np.abs(found.mean(0) - right) < 4 * stderr + 0.02).all(), found.mean(0)


@jax.jit
def _both(x, y):
    return dj.samples.neighbour_kl(x, y), dj.samples.neighbour_renyi(x, y, alpha=0.5)


def test_the_unit_of_the_data_does_not_matter():
    x, y = X * np.float32(2.0**-80), Y * np.float32(2.0**-80)
    np.testing.assert_allclose(_both(x, y), _both(X, Y), rtol=1e-6)


def test_an_outlier_moves_no_other_distance():
    """Distances far below a rounding of the largest are distances still; against all pairs in float64."""
    x, y = (RNG.normal(size=(60, 1)) * 1e-3).astype(np.float32), (RNG.normal(size=(50, 1)) * 2e-3).astype(np.float32)
    x[0] = 1e5
    wide = [z.astype(np.float64) for z in (x, y)]
    own, other = (np.sort(np.abs(wide[0] - z.T), axis=1)[:, k] for z, k in zip(wide, (3, 2), strict=True))
    expected = np.mean(np.log(other) - np.log(own)) + np.log(50 / 59)
    expected += (digamma(59) - digamma(50)) / 60  # of the outlier all the others are tied, by what float32 tells
    assert float(dj.samples.neighbour_kl(x, y, k=3)) == pytest.approx(expected, rel=1e-5)


def test_nan_is_not_hidden():
    broken = Y.copy()
    broken[2, 0] = np.nan
    for x, y in ((X, broken), (broken, X)):
        assert np.isnan(dj.samples.neighbour_kl(x, y, k=3))
        assert np.isnan(dj.samples.neighbour_renyi(x, y, alpha=0.5, k=3))
