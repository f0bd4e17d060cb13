"""Nearly equal distributions in float32, where a difference of two numbers would have no digits left."""

import distrax
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions
mp.mp.dps = 40


def close(got, expected):
    assert abs(float(got) / float(expected) - 1) < 1e-5


def exactly(x):
    return mp.matrix(np.asarray(x, float).tolist())


def root(a):
    values, vectors = mp.eigsy(a)
    return vectors * mp.diag([mp.sqrt(x) for x in values]) * vectors.T


rng = np.random.RandomState(3)
LOC, FACTOR = np.float32([0.3, -1.0, 0.2]), np.float32([[0.9, 0, 0], [0.3, 1.2, 0], [-0.4, 0.2, 0.7]])
OTHER = LOC + np.float32(1e-5 * rng.randn(3)), FACTOR + np.float32(np.tril(1e-5 * rng.randn(3, 3)))


def test_wasserstein_of_multivariate_normals():
    got = jax.jit(lambda *t: exact.wasserstein2(*(distrax.MultivariateNormalTri(*x) for x in (t[:2], t[2:]))))
    m, s, n, t = map(exactly, (LOC, FACTOR, *OTHER))
    a, b = s * s.T, t * t.T
    middle = root(a) * b * root(a)
    rest = a + b - 2 * root((middle + middle.T) / 2)
    close(got(LOC, FACTOR, *OTHER), mp.sqrt(((m - n).T * (m - n))[0] + rest[0, 0] + rest[1, 1] + rest[2, 2]))


@pytest.mark.parametrize("dim", [1, 3])
def test_mmd2_of_normals(dim):
    m, s, n, t = LOC[:dim], FACTOR[:dim, :dim], OTHER[0][:dim], OTHER[1][:dim, :dim]
    if dim == 1:
        build, arrays = distrax.Normal, (m[0], s[0, 0], n[0], t[0, 0])
    else:
        build, arrays = distrax.MultivariateNormalTri, (m, s, n, t)
    got = jax.jit(lambda *t: exact.mmd2(build(*t[:2]), build(*t[2:]), bandwidth=0.75))(*arrays)
    m, s, n, t = map(exactly, (m, s, n, t))
    kernel = mp.mpf(0.75) ** 2 * mp.eye(dim)

    def inner(loc, cov):
        return mp.exp(-(loc.T * (cov + kernel) ** -1 * loc)[0] / 2) * mp.sqrt(mp.det(kernel) / mp.det(cov + kernel))

    a, b = s * s.T, t * t.T
    close(got, inner(m - m, 2 * a) + inner(m - m, 2 * b) - 2 * inner(m - n, a + b))


BINARY = {
    "bernoulli": (lambda p: distrax.Bernoulli(probs=p), 0.4030005633831024, 0.40300101041793823, 1),
    "binomial": (lambda p: tfd.Binomial(np.float32(7), probs=p), 0.4030005633831024, 0.40300101041793823, 7),
}


@pytest.mark.parametrize("name", BINARY)
def test_probabilities_of_failure(name):
    """1 − p is rounded, and its rounding is as large as the difference."""
    build, p, q, times = BINARY[name]
    got = exact.kl(build(jnp.float32(p)), build(jnp.float32(q)))
    p, q = mp.mpf(p), mp.mpf(q)
    close(got, times * (p * mp.log(p / q) + (1 - p) * mp.log((1 - p) / (1 - q))))


@pytest.mark.parametrize(
    ("build", "a", "b"),
    [
        (lambda x: tfd.Geometric(logits=x), 2.2040014266967773, 2.2040019035339355),
        (lambda x: tfd.NegativeBinomial(np.float32(1), logits=-x), 2.2040014266967773, 2.2040019035339355),
        (lambda x: tfd.Geometric(logits=x), -2.5, 2.25),
    ],
)
def test_logits_of_success(build, a, b):
    """Close together, and so far apart that the logarithm is taken directly."""
    got = exact.kl(build(jnp.float32(a)), build(jnp.float32(b)))
    p, q = (1 / (1 + mp.exp(-mp.mpf(float(np.float32(x))))) for x in (a, b))
    close(got, mp.log(p / q) + (1 - p) / p * mp.log((1 - p) / (1 - q)))
