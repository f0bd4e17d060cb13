"""Every family on the line against mpmath: densities, tails, quantiles, profiles, draws."""

import functools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from divjax.distributions import density as of
from divjax.distributions.family import Density
from divjax.distributions.truncated import truncated
from tests.distributions.line_references import ROWS

LEVELS = [1e-100, 1e-20, 1e-6, 0.02, 0.3]
# Incomplete beta functions have no derivative in their shapes; that of incomplete gamma functions is slow to compile.
FIXED_SHAPES = {"GAMMA", "CHI", "INVERSE_GAMMA", "EXP_GAMMA", "GENERALIZED_NORMAL", "BETA", "HALF_STUDENT_T"}
DRAWN = [name for name, row in ROWS.items() if row.family.draw is not None]


def points(family, p):
    """Quantiles where they are in closed form, else the knots of the profile and points twice as far out."""
    if family.quantile is not None:
        u = jnp.asarray([*LEVELS, 0.5, *(1.0 - level for level in LEVELS)])
        v = jnp.asarray([*(1.0 - level for level in LEVELS), 0.5, *LEVELS])
        return of.quantile(p, u, v)
    shape = of.profile(p)
    knots = jnp.sort(jnp.ravel(of.knots(shape)))
    x = jnp.concatenate(
        [knots[:: max(1, knots.size // 10)], shape.center[0] + 2.0 * (knots[jnp.asarray([0, -1])] - shape.center[0])]
    )
    low, high = (0.0 if end is None else end for end in (shape.low, shape.high))
    x = x if shape.low is None else jnp.where(x < low, low + 1e-3 * jnp.abs(x - low), x)
    return x if shape.high is None else jnp.where(x > high, high - 1e-3 * jnp.abs(x - high), x)


@functools.cache
def evaluated(name):
    """All that the tests look at, for all parameters and points of a family, by one program."""
    row = ROWS[name]
    by = (1,) if name in FIXED_SHAPES else (0, 1)
    build = lambda params: Density(row.family, row.family.parameters(*params))  # noqa: E731

    def at(params, x):
        value, slopes = jax.value_and_grad(lambda params, x: of.log_prob(build(params), x), (0, 1))(params, x)
        tails = of.tails(build(params), x)
        rise = jax.grad(lambda params, x: of.tails(build(params), x)[0], by)(params, x)
        outside = jax.grad(lambda params, x: sum(of.tails(build(params), x)), by)(params, -1e4 - jnp.abs(x))
        return {"log_prob": value, "slopes": slopes, "tails": tails, "rise": rise, "outside": outside}

    def whole(params):
        p = build(params)
        x = jax.lax.stop_gradient(points(row.family, p))
        shape = of.profile(p)
        laid = jnp.concatenate([jnp.ravel(of.knots(shape)), shape.edges])
        ends = jnp.stack([jnp.min(laid), jnp.max(laid)])
        below, above = of.tails(p, ends)
        found = jax.vmap(at, (None, 0))(params, x)
        return found | {"x": x, "mass": 1.0 - below[0] - above[1], "centers": shape.center}

    def every(params):
        return jax.vmap(whole)(params) | {"all_centers": of.profile(build(params)).center}

    with jax.enable_x64(True):  # noqa: FBT003
        columns = tuple(jnp.asarray(column) for column in zip(*row.params, strict=True))
        return jax.tree.map(np.asarray, jax.jit(every)(columns))


def cases(name):
    """Where inside the support: parameters and x as exact numbers, and the place in the arrays."""
    mp.mp.dps = 60
    row, found = ROWS[name], evaluated(name)
    for i, params in enumerate(row.params):
        exact = [mp.mpf(value) for value in params]
        ends = row.family.support(row.family.parameters(*map(np.asarray, params)))
        low, high = (float(np.asarray(end)) for end in ends)
        for j, x in enumerate(map(float, found["x"][i])):
            # At an end a density is that of the next number inside; beyond the 4th root of all numbers it is held.
            if low < x < high and abs(x) < 1e70 and x not in params and has_density(row, mp.mpf(x), exact):
                yield row, found, (i, j), exact, mp.mpf(x)


def has_density(row, x, params):
    """Whether x is in the support, as far as mpmath knows, and the density not so small that it is held at 0."""
    try:
        value = row.log_pdf(x, *params)
    except (ValueError, ZeroDivisionError):
        return False
    return mp.im(value) == 0 and mp.isfinite(value) and value > -1e6


def slope_by(function, x, params, k):
    """The derivative of function(x, *params) in its k-th argument; 0 at infinity."""
    at = [x, *params][k]
    if not mp.isfinite(at):
        return mp.mpf(0)
    step = (abs(at) or min(1, abs(x))) * mp.mpf(10) ** -22
    with mp.workdps(60 if step > 1e-35 else 170):
        high, low = (function(*swapped(x, params, k, at + sign * step)) for sign in (1, -1))
        return (high - low) / (2 * step)


def conditioned(row, params, x):
    """By how many last digits of x and the parameters the log-density moves, at least 1."""
    parts = [abs(at * slope_by(row.log_pdf, x, params, k)) for k, at in enumerate([x, *params]) if mp.isfinite(at)]
    return max(1, *parts)


def swapped(x, params, k, value):
    arguments = [x, *params]
    arguments[k] = value
    return arguments


@pytest.mark.parametrize("name", ROWS)
def test_log_density_is_exact(name):
    checked = 0
    for row, found, place, params, x in cases(name):
        expected = row.log_pdf(x, *params)
        error = abs(found["log_prob"][place] - expected)
        assert error <= 1e-15 * conditioned(row, params, x) + 5e-14 * max(1, abs(expected)), (place, params, x)
        checked += 1
    assert checked >= 5 * len(ROWS[name].params)


@pytest.mark.parametrize("name", ROWS)
def test_derivatives_of_the_log_density(name):
    row = ROWS[name]
    for _, found, place, params, x in cases(name):
        by_params, by_x = found["slopes"]
        for k, got in enumerate([by_x, *by_params]):
            at = [x, *params][k]
            expected = slope_by(row.log_pdf, x, params, k)
            made_of = abs(expected) + (conditioned(row, params, x) / abs(at) if at and mp.isfinite(at) else 1)
            # What the rounding of log x moves it by, if nothing else.
            moved = abs(slope_by(row.log_pdf, x * (1 + mp.mpf(10) ** -13), params, k) - expected)
            assert abs(float(got[place]) - expected) <= 1e-11 * made_of + moved, (k, place, params, x)


@pytest.mark.parametrize("name", ROWS)
def test_tails_keep_their_digits(name):
    for row, found, place, params, x in cases(name):
        for got, expected in zip(found["tails"], row.tails(x, *params), strict=True):
            if expected > mp.mpf(10) ** -250:
                exact = 5e-12 + 1e-15 * conditioned(row, params, x)
                assert abs(float(got[place]) / expected - 1) <= exact, (place, params, x)


@pytest.mark.parametrize("name", ROWS)
def test_distribution_function_rises_by_the_density_and_stands_still_outside(name):
    found = evaluated(name)
    for row, _, place, params, x in cases(name):
        density = mp.exp(row.log_pdf(x, *params))
        below, _ = row.tails(x, *params)
        # Where it is close to 1 it rises by less than its rounding.
        if below < 0.999 and density > mp.mpf(10) ** -200:
            exact = 1e-9 + 1e-14 * conditioned(row, params, x)
            assert abs(float(found["rise"][-1][place]) / density - 1) <= exact, (place, params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found["outside"]))


@pytest.mark.parametrize("name", sorted(set(ROWS) - FIXED_SHAPES))
def test_distribution_function_has_derivatives_in_the_parameters(name):
    distribution = lambda *arguments: ROWS[name].tails(*arguments)[0]  # noqa: E731
    for row, found, place, params, x in cases(name):
        below, _ = row.tails(x, *params)
        if not 1e-30 < below < 0.999:
            continue
        for k, at in enumerate(params):
            if not mp.isfinite(at):
                continue
            expected = slope_by(distribution, x, params, k + 1)
            made_of = abs(expected) + below * conditioned(row, params, x) / (abs(at) or 1)
            assert abs(float(found["rise"][0][k][place]) - expected) <= 1e-9 * made_of, (k, place, params, x)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.family.quantile is not None])
def test_quantiles_are_inverse_to_the_tails(name):
    levels = np.asarray([*LEVELS, 0.5, *(1.0 - level for level in LEVELS)])
    others = np.asarray([*(1.0 - level for level in LEVELS), 0.5, *LEVELS])
    checked = 0
    for _, found, place, params, x in cases(name):
        below, above = (float(side[place]) for side in found["tails"])
        u, v = levels[place[1]], others[place[1]]
        got, expected = (below, u) if u < v else (above, v)
        scale = float(getattr(ROWS[name].family.parameters(*params), "scale", 0.0))
        rounded = (abs(float(x)) + scale) * np.exp(found["log_prob"][place]) / expected
        assert abs(got / expected - 1.0) <= 1e-11 + 4e-16 * rounded, (place, params, x)
        checked += 1
    assert checked >= 5 * len(ROWS[name].params)


@pytest.mark.parametrize("name", ROWS)
def test_profile_covers_the_mass_and_batches_of_members(name):
    found = evaluated(name)
    # Of a Cauchy variable both tails from 60 scales on are 0.011; those of a Student's t of half a degree are 0.08.
    assert (found["mass"] > (0.91 if name == "HALF_STUDENT_T" else 0.98)).all()
    np.testing.assert_allclose(np.sort(found["all_centers"]), np.sort(found["centers"].ravel()), rtol=1e-12)


@pytest.mark.parametrize("name", DRAWN)
def test_draws_follow_the_distribution_function(name):
    """P(X ≤ x) of draws is uniform: its mean is ½, within 4 standard errors, and so is that of its square."""
    row, num = ROWS[name], 4000

    @jax.jit
    def levels(params, key):
        p = row.family(*params)
        x = row.family.draw(key, p.params, (num,))
        return x, of.tails(p, x)[0]

    params = [jnp.asarray(column) for column in zip(*row.params, strict=True)]
    x, u = levels(params, jax.random.key(1))
    assert x.shape == (num, len(row.params))
    # Where shapes are tiny, draws are rounded to the end of the support.
    kept = np.mean((np.asarray(x) == 0.0) | (np.asarray(x) == 1.0), axis=0) < 1e-3
    assert kept.sum() >= 2
    for power in (1, 2):
        mean, deviation = 1 / (power + 1), math.sqrt(1 / (2 * power + 1) - 1 / (power + 1) ** 2)
        np.testing.assert_allclose(
            np.mean(np.asarray(u) ** power, axis=0)[kept], mean, atol=4 * deviation / math.sqrt(num)
        )


CUTS = {
    "one end": ("GAMMA", (2.0, 1.5), 0.5, math.inf),
    "other end": ("LOG_NORMAL", (0.0, 1.0), -math.inf, 3.0),
    "both ends": ("CAUCHY", (0.0, 1.0), 50.0, 1e4),
    "far out": ("NORMAL", (0.0, 1.0), 45.0, 47.0),
    "ends past the base's": ("UNIFORM", (0.0, 1.0), -1.0, 0.4),
}


@pytest.mark.parametrize("case", CUTS)
def test_any_density_can_be_cut(case, x64):
    name, params, low, high = CUTS[case]
    row = ROWS[name]
    p = truncated(row.family(*map(float, params)), low, high)
    own_low, own_high = (max(low, 0.0), min(high, 1.0)) if name == "UNIFORM" else (low, high)
    inside = np.linspace(max(own_low, -3.0), min(own_high, own_low + 9.0 if own_low > 0 else 9.0), 7)[1:-1]
    inside = inside[inside > 0] if name == "LOG_NORMAL" else inside

    @jax.jit
    def values(p, x):
        return of.log_prob(p, x), of.tails(p, x), of.quantile(p, *of.tails(p, x)), of.profile(p)

    log_p, (below, above), again, shape = values(p, jnp.asarray(inside))
    mp.mp.dps = 60
    end = lambda x, k: row.tails(mp.mpf(x), *map(mp.mpf, params))[k] if math.isfinite(x) else (x > 0) == (k == 0)  # noqa: E731
    start = 0.0 if name == "LOG_NORMAL" else own_low
    mass_above = (1 if start == 0.0 else end(start, 1)) - (
        0 if own_high == math.inf or own_high == 1.0 else end(own_high, 1)
    )
    for i, x in enumerate(map(float, inside)):
        expected = row.log_pdf(mp.mpf(x), *map(mp.mpf, params)) - mp.log(mass_above)
        assert abs(float(log_p[i]) - expected) < 1e-12 * max(1, abs(expected))
        after = row.tails(mp.mpf(x), *map(mp.mpf, params))[1] - (0 if own_high in (math.inf, 1.0) else end(own_high, 1))
        assert abs(float(above[i]) / (after / mass_above) - 1) < 1e-10
        assert abs(float(below[i]) - (1 - after / mass_above)) < 1e-12
    if name != "NORMAL":
        np.testing.assert_allclose(again, inside, rtol=1e-9)
    assert (shape.low is None) == (low == -math.inf and name not in ("LOG_NORMAL", "UNIFORM"))
    outside = jnp.asarray([x for x in (own_low - 1.0, own_high + 1.0) if math.isfinite(x)])
    assert (of.log_prob(p, outside) == -jnp.inf).all()
