import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from divjax import status
from divjax.training import fit, newton
from divjax.training.iteration import run

CENTRE = jnp.asarray([1.0, -2.0])


def bowl(params, case):
    """A quadratic with its minimum at (1, −2) + shift."""
    away = params - CENTRE - case["shift"]
    return jnp.sum(jnp.asarray([1.0, 3.0]) * away**2), {"away": away}


def start(case):
    return jax.random.normal(jax.random.key(case["seed"]), (2,))


CASES = {"seed": jnp.arange(6), "shift": jnp.linspace(0.0, 3.0, 6)}
CASE = {"seed": jnp.asarray(0), "shift": jnp.asarray(0.5)}
OPTIMIZERS = {
    "adam": optax.adam(0.1),
    "sgd with a schedule": optax.sgd(optax.exponential_decay(0.2, 50, 0.9), momentum=0.3),
    "polyak": optax.polyak_sgd(max_learning_rate=0.2),
    "lbfgs": optax.lbfgs(),
    "newton": newton(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimiser_many_fits_in_one_program(name):
    iteration = fit(bowl, start, OPTIMIZERS[name], tol=1e-5)
    result = jax.jit(jax.vmap(lambda case: run(iteration, case)))(CASES)
    np.testing.assert_array_equal(result.status, status.OK)
    np.testing.assert_allclose(result.params, CENTRE + CASES["shift"][:, None], atol=1e-5)
    # value, aux and gradient norm belong to the parameters they come with.
    (value, aux), grad = jax.vmap(jax.value_and_grad(bowl, has_aux=True))(result.params, CASES)
    np.testing.assert_allclose(result.value, value, atol=1e-12)
    np.testing.assert_allclose(result.aux["away"], aux["away"], atol=1e-6)
    np.testing.assert_allclose(result.grad_norm, np.max(np.abs(grad), axis=1), atol=1e-6)
    # Batched or alone, a fit is the same fit.
    one = jax.jit(lambda case: run(iteration, case))
    alone = [one(jax.tree.map(lambda x, i=i: x[i], CASES)) for i in (0, 4)]
    assert [int(r.status) for r in alone] == [status.OK] * 2
    np.testing.assert_allclose(result.params[jnp.asarray([0, 4])], [r.params for r in alone], atol=1e-5)
    assert np.max(np.abs(result.steps[jnp.asarray([0, 4])] - np.asarray([r.steps for r in alone]))) <= 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_fit_for_a_loop_and_a_step_after_the_end_changes_nothing(name):
    # Python scalars and a weakly typed rate are what most often changes a state's type on the way.
    iteration = fit(bowl, lambda case: start(case) * 1.0, OPTIMIZERS[name], max_steps=5)
    before = jax.eval_shape(iteration.init, CASE)
    after = jax.eval_shape(iteration.step, before, CASE)
    describe = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)  # noqa: E731
    assert describe(before) == describe(after)

    def body(state, _):
        return iteration.step(state, CASE), state.params

    ended, path = jax.jit(lambda: jax.lax.scan(body, iteration.init(CASE), length=9))()
    assert bool(iteration.done(ended))
    assert int(ended.steps) <= 5
    np.testing.assert_array_equal(path[-1], ended.params)
    again = jax.jit(iteration.step)(ended, CASE)
    jax.tree.map(np.testing.assert_array_equal, ended, again)


def test_python_scalars_make_parameters():
    result = run(fit(lambda p, case: (p["a"] - 1.0) ** 2 + p["b"] ** 2, {"a": 0.0, "b": np.float32(2)}, newton()))
    assert result.params["a"].dtype == jnp.float32
    assert result.aux == ()
    np.testing.assert_allclose([result.params["a"], result.params["b"]], [1.0, 0.0], atol=1e-6)


def test_the_aux_keeps_its_structure():
    result = run(fit(lambda p, case: (p**2, (p + 1, None)), 1.0, newton()))
    np.testing.assert_allclose(result.aux[0], 1.0, atol=1e-6)
    assert result.aux[1] is None
    assert run(fit(lambda p, case: (p**2, None), 1.0, newton())).aux is None


def test_parameters_may_be_called_value_and_grad():
    params = {"value": jnp.asarray(0.5), "grad": jnp.asarray([1.0, 2.0])}
    result = run(fit(lambda p, case: p["value"] ** 2 + jnp.sum(p["grad"] ** 2), params, optax.adam(0.1), tol=1e-3))
    assert int(result.status) == status.OK


def test_an_optimiser_may_carry_a_random_key():
    noisy = optax.noisy_sgd(0.1, eta=1e-4, key=jax.random.key(0))
    result = run(fit(bowl, start, noisy, max_steps=60), CASE)
    np.testing.assert_allclose(result.params, CENTRE + 0.5, atol=0.1)


def test_x64(x64):
    iteration = fit(bowl, lambda case: jnp.zeros(2), newton(), tol=1e-12)
    result = jax.jit(lambda case: run(iteration, case))(CASE)
    assert result.value.dtype == result.grad_norm.dtype == jnp.float64
    assert float(result.grad_norm) <= 1e-12


# How a fit ends.


def test_non_finite_stops_at_once_and_keeps_what_was_finite():
    def loss(x, case):
        return jnp.log(x) + case

    result = jax.jit(lambda case: run(fit(loss, 1.0, optax.sgd(0.3)), case))(2.0)
    path = [1.0]  # by hand, up to the last step that stays positive
    while path[-1] - 0.3 / path[-1] > 0:
        path.append(path[-1] - 0.3 / path[-1])
    assert int(result.status) == status.NON_FINITE
    assert int(result.steps) == len(path)
    np.testing.assert_allclose(result.params, path[-1], rtol=1e-4)
    np.testing.assert_allclose(result.value, np.log(path[-1]) + 2, rtol=1e-4)
    np.testing.assert_allclose(result.grad_norm, 1 / path[-1], rtol=1e-4)


def test_a_start_that_is_not_finite():
    result = run(fit(lambda x, case: jnp.log(x), -1.0, optax.adam(0.1)))
    assert (int(result.status), int(result.steps), float(result.params)) == (status.NON_FINITE, 0, -1.0)


def test_a_start_that_is_the_end():
    result = run(fit(lambda x, case: x**2, 0.0, optax.adam(0.1)))
    assert (int(result.status), int(result.steps)) == (status.OK, 0)


@pytest.mark.parametrize("max_steps", [0, 7])
def test_max_steps(max_steps):
    result = run(fit(bowl, start, optax.adam(1e-3), max_steps=max_steps), CASE)
    assert (int(result.status), int(result.steps)) == (status.NOT_CONVERGED, max_steps)


def test_a_rate_that_dies_stalls():
    dying = optax.sgd(optax.piecewise_constant_schedule(0.01, {20: 0.0}))
    result = run(fit(bowl, start, dying, patience=5), CASE)
    assert (int(result.status), int(result.steps)) == (status.STALLED, 25)


def test_adam_on_a_plateau_does_not_stall():
    # Around (4.2, 4.2) the loss is 1 to the last bit of float32: for some steps only the parameters change.
    x = jnp.full(2, 4.2)
    loss = lambda x, case: 1.0 - jnp.exp(-0.5 * jnp.sum(x**2))  # noqa: E731
    assert loss(x, None) == loss(x - 0.02, None) == 1.0
    result = run(fit(loss, x, optax.adam(1e-3), max_steps=9000, tol=1e-8, patience=3))
    assert int(result.status) == status.OK
    np.testing.assert_allclose(result.params, 0.0, atol=1e-6)


def test_a_line_search_in_the_rounding_stalls():
    def loss(x, case):
        return 0.3 * (1 - x[0]) ** 2 + 30 * (x[1] - x[0] ** 2) ** 2 + 7.0 + jnp.sin(0.1 * x[0])

    result = run(fit(loss, jnp.asarray([-1.2, 1.0]), optax.lbfgs(), tol=0.0))
    assert int(result.status) == status.STALLED
    assert int(result.steps) < 100
    assert float(result.grad_norm) < 1e-4


# What it costs.


def test_one_compilation_serves_all_values():
    traces = []

    def loss(params, case):
        traces.append(1)
        return bowl(params, case)

    iteration = fit(loss, start, optax.adam(0.1))
    go = jax.jit(lambda case: run(iteration, case))
    go(CASE)
    once = len(traces)
    go({"seed": jnp.asarray(5), "shift": jnp.asarray(-1.0)})
    assert len(traces) == once <= 6


def test_a_line_search_is_not_evaluated_twice():
    calls = []

    def loss(x, case=None):
        jax.debug.callback(lambda: calls.append(1))
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    x = jnp.asarray([-1.2, 1.0])
    steps = int(run(fit(loss, x, optax.lbfgs())).steps)
    jax.effects_barrier()
    ours, optimizer = len(calls), optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):  # the loop that optax documents
        x, state = carry
        value, grad = value_and_grad(x, state=state)
        updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(x, updates), state), None

    calls.clear()
    jax.block_until_ready(jax.lax.scan(step, (x, optimizer.init(x)), length=steps))
    jax.effects_barrier()
    assert ours == len(calls)


def test_errors_say_what_was_expected():
    with pytest.raises(TypeError, match=r"Expected floating-point parameters.*int32"):
        run(fit(bowl, jnp.arange(2), optax.adam(0.1)), CASE)
    with pytest.raises(TypeError, match=r"Expected a scalar.*\(2,\)"):
        run(fit(lambda params, case: params, jnp.zeros(2), optax.adam(0.1)), CASE)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((None, optax.sgd(0.1), {}), TypeError), ((bowl, optax.adam, {}), TypeError), ((bowl, None, {}), TypeError),
     ((bowl, optax.sgd(0.1), {"max_steps": 2.5}), TypeError), ((bowl, optax.sgd(0.1), {"tol": "a"}), TypeError),
     ((bowl, optax.sgd(0.1), {"tol": 1e-3j}), TypeError), ((bowl, optax.sgd(0.1), {"max_steps": 2**40}), ValueError),
     ((bowl, optax.sgd(0.1), {"max_steps": -1}), ValueError), ((bowl, optax.sgd(0.1), {"tol": np.nan}), ValueError),
     ((bowl, optax.sgd(0.1), {"patience": 0}), ValueError)],
)  # fmt: skip
def test_arguments_that_mean_nothing_are_refused_at_once(arguments, error):
    loss, optimizer, options = arguments
    with pytest.raises(error, match="Expected"):
        fit(loss, jnp.zeros(2), optimizer, **options)


def test_limits_may_be_arrays_inside_a_jitted_function():
    def fitted(x):
        limits = {"max_steps": jnp.array(5), "tol": jnp.float32(0.0), "patience": jnp.array(100)}
        return run(fit(lambda x, _: x**2, x, optax.sgd(0.1), **limits)).steps

    assert int(jax.jit(fitted)(1.0)) == 5


@jax.tree_util.register_pytree_node_class
class Line:
    """Parameters that can be called, as a module of equinox can."""

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, x):
        return self.slope * x

    def tree_flatten(self):
        return (self.slope,), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


def test_parameters_that_can_be_called_are_parameters():
    loss = lambda line, case: (line(2.0) - case) ** 2  # noqa: E731
    partial = jax.tree_util.Partial(lambda slope, case: Line(slope), jnp.zeros(()))
    for init in (Line(jnp.zeros(())), lambda case: Line(0.0 * case), partial):
        assert float(run(fit(loss, init, newton()), 3.0).params.slope) == pytest.approx(1.5)
