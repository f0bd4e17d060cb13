"""Stein discrepancies, the Fisher divergence and score matching, against brute force and closed forms."""

import itertools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import kernels

RNG = np.random.RandomState(0)

# name: (kernel, its value and first two derivatives in s)
SMOOTH = {
    "rbf": (
        kernels.rbf(1.5),
        [lambda s, j=j: (-1 / 4.5) ** j * np.exp(-s / 4.5) for j in range(3)],
    ),
    "imq": (
        kernels.imq(1.0),
        [lambda s: (1 + s) ** -0.5, lambda s: -0.5 * (1 + s) ** -1.5, lambda s: 0.75 * (1 + s) ** -2.5],
    ),
}


def stein_matrix(x, s, profile):
    """u(x_i, x_j) from its definition, the mixed second derivatives of k written out entry by entry."""
    n, d = x.shape
    out = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        gap = x[i] - x[j]
        k, k1, k2 = (f(gap @ gap) for f in profile)
        by_x, by_y = 2 * k1 * gap, -2 * k1 * gap
        mixed = -2 * k1 * np.eye(d) - 4 * k2 * np.outer(gap, gap)
        out[i, j] = s[i] @ s[j] * k + s[i] @ by_y + s[j] @ by_x + np.trace(mixed)
    return out


def brute(x, s, w, profile, *, unbiased=False):
    w, u = w / w.sum(), stein_matrix(x, s, profile)
    if not unbiased:
        return w @ u @ w
    return (w @ u @ w - (w * w) @ np.diag(u)) / (1 - (w * w).sum())


def sample(n, d, seed=0):
    rng = np.random.RandomState(seed)
    arrays = rng.randn(n, d), rng.randn(n, d), np.log(rng.rand(n) + 0.1)
    x, s, log_w = (a.astype(np.float32).astype(float) for a in arrays)
    return x, s, np.exp(log_w)


def points(x, w, dtype=jnp.float32):
    return dj.Points(jnp.asarray(x, dtype), jnp.asarray(np.log(w), dtype))


def both(p, s, kernel):
    return dj.stein(p, s, kernel=kernel), dj.samples.stein_unbiased(p, s, kernel=kernel)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("d", [1, pytest.param(3, marks=pytest.mark.slow), 7])
def test_stein_values(name, d):
    kernel, profile = SMOOTH[name]
    x, s, w = sample(30, d)
    got = jax.jit(both)(points(x, w), s, kernel)
    want = brute(x, s, w, profile), brute(x, s, w, profile, unbiased=True)
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("name", SMOOTH)
def test_stein_values_over_many_tiles(name, monkeypatch):
    monkeypatch.setattr("divjax.divergences.kernel.pairwise._TILE", 16)
    kernel, profile = SMOOTH[name]
    x, s, w = sample(57, 6)
    got, grad = jax.jit(jax.value_and_grad(lambda s: dj.stein(points(x, w), s, kernel=kernel)))(jnp.asarray(s))
    np.testing.assert_allclose(got, brute(x, s, w, profile), rtol=1e-5)
    # It is quadratic in the scores: central differences are exact.
    want = [
        brute(x, s + step, w, profile) - brute(x, s - step, w, profile)
        for step in np.eye(57 * 6).reshape(-1, 57, 6)[::50] * 0.5
    ]
    np.testing.assert_allclose(grad.ravel()[::50], want, atol=1e-5 * np.abs(grad).max())


def central_differences(f, a, step=1e-5):
    out = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        up, down = a.copy(), a.copy()
        up[i], down[i] = up[i] + step, down[i] - step
        out[i] = (f(up) - f(down)) / (2 * step)
    return out


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_stein_gradients(name, d):
    kernel, profile = SMOOTH[name]
    x, s, w = sample(7, d)

    def mix(biased, unbiased):
        return biased - 0.3 * unbiased

    by_p, by_s = jax.jit(jax.grad(lambda p, s: mix(*both(p, s, kernel)), (0, 1)))(points(x, w), jnp.asarray(s))

    def truth(x, s, w):
        return mix(brute(x, s, w, profile), brute(x, s, w, profile, unbiased=True))

    expected = {
        "x": (by_p.x, central_differences(lambda a: truth(a, s, w), x)),
        "log_w": (by_p.log_w, central_differences(lambda a: truth(x, s, np.exp(a)), np.log(w))),
        "score": (by_s, central_differences(lambda a: truth(x, a, w), s)),
    }
    for what, (got, want) in expected.items():
        np.testing.assert_allclose(got, want, atol=3e-5 * np.abs(want).max(), err_msg=what)


def test_stein_gradient_in_the_scale_and_in_float64(x64):
    x, s, w = sample(7, 6)
    value, by_scale = jax.jit(
        jax.value_and_grad(lambda c: dj.stein(points(x, w, jnp.float64), s, kernel=kernels.imq(c)))
    )(1.0)

    def truth(c):
        powers = ((1.0, -0.5), (-0.5 / c**2, -1.5), (0.75 / c**4, -2.5))
        return brute(x, s, w, [lambda r, f=factor, a=power: f * (1 + r / c**2) ** a for factor, power in powers])

    np.testing.assert_allclose(value, truth(1.0), rtol=1e-12)
    np.testing.assert_allclose(by_scale, (truth(1 + 1e-5) - truth(1 - 1e-5)) / 2e-5, rtol=1e-7)


def test_stein_of_the_truth_has_mean_zero_and_of_another_the_closed_form():
    """u integrates to 0 against q; for p, q normal on the line E δ(x) δ(x') k is a Gaussian integral."""

    def values(key, loc):
        x = loc + jax.random.normal(key, (100,))
        return dj.samples.stein_unbiased(x, -x, kernel=kernels.rbf(1.5))

    draw = jax.jit(jax.vmap(values, (0, None)))
    for loc in (0.0, 0.7):
        got = np.asarray(draw(jax.random.split(jax.random.key(0), 300), loc), float)
        # δ = −(x − loc) + x = loc, and E k for x − x' ~ N(0, 2) is h / √(h² + 2).
        truth = loc**2 * 1.5 / np.sqrt(1.5**2 + 2)
        assert abs(got.mean() - truth) < 4 * got.std() / np.sqrt(got.size)


def test_stein_unbiased_over_all_samples_of_a_small_population():
    x, s = RNG.randn(3, 2).astype(np.float32), RNG.randn(3, 2).astype(np.float32)
    chosen = np.array(list(itertools.product(range(3), repeat=3)))
    values = jax.vmap(lambda x, s: dj.samples.stein_unbiased(x, s, kernel=SMOOTH["imq"][0]))(x[chosen], s[chosen])
    truth = brute(x.astype(float), s.astype(float), np.ones(3), SMOOTH["imq"][1])
    np.testing.assert_allclose(np.mean(values), truth, rtol=1e-5)


def test_stein_masks_and_repeated_points():
    x, s, w = sample(12, 6)
    with np.errstate(divide="ignore"):
        padded = points(np.concatenate([x, np.full((2, 6), np.nan)]), np.append(w, [0.0, 0.0]))
    step = jax.jit(jax.grad(lambda p, s: sum(both(p, s, kernels.imq(1.0))), (0, 1)))
    (grad, by_score), (plain, plain_score) = (
        step(padded, np.pad(s, [(0, 2), (0, 0)], constant_values=np.nan)),
        step(points(x, w), s),
    )
    for got, want in ((grad.x, plain.x), (grad.log_w, plain.log_w), (by_score, plain_score)):
        np.testing.assert_allclose(got[:-2], want, atol=1e-5)
        assert not np.any(got[-2:])
    same = step(points(np.ones((5, 6)), np.ones(5)), np.ones((5, 6)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(same))


def test_stein_memory_grows_with_the_points():
    step = jax.jit(jax.value_and_grad(lambda x, s: dj.stein(x, s, kernel=kernels.imq(1.0)), (0, 1)))
    sizes = []
    for n in (20_000, 80_000):
        x = jax.ShapeDtypeStruct((n, 16), jnp.float32)
        sizes.append(step.lower(x, x).compile().memory_analysis().temp_size_in_bytes)
    assert sizes[0] < 64e6
    assert sizes[1] - sizes[0] < 12 * 60_000 * 16 * 4 * 2


P = distrax.MultivariateNormalTri(jnp.array([0.3, -0.2]), jnp.array([[1.0, 0.0], [0.4, 0.7]]))
Q = distrax.MultivariateNormalTri(jnp.array([0.0, 0.5]), jnp.array([[1.2, 0.0], [-0.3, 0.9]]))


def score_of(dist):
    return jax.grad(dist.log_prob)


def draws(size=4000):
    return P.sample(seed=jax.random.key(3), sample_shape=(size,))


def test_fisher_against_the_closed_form():
    x = draws(20_000)
    score_p, score_q = (jax.vmap(score_of(dist))(x) for dist in (P, Q))
    terms = np.sum((score_p - score_q) ** 2, 1, dtype=float)
    got = dj.fisher(x, score_p, score_q)
    assert dj.fisher(x, score_of(P), score_of(Q)) == dj.fisher(x, score_of(P), score_q) == got
    np.testing.assert_allclose(got, terms.mean(), rtol=1e-5)
    assert abs(got - dj.exact.fisher(P, Q)) < 4 * terms.std() / np.sqrt(terms.size)
    half = dj.score_matching.explicit(x, score_p, score_of(Q))
    np.testing.assert_allclose(2 * half, got, rtol=1e-5)


def test_fisher_weights_masks_and_zero():
    x, p, q = RNG.randn(3, 6, 3)
    w = RNG.rand(6)
    np.testing.assert_allclose(dj.fisher(points(x, w), p, q), w / w.sum() @ ((p - q) ** 2).sum(1), rtol=1e-5)
    sample = dj.Points(x, np.where(np.arange(6) < 4, 0.0, -np.inf))
    value, grad = jax.value_and_grad(dj.fisher, 1)(sample, np.where(np.arange(6)[:, None] < 4, p, np.nan), q)
    np.testing.assert_allclose(value, dj.fisher(x[:4], p[:4], q[:4]), rtol=1e-6)
    assert not np.any(grad[4:])
    assert np.isfinite(grad).all()
    assert dj.fisher(x, p, p) == 0.0
    assert dj.fisher(x[:, 0], p[:, 0], q[:, 0]) == pytest.approx(((p[:, 0] - q[:, 0]) ** 2).mean())


def network(params):
    return lambda x: jnp.tanh(x @ params["w"]) @ params["v"] - x


def params():
    return {"w": jnp.asarray(RNG.randn(3, 5), jnp.float32), "v": jnp.asarray(RNG.randn(5, 3), jnp.float32)}


def test_implicit_score_matching_has_the_exact_trace():
    theta, x = params(), RNG.randn(40, 3).astype(np.float32)
    w = RNG.rand(40)
    jacobians = np.asarray(jax.vmap(jax.jacobian(network(theta)))(x), float)
    values = np.asarray(jax.vmap(network(theta))(x), float)
    truth = (w / w.sum()) @ (np.trace(jacobians, axis1=1, axis2=2) + 0.5 * (values**2).sum(1))
    np.testing.assert_allclose(dj.score_matching.implicit(points(x, w), network(theta)), truth, rtol=1e-5)
    grad = jax.jit(jax.grad(lambda t: dj.score_matching.implicit(x, network(t))))(theta)
    step = lambda t: dj.score_matching.implicit(x, network({**theta, "v": theta["v"].at[1, 2].add(t)}))  # noqa: E731
    np.testing.assert_allclose(grad["v"][1, 2], (step(1e-2) - step(-1e-2)) / 2e-2, rtol=1e-3)


def test_implicit_is_half_fisher_less_a_constant_of_the_data():
    x = draws(20_000)
    p_terms = np.sum(np.asarray(jax.vmap(score_of(P))(x)) ** 2, 1, dtype=float)
    want = 0.5 * (float(dj.exact.fisher(P, Q)) - p_terms.mean())
    got = float(dj.score_matching.implicit(x, score_of(Q)))
    values = np.sum(np.asarray(jax.vmap(score_of(Q))(x)) ** 2, 1, dtype=float)
    stderr = 0.5 * np.std(values + p_terms) / np.sqrt(len(x))
    assert abs(got - want) < 4 * stderr


def test_sliced_has_the_implicit_as_its_mean():
    theta, x = params(), RNG.randn(40, 3).astype(np.float32)
    truth = float(dj.score_matching.implicit(x, network(theta)))
    one = jax.jit(jax.vmap(lambda key: dj.score_matching.sliced(key, x, network(theta))))
    values = np.asarray(one(jax.random.split(jax.random.key(0), 500)), float)
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(values.size)
    many = jax.vmap(lambda key: dj.score_matching.sliced(key, x, network(theta), num_directions=16))
    assert many(jax.random.split(jax.random.key(1), 100)).std() < values.std() / 3


def test_denoising_is_least_at_the_score_of_the_smoothed_data():
    """For N(m, s²) data with noise σ the best linear score is −(x − m)/(s² + σ²), and the best value is known."""
    x, sigma = 1.0 + 0.5 * jax.random.normal(jax.random.key(0), (50_000, 1)), 0.8

    def loss(theta):
        return dj.score_matching.denoising(
            jax.random.key(1), x, lambda t: -(t - theta[0]) * jnp.exp(theta[1]), scale=sigma
        )

    best = jnp.array([1.0, -jnp.log(0.5**2 + sigma**2)])
    # ½ E‖s + ε/σ‖² = ½ (1/σ² − 1/(s² + σ²)) at the best.
    np.testing.assert_allclose(loss(best), 0.5 * (1 / sigma**2 - 1 / (0.5**2 + sigma**2)), rtol=0.03)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(best), 0.0, atol=0.02)


def test_masked_points_do_not_reach_the_objectives():
    x = np.concatenate([RNG.randn(10, 3), np.full((2, 3), np.nan)]).astype(np.float32)
    p = dj.Points(jnp.asarray(x), jnp.where(jnp.arange(12) < 10, 0.0, -jnp.inf))
    theta, key = params(), jax.random.key(0)
    for loss in (
        lambda t: dj.score_matching.implicit(p, network(t)),
        lambda t: dj.score_matching.sliced(key, p, network(t)),
        lambda t: dj.score_matching.denoising(key, p, network(t), scale=0.1),
        lambda t: dj.score_matching.explicit(p, jnp.asarray(x), network(t)),
    ):
        value, grad = jax.value_and_grad(loss)(theta)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_errors():
    x = np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"score_q of the shape of the points, \[4, 2\]; got \[4, 3\]"):
        dj.stein(x, np.zeros((4, 3)), kernel=kernels.rbf(1.0))
    with pytest.raises(ValueError, match=r"n >= 2; got shape \[1, 2\]"):
        dj.samples.stein_unbiased(x[:1], x[:1], kernel=kernels.rbf(1.0))
    with pytest.raises(ValueError, match=r"score_q at all points, of shape \[4, 2\]; got \[3, 2\]"):
        dj.fisher(x, x, x[:3])
    with pytest.raises(ValueError, match=r"score_p\(x\) of the shape of one point, \[2\]; got \[1\]"):
        dj.fisher(x, lambda x: x[:1], x)
    with pytest.raises(ValueError, match=r"shape of one point, \[2\]; got \[\]"):
        dj.score_matching.implicit(x, lambda x: jnp.sum(x))


@pytest.mark.parametrize("d", [1, 3])
def test_stein_unbiased_with_an_outlier(d):
    """Its squared score is in no pair, and must not take the digits of the others."""
    x, s, w = sample(20, d)
    x[0], s[0] = 1e4, -1e4
    profile = SMOOTH["rbf"][1]
    u = stein_matrix(x, s, profile)
    np.fill_diagonal(u, 0.0)
    w = w / w.sum()
    value = dj.samples.stein_unbiased(points(x, w), jnp.asarray(s, jnp.float32), kernel=SMOOTH["rbf"][0])
    assert float(value) == pytest.approx(w @ u @ w / (1 - w @ w), rel=1e-3)
