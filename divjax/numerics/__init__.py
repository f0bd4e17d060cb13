"""Every guard against overflow, log 0 and cancellation lives here and nowhere else.

The functions are smooth extensions of textbook formulas: equal to them in exact arithmetic, accurate in floating
point, with derivatives of every order and never a NaN.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float


def matmul(*factors: Array) -> Array:
    """a @ b @ ..., from the left, in full precision: by default a GPU rounds float32 to 11 bits in it, a TPU to 8."""
    return functools.reduce(functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST), factors)


def log_ratio(log_p: Array, log_q: Array) -> Array:
    """log p − log q, which is 0 where p = q = 0 and ±inf where one of the two is 0."""
    both_zero = (log_p == -jnp.inf) & (log_q == -jnp.inf)
    return jnp.where(both_zero, 0.0, log_p) - jnp.where(both_zero, 0.0, log_q)


def finite(x: Array) -> Array:
    """x, but 0 with zero derivative where it is infinite: for factors whose partner is 0 there. NaN stays."""
    return jnp.where(jnp.isinf(x), 0.0, x)


def held(x: Array) -> Array:
    """x, short of infinity by so much that exponentials of it are 0 and products with it are finite."""
    return jnp.clip(x, -far(x.dtype), far(x.dtype))


def far(dtype: jnp.dtype) -> float:
    """The number whose square is the largest of its dtype."""
    return math.sqrt(jnp.finfo(dtype).max)


def bounded_exp(x: Array) -> Array:
    """exp(x), held at a large finite number where it would overflow, so that 0 · exp(x) is 0."""
    return jnp.exp(jnp.minimum(x, math.log(jnp.finfo(x.dtype).max) - 4.0))


def over_order(x: Array, order: Array) -> Array:
    """x / order for order > 0, and +inf, a constant, at and below 0; x ≥ 0.

    So close to 0 that a derivative in the order would overflow, the order is a constant too.
    """
    positive, top = order > 0.0, 1e-3 * jnp.finfo(x.dtype).max
    safe = jnp.where(positive, order, 1.0)
    steep = safe * safe * safe * top <= x
    quotient = jnp.where(steep, x / jax.lax.stop_gradient(safe), x / jnp.where(steep, 1.0, safe))
    return jnp.where(positive, quotient, jnp.inf)


def _terms(dtype: jnp.dtype) -> int:
    """The power after which the exponential series on |t| ≤ 1/2 is exact to rounding."""
    eps, k, term = float(jnp.finfo(dtype).eps), 2, 1 / 8
    while term > eps / 32:
        k, term = k + 1, term / 2 / (k + 1)
    return k


def polynomial(t: Array, coefficients: Sequence[ArrayLike]) -> Array:
    """Σ c_k t^k, by Horner's rule."""
    total = jnp.full_like(t, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * t + c
    return total


def exp_excess(t: Array) -> Array:
    """e^t − 1 − t ≥ 0 for |t| ≤ 1/2, to full relative precision, by its series."""
    return t * t * polynomial(t, [1 / math.factorial(k) for k in range(2, _terms(t.dtype) + 1)])


def exp_slope(t: Array) -> Array:
    """(e^t − 1) / t for |t| ≤ 1/2, by its series."""
    return polynomial(t, [1 / math.factorial(k) for k in range(1, _terms(t.dtype) + 2)])


def log1p_slope(z: Array) -> Array:
    """−log(1 − z) / z, which is 1 at 0. For z < 1."""
    # By its series Σ z^k / (k + 1) for |z| < 0.1: the derivatives of the quotient cancel there.
    small = jnp.abs(z) < 0.1
    # Rounding, or masses that are not one, may bring z to 1 and beyond.
    safe, x = jnp.where(small, 0.5, jnp.minimum(z, 1.0 - jnp.finfo(z.dtype).eps)), jnp.where(small, z, 0.0)
    series = jnp.zeros_like(z)
    for k in range(2 - math.ceil(math.log10(jnp.finfo(z.dtype).eps)), 0, -1):
        series = 1.0 / k + x * series
    return jnp.where(small, series, -jnp.log1p(-safe) / safe)


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


@functools.cache
def _tanh_series(num: int) -> tuple[float, ...]:
    """c_k of tanh t = Σ c_k t^(2k+1), from tanh' = 1 − tanh²."""
    c = [1.0]
    for k in range(1, num):
        c.append(-sum(c[i] * c[k - 1 - i] for i in range(k)) / (2 * k + 1))
    return tuple(c)


def _even_series(t: Array, radius: float, coefficient: Callable[[int], float]) -> Array:
    """Σ c_k coefficient(k) t^(2k+2) with the c_k of tanh, for |t| ≤ radius."""
    # A term is at most (radius / (π/2))² of the one before.
    num = 1 + math.ceil(math.log(jnp.finfo(t.dtype).eps) / (2.0 * math.log(radius / (0.5 * math.pi))))
    square = t * t
    return square * polynomial(square, [c * coefficient(k) for k, c in enumerate(_tanh_series(num))])


def log_cosh_excess(t: Array) -> tuple[Array, Array]:
    """Where |t| < 1/2, and t tanh t − log cosh t ≥ 0 there to full relative precision; 0 elsewhere."""
    near = jnp.abs(t) < 0.5
    return near, _even_series(jnp.where(near, t, 0.0), 0.5, lambda k: (2 * k + 1) / (2 * k + 2))


@jax.custom_jvp
def logs_over_mean(d: Array) -> tuple[Array, Array]:
    """(log p/m, log q/m) for m = (p + q)/2 and d = log p/q, each to full relative precision."""
    distance = jnp.abs(d)
    near = distance < 0.5
    t = jnp.where(near, 0.5 * distance, 0.0)
    by_series = t - _even_series(t, 0.25, lambda k: 1 / (2 * k + 2))
    larger = jnp.where(near, by_series, math.log(2.0) - jnp.log(1.0 + jnp.exp(-distance)))
    return larger + jnp.minimum(d, 0.0), larger - jnp.maximum(d, 0.0)


@logs_over_mean.defjvp
def _logs_over_mean_jvp(primals, tangents):
    (d,), (tangent,) = primals, tangents
    of_p, of_q = _shares(d)
    return logs_over_mean(d), (of_q * tangent, -of_p * tangent)


@jax.custom_jvp
def _shares(d: Array) -> tuple[Array, Array]:
    """(p/(p + q), q/(p + q)) for d = log p/q, of the exponential that ``logs_over_mean`` has."""
    ratio = jnp.exp(-jnp.abs(d))
    larger = 1.0 / (1.0 + ratio)
    smaller = ratio * larger
    return jnp.where(d >= 0.0, larger, smaller), jnp.where(d >= 0.0, smaller, larger)


@_shares.defjvp
def _shares_jvp(primals, tangents):
    (d,), (tangent,) = primals, tangents
    of_p, of_q = _shares(d)
    slope = of_p * of_q * tangent
    return (of_p, of_q), (slope, -slope)


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


def logsumexp(x: Array) -> Float[Array, ""]:
    """log Σ e^x over all entries: −inf for nothing but −inf, +inf for a +inf, with zero gradient at both."""
    infinite = jnp.any(x == jnp.inf)
    x = jnp.where(infinite, 0.0, x)
    top = jax.lax.stop_gradient(jnp.max(x))
    top = jnp.where(top == -jnp.inf, 0.0, top)
    total = jnp.sum(jnp.exp(x - top))
    empty = total == 0.0
    finite_sum = jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1.0, total)) + top)
    return jnp.where(infinite, jnp.inf, finite_sum)


def softmax(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """e^x / Σ e^x, 0 everywhere for nothing but −inf: it sums to one to rounding also where x is large.

    e^(x − log Σ e^x) does not: the logarithm is rounded by as much as x is.
    """
    top = finite(jax.lax.stop_gradient(jnp.max(x)))
    power = jnp.exp(x - top)
    return safe_ratio(power, jnp.sum(power))


def log_mixture(log_p: Array, log_q: Array, weight: ArrayLike) -> Array:
    """log(w p + (1−w) q), −inf where both are."""
    weight = jnp.asarray(weight, log_p.dtype)
    top = jnp.maximum(log_p, log_q)
    top = jnp.where(top == -jnp.inf, 0.0, top)
    total = weight * jnp.exp(log_p - top) + (1.0 - weight) * jnp.exp(log_q - top)
    # Where the larger has no weight and the smaller underflows beside it, the mixture is the smaller.
    alone = jnp.where(weight > 0.5, log_p, log_q)
    return jnp.where(total > 0.0, top + jnp.log(jnp.where(total > 0.0, total, 1.0)), alone)


def log_power(log_x: Array, order: ArrayLike) -> Array:
    """log x^order = order · log x, −inf for x = 0 whatever the order, with derivative 0 in the order there."""
    return jnp.where(log_x == -jnp.inf, -jnp.inf, order * finite(log_x))


def safe_root(x: Array, order: ArrayLike = 2.0) -> Array:
    """x^(1/order) for x ≥ 0, with derivative 0 instead of inf at 0."""
    zero, order = x <= 0.0, jnp.asarray(order, x.dtype)  # of a NaN that is false: it stays
    return jnp.where(zero, 0.0, jnp.where(zero, 1.0, x) ** (1.0 / order))


def safe_sqrt(x: Array) -> Array:
    """√x for x ≥ 0, with derivative 0 instead of inf at 0: ``safe_root`` of order 2 without a power."""
    zero = x <= 0.0  # of a NaN that is false: it stays
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, x)))


def safe_log(x: Array) -> Array:
    """log x, and −inf with zero derivative where x ≤ 0."""
    positive = x > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1.0)), -jnp.inf)


def safe_ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 with zero derivative where b ≤ 0."""
    empty = b <= 0.0
    return jnp.where(empty, 0.0, a / jnp.where(empty, 1.0, b))


def difference(log_p: Array, log_q: Array, d: Array) -> Array:
    """p − q from the logarithms and d = log p − log q, to full relative precision where p ≈ q."""
    near = jnp.abs(d) < 0.5
    return jnp.where(near, jnp.exp(log_q) * jnp.expm1(jnp.where(near, d, 0.0)), jnp.exp(log_p) - jnp.exp(log_q))


def undifferentiable(x: Array, message: str) -> Float[Array, ""]:
    """0, whatever x; ValueError with this message where a derivative along x is asked for."""

    @jax.custom_jvp
    def zero(x):
        return jnp.zeros((), x.dtype)

    def jvp(primals, tangents):
        if not all(isinstance(tangent, jax.custom_derivatives.SymbolicZero) for tangent in tangents):
            raise ValueError(message)
        return zero(*primals), jnp.zeros((), primals[0].dtype)

    zero.defjvp(jvp, symbolic_zeros=True)
    return zero(x)


def sort_few(x: Array) -> Array:
    """``jnp.sort`` of a few dozen finite numbers [n] in n² elementwise steps, which a CPU vectorises, and vmap with it.

    XLA's own sort takes 40 ns an entry there. What is not finite is not put in order.
    """
    if x.size > 64:
        return jnp.sort(x)
    place = np.arange(x.size)
    before = (x < x[:, None]) | ((x == x[:, None]) & (place < place[:, None]))
    rank = jnp.sum(before, axis=1, dtype=jnp.int32)
    return jnp.sum(jnp.where(rank == place[:, None], x, 0.0), axis=1)
