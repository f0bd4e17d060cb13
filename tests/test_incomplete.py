"""Derivatives of the regularised incomplete beta function by its shapes, against mpmath."""

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st

import divjax as dj
from divjax.distributions.density import tails
from divjax.distributions.family import Density
from divjax.distributions.resolve import resolve
from divjax.numerics.incomplete import betainc

SHAPES = (1e-3, 0.5, 3.7, 1e3)


def places(a, b):
    """Both far ends, and where the mass is."""
    mean, deviation = a / (a + b), (a * b / (a + b + 1.0)) ** 0.5 / (a + b)
    near = (mean - 5.0 * deviation, mean - deviation, mean, mean + deviation, mean + 5.0 * deviation)
    return [x for x in (1e-300, 1e-6, 0.3, 0.9, 1.0 - 1e-6, *near) if 0.0 < x < 1.0]


def slopes(a, b, x):
    """By a and by b, from differences of 200 digits."""
    with mp.workdps(200):
        a, b, x, step = mp.mpf(a), mp.mpf(b), mp.mpf(x), mp.mpf(10) ** -12
        value = lambda a, b: mp.betainc(a, b, 0, x, regularized=True)  # noqa: E731
        by_a = (value(a * (1 + step), b) - value(a * (1 - step), b)) / (2 * a * step)
        return float(by_a), float((value(a, b * (1 + step)) - value(a, b * (1 - step))) / (2 * b * step))


CASES = [(a, b, x) for a, b in itertools.product(SHAPES, SHAPES) for x in places(a, b)]
WANTED = np.array([slopes(*case) for case in CASES]).T


@pytest.mark.usefixtures("x64")
def test_derivatives_by_both_shapes_are_those_of_mpmath():
    found = jax.jit(jax.vmap(jax.grad(betainc, argnums=(0, 1))))(*jnp.asarray(CASES).T)
    np.testing.assert_allclose(found, WANTED, rtol=2e-10, atol=1e-300)


def test_derivatives_in_single_precision():
    """Where x is a number of it."""
    held = np.array([1e-30 < x < 0.95 and max(a, b) < 100.0 for a, b, x in CASES])
    found = jax.jit(jax.vmap(jax.grad(betainc, argnums=(0, 1))))(*jnp.asarray(CASES, jnp.float32)[held].T)
    np.testing.assert_allclose(found, WANTED[:, held], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_derivatives_of_higher_order():
    hessian = jax.jit(jax.hessian(betainc, argnums=(0, 1, 2)))(2.5, 1.4, 0.3)
    slope = jax.jit(jax.grad(betainc, argnums=(0, 1, 2)))
    for i, step in enumerate(1e-5 * jnp.eye(3)):
        up, down = (jnp.stack(slope(*(jnp.asarray([2.5, 1.4, 0.3]) + sign * step))) for sign in (1.0, -1.0))
        np.testing.assert_allclose(jnp.stack(hessian[i]), (up - down) / 2e-5, rtol=1e-8)


def test_both_ends_stand_still():
    assert jax.grad(betainc, argnums=(0, 1))(2.0, 3.0, 0.0) == (0.0, 0.0)
    assert jax.grad(betainc, argnums=(0, 1))(2.0, 3.0, 1.0) == (0.0, 0.0)
    assert np.isnan(jax.grad(betainc)(jnp.nan, 3.0, 0.5))


LAWS = {
    "beta": (lambda a, b: st.beta(a, b), (2.5, 1.4), 0.3),
    "t": (lambda df: st.t(df), (3.0,), 1.7),
    "nbinom": (lambda n: st.nbinom(n, 0.3), (3.5,), 4.0),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", LAWS)
def test_tails_move_with_shapes(name):
    build, shapes, x = LAWS[name]
    p = resolve(build(*shapes))
    moved = lambda shape: Density(p.family, p.params._replace(**{p.params._fields[0]: shape}))  # noqa: E731
    slope = float(jax.grad(lambda shape: tails(moved(shape), x)[0])(p.params[0]))
    step = 1e-5
    up, down = (build(shapes[0] + sign * step, *shapes[1:]).cdf(x) for sign in (1.0, -1.0))
    assert slope == pytest.approx((up - down) / (2.0 * step), rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_energy_moves_with_a_shape():
    from tensorflow_probability.substrates import jax as tfp

    def energy(a):
        return dj.energy(tfp.distributions.Beta(a, jnp.asarray(1.5)), tfp.distributions.Beta(2.0, 2.0))

    slope = (energy(1.2 + 1e-4) - energy(1.2 - 1e-4)) / 2e-4
    assert float(jax.grad(energy)(1.2)) == pytest.approx(float(slope), rel=1e-6)
