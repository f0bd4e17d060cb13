"""Divergences of logits as they are used: dtypes, shapes, transformations, parameters, mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax import logits


@pytest.fixture(scope="module")
def pair():
    first, second = jax.random.split(jax.random.key(7))
    return 2 * jax.random.normal(first, (2, 3, 37)), 2 * jax.random.normal(second, (2, 3, 37))


kl = functools.partial(logits.kl, block=8)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32_and_the_gradient_comes_back_in_half(pair, dtype):
    a, b = (x.astype(dtype) for x in pair)
    value, gradient = jax.value_and_grad(lambda b: kl(a, b).sum())(b)
    exact, slope = jax.value_and_grad(lambda b: kl(a.astype(jnp.float32), b).sum())(b.astype(jnp.float32))
    assert kl(a, b).dtype == jnp.float32
    assert gradient.dtype == dtype
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    np.testing.assert_array_equal(gradient, slope.astype(dtype))


def test_mixed_dtypes_give_each_gradient_its_own(pair):
    a, b = pair[0], pair[1].astype(jnp.bfloat16)
    first, second = jax.grad(lambda a, b: kl(a, b).sum(), (0, 1))(a, b)
    assert (first.dtype, second.dtype) == (jnp.float32, jnp.bfloat16)


def test_leading_axes_vmap_and_jit_agree(pair):
    a, b = pair
    whole = kl(a, b)
    assert whole.shape == (2, 3)
    assert kl(a[0, 0], b[0, 0]).shape == ()
    np.testing.assert_allclose(kl(a[1, 2], b[1, 2]), whole[1, 2], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.vmap(kl))(a, b), whole, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(kl)(a, b), whole, rtol=1e-6)
    by_row = jax.jit(jax.vmap(jax.vmap(jax.grad(kl, 1))))(a, b)
    np.testing.assert_allclose(by_row, jax.grad(lambda b: kl(a, b).sum())(b), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block", [1, 3, 18, 19, 36, 37, 64, None])
def test_the_block_changes_nothing(pair, block):
    a, b = (x[0] for x in pair)
    value, gradient = jax.value_and_grad(lambda b: logits.jensen_shannon(a, b, block=block).sum())(b)
    whole, slope = jax.value_and_grad(lambda b: logits.jensen_shannon(a, b, block=37).sum())(b)
    np.testing.assert_allclose(value, whole, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-8)


def test_a_vocabulary_of_one():
    value, gradient = jax.value_and_grad(lambda b: kl(jnp.ones((1,)), b))(jnp.zeros((1,)))
    assert value == 0
    assert gradient == 0


def test_no_rows():
    assert kl(jnp.zeros((0, 5)), jnp.zeros((0, 5))).shape == (0,)


def test_the_gradient_of_kl_is_q_minus_p(pair):
    a, b = pair
    gradient = jax.grad(lambda b: kl(a, b, temperature=2.0).sum())(b)
    np.testing.assert_allclose(gradient, (jax.nn.softmax(b / 2) - jax.nn.softmax(a / 2)) / 2, atol=1e-7)


def test_one_trace_for_all_parameter_values(pair):
    a, b = (x[0, 0] for x in pair)
    traces = []

    @jax.jit
    def f(alpha, weight, temperature):
        traces.append(1)
        same = {"temperature": temperature, "block": 8}
        return logits.renyi(a, b, alpha=alpha, **same) + logits.jensen_shannon(a, b, weight=weight, **same)

    for x in (0.3, 0.5, 0.9):
        f(x, x, x)
    assert len(traces) == 1
    swept = jax.vmap(f, (0, None, None))(jnp.array([0.3, 0.5, 0.9]), 0.3, 0.3)
    np.testing.assert_allclose(swept[0], f(0.3, 0.3, 0.3), rtol=1e-6)


def test_the_alpha_family_passes_smoothly_through_both_kls(pair):
    a, b = (x[0] for x in pair)
    f = jax.jit(jax.vmap(lambda alpha: logits.alpha_divergence(a, b, alpha=alpha, block=8), out_axes=-1))
    values = f(jnp.array([0.0, 1e-6, 1.0 - 1e-6, 1.0]))
    np.testing.assert_allclose(values[:, 0], logits.reverse_kl(a, b), rtol=1e-5)
    np.testing.assert_allclose(values[:, 3], logits.kl(a, b), rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], values[:, 0], rtol=1e-4)
    np.testing.assert_allclose(values[:, 2], values[:, 3], rtol=1e-4)
    renyi = jax.jit(lambda alpha: logits.renyi(a, b, alpha=alpha, block=8))
    np.testing.assert_allclose(renyi(1.0), logits.kl(a, b), rtol=1e-5)
    slope = jax.jit(jax.grad(lambda alpha: renyi(alpha).sum()))
    np.testing.assert_allclose(slope(1.0), (renyi(1.01) - renyi(0.99)).sum() / 0.02, rtol=2e-2)


def test_a_generator_may_close_over_what_is_differentiated(pair):
    a, b = (x[0] for x in pair)

    def through_f(alpha):
        f = lambda t: (alpha * t + 1 - alpha - t**alpha) / (alpha * (1 - alpha))  # noqa: E731
        return logits.f_divergence(a, b, f=f, block=8).sum()

    value, slope = jax.jit(jax.value_and_grad(through_f))(0.4)
    direct = jax.value_and_grad(lambda alpha: logits.alpha_divergence(a, b, alpha=alpha, block=8).sum())
    expected, expected_slope = direct(0.4)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-4)


def test_the_hessian_at_equality_is_the_fisher_information(x64):
    a = jnp.asarray(np.random.default_rng(0).normal(size=6))
    p = jax.nn.softmax(a)
    fisher = jnp.diag(p) - jnp.outer(p, p)
    hessian = jax.jacrev(jax.grad(lambda b: logits.kl(a, b, block=2)))(a)
    np.testing.assert_allclose(hessian, fisher, atol=1e-12)


def test_masks_and_weights_per_token_broadcast(pair):
    a, b = pair
    mask = jax.random.bernoulli(jax.random.key(0), 0.8, (3, 37))
    together = kl(a, b, mask=mask, weights=jnp.arange(37.0))
    np.testing.assert_allclose(together[1, 2], kl(a[1, 2], b[1, 2], mask=mask[2], weights=jnp.arange(37.0)), rtol=1e-6)
    per_token = jax.grad(lambda w: kl(a, b, weights=w).sum())(jnp.ones((2, 3, 37)))
    shared = jax.grad(lambda w: kl(a, b, weights=w).sum())(jnp.ones((37,)))
    np.testing.assert_allclose(per_token.sum((0, 1)), shared, rtol=1e-5)


def test_a_row_that_is_masked_out_is_zero(pair):
    a, b = pair
    value, gradient = jax.value_and_grad(lambda b: kl(a, b, mask=jnp.zeros(37, bool)).sum())(b)
    assert value == 0
    assert (gradient == 0).all()


def test_no_softmax_is_kept():
    a = jax.ShapeDtypeStruct((64, 32768), jnp.float32)
    step = jax.jit(jax.value_and_grad(lambda b, a: logits.kl(a, b).mean()))
    memory = step.lower(a, a).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.15 * 64 * 32768 * 4


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "floating-point logits_p; got int32", lambda x: kl(x.astype(int), x)),
        (ValueError, r"one shape; got logits_p \(2, 5\) and logits_q \(5,\)", lambda x: kl(x, x[0])),
        (ValueError, r"\[..., V\] with V >= 1; got \(\)", lambda x: kl(x[0, 0], x[0, 0])),
        (ValueError, r"mask of shape \(5,\)", lambda x: kl(x, x, mask=jnp.ones(4, bool))),
        (ValueError, r"mask of shape \(5,\)", lambda x: kl(x, x, mask=jnp.ones((3, 5), bool))),
        (TypeError, "boolean mask; got float32", lambda x: kl(x, x, mask=jnp.ones(5))),
        (ValueError, r"weights of shape \(5,\)", lambda x: kl(x, x, weights=jnp.ones((2, 1)))),
        (ValueError, r"temperature in \(0, inf\); got 0", lambda x: kl(x, x, temperature=0.0)),
        (ValueError, "scalar temperature", lambda x: kl(x, x, temperature=jnp.ones(2))),
        (ValueError, r"alpha in \(0, inf\); got -1", lambda x: logits.renyi(x, x, alpha=-1.0)),
        (ValueError, "alpha in", lambda x: logits.tsallis(x, x, alpha=0.0)),
        (ValueError, "alpha in", lambda x: logits.alpha_divergence(x, x, alpha=float("nan"))),
        (ValueError, r"weight in \(0, 1\); got 1", lambda x: logits.jensen_shannon(x, x, weight=1.0)),
        (ValueError, "block >= 1; got 0", lambda x: logits.kl(x, x, block=0)),
    ],
)
def test_mistakes_are_named(error, message, call):
    with pytest.raises(error, match=message) as caught:
        call(jnp.zeros((2, 5)))
    assert "\n" not in str(caught.value)


def test_a_mask_of_tokens_is_told_where_it_goes():
    given = jnp.zeros((4, 5, 7))
    with pytest.raises(ValueError, match=r"Of tokens it goes over the values: jnp.where\(mask, values, 0.0\)"):
        logits.kl(given, given, mask=jnp.ones((4, 5), bool))
    with pytest.raises(ValueError, match="Give one entry per vocabulary entry"):
        logits.kl(given, given, mask=jnp.ones(6, bool))


def test_a_weighted_js_moves_between_the_two_kls():
    """JS / (w (1 − w)) tends to KL(p‖q) as w → 0 and to KL(q‖p) as w → 1, and JS itself to 0 at both ends."""
    p, q = jnp.array([[1.0, 0.0, -2.0]]), jnp.array([[0.0, 0.5, 0.0]])
    for weight, limit in ((1e-3, logits.kl(p, q)), (1.0 - 1e-3, logits.reverse_kl(p, q))):
        value = logits.jensen_shannon(p, q, weight=weight)
        np.testing.assert_allclose(value / (weight * (1.0 - weight)), limit, rtol=2e-3)
        assert value[0] < 1e-3
