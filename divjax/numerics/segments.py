"""Moments and differences along a segment, without cancellation, for the closed forms."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from divjax.numerics.arrays import matmul
from divjax.numerics.series import expm1_minus, polynomial

_SERIES = 18  # terms; enough for float64 at the radii used below


def moment_of_inverse_square(slope: Array, log_growth: Array, length: Array) -> Array:
    """∫₀¹ s slope²/(1 + s c)² ds, c = length · slope > −1; log_growth is log(1 + c), accurate near c = −1.

    The curvature of −log along a segment, relative to its start. Near: slope² H(c) with H(c) =
    (log1p(c) − c/(1 + c))/c², in z = c/(2 + c): H = (1 − z)²/2 (1/(1 + z) + z/3 + z³/5 + …). Far:
    (e^(−g) − 1 + g)/length², g = log_growth.
    """
    c = length * slope
    near = jnp.abs(c) < 0.5
    # a square that overflows has length, and with it its weight, 0
    bounded = jnp.where(near & (jnp.abs(slope) < 1e18), slope, 0.0)
    c = length * bounded
    z = c / (2.0 + c)
    odd = z * polynomial(z * z, [1.0 / (2 * k + 3) for k in range(_SERIES)])
    rate = bounded * (1.0 - z)
    series = 0.5 * rate * rate * (1.0 / (1.0 + z) + odd)
    far_length = jnp.where(near, 1.0, length)
    far = expm1_minus(jnp.where(near, 0.0, -log_growth))
    return jnp.where(near, series, far / far_length / far_length)


def moment_of_exponential(c: Array) -> Array:
    """e^(−max(c, 0)) ∫₀¹ s e^(cs) ds: bounded by ½, so that the caller adds max(c, 0) to a logarithm."""
    near = jnp.abs(c) < 0.5
    small, large = jnp.where(near, c, 0.0), jnp.where(near, 1.0, c)
    series = polynomial(small, [1.0 / (math.factorial(k) * (k + 2)) for k in range(15)])
    decay = jnp.exp(-jnp.abs(large))
    rising = (large - 1.0 + decay) / large / large
    falling = (1.0 - decay * (1.0 - large)) / large / large
    far = jnp.where(large > 0.0, rising, falling)
    return jnp.where(near, series * jnp.exp(-jnp.maximum(small, 0.0)), far)


def moment(curvature: Callable[[PyTree], Array], start: PyTree, end: PyTree) -> Float[Array, ""]:
    """∫₀¹ s f((1−s) start + s end) ds by tanh-sinh: nodes crowd at both ends, where parameters may be tiny.

    Both s and 1 − s come from tables, so that a point near either end keeps its relative accuracy.
    """
    s, rest, weight = _tanh_sinh()

    def at(s, rest):
        return curvature(jax.tree.map(lambda a, b: rest * a + s * b, start, end))

    dtype = jnp.result_type(*jax.tree.leaves(start))
    s, rest, weight = (jnp.asarray(a, dtype) for a in (s, rest, weight * s))
    return matmul(weight, jax.vmap(at)(s, rest))


def difference(function: Callable[[PyTree], Array], start: PyTree, end: PyTree) -> Float[Array, ""]:
    """f(end) − f(start) as the integral of its derivative along the segment, so that nothing cancels."""
    step = jax.tree.map(jnp.subtract, end, start)

    def slope(s, rest):
        point = jax.tree.map(lambda a, b: rest * a + s * b, start, end)
        return jax.jvp(function, (point,), (step,))[1]

    dtype = jnp.result_type(*jax.tree.leaves(start))
    s, rest, weight = (jnp.asarray(a, dtype) for a in _tanh_sinh())
    return matmul(weight, jax.vmap(slope)(s, rest))


def _tanh_sinh(step: float = 1 / 11, reach: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    u = np.arange(-round(reach / step), round(reach / step) + 1) * step
    bend = np.pi * np.sinh(u)
    s, rest = 1.0 / (1.0 + np.exp(-bend)), 1.0 / (1.0 + np.exp(bend))
    return s, rest, step * np.pi * np.cosh(u) * s * rest
