"""Multivariate normals and Dirichlets against formulas in mpmath; mixtures, transport, scores, kernels."""

import distrax
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.linalg
from scipy import integrate
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions
rng = np.random.default_rng(0)


def _tril(d):
    return (np.tril(rng.normal(size=(d, d)), -1) * 0.5 + np.diag(rng.uniform(0.5, 1.1, d))).astype(np.float32)


M, S, N, T = (
    *(f(3) for f in (lambda d: rng.normal(size=d).astype(np.float32), _tril)),
    np.float32(0.3),
    _tril(3),
)
N = (M * N).astype(np.float32)
STEP = np.tril(np.full((3, 3), 1e-5)).astype(np.float32)


def _mp(x):
    return mp.matrix(np.asarray(x, float).tolist())


def _alpha(order, m, s, n, t):
    """(1 − ∫ p^a q^(1−a))/(a(1−a)) and, at a = 1, KL, of two normals, at 40 digits."""
    mp.mp.dps = 40
    m, s, n, t = map(_mp, (m, s, n, t))
    cov_p, cov_q = s * s.T, t * t.T
    d = m - n
    if order == 1:
        inverse = cov_q**-1
        trace = sum((inverse * cov_p)[i, i] for i in range(len(m)))
        return ((d.T * inverse * d)[0] + trace - len(m) + mp.log(mp.det(cov_q) / mp.det(cov_p))) / 2
    a = mp.mpf(order)
    middle = a * cov_q + (1 - a) * cov_p
    log_det = mp.log(mp.det(middle)) - a * mp.log(mp.det(cov_q)) - (1 - a) * mp.log(mp.det(cov_p))
    j = a * (1 - a) * (d.T * middle**-1 * d)[0] / 2 + log_det / 2
    return -mp.expm1(-j) / (a * (1 - a))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("other", [(N, T), (M + np.float32(1e-5), (S + STEP))], ids=["far", "near"])
def test_multivariate_normal(dtype, other):
    orders = (0.0, 0.3, 1.0, 1.25)
    with jax.enable_x64(dtype == "float64"):

        def f(m, s, n, t, a):
            p, q = distrax.MultivariateNormalTri(m, s), tfd.MultivariateNormalTriL(n, t)
            return exact.alpha_divergence(p, q, alpha=a)

        arrays = [jnp.asarray(x, dtype) for x in (M, S, *other)]
        got = jax.jit(jax.vmap(f, (None,) * 4 + (0,)))(*arrays, jnp.asarray(orders, dtype))
    expected = [_alpha(1, *other, M, S), *(_alpha(a, M, S, *other) for a in orders[1:])]
    rtol = {"float32": 1e-5, "float64": 1e-12 if other[0] is N else 1e-10}[dtype]
    np.testing.assert_allclose(np.asarray(got, float), np.array(expected, float), rtol=rtol)


@pytest.mark.usefixtures("x64")
def test_diagonal_full_and_independent_agree():
    m, s, n, t = (jnp.asarray(x, float) for x in ([0.0, 1.0], [1.0, 2.0], [0.3, 0.2], [1.5, 0.7]))
    forms = [
        (distrax.MultivariateNormalDiag(m, s), distrax.MultivariateNormalDiag(n, t)),
        (tfd.MultivariateNormalDiag(m, s), tfd.MultivariateNormalTriL(n, jnp.diag(t))),
        (
            distrax.Independent(distrax.Normal(m, s), 1),
            tfd.MultivariateNormalFullCovariance(n, jnp.diag(t**2)),
        ),
    ]
    measures = (exact.kl, exact.l2, exact.wasserstein2, exact.fisher)
    values = np.array(jax.jit(lambda: [[f(p, q) for f in measures] for p, q in forms])())
    np.testing.assert_allclose(values, values[:1].repeat(3, axis=0), rtol=1e-12)
    np.testing.assert_allclose(values[0, 0], forms[0][0].kl_divergence(forms[0][1]), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_dirichlet(scale):
    """Large concentrations cancel in Σ ψ'(α_i) δ_i² − ψ'(Σα)(Σδ)²."""
    p, q = [scale * x for x in (1.25, 0.5, 3.0)], [scale * x for x in (1.5, 0.625, 3.5)]
    mp.mp.dps = 40
    a, b = ([mp.mpf(x) for x in side] for side in (p, q))
    log_beta = lambda c: sum(map(mp.loggamma, c)) - mp.loggamma(sum(c))  # noqa: E731
    expected = log_beta(b) - log_beta(a)
    expected += sum((x - y) * (mp.psi(0, x) - mp.psi(0, sum(a))) for x, y in zip(a, b, strict=True))
    got = exact.kl(distrax.Dirichlet(jnp.array(p)), tfd.Dirichlet(jnp.array(q)))
    np.testing.assert_allclose(float(got), float(expected), rtol=2e-12)


MIXTURE = (jnp.array([0.3, 0.7]), jnp.array([-1.0, 1.5]), jnp.array([0.5, 1.0]))


def _mixture(w, loc, scale):
    return distrax.MixtureSameFamily(distrax.Categorical(probs=w), distrax.Normal(loc, scale))


def _density(x, w, loc, scale):
    z = (x - np.asarray(loc, float)) / np.asarray(scale, float)
    return float(np.sum(np.asarray(w, float) * np.exp(-0.5 * z**2) / np.asarray(scale, float) / np.sqrt(2 * np.pi)))


@pytest.mark.usefixtures("x64")
def test_mixtures_of_gaussians():
    w, loc, scale = (jnp.asarray(x, float) for x in MIXTURE)
    p, q = _mixture(w, loc, scale), distrax.Normal(jnp.array(0.5), jnp.array(1.5))
    f, g = lambda x: _density(x, w, loc, scale), lambda x: _density(x, [1.0], [0.5], [1.5])

    def integral(h):
        return integrate.quad(h, -15, 15, points=[-1, 0, 1.5], epsabs=1e-13, epsrel=1e-12, limit=200)[0]

    np.testing.assert_allclose(exact.l2(p, q), integral(lambda x: (f(x) - g(x)) ** 2), rtol=1e-9)
    cs = -np.log(integral(lambda x: f(x) * g(x)))
    cs += 0.5 * np.log(integral(lambda x: f(x) ** 2) * integral(lambda x: g(x) ** 2))
    np.testing.assert_allclose(exact.cauchy_schwarz(p, q), cs, rtol=1e-9)
    h = 0.7
    smooth = np.sqrt(np.asarray(scale) ** 2 + h**2 / 2)
    f, g = (
        lambda x: _density(x, w, loc, smooth),
        lambda x: _density(x, [1.0], [0.5], [np.sqrt(2.25 + h**2 / 2)]),
    )
    expected = np.sqrt(2 * np.pi) * h * integral(lambda x: (f(x) - g(x)) ** 2)
    np.testing.assert_allclose(exact.mmd2(p, q, bandwidth=h), expected, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_mixture_forms_agree():
    """A mixture of one component is that component; TensorFlow Probability and distrax are one."""
    w, loc, scale = (jnp.asarray(x, float) for x in MIXTURE)
    q = distrax.MixtureOfTwo(0.4, distrax.Normal(0.0, 1.0), distrax.Normal(2.0, 0.5))
    other = _mixture(jnp.array([0.4, 0.6]), jnp.array([0.0, 2.0]), jnp.array([1.0, 0.5]))
    tf = tfd.MixtureSameFamily(tfd.Categorical(probs=w), tfd.Normal(loc, scale))
    np.testing.assert_allclose(exact.l2(tf, q), exact.l2(_mixture(w, loc, scale), other), rtol=1e-6)
    single = _mixture(jnp.array([1.0]), jnp.array([0.3]), jnp.array([1.2]))
    p, q = distrax.Normal(jnp.array(0.3), jnp.array(1.2)), distrax.Normal(jnp.array(-0.5), jnp.array(2.0))
    measures = (exact.l2, exact.cauchy_schwarz, lambda p, q: exact.mmd2(p, q, bandwidth=1.1))
    one, other = jax.jit(lambda: [jnp.stack([f(a, q) for f in measures]) for a in (single, p)])()
    np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_bures_and_fisher_by_scipy():
    p, q = (distrax.MultivariateNormalTri(jnp.asarray(m, float), jnp.asarray(s, float)) for m, s in ((M, S), (N, T)))
    a, b, d = (np.asarray(x, float) for x in (S @ S.T.astype(float), T @ T.T.astype(float), M - N))
    root = scipy.linalg.sqrtm(a)
    squared = d @ d + np.trace(a + b - 2 * scipy.linalg.sqrtm(root @ b @ root).real)
    np.testing.assert_allclose(exact.wasserstein2(p, q), np.sqrt(squared), rtol=1e-6)
    inverse = np.linalg.inv(b)
    difference = inverse - np.linalg.inv(a)
    expected = d @ inverse @ inverse @ d + np.trace(difference @ a @ difference)
    np.testing.assert_allclose(exact.fisher(p, q), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        (distrax.Uniform(0.0, 1.0), distrax.Uniform(2.0, 5.0), np.sqrt(4 + 4 + 4 / 3)),
        (tfd.Exponential(1.0), tfd.Exponential(0.5), np.sqrt(2.0)),
        (distrax.Laplace(0.0, 1.0), distrax.Laplace(3.0, 2.0), np.sqrt(11.0)),
    ],
)
def test_wasserstein_of_location_scale(p, q, expected):
    """∫ (c + s x)² of the standard quantile function."""
    np.testing.assert_allclose(exact.wasserstein2(p, q), expected, rtol=1e-6)


def test_fisher_of_gammas():
    np.testing.assert_allclose(exact.fisher(tfd.Exponential(1.0), tfd.Exponential(3.0)), 4.0, rtol=1e-6)
    p, q = distrax.Gamma(4.0, 2.0), distrax.Gamma(3.0, 1.0)
    # E (1/x − 1)² with E 1/x = 2/3, E 1/x² = 4/6
    np.testing.assert_allclose(exact.fisher(p, q), 4 / 6 - 4 / 3 + 1, rtol=1e-6)
    assert exact.fisher(distrax.Gamma(2.0, 1.0), q) == jnp.inf


# --- Laws on fewer dimensions ------------------------------------------------------------------------------


def _flat(d, rank):
    return np.pad(_tril(d)[:, :rank], ((0, 0), (0, d - rank))).astype(np.float32)


def test_transport_of_singular_covariances():
    """The trace formula by scipy; on axes, the difference of the scales, with a slope."""
    for one, two in ((_flat(4, 2), _flat(4, 2)), (_flat(4, 2), _tril(4)), (_tril(4), np.zeros((4, 4), np.float32))):
        a, b = (np.float64(x) @ np.float64(x).T for x in (one, two))
        cross = np.linalg.svd(np.float64(two).T @ np.float64(one), compute_uv=False).sum()
        right = np.sqrt(np.trace(a) + np.trace(b) - 2.0 * cross)
        w2 = lambda x, y: exact.wasserstein2(*(distrax.MultivariateNormalTri(jnp.zeros(4), s) for s in (x, y)))  # noqa: E731
        value, slope = jax.value_and_grad(w2)(one, two)
        np.testing.assert_allclose(value, right, rtol=1e-5)
        assert np.isfinite(slope).all()
    diagonal = lambda s: distrax.MultivariateNormalDiag(jnp.zeros(2), s)  # noqa: E731
    q = diagonal(jnp.array([2.0, 0.0]))
    w2, slope = jax.value_and_grad(lambda s: exact.wasserstein2(diagonal(s), q))(jnp.array([1.0, 0.0]))
    assert (w2, *slope) == (1.0, -1.0, 0.0)
    mixture = lambda s: distrax.MixtureSameFamily(  # noqa: E731
        distrax.Categorical(probs=jnp.ones(2) / 2), distrax.MultivariateNormalDiag(5.0 * jnp.eye(2), jnp.stack([s, s]))
    )
    assert exact.mixture_wasserstein2(mixture(jnp.array([1.0, 0.0])), mixture(jnp.array([2.0, 0.0]))) == 1.0
    point = distrax.Normal(3.0, 0.0)
    assert exact.wasserstein2(point, distrax.Normal(0.0, 4.0)) == 5.0
    assert np.isnan(exact.wasserstein2(point, distrax.Normal(0.0, -4.0)))


def test_divergence_of_a_singular_covariance():
    """p has no density on the space of a regular q; of q on fewer dimensions nothing is claimed."""
    flat, full = jnp.array([1.0, 0.0]), jnp.ones(2)
    for law in (distrax.MultivariateNormalDiag, lambda m, s: distrax.MultivariateNormalTri(m, jnp.diag(s))):
        p, q = law(jnp.zeros(2), flat), law(jnp.zeros(2), full)
        assert exact.kl(p, q) == exact.reverse_kl(q, p) == np.inf
        assert np.isnan(exact.kl(p, p))
