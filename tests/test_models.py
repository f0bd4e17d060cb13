"""Models: densities against scipy's, mass 1, inverses, starts."""

import distrax
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

from divjax import kl, models, quadrature, status, targets
from divjax.models.elliptical import cholesky, entries
from divjax.models.laws import MonotoneSpline
from divjax.training import fit, newton
from divjax.training.iteration import run

KEY = jax.random.key(0)
LINE = {
    "logits": jnp.asarray([0.3, -1.0, 0.5]),
    "locs": jnp.asarray([-2.0, 0.5, 4.0]),
    "log_scales": jnp.asarray([0.0, -1.5, 0.7]),
}
SPACE = {
    "logits": jnp.asarray([0.3, -1.0]),
    "locs": jax.random.normal(KEY, (2, 3)),
    "factors": 0.5 * jax.random.normal(jax.random.key(1), (2, 3, 3)),
}
PLANE = {
    name: value[:, :2] if name == "locs" else value[:, :2, :2] if name == "factors" else value
    for name, value in SPACE.items()
}


def perturbed(params, size, seed=0):
    """The same pytree with noise of this size on every entry."""
    flat, unravel = ravel_pytree(params)
    return unravel(flat + size * jax.random.normal(jax.random.key(seed), flat.shape))


def weights(params):
    return np.asarray(jax.nn.softmax(params["logits"]))


def test_a_mixture_on_the_line_is_scipys():
    x = jnp.linspace(-6.0, 9.0, 31)
    parts = [stats.norm(m, np.exp(s)).pdf(x) for m, s in zip(LINE["locs"], LINE["log_scales"], strict=True)]
    np.testing.assert_allclose(models.mixture(LINE).log_prob(x), np.log(weights(LINE) @ np.array(parts)), atol=2e-5)


def test_gaussians_in_space_are_scipys():
    x = 2.0 * jax.random.normal(jax.random.key(2), (20, 3))
    factors = np.asarray(cholesky(SPACE["factors"]))
    parts = [stats.multivariate_normal(m, f @ f.T).logpdf(x) for m, f in zip(SPACE["locs"], factors, strict=True)]
    ours = [models.multivariate_normal({"loc": SPACE["locs"][i], "factor": SPACE["factors"][i]}) for i in range(2)]
    for one, expected in zip(ours, parts, strict=True):
        np.testing.assert_allclose(one.log_prob(x), expected, rtol=1e-4, atol=1e-4)
    expected = np.log(weights(SPACE) @ np.exp(parts))
    np.testing.assert_allclose(models.mixture(SPACE).log_prob(x), expected, rtol=1e-4, atol=1e-4)
    assert models.mixture(SPACE).sample(seed=KEY, sample_shape=(5,)).shape == (5, 3)


def test_students_t_is_scipys():
    params = {"loc": jnp.asarray(1.0), "log_scale": jnp.asarray(0.5), "log_df": jnp.asarray(1.2)}
    x = jnp.asarray([-1e4, -5.0, 0.0, 1.0, 2.0, 300.0])
    expected = stats.t(np.exp(1.2), 1.0, np.exp(0.5)).logpdf(x)
    np.testing.assert_allclose(models.student_t(params).log_prob(x), expected, rtol=1e-5)


def test_factors_and_their_entries():
    factors = cholesky(SPACE["factors"])
    np.testing.assert_array_equal(jnp.triu(factors, 1), 0.0)
    assert jnp.diagonal(factors, axis1=1, axis2=2).min() > 0.0
    np.testing.assert_allclose(entries(factors), jnp.tril(SPACE["factors"]), atol=1e-6)
    # Nothing depends on what is above the diagonal.
    grad = jax.grad(lambda params: models.mixture(params).log_prob(jnp.ones(3)))(SPACE)
    np.testing.assert_array_equal(jnp.triu(grad["factors"], 1), 0.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


@jax.jit
def masses(mixture, student, flow):
    """∫ p and ∫ q by quadrature of two pairs."""
    first = quadrature(models.mixture(mixture), models.spline_flow(flow), crossings=0)
    second = quadrature(models.student_t(student), models.mixture(mixture), crossings=0)
    return [jnp.sum(jnp.exp(n.log_w + log)) for n in (first, second) for log in (n.log_p, n.log_q)]


@pytest.mark.parametrize("size", [0.0, 0.5, 1.0])
def test_on_the_line_every_model_has_mass_one(size):
    student = {"loc": jnp.asarray(1.0), "log_scale": jnp.asarray(0.5), "log_df": jnp.asarray(0.7)}
    flow = perturbed(models.init_spline_flow(loc=1.0, scale=2.0), size)
    np.testing.assert_allclose(masses(LINE, student, flow), 1.0, atol=3e-5)


@pytest.mark.slow
def test_the_gradient_in_a_flows_parameters_is_that_of_differences(x64):
    """Along one direction, in which the knots move: a divergence by nodes that move with them."""
    start = perturbed(models.init_spline_flow(num_bins=4, loc=1.0, scale=2.0), 0.5)
    flat, unravel = ravel_pytree(start)
    way = jax.random.normal(jax.random.key(7), flat.shape)

    @jax.jit
    def along(step):
        q = models.spline_flow(unravel(flat + step * way))
        return kl(quadrature(targets.two_modes(3.0), q, crossings=0))

    slope, step = jax.jit(jax.grad(along))(0.0), 1e-4
    curvature = jax.jit(jax.grad(jax.grad(along)))(0.0)
    below, here, above = (along(t) for t in (-step, 0.0, step))
    np.testing.assert_allclose(slope, (above - below) / (2.0 * step), rtol=1e-5)
    np.testing.assert_allclose(curvature, (above - 2.0 * here + below) / step**2, rtol=1e-3)


def test_in_the_plane_a_mixture_has_mass_one():
    q = {"loc": jnp.asarray([0.5, 0.0]), "factor": jnp.asarray([[0.8, 0.0], [0.4, 0.6]])}
    nodes = jax.jit(lambda p, q: quadrature(models.mixture(p), models.multivariate_normal(q)))(PLANE, q)
    masses = [jnp.sum(jnp.exp(nodes.log_w + log)) for log in (nodes.log_p, nodes.log_q)]
    np.testing.assert_allclose(masses, 1.0, atol=1e-5)


# Flows.

COUPLING = models.init_coupling_flow(KEY, dim=3, num_layers=2, hidden=(16,), num_bins=6)
SPLINE = models.init_spline_flow(num_bins=6)
FLOWS = {
    "spline": (models.spline_flow, perturbed(SPLINE, 0.5), SPLINE),
    "coupling": (models.coupling_flow, perturbed(COUPLING, 0.2), COUPLING),
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_starts_as_the_identity(name):
    build, _, start = FLOWS[name]

    @jax.jit
    def of(params):
        flow = build(params)
        x = 3.0 * jax.random.normal(KEY, (50, *flow.event_shape))
        return x, flow.bijector.forward(x), flow.log_prob(x), flow.distribution.log_prob(x)

    x, y, log_q, log_base = of(start)
    np.testing.assert_allclose(y, x, atol=5e-6)
    np.testing.assert_allclose(log_q, log_base, atol=2e-5)


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_the_inverse_of_its_inverse_with_the_jacobian_it_says(name):
    build, params, _ = FLOWS[name]

    @jax.jit
    def of(params):
        flow = build(params)
        dim = flow.event_shape
        z = 2.5 * jax.random.normal(KEY, (40, *dim))
        x, log_det = flow.bijector.forward_and_log_det(z)
        back, log_det_back = flow.bijector.inverse_and_log_det(x)
        jacobian = jax.vmap(jax.jacfwd(flow.bijector.forward))(z).reshape(40, *(dim or (1,)) * 2)
        grad = jax.grad(lambda params: jnp.sum(build(params).log_prob(x)))(params)
        return z, back, log_det, log_det_back, jnp.linalg.slogdet(jacobian), grad

    z, back, log_det, log_det_back, (sign, expected), grad = of(params)
    np.testing.assert_allclose(back, z, atol=2e-4)
    np.testing.assert_allclose(log_det, -log_det_back, atol=2e-3)
    np.testing.assert_array_equal(sign, 1.0)
    np.testing.assert_allclose(log_det, expected, atol=2e-4)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


@pytest.mark.parametrize("name", FLOWS)
def test_a_flows_density_is_that_of_its_samples(name):
    """∫ q = 1 and E_q tanh x, by samples of the flow and by weighted ones of something wider, in standard errors."""
    build, params, _ = FLOWS[name]
    num = 1 << 15

    @jax.jit
    def of(params):
        flow = build(params)
        wide = distrax.Normal(jnp.zeros(flow.event_shape), 3.0)
        axes = tuple(range(1, 1 + len(flow.event_shape)))
        y = wide.sample(seed=jax.random.key(1), sample_shape=(num,))
        ratio = jnp.exp(flow.log_prob(y) - jnp.sum(wide.log_prob(y), axis=axes))
        x = flow.sample(seed=jax.random.key(2), sample_shape=(num,))
        first = [jnp.tanh(points.reshape(num, -1)[:, 0]) for points in (x, y)]
        return ratio, first[0], ratio * first[1]

    ratio, drawn, weighted = map(np.asarray, of(params))
    error = lambda values: values.std() / np.sqrt(num)  # noqa: E731
    assert error(ratio) < 0.05
    assert abs(ratio.mean() - 1.0) < 4 * error(ratio)
    assert abs(drawn.mean() - weighted.mean()) < 4 * np.hypot(error(drawn), error(weighted))


@pytest.mark.parametrize("name", FLOWS)
def test_flows_of_other_parameters_are_no_other_program(name):
    build, params, start = FLOWS[name]
    traces = []

    @jax.jit
    def log_prob(flow, x):
        traces.append(1)
        return flow.log_prob(x)

    for each in (params, start):
        log_prob(build(each), jnp.zeros(build(each).event_shape))
    assert len(traces) == 1


@pytest.mark.slow
def test_a_rich_model_needs_no_choice_of_a_mode():
    """Where the best Gaussian leaves a KL of 0.17, a spline flow of five bins leaves less than a hundredth of it."""
    p = lambda: targets.two_modes(4.0)  # noqa: E731

    def fitted(build, start):
        loss = lambda params, case: kl(quadrature(p(), build(params), crossings=0))  # noqa: E731
        return jax.jit(lambda start: run(fit(loss, start, newton(), max_steps=200, tol=1e-5)))(start)

    gaussian = fitted(models.normal, {"loc": jnp.asarray(2.0), "log_scale": jnp.asarray(0.5)})
    flow = fitted(models.spline_flow, models.init_spline_flow(num_bins=5, loc=2.0))
    assert int(gaussian.status) == status.OK
    assert float(gaussian.value) > 0.1
    assert int(flow.status) == status.OK
    assert float(flow.value) < 0.01 * float(gaussian.value)


# Where a derivative is more than that of the formula.


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_flow_has_its_derivative_on_the_knots_too(dtype, x64):
    """The identity has no kink on them."""
    start = jax.tree.map(lambda leaf: leaf.astype(dtype), models.init_spline_flow())
    x = jnp.arange(-5.0, 6.0, dtype=dtype)
    flow = models.spline_flow(start)
    np.testing.assert_allclose(jax.vmap(jax.grad(flow.log_prob))(x), -x, atol=1e-5)
    for of in (flow.bijector.forward, flow.bijector.inverse):
        np.testing.assert_allclose(jax.vmap(jax.grad(of))(x), 1.0, atol=1e-5)
    coupling = jax.tree.map(lambda leaf: leaf.astype(dtype), models.init_coupling_flow(KEY, dim=2))
    grad = jax.jit(jax.grad(models.coupling_flow(coupling).log_prob))(jnp.asarray([1.0, -2.0], dtype))
    np.testing.assert_allclose(grad, [-1.0, 2.0], atol=1e-5)
    far = jax.jit(jax.grad(lambda params: models.spline_flow(params).log_prob(jnp.asarray(1e20, dtype))))(start)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(far))


def test_a_spline_is_distraxs(x64):
    params, x = jax.random.normal(KEY, (25,)), jnp.linspace(-6.0, 6.0, 201)
    ours, theirs = (build(params, -4.0, 4.0) for build in (MonotoneSpline, distrax.RationalQuadraticSpline))
    for way in ("forward_and_log_det", "inverse_and_log_det"):
        np.testing.assert_allclose(getattr(ours, way)(x), getattr(theirs, way)(x), atol=1e-12)


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 1e-4), (jnp.float64, 1e-11)])
def test_students_t_has_its_derivative_in_df_near_the_gaussian(dtype, rtol, x64):
    def log_prob(log_df):
        zero = jnp.zeros((), dtype)
        return models.student_t({"loc": zero, "log_scale": zero, "log_df": log_df}).log_prob(jnp.asarray(1.5, dtype))

    def exact(log_df):
        df = mpmath.exp(log_df)
        gammas = mpmath.loggamma((df + 1) / 2) - mpmath.loggamma(df / 2)
        return gammas - mpmath.log(df * mpmath.pi) / 2 - (df + 1) / 2 * mpmath.log1p(mpmath.mpf(1.5) ** 2 / df)

    log_df = np.asarray([-2.0, 0.0, 2.5, 3.0, 5.0, 8.0, 10.0, 12.0])
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(exact, mpmath.mpf(each))) for each in log_df]
    grad = jax.jit(jax.vmap(jax.grad(log_prob)))(jnp.asarray(log_df, dtype))
    np.testing.assert_allclose(grad, expected, rtol=rtol)


@pytest.mark.parametrize(("dtype", "narrow"), [(jnp.float32, -60.0), (jnp.float64, -400.0)])
def test_a_component_that_overflows_leaves_a_mixture_its_gradient(dtype, narrow, x64):
    params = {"logits": jnp.zeros(2, dtype), "locs": jnp.zeros(2, dtype), "log_scales": jnp.asarray([0, narrow], dtype)}
    of = jax.jit(jax.value_and_grad(lambda params, x: models.mixture(params).log_prob(x)))
    value, grad = of(params, jnp.ones((), dtype))
    np.testing.assert_allclose(value, stats.norm.logpdf(1.0) - np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(grad["log_scales"], 0.0, atol=1e-6)
    np.testing.assert_allclose(grad["locs"], [1.0, 0.0], rtol=1e-6)
    value, grad = of(params, jnp.asarray(jnp.finfo(dtype).max, dtype) / 4)
    assert value == -jnp.inf
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_a_factor_that_overflows_leaves_the_other_entries():
    np.testing.assert_array_equal(cholesky(jnp.asarray([[89.0, 0.0], [1.0, 0.0]])), [[np.inf, 0.0], [1.0, 1.0]])


# Starts.


@pytest.mark.parametrize(
    ("x", "expected"),
    [(jnp.full(1000, 16777.3), 0.0), *((each * jnp.arange(-3.0, 4.0), np.log(2 * each)) for each in (1e20, 1e-25))],
)
def test_a_mixture_starts_as_wide_as_data_of_any_scale(x, expected):
    np.testing.assert_allclose(
        models.init_mixture(KEY, x, num_components=2)["log_scales"], expected, rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(50,), (50, 2)])
def test_a_mixture_starts_at_distinct_points_as_wide_as_the_data(shape):
    x = 3.0 + 2.0 * jax.random.normal(KEY, shape)
    start = models.init_mixture(jax.random.key(1), x, num_components=50, scale=0.5)
    np.testing.assert_array_equal(np.sort(start["locs"], axis=0), np.sort(x, axis=0))
    if len(shape) == 1:
        np.testing.assert_allclose(jnp.exp(start["log_scales"]), 0.5 * x.std(), rtol=1e-5)
    else:
        expected = np.tile(np.diag(0.5 * np.std(x, axis=0)), (50, 1, 1))
        np.testing.assert_allclose(cholesky(start["factors"]), expected, rtol=1e-5)
    constant = models.init_mixture(KEY, jnp.ones(shape), num_components=2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(constant))


def test_random_starts_are_where_they_are_asked_to_be():
    keys = jax.random.split(KEY, 200)
    options = {"narrow": 0.5, "wide": 2.0}
    student = jax.vmap(lambda key: models.random_student_t(key, low=-1.0, high=3.0, **options))(keys)
    box = {"low": jnp.asarray([0.0, 5.0]), "high": jnp.asarray([1.0, 7.0])}
    normal = jax.vmap(lambda key: models.random_multivariate_normal(key, **box, **options))(keys)
    for values, low, high in (
        (student["loc"], -1.0, 3.0),
        (np.exp(student["log_scale"]), 0.5, 2.0),
        (np.exp(student["log_df"]), 2.0, 30.0),
        (normal["loc"][:, 1], 5.0, 7.0),
        (np.exp(normal["factor"][:, 1, 1]), 0.5, 2.0),
    ):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    np.testing.assert_array_equal(normal["factor"][:, 0, 1], 0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: models.mixture({"logits": jnp.zeros(2), "locs": jnp.zeros(3), "log_scales": jnp.zeros(2)}),
        lambda: models.mixture({"logits": jnp.zeros(()), "locs": jnp.zeros(()), "log_scales": jnp.zeros(())}),
        lambda: models.mixture({"logits": jnp.zeros(2), "locs": jnp.zeros((2, 3)), "factors": jnp.zeros((2, 3))}),
        lambda: models.mixture({"logits": jnp.zeros(0), "locs": jnp.zeros(0), "log_scales": jnp.zeros(0)}),
        lambda: models.mixture({"logits": jnp.zeros(2), "locs": jnp.zeros(2)}),
        lambda: models.multivariate_normal({"loc": jnp.zeros(2), "factor": jnp.zeros((3, 3))}),
        lambda: models.multivariate_normal({"loc": jnp.zeros(()), "factor": jnp.zeros(())}),
        lambda: models.init_mixture(KEY, jnp.zeros(3), num_components=4),
        lambda: models.init_mixture(KEY, jnp.zeros(3), num_components=0),
        lambda: models.init_mixture(KEY, jnp.zeros((3, 1, 1)), num_components=1),
        lambda: models.random_multivariate_normal(KEY, low=0.0, high=1.0, narrow=1.0, wide=2.0),
        lambda: models.init_spline_flow(num_bins=0),
        lambda: models.spline_flow(SPLINE | {"spline": jnp.zeros(8)}),
        lambda: models.spline_flow(SPLINE | {"spline": jnp.zeros(1)}),
        lambda: models.spline_flow(SPLINE | {"loc": jnp.zeros(2)}),
        lambda: models.init_coupling_flow(KEY, dim=1),
        lambda: models.init_coupling_flow(KEY, dim=2, num_layers=0),
        lambda: models.coupling_flow(COUPLING | {"loc": jnp.zeros(2)}),
        lambda: models.coupling_flow(COUPLING | {"loc": jnp.zeros(())}),
        lambda: models.coupling_flow(COUPLING | {"layers": ()}),
        lambda: models.coupling_flow({"loc": jnp.zeros(2)}),
        lambda: models.normal({"loc": 0.0}),
        lambda: models.multivariate_normal({"loc": jnp.zeros(2), "scale": jnp.eye(2)}),
        lambda: models.student_t({"loc": 0.0, "log_scale": 0.0}),
        lambda: models.init_mixture(KEY, jnp.array([0.0, jnp.nan, 1.0]), num_components=2),
        lambda: models.init_mixture(KEY, jnp.zeros(3), num_components=2, scale=0.0),
        lambda: models.init_spline_flow(scale=-1.0),
        lambda: models.spline_flow(SPLINE, bound=-1.0),
        lambda: models.random_normal(KEY, low=0.0, high=1.0, narrow=0.0, wide=2.0),
        lambda: models.random_student_t(KEY, low=0.0, high=1.0, narrow=-1.0, wide=2.0),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(call):
    with pytest.raises(ValueError, match=r"^Expected .*; got .*\.") as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: models.normal(None),
        lambda: models.multivariate_normal(jnp.zeros(2)),
        lambda: models.init_mixture(KEY, jnp.zeros(3), num_components=2.0),
        lambda: models.init_mixture(KEY, jnp.zeros(3), num_components="2"),
        lambda: models.init_spline_flow(num_bins=2.5),
    ],
)
def test_what_is_of_another_type(call):
    with pytest.raises(TypeError, match=r"^Expected .*; got .*\."):
        call()


def test_lists_are_data():
    start = models.init_mixture(KEY, [1.0, 2.0, 3.0], num_components=2)
    np.testing.assert_array_equal(
        start["locs"], models.init_mixture(KEY, jnp.array([1.0, 2.0, 3.0]), num_components=2)["locs"]
    )
    listed = {name: value.tolist() for name, value in start.items()}
    np.testing.assert_allclose(models.mixture(listed).log_prob(0.5), models.mixture(start).log_prob(0.5), rtol=1e-6)
