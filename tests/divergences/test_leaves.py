"""What every divergence on nodes promises: signs, zeros, ranges, symmetry, and no NaN at any edge."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nodes_table import NODES

import divjax as dj

INF = np.inf
RNG = np.random.RandomState(0)


def log_pmf(logits):
    logits = np.asarray(logits, float)
    return logits - np.logaddexp.reduce(logits)


P, Q = log_pmf(2 * RNG.randn(8)), log_pmf(2 * RNG.randn(8))
ZERO3 = np.full(3, -INF)
HUGE = np.array([-1e4 - 2] + [0.0] * 7)  # the weight of a node whose density is e^10000
QUARTER = np.log(0.25)

# (log_p, log_q, log_w): pairs of probability distributions, and worse
EDGES = {
    "generic": (P, Q, 0.0),
    "equal": (P, P, 0.0),
    "disjoint": (np.r_[[QUARTER] * 4, [-INF] * 4], np.r_[[-INF] * 4, [QUARTER] * 4], 0.0),
    "p_zero": (np.r_[ZERO3, log_pmf(P[3:])], Q, 0.0),
    "q_zero": (P, np.r_[ZERO3, log_pmf(Q[3:])], 0.0),
    "both_zero": (np.r_[ZERO3, log_pmf(P[3:])], np.r_[ZERO3, log_pmf(Q[3:])], 0.0),
    "masked": (np.r_[0, 0, log_pmf(P[2:])], np.r_[0, 3, log_pmf(Q[2:])], np.r_[-INF, -INF, [0] * 6]),
    "masked_zeros": (np.r_[-INF, 0, -INF, log_pmf(P[3:])], np.r_[-INF, -INF, 1, log_pmf(Q[3:])], np.r_[ZERO3, [0] * 5]),
    "tail_of_p": (np.r_[log_pmf(P[:-1]), -1e4], Q, 0.0),
    "tail_of_q": (P, np.r_[log_pmf(Q[:-1]), -1e4], 0.0),
    "tails": (np.r_[log_pmf(P[:-1]), -1e4], np.r_[log_pmf(Q[:-1]), -2e4], 0.0),
    "tails_reversed": (np.r_[log_pmf(P[:-1]), -2e4], np.r_[log_pmf(Q[:-1]), -1e4], 0.0),
    "huge_p": (np.r_[1e4, P[1:]], Q, HUGE),
    "huge_q": (P, np.r_[1e4, Q[1:]], HUGE),
    "infinite_p": (np.r_[1e4, P[1:]], Q, 0.0),
    "infinite_q": (P, np.r_[1e4, Q[1:]], 0.0),
    "infinite": (P, Q, 1e4),
    "infinite_and_equal": (P, P, 1e4),
    "huge": (np.r_[1e4 + 1, P[1:]], np.r_[1e4, Q[1:]], HUGE),
    "all_masked": (P, Q, -INF),
    "all_zero": (np.full(8, -INF), np.full(8, -INF), 0.0),
}
NAMES = list(EDGES)
SUM_TO_ONE = NAMES[: NAMES.index("huge_p")]
STACK = tuple(np.stack([np.broadcast_to(edge[i], 8) for edge in EDGES.values()]).astype(np.float32) for i in range(3))
each = pytest.mark.parametrize("name", NODES)
# Its exponent is found by bisection: the longest of all to compile, and once is enough for every run.
each_quick = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "chernoff" else name for name in NODES]
)


@functools.cache
def evaluated(name):
    """Values and gradients at every edge, in float32: one compilation."""
    row = NODES[name]
    value_and_grad = jax.value_and_grad(row.value, (0, 1, 2))
    values, grads = jax.jit(jax.vmap(value_and_grad))(*STACK)
    return np.asarray(values), [np.asarray(grad) for grad in grads]


@each_quick
def test_value_and_gradient_are_never_nan(name):
    values, grads = evaluated(name)
    assert not np.isnan(values).any(), [edge for edge, v in zip(NAMES, values, strict=True) if np.isnan(v)]
    for argument, grad in zip(("log_p", "log_q", "log_w"), grads, strict=True):
        bad = [edge for edge, g in zip(NAMES, grad, strict=True) if not np.isfinite(g).all()]
        assert not bad, f"d {name} / d {argument} is not finite at {bad}"


@each_quick
def test_range(name):
    values = dict(zip(NAMES, evaluated(name)[0], strict=True))
    for edge in SUM_TO_ONE:
        assert 0.0 <= values[edge] <= NODES[name].top * (1 + 2e-6), f"{name} = {values[edge]} at {edge}"
    assert values["equal"] == 0.0
    assert values["generic"] > 1e-3


@each
def test_stationary_at_equality(name):
    """On pmfs the derivative along every direction that keeps the mass is 0 at p = q."""
    _, (grad_p, grad_q, _) = evaluated(name)
    at = NAMES.index("equal")
    direction = np.eye(8) - np.exp(P)  # rows: the derivatives of a log-pmf in its logits
    for grad in (grad_p[at], grad_q[at]):
        np.testing.assert_allclose(direction @ grad, 0.0, atol=1e-6)


@each_quick
def test_masked_nodes_do_not_count(name):
    row, values = NODES[name], dict(zip(NAMES, evaluated(name)[0], strict=True))
    short = [np.asarray(x[2:], np.float32) for x in EDGES["masked"][:2]]
    assert values["masked"] == pytest.approx(float(row.value(*short)), rel=1e-6)


@each_quick
def test_symmetry_and_degree(name, x64):
    row = NODES[name]
    forward = float(row.value(P, Q))
    backward, doubled = float(row.value(Q, P)), float(row.value(P, Q, np.log(2)))
    assert (abs(forward - backward) < 1e-12) == row.symmetric
    if row.linear:
        assert doubled == pytest.approx(2 * forward, rel=1e-13)


@each_quick
def test_gradient_against_differences(name, x64):
    """Also where only one of the two is 0: bounded divergences have a gradient there."""
    row = NODES[name]
    step = 1e-5 * RNG.randn(3, 8)
    run = jax.jit(jax.value_and_grad(row.value, (0, 1, 2)))
    for edge in ("generic", "p_zero", "q_zero", "disjoint"):
        nodes = [np.broadcast_to(x, 8) for x in EDGES[edge]]
        up, down = (float(run(*(x + s * d for x, d in zip(nodes, step, strict=True)))[0]) for s in (1, -1))
        if np.isfinite(up):
            slope = sum(np.sum(g * d) for g, d in zip(run(*nodes)[1], step, strict=True))
            scale = 1e-5 * max(1.0, abs(up))
            assert slope == pytest.approx(0.5 * (up - down), abs=1e-7 * scale), edge


QUICK = ("kl", "jensen_shannon", "alpha_0", "squared_hellinger", "triangular")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NODES]
)
def test_second_derivatives(name, x64):
    """Finite, and against differences of the gradient."""
    row = NODES[name]
    if name in ("chernoff", "total_variation"):
        pytest.skip("the exponent is held fixed; kinks")
    gradient = jax.grad(row.value, (0, 1))
    direction = tuple(RNG.randn(2, 8))
    product = jax.jit(lambda p, q: jax.jvp(gradient, (p, q), direction)[1])(P, Q)
    up, down = (gradient(P + s * direction[0], Q + s * direction[1]) for s in (1e-5, -1e-5))
    for computed, above, below in zip(product, up, down, strict=True):
        scale = np.abs(computed).max()
        np.testing.assert_allclose(computed, (above - below) / 2e-5, atol=1e-7 * scale)


@pytest.mark.parametrize(
    "name",
    [
        "kl",
        "jensen_shannon_0.1",
        "renyi_2",
        "f_divergence_kl",
        "gamma_0.5",
        pytest.param("chernoff", marks=pytest.mark.slow),
    ],
)
def test_eager_and_mapped_agree(name):
    row, jitted = NODES[name], evaluated(name)[0]
    for at in (0, NAMES.index("q_zero"), NAMES.index("tail_of_p")):
        eager = row.value(*(x[at] for x in STACK))
        np.testing.assert_allclose(eager, jitted[at], rtol=2e-6)


def test_integers_and_scalars():
    assert float(dj.kl(dj.pmf(jnp.zeros(2, int), jnp.zeros(2, int), log_w=0.0))) == 0.0
    assert dj.kl(dj.pmf(np.log([0.5, 0.5]), np.log([0.25, 0.75]))).dtype == jnp.float32


def test_nan_is_passed_on():
    """A NaN that comes in is the caller's, and must not vanish."""
    for name in ("kl", "jensen_shannon", "renyi_2", "gamma_0.5", "l2"):
        row = NODES[name]
        assert np.isnan(row.value(np.r_[np.nan, P[1:]], Q)), name


FAR_OWN = {
    "kl": (lambda t: t * jnp.log(t), dj.kl),
    "reverse_kl": (lambda t: -jnp.log(t), dj.reverse_kl),
    "jeffreys": (lambda t: (t - 1.0) * jnp.log(t), dj.jeffreys),
}


@pytest.mark.parametrize("name", FAR_OWN)
@pytest.mark.parametrize("gap", [30.0, 100.0, 1e3])
def test_an_f_of_ones_own_is_right_beyond_the_range_of_the_ratio(name, gap):
    """Along its tangent from e^±22 on in float32, where t log t has a slope of 6e-9 left."""
    f, leaf = FAR_OWN[name]
    own = functools.partial(dj.f_divergence, f=f)
    for log_p, log_q in ((0.0, -gap), (-gap, 0.0)):
        at = dj.pmf(jnp.full(1, log_p), jnp.full(1, log_q), log_w=0.0)
        np.testing.assert_allclose(own(at), leaf(at), rtol=1e-5)
        for slope, expected in zip(*(jax.tree.leaves(jax.grad(f)(at))[:2] for f in (own, leaf)), strict=True):
            np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("order", [0.0, 1.0])
def test_second_derivatives_of_an_infinite_alpha_divergence(order):
    place = jnp.array([-jnp.inf, 45.0])[:: 1 if order == 0.0 else -1]
    leaf = lambda v: dj.alpha_divergence(dj.pmf(v[:1], v[1:], log_w=0.0), alpha=order)  # noqa: E731
    np.testing.assert_array_equal(jax.grad(lambda v: jax.grad(leaf)(v).sum())(place), 0.0)


def test_a_large_order_at_and_near_equal_densities():
    one = jnp.array([-1.0])
    for order in (1e5, -1e5, 1e20):
        assert dj.alpha_divergence(dj.pmf(one, one, log_w=0.0), alpha=order) == 0.0
    exact = 4.48398e-5  # 50 digits
    assert dj.alpha_divergence(dj.pmf(jnp.array([-0.0103]), jnp.zeros(1), log_w=0.0), alpha=50.0) == pytest.approx(
        exact, rel=2e-5
    )
