"""Divergences of logits against formulas written out in float64, and the gradients against those formulas'
own."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.test_util import check_grads

from divjax import logits


def _affinity(p, q, a):
    return (p**a * q ** (1 - a)).sum(-1)


def _mixture(p, q, w):
    m = w * p + (1 - w) * q
    return (w * p * jnp.log(p / m) + (1 - w) * q * jnp.log(q / m)).sum(-1)


def _neglog(t):
    return -jnp.log(t)


# Name: (parameters, the textbook formula on pmfs).
CASES = {
    "kl": ({}, lambda p, q: (p * jnp.log(p / q)).sum(-1)),
    "reverse_kl": ({}, lambda p, q: (q * jnp.log(q / p)).sum(-1)),
    "jeffreys": ({}, lambda p, q: ((p - q) * jnp.log(p / q)).sum(-1)),
    "jensen_shannon": ({"weight": 0.3}, lambda p, q, weight: _mixture(p, q, weight)),
    "alpha_divergence": (
        {"alpha": 0.4},
        lambda p, q, alpha: (1 - _affinity(p, q, alpha)) / alpha / (1 - alpha),
    ),
    "renyi": ({"alpha": 1.7}, lambda p, q, alpha: jnp.log(_affinity(p, q, alpha)) / (alpha - 1)),
    "tsallis": ({"alpha": 1.7}, lambda p, q, alpha: (_affinity(p, q, alpha) - 1) / (alpha - 1)),
    "squared_hellinger": ({}, lambda p, q: 1 - _affinity(p, q, 0.5)),
    "bhattacharyya": ({}, lambda p, q: -jnp.log(_affinity(p, q, 0.5))),
    "pearson_chi2": ({}, lambda p, q: ((p - q) ** 2 / q).sum(-1)),
    "neyman_chi2": ({}, lambda p, q: ((p - q) ** 2 / p).sum(-1)),
    "triangular": ({}, lambda p, q: ((p - q) ** 2 / (p + q)).sum(-1)),
    "total_variation": ({}, lambda p, q: 0.5 * abs(p - q).sum(-1)),
    "f_divergence": ({"f": _neglog}, lambda p, q, f: (q * jnp.log(q / p)).sum(-1)),
}
every = pytest.mark.parametrize("name", CASES)
# Compiles of their own: a few in the default run, all of them in the long one.
QUICK = ("kl",)
SLOW = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
some = pytest.mark.parametrize("name", SLOW)


def _bind(name):
    """(value function, formula function), each of (logits_p, logits_q, temperature, parameters)."""
    fixed = {k: v for k, v in CASES[name][0].items() if callable(v)}
    ours = functools.partial(getattr(logits, name), **fixed)

    def formula(a, b, temperature, params):
        p, q = jax.nn.softmax(a / temperature), jax.nn.softmax(b / temperature)
        return CASES[name][1](p, q, **params, **fixed)

    return (lambda a, b, temperature, params: ours(a, b, temperature=temperature, block=8, **params)), formula


def _params(name):
    return {k: jnp.float32(v) for k, v in CASES[name][0].items() if not callable(v)}


def _pair(shape, spread=1.5, seed=0):
    first, second = jax.random.split(jax.random.key(seed))
    return spread * jax.random.normal(first, shape), spread * jax.random.normal(second, shape)


def _double(tree):
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), tree)


@functools.cache
def _compiled(name):
    ours, formula = _bind(name)
    both = lambda f: jax.jit(  # noqa: E731
        lambda *args: (f(*args), jax.grad(lambda *args: f(*args).sum(), (0, 1, 2, 3))(*args))
    )
    return both(ours), both(formula)


# 37 is blocks and a rest, 16 whole blocks, 5 less than one.
SIZES = [(name, 37) for name in CASES] + [("kl", 5), ("jensen_shannon", 16)]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_value_and_every_gradient_are_those_of_the_formula(name, size):
    ours, formula = _compiled(name)
    args = (*_pair((4, size)), jnp.float32(1.3), _params(name))
    value, gradients = ours(*args)
    with jax.enable_x64(True):  # noqa: FBT003
        expected, slopes = formula(*_double(args))
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    for got, want in zip(jax.tree.leaves(gradients), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=3e-6 * max(1.0, np.abs(want).max()))


@some
def test_float64_against_the_formula_and_finite_differences(name, x64):
    ours, formula = _bind(name)
    args = _double((*_pair((1, 19)), 0.7, _params(name)))
    np.testing.assert_allclose(ours(*args), formula(*args), rtol=1e-12)
    if name == "f_divergence":  # its parameters are a function's; the rest as the others
        args = (*args[:3], {})
    check_grads(jax.jit(lambda *args: ours(*args).sum()), args, order=1, modes=["rev"], eps=1e-5, rtol=1e-6)


@every
def test_equal_logits_give_exactly_zero_and_exactly_no_gradient(name):
    ours, _ = _compiled(name)
    a = _pair((4, 37), spread=5.0)[0].at[0, 3].set(-jnp.inf)
    value, gradients = ours(a, a, jnp.float32(1.3), _params(name))
    assert (value == 0).all()
    for leaf in jax.tree.leaves(gradients):
        assert (leaf == 0).all()


@every
def test_nearly_equal_logits_keep_their_digits(name):
    if name == "total_variation":
        return
    ours, formula = _compiled(name)
    a, b = _pair((4, 37))
    args = (a, a + 1e-3 * b, jnp.float32(1.3), _params(name))
    value, gradients = ours(*args)
    with jax.enable_x64(True):  # noqa: FBT003
        expected, slopes = formula(*_double(args))
    np.testing.assert_allclose(value, expected, rtol=0.1 if name == "f_divergence" else 1e-4)
    np.testing.assert_allclose(gradients[1], slopes[1], rtol=1e-2, atol=1e-3 * np.abs(slopes[1]).max())
    assert (value >= 0).all()


@every
def test_a_constant_added_to_the_logits_changes_nothing(name):
    ours, _ = _compiled(name)
    a, b = _pair((4, 37))
    rest = (jnp.float32(1.3), _params(name))
    np.testing.assert_allclose(ours(a + 64.0, b - 32.0, *rest)[0], ours(a, b, *rest)[0], rtol=2e-4)


@every
def test_a_constant_on_one_side_alone_changes_nothing(name):
    """Of numbers that float32 holds with the offset too; tempered, and between laws that differ by 1e-4."""
    p, q = (np.round(64 * np.asarray(y)) / 64 for y in _pair((4, 37)))
    ours, _ = _compiled(name)
    value = lambda a, b: ours(a.astype(np.float32), b.astype(np.float32), jnp.float32(1.3), _params(name))[0]  # noqa: E731
    for other in (q, np.where(np.arange(37) == 3, p + 1 / 64, p)):
        at_zero = value(p, other)
        for a, b in ((1e5, 0), (0, -1e5), (1e3, 1e3)):
            np.testing.assert_allclose(value(p + a, other + b), at_zero, rtol=1e-4)


@some
def test_mask_is_the_smaller_vocabulary(name):
    a, b = _pair((4, 37))
    keep = jnp.arange(37) % 3 > 0
    params = CASES[name][0]
    f = functools.partial(getattr(logits, name), block=8, **params)
    np.testing.assert_allclose(f(a, b, mask=keep), f(a[:, keep], b[:, keep]), rtol=1e-5)
    gradient = jax.grad(lambda b: f(a, b, mask=keep).sum())(b)
    assert (gradient[:, ~keep] == 0).all()
    np.testing.assert_allclose(
        gradient[:, keep], jax.grad(lambda b: f(a[:, keep], b).sum())(b[:, keep]), rtol=1e-4, atol=1e-5
    )


@some
def test_weights_multiply_the_normalised_terms(name, x64):
    if name in ("renyi", "bhattacharyya"):
        return
    a, b = _pair((2, 19))
    w = jax.random.uniform(jax.random.key(1), (19,), jnp.float64)
    f = functools.partial(getattr(logits, name), block=8, **CASES[name][0])
    a, b = _double((a, b))
    gradient = jax.grad(lambda w: f(a, b, weights=w).sum())(w)
    # Linear in the weights: the gradient is each entry's term, whatever w is; with w = 1 they sum to the
    # divergence.
    np.testing.assert_allclose((gradient * w).sum(), f(a, b, weights=w).sum(), rtol=1e-12)
    np.testing.assert_allclose(gradient.sum(), f(a, b).sum(), rtol=1e-12)
    assert (gradient >= 0).all()
    check_grads(lambda a, b: f(a, b, weights=w).sum(), (a, b), order=1, modes=["rev"], eps=1e-5, rtol=1e-6)


ZERO_IN_Q = {"kl", "jeffreys", "pearson_chi2", "renyi", "tsallis"}  # +inf where q = 0 < p
ZERO_IN_P = {"reverse_kl", "jeffreys", "neyman_chi2"}


@every
def test_a_row_of_nothing_on_one_side_is_nan(name):
    ours, _ = _compiled(name)
    a, b = _pair((4, 37))
    value, _ = ours(a.at[0].set(-jnp.inf), b.at[1].set(-jnp.inf), jnp.float32(1.3), _params(name))
    assert jnp.isnan(value).tolist() == [True, True, False, False]


@every
def test_minus_infinity_is_probability_zero(name):
    ours, formula = _compiled(name)
    a, b = _pair((4, 37))
    a = a.at[(0, 2, 2, 2), (3, 3, 4, 36)].set(-jnp.inf).at[3].set(-jnp.inf)
    b = b.at[(1, 2, 2, 2), (3, 3, 4, 36)].set(-jnp.inf).at[3].set(-jnp.inf)
    value, gradients = ours(a, b, jnp.float32(1.3), _params(name))
    assert not jnp.isnan(value).any()
    for leaf in jax.tree.leaves(gradients):
        assert jnp.isfinite(leaf).all()
    if name != "f_divergence":  # its ratios are clipped
        assert jnp.isinf(value).tolist() == [name in ZERO_IN_P, name in ZERO_IN_Q, False, False]
    assert value[3] == 0
    keep = np.isfinite(a[2])
    with jax.enable_x64(True):  # noqa: FBT003
        expected = formula(*_double((np.asarray(a)[2:3, keep], np.asarray(b)[2:3, keep], 1.3, _params(name))))[0]
    np.testing.assert_allclose(value[2], expected[0], rtol=2e-5)


@pytest.mark.parametrize("name", ["kl", "jeffreys"])
def test_what_underflows_beside_a_zero_costs_nothing(name):
    """A target masked by −1e9 and a model masked by −inf are alike there."""
    divergence, (a, b) = getattr(logits, name), _pair((2, 9))
    masked = divergence(a.at[:, 8].set(-1e9), b.at[:, 8].set(-jnp.inf))
    np.testing.assert_allclose(masked, divergence(a[:, :8], b[:, :8]), rtol=1e-6)


@every
def test_huge_log_ratios(name):
    ours, _ = _compiled(name)
    a = jnp.zeros((4, 37)).at[:, 0].set(1e4)
    b = jnp.zeros((4, 37)).at[:, 1].set(1e4)
    for pair in ((a, b), (a, 0 * b), (0 * a, b)):
        value, gradients = ours(*pair, jnp.float32(1.0), _params(name))
        assert (value > 0).all()
        for leaf in jax.tree.leaves(gradients):
            assert not jnp.isnan(leaf).any()
    value = float(ours(a, b, jnp.float32(1.0), _params(name))[0][0])
    expected = {
        "kl": 1e4,
        "reverse_kl": 1e4,
        "jeffreys": 2e4,
        "renyi": 1e4,
        "bhattacharyya": 5e3 - np.log(2),
    }
    expected |= {"squared_hellinger": 1.0, "triangular": 2.0, "total_variation": 1.0}
    if name in expected:
        assert value == pytest.approx(expected[name], rel=1e-5)


def test_kl_and_jensen_shannon_to_many_digits():
    mpmath.mp.dps = 40
    a, b = [0.25, -1.5, 3.0, 2.0], [1.0, 0.5, -2.0, 2.5]
    p, q = ([mpmath.exp(x) / sum(map(mpmath.exp, xs)) for x in xs] for xs in (a, b))
    kl = sum(x * mpmath.log(x / y) for x, y in zip(p, q, strict=True))
    half = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    js = sum(x * mpmath.log(x / m) + y * mpmath.log(y / m) for x, y, m in zip(p, q, half, strict=True)) / 2
    with jax.enable_x64(True):  # noqa: FBT003
        assert float(logits.kl(jnp.array(a), jnp.array(b))) == pytest.approx(float(kl), rel=1e-14)
        assert float(logits.jensen_shannon(jnp.array(a), jnp.array(b))) == pytest.approx(float(js), rel=1e-14)


@pytest.mark.parametrize("apart", [0.01, 1.0, 6.0, 60.0])
def test_jensen_shannon_keeps_its_digits_at_every_weight(apart):
    """In float32, against the textbook formula in extended precision from the same rounded inputs."""
    rng = np.random.default_rng(3)
    a = (3 * rng.normal(size=(16, 37))).astype(np.float32)
    b = (a + apart * rng.normal(size=a.shape)).astype(np.float32)
    value_and_gradient = jax.jit(
        jax.vmap(jax.value_and_grad(lambda b, a, w: logits.jensen_shannon(a, b, weight=w)), (0, 0, None))
    )
    exact_a, exact_b = a.astype(np.longdouble), b.astype(np.longdouble)
    log_p = exact_a - np.log(np.exp(exact_a).sum(-1, keepdims=True))
    log_q = exact_b - np.log(np.exp(exact_b).sum(-1, keepdims=True))
    p, q = np.exp(log_p), np.exp(log_q)
    # A logit is only known to its last bit.
    tolerance = 2e-6 + np.finfo(np.float32).eps * np.abs(b).max()
    for weight in np.float32([1e-6, 1e-3, 0.3, 0.5, 0.999, 1 - 2**-20]):
        w = np.longdouble(weight)
        log_m = np.log(w * p + (1 - w) * q)
        slope = (1 - w) * q * (log_q - log_m)
        value, gradient = map(np.asarray, value_and_gradient(b, a, weight))
        np.testing.assert_allclose(value, (w * p * (log_p - log_m)).sum(-1) + slope.sum(-1), rtol=tolerance)
        exact = slope - q * slope.sum(-1, keepdims=True)
        np.testing.assert_allclose(gradient, exact, rtol=0, atol=tolerance * np.abs(exact).max())


def test_jensen_shannon_halfway_has_a_program_of_its_own():
    a, b = _pair((4, 37))
    default, general = logits.jensen_shannon(a, b), logits.jensen_shannon(a, b, weight=jnp.float32(0.5))
    np.testing.assert_allclose(default, general, rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda b: logits.jensen_shannon(a, b).sum())(b),
        jax.grad(lambda b: logits.jensen_shannon(a, b, weight=jnp.float32(0.5)).sum())(b),
        atol=1e-6,
    )
    assert logits.jensen_shannon(a, a).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("divergence", "given"),
    [
        (logits.jensen_shannon, {"weight": 1.5}),
        (logits.renyi, {"alpha": -1.0}),
        (logits.tsallis, {"alpha": -1.0}),
        (logits.kl, {"temperature": -1.0}),
    ],
)
def test_a_traced_parameter_outside_of_its_domain_is_nan(divergence, given):
    p, q = jax.random.normal(jax.random.key(0), (2, 3, 50))
    found = jax.jit(lambda params: jnp.sum(divergence(p, q, **params)))
    assert np.isnan(found(given))
