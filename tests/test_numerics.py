"""The guards: what they guard against, and that they leave a NaN what it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax import numerics as nu
from divjax.numerics import segments

OF_ONE = {
    "bounded_exp": nu.bounded_exp,
    "expm1_minus": nu.expm1_minus,
    "finite": nu.finite,
    "held": nu.held,
    "log1p_over": nu.log1p_over,
    "log1p_slope": nu.log1p_slope,
    "log_power": lambda x: nu.log_power(x, 2.0),
    "logsumexp": lambda x: nu.logsumexp(jnp.stack([x, jnp.inf, 0.0])),
    "mixture of a left out NaN": lambda x: nu.log_mixture(x, jnp.zeros(()), 0.0),
    "moment_of_exponential": segments.moment_of_exponential,
    "one_minus_exp_over": nu.one_minus_exp_over,
    "order": lambda x: nu.over_order(jnp.ones(()), x),
    "over_order": lambda x: nu.over_order(x, jnp.ones(())),
    "quotient": lambda x: nu.log_quotient(jnp.ones(()), x),
    "safe_log": nu.safe_log,
    "safe_ratio": lambda x: nu.safe_ratio(jnp.ones(()), x),
    "safe_root": nu.safe_root,
    "safe_sqrt": nu.safe_sqrt,
    "softmax": lambda x: nu.softmax(jnp.stack([x, 0.0]))[1],
}


@pytest.mark.parametrize("function", OF_ONE.values(), ids=OF_ONE.keys())
def test_a_nan_stays_a_nan(function):
    assert jnp.isnan(function(jnp.float32(jnp.nan)))


@pytest.mark.parametrize(
    ("function", "value"), [(nu.safe_sqrt, 0.0), (nu.safe_root, 0.0), (nu.safe_log, -jnp.inf), (nu.finite, 0.0)]
)
def test_what_is_held_has_derivative_zero(function, value):
    at = jnp.float32(jnp.inf if function is nu.finite else 0.0)
    assert jax.value_and_grad(function)(at) == (value, 0.0)


def test_series_meet_the_formulas_they_stand_in_for(x64):
    """To rounding at both sides of the border between the two, for values and slopes."""
    x = np.array([0.0999, 0.1001, 0.4999, 0.5001, 3.0])
    x = np.concatenate([-x[:-1], x])
    for function, expected, slope in (
        (nu.expm1_minus, np.expm1(x) - x, np.expm1(x)),
        (nu.one_minus_exp_over, -np.expm1(-x) / x, (np.exp(-x) * (1 + x) - 1) / x**2),
        (nu.log1p_over, np.log1p(x) / x, (x / (1 + x) - np.log1p(x)) / x**2),
    ):
        values, slopes = jax.vmap(jax.value_and_grad(function))(x)
        np.testing.assert_allclose(values, expected, rtol=1e-13)
        np.testing.assert_allclose(slopes, slope, rtol=1e-12)


def test_a_difference_is_precise_where_both_are_alike():
    log_q = jnp.float32(-3.0)
    for d in (1e-6, -1e-3, 0.49, 0.51, -4.0):
        value = nu.difference(log_q + jnp.float32(d), log_q, jnp.float32(d))
        assert float(value) == pytest.approx(np.exp(-3.0) * np.expm1(d), rel=5e-7)
