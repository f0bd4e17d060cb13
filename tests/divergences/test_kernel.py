"""Kernel discrepancies and the energy distance between samples, against brute force in float64 numpy."""

import itertools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import divjax as dj
from divjax import kernels

RNG = np.random.RandomState(0)

# name: (kernel of one parameter, the same in numpy as a function of s and the parameter)
KERNELS = {
    "rbf": (kernels.rbf, lambda s, h: np.exp(-s / (2 * h**2))),
    "laplace": (kernels.laplace, lambda s, h: np.exp(-np.sqrt(s) / h)),
    "imq": (kernels.imq, lambda s, c: (1 + s / c**2) ** -0.5),
    "imq_0.8": (lambda c: kernels.imq(c, exponent=0.8), lambda s, c: (1 + s / c**2) ** -0.8),
    "rational_quadratic": (
        lambda h: kernels.rational_quadratic(h, alpha=0.7),
        lambda s, h: (1 + s / (1.4 * h**2)) ** -0.7,
    ),
    "rbf_sum": (
        lambda h: kernels.rbf(h * jnp.array([0.5, 1.0, 3.0])),
        lambda s, h: sum(np.exp(-s / (2 * (h * a) ** 2)) for a in (0.5, 1.0, 3.0)),
    ),
    "total": (
        lambda h: kernels.total(kernels.rbf(h), lambda s: jnp.exp(-s)),
        lambda s, h: np.exp(-s / (2 * h**2)) + np.exp(-s),
    ),
    "lambda": (lambda h: lambda s: jnp.exp(-s / (2 * h**2)), lambda s, h: np.exp(-s / (2 * h**2))),
}
NO_ENERGY = (lambda _: None, lambda s, _: -np.sqrt(s))
FORMS = {
    "biased": lambda p, q, kernel: dj.mmd2(p, q, kernel=kernel),
    "unbiased": lambda p, q, kernel: dj.samples.mmd2_unbiased(p, q, kernel=kernel),
    "energy": lambda p, q, _: dj.divergences.energy_of_samples(p, q),
    "energy_unbiased": lambda p, q, _: dj.samples.energy_unbiased(p, q),
}


def squares(a, b):
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)


def brute(x, w, y, v, k, *, unbiased=False):
    """From all the pairs in float64; weights need not be normalised."""
    w, v = w / w.sum(), v / v.sum()

    def within(z, a):
        diagonal = (a * a).sum() * k(np.zeros(1))[0] if unbiased else 0.0
        return (a @ k(squares(z, z)) @ a - diagonal) / (1 - (a * a).sum() if unbiased else 1)

    return within(x, w) + within(y, v) - 2 * w @ k(squares(x, y)) @ v


def sample(n, m, d, seed=0, dtype=np.float32):
    """Two weighted samples in float64: values and log-weights that the dtype has too."""
    rng = np.random.RandomState(seed)
    x, y = rng.randn(n, d), 0.4 + 1.2 * rng.randn(m, d)
    log_w, log_v = np.log(rng.rand(n) + 0.1), np.log(rng.rand(m) + 0.1)
    x, log_w, y, log_v = (np.asarray(a, dtype).astype(float) for a in (x, log_w, y, log_v))
    return x, np.exp(log_w), y, np.exp(log_v)


def points(x, w, dtype=jnp.float32):
    return dj.Points(jnp.asarray(x, dtype), jnp.asarray(np.log(w), dtype))


def together(function):
    """A dict of the function of every form, in one program."""
    return jax.jit(lambda *args: {form: function(FORMS[form])(*args) for form in FORMS})


def numpy_form(form, name):
    k = NO_ENERGY[1] if "energy" in form else KERNELS[name][1]
    return lambda x, w, y, v, h: brute(x, w, y, v, lambda s: k(s, h), unbiased="unbiased" in form)


@pytest.mark.parametrize("d", [2, 7])
def test_values(d):
    x, w, y, v = sample(60, 45, d)
    rows = [("biased", name) for name in KERNELS] + [(form, "imq") for form in FORMS]

    @jax.jit
    def values(p, q, h):
        return [FORMS[form](p, q, KERNELS[name][0](h)) for form, name in rows]

    for (form, name), got in zip(rows, values(points(x, w), points(y, v), 1.3), strict=True):
        want = numpy_form(form, name)(x, w, y, v, np.float32(1.3).astype(float))
        np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=f"{form} {name}")


def test_one_dimensional_energy_is_the_square_of_scipys():
    x, w, y, v = (a.ravel() for a in sample(500, 300, 1))
    x[:50], y[:30] = np.round(x[:50], 1), np.round(y[:30], 1)
    x, y = x.astype(np.float32).astype(float), y.astype(np.float32).astype(float)
    truth = scipy.stats.energy_distance(x, y, w, v) ** 2
    np.testing.assert_allclose(dj.divergences.energy_of_samples(points(x, w), points(y, v)), truth, rtol=1e-5)
    np.testing.assert_allclose(
        dj.energy(dj.cdfs(points(x, w), points(y, v))),
        dj.divergences.energy_of_samples(points(x, w), points(y, v)),
        rtol=1e-5,
    )


def plain(x, w, y, v, k):
    """The textbook formula, to be differentiated."""

    def mean(a, p, b, q):
        return p @ k(jnp.sum((a[:, None] - b[None]) ** 2, -1)) @ q

    w, v = w / w.sum(), v / v.sum()
    return mean(x, w, x, w) + mean(y, v, y, v) - 2 * mean(x, w, y, v)


@pytest.mark.parametrize("d", [pytest.param(3, marks=pytest.mark.slow), 6])
def test_values_and_gradients_over_many_tiles(d, monkeypatch):
    monkeypatch.setattr("divjax.divergences.kernel.pairwise._TILE", 48)
    x, w, y, v = sample(230, 101, d, seed=3)
    steps = together(lambda form: jax.value_and_grad(lambda p, q: form(p, q, kernels.imq(1.3)), (0, 1)))
    all_steps = steps(points(x, w), points(y, v))
    for form, (value, _) in all_steps.items():
        want = numpy_form(form, "imq")(x, w, y, v, np.float32(1.3).astype(float))
        np.testing.assert_allclose(value, want, rtol=1e-5)
    by_p, by_q = all_steps["biased"][1]
    wanted = jax.jit(jax.grad(lambda *a: plain(*a, lambda s: (1 + s / 1.69) ** -0.5), (0, 1, 2, 3)))(x, w, y, v)
    for got, want, scale in zip(jax.tree.leaves((by_p, by_q)), wanted, (1.0, w, 1.0, v), strict=True):
        np.testing.assert_allclose(got, want * scale, atol=1e-5 * np.abs(want * scale).max())


@pytest.mark.slow
def test_values_beyond_the_default_tile():
    x, w, y, v = sample(2100, 1030, 16)
    for form in FORMS:
        got = FORMS[form](points(x, w), points(y, v), kernels.rbf(3.0))
        np.testing.assert_allclose(got, numpy_form(form, "rbf")(x, w, y, v, 3.0), rtol=1e-5)


def central_differences(f, a, step=1e-5):
    out = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        up, down = a.copy(), a.copy()
        up[i], down[i] = up[i] + step, down[i] - step
        out[i] = (f(up) - f(down)) / (2 * step)
    return out


def check_gradients(truth, grads, x, w, y, v, tolerance):
    by_p, by_q, by_h = grads
    expected = {
        "x": (by_p.x, central_differences(lambda a: truth(a, w, y, v, 1.3), x)),
        "y": (by_q.x, central_differences(lambda a: truth(x, w, a, v, 1.3), y)),
        "log_w": (by_p.log_w, central_differences(lambda a: truth(x, np.exp(a), y, v, 1.3), np.log(w))),
        "log_v": (by_q.log_w, central_differences(lambda a: truth(x, w, y, np.exp(a), 1.3), np.log(v))),
        "bandwidth": (by_h, central_differences(lambda a: truth(x, w, y, v, a), np.array(1.3))),
    }
    for what, (got, want) in expected.items():
        np.testing.assert_allclose(got, want, atol=tolerance * (np.abs(want).max() + 1e-3), err_msg=what)


@pytest.mark.parametrize(
    ("name", "d"),
    [("rbf", 1), ("laplace", 6), ("rbf_sum", 6), ("lambda", 6)]
    + [pytest.param(name, 6, marks=pytest.mark.slow) for name in ("rbf", "imq", "imq_0.8", "total")],
)
def test_gradients(name, d):
    """In points, log-weights and the bandwidth, in float32 against finite differences in float64."""
    x, w, y, v = sample(9, 7, d)

    def both(biased, unbiased):
        return lambda *args: biased(*args) - 0.3 * unbiased(*args)

    def loss(p, q, h):
        return both(FORMS["biased"], FORMS["unbiased"])(p, q, KERNELS[name][0](h))

    grads = jax.jit(jax.grad(loss, (0, 1, 2)))(points(x, w), points(y, v), jnp.float32(1.3))
    truth = both(*(numpy_form(form, name) for form in ("biased", "unbiased")))
    check_gradients(truth, grads, x, w, y, v, 3e-5)


@pytest.mark.parametrize("d", [1, pytest.param(2, marks=pytest.mark.slow), 6])
def test_gradients_of_energy(d):
    x, w, y, v = sample(9, 7, d)
    steps = together(lambda form: jax.grad(lambda p, q, h: form(p, q, kernels.rbf(h)), (0, 1, 2)))
    for form, grads in steps(points(x, w), points(y, v), 1.3).items():
        check_gradients(numpy_form(form, "rbf"), grads, x, w, y, v, 3e-5)


@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_float64(d, x64):
    x, w, y, v = sample(9, 7, d)
    p, q = points(x, w, jnp.float64), points(y, v, jnp.float64)
    steps = together(lambda form: jax.value_and_grad(lambda p: form(p, q, kernels.rbf(1.3))))
    for form, (value, grad) in steps(p).items():
        truth = numpy_form(form, "rbf")
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, truth(x, w, y, v, 1.3), rtol=1e-12)
        want = central_differences(lambda a, truth=truth: truth(a, w, y, v, 1.3), x)
        np.testing.assert_allclose(grad.x, want, atol=1e-8 * np.abs(want).max())


@pytest.mark.parametrize("d", [1, 6, *(pytest.param(d, marks=pytest.mark.slow) for d in (2, 40))])
def test_equal_samples_and_repeated_points(d):
    x = np.repeat(3.0 + RNG.randn(20, d), 2, axis=0).astype(np.float32)  # every point twice
    steps = together(lambda form: jax.value_and_grad(lambda x, y: form(x, y, kernels.laplace(1.0)), (0, 1)))
    for form, (value, grads) in steps(x, x).items():
        assert all(np.isfinite(grad).all() for grad in grads)
        if "unbiased" not in form:
            assert abs(value) < 1e-6
            assert max(np.abs(grad).max() for grad in grads) < 2e-7
    for value, grads in steps(np.full((6, d), 1e3, np.float32), np.full((4, d), 1e3, np.float32)).values():
        assert value == 0.0
        assert not any(np.any(grad) for grad in grads)


@pytest.mark.slow
def test_tied_points_pull_as_in_more_dimensions():
    """In one dimension the gradient at ties is that of the pairs, sign(0) = 0, whatever the order of the sort."""
    x, w, y, v = sample(40, 30, 1)
    x, y = np.round(2 * x) / 2, np.round(2 * y) / 2

    def on_the_line(p, q, lift):
        pair = [dj.Points(jnp.pad(s.x, [(0, 0), (0, lift)]), s.log_w) for s in (p, q)]
        return dj.divergences.energy_of_samples(*pair) + 0.3 * dj.samples.energy_unbiased(*pair)

    step = jax.jit(jax.grad(on_the_line, (0, 1)), static_argnums=2)
    line, plane = (step(points(x, w), points(y, v), lift) for lift in (0, 1))
    for one, two in zip(jax.tree.leaves(line), jax.tree.leaves(plane), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_masked_points_count_for_nothing(d):
    x, w, y, v = sample(30, 20, d)
    garbage = np.array([[np.nan], [1e30]]) * np.ones((2, d))
    with np.errstate(divide="ignore"):
        padded = points(np.concatenate([x, garbage]), np.append(w, [0.0, 0.0]))
    steps = together(lambda form: jax.value_and_grad(lambda p, q: form(p, q, kernels.rbf(1.0))))
    plain = steps(points(x, w), points(y, v))
    for form, (value, grad) in steps(padded, points(y, v)).items():
        np.testing.assert_allclose(value, plain[form][0], rtol=1e-5)
        for got, want in zip(*map(jax.tree.leaves, (grad, plain[form][1])), strict=True):
            np.testing.assert_allclose(got[:-2], want, atol=1e-6)
            assert not np.any(got[-2:])


def test_degenerate_weights_give_no_nan_and_nan_is_not_hidden():
    x, _, y, v = sample(5, 4, 6)
    inf = np.inf
    weights = [[0, -inf, -inf, -inf, -inf], [-inf] * 5, [-1e4] * 5, [1e4, 0, 0, 0, 0], [0, 1, 2, -inf, 0]]
    steps = together(lambda form: jax.value_and_grad(lambda p, q: form(p, q, kernels.laplace(1.0)), (0, 1)))
    for log_w in weights:
        p = dj.Points(jnp.asarray(x, jnp.float32), jnp.asarray(log_w, jnp.float32))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(steps(p, points(y, v)))), log_w
    broken = steps(points(np.where(np.arange(6) == 2, np.nan, x), np.ones(5)), points(y, v))
    assert all(np.isnan(value) for value, _ in broken.values())


@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_common_shift_costs_few_digits(d):
    x, w, y, v = sample(60, 45, d)
    x, y = (np.asarray(a + 100.0, np.float32).astype(float) for a in (x, y))
    for form, got in together(lambda form: form)(points(x, w), points(y, v), kernels.rbf(1.0)).items():
        np.testing.assert_allclose(got, numpy_form(form, "rbf")(x, w, y, v, 1.0), rtol=1e-5)


UNBIASED = {
    "mmd2_unbiased": lambda x, y: dj.samples.mmd2_unbiased(x, y, kernel=kernels.rbf(1.0)),
    "mmd2_linear": lambda x, y: dj.samples.mmd2_linear(x, y, kernel=kernels.rbf(1.0)),
    "mmd2_block": lambda x, y: dj.samples.mmd2_block(x, y, kernel=kernels.rbf(1.0), num_blocks=1),
    "energy_unbiased": dj.samples.energy_unbiased,
}


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize("d", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_unbiased_over_all_samples_of_a_small_population(name, d):
    """The mean over every possible sample of two (p) and three (q) points is the value between the populations."""
    of_p, of_q = RNG.randn(3, d).astype(np.float32), RNG.randn(2, d).astype(np.float32) + 1
    pairs = list(itertools.product(itertools.product(range(3), repeat=2), itertools.product(range(2), repeat=3)))
    x, y = of_p[[list(i) for i, _ in pairs]], of_q[[list(j) for _, j in pairs]]
    k = (lambda s: -np.sqrt(s)) if "energy" in name else (lambda s: np.exp(-s / 2))
    truth = brute(of_p.astype(float), np.ones(3), of_q.astype(float), np.ones(2), k)
    np.testing.assert_allclose(np.mean(jax.vmap(UNBIASED[name])(x, y)), truth, rtol=1e-5)


def test_forms_of_less_time_agree_with_their_definitions():
    x, _, y, _ = sample(11, 14, 3)
    x, y = x.astype(np.float32), y.astype(np.float32)
    k = lambda a, b: np.exp(-((a.astype(float) - b) ** 2).sum(-1) / 2)  # noqa: E731
    linear = dj.samples.mmd2_linear(x, y, kernel=kernels.rbf(1.0))
    across = k(x[0:10:2], y[1:10:2]).mean() + k(x[1:10:2], y[0:10:2]).mean()
    truth = k(x[0:10:2], x[1:10:2]).mean() + k(y[0:14:2], y[1:14:2]).mean() - across
    np.testing.assert_allclose(linear, truth, rtol=1e-5)
    blocks = [
        dj.samples.mmd2_unbiased(x[5 * i : 5 * i + 5], y[7 * i : 7 * i + 7], kernel=kernels.rbf(1.0)) for i in range(2)
    ]
    np.testing.assert_allclose(
        dj.samples.mmd2_block(x, y, kernel=kernels.rbf(1.0), num_blocks=2), np.mean(blocks), rtol=1e-5
    )


@pytest.mark.slow
def test_against_the_closed_form_of_gaussians():
    scale = jnp.array([[1.0, 0.0], [0.5, 0.8]])
    p = distrax.MultivariateNormalTri(jnp.zeros(2), jnp.eye(2))
    q = distrax.MultivariateNormalTri(jnp.array([0.5, -0.2]), scale)
    truth = dj.exact.mmd2(p, q, bandwidth=0.9)

    @jax.vmap
    def draw(key):
        one, two = jax.random.split(key)
        x, y = jax.random.normal(one, (100, 2)), jnp.array([0.5, -0.2]) + jax.random.normal(two, (80, 2)) @ scale.T
        k = kernels.rbf(0.9)
        return jnp.stack(
            [
                dj.samples.mmd2_unbiased(x, y, kernel=k),
                dj.samples.mmd2_linear(x, y, kernel=k),
                dj.samples.mmd2_block(x, y, kernel=k, num_blocks=5),
            ]
        )

    values = np.asarray(jax.jit(draw)(jax.random.split(jax.random.key(0), 200)), float)
    z = (values.mean(0) - float(truth)) / (values.std(0) / np.sqrt(len(values)))
    assert (np.abs(z) < 4).all(), z
    assert values.std(0)[0] < values.std(0)[2] < values.std(0)[1]


FREQUENCIES = {
    "rbf": kernels.rbf_frequencies,
    "laplace": kernels.laplace_frequencies,
    "imq": kernels.imq_frequencies,
    "imq_0.8": lambda c: kernels.imq_frequencies(c, exponent=0.8),
    "rational_quadratic": lambda h: kernels.rational_quadratic_frequencies(h, alpha=0.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FREQUENCIES)
def test_random_features_have_the_kernel_as_their_mean(name):
    x, w, y, v = sample(40, 30, 3)
    draw = FREQUENCIES[name](1.3)
    feature = jax.jit(
        jax.vmap(
            lambda key: dj.samples.mmd2_features(key, points(x, w), points(y, v), frequencies=draw, num_features=70)
        )
    )
    values = np.asarray(feature(jax.random.split(jax.random.key(1), 200)), float)
    truth = numpy_form("biased", name)(x, w, y, v, 1.3)
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))
    assert values.min() >= 0
    # One draw of many features is near, with a gradient that is that of the kernel.
    if name != "rbf":
        return
    grad = jax.grad(
        lambda p: dj.samples.mmd2_features(jax.random.key(0), p, points(y, v), frequencies=draw, num_features=6400)
    )(points(x, w))
    exact = jax.grad(lambda p: dj.mmd2(p, points(y, v), kernel=KERNELS[name][0](1.3)))(points(x, w))
    assert np.linalg.norm(grad.x - exact.x) < 0.1 * np.linalg.norm(exact.x)


def test_witness():
    x, w, y, v = sample(60, 45, 3)
    at = np.random.RandomState(5).randn(33, 3).astype(np.float32)
    k = lambda a, b: np.exp(-squares(a, b.astype(float)) / (2 * 1.3**2))  # noqa: E731
    truth = (w / w.sum()) @ k(x, at) - (v / v.sum()) @ k(y, at)
    p, q, kernel = points(x, w), points(y, v), kernels.rbf(1.3)
    np.testing.assert_allclose(dj.samples.witness(p, q, at, kernel=kernel), truth, atol=2e-7)
    at_p, at_q = dj.samples.witness(p, q, p.x, kernel=kernel), dj.samples.witness(p, q, q.x, kernel=kernel)
    np.testing.assert_allclose((w / w.sum()) @ at_p - (v / v.sum()) @ at_q, dj.mmd2(p, q, kernel=kernel), rtol=1e-5)
    slope = jax.grad(lambda t: dj.samples.witness(p, q, t, kernel=kernel).sum())(jnp.asarray(at))
    truth_at = lambda t: ((w / w.sum()) @ k(x, t) - (v / v.sum()) @ k(y, t)).sum()  # noqa: E731
    np.testing.assert_allclose(slope, central_differences(truth_at, at.astype(float)), atol=1e-5)


def test_median_distance():
    x, _, y, _ = sample(31, 20, 3)
    pooled = np.concatenate([x, y])
    distances = np.sqrt(squares(pooled, pooled)[np.triu_indices(51, 1)])
    equal = np.concatenate([np.full(31, 1 / 31), np.full(20, 1 / 20)])
    got = kernels.median_distance(x[:20].astype(np.float32), y.astype(np.float32))
    half = np.sqrt(squares(np.r_[x[:20], y], np.r_[x[:20], y])[np.triu_indices(40, 1)])
    np.testing.assert_allclose(got, np.sort(half)[(half.size - 1) // 2], rtol=1e-5)
    order = np.argsort(distances)
    mass = np.outer(equal, equal)[np.triu_indices(51, 1)][order].cumsum()
    weighted_median = distances[order][np.searchsorted(mass, mass[-1] / 2)]
    np.testing.assert_allclose(kernels.median_distance(x, y), weighted_median, rtol=0.1)
    large = np.random.RandomState(0).randn(20000, 3).astype(np.float32)
    np.testing.assert_allclose(kernels.median_distance(large), np.sqrt(2 * scipy.stats.chi2(3).median()), rtol=0.05)
    assert kernels.median_distance(np.ones((5, 2))) == 1.0
    masked = dj.Points(jnp.array([0.0, 1.0, 5.0, 77.0]), jnp.array([0.0, 0.0, 0.0, -np.inf]))
    assert kernels.median_distance(masked, num_points=3) == 4.0
    bandwidth = lambda x: dj.mmd2(x, y, kernel=kernels.rbf(kernels.median_distance(x, y)))  # noqa: E731
    assert np.isfinite(jax.grad(bandwidth)(jnp.asarray(x, jnp.float32))).all()


@pytest.mark.slow
def test_vmap_over_samples_and_bandwidths():
    xs, ys = RNG.randn(3, 12, 5).astype(np.float32), RNG.randn(3, 8, 5).astype(np.float32)
    hs = jnp.array([0.5, 1.0, 2.0])
    traces = []

    def step(x, y, h):
        traces.append(1)
        return {
            form: jax.value_and_grad(lambda x, h, f=FORMS[form]: f(x, y, kernels.rbf(h)), (0, 1))(x, h)
            for form in FORMS
        }

    mapped, alone = jax.jit(jax.vmap(step))(xs, ys, hs), jax.jit(step)
    for i in range(3):
        for one, many in zip(*map(jax.tree.leaves, (alone(xs[i], ys[i], hs[i]), mapped)), strict=True):
            np.testing.assert_allclose(many[i], one, atol=1e-6)
    assert len(traces) == 2  # one program serves all bandwidths
    closure = jax.vmap(lambda h: dj.mmd2(xs[0], ys[0], kernel=lambda s: jnp.exp(-s / (2 * h * h))))(hs)
    np.testing.assert_allclose(closure, jax.vmap(lambda h: dj.mmd2(xs[0], ys[0], kernel=kernels.rbf(h)))(hs), rtol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere tiles are wider, and take more")
@pytest.mark.parametrize("form", ["biased", "energy"])
def test_memory_grows_with_the_points_not_with_the_pairs(form):
    """Bytes set aside for value and gradient: a matrix of all the pairs of 20,000 points would be 1.6 GB."""

    def bytes_for(n):
        step = jax.jit(jax.value_and_grad(lambda x, y: FORMS[form](x, y, kernels.rbf(1.0)), (0, 1)))
        x = jax.ShapeDtypeStruct((n, 16), jnp.float32)
        return step.lower(x, x).compile().memory_analysis().temp_size_in_bytes

    small, large = bytes_for(20_000), bytes_for(80_000)
    points_added = 60_000 * 16 * 4 * 2
    assert large - small < 10 * points_added
    assert small < 64e6


def _float64_energy(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    mean = lambda a, b: np.mean(np.sqrt(np.sum((a[:, None] - b[None]) ** 2, axis=-1)))  # noqa: E731
    return 2.0 * mean(x, y) - mean(x, x) - mean(y, y)


@pytest.mark.parametrize("distance", [1e-1, 1e-3])
def test_energy_of_a_near_copy_in_single_precision(distance):
    """A product of matrices would leave nothing of the distance between a point and its copy."""
    x, noise = jax.random.normal(jax.random.key(0), (2, 300, 16))
    y = x + distance * noise
    truth = _float64_energy(x, y)
    np.testing.assert_allclose(dj.energy(x, y), truth, rtol=3e-3)
    both = jax.jit(jax.vmap(dj.energy))(jnp.stack([x, x]), jnp.stack([y, noise]))
    np.testing.assert_allclose(both, [truth, _float64_energy(x, noise)], rtol=3e-3)


def test_groups_far_apart_in_single_precision():
    """Two groups ten thousand bandwidths apart are compared as if each were alone."""
    x, y = np.random.default_rng(0).normal(size=(2, 200, 8))
    far = np.where(np.arange(200)[:, None] < 90, 1e4, -1e4)
    x, y = np.float32(x + far), np.float32(y + far + 0.5)
    mean = lambda a, b: np.mean(np.exp(-np.sum((a[:, None] - b[None]) ** 2, axis=-1) / 8.0))  # noqa: E731
    a, b = x.astype(float), y.astype(float)
    truth = mean(a, a) + mean(b, b) - 2.0 * mean(a, b)
    np.testing.assert_allclose(dj.mmd2(x, y, kernel=kernels.rbf(2.0)), truth, rtol=1e-4)


def test_the_sweep_by_the_bandwidth_is_left_out_where_nobody_asks():
    def loops(argnums):
        step = jax.jit(jax.value_and_grad(lambda x, h: dj.mmd2(x, x + 1, kernel=kernels.rbf(h)), argnums))
        return step.lower(jnp.zeros((40, 3)), jnp.float32(1.0)).compile().as_text().count(" while(")

    assert loops(0) == 1
    assert loops(1) == 2


def test_errors():
    x = np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"d = 2 for x and 3 for y"):
        dj.mmd2(x, np.zeros((4, 3)), kernel=kernels.rbf(1.0))
    with pytest.raises(ValueError, match=r"n >= 2; got shape \[1, 2\]"):
        dj.samples.energy_unbiased(x[:1], x)
    with pytest.raises(ValueError, match=r"sample y of shape"):
        dj.divergences.energy_of_samples(x, np.zeros((3, 4, 2)))
    with pytest.raises(ValueError, match=r"n >= 1; got shape \[0, 2\]"):
        dj.divergences.energy_of_samples(x[:0], x)
    with pytest.raises(ValueError, match=r"4 points of x; got shape \[3\]"):
        dj.divergences.energy_of_samples(dj.Points(x, np.zeros(3)), x)
    with pytest.raises(ValueError, match=r"1 <= num_blocks <= 2, .* got 3"):
        dj.samples.mmd2_block(x, x, kernel=kernels.rbf(1.0), num_blocks=3)
    with pytest.raises(ValueError, match=r"num_features >= 1; got 0"):
        dj.samples.mmd2_features(jax.random.key(0), x, x, frequencies=kernels.rbf_frequencies(1.0), num_features=0)
    with pytest.raises(TypeError, match=r"function of the squared distance; got float"):
        dj.mmd2(x, x, kernel=1.0)
    with pytest.raises(ValueError, match=r"at of dimension 2"):
        dj.samples.witness(x, x, np.zeros((3, 3)), kernel=kernels.rbf(1.0))


@pytest.mark.parametrize("d", [1, 6])
def test_unnormalised_weights_of_any_size_are_as_good(d):
    """log_w known up to a large constant, as those of importance sampling are: the rounded weights still sum to one."""
    x, _, y, v = sample(40, 30, d)
    log_w = (np.random.RandomState(5).randn(40) - 1e4).astype(np.float32)
    p = dj.Points(jnp.asarray(x, jnp.float32), jnp.asarray(log_w))
    w = np.exp(log_w.astype(float) - log_w.max())
    for form, got in together(lambda form: form)(p, points(y, v), kernels.rbf(1.0)).items():
        np.testing.assert_allclose(got, numpy_form(form, "rbf")(x, w, y, v, 1.0), rtol=1e-5)


@pytest.mark.parametrize("name", ["rbf", "laplace", "imq", "rational_quadratic"])
def test_a_tiny_bandwidth_is_no_nan(name):
    """Every point is alone then, and moving it or the bandwidth changes nothing."""
    x, _, y, _ = (jnp.asarray(a, jnp.float32) for a in sample(6, 5, 6))
    step = jax.jit(jax.value_and_grad(lambda x, h: dj.mmd2(x, y, kernel=KERNELS[name][0](h)), (0, 1)))
    for h in (1e-10, 1e-30):
        value, slopes = step(x, h)
        assert float(value) == pytest.approx(1 / 6 + 1 / 5, rel=1e-5)
        assert all(np.isfinite(slope).all() for slope in slopes)


def test_median_distance_where_most_pairs_coincide(x64):
    """It is that of the others, in the unit of the data; a p-value knows no unit."""
    x = np.where(np.arange(60) < 6, np.arange(60.0), 0.0)
    apart = np.abs(x[:, None] - x)[np.triu_indices(60, 1)]
    right = np.quantile(apart[apart > 0.0], 0.5, method="lower")
    for unit in (1.0, 2.0**-90, 2.0**90):
        assert kernels.median_distance((unit * x).astype(np.float32)) == unit * right
    y = np.where(np.arange(60) < 12, 1.0 + np.arange(60.0) % 3, 0.0)
    found = [
        dj.twosample.mmd_test(jax.random.key(0), unit * x, unit * y, num_draws=99).p_value
        for unit in (1.0, 2.0**-10, 2.0**10)
    ]
    assert found[0] == found[1] == found[2]


def test_energy_of_an_infinite_entry():
    """E‖X − Y‖ is infinite and 2 E‖X − Y‖ − E‖X − X′‖ so too, as a limit: of a far point it grows without bound."""
    y = jnp.ones((3, 2))
    far = lambda entry: jnp.array([[0.0, 0.0], [entry, 0.0]])  # noqa: E731
    assert dj.energy(far(jnp.inf), y) == dj.energy(y, far(-jnp.inf)) == np.inf
    assert np.isnan(dj.energy(far(jnp.nan), y))
    assert np.isnan(dj.energy(far(jnp.inf), y.at[0, 0].set(jnp.nan)))
