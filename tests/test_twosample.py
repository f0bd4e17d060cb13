"""Two-sample tests: statistics against brute force, sizes against the binomial, power against scipy and numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

import divjax as dj
from divjax import twosample
from divjax.twosample.result import against_null, subsets

KEY = jax.random.key(11)
RNG = np.random.default_rng(2)
TESTS = {"mmd": twosample.mmd_test, "energy": twosample.energy_test, "classifier": twosample.classifier_test}
LEVELS = np.array([0.01, 0.05, 0.1, 0.2, 0.5])


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def contrasts(key, n, m, num):
    labels = np.concatenate([(np.arange(n + m) < n)[:, None], np.asarray(subsets(key, n, n + m, num, bool))], 1)
    return np.where(labels, 1.0 / n, -1.0 / m)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 3), (30, 45, 8), (1100, 60, 2)])
def test_null_against_all_pairs(n, m, d):
    """With the permutations that the test draws, in float64; more points than one tile holds too."""
    x, y, num = normal(n, d), normal(m, d) + np.float32(0.2), 50
    pool, key = np.concatenate([x, y]).astype(float), jax.random.split(KEY)[1]
    distances = cdist(pool, pool)
    for result, matrix, used in (
        (twosample.mmd_test(KEY, x, y, kernel=dj.kernels.rbf(1.5), num_draws=num), np.exp(-(distances**2) / 4.5), key),
        (twosample.energy_test(KEY, x, y, num_draws=num), -distances, KEY),
    ):
        a = contrasts(used, n, m, num)
        expected = np.einsum("ic,ij,jc->c", a, matrix, a, optimize=True)
        np.testing.assert_allclose(np.append(result.statistic, result.null), expected, rtol=1e-3, atol=1e-7)
        count = np.sum(expected[1:] >= expected[0])
        assert result.p_value == pytest.approx((1 + count) / (1 + num), abs=1e-6)
        assert result.null.shape == (num,)


@pytest.mark.slow
def test_statistics_are_the_divergences():
    x, y = normal(60, 4), normal(50, 4) + 1
    kernel = dj.kernels.imq(1.0)
    assert twosample.mmd_test(KEY, x, y, kernel=kernel, num_draws=9).statistic == pytest.approx(
        float(dj.mmd2(x, y, kernel=kernel)), rel=1e-4
    )
    energies = [twosample.energy_test(KEY, a, b, num_draws=9).statistic for a, b in ((x, y), (x[:, 0], y[:, 0]))]
    expected = [float(dj.energy(x, y)), stats.energy_distance(x[:, 0], y[:, 0]) ** 2]
    np.testing.assert_allclose(energies, expected, rtol=1e-4)
    score = -x
    assert twosample.stein_test(KEY, x, score, kernel=kernel, num_draws=9).statistic == pytest.approx(
        float(dj.stein(x, score, kernel=kernel)), rel=1e-4
    )


def test_on_the_line_as_in_the_plane():
    """One sort, or all pairs of the same points with a constant column: the same permutations."""
    x, y = normal(70), normal(30) + np.float32(0.3)
    line = twosample.energy_test(KEY, x, y, num_draws=30)
    plane = twosample.energy_test(KEY, *(np.stack([a, np.full_like(a, 7.0)], 1) for a in (x, y)), num_draws=30)
    pool = np.concatenate([x, y]).astype(float)
    order = np.argsort(pool, kind="stable")
    steps = contrasts(KEY, 70, 30, 30)[order]
    expected = 2 * np.sum(np.cumsum(steps, 0)[:-1] ** 2 * np.diff(pool[order])[:, None], 0)
    np.testing.assert_allclose(np.append(line.statistic, line.null), expected, rtol=1e-4)
    assert plane.statistic == pytest.approx(float(line.statistic), rel=1e-4)


def test_wild_bootstrap_against_all_pairs():
    x, scale = normal(50, 2), 1.3
    result = twosample.stein_test(KEY, x, lambda x: -x, kernel=dj.kernels.rbf(scale), num_draws=40)
    z = x.astype(float)
    difference, squares = z[:, None] - z[None], cdist(z, z, "sqeuclidean")
    k = np.exp(-squares / (2 * scale**2))
    moved = np.einsum("ijk,ijk->ij", -(z[:, None] - z[None]), difference) / scale**2
    u = k * (z @ z.T + moved + 2 / scale**2 - squares / scale**4)
    signs = np.asarray(jax.random.rademacher(KEY, (50, 40), jnp.float32)).astype(float)
    np.testing.assert_allclose(result.statistic, u.mean(), rtol=1e-4)
    np.testing.assert_allclose(result.null, np.einsum("ic,ij,jc->c", signs, u, signs) / 2500, rtol=1e-4, atol=1e-6)


def test_subsets_are_uniform():
    """Every place as often as any other, every pair too, and the size always right."""
    labels = np.asarray(subsets(KEY, 3, 8, 20_000, np.float32))
    assert (labels.sum(0) == 3).all()
    together = labels @ labels.T / 20_000
    expected = np.where(np.eye(8, dtype=bool), 3 / 8, 3 / 8 * 2 / 7)
    assert (np.abs(together - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 20_000)).all()


def test_p_value():
    result = against_null(jnp.array([2.0, 1.0, 2.0, 3.0, 0.0]))
    assert float(result.p_value) == pytest.approx(3 / 5)
    assert np.isnan(against_null(jnp.array([jnp.nan, 1.0])).p_value)


@pytest.mark.parametrize("name", TESTS)
def test_nothing_to_tell(name):
    """Identical samples, constant ones, duplicates: never significant, never NaN."""
    test, x = TESTS[name], normal(20, 3)
    ones = np.ones((20, 3), np.float32)
    twice = np.repeat(normal(5, 3), 4, axis=0)
    for a, b in ((x, x), (ones, ones), (1e4 * ones, 1e4 * ones), (twice, twice)):
        result = test(KEY, a, b, num_draws=99)
        assert np.isfinite(result.null).all()
        assert result.p_value > 0.3
    assert test(KEY, ones, ones, num_draws=99).p_value == 1.0
    if name != "classifier":
        assert test(KEY, x, x, num_draws=99).p_value == 1.0


@pytest.mark.parametrize("name", ["mmd", "energy", pytest.param("classifier", marks=pytest.mark.slow)])
def test_two_points_each(name):
    """Of 2 + 2 points there are six labellings, three of them different: ties are equal though rounded differently."""
    x, y = np.array([[0.0, 0.1], [0.2, 0.0]], np.float32), np.array([[5.0, 5.1], [5.2, 5.0]], np.float32)
    result = TESTS[name](KEY, x, y, num_draws=600)
    assert result.p_value > 0.25
    if name != "classifier":
        assert result.p_value == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 600))


@pytest.mark.parametrize("name", ["mmd", "energy", pytest.param("classifier", marks=pytest.mark.slow)])
def test_shapes_dtypes_and_a_constant_column(name):
    test = TESTS[name]
    x, y = normal(20), normal(20) + np.float32(4.0)
    assert test(KEY, x, y, num_draws=99).p_value <= 0.02
    assert test(KEY, (100 * x).astype(int), (100 * y).astype(int), num_draws=99).p_value <= 0.02
    wide = [np.stack([a, np.full_like(a, 1e3), a], axis=1) for a in (x, y)]
    assert test(KEY, *wide, num_draws=99).p_value <= 0.02


def test_under_jit():
    x, y = normal(20, 3), normal(20, 3) + np.float32(0.3)
    jitted = jax.jit(functools.partial(twosample.mmd_test, num_draws=99))(KEY, x, y)
    assert float(jitted.p_value) == pytest.approx(float(twosample.mmd_test(KEY, x, y, num_draws=99).p_value))


def test_refusals():
    x = normal(5, 2)
    for test in TESTS.values():
        with pytest.raises(ValueError, match="one dimension"):
            test(KEY, x, normal(5, 3))
        with pytest.raises(ValueError, match="n >= 2"):
            test(KEY, x, x[:1])
        with pytest.raises(TypeError, match="without weights"):
            test(KEY, dj.Points(x, np.zeros(5, np.float32)), x)
        with pytest.raises(ValueError, match="num_draws >= 1"):
            test(KEY, x, x, num_draws=0)
    with pytest.raises(ValueError, match="num_draws >= 1"):
        twosample.stein_test(KEY, x, -x, num_draws=0)
    with pytest.raises(ValueError, match="of the shape of the points"):
        twosample.stein_test(KEY, x, -x[:4])


def null_p_values(name, n, m, repetitions):
    """p-values of draws from one distribution, heavy-tailed and skew, in three dimensions (or one)."""

    def once(key):
        test, one, two = jax.random.split(key, 3)
        if name == "stein":
            x = jax.random.normal(one, (n, 2))
            return twosample.stein_test(test, x, -x, num_draws=99).p_value
        shape = () if name == "line" else (3,)
        x, y = (jnp.exp(jax.random.normal(k, (size, *shape))) for k, size in ((one, n), (two, m)))
        return TESTS.get(name, twosample.energy_test)(test, x, y, num_draws=99).p_value

    keys = jax.random.split(jax.random.key(7), repetitions)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(once, keys, batch_size=50))(keys))


def assert_size(p_values):
    rejected = (p_values[:, None] <= LEVELS.astype(np.float32)).sum(0)
    low, high = stats.binom.interval(0.99, len(p_values), LEVELS)
    assert (rejected >= low).all(), (rejected, low)
    assert (rejected <= high).all(), (rejected, high)


@pytest.mark.parametrize("name", ["mmd", "line"])
def test_size(name):
    assert_size(null_p_values(name, 12, 12, 200))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n", "m"),
    [("mmd", 15, 10), ("energy", 15, 10), ("line", 15, 10), ("classifier", 24, 16), ("stein", 50, 0)],
)
def test_size_over_a_thousand(name, n, m):
    assert_size(null_p_values(name, n, m, 1000))


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.0), (0.0, 1.7)])
def test_power_on_the_line_against_scipy(shift, scale):
    """The same statistic through scipy's permutation test, and scipy's Kolmogorov-Smirnov, on the same samples."""
    n, repetitions = 40, 150
    x = RNG.normal(size=(repetitions, n)).astype(np.float32)
    y = (shift + scale * RNG.normal(size=(repetitions, n))).astype(np.float32)
    keys = jax.random.split(KEY, repetitions)
    ours = np.asarray(
        jax.jit(jax.vmap(lambda k, x, y: twosample.energy_test(k, x, y, num_draws=199).p_value))(keys, x, y)
    )
    mmd = np.asarray(jax.jit(jax.vmap(lambda k, x, y: twosample.mmd_test(k, x, y, num_draws=199).p_value))(keys, x, y))

    def energy(a, b, axis):
        pool = np.concatenate([a, b], axis)
        order = np.argsort(pool, axis)
        steps = np.where(order < n, 1 / n, -1 / n).cumsum(axis)[..., :-1]
        return np.sum(steps**2 * np.diff(np.take_along_axis(pool, order, axis), axis=axis), axis)

    theirs, ks = np.empty(repetitions), np.empty(repetitions)
    for i in range(repetitions):
        theirs[i] = stats.permutation_test(
            (x[i], y[i]), energy, vectorized=True, n_resamples=199, alternative="greater", rng=np.random.default_rng(i)
        ).pvalue
        ks[i] = stats.ks_2samp(x[i], y[i]).pvalue
    power = [(p <= np.float32(0.05)).mean() for p in (ours, mmd, theirs, ks)]
    assert power[0] >= power[2] - 0.04  # other permutations, the same test
    assert power[0] >= power[3] - 0.04
    assert power[1] >= power[3] - 0.04
    np.testing.assert_allclose(ours, theirs, atol=5 * np.sqrt(0.5 / 199))


@pytest.mark.slow
def test_power_of_the_classifier():
    """A shift, a change of scale, and a mixture with the same two moments as the normal."""

    def samples(key, kind):
        one, two, three = jax.random.split(key, 3)
        x, y = jax.random.normal(one, (200, 2)), jax.random.normal(two, (200, 2))
        signs = jax.random.rademacher(three, (200, 2), jnp.float32)
        return x, jnp.stack([y + 0.5, 1.6 * y, 0.9 * signs + (1 - 0.81) ** 0.5 * y])[kind]

    @jax.jit
    @jax.vmap
    def p_values(key):
        return jnp.stack(
            [twosample.classifier_test(key, *samples(key, kind), num_draws=99).p_value for kind in range(3)]
        )

    power = (np.asarray(p_values(jax.random.split(KEY, 20))) <= np.float32(0.05)).mean(0)
    assert (power >= 0.9).all(), power


def test_stein_sees_what_is_wrong():
    x = np.random.default_rng(2).normal(size=(200, 2)).astype(np.float32)  # whatever other tests have drawn
    assert twosample.stein_test(KEY, x, lambda x: -x, num_draws=199).p_value > 0.02
    for wrong in (x + np.float32(0.4), 1.4 * x, 0.7 * x):
        assert twosample.stein_test(KEY, wrong, lambda x: -x, num_draws=199).p_value <= 0.01


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_float64():
    x, y = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2)) + 2.0
    for test in TESTS.values():
        result = test(KEY, x, y, num_draws=99)
        assert result.statistic.dtype == np.float64
        assert result.p_value <= 0.02


def test_classifier_far_from_the_origin():
    """Points whose differences are exact in float32, at a million as at the origin."""
    x, y = np.round(4 * normal(60, 2)), np.round(4 * normal(60, 2)) + 6
    results = [
        twosample.classifier_test(KEY, x + at, y + at, num_draws=99) for at in (np.float32(0.0), np.float32(1e7))
    ]
    assert results[0].p_value == results[1].p_value == np.float32(0.01)
    assert float(results[0].statistic) == pytest.approx(float(results[1].statistic), abs=1e-6)


@pytest.mark.parametrize("name", TESTS)
def test_nan_is_not_hidden(name):
    x, y = normal(20, 3), normal(20, 3)
    broken = x.copy()
    broken[3, 1] = np.nan
    for pair in ((broken, y), (y, broken)):
        assert np.isnan(TESTS[name](KEY, *pair, num_draws=19)[:2]).all()
