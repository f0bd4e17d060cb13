"""Diagnostics from samples against brute force in float64, and their values where they are known."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

import divjax as dj
from divjax import diagnostics
from divjax.diagnostics import balls

RNG = np.random.default_rng(4)
NUM = 5
KEY = jax.random.key(9)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def distances(x, y):
    x, y = (np.asarray(a, float).reshape(len(a), -1) for a in (x, y))
    return cdist(x, y)


def radii(x, num):
    return np.sort(distances(x, x) + np.diag(np.full(len(x), np.inf)), axis=1)[:, num - 1]


def by_hand(real, generated, num):
    """precision, recall, density, coverage, by every pair."""
    across, of_real, of_generated = distances(real, generated), radii(real, num), radii(generated, num)
    inside = across <= of_real[:, None] * (1 + 1e-6)
    recall = (across <= of_generated * (1 + 1e-6)).any(1).mean()
    return inside.any(0).mean(), recall, inside.sum() / (num * len(generated)), inside.any(1).mean()


def ours(real, generated, num=NUM):
    both = (
        *diagnostics.precision_recall(real, generated, num=num),
        *diagnostics.density_coverage(real, generated, num=num),
    )
    return np.asarray(jnp.stack(both))


@pytest.mark.parametrize(
    ("n", "m", "d", "num"),
    [pytest.param(60, 60, 2, 5, marks=pytest.mark.slow), (80, 50, 6, 3), (30, 90, 40, 1), (2, 2, 1, 1)],
)
def test_against_every_pair(n, m, d, num, monkeypatch):
    """In several tiles, the last ones not full."""
    monkeypatch.setattr(balls, "_TILE", 37)
    jax.clear_caches()
    real, generated = normal(n, d), np.float32(0.9) * normal(m, d) + np.float32(0.2)
    np.testing.assert_allclose(ours(real, generated, num), by_hand(real, generated, num), rtol=1e-6)


def test_far_apart_groups():
    """Groups a thousand times their own width from each other: |x|² + |y|² − 2 x·y has no digits left."""
    group = np.repeat(np.eye(6, dtype=np.float32) * 1e3, 20, axis=0)
    real, generated = group + 0.1 * normal(120, 6), group + 0.1 * normal(120, 6)
    np.testing.assert_allclose(ours(real, generated), by_hand(real, generated, NUM), rtol=1e-6)


@pytest.mark.parametrize("d", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_set_with_itself(d):
    """Everything is inside: the balls reach their own neighbours, whatever the rounding."""
    x = normal(70, d) + np.float32(5.0)
    for a, b in ((x, x), (x, x[::-1]), (np.repeat(x, 2, axis=0), x)):
        values = ours(a, b, 1)
        np.testing.assert_allclose(values[[0, 1, 3]], 1.0)
        assert values[2] >= 1.0
    np.testing.assert_allclose(ours(x, x)[2], (NUM + 1) / NUM)


def test_constants_and_duplicates():
    ones = np.full((12, 3), 3.3, np.float32)
    np.testing.assert_allclose(ours(ones, ones), [1.0, 1.0, 12 / NUM, 1.0])
    np.testing.assert_allclose(ours(ones, ones + 1), 0.0)
    x = np.repeat(normal(4, 2), 10, axis=0)
    np.testing.assert_allclose(ours(x, x[:20]), by_hand(x, x[:20], NUM), rtol=1e-6)
    assert diagnostics.unrealistic_rate_of_samples(ones, ones) == 0.0
    assert diagnostics.unrealistic_rate_of_samples(ones, ones + 1) == 1.0
    assert diagnostics.memorisation_rate(ones, ones) == 1.0
    assert diagnostics.memorisation_rate(ones, ones + 1) == 0.0


@pytest.mark.slow
def test_one_dimension_and_other_dtypes():
    x, y = normal(40), normal(30)
    np.testing.assert_allclose(ours(x, y), ours(x[:, None], y[:, None]))
    np.testing.assert_allclose(ours(x.astype(np.float64), y), ours(x, y))
    codes = RNG.integers(0, 3, (30, 4))
    np.testing.assert_allclose(ours(codes, codes[:20]), by_hand(codes, codes[:20], NUM), rtol=1e-6)
    wide = [np.stack([a, np.full_like(a, 1e3)], axis=1) for a in (x, y)]
    np.testing.assert_allclose(ours(*wide), ours(x, y))


def test_density_and_coverage_of_equal_distributions():
    """Density 1, coverage as the paper's formula has it, in standard errors of 40 repetitions."""
    n, m = 100, 60

    @jax.jit
    @jax.vmap
    def values(key):
        one, two = jax.random.split(key)
        return diagnostics.density_coverage(jax.random.normal(one, (n, 2)), jax.random.normal(two, (m, 2)), num=3)

    for found, expected in zip(
        values(jax.random.split(jax.random.key(3), 40)),
        (1.0, 1 - np.prod([(n - 1 - k) / (n + m - 1 - k) for k in range(3)])),
        strict=True,
    ):
        assert abs(found.mean() - expected) < 4 * found.std() / 40**0.5


def test_dropped_and_unrealistic():
    """A model of one of two modes has precision without recall; one that covers too much the other way round."""
    real = normal(200, 2) + np.repeat([[0.0, 0.0], [20.0, 0.0]], 100, axis=0).astype(np.float32)
    precision, recall, _, coverage = ours(real, normal(200, 2))
    assert precision > 0.9
    assert recall < 0.6
    assert coverage < 0.55
    wide = np.stack([10 + 15 * normal(200), 15 * normal(200)], axis=1)
    precision, recall, density, _ = ours(real, wide)
    assert precision < 0.3
    assert density < 0.3
    assert recall > 0.9
    assert diagnostics.unrealistic_rate_of_samples(real, wide) > 0.7


def test_modes_captured():
    centres = np.array(list(itertools.product(range(5), range(5))), np.float32)  # the grid of 25, sigma 0.05
    x = np.repeat(centres, 40, axis=0) + 0.05 * normal(1000, 2)
    modes, quality = diagnostics.modes_captured(x, centres, 0.05)
    expected = stats.chi(2).cdf(3)
    assert modes == 25
    assert abs(quality - expected) < 4 * np.sqrt(expected * (1 - expected) / 1000)
    near = cdist(x, centres)
    assert float(quality) == pytest.approx((near.min(1) <= 0.15).mean())
    some = np.concatenate([x[:200], x[400:401], np.full((99, 2), 0.5)])
    modes, quality = diagnostics.modes_captured(some, centres, 0.05)
    assert int(modes) == 6
    assert float(quality) == pytest.approx((cdist(some, centres).min(1) <= 0.15).mean())
    assert diagnostics.modes_captured(some, centres, 0.05, share=0.01).modes == 5
    assert diagnostics.modes_captured(some, centres, 0.05, sigmas=1e-3).modes == 0
    assert diagnostics.modes_captured(centres, centres, 0.0) == (25, 1.0)
    scales = np.where(np.arange(25) == 12, 0.05, 1e-6)
    assert diagnostics.modes_captured(x, centres, scales).modes == 1
    assert diagnostics.modes_captured(np.zeros(9), np.array([0.0, 4.0]), 1.0).modes == 1


def memorised_by_hand(train, generated, level):
    own = distances(train, train) + np.diag(np.full(len(train), np.inf))

    def ratio(to, among, spacing):
        near = to[among].argmin()
        return to[among][near] / spacing(among[near])

    left_out = []
    for i in range(len(train)):
        others = np.delete(np.arange(len(train)), i)
        left_out.append(ratio(own[i], others, lambda j, i=i: np.delete(own[j], i).min()))
    bound = np.sort(left_out)[max(1, int(level * (len(train) + 1))) - 1]  # of few points the least one
    ratios = [ratio(row, np.arange(len(train)), lambda j: own[j].min()) for row in distances(generated, train)]
    return np.mean(np.array(ratios) <= bound * (1 + 1e-6))


@pytest.mark.parametrize("level", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("d", [1, 4])
def test_memorisation_against_every_pair(level, d):
    train, fresh = normal(90, d), normal(100, d)
    generated = np.concatenate([fresh, train[:40], train[40:60] + np.float32(1e-3) * normal(20, d)])
    found = diagnostics.memorisation_rate(train, generated, level=level)
    assert float(found) == pytest.approx(memorised_by_hand(train, generated, level))
    assert diagnostics.memorisation_rate(train, train[::2], level=level) == 1.0
    assert diagnostics.memorisation_rate(train, generated, level=0.0) == pytest.approx(40 / 160)  # exact ones alone


def test_distances_are_what_the_rates_count():
    """At most 1 within, above 1 outside; ``num`` training points give the unit of all."""
    train, fresh = normal(90, 3), normal(70, 3)
    far = np.asarray(diagnostics.distance_to_data(train, fresh, level=0.9, num=4))
    bound = np.sort(radii(train, 4))[int(np.ceil(0.9 * 91)) - 1]
    np.testing.assert_allclose(far, np.sort(distances(fresh, train), axis=1)[:, 3] / bound, rtol=1e-5)
    copies = diagnostics.copy_distances(train, fresh, level=0.1)
    assert copies.train.shape == (90,)
    assert float(np.mean(np.asarray(copies.train) <= 1.0)) == pytest.approx(9 / 90)
    assert np.mean(np.asarray(copies.generated) <= 1.0) == diagnostics.memorisation_rate(train, fresh, level=0.1)
    some = diagnostics.copy_distances(train, fresh, level=0.1, num=30)
    assert some.train.shape == (30,)
    ratio = np.asarray(some.generated / copies.generated)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)  # the same but for the unit
    with pytest.raises(ValueError, match="num >= 1"):
        diagnostics.copy_distances(train, fresh, num=0)


@pytest.mark.parametrize("d", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_rates_of_fresh_draws(d):
    """About level, and 1 − level, for new draws of the same distribution; each repetition has its own training set."""

    @jax.jit
    @jax.vmap
    def rates(key):
        one, two = jax.random.split(key)
        x, y = jax.random.normal(one, (400, d)), jax.random.normal(two, (100, d))
        return jnp.stack(
            [
                diagnostics.memorisation_rate(x, y, level=0.05),
                diagnostics.unrealistic_rate_of_samples(x, y, level=0.95),
            ]
        )

    found = np.asarray(rates(jax.random.split(jax.random.key(6), 40)))
    assert (np.abs(found.mean(0) - 0.05) < 4 * found.std(0) / 40**0.5).all(), found.mean(0)


def test_unrealistic_rate_against_every_pair():
    real, generated = normal(150, 3), 2 * normal(80, 3)
    bound = np.sort(radii(real, 4))[int(np.ceil(0.9 * 151)) - 1]
    expected = (np.sort(distances(generated, real), axis=1)[:, 3] > bound).mean()
    found = diagnostics.unrealistic_rate_of_samples(real, generated, level=0.9, num=4)
    assert float(found) == pytest.approx(expected)
    assert diagnostics.unrealistic_rate_of_samples(real[:20], real[20:30] + 50) == 1.0


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.5, 1.0])
def test_rate_stderr(rate):
    """That of the binomial; at the ends it is not zero, but less than four in n."""
    found = float(diagnostics.rate_stderr(rate, 400))
    expected = np.sqrt(rate * (1 - rate) / 400)
    if expected:
        assert found == pytest.approx(expected, rel=0.15)
    else:
        assert 0 < found < 4 / 400


def test_split_stderr_of_means():
    """Of a difference of means it is the textbook standard error, up to the spread of a few splits."""
    x, y = normal(100, 1), 2 * normal(60, 1)
    found = diagnostics.split_stderr(KEY, lambda a, b: {"gap": jnp.mean(a) - jnp.mean(b)}, x, y, num=60)["gap"]
    assert float(found) == pytest.approx(np.sqrt(x.var(ddof=1) / 100 + y.var(ddof=1) / 60), rel=0.3)


@pytest.mark.slow
def test_split_stderr_of_diagnostics():
    """The root mean square over repetitions is the standard deviation over repetitions, to a third."""
    pairs = [(normal(300, 2), normal(240, 2)) for _ in range(60)]
    for diagnostic in (diagnostics.density_coverage, functools.partial(diagnostics.precision_recall, num=3)):
        values = np.array([diagnostic(*pair) for pair in pairs])
        errors = np.array([diagnostics.split_stderr(KEY, diagnostic, *pair) for pair in pairs[:15]])
        ratio = np.sqrt((errors**2).mean(0)) / values.std(0, ddof=1)
        assert ((ratio > 0.7) & (ratio < 1.4)).all(), ratio


def test_refusals():
    x = normal(6, 2)
    rate = diagnostics.unrealistic_rate_of_samples
    for function in (diagnostics.precision_recall, diagnostics.density_coverage, rate):
        with pytest.raises(ValueError, match="num = 6, 6 points"):
            function(x, x, num=6)
        with pytest.raises(ValueError, match="num >= 1"):
            function(x, x, num=0)
        with pytest.raises(ValueError, match="one dimension"):
            function(x, normal(6, 3))
        with pytest.raises(TypeError, match="without weights"):
            function(x, dj.Points(x, np.zeros(6, np.float32)))
    with pytest.raises(ValueError, match="at least 3"):
        diagnostics.memorisation_rate(x[:2], x)
    with pytest.raises(ValueError, match="level"):
        diagnostics.unrealistic_rate_of_samples(x, x, level=1.5)
    with pytest.raises(ValueError, match="scale"):
        diagnostics.modes_captured(x, x[:3], np.ones(2))
    with pytest.raises(ValueError, match="splits"):
        diagnostics.split_stderr(KEY, diagnostics.precision_recall, x, x, num=0)


@pytest.mark.usefixtures("x64")
def test_float64():
    x, y = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2))
    values = ours(x, y)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, by_hand(x, y, NUM), rtol=1e-12)


def test_nan_is_not_hidden():
    x, y = normal(20, 2), normal(15, 2)
    broken = x.copy()
    broken[3, 1] = np.nan
    rates = diagnostics.memorisation_rate, diagnostics.unrealistic_rate_of_samples
    for function in (diagnostics.precision_recall, diagnostics.density_coverage, *rates):
        for pair in ((broken, y), (y, broken)):
            assert np.isnan(jax.tree.leaves(function(*pair))).all()
    assert np.isnan(diagnostics.modes_captured(broken, y, 1.0).high_quality)


def test_one_array_may_be_both_samples():
    x = jax.random.normal(jax.random.key(0), (20, 2))
    same = diagnostics.density_coverage(x, x, num=3)
    np.testing.assert_array_equal(same, diagnostics.density_coverage(x, jnp.array(x), num=3))
