"""Regions, realism and modes against scipy: bracketed roots of the density and differences of its cdf."""

import functools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats
from tensorflow_probability.substrates.jax.distributions import TruncatedNormal

from divjax import diagnostics, targets
from tests.marks import cases

# separation, weights, scales, then the Gaussian's loc and scale
CASES = {
    "post": (16.0, (0.5, 0.5), (1.0, 1.0), 8.0, 65**0.5),
    "collapsed": (16.0, (0.5, 0.5), (1.0, 1.0), 0.0, 1.0),
    "between": (6.0, (0.5, 0.5), (1.0, 1.0), 3.0, 3.16),
    "merged": (1.0, (0.5, 0.5), (1.0, 1.0), 0.5, 1.1),
    "one mode": (0.0, (0.5, 0.5), (1.0, 1.0), 0.0, 1.0),
    "narrow": (10.0, (0.9, 0.1), (1.0, 0.1), 2.0, 3.0),
    "unequal": (4.5, (0.7, 0.3), (1.0, 0.5), 2.0, 2.0),
    "negative": (-5.0, (0.4, 0.6), (1.0, 2.0), -3.0, 1.0),
}


def diagnose(*case):
    """Of one dtype, and none weakly typed: one program for all cases."""
    return _diagnose(*(np.asarray(value, np.float32) for value in case))


@jax.jit
def _diagnose(separation, weights, scales, loc, scale):
    p, q = targets.two_modes(separation, weights=weights, scales=scales), distrax.Normal(loc, scale)
    modes = jnp.stack([jnp.zeros_like(separation), separation])
    of_p, of_both = diagnostics.region_level(p), diagnostics.unrealistic_rate(p, q)
    return of_p, of_both, diagnostics.mode_mass(q, modes), diagnostics.basin(p, q, modes)


def reference_rate(separation, weights, scales, loc, scale, mass=0.99):
    """The level by root finding on the exact mass of the region, the rate by differences of the model's cdf."""
    parts = list(zip(weights, (0.0, separation), scales, strict=True))
    x = np.linspace(min(0, separation) - 12 * max(scales), max(0, separation) + 12 * max(scales), 200_001)

    def density(x):
        return sum(w * stats.norm.pdf(x, m, s) for w, m, s in parts)

    def region(level):
        change = np.flatnonzero(np.diff(np.sign(density(x) - level)))
        ends = [optimize.brentq(lambda y: density(y) - level, x[i], x[i + 1], xtol=1e-13) for i in change]
        return list(zip(ends[::2], ends[1::2], strict=True))

    def excess(log_level):
        intervals = region(np.exp(log_level))
        return (
            sum(w * (stats.norm.cdf(b, m, s) - stats.norm.cdf(a, m, s)) for w, m, s in parts for a, b in intervals)
            - mass
        )

    log_level = optimize.brentq(excess, -12.0, np.log(density(x).max() * 0.999))
    inside = sum(stats.norm.cdf(b, loc, scale) - stats.norm.cdf(a, loc, scale) for a, b in region(np.exp(log_level)))
    return log_level, 1.0 - inside


@pytest.mark.parametrize("name", cases(CASES, slow=["post"]))
def test_level_and_rate_against_root_finding(name):
    level, rate, _, _ = diagnose(*CASES[name])
    expected_level, expected_rate = reference_rate(*CASES[name])
    np.testing.assert_allclose(level, expected_level, atol=2e-5)
    np.testing.assert_allclose(rate, expected_rate, atol=2e-6)


def test_the_post():
    _, rate, masses, basin = diagnose(*CASES["post"])
    np.testing.assert_allclose(rate, 0.6885, atol=1e-4)
    np.testing.assert_allclose(masses, [0.5, 0.5], atol=1e-6)
    assert diagnostics.basin_name(basin) == "averages"


def test_a_perfect_model_has_the_rate_of_the_data():
    @jax.jit
    def rate(separation, mass):
        p = targets.two_modes(separation)
        return diagnostics.unrealistic_rate(p, p, mass=mass)

    np.testing.assert_allclose([rate(3.0, 0.99), rate(3.0, 0.9)], [0.01, 0.1], atol=1e-5)


def test_mode_mass_against_the_cdf_in_the_order_of_the_modes():
    masses = diagnostics.mode_mass(distrax.Normal(1.0, 2.0), jnp.asarray([5.0, -1.0, 0.5]))
    cuts = [-np.inf, -0.25, 2.75, np.inf]
    expected = np.diff(stats.norm.cdf(cuts, 1.0, 2.0))[[2, 0, 1]]
    np.testing.assert_allclose(masses, expected, rtol=1e-6)


def test_mode_mass_keeps_its_digits_in_both_tails():
    masses = diagnostics.mode_mass(distrax.Normal(0.0, 1.0), jnp.asarray([0.0, 16.0]))
    np.testing.assert_allclose(masses[1], stats.norm.sf(8.0), rtol=1e-4)
    masses = diagnostics.mode_mass(distrax.Normal(0.0, 1.0), jnp.asarray([-16.0, 0.0]))
    np.testing.assert_allclose(masses[0], stats.norm.sf(8.0), rtol=1e-4)


@pytest.mark.parametrize(
    ("loc", "scale", "label"),
    [(8.0, 8.06, "averages"), (0.0, 1.0, "collapsed onto mode 0"), (16.0, 1.0, "collapsed onto mode 1")],
)
def test_basins_of_the_post(loc, scale, label):
    basin = diagnose(16.0, (0.5, 0.5), (1.0, 1.0), loc, scale)[-1]
    assert diagnostics.basin_name(basin) == label


def test_basins_of_what_serves_the_data():
    covers = diagnose(2.0, (0.5, 0.5), (1.0, 1.0), 1.0, 1.41)[-1]
    assert diagnostics.basin_name(covers) == "covers"
    # One component carries nearly all the data: serving it is no collapse.
    rare = diagnose(8.0, (1.0, 0.0), (1.0, 1.0), 0.0, 1.0)[-1]
    assert diagnostics.basin_name(rare) == "covers"


def test_batched_models_are_refused():
    p = targets.two_modes(3.0)
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        diagnostics.unrealistic_rate(p, distrax.Normal(jnp.zeros(3), 1.0))
    with pytest.raises(ValueError, match="basin label"):
        diagnostics.basin_name(-3)


@pytest.mark.usefixtures("x64")
def test_the_level_and_the_rate_move_with_the_data():
    """The level of a Gaussian goes like 1/σ; the rate of q is 2 Φ(−z σ_p/σ_q) for one centre, z = 2.5758."""
    slope = jax.grad(lambda scale: diagnostics.region_level(distrax.Normal(0.3, scale)))(1.4)
    assert float(slope) == pytest.approx(-1.0 / 1.4, rel=2e-6)
    z = stats.norm.isf(0.005)
    rate = lambda scale: diagnostics.unrealistic_rate(distrax.Normal(0.3, scale), distrax.Normal(0.3, 2.0))  # noqa: E731
    value, slope = jax.value_and_grad(rate)(1.4)
    assert float(value) == pytest.approx(2.0 * stats.norm.sf(0.7 * z), rel=1e-9)
    assert float(slope) == pytest.approx(-z * stats.norm.pdf(0.7 * z), rel=2e-6)


@pytest.mark.parametrize("mass", [-1.0, 0.0, 1.0, 1.5, np.nan])
def test_a_region_holds_a_share_of_the_mass(mass):
    p = distrax.Normal(0.0, 1.0)
    for call in (diagnostics.region_level, functools.partial(diagnostics.unrealistic_rate, p)):
        with pytest.raises(ValueError, match="Expected mass in"):
            call(p, mass=mass)


def test_a_region_that_ends_where_the_support_does_moves_with_it(x64):
    """p truncated to [a, ∞): the derivative of Φ's mass outside, by differences of scipy's."""

    def rate(a):
        p = TruncatedNormal(jnp.zeros(()), jnp.ones(()), a, jnp.inf)
        return diagnostics.unrealistic_rate(p, distrax.Normal(jnp.ones(()), 1.0), mass=0.9)

    def exact(a):
        high = stats.norm.isf(0.1 * stats.norm.sf(a))
        return stats.norm.sf(high, 1.0) + stats.norm.cdf(a, 1.0)

    value, slope = jax.jit(jax.value_and_grad(rate))(0.3)
    assert float(value) == pytest.approx(exact(0.3), rel=1e-10)
    assert float(slope) == pytest.approx((exact(0.3 + 1e-5) - exact(0.3 - 1e-5)) / 2e-5, rel=1e-6)


def test_the_rate_where_what_is_left_out_lies_in_a_flat_valley(x64):
    """Of arcsine-like laws the smallest region leaves out ½ ± d, in which log p hardly varies: d from scipy."""
    del x64
    model = stats.norm(0.5, 0.2)
    for shape in (0.5, 0.9):
        law = stats.beta(shape, shape)
        d = optimize.brentq(lambda d, law=law: law.cdf(0.5 + d) - law.cdf(0.5 - d) - 0.01, 0.0, 0.5)
        p, bell = distrax.Beta(jnp.asarray(shape), jnp.asarray(shape)), distrax.Normal(0.5, 0.2)
        outside = 2.0 * model.cdf(0.0) + model.cdf(0.5 + d) - model.cdf(0.5 - d)
        rates = [diagnostics.unrealistic_rate(p, q) for q in (p, bell)]
        np.testing.assert_allclose(rates, [0.01, outside], rtol=1e-4)


@pytest.mark.usefixtures("x64")
def test_a_level_that_is_right_to_rounding_is_kept():
    """Of pairs that are the same but for 1e-9 one in 400 was .0056: the search left what it had found."""
    rate = jax.vmap(lambda t: diagnostics.unrealistic_rate(distrax.Beta(2.4, 1.7 + t), distrax.Beta(2.32, 1.83)))
    found = jax.jit(rate)(jnp.linspace(0.0, 1e-9, 4001))
    np.testing.assert_allclose(found, 0.0125295776, rtol=1e-6)
