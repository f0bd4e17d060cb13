"""EM against scikit-learn's, against gradient fits of the same model, and at the edges of its domain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.mixture import GaussianMixture

from divjax import Points, status, sweep
from divjax.models import init_mixture, mixture
from divjax.models.elliptical import cholesky
from divjax.sweeps import product
from divjax.training import em, fit, newton
from divjax.training.iteration import run

RNG = np.random.default_rng(0)
LINE = np.concatenate([RNG.normal(0.0, 1.0, 300), RNG.normal(3.0, 0.5, 200)])
MIXED = np.array([[1.0, 0.5, 0.0], [0.0, 0.8, -0.3], [0.0, 0.0, 0.6]])
SPACE = np.concatenate([RNG.normal(size=(300, 3)), RNG.normal(size=(200, 3)) @ MIXED + 2.0])
DATA = {"line": LINE, "3-d": SPACE}
FLOOR = 1e-6


@jax.jit
def _fitted(x, start, floor, tol, max_steps):
    return run(em(start, floor=floor, tol=tol, max_steps=max_steps), x)


def fitted(x, start, *, floor=FLOOR, tol=1e-6, max_steps=5000):
    """One program for all tests whose data have the same shape and dtype: the numbers are traced."""
    return _fitted(x, start, floor, tol, max_steps)


def mean_log_prob(params, x):
    return jnp.mean(mixture(params).log_prob(x))


def of_scikit_learn(x, start, *, floor, steps=5000, tol=1e-13):
    """The mean log-likelihood where scikit-learn's EM ends from the same parameters."""
    x, num = np.reshape(x, (len(x), -1)), len(start["logits"])
    spread = start["factors"] if "factors" in start else start["log_scales"].reshape(-1, 1, 1)
    factor = np.asarray(cholesky(spread))
    model = GaussianMixture(
        num,
        tol=tol,
        reg_covar=floor,
        max_iter=steps,
        weights_init=np.asarray(jax.nn.softmax(start["logits"])),
        means_init=np.asarray(start["locs"]).reshape(num, -1),
        precisions_init=np.linalg.inv(factor @ np.swapaxes(factor, 1, 2)),
    )
    return model.fit(x).score(x)


@pytest.mark.parametrize(
    ("name", "floor"),
    [("line", 1e-6), ("line", 0.05), ("3-d", 1e-6), pytest.param("3-d", 0.05, marks=pytest.mark.slow)],
)
def test_scikit_learn_ends_at_the_same_likelihood(name, floor, x64):
    x = jnp.asarray(DATA[name])
    start = init_mixture(jax.random.key(0), x, num_components=2)
    result = fitted(x, start, floor=floor, tol=1e-13)
    assert int(result.status) == status.OK
    np.testing.assert_allclose(result.log_likelihood, of_scikit_learn(DATA[name], start, floor=floor), atol=1e-9)
    # The likelihood is that of the parameters, which are those of the model.
    np.testing.assert_allclose(result.log_likelihood, mean_log_prob(result.params, x), atol=1e-12)
    assert jax.tree.map(jnp.shape, result.params) == jax.tree.map(jnp.shape, start)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("line", newton()),
        pytest.param("line", optax.lbfgs(), marks=pytest.mark.slow),
        pytest.param("3-d", newton(), marks=pytest.mark.slow),
        pytest.param("3-d", optax.lbfgs(), marks=pytest.mark.slow),
    ],
)
def test_gradient_fits_end_at_the_same_likelihood(name, optimizer, x64):
    x = jnp.asarray(DATA[name])
    start = init_mixture(jax.random.key(0), x, num_components=2)
    by_em = fitted(x, start, floor=1e-9, tol=1e-12)

    @jax.jit
    def by_gradient(x, start):
        return run(fit(lambda params, x: -mean_log_prob(params, x), start, optimizer, max_steps=300, tol=1e-8), x)

    descended = by_gradient(x, start)
    assert int(descended.status) == int(by_em.status) == status.OK
    np.testing.assert_allclose(by_em.log_likelihood, -descended.value, atol=1e-8)


@pytest.mark.parametrize("name", ["line", pytest.param("3-d", marks=pytest.mark.slow)])
def test_the_likelihood_never_falls(name, x64):
    x = jnp.asarray(DATA[name])
    starts = jax.vmap(lambda key: init_mixture(key, x, num_components=3))(jax.random.split(jax.random.key(1), 8))

    @jax.jit
    @jax.vmap
    def path(start):
        iteration = em(start, floor=1e-12, tol=0.0)
        return jax.lax.scan(lambda s, _: (iteration.step(s, x), s.value), iteration.init(x), length=60)[1]

    gains = np.diff(path(starts), axis=1)
    assert gains.min() > -1e-13
    assert gains[:, 0].min() > 1e-3


def test_float32_far_from_zero():
    x = (LINE + 1e4).astype(np.float32)
    start = init_mixture(jax.random.key(0), x, num_components=2)
    far = fitted(x, start)
    with jax.enable_x64(True):  # noqa: FBT003
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), start)
        near = fitted(jnp.asarray(x, jnp.float64) - 1e4, double | {"locs": double["locs"] - 1e4}, tol=1e-12)
        expected = jax.tree.map(np.asarray, near)
    assert far.log_likelihood.dtype == jnp.float32
    np.testing.assert_allclose(far.log_likelihood, expected.log_likelihood, atol=1e-5)
    np.testing.assert_allclose(far.params["log_scales"], expected.params["log_scales"], atol=5e-3)
    np.testing.assert_allclose(far.params["locs"] - 1e4, expected.params["locs"], atol=5e-3)


def test_float32_far_from_zero_in_space():
    x = (SPACE + np.array([1e4, -1e4, 0.0])).astype(np.float32)
    start = init_mixture(jax.random.key(0), x, num_components=2)
    far = fitted(x, start)
    with jax.enable_x64(True):  # noqa: FBT003
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), start)
        expected = float(fitted(jnp.asarray(x, jnp.float64), double, tol=1e-12).log_likelihood)
    assert int(far.status) == status.OK
    np.testing.assert_allclose(far.log_likelihood, expected, atol=2e-5)


def test_the_floor_holds_a_component_on_one_point(x64):
    x = jnp.concatenate([jnp.asarray(LINE[20:]), jnp.full(20, 7.5)])
    start = {"logits": jnp.zeros(2), "locs": jnp.asarray([1.0, 7.5]), "log_scales": jnp.asarray([0.5, -3.0])}
    result = fitted(x, start)
    assert int(result.status) == status.OK
    np.testing.assert_allclose(result.params["log_scales"][1], 0.5 * np.log(FLOOR), atol=1e-9)
    np.testing.assert_allclose(jax.nn.softmax(result.params["logits"])[1], 20 / 500, rtol=1e-4)
    np.testing.assert_allclose(result.log_likelihood, of_scikit_learn(x, start, floor=FLOOR), atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_the_floor_holds_a_constant_column_and_a_single_place(shift):
    x = jnp.asarray(SPACE[:, :2], jnp.float32).at[:, 1].set(shift)
    start = init_mixture(jax.random.key(0), x, num_components=2)
    result = fitted(x, start, floor=1e-4)
    assert int(result.status) == status.OK
    np.testing.assert_allclose(
        jnp.diagonal(cholesky(result.params["factors"]), axis1=1, axis2=2)[:, 1], 1e-2, rtol=1e-4
    )
    np.testing.assert_allclose(result.params["locs"][:, 1], shift)
    alone = fitted(jnp.full((2, 2), shift), start, floor=1e-4)
    assert int(alone.status) == status.OK
    np.testing.assert_allclose(cholesky(alone.params["factors"]), np.tile(1e-2 * np.eye(2), (2, 1, 1)), rtol=1e-4)


def test_a_component_far_from_all_data_comes_back():
    start = {"logits": jnp.zeros(2), "locs": jnp.asarray([0.0, 1e5]), "log_scales": jnp.zeros(2)}
    result = fitted(jnp.asarray(LINE, jnp.float32), start)
    assert int(result.status) == status.OK
    assert np.all((result.params["locs"] > LINE.min()) & (result.params["locs"] < LINE.max()))


def test_a_component_whose_distance_overflows_comes_back():
    start = {"logits": jnp.zeros(2), "locs": jnp.asarray([0.0, 1e5]), "log_scales": jnp.asarray([0.0, -40.0])}
    result = fitted(jnp.asarray(LINE, jnp.float32), start)
    assert int(result.status) == status.OK
    assert np.all((result.params["locs"] > LINE.min()) & (result.params["locs"] < LINE.max()))


def test_many_starts_in_one_program_and_each_as_alone():
    x = jnp.asarray(LINE, jnp.float32)
    starts = jax.vmap(lambda key: init_mixture(key, x, num_components=2))(jax.random.split(jax.random.key(2), 6))
    traces = []

    def go(start):
        traces.append(1)
        return run(em(lambda case: case["start"], floor=FLOOR, data=lambda case: case["x"]), {"start": start, "x": x})

    together = jax.jit(jax.vmap(go))(starts)
    one, once = jax.jit(go), len(traces)
    alone = [one(jax.tree.map(lambda leaf, i=i: leaf[i], starts)) for i in range(3)]
    assert len(traces) == once + 1
    np.testing.assert_array_equal(together.status, status.OK)
    np.testing.assert_allclose(together.log_likelihood[:3], [r.log_likelihood for r in alone], atol=1e-5)
    # One start, two points side by side, stays at the saddle where its components are one.
    np.testing.assert_allclose(np.sort(together.log_likelihood)[1:], together.log_likelihood.max(), atol=1e-4)


def test_weights_are_repetitions_and_what_has_none_is_not_there():
    x, times = jnp.asarray(LINE[150:450], jnp.float32), np.arange(300) % 3
    start = init_mixture(jax.random.key(0), x, num_components=2)
    repeated = fitted(jnp.asarray(np.repeat(x, times)), start)
    hidden = jnp.where(times == 0, jnp.nan, x)
    weighted = fitted(Points(hidden, jnp.log(jnp.asarray(times, jnp.float32))), start)
    assert int(weighted.status) == status.OK
    np.testing.assert_allclose(weighted.log_likelihood, repeated.log_likelihood, atol=1e-5)
    np.testing.assert_allclose(weighted.params["locs"], repeated.params["locs"], atol=1e-2)


def test_a_sweep_draws_its_own_data():
    def data(case):
        noise = jax.random.normal(jax.random.key(case["seed"]), (200,))
        return noise + jnp.where(jnp.arange(200) < 100, 0.0, case["separation"])

    def start(case):
        return init_mixture(jax.random.key(case["seed"]), data(case), num_components=2, scale=0.3)

    iteration = em(start, floor=FLOOR, data=data)
    table = sweep({"em": iteration}, product(separation=np.float32([8.0, 16.0]), seed=np.arange(3)))
    assert set(table["status"].values.ravel()) == {status.OK}
    locs = np.sort(table.sel(separation=16.0)["params.locs"].values.reshape(3, 2))
    assert np.abs(locs - [0.0, 16.0]).max() < 5 / np.sqrt(100)


# How it ends.


def test_max_steps_and_a_step_after_the_end_changes_nothing():
    x = jnp.asarray(LINE, jnp.float32)
    iteration = em(init_mixture(jax.random.key(0), x, num_components=2), floor=FLOOR, max_steps=3)
    before = jax.eval_shape(iteration.init, x)
    after = jax.eval_shape(iteration.step, before, x)
    describe = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)  # noqa: E731
    assert describe(before) == describe(after)

    ended, result = jax.jit(
        lambda x: (jax.lax.fori_loop(0, 5, lambda _, s: iteration.step(s, x), iteration.init(x)), run(iteration, x))
    )(x)
    assert (int(ended.steps), int(result.steps), int(result.status)) == (3, 3, status.NOT_CONVERGED)
    np.testing.assert_array_equal(ended.value, result.log_likelihood)


def test_what_is_not_finite_stops_at_once():
    x = jnp.asarray(LINE, jnp.float32)
    start = init_mixture(jax.random.key(0), x, num_components=2)
    with_nan = fitted(x.at[3].set(jnp.nan), start)
    assert (int(with_nan.status), int(with_nan.steps)) == (status.NON_FINITE, 0)
    bad_start = fitted(x, start | {"locs": jnp.asarray([0.0, jnp.inf])})
    assert (int(bad_start.status), int(bad_start.steps)) == (status.NON_FINITE, 0)


GOOD = {"logits": jnp.zeros(2), "locs": jnp.zeros(2), "log_scales": jnp.zeros(2)}
PLANE = {"logits": jnp.zeros(2), "locs": jnp.zeros((2, 3)), "factors": jnp.zeros((2, 3, 3))}


@pytest.mark.parametrize(
    ("init", "x", "message"),
    [
        (GOOD, jnp.zeros(1), r"at least as many points.*1 and 2"),
        (GOOD, jnp.zeros((5, 1)), r"Expected data \[n\].*\(5, 1\) and \(2,\)"),
        (PLANE, jnp.zeros(5), r"Expected data \[n\].*\(5,\) and \(2, 3\)"),
        (PLANE, jnp.zeros((5, 2)), r"Expected data \[n\].*\(5, 2\) and \(2, 3\)"),
        (GOOD, jnp.zeros(()), r"Expected data \[n\]"),
        (GOOD, Points(jnp.zeros(5), jnp.zeros(4)), r"Expected log_w of shape \(5,\)"),
        (GOOD | {"log_scales": jnp.zeros(3)}, jnp.zeros(5), "Expected logits"),
        (GOOD | {"factors": PLANE["factors"]}, jnp.zeros(5), "Expected logits"),
    ],
)
def test_data_and_parameters_that_do_not_fit_are_refused(init, x, message):
    with pytest.raises(ValueError, match=message) as error:
        run(em(init, floor=1e-6), x)
    assert "\n" not in str(error.value)
    with pytest.raises(TypeError, match="Expected a dict"):
        run(em(jnp.zeros(3), floor=1e-6), x)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"floor": 0.0}, ValueError),
        ({"floor": -1e-6}, ValueError),
        ({"floor": np.nan}, ValueError),
        ({"floor": np.inf}, ValueError),
        ({"floor": "a"}, TypeError),
        ({"floor": [1e-6, 1e-6]}, TypeError),
        ({"floor": 1e-6, "max_steps": -1}, ValueError),
        ({"floor": 1e-6, "max_steps": 2.5}, TypeError),
        ({"floor": 1e-6, "tol": -1.0}, ValueError),
        ({"floor": 1e-6, "data": jnp.zeros(3)}, TypeError),
    ],
)
def test_arguments_that_mean_nothing_are_refused_at_once(options, error):
    with pytest.raises(error, match="Expected"):
        em(GOOD, **options)
