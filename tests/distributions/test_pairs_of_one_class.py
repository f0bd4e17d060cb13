"""Two members of one class, where a value or a gradient was wrong once: benchmarks/matrix.py has the others."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

import divjax as dj
from divjax.distributions.density import log_prob


def moving_end(loc, scale):
    """A logit-normal variable stretched to (0, scale): an infinite end is mapped to one that moves."""
    map_ = distrax.Chain([distrax.ScalarAffine(0.0, scale), distrax.Sigmoid()])
    return distrax.Transformed(distrax.Normal(loc, scale), map_)


def test_next_to_an_end_that_infinity_is_mapped_to():
    with jax.enable_x64(True):  # noqa: FBT003
        p, q = moving_end(0.3, 1.4), moving_end(0.22, 1.33)
        assert dj.kl(p, q) == jnp.inf
        assert dj.jensen_shannon(p, q) == pytest.approx(0.01757915664, abs=1e-10)


def test_counts_that_scipy_serves_itself():
    """They count from 1, which no record does: their values are listed, and drawn, by scipy."""
    p, q = st.geom(0.3), st.geom(0.315)
    kl = np.log(0.3 / 0.315) + (1.0 / 0.3 - 1.0) * np.log(0.7 / 0.685)
    assert dj.kl(p, q) == pytest.approx(kl, rel=1e-3)
    with jax.enable_x64(True):  # noqa: FBT003
        assert dj.kl(p, q) == pytest.approx(kl, abs=1e-12)
        draws = dj.monte_carlo(jax.random.key(0), p, q, num_draws=4096, gradient="score")
        found = dj.estimate(dj.kl, draws)
        assert abs(float(found.value) - kl) < 4.0 * float(found.stderr)
        # Compiled, scipy is called back by a thread that does not know of the double precision.
        x = jnp.linspace(-1.0, 1.0, 2000)
        law = dj.distributions.resolve(st.skewnorm(2.0))
        np.testing.assert_allclose(jax.jit(log_prob)(law, x), st.skewnorm(2.0).logpdf(x), rtol=1e-12)
