"""KL between different families against scipy quadrature of TensorFlow Probability's log-densities."""

import distrax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

from divjax import exact

tfd = tfp.distributions
LINE, HALF, UNIT = (-np.inf, np.inf), (0.0, np.inf), (0.0, 1.0)


def table():
    a = jnp.asarray
    return {
        "normal": (distrax.Normal(a(0.3), a(1.2)), LINE),
        "laplace": (distrax.Laplace(a(-0.4), a(0.4)), LINE),
        "gumbel": (distrax.Gumbel(a(0.2), a(0.5)), LINE),
        "logistic": (distrax.Logistic(a(0.1), a(0.3)), LINE),
        "gamma": (distrax.Gamma(a(3.5), a(2.0)), HALF),
        "exponential": (tfd.Exponential(a(1.5)), HALF),
        "log_normal": (tfd.LogNormal(a(0.3), a(0.5)), HALF),
        "weibull": (tfd.Weibull(a(1.5), a(1.2)), HALF),
        "half_normal": (tfd.HalfNormal(a(1.3)), HALF),
        "pareto": (tfd.Pareto(a(3.5), a(1.2)), (1.2, np.inf)),
        "beta": (distrax.Beta(a(2.5), a(1.5)), UNIT),
        "uniform": (distrax.Uniform(a(0.2), a(0.7)), (0.2, 0.7)),
    }


NAMES = ("normal", "laplace", "gumbel", "logistic", "gamma", "exponential", "log_normal", "weibull")
NAMES += ("half_normal", "pareto", "beta", "uniform")
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def reference(p, q, support):
    """∫ p (log p − log q) on a Gauss-Legendre grid stretched over the support."""
    low, high = support
    t, w = 0.5 * (NODES + 1), 0.5 * WEIGHTS
    if np.isinf(low):
        x, jacobian = np.sinh(12 * (t - 0.5)), 12 * np.cosh(12 * (t - 0.5))
    elif np.isinf(high):
        x, jacobian = low + np.exp(24 * (t - 0.5)), 24 * np.exp(24 * (t - 0.5))
    else:
        x, jacobian = low + (high - low) * t**2 * (3 - 2 * t), (high - low) * 6 * t * (1 - t)
    log_p, log_q = np.asarray(p.log_prob(x)), np.asarray(q.log_prob(x))
    mass = np.exp(log_p) * jacobian * w
    np.testing.assert_allclose(mass.sum(), 1.0, atol=2e-3)
    return float(np.sum(np.where(mass > 0, mass * (log_p - log_q), 0.0)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_cross_families(name):
    distributions = table()
    p, (low, high) = distributions[name]
    known = 0
    for other, (q, (left, right)) in distributions.items():
        if other == name:
            continue
        try:
            value = float(exact.kl(p, q))
        except NotImplementedError:
            continue
        known += 1
        if low < left or high > right:
            assert value == np.inf, other
        elif np.isfinite(value):
            np.testing.assert_allclose(value, reference(p, q, (low, high)), rtol=2e-3, atol=1e-4, err_msg=other)
    assert known >= 5


def test_not_every_pair_is_known():
    with pytest.raises(NotImplementedError, match="Gamma and Logistic"):
        exact.kl(distrax.Gamma(2.0, 1.0), distrax.Logistic(0.0, 1.0))
