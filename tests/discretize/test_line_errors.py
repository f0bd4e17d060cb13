"""Transport and energy with their error: of distributions on the line, against numbers found without divjax."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import divjax as dj

LEVELS = np.exp(-np.linspace(np.log(2.0), 40.0, 400_001))  # of u below the median, of 1 − u above


def _transported(p, q, order):
    """W_k of two laws of scipy, by Simpson's rule in the logarithm of the level, from either end."""
    terms = sum(np.abs(a(LEVELS) - b(LEVELS)) ** order for a, b in ((p.ppf, q.ppf), (p.isf, q.isf)))
    return scipy.integrate.simpson(terms * LEVELS, x=-np.log(LEVELS)) ** (1.0 / order)


PAIRS = {
    "a kink at 0": (scipy.stats.expon(), scipy.stats.laplace()),
    "singular ends": (scipy.stats.beta(0.5, 0.5), scipy.stats.beta(2.0, 2.0)),
    "a flat one": (scipy.stats.uniform(), scipy.stats.norm(0.5, 0.2)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_transport_lies_within_its_error(name):
    p, q = PAIRS[name]
    for order in (1.0, 5.0):
        found = dj.estimate(dj.wasserstein, p, q, order=order)
        assert int(found.status) == dj.status.OK
        truth = _transported(p, q, order)
        assert abs(found.value - truth) < 3.0 * found.stderr + 2e-6 * truth
        assert found.stderr < 3e-3 * found.value
    found = dj.estimate(dj.energy, p, q)
    x = np.linspace(-20.0, 40.0, 1_200_001)
    truth = scipy.integrate.simpson(2.0 * (p.cdf(x) - q.cdf(x)) ** 2, x=x)
    assert abs(found.value - truth) < 3.0 * found.stderr + 2e-6 * truth
    assert found.stderr < 3e-3 * found.value


def test_equal_laws_are_resolved_up_to_rounding():
    found = dj.estimate(dj.wasserstein, distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.0))
    assert int(found.status) == dj.status.OK
    assert found.value < 3.0 * found.stderr
    assert found.stderr < 1e-6


def test_a_gradient_has_an_error_too():
    """∂/∂loc of W₁ between shifted laws is 1."""

    def laid(loc):
        return dj.coupling(distrax.Laplace(0.0, 1.0), distrax.Laplace(loc, 1.0), crossings=4)

    found = dj.estimate_gradient(dj.wasserstein, laid, 3.0)
    assert abs(found.value - 1.0) < 3.0 * found.stderr
    assert found.stderr < 1e-4


def test_samples_have_none():
    x = jnp.arange(4.0)
    with pytest.raises(TypeError, match=r"of two samples.*dj\.twosample"):
        dj.estimate(dj.wasserstein, dj.coupling(x, x + 1.0))


@pytest.mark.parametrize("order", [5.0, 12.0])
def test_gradient_of_a_high_order(order):
    """Far out, where no mass is left, a power of the distance overflows in float32: its derivative is 0, not NaN."""

    def distance(loc):
        return dj.wasserstein(distrax.Laplace(0.0, 1.0), distrax.Laplace(loc, 1.0), order=order)

    value, slope = jax.value_and_grad(distance)(2.0)
    np.testing.assert_allclose((value, slope), (2.0, 1.0), rtol=1e-5)


def test_tails_of_discrete_laws_in_single_precision():
    """Their levels near 1 are counted from 1: by exact sums over both distribution functions in double precision."""
    p, q = scipy.stats.poisson(3.0), scipy.stats.poisson(4.5)
    k = np.arange(24)  # farther out scipy has no quantiles
    levels = np.unique(np.concatenate([p.sf(k), q.sf(k), [1.0]]))
    middle, width = 0.5 * (levels[1:] + levels[:-1]), np.diff(levels)
    truth = np.sum(width * np.abs(p.isf(middle) - q.isf(middle)) ** 5) ** 0.2
    found = dj.estimate(dj.wasserstein, p, q, order=5.0)
    assert abs(found.value - truth) < 3.0 * found.stderr
    assert found.stderr < 1e-5
