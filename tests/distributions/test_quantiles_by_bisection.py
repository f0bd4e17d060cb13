"""Quantiles that have no closed form, in single precision: the tails of what comes back are what was asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax.distributions.density import quantile, tails
from tests.distributions.line_references import ROWS

BELOW = np.array([1e-5, 1e-2, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0 - 1e-4])
LEVELS = jnp.asarray(BELOW, jnp.float32), jnp.asarray(1.0 - BELOW, jnp.float32)
ROUNDING = 1e-6  # eight units in the last place
SEARCHED = [name for name, row in ROWS.items() if row.family.quantile is None]


@pytest.mark.parametrize("name", SEARCHED)
def test_what_comes_back_has_the_level(name):
    """To what the rounding of x leaves of it. Near 0 a float has all its digits: ends and heavy tails are no excuse."""
    u, v = LEVELS

    def both(params):
        law = ROWS[name].family(*params)
        x = quantile(law, u, v)

        def smaller(x):
            below, above = tails(law, x)
            return jnp.where(u < 0.5, below, above)

        return x, smaller(x), *(smaller(x * (1.0 + side * ROUNDING)) for side in (-1.0, 1.0))

    params = tuple(jnp.asarray(column, jnp.float32) for column in zip(*ROWS[name].params, strict=True))
    x, found, before, after = (np.asarray(each, float) for each in jax.jit(jax.vmap(both))(params))
    level = np.where(np.asarray(u) < 0.5, u, v).astype(float)
    allowed = 1e-3 * level + np.abs(after - before)
    ordinary = np.abs(x) > 1e-30  # what is closer to 0 underflows
    assert ordinary.mean() > 0.5
    for row, place in np.argwhere(ordinary & ~(np.abs(found - level) <= allowed)):
        raise AssertionError((ROWS[name].params[row], level[place], found[row, place], x[row, place]))


def test_wasserstein_of_inverse_gammas():
    """0.93 was found in single precision. By scipy's quantiles, integrated."""
    p, q = tfp.distributions.InverseGamma(2.5, 1.4), tfp.distributions.InverseGamma(2.37, 1.33)
    assert float(dj.wasserstein(p, q)) == pytest.approx(0.038790666, rel=1e-4)
