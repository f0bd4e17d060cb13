"""Wasserstein and energy distances: distributions and samples, against scipy, closed forms and brute force."""

import functools
import itertools
import warnings

import distrax
import jax
import jax.numpy as jnp
import lines
import numpy as np
import pytest
import scipy.special
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from tests.marks import cases

tfd = tfp.distributions
RNG = np.random.RandomState(3)
ORDERS = jnp.array([1.0, 2.0, 3.0])


def costs(coupling):
    """The distances of three orders; one program for all."""
    return jax.vmap(lambda order: dj.wasserstein(coupling, order=order))(ORDERS)


def quantile_costs(x, wx, y, wy):
    """Brute force: both quantile functions on the merged levels."""
    x, wx, y, wy = x[wx > 0], wx[wx > 0], y[wy > 0], wy[wy > 0]
    i, j = np.argsort(x), np.argsort(y)
    levels_x, levels_y = np.cumsum(wx[i]) / wx.sum(), np.cumsum(wy[j]) / wy.sum()
    levels_x[-1] = levels_y[-1] = 1.0
    levels = np.unique(np.concatenate([[0.0], levels_x, levels_y]))
    middle, width = 0.5 * (levels[1:] + levels[:-1]), np.diff(levels)
    gap = np.abs(x[i][np.searchsorted(levels_x, middle)] - y[j][np.searchsorted(levels_y, middle)])
    return np.array([(width @ gap**k) ** (1 / k) for k in (1, 2, 3)])


SAMPLES = {
    "unequal": (RNG.randn(40), np.ones(40), 1 + 2 * RNG.randn(25), np.ones(25)),
    "weighted": (RNG.randn(40), RNG.rand(40), 1 + 2 * RNG.randn(25), RNG.rand(25)),
    "ties": (RNG.randint(0, 4, 40) * 1.0, RNG.rand(40), RNG.randint(1, 6, 25) * 1.0, np.ones(25)),
    "one_point": (np.array([0.7]), np.ones(1), RNG.randn(25), np.ones(25)),
    "zero_weights": (np.r_[RNG.randn(20), [99.0, -99.0]], np.r_[RNG.rand(20), 0, 0], RNG.randn(7), np.ones(7)),
}


def points(x, weights):
    with np.errstate(divide="ignore"):
        return dj.Points(jnp.asarray(x), jnp.asarray(np.log(weights)))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name, x64):
    x, wx, y, wy = SAMPLES[name]
    coupled, steps = jax.jit(lambda p, q: (dj.coupling(p, q), dj.cdfs(p, q)))(points(x, wx), points(y, wy))
    np.testing.assert_allclose(costs(coupled), quantile_costs(x, wx, y, wy), rtol=1e-12)
    assert float(dj.wasserstein(coupled)) == pytest.approx(st.wasserstein_distance(x, y, wx, wy), rel=1e-12)
    assert float(dj.energy(steps)) == pytest.approx(st.energy_distance(x, y, wx, wy) ** 2, rel=1e-12)
    assert float(dj.cramer(steps)) == pytest.approx(st.energy_distance(x, y, wx, wy) ** 2 / 2, rel=1e-12)


def test_sample_gradient(x64):
    """In the points and in the weights, against differences; NaN nowhere with ties and at equal samples."""
    x, wx, y, wy = SAMPLES["weighted"]

    def distances(x, log_w):
        p, q = dj.Points(x, log_w), points(y, wy)
        return dj.wasserstein(dj.coupling(p, q), order=2.0) + dj.energy(dj.cdfs(p, q))

    gradient, distances = jax.jit(jax.grad(distances, (0, 1))), jax.jit(distances)
    step = 1e-6 * RNG.randn(2, 40)
    at = np.stack([x, np.log(wx)])
    slope = sum(np.sum(g * d) for g, d in zip(gradient(*at), step, strict=True))
    difference = 0.5 * float(distances(*(at + step)) - distances(*(at - step)))
    assert slope == pytest.approx(difference, rel=1e-6)
    ties = gradient(jnp.asarray(np.repeat(y, 2)[:40]), jnp.zeros(40))
    assert all(np.isfinite(grad).all() for grad in ties)


@jax.jit
def between_normals(loc, scale, order):
    """The distance from N(0, 1) and its gradient in (loc, scale)."""

    def distance(loc, scale):
        return dj.wasserstein(
            dj.coupling(distrax.Normal(0.0, 1.0), distrax.Normal(loc, scale), crossings=4), order=order
        )

    return jax.value_and_grad(distance, (0, 1))(loc, scale)


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_normals_in_closed_form(x64):
    with jax.enable_x64(x64):
        eps = 1e-9 if x64 else 2e-6
        for loc, scale in ((0.0, 1.0), (3.0, 2.5), (1e4, 1e-3), (0.0, 1e6)):
            value, grads = between_normals(*map(jnp.asarray, (loc, scale, 2.0)))
            exact = np.hypot(loc, scale - 1)
            assert float(value) == pytest.approx(exact, rel=eps, abs=eps)
            if exact:
                np.testing.assert_allclose(np.array(grads), np.array([loc, scale - 1]) / exact, atol=10 * eps)


def test_wasserstein_at_equality():
    value, grad = between_normals(*map(jnp.asarray, (0.0, 1.0, 1.0)))
    assert value < 1e-6
    assert np.isfinite(grad).all()


FAMILIES = (
    "laplace",
    "uniform",
    "gumbel",
    "logistic",
    "gamma",
    "log_normal_tfp",
    "student",
    "beta",
    "truncated_normal",
)
# In CI one stands for all.
each_family = pytest.mark.parametrize("name", cases(FAMILIES, slow=FAMILIES, exhaustive=set(FAMILIES) - {"student"}))


@functools.cache
def measured(name, x64):
    line = lines.LINES[name]
    base = lines.BASES[line.ends]
    fixed = {"student": 1, "beta": 2}.get(name, 0)  # betainc has no derivative in its parameters in JAX

    def function(theta):
        theta_fixed = [*jnp.asarray(line.params[:fixed], theta.dtype), *theta[fixed:]] if fixed else theta
        p, q = base.build(jnp.asarray(base.params, theta.dtype)), line.build(theta_fixed)
        coupled = dj.coupling(p, q, crossings=4)
        powers = jax.vmap(lambda order: dj.divergences.transport_cost(coupled, order=order))(ORDERS.astype(theta.dtype))
        return jnp.append(powers, dj.energy(dj.cdfs(p, q)))

    with jax.enable_x64(x64):
        theta = jnp.asarray(line.params, jnp.float64 if x64 else jnp.float32)
        values, jacobian = jax.jit(lambda t: (function(t), jax.jacrev(function)(t)))(theta)
        return np.asarray(values), np.asarray(jacobian)[:, fixed:], fixed


@each_family
def test_against_integrals_of_quantiles(name):
    line = lines.LINES[name]
    base = lines.BASES[line.ends]
    p = base.scipy(base.params)

    def exact(theta):
        q = line.scipy(theta)
        ends = sorted({*line.ends, *(theta[i] for i in line.moving)})
        return np.array([*(lines.transport_cost(p, q, k) for k in (1, 2, 3)), lines.energy(p, q, ends)])

    values, jacobian, fixed = measured(name, x64=True)
    at, heavy = np.array(line.params), name == "student"  # three degrees of freedom: no third moment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, slopes = exact(at), lines.slopes(exact, at).T[:, fixed:]
    rows = [0, 1, 3] if heavy else [0, 1, 2, 3]
    # quad meets the kinks of order 1 blindly: the reference is the rougher one.
    np.testing.assert_allclose(values[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(values[rows[1:]], expected[rows[1:]], rtol=1e-5 if heavy else 1e-8)
    scale = np.abs(slopes).max(axis=1, keepdims=True) if slopes.size else 1.0
    gaps = np.abs((jacobian - slopes) / scale)
    assert (gaps[0] < (1e-3 if heavy else 1e-4)).all()
    assert (gaps[rows[1:]] < (1e-3 if heavy else 3e-6)).all()


@each_family
def test_float32_against_float64(name):
    (values, jacobian, _), (exact, slopes, _) = measured(name, x64=False), measured(name, x64=True)
    rows = [0, 1, 3] if name == "student" else [0, 1, 2, 3]
    np.testing.assert_allclose(values[rows], exact[rows], rtol=1e-5)
    scale = np.abs(slopes).max(axis=1, keepdims=True) if slopes.size else 1.0
    np.testing.assert_allclose((jacobian / scale)[rows], (slopes / scale)[rows], atol=1e-4)


def test_distribution_against_a_sample(x64):
    """The sample's steps are exact: quantile by quantile, and (P − Q)² between the points."""
    sample = np.array([-1.3, 0.2, 0.2, 0.9, 2.5])
    weights = np.array([0.1, 0.3, 0.1, 0.3, 0.2])
    data = points(sample, weights)

    @jax.jit
    def both(loc):
        q = distrax.Normal(loc, 1.2)
        forward, backward = dj.coupling(data, q), dj.coupling(q, data)
        return costs(forward), costs(backward), dj.energy(dj.cdfs(data, q))

    forward, backward, energy = both(jnp.asarray(0.3))
    law, levels = st.norm(0.3, 1.2), np.r_[0, np.cumsum(weights)]
    expected = []
    for k in (1, 2, 3):
        total = 0.0
        for y, low, high in zip(sample, levels[:-1], levels[1:], strict=True):
            a, b = law.ppf(low), law.ppf(min(high, 1.0))
            ends = np.unique(np.clip([a, b, y, -8, 8], a, b))
            ends = ends[np.isfinite(ends)] if np.isfinite([a, b]).all() else np.unique(np.clip([a, b, y], -12, 12))
            for left, right in itertools.pairwise(ends):
                total += lines.scipy.integrate.quad(
                    lambda x, y=y, k=k: abs(x - y) ** k * law.pdf(x), left, right, epsabs=1e-14
                )[0]
        expected.append(total ** (1 / k))
    np.testing.assert_allclose(forward, expected, rtol=1e-8)
    np.testing.assert_allclose(backward, forward, rtol=1e-12)
    steps = [-np.inf, *np.unique(sample), np.inf]
    square = lambda x: 2 * (law.cdf(x) - weights[sample <= x].sum()) ** 2  # noqa: E731
    parts = [lines.scipy.integrate.quad(square, a, b, epsabs=1e-14)[0] for a, b in itertools.pairwise(steps)]
    assert float(energy) == pytest.approx(sum(parts), rel=1e-8)


def test_bad_samples():
    with pytest.raises(ValueError, match="vmap"):
        dj.coupling(jnp.zeros((3, 2)), jnp.zeros(3))
    with pytest.raises(ValueError, match="n > 0"):
        dj.cdfs(jnp.zeros(0), distrax.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    "other", [jnp.array([-1.3, 0.2, 0.4, 1.9, 2.5, 8.0]), distrax.Normal(0.0, 1.0)], ids=["sample", "law"]
)
def test_transport_of_any_order_has_second_derivatives(other):
    """Which Newton's method asks for. Levels next to 0 and 1, where those of a quantile overflow, carry no mass; and a
    point far out has a level as small, whose square underflows."""

    def value(v):
        return dj.wasserstein(other, distrax.Normal(v[0], jnp.exp(v[1])), order=3.0)

    at, step = jnp.array([0.3, 0.3]), 1e-2
    hessian, slope = jax.jit(jax.hessian(value))(at), jax.jit(jax.grad(value))
    differences = [(slope(at + step * e) - slope(at - step * e)) / (2.0 * step) for e in jnp.eye(2)]
    np.testing.assert_allclose(hessian, jnp.stack(differences), atol=5e-3)


@pytest.mark.slow
def test_distances_of_tails_with_hardly_a_moment(x64):
    """Most of the distance is far out, where next to no mass is: of T and 2T it is E|T|."""
    del x64

    @jax.jit
    @jax.vmap
    @functools.partial(jax.value_and_grad, argnums=1)
    def distance(df, scale):
        one, two = (tfd.StudentT(df, jnp.asarray(0.0), each) for each in (jnp.asarray(1.0), scale))
        return dj.wasserstein(one, two)

    df = np.array([1.05, 1.1, 1.5, 5.0])
    mean = 2.0 * np.sqrt(df) / ((df - 1.0) * scipy.special.beta(0.5 * df, 0.5))
    values, slopes = distance(jnp.asarray(df), jnp.full(4, 2.0))
    for value, slope, wanted, rtol in zip(values, slopes, mean, (1e-3, 3e-6, 1e-9, 1e-9), strict=True):
        np.testing.assert_allclose([value, slope], [wanted, wanted], rtol=rtol)
    for shape, rtol in ((2.1, 1e-4), (2.5, 1e-8)):
        one, two = (tfd.Pareto(jnp.asarray(shape), jnp.asarray(scale)) for scale in (1.0, 2.0))
        found = dj.wasserstein(one, two, order=2)
        np.testing.assert_allclose(found, np.sqrt(shape / (shape - 2.0)), rtol=rtol)


def test_where_a_moment_is_hardly_finite_it_is_said():
    with pytest.warns(dj.AccuracyWarning, match="moment is hardly finite"):
        dj.wasserstein(tfd.Pareto(1.1, 1.0), tfd.Pareto(1.1, 2.0))
