"""The adapter to ott-jax and the exact plan, against a Sinkhorn iteration in float64 and scipy's linear programme."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize as so
from scipy.special import logsumexp

import divjax as dj
from divjax import status
from divjax.divergences import optimal_plan, transport_value

RNG = np.random.default_rng(2)
X = RNG.normal(size=(30, 3)).astype(np.float32)
Y = (1.3 * RNG.normal(size=(40, 3)) + 0.4).astype(np.float32)
A, B = RNG.random(30), RNG.random(40)
A[3] = 0.0
with np.errstate(divide="ignore"):
    LOG_A, LOG_B = np.log(A).astype(np.float32), np.log(B).astype(np.float32)
sinkhorn = functools.partial(dj.sinkhorn_divergence, epsilon=0.5, tol=1e-5)


def entropic(x, y, a, b, epsilon=0.5):
    cost = ((x[:, None] - y) ** 2).sum(-1)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(2000):
        f = -epsilon * logsumexp((g - cost) / epsilon + np.log(b), axis=1)
        g = -epsilon * logsumexp((f[:, None] - cost) / epsilon + np.log(a)[:, None], axis=0)
    return f @ a + g @ b


def debiased(x, y, a, b):
    x, y, a, b = x[a > 0].astype(np.float64), y.astype(np.float64), a[a > 0] / a.sum(), b / b.sum()
    return entropic(x, y, a, b) - 0.5 * entropic(x, x, a, a) - 0.5 * entropic(y, y, b, b)


def test_sinkhorn_value():
    value = jax.jit(sinkhorn)(X, Y)
    assert float(value) == pytest.approx(debiased(X, Y, np.ones(30), np.ones(40)), rel=1e-4)


@pytest.mark.slow
def test_sinkhorn_weights_and_gradients():
    """A point of weight 0 counts for nothing and gets no gradient; the envelope's slope is that of differences."""
    value, slopes = jax.value_and_grad(lambda x, w: sinkhorn(dj.Points(x, w), dj.Points(Y, LOG_B)), (0, 1))(X, LOG_A)
    assert float(value) == pytest.approx(debiased(X, Y, A, B), rel=1e-4)
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert not np.asarray(slopes[0][3]).any()
    step, tilt = RNG.normal(size=X.shape), RNG.normal(size=30)
    ends = [debiased(X + h * step, Y, A * np.exp(h * tilt), B) for h in (1e-4, -1e-4)]
    slope = np.sum(slopes[0] * step) + slopes[1] @ tilt
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-3)


@pytest.mark.slow
def test_what_sinkhorn_finds_and_its_edges():
    found = jax.jit(dj.samples.sinkhorn)(X, Y)
    assert int(found.status) == 0
    assert float(found.value) == pytest.approx(float(dj.sinkhorn_divergence(X, Y)), rel=1e-6)
    assert found.potentials[0][0].shape == (30,)
    assert found.steps.shape == (3,)
    assert (found.steps > 0).all()
    few = dj.samples.sinkhorn(X, Y, epsilon=1e-2, max_steps=10)
    assert int(few.status) == status.NOT_CONVERGED
    broken = np.where(np.arange(90).reshape(30, 3) == 0, np.nan, X).astype(np.float32)
    assert int(dj.samples.sinkhorn(broken, Y).status) & status.NON_FINITE
    same, slope = jax.value_and_grad(lambda x: dj.sinkhorn_divergence(x, X))(X)
    assert abs(float(same)) < 1e-4
    assert np.abs(slope).max() < 1e-3
    with pytest.raises(ValueError, match="Expected two samples"):
        dj.sinkhorn_divergence(X, Y[:, :2])


# --- The exact plan -----------------------------------------------------------------------------------------

plan, value_and_slopes = jax.jit(optimal_plan), jax.jit(jax.value_and_grad(transport_value, (0, 1, 2)))
PROBLEMS = {
    "random": (RNG.random((7, 11)), RNG.random(7), RNG.random(11)),
    "assignment": (RNG.random((9, 9)), np.ones(9), np.ones(9)),
    "ties": (RNG.integers(0, 3, (9, 6)) * 1.0, RNG.random(9), RNG.random(6)),
    "empty_rows": (RNG.random((6, 4)), np.array([0.0, 1, 0, 2, 1, 0]), np.array([0.0, 1, 1, 0])),
    "one_row": (RNG.random((1, 5)), np.ones(1), RNG.random(5)),
    "free": (np.zeros((3, 3)), np.ones(3), np.ones(3)),
}


def linear_programme(cost, a, b):
    rows, columns = cost.shape
    sums = np.vstack([np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))])
    return so.linprog(cost.ravel(), A_eq=sums, b_eq=np.concatenate([a, b])).fun


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plan(name, dtype, x64):
    cost, a, b = PROBLEMS[name]
    a, b, tol = a / a.sum(), b / b.sum(), 20 * np.finfo(dtype).eps
    found = plan(*(z.astype(dtype) for z in (cost, a, b)))
    assert bool(found.converged)
    assert (np.asarray(found.coupling) >= 0.0).all()
    np.testing.assert_allclose(np.sum(found.coupling, 1), a, atol=tol)
    np.testing.assert_allclose(np.sum(found.coupling, 0), b, atol=tol)
    best = linear_programme(cost, a, b)
    np.testing.assert_allclose(np.sum(found.coupling * cost), best, rtol=tol, atol=max(tol, 1e-12))
    assert (cost - found.u[:, None] - found.v >= -tol).all()
    np.testing.assert_allclose(found.u @ a + found.v @ b, best, rtol=tol, atol=max(tol, 1e-12))


def test_transport_value_gradient(x64):
    cost, a, b = PROBLEMS["random"]
    at = (cost, a / a.sum(), b / b.sum())
    value, slopes = value_and_slopes(*at)
    step = [1e-6 * RNG.normal(size=z.shape) for z in at]
    step[1:] = [z - z.mean() for z in step[1:]]  # masses stay equal
    ends = [linear_programme(*(z + sign * d for z, d in zip(at, step, strict=True))) for sign in (1.0, -1.0)]
    assert float(value) == pytest.approx(linear_programme(*at), rel=1e-10)
    slope = sum(np.sum(g * d) for g, d in zip(slopes, step, strict=True))
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / 2.0, rel=1e-6)


def test_plan_under_vmap():
    costs = RNG.random((3, 5, 4)).astype(np.float32)
    a, b = np.full(5, 0.2, np.float32), np.full(4, 0.25, np.float32)
    batch = jax.vmap(lambda cost: transport_value(cost, a, b))(jnp.asarray(costs))
    np.testing.assert_allclose(batch, [linear_programme(cost.astype(np.float64), a, b) for cost in costs], rtol=1e-5)


@pytest.mark.slow
def test_sinkhorn_far_from_the_origin():
    """Only differences count, of points that are exact in float32 there too."""
    x, y = np.round(64 * X[:12]) / 64, np.round(64 * Y[:9]) / 64
    near, slope = jax.value_and_grad(sinkhorn)(x, y)
    far, far_slope = jax.value_and_grad(sinkhorn)(x + np.float32(1e5), y + np.float32(1e5))
    assert float(far) == pytest.approx(debiased(x, y, np.ones(12), np.ones(9)), rel=1e-4)
    assert float(near) == pytest.approx(float(far), rel=1e-5)
    np.testing.assert_allclose(slope, far_slope, atol=1e-4)


def test_sinkhorn_of_single_points():
    """All costs the same: their deviation gives no epsilon."""
    assert float(dj.sinkhorn_divergence(X[:1], Y[:1])) == pytest.approx(((X[0] - Y[0]) ** 2).sum(), rel=1e-4)
    assert float(dj.sinkhorn_divergence(X[:1], X[:1])) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("far", [1e4, 1e5, 1e6])
def test_what_a_far_point_hides_is_told(far):
    """{0, far} | {1, far} is ½; of float32 costs as large as far² a difference of 1 is nothing."""
    x, y = jnp.array([[0.0], [far]]), jnp.array([[1.0], [far]])
    found = dj.samples.sinkhorn(x, y)
    assert int(found.status) & status.UNRESOLVED
    with pytest.warns(dj.AccuracyWarning, match="Expected a Sinkhorn divergence above the rounding"):
        dj.sinkhorn_divergence(x, y)
    assert int(dj.samples.sinkhorn(x, x).status) == 0
    assert int(dj.samples.sinkhorn(x / far, y / far + 0.5).status) == 0


@pytest.mark.parametrize("wrong", [{"epsilon": -0.1}, {"epsilon": 0.0}, {"tol": 0.0}])
def test_what_is_no_strength_of_smoothing_is_refused(wrong):
    x = jnp.asarray([[0.0], [1.0]])
    with pytest.raises(ValueError, match="Choose a value inside"):
        dj.sinkhorn_divergence(x, x + 2.0, **wrong)
