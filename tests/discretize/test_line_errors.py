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


def _normals(weights, locs, scales):
    components = distrax.Normal(jnp.array(locs), jnp.array(scales))
    return distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.array(weights)), components)


def test_transport_between_mixtures_of_unequal_weights():
    """Where the weights differ, mass crosses the gap: the quantile of the one jumps inside a mode of the other."""
    x = np.linspace(-9.0, 17.0, 400_001)
    cdf_p, cdf_q = (
        sum(w * scipy.stats.norm(loc, scale).cdf(x) for w, loc, scale in parts)
        for parts in (((0.3, 0.0, 1.0), (0.7, 8.0, 1.0)), ((0.5, 0.0, 1.0), (0.5, 8.0, 1.5)))
    )
    truth = np.sqrt(np.trapezoid((x - np.interp(cdf_p, cdf_q, x)) ** 2, cdf_p))
    p = _normals([0.3, 0.7], [0.0, 8.0], [1.0, 1.0])

    def distance(w):
        return dj.estimate(dj.wasserstein, p, _normals([w, 1.0 - w], [0.0, 8.0], [1.0, 1.5]), order=2.0)

    found = distance(0.5)
    assert int(found.status) == dj.status.OK
    assert abs(found.value - truth) < 3.0 * found.stderr
    assert found.stderr < 1e-3 * truth
    np.testing.assert_allclose(jax.grad(lambda w: distance(w).value)(0.5), 8.8122, rtol=1e-3)  # by finite differences


def _of_counts(p, q, order):
    """W_k of two laws on 0, 1, …: the levels of both merged, from above."""
    tails = [law.sf(np.arange(4000)).astype(np.longdouble) for law in (p, q)]
    levels = np.unique(np.concatenate([*tails, [0.0, 1.0]]))
    width, middle = np.diff(levels), np.sqrt(np.maximum(levels[:-1], levels[1:] * 1e-3) * levels[1:])
    x, y = (np.searchsorted(-tail, -middle).astype(np.longdouble) for tail in tails)
    return float(np.sum(width * np.abs(x - y) ** order) ** (1.0 / np.longdouble(order)))


@pytest.mark.parametrize("order", [1.0, 5.0, 12.0, 30.0])
def test_what_is_cut_off_of_a_discrete_law_is_in_the_error(order, x64):
    """Values are listed to a mass of 1e-13: enough for a mean, and not for moments of a high order."""
    p, q = scipy.stats.geom(0.01, loc=-1), scipy.stats.geom(0.02, loc=-1)
    found = dj.estimate(dj.wasserstein, p, q, order=order)
    assert abs(found.value - _of_counts(p, q, order)) < 3.0 * found.stderr
    assert (int(found.status) == dj.status.OK) == (order < 30.0)


def test_nearly_equal_counts_are_told_apart_as_far_as_levels_round():
    p, q = scipy.stats.poisson(3.0), scipy.stats.poisson(3.0001)
    for order in (1.0, 5.0):
        found = dj.estimate(dj.wasserstein, p, q, order=order)
        assert abs(found.value - _of_counts(p, q, order)) < 3.0 * found.stderr
        assert found.stderr < 0.05 * found.value


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


@pytest.mark.parametrize("law", [distrax.Laplace, distrax.Gumbel])
def test_laws_that_are_one_but_for_rounding_are_zero_apart(law):
    """Their quantiles differ by rounding, and the sign of that was a gradient of −0.1: nothing to stop a fit."""
    p = law(0.0, 1.0)

    @jax.jit
    def at(loc, scale):
        q = law(loc, scale)
        both = jax.value_and_grad(lambda theta: dj.wasserstein(p, law(*theta)))((loc, scale))
        return *both, dj.estimate(dj.wasserstein, p, q)

    value, slopes, found = at(0.0, 1.0)
    assert value < 1e-12
    assert max(map(abs, slopes)) < 1e-6
    assert int(found.status) == dj.status.OK
    assert 0.0 < found.stderr < 3e-6
    for shift in (3e-7, 1e-6, 3e-6, 1e-4):
        value, slopes, found = at(shift, 1.0)
        assert abs(value - shift) < 3.0 * found.stderr
        assert int(found.status) == dj.status.OK
    assert slopes[0] == pytest.approx(1.0, rel=0.05)
