"""Guards against log 0, 0/0, overflow and infinite slopes: each leaves a NaN what it is."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


def finite(x: Array) -> Array:
    """x, but 0 with zero derivative where it is infinite: for factors whose partner is 0 there. NaN stays."""
    return jnp.where(jnp.isinf(x), 0.0, x)


def far(dtype: jnp.dtype) -> float:
    """The number whose square is the largest of its dtype."""
    return math.sqrt(jnp.finfo(dtype).max)


def log_max(x: Array) -> float:
    """The largest t with a finite e^t in the dtype of x, less a margin."""
    return math.log(jnp.finfo(x.dtype).max) - 2.0


def within(x: Array, bound: float) -> Array:
    """x where |x| ≤ bound, else the bound with its sign, a constant; NaN stays.

    As ``jnp.clip``, but without its derivative, which divides at every point to share a tie between x and the bound.
    """
    bound = jnp.asarray(bound, x.dtype)
    return jax.lax.clamp(-bound, x, bound)


def held(x: Array) -> Array:
    """x, short of infinity by so much that exponentials of it are 0 and products with it are finite."""
    return within(x, far(x.dtype))


def bounded_exp(x: Array) -> Array:
    """exp(x), held at a large finite number where it would overflow, so that 0 · exp(x) is 0."""
    return jnp.exp(jnp.minimum(x, math.log(jnp.finfo(x.dtype).max) - 4.0))


def over_order(x: Array, order: Array) -> Array:
    """x / order for order > 0, and +inf, a constant, at and below 0; x ≥ 0.

    So close to 0 that a derivative in the order would overflow, the order is a constant too.
    """
    none, top = order <= 0.0, 1e-3 * jnp.finfo(x.dtype).max
    safe = jnp.where(none, 1.0, order)
    steep = safe * safe * safe * top <= x
    quotient = jnp.where(steep, x / jax.lax.stop_gradient(safe), x / jnp.where(steep, 1.0, safe))
    return jnp.where(none, jnp.inf, quotient)


def log_power(log_x: Array, order: ArrayLike) -> Array:
    """log x^order = order · log x, −inf for x = 0 whatever the order, with derivative 0 in the order there."""
    return jnp.where(log_x == -jnp.inf, -jnp.inf, order * finite(log_x))


def safe_root(x: Array, order: ArrayLike = 2.0) -> Array:
    """x^(1/order) for x ≥ 0, with derivative 0 instead of inf at 0."""
    zero, order = x <= 0.0, jnp.asarray(order, x.dtype)  # of a NaN that is false: it stays
    return jnp.where(zero, 0.0, jnp.where(zero, 1.0, x) ** (1.0 / order))


def power_of_two(x: Array) -> Array:
    """The next power of two above x, by which a division is exact; 1 where x is 0 or not finite."""
    ordinary = (x > 0.0) & jnp.isfinite(x)
    return jnp.ldexp(jnp.ones_like(x), jnp.frexp(jnp.where(ordinary, x, 0.5))[1])


def safe_sqrt(x: Array) -> Array:
    """√x for x ≥ 0, with derivative 0 instead of inf at 0: ``safe_root`` of order 2 without a power."""
    zero = x <= 0.0  # of a NaN that is false: it stays
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, x)))


def safe_log(x: Array) -> Array:
    """log x, and −inf with zero derivative where x ≤ 0."""
    zero = x <= 0.0  # of a NaN that is false: it stays
    return jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1.0, x)))


def safe_ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 with zero derivative where b ≤ 0."""
    empty = b <= 0.0
    return jnp.where(empty, 0.0, a / jnp.where(empty, 1.0, b))


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
