"""Divergences with a real order: smooth through their limits, against mpmath, one program for all orders."""

import functools

import distrax
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp
from test_leaves import NAMES, STACK

import divjax as dj
from divjax import numerics as nu
from divjax.distributions.resolve import resolve

tfd = tfp.distributions

mp.mp.dps = 40
RNG = np.random.RandomState(1)
NEAR_ONE = (0.9, 0.99, 1 - 1e-4, 1 - 1e-6, 1.0, 1 + 1e-6, 1 + 1e-4, 1.01)
ALPHAS = np.array([-1.5, -1, -1e-2, -1e-4, -1e-6, 0, 1e-6, 1e-4, 1e-2, 0.3, 0.5, *NEAR_ONE, 2, 3])
ORDERS = np.array([0, 1e-6, 1e-4, 1e-2, 0.1, 0.5, 1, 2])


def log_pmf(logits):
    return logits - np.logaddexp.reduce(logits)


BASE = log_pmf(RNG.randn(6))
PMFS = {
    "wide": (log_pmf(4 * RNG.randn(6)), log_pmf(4 * RNG.randn(6))),
    "close": (BASE, log_pmf(BASE + 1e-2 * RNG.randn(6))),
}


def exact_alpha(p, q, a):
    return sum(a * x + (1 - a) * y - x**a * y ** (1 - a) for x, y in zip(p, q, strict=True)) / (a * (1 - a))


def exact_renyi(p, q, a):
    return mp.log(1 - a * (1 - a) * exact_alpha(p, q, a)) / (a - 1)


def exact_beta(p, q, b):
    return sum(y ** (1 + b) - (1 + 1 / b) * x * y**b + x ** (1 + b) / b for x, y in zip(p, q, strict=True))


def exact_gamma(p, q, g):
    total = lambda powers: mp.log(sum(powers))  # noqa: E731
    cross = total(x * y**g for x, y in zip(p, q, strict=True))
    return total(x ** (1 + g) for x in p) / (g * (1 + g)) - cross / g + total(y ** (1 + g) for y in q) / (1 + g)


CASES = {
    "alpha_divergence": (dj.alpha_divergence, "alpha", exact_alpha, ALPHAS),
    "renyi": (dj.renyi, "alpha", exact_renyi, ALPHAS[ALPHAS > 0]),
    "tsallis": (dj.tsallis, "alpha", lambda p, q, a: a * exact_alpha(p, q, a), ALPHAS[ALPHAS > 0]),
    "beta_divergence": (dj.beta_divergence, "beta", exact_beta, ORDERS),
    "gamma_divergence": (dj.gamma_divergence, "gamma", exact_gamma, ORDERS),
}


@pytest.mark.parametrize(
    "x64", [pytest.param(True, marks=pytest.mark.slow, id="float64"), pytest.param(False, id="float32")]
)
@pytest.mark.parametrize("name", CASES)
def test_value_and_derivative_in_the_order(name, x64):
    divergence, parameter, exact, orders = CASES[name]
    dtype, traces = (np.float64 if x64 else np.float32), []

    def function(log_p, log_q, order):
        traces.append(order)
        return divergence(dj.pmf(log_p, log_q), **{parameter: order})

    with jax.enable_x64(x64):
        run = jax.jit(jax.vmap(jax.value_and_grad(function, 2), (None, None, 0)))
        for pmf, pair in PMFS.items():
            log_p, log_q, orders = (np.asarray(x, dtype) for x in (*pair, orders))
            values, slopes = run(log_p, log_q, orders)
            p, q = ([mp.exp(mp.mpf(float(x))) for x in log_x] for log_x in (log_p, log_q))
            for order, value, slope in zip(orders.tolist(), values.tolist(), slopes.tolist(), strict=True):
                exactly = mp.mpf(order) + (mp.mpf("1e-15") if order in (0, 1) else 0)
                truth, h = exact(p, q, exactly), mp.mpf("1e-10")
                derivative = (exact(p, q, exactly + h) - exact(p, q, exactly - h)) / (2 * h)
                # Normalising in float32 shifts log-densities by 1e-7, against a log-ratio of 1e-2.
                limit = (1e-12 if x64 else 1e-4) if pmf == "close" else (1e-12 if x64 else 4e-6)
                assert abs(value - truth) <= limit * abs(truth), (pmf, order)
                assert abs(slope - derivative) <= limit * (abs(derivative) + abs(truth)), (pmf, order)
    assert len(traces) == 1


def gaussian_integral(p, q, a, b):
    """∫ p^a q^b of two normals."""
    (m, s), (n, t) = p, q
    precision = a / s**2 + b / t**2
    distance = a * b * (m - n) ** 2 / (a * t**2 + b * s**2) / 2
    return (2 * mp.pi) ** ((1 - a - b) / 2) / s**a / t**b / mp.sqrt(precision) * mp.exp(-distance)


GAUSSIAN = {
    "alpha_divergence": lambda i, a: (1 - i(a, 1 - a)) / (a * (1 - a)),
    "renyi": lambda i, a: mp.log(i(a, 1 - a)) / (a - 1),
    "tsallis": lambda i, a: (i(a, 1 - a) - 1) / (a - 1),
    "beta_divergence": lambda i, b: i(0, 1 + b) - (1 + 1 / b) * i(1, b) + i(1 + b, 0) / b,
    "gamma_divergence": lambda i, g: (
        mp.log(i(1 + g, 0)) / (g * (1 + g)) - mp.log(i(1, g)) / g + mp.log(i(0, 1 + g)) / (1 + g)
    ),
}
PAIRS = {"near": ((0.0, 1.0), (1.0, 1.5)), "apart": ((0.0, 1.0), (6.0, 2.0)), "close": ((0.0, 1.0), (0.01, 1.01))}


@functools.cache
def nodes_between():
    run = jax.jit(lambda p, q: dj.quadrature(distrax.Normal(*p), distrax.Normal(*q)))
    return {pair: run(np.float32(p), np.float32(q)) for pair, (p, q) in PAIRS.items()}


@pytest.mark.parametrize("name", GAUSSIAN)
def test_through_the_limits_between_gaussians(name):
    """Value and derivative within 1e-4 of the orders 0 and 1, in float32, on nodes of quadrature."""
    divergence, key, *_ = CASES[name]
    steps = np.array([-1e-4, -1e-5, -1e-7, 0, 1e-7, 1e-5, 1e-4])
    orders = np.float32(np.r_[steps[0 if name == "alpha_divergence" else 3 :], 1 + steps])
    run = jax.jit(jax.vmap(jax.value_and_grad(lambda order, nodes: divergence(nodes, **{key: order})), (0, None)))
    for pair, sides in PAIRS.items():
        exactly = tuple(tuple(mp.mpf(float(np.float32(x))) for x in side) for side in sides)
        integral = lambda a, b, sides=exactly: gaussian_integral(*sides, a, b)  # noqa: E731
        values, slopes = run(orders, nodes_between()[pair])
        for order, value, slope in zip(orders.tolist(), values.tolist(), slopes.tolist(), strict=True):
            at, h = mp.mpf(order) + (mp.mpf("1e-15") if order in (0, 1) else 0), mp.mpf("1e-10")
            truth, up, down = (GAUSSIAN[name](integral, x) for x in (at, at + h, at - h))
            derivative = (up - down) / (2 * h)
            assert abs(value - truth) <= 1e-5 * abs(truth) + 1e-13, (pair, order)
            assert abs(slope - derivative) <= 1e-5 * (abs(derivative) + abs(truth)), (pair, order)


EXTREMES = {
    "alpha_divergence": [0, 1, 1e-37, 1e-20, -1e-20, 1 - 6e-8, 1 + 1.2e-7, 50, -50, 1000],
    "renyi": [0, 1, 1e-37, 1e-20, 1 - 6e-8, 1 + 1.2e-7, 50, 1000],
    "tsallis": [0, 1, 1e-37, 1e-20, 1 - 6e-8, 1 + 1.2e-7, 50, 1000],
    "beta_divergence": [0, 1e-37, 1e-20, 1e-7, 50, 1000],
    "gamma_divergence": [0, 1e-20, 1e-7, 50, 1000],
    "jensen_shannon": [0, 1, 1e-37, 1e-20, 1 - 6e-8],
}
SLOW = ("alpha_divergence", "tsallis", "gamma_divergence")  # renyi is made of the first


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXTREMES]
)
def test_extreme_orders_at_the_edges(name):
    """No NaN, and finite derivatives in the densities, the weights and the order."""
    key = CASES[name][1] if name in CASES else "weight"
    at = lambda p, q, w, order: getattr(dj, name)(dj.pmf(p, q, log_w=w), **{key: order})  # noqa: E731
    function = jax.value_and_grad(at, (0, 1, 2, 3))
    over_orders = jax.vmap(function, (None, None, None, 0))
    values, grads = jax.jit(jax.vmap(over_orders, (0, 0, 0, None)))(*STACK, np.float32(EXTREMES[name]))
    where = np.broadcast_to(np.array(NAMES)[:, None], values.shape)
    assert not np.isnan(values).any(), set(where[np.isnan(values)])
    for argument, grad in zip(("log_p", "log_q", "log_w", key), grads, strict=True):
        bad = ~np.isfinite(grad).reshape(*values.shape, -1).all(-1)
        assert not bad.any(), f"d {name} / d {argument} is not finite at {set(where[bad])}"


@pytest.mark.slow
@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_no_step_where_the_formula_changes(x64):
    """Series and closed forms meet at |log p/q| = 1/2, |order · log p/q| = 1: compare both sides."""
    with jax.enable_x64(x64):
        dtype, eps = (np.float64, 4e-16) if x64 else (np.float32, 3e-7)
        for divergence, params in [(dj.kl, {}), (dj.pearson_chi2, {}), (dj.jensen_shannon, {}), (dj.l2, {})] + [
            (CASES[name][0], {CASES[name][1]: order})
            for name in ("alpha_divergence", "beta_divergence")
            for order in (1e-3, 0.3, 0.5, 1.0, 2.0)
        ]:
            on_one = lambda d, f=divergence, ps=params: f(dj.pmf(d[None] - 1, 0 * d[None] - 1), **ps)  # noqa: E731
            run = jax.jit(jax.vmap(jax.value_and_grad(on_one)))
            for at in (0.5, 1 / 3, 0.25, 1.0):
                side = np.array([at * (1 - 4 * eps), at * (1 + 4 * eps)], dtype)
                values, slopes = run(np.r_[side, -side])
                for low, high in ((0, 1), (2, 3)):
                    np.testing.assert_allclose(values[low], values[high], rtol=100 * eps)
                    np.testing.assert_allclose(slopes[low], slopes[high], rtol=100 * eps)


def test_limits_at_zeros_of_the_densities():
    p, q = np.log([0.25, 0.75, 1e-300]), np.log([0.5, 1e-300, 0.5])
    p, q = np.where(p < -100, -np.inf, p), np.where(q < -100, -np.inf, q)
    nodes = dj.pmf(p, q)
    assert dj.alpha_divergence(nodes, alpha=0.0) == dj.alpha_divergence(nodes, alpha=1.0) == np.inf
    assert float(dj.renyi(nodes, alpha=0.0)) == pytest.approx(np.log(2))  # −log Q(p > 0)
    assert dj.renyi(nodes, alpha=1.0) == dj.renyi(nodes, alpha=1.5) == np.inf
    assert float(dj.renyi(nodes, alpha=1 - 1e-6)) == pytest.approx(np.log(4) * 1e6, rel=0.05)
    assert float(dj.tsallis(nodes, alpha=0.0)) == pytest.approx(0.5)
    assert dj.gamma_divergence(nodes, gamma=0.0) == dj.beta_divergence(nodes, beta=0.0) == np.inf
    for gamma in (0.5, 3.0):  # far enough for the logarithmic branch: the zero of q must not count as one
        a, b = (np.exp(x) for x in (p, q))
        of_a, of_b, of_both = (np.log(x.sum()) for x in (a ** (1 + gamma), b ** (1 + gamma), a * b**gamma))
        expected = of_a / (gamma * (1 + gamma)) - of_both / gamma + of_b / (1 + gamma)
        assert float(dj.gamma_divergence(nodes, gamma=gamma)) == pytest.approx(expected, rel=1e-6)


def test_slopes_have_derivatives_of_every_order(x64):
    for function, coefficients in (
        (nu.exp_slope, [1, 1 / 2, 1 / 3]),
        (nu.log1p_slope, [1, 1 / 2, 2 / 3]),
    ):
        for expected in coefficients:
            assert float(function(np.float64(0.0))) == pytest.approx(expected, rel=1e-14)
            function = jax.grad(function)


@pytest.mark.parametrize(
    ("p", "q", "wanted"),
    [
        (distrax.Uniform(0.0, 1.0), distrax.Uniform(0.0, 2.0), np.log(2.0)),  # (1 − α) log 2, at α → 0
        (distrax.Uniform(-1.0, 3.0), distrax.Normal(0.0, 2.0), 0.4705553654),  # −log P(−1 < Y < 3)
        (tfd.HalfNormal(1.0), distrax.Normal(0.0, 1.0), np.log(2.0)),
    ],
)
def test_chernoff_where_one_law_has_mass_outside_of_the_other(p, q, wanted, x64):
    del x64
    p, q = (jax.tree.map(lambda leaf: jnp.asarray(leaf, float), resolve(side)) for side in (p, q))
    found = dj.estimate(dj.chernoff, p, q)
    assert float(found.value) == pytest.approx(wanted, rel=1e-8)
    assert int(found.status) == dj.status.OK


def test_chernoff_of_masses_that_do_not_overlap_everywhere():
    masses = [jnp.log(jnp.array(each)) for each in ([0.5, 0.5, 0.0], [0.25, 0.25, 0.5])]
    assert float(dj.chernoff(dj.pmf(*masses))) == pytest.approx(np.log(2.0), rel=1e-5)


@pytest.mark.slow
def test_chernoff_has_its_curvature_at_equal_laws(x64):
    del x64

    def chernoff(loc):
        return dj.chernoff(distrax.Normal(jnp.asarray(0.0), jnp.asarray(1.0)), distrax.Normal(loc, jnp.asarray(1.0)))

    for loc in (0.0, 1e-6, 0.5):  # of two normals it is loc²/8
        assert float(jax.hessian(chernoff)(loc)) == pytest.approx(0.25, rel=1e-6)
