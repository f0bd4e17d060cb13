"""Power series, and the functions that need one where their textbook formula cancels."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax.numerics.guards import log_max


def polynomial(t: Array, coefficients: Sequence[ArrayLike]) -> Array:
    """Σ c_k t^k, by Horner's rule."""
    total = jnp.full_like(t, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * t + c
    return total


def _terms(dtype: jnp.dtype) -> int:
    """The power after which the exponential series on |t| ≤ 1/2 is exact to rounding."""
    eps, k, term = float(jnp.finfo(dtype).eps), 2, 1 / 8
    while term > eps / 32:
        k, term = k + 1, term / 2 / (k + 1)
    return k


def exp_excess(t: Array) -> Array:
    """e^t − 1 − t ≥ 0 for |t| ≤ 1/2, to full relative precision, by its series; ``expm1_minus`` for any t."""
    return t * t * polynomial(t, [1 / math.factorial(k) for k in range(2, _terms(t.dtype) + 1)])


def expm1_minus(x: Array) -> Array:
    """e^x − 1 − x ≥ 0; where it overflows, +inf with gradient 0."""
    near, over = jnp.abs(x) < 0.5, x > log_max(x)
    series = exp_excess(jnp.where(near, x, 0.0))
    large = jnp.where(over, 0.0, x)
    return jnp.where(near, series, jnp.where(over, jnp.inf, jnp.expm1(large) - large))


def exp_slope(t: Array) -> Array:
    """(e^t − 1) / t for |t| ≤ 1/2, by its series; ``one_minus_exp_over`` for any −t."""
    return polynomial(t, [1 / math.factorial(k) for k in range(1, _terms(t.dtype) + 2)])


def one_minus_exp_over(y: Array) -> Array:
    """(1 − e^(−y))/y, which is 1 at y = 0."""
    near = jnp.abs(y) < 0.5
    series, large = exp_slope(jnp.where(near, -y, 0.0)), jnp.where(near, 1.0, y)
    return jnp.where(near, series, -jnp.expm1(-large) / large)


def log1p_over(z: Array) -> Array:
    """log(1 + z)/z for z > −1, which is 1 at 0."""
    # By its series Σ (−z)^k / (k + 1) for |z| < 0.1: the derivatives of the quotient cancel there.
    near = jnp.abs(z) < 0.1
    small, large = jnp.where(near, -z, 0.0), jnp.where(near, 1.0, z)
    terms = 2 - math.ceil(math.log10(jnp.finfo(z.dtype).eps))
    series = polynomial(small, [1.0 / k for k in range(1, terms + 1)])
    return jnp.where(near, series, jnp.log1p(large) / large)


def log1p_slope(z: Array) -> Array:
    """−log(1 − z) / z, which is 1 at 0, for z < 1 that rounding, or masses that are not one, may bring beyond."""
    return log1p_over(-jnp.minimum(z, 1.0 - jnp.finfo(z.dtype).eps))


def power_excess(a: Array, d: Array) -> Array:
    """S(a, d) = (a e^d + 1 − a − e^(a d)) / (a (1 − a)) ≥ 0 for |d| max(1, |a|) ≤ 1/2, smooth through a = 0 and 1.

    Its series is Σ_{k≥2} d^k/k! (1 + a + … + a^(k−2)): no division, nothing that cancels at the limits.
    """
    # In powers of d max(1, |a|), so that neither a power of a nor its product with one of d leaves the dtype.
    reach = jnp.maximum(1.0, jnp.abs(a))
    sums, share = [jnp.ones_like(a)], 1.0 / reach
    for _ in range(2, _terms(d.dtype)):
        sums.append(share + a / reach * sums[-1])
        share = share / reach
    return d * d * polynomial(d * reach, [c / math.factorial(k) for k, c in enumerate(sums, 2)])


@functools.cache
def _tanh_series(num: int) -> tuple[float, ...]:
    """c_k of tanh t = Σ c_k t^(2k+1), from tanh' = 1 − tanh²."""
    c = [1.0]
    for k in range(1, num):
        c.append(-sum(c[i] * c[k - 1 - i] for i in range(k)) / (2 * k + 1))
    return tuple(c)


def even_tanh_series(t: Array, radius: float, coefficient: Callable[[int], float]) -> Array:
    """Σ c_k coefficient(k) t^(2k+2) with the c_k of tanh, for |t| ≤ radius."""
    # A term is at most (radius / (π/2))² of the one before.
    num = 1 + math.ceil(math.log(jnp.finfo(t.dtype).eps) / (2.0 * math.log(radius / (0.5 * math.pi))))
    square = t * t
    return square * polynomial(square, [c * coefficient(k) for k, c in enumerate(_tanh_series(num))])


def log_cosh_excess(t: Array) -> tuple[Array, Array]:
    """Where |t| < 1/2, and t tanh t − log cosh t ≥ 0 there to full relative precision; 0 elsewhere."""
    near = jnp.abs(t) < 0.5
    return near, even_tanh_series(jnp.where(near, t, 0.0), 0.5, lambda k: (2 * k + 1) / (2 * k + 2))


# B_2k / (2k (2k − 1)): Stirling's series of log Γ in 1/x.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
# (2^(1−n) − 2) B_n / (n (n − 1)) for n = 2, 4, ..., 14: of the difference of two series of Stirling's.
_HALF_STEP = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432, 691 / 180224, -5461 / 425984)


def gamma_half_step(x: Array) -> Array:
    """log Γ(x + ½) − log Γ(x) − ½ log x for x > 0, about −1/(8x), with derivatives to its own relative precision.

    By its asymptotic series for x ≥ 8, where the three terms cancel; they do by a few digits at most below.
    """
    large = x >= 8.0
    inverse, small = 1.0 / jnp.where(large, x, 8.0), jnp.where(large, 1.0, x)
    series = inverse * polynomial(inverse * inverse, _HALF_STEP)
    return jnp.where(large, series, jax.lax.lgamma(small + 0.5) - jax.lax.lgamma(small) - 0.5 * jnp.log(small))


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
    tail = 0.5 + inverse * polynomial(inverse * inverse, bernoulli)
    ratio = x * inverse
    k = jnp.arange(1, shift, dtype=x.dtype)
    each = x[..., None] + k
    terms = jnp.sum((x[..., None] / each) ** 2 / (each + 1.0), axis=-1)
    # k = 0 apart, where x²/x² = 1 however small x is
    return 1.0 / (1.0 + x) + terms + ratio * ratio * tail
