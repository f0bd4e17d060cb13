"""Primitives without cancellation for the closed forms. Each is smooth, and so is its derivative."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from divjax.numerics import matmul

_SERIES = 18  # terms; enough for float64 at the radii used below


def log_max(x: Array) -> float:
    """The largest t with a finite e^t in the dtype of x, less a margin."""
    return float(np.log(jnp.finfo(x.dtype).max)) - 2.0


@jax.custom_jvp
def log_ratio(u: Array, v: Array) -> Array:
    """log(u/v) for u, v > 0, to full relative accuracy also where u ≈ v (u − v is exact there)."""
    near = jnp.abs(u - v) < 0.5 * v
    small = jnp.where(near, (u - v) / jnp.where(near, v, 1.0), 0.0)
    return jnp.where(near, jnp.log1p(small), jnp.log(u) - jnp.log(v))


@log_ratio.defjvp
def _log_ratio_jvp(primals, tangents):
    # by hand, because the derivative of a quotient squares its denominator, which underflows
    (u, v), (du, dv) = primals, tangents
    return log_ratio(u, v), du / u - dv / v


def one_minus_exp_over(y: Array) -> Array:
    """(1 − e^(−y))/y, which is 1 at y = 0."""
    near = jnp.abs(y) < 1e-2
    small, large = jnp.where(near, y, 0.0), jnp.where(near, 1.0, y)
    series = _horner(small, [(-1) ** k / _factorial(k + 1) for k in range(8)])
    return jnp.where(near, series, -jnp.expm1(-large) / large)


def log1p_over(z: Array) -> Array:
    """log(1 + z)/z for z > −1, which is 1 at z = 0."""
    near = jnp.abs(z) < 1e-2
    small, large = jnp.where(near, z, 0.0), jnp.where(near, 1.0, z)
    series = _horner(small, [(-1) ** k / (k + 1) for k in range(9)])
    return jnp.where(near, series, jnp.log1p(large) / large)


def relative_excess(u: Array, v: Array) -> Array:
    """u/v − 1 − log(u/v) ≥ 0 for u, v > 0, however far apart."""
    return expm1_minus(log_ratio(u, v))


def expm1_minus(x: Array) -> Array:
    """e^x − 1 − x ≥ 0; where it overflows, +inf with gradient 0."""
    near, over = jnp.abs(x) < 0.5, x > log_max(x)
    small = jnp.where(near, x, 0.0)
    series = small * small * _horner(small, [1.0 / _factorial(k + 2) for k in range(14)])
    large = jnp.where(over, 0.0, x)
    return jnp.where(near, series, jnp.where(over, jnp.inf, jnp.expm1(large) - large))


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
    odd = z * _horner(z * z, [1.0 / (2 * k + 3) for k in range(_SERIES)])
    rate = bounded * (1.0 - z)
    series = 0.5 * rate * rate * (1.0 / (1.0 + z) + odd)
    far_length = jnp.where(near, 1.0, length)
    far = expm1_minus(jnp.where(near, 0.0, -log_growth))
    return jnp.where(near, series, far / far_length / far_length)


def moment_of_exponential(c: Array) -> Array:
    """e^(−max(c, 0)) ∫₀¹ s e^(cs) ds: bounded by ½, so that the caller adds max(c, 0) to a logarithm."""
    near = jnp.abs(c) < 0.5
    small, large = jnp.where(near, c, 0.0), jnp.where(near, 1.0, c)
    series = _horner(small, [1.0 / (_factorial(k) * (k + 2)) for k in range(15)])
    decay = jnp.exp(-jnp.abs(large))
    rising = (large - 1.0 + decay) / large / large
    falling = (1.0 - decay * (1.0 - large)) / large / large
    far = jnp.where(large > 0.0, rising, falling)
    return jnp.where(near, series * jnp.exp(-jnp.maximum(small, 0.0)), far)


def trigamma_excess(x: Array) -> Array:
    """x² (ψ'(x) − 1/x) for x > 0: falls from 1 at 0 to ½ at infinity.

    Recurrence ψ'(x) − 1/x = [the same at x + 10] + Σ_k 1/((x+k)² (x+k+1)), all terms positive, then the
    asymptotic series (Abramowitz, Stegun 1964, 6.4.12).
    """
    shift = 10
    far = x + shift
    inverse = 1.0 / far
    # B_2k/y^(2k+1), divided by 1/(2y²)
    bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6]
    tail = 0.5 + inverse * _horner(inverse * inverse, bernoulli)
    ratio = x * inverse
    k = jnp.arange(1, shift, dtype=x.dtype)
    each = x[..., None] + k
    terms = jnp.sum((x[..., None] / each) ** 2 / (each + 1.0), axis=-1)
    # k = 0 apart, where x²/x² = 1 however small x is
    return 1.0 / (1.0 + x) + terms + ratio * ratio * tail


def segment_moment(curvature: Callable[[PyTree], Array], start: PyTree, end: PyTree) -> Float[Array, ""]:
    """∫₀¹ s f((1−s) start + s end) ds by tanh-sinh: nodes crowd at both ends, where parameters may be tiny.

    Both s and 1 − s come from tables, so that a point near either end keeps its relative accuracy.
    """
    s, rest, weight = _tanh_sinh()

    def at(s, rest):
        return curvature(jax.tree.map(lambda a, b: rest * a + s * b, start, end))

    dtype = jnp.result_type(*jax.tree.leaves(start))
    s, rest, weight = (jnp.asarray(a, dtype) for a in (s, rest, weight * s))
    return matmul(weight, jax.vmap(at)(s, rest))


def segment_difference(function: Callable[[PyTree], Array], start: PyTree, end: PyTree) -> Float[Array, ""]:
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


def safe_sqrt(x: Array) -> Array:
    """√x with gradient 0 at 0."""
    positive = x > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _horner(x: Array, coefficients: list[float]) -> Array:
    total = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1, n + 1, dtype=np.float64)))
