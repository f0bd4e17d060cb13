"""The mixture Wasserstein distance against the Bures formula and scipy's linear programme."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize as so
from scipy.linalg import sqrtm

import divjax as dj


def parameters(count, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, 2, 2))
    factor = np.linalg.cholesky(root @ root.transpose(0, 2, 1) + 0.3 * np.eye(2))
    return np.log(rng.random(count)), 2.0 * rng.normal(size=(count, 2)), factor


def mixture(logits, loc, factor):
    return distrax.MixtureSameFamily(distrax.Categorical(logits=logits), distrax.MultivariateNormalTri(loc, factor))


def bures(m, a, n, b):
    s, t = a @ a.T, b @ b.T
    root = np.real(sqrtm(s))
    return ((m - n) ** 2).sum() + np.trace(s + t - 2 * np.real(sqrtm(root @ t @ root)))


def reference(p, q):
    cost = np.array([[bures(m, a, n, b) for n, b in zip(*q[1:], strict=True)] for m, a in zip(*p[1:], strict=True)])
    a, b = (np.exp(z[0]) / np.exp(z[0]).sum() for z in (p, q))
    rows, columns = cost.shape
    equal = np.vstack([np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))])
    return np.sqrt(so.linprog(cost.ravel(), A_eq=equal, b_eq=np.concatenate([a, b])).fun)


@jax.jit
def distance(p, q):
    return dj.exact.mixture_wasserstein2(mixture(*p), mixture(*q))


@pytest.mark.slow
def test_value_and_gradient(x64):
    p, q = parameters(3, 1), parameters(4, 2)
    assert float(distance(p, q)) == pytest.approx(reference(p, q), rel=1e-9)
    assert float(distance(q, p)) == pytest.approx(reference(p, q), rel=1e-9)
    rng = np.random.default_rng(4)
    step = jax.tree.map(lambda z: 1e-6 * rng.normal(size=z.shape) * (z != 0.0), (p, q))
    slope = sum(
        np.sum(g * d)
        for g, d in zip(jax.tree.leaves(jax.grad(distance, (0, 1))(p, q)), jax.tree.leaves(step), strict=True)
    )
    ends = (distance(*jax.tree.map(lambda z, d, sign=sign: z + sign * d, (p, q), step)) for sign in (1.0, -1.0))
    assert float(slope) == pytest.approx(float(np.subtract(*ends)) / 2.0, rel=1e-5)


@pytest.mark.slow
def test_special_cases():
    """One component each is ``wasserstein2``; on the line; equal mixtures; another family has no closed form."""
    p, q = (jax.tree.map(lambda z: jnp.asarray(z, jnp.float32), parameters(1, seed)) for seed in (1, 2))
    one, two = (distrax.MultivariateNormalTri(z[1][0], z[2][0]) for z in (p, q))
    assert float(distance(p, q)) == pytest.approx(float(dj.exact.wasserstein2(one, two)), rel=1e-5)
    p = jax.tree.map(lambda z: jnp.asarray(z, jnp.float32), parameters(3, 1))
    assert float(distance(p, p)) < 1e-3
    assert all(np.isfinite(slope).all() for slope in jax.grad(distance)(p, p))
    found = dj.exact.mixture_plan(dj.targets.two_modes(4.0), distrax.Normal(2.0, 1.0))
    assert found.coupling.shape == found.cost.shape == (2, 1)
    assert float(found.value) == pytest.approx(2.0, rel=1e-6)
    with pytest.raises(NotImplementedError, match="mixture_wasserstein2"):
        dj.exact.mixture_wasserstein2(distrax.Laplace(0.0, 1.0), distrax.Normal(0.0, 1.0))
