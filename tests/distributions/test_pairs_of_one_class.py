"""Two members of one class, where a value or a gradient was wrong once: benchmarks/matrix.py has the others."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from scipy.integrate import quad
from scipy.optimize import brentq

import divjax as dj
from divjax.distributions.density import log_prob
from divjax.distributions.half_line import GAMMA
from divjax.distributions.interval import TRIANGULAR
from divjax.distributions.skewed import ASYMMETRIC_LAPLACE
from divjax.distributions.truncated import TRUNCATED_CAUCHY, TRUNCATED_NORMAL


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


def test_between_two_ends_that_are_close():
    """On the piece where only one of both has mass, a panel that is graded towards both of its ends was too coarse."""
    p, q = TRUNCATED_CAUCHY(0.3, 1.4, -2.7, 4.3), TRUNCATED_CAUCHY(0.22, 1.33, -2.78, 4.22)
    assert dj.jensen_shannon(p, q) == pytest.approx(0.002768714, abs=1e-6)


def test_a_logarithm_at_the_ends_of_a_triangle():
    """p log p, where p is 0: the integral of x log x needs panels that are graded."""
    with jax.enable_x64(True):  # noqa: FBT003
        found = dj.kl(TRIANGULAR(0.0, 1.5, 0.5), TRIANGULAR(-0.1, 1.6, 0.6))
        assert found == pytest.approx(triangles(), abs=1e-10)


def triangles():
    """Their KL divergence, by scipy's integration."""
    p, q = st.triang(1 / 3, 0.0, 1.5), st.triang(0.7 / 1.7, -0.1, 1.7)
    pieces = [(0.0, 0.5), (0.5, 0.6), (0.6, 1.5)]
    return sum(quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), *piece, epsabs=1e-13)[0] for piece in pieces)


def test_a_kink_of_the_other_density_is_one_of_its_quantile():
    """Where one is larger at every level, the distance is the difference of the means, loc + right − left."""
    with jax.enable_x64(True):  # noqa: FBT003
        p, q = ASYMMETRIC_LAPLACE(0.3, 1.4, 0.7), ASYMMETRIC_LAPLACE(0.5, np.sqrt(0.9 * 2.2), np.sqrt(0.9 / 2.2))
        assert dj.wasserstein(p, q) == pytest.approx((0.5 + 2.2 - 0.9) - (0.3 + 1.4 / 0.7 - 1.4 * 0.7), abs=1e-10)


@pytest.mark.slow
def test_far_in_the_upper_tail_of_a_normal_law_that_is_cut_below():
    """The level there rounds to 1, where a branch that was not taken had an infinite slope."""
    with jax.enable_x64(True):  # noqa: FBT003

        def stretched(scale):
            p = TRUNCATED_NORMAL(0.0, 2.0, 0.0, jnp.inf)
            return dj.wasserstein(p, TRUNCATED_NORMAL(0.0, scale, 0.0, jnp.inf))

        assert jax.grad(stretched)(1.0) == pytest.approx(-np.sqrt(2.0 / np.pi), abs=1e-9)


def test_ends_of_a_region_are_found_to_double_precision():
    """q has as much mass outside as scipy says beyond the ends of p's region, at which its density is the same."""
    with jax.enable_x64(True):  # noqa: FBT003
        p, q = st.gamma(4.5, scale=0.6), st.gamma(4.2, scale=0.56)
        low = brentq(lambda x: p.pdf(x) - p.pdf(p.isf(0.01 - p.cdf(x))), 1e-3, p.ppf(0.0099), xtol=1e-15)
        outside = q.cdf(low) + q.sf(p.isf(0.01 - p.cdf(low)))
        found = dj.diagnostics.unrealistic_rate(GAMMA(4.5, 1.0 / 0.6), GAMMA(4.2, 1.0 / 0.56))
        assert found == pytest.approx(outside, abs=1e-10)
