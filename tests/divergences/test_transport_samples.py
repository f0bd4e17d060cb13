"""Large, unequal and degenerate samples on the line, and sliced distances, against scipy and brute force."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

import divjax as dj
from divjax.divergences.transport import monotone, sliced
from tests.marks import cases

RNG = np.random.default_rng(1)
KEY = jax.random.key(7)
ORDERS = np.array([1.0, 2.0, 3.5])


@jax.jit
def on_the_line(x, y):
    coupled = dj.coupling(x, y)
    costs = jax.vmap(lambda order: dj.wasserstein(coupled, order=order))(ORDERS.astype(np.float32))
    return costs, dj.energy(dj.cdfs(x, y))


def brute(x, y, order):
    """Both quantile functions on the merged levels, in exact integers."""
    x, y = np.sort(x.astype(np.float64)), np.sort(y.astype(np.float64))
    n, m = x.size, y.size
    levels = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    gap = np.abs(x[levels[:-1] // m] - y[levels[:-1] // n])
    return (np.diff(levels) / n / m @ gap**order) ** (1 / order)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 7), (12, 18), (100_000, 100_000), (30_000, 99_991)], ids=str)
def test_line_float32(sizes):
    """To 1e-5, which float32 allows at any size."""
    x, y = RNG.normal(size=sizes[0]).astype(np.float32), (1.1 * RNG.normal(size=sizes[1]) + 0.2).astype(np.float32)
    costs, energy = on_the_line(x, y)
    np.testing.assert_allclose(costs, [brute(x, y, order) for order in ORDERS], rtol=1e-5)
    x, y = x.astype(np.float64), y.astype(np.float64)
    assert float(costs[0]) == pytest.approx(st.wasserstein_distance(x, y), rel=1e-5)
    assert float(energy) == pytest.approx(st.energy_distance(x, y) ** 2, rel=1e-5)


@pytest.mark.slow
def test_weighted_line_float32():
    x, y = RNG.normal(size=100_000).astype(np.float32), RNG.normal(size=70_001).astype(np.float32) + 0.3
    a, b = RNG.random(x.size).astype(np.float32), RNG.random(y.size).astype(np.float32)
    costs, energy = on_the_line(dj.Points(x, np.log(a)), dj.Points(y, np.log(b)))
    x, y, a, b = (z.astype(np.float64) for z in (x, y, a, b))
    assert float(costs[0]) == pytest.approx(st.wasserstein_distance(x, y, a, b), rel=1e-5)
    assert float(energy) == pytest.approx(st.energy_distance(x, y, a, b) ** 2, rel=1e-5)


def test_nearly_equal_numbers():
    """One rounding apart, and of any scale: sorted exactly."""
    x = np.array([1.0, 2.0], np.float32)
    y = np.nextafter(x, np.float32(9.0))
    for scale in np.array([1.0, 2.0**-60, 2.0**100], np.float32):
        costs, energy = on_the_line(x * scale, y * scale)
        np.testing.assert_allclose(costs[0], np.mean(y - x) * scale, rtol=1e-6)
        np.testing.assert_allclose(energy, np.mean(y - x) * scale, rtol=1e-6)


def test_positions_need_no_64_bits():
    for n, m in [(1, 5), (7, 3), (1000, 999), (65_537, 1_999_999)]:
        quotient, rest = monotone._positions(n, m)
        product = np.arange(n, dtype=np.int64) * m
        np.testing.assert_array_equal(quotient, product // n)
        np.testing.assert_array_equal(rest, product % n)


@pytest.mark.parametrize("sizes", [(30, 30), (30, 20)], ids=str)
def test_line_gradients(sizes, x64):
    """Without weights, against differences; 0 at equal samples; finite with ties."""
    x, y = RNG.normal(size=sizes[0]), RNG.normal(size=sizes[1])

    @jax.jit
    def total(x, y):
        coupled = dj.coupling(x, y)
        return dj.wasserstein(coupled) + dj.wasserstein(coupled, order=2.5) + dj.energy(dj.cdfs(x, y))

    gradient = jax.jit(jax.grad(total, (0, 1)))
    directions = RNG.normal(size=sizes[0]), RNG.normal(size=sizes[1])
    slope = sum(g @ d for g, d in zip(gradient(x, y), directions, strict=True))
    ends = (total(*(z + step * d for z, d in zip((x, y), directions, strict=True))) for step in (1e-6, -1e-6))
    assert float(slope) == pytest.approx(float(np.subtract(*ends)) / 2e-6, rel=1e-6)
    if sizes[0] == sizes[1]:
        assert all(np.abs(g).max() < 1e-30 for g in gradient(x, x))
    assert all(np.isfinite(g).all() for g in gradient(np.repeat(y, 2)[: sizes[0]], y))


# --- Sliced -------------------------------------------------------------------------------------------------

DIM = 5
X = RNG.normal(size=(60, DIM)).astype(np.float32)
Y = (1.3 * RNG.normal(size=(60, DIM)) + 0.4).astype(np.float32)
WEIGHTS = RNG.random(60), RNG.random(41)
sliced_jit = jax.jit(dj.sliced_wasserstein, static_argnames="num_directions")


def brute_sliced(x, y, order, num, a=None, b=None):
    directions = np.asarray(sliced.sphere(KEY, num, DIM), np.float64)
    costs = []
    for direction in directions:
        u, v = x @ direction, y @ direction
        if a is not None and order == 1.0:
            costs.append(st.wasserstein_distance(u, v, a, b))
        else:
            costs.append(brute(u, v, order) ** order)
    return np.mean(costs) ** (1 / order)


@pytest.mark.parametrize("num", [1, 33])
def test_sliced(num):
    for order in (1.0, 2.0, 3.0):
        for y in (Y, Y[:41]):
            value = sliced_jit(KEY, X, y, order=order, num_directions=num)
            assert float(value) == pytest.approx(brute_sliced(X, y, order, num), rel=1e-5)
    p, q = dj.Points(X, np.log(WEIGHTS[0])), dj.Points(Y[:41], np.log(WEIGHTS[1]))
    value = sliced_jit(KEY, p, q, order=1.0, num_directions=num)
    assert float(value) == pytest.approx(brute_sliced(X, Y[:41], 1.0, num, *WEIGHTS), rel=1e-5)


def test_blocks_of_directions_do_not_matter(monkeypatch):
    """Also where the last block is not full, and in the gradient."""
    whole = jax.value_and_grad(lambda x: dj.samples.sliced_cost(KEY, x, Y, num_directions=11))(X)
    monkeypatch.setattr(sliced, "_BLOCK", 4 * 60)
    parts = jax.value_and_grad(lambda x: dj.samples.sliced_cost(KEY, x, Y, num_directions=11))(X)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-7), whole, parts)


@pytest.mark.slow
def test_sliced_gradient(x64):
    """In points, weights and order, against differences; under vmap."""
    x, y, log_w = X.astype(np.float64), Y[:41].astype(np.float64), np.log(WEIGHTS[0])

    def value(x, y, log_w, order):
        return dj.sliced_wasserstein(
            KEY, dj.Points(x, log_w), dj.Points(y, np.log(WEIGHTS[1])), order=order, num_directions=7
        )

    at = (x, y, log_w, 2.5)
    gradient, value = jax.jit(jax.grad(value, (0, 1, 2, 3))), jax.jit(value)
    step = [1e-6 * RNG.normal(size=np.shape(z)) for z in at]
    slope = sum(np.sum(g * d) for g, d in zip(gradient(*at), step, strict=True))
    ends = (value(*(z + sign * d for z, d in zip(at, step, strict=True))) for sign in (1.0, -1.0))
    assert float(slope) == pytest.approx(float(np.subtract(*ends)) / 2.0, rel=1e-5)


@pytest.mark.slow
def test_sliced_edges():
    zero, slope = jax.value_and_grad(lambda x: dj.sliced_wasserstein(KEY, x, X, num_directions=5))(X)
    assert float(zero) == 0.0
    assert not np.asarray(slope).any()
    batch = jax.vmap(jax.grad(lambda x: dj.samples.sliced_cost(KEY, x, Y, num_directions=5)))(np.stack([X, Y]))
    single = jax.grad(lambda x: dj.samples.sliced_cost(KEY, x, Y, num_directions=5))(X)
    np.testing.assert_allclose(batch[0], single, rtol=1e-5, atol=1e-7)
    masked = dj.Points(np.append(X, np.full((1, DIM), 99.0, np.float32), 0), np.append(np.zeros(60), -np.inf))
    value, slope = jax.value_and_grad(lambda x: dj.sliced_wasserstein(KEY, replace(masked, x=x), Y, num_directions=5))(
        masked.x
    )
    assert float(value) == pytest.approx(float(sliced_jit(KEY, X, Y, num_directions=5)), rel=1e-5)
    assert np.isfinite(slope).all()
    assert not np.asarray(slope[-1]).any()
    for x, y in ((X, Y[:, :3]), (X[:, 0], Y[:, 0]), (X[:0], Y)):
        with pytest.raises(ValueError, match="Expected two samples"):
            dj.sliced_wasserstein(KEY, x, y)


@pytest.mark.slow
def test_max_sliced():
    """In the plane against a fine grid of directions; a shift is found exactly; the gradient holds θ."""
    solve = jax.jit(dj.samples.max_sliced)
    x, y = X[:, :2], Y[:, :2] * np.array([2.0, 0.3], np.float32)
    found = solve(KEY, x, y)
    angles = np.linspace(0.0, np.pi, 4001)
    grid = np.stack([np.cos(angles), np.sin(angles)])
    best = np.sqrt(np.mean((np.sort(x @ grid, 0) - np.sort(y @ grid, 0)) ** 2, axis=0)).max()
    assert best * (1 - 1e-5) <= float(found.value) <= best * (1 + 1e-5)
    assert float(jnp.linalg.norm(found.direction)) == pytest.approx(1.0, rel=1e-5)
    shift = np.array([1.0, -2.0, 0.5, 0.0, 3.0], np.float32)
    moved = solve(KEY, X, X + shift)
    assert float(moved.value) == pytest.approx(np.linalg.norm(shift), rel=1e-5)
    slope = jax.grad(lambda y: dj.max_sliced_wasserstein(KEY, X, y))(X + shift)
    np.testing.assert_allclose(slope, np.tile(shift / np.linalg.norm(shift) / 60, (60, 1)), rtol=1e-3, atol=1e-6)
    same, slope = jax.value_and_grad(lambda x: dj.max_sliced_wasserstein(KEY, x, X))(X)
    assert float(same) == 0.0
    assert not np.asarray(slope).any()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sliced_far_from_the_origin(offset):
    """The digits are those of the points, not those of their projections' distance from the origin."""
    x, y = X + np.float32(offset), Y[:41] + np.float32(offset)
    p = dj.Points(x, np.log(WEIGHTS[0]))
    wide = [np.asarray(z, np.float64) for z in (x, y)]
    assert float(sliced_jit(KEY, x, y, order=2.0, num_directions=33)) == pytest.approx(
        brute_sliced(*wide, 2.0, 33), rel=1e-5
    )
    weighted = brute_sliced(*wide, 1.0, 33, WEIGHTS[0], np.ones(41))
    assert float(sliced_jit(KEY, p, y, order=1.0, num_directions=33)) == pytest.approx(weighted, rel=1e-5)


MASKED = {
    "wasserstein": lambda p, q: dj.wasserstein(dj.coupling(*(replace(z, x=z.x[:, 0]) for z in (p, q)))),
    "energy": lambda p, q: dj.energy(dj.cdfs(*(replace(z, x=z.x[:, 0]) for z in (p, q)))),
    "sliced": lambda p, q: dj.sliced_wasserstein(KEY, p, q, num_directions=5),
    "max_sliced": lambda p, q: dj.max_sliced_wasserstein(KEY, p, q, num_starts=2, num_steps=5),
    "sinkhorn": lambda p, q: dj.sinkhorn_divergence(p, q),
}


@pytest.mark.parametrize("name", cases(MASKED, slow=["max_sliced", "sinkhorn"]))
@pytest.mark.parametrize("anything", [np.nan, np.inf, 1e30])
def test_masked_points_may_be_anything(name, anything):
    step = jax.value_and_grad(MASKED[name])
    q, x, log_w = dj.Points(Y[:9], np.zeros(9, np.float32)), X[:7], np.linspace(-1, 1, 7, dtype=np.float32)
    padded = dj.Points(np.append(x, np.full((1, DIM), anything, np.float32), 0), np.append(log_w, np.float32(-np.inf)))
    value, grad = step(padded, q)
    expected, slope = step(dj.Points(x, log_w), q)
    assert float(value) == pytest.approx(float(expected), rel=1e-4)
    for got, want in zip(*map(jax.tree.leaves, (grad, slope)), strict=True):
        np.testing.assert_allclose(got[:-1], want, atol=1e-4)
        assert not np.asarray(got[-1]).any()


@pytest.mark.parametrize(("order", "unit"), [(25.0, 30.0), (4.0, 1e-10), (8.0, 1e6), (1.0, 1e-30)])
def test_of_a_high_order_the_power_neither_overflows_nor_vanishes(order, unit):
    """Float32, against the norm in double precision; the derivative by the largest gap too."""
    x = (unit * np.random.default_rng(0).normal(size=40)).astype(np.float32)
    gaps = np.abs(x.astype(float))
    truth = gaps.max() * np.mean((gaps / gaps.max()) ** order) ** (1.0 / order)
    value, slope = jax.value_and_grad(lambda x: dj.wasserstein(x, jnp.zeros(40), order=order))(x)
    assert float(value) == pytest.approx(truth, rel=1e-5)
    at = gaps.argmax()
    assert abs(float(slope[at])) == pytest.approx((gaps[at] / truth) ** (order - 1.0) / 40, rel=1e-4)


def test_sliced_distances_of_high_order_and_any_unit(monkeypatch):
    """Powers of the distances overflow or vanish; against sorted projections in float64. In several blocks too."""
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    y = (1.3 * x + 0.2).astype(np.float32)
    monkeypatch.setattr(sliced, "_BLOCK", 20 * 50)  # 128 directions in three
    directions = np.asarray(sliced.sphere(KEY, 128, 3), np.float64)
    gap = np.abs(np.sort(x.astype(float) @ directions.T, axis=0) - np.sort(y.astype(float) @ directions.T, axis=0))
    mean = functools.partial(dj.sliced_wasserstein, KEY)
    largest = functools.partial(dj.max_sliced_wasserstein, KEY, num_starts=2, num_steps=10)
    slopes = jax.jit(jax.value_and_grad(lambda x, y, order: mean(x, y, order=order), (0, 2)))
    most = jax.jit(lambda x, y, order: largest(x, y, order=order))
    power = lambda order: np.mean(gap**order) ** (1 / order)  # noqa: E731
    for unit, order in ((1e-10, 4.0), (1e10, 4.0), (2.0**100, 25.0), (1.0, 60.0)):
        unit = np.float32(unit)
        value, (slope, by_order) = slopes(x * unit, y * unit, order)
        np.testing.assert_allclose(value, unit * power(order), rtol=1e-5)
        np.testing.assert_allclose(by_order / unit, (power(order + 1e-4) - power(order - 1e-4)) / 2e-4, rtol=1e-2)
        np.testing.assert_allclose(slope, slopes(x, y, order)[1][0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(most(x * unit, y * unit, order) / unit, most(x, y, order), rtol=1e-5)
    assert float(mean(x, x, order=25.0)) == float(largest(x, x, order=25.0)) == 0.0
