"""The shape of a tail against that of the generalised Pareto distribution it was drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

import divjax as dj

fit = jax.jit(dj.diagnostics.pareto_k)


@pytest.mark.parametrize("shape", [0.2, 0.7, 1.2])
def test_shape_of_a_generalised_pareto(shape):
    """Mean over 50 samples; the asymptotic standard error is (1 + k)/√M, the prior draws towards ½ by 10/(M + 10)."""
    found = [
        float(fit(jnp.log(st.genpareto(shape).rvs(4000, random_state=seed).astype(np.float32)))) for seed in range(50)
    ]
    tail = 3 * np.sqrt(4000)
    expected = (tail * shape + 5) / (tail + 10)
    assert abs(np.mean(found) - expected) < 4 * (1 + shape) / np.sqrt(tail * 50) + 0.02
    assert np.std(found) == pytest.approx((1 + shape) / np.sqrt(tail), rel=0.4)


def test_bounded_weights_have_no_tail():
    assert float(fit(jnp.zeros(1000))) == 0.0
    assert float(fit(jnp.full(1000, -jnp.inf))) == 0.0
    assert float(fit(jnp.log(jnp.linspace(0.5, 2.0, 1000)))) < 0.2
    assert float(dj.diagnostics.pareto_k(jnp.arange(20.0))) == 0.0


def test_scale_and_shape_of_the_array_do_not_matter():
    logs = jnp.asarray(st.genpareto(0.5).rvs(600, random_state=0), jnp.float32)
    assert float(fit(jnp.log(logs) + 50.0)) == pytest.approx(float(fit(jnp.log(logs))), abs=1e-3)
    assert float(dj.diagnostics.pareto_k(jnp.log(logs).reshape(3, 200))) == pytest.approx(
        float(fit(jnp.log(logs))), abs=1e-5
    )


@pytest.mark.parametrize(
    ("logs", "expected"),
    [(10.0 * np.arange(25), 6.875034474871098), (5.0 * np.arange(60), 10.719544274271756)],
)
def test_excesses_that_underflow_are_no_ties(logs, expected):
    """Weights that are e^240 apart, against the same estimator of their values in 80 bits."""
    assert float(dj.diagnostics.pareto_k(jnp.asarray(logs, jnp.float32))) == pytest.approx(expected, rel=1e-5)
    assert float(dj.diagnostics.pareto_k(jnp.asarray(logs[::-1] - 300.0, jnp.float32))) == pytest.approx(
        expected, rel=1e-5
    )
