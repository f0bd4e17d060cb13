"""Values and gradients through quadrature, in p's and in q's parameters, against scipy's quad of textbook formulas."""

import functools
import warnings

import jax
import jax.numpy as jnp
import lines
import numpy as np
import pytest

import divjax as dj
from tests.marks import cases

# Before a release only: what repeats the check for one more family.
FURTHER = {
    "beta", "beta_steep", "cauchy", "gamma", "gamma_steep", "gumbel", "half_normal", "log_normal_distrax",
    "log_normal_tfp", "logistic", "student",
}  # fmt: skip
LOOSE = {"beta_steep": 1e-9, "gamma_steep": 1e-9}


@functools.cache
def measured(name, x64):
    line = lines.LINES[name]
    base = lines.BASES[line.ends]

    def function(theta, phi):
        return dj.jensen_shannon(dj.quadrature(base.build(phi), line.build(theta)))

    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        theta, phi = jnp.asarray(line.params, dtype), jnp.asarray(base.params, dtype)
        value, grads = jax.jit(jax.value_and_grad(function, (0, 1)))(theta, phi)
    return float(value), np.concatenate([np.asarray(grad) for grad in grads])


@pytest.mark.parametrize("name", cases(lines.LINES, slow=lines.LINES, exhaustive=FURTHER | {"mixture_of_objects"}))
def test_against_quad(name):
    line = lines.LINES[name]
    base, k = lines.BASES[line.ends], len(line.params)

    def exact(params):
        ends = sorted({*line.ends, *(params[i] for i in line.moving)})
        return lines.jensen_shannon(base.scipy(params[k:]), line.scipy(params[:k]), ends)

    value, grad = measured(name, x64=True)
    at = np.array([*line.params, *base.params])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, slopes = exact(at), lines.slopes(exact, at)
    assert value == pytest.approx(expected, rel=LOOSE.get(name, 1e-10))
    np.testing.assert_allclose(grad, slopes, atol=2e-8 * np.abs(slopes).max())


@pytest.mark.parametrize(
    "name", cases(lines.LINES, slow=lines.LINES, exhaustive=FURTHER - {"gamma_steep"} | {"laplace"})
)
def test_float32_against_float64(name):
    (value, grad), (exact, slopes) = measured(name, x64=False), measured(name, x64=True)
    steep = name == "beta_steep"  # 1 − x is rounded where the density is infinite
    assert value == pytest.approx(exact, rel=2e-5 if steep else 2e-6)
    np.testing.assert_allclose(grad, slopes, atol=(2e-4 if steep else 1e-5) * np.abs(slopes).max())


@pytest.mark.parametrize("family", ["normal", pytest.param("laplace", marks=pytest.mark.slow)])
def test_second_derivatives(family, x64):
    """Newton's: the Hessian in the parameters against differences of the gradient, at and off coincident knots."""
    line = lines.LINES[family]
    at = jnp.asarray([0.3, 0.8])

    def function(theta, phi):
        return dj.jensen_shannon(dj.quadrature(line.build(phi), line.build(theta), crossings=0))

    gradient, hessian = jax.jit(jax.grad(function)), jax.jit(jax.hessian(function))
    for phi in (jnp.asarray([0.1, 1.0]), jnp.asarray([0.3, 1.0])):
        steps = 1e-5 * np.eye(2)
        differences = np.array([(gradient(at + d, phi) - gradient(at - d, phi)) / 2e-5 for d in steps])
        if family == "normal" or phi[0] != at[0]:
            np.testing.assert_allclose(hessian(at, phi), differences, atol=1e-6)
        assert np.isfinite(hessian(at, phi)).all()
