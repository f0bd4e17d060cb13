"""The regularised incomplete beta function, with derivatives by its shapes as well."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import numerics as nu
from divjax.numerics.special import exp_excess, stirling_rest

_NEWTON = 40
# ψ(x) − log x + 1/(2x): −B_2k / (2k) of x^(−2k).
_DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)


def betainc(a: Array, b: Array, x: Array) -> Array:
    """I_x(a, b) = P(X ≤ x) of a beta variable X, for a, b > 0 and 0 ≤ x ≤ 1.

    That of JAX, which has no derivative by a and b: ∂I/∂a = ∫₀ˣ p(t) (log t − E log X) dt, and the same with log(1 − t)
    by b. Over all of (0, 1) both integrals are 0: the tail beyond x that is away from the mode is integrated. There are
    derivatives of any order, those by a shape only where they are asked for.
    """
    return _betainc(*jnp.broadcast_arrays(a, b, x))


@jax.custom_jvp
def _betainc(a, b, x):
    return jax.scipy.special.betainc(a, b, x)


def _jvp(primals, tangents):
    a, b, x = map(jnp.asarray, primals)
    moves = [not isinstance(tangent, jax.custom_derivatives.SymbolicZero) for tangent in tangents]
    slopes = (*(_by_shapes(a, b, x) if moves[0] or moves[1] else (None, None)), _by_x(a, b, x) if moves[2] else None)
    tangent = sum(slope * each for slope, each, moved in zip(slopes, tangents, moves, strict=True) if moved)
    return _betainc(*primals), tangent + jnp.zeros_like(x)


_betainc.defjvp(_jvp, symbolic_zeros=True)


def _by_x(a, b, x):
    log_beta = jax.lax.lgamma(a) + jax.lax.lgamma(b) - jax.lax.lgamma(a + b)
    return jnp.exp((b - 1.0) * jnp.log1p(-x) + (a - 1.0) * jnp.log(x) - log_beta)


def _by_shapes(a: Array, b: Array, x: Array) -> tuple[Array, Array]:
    """Derivatives by a and by b, in y = log(x/(1 − x)), where the density is log-concave; 0 at both ends of x."""
    inside = (x > 0.0) & (x < 1.0)
    x = jnp.where(inside, x, 0.5)
    start = jnp.log(x) - jnp.log1p(-x)
    sign = jnp.where(start < jnp.log(a) - jnp.log(b), -1.0, 1.0)  # of the tail that begins at x and falls from there on
    y, log_w = _nodes(start, sign, jax.lax.stop_gradient(_length(a, b, start, sign)))
    log_density, away_a, away_b = _density(a[..., None], b[..., None], y)
    mass = jnp.exp(log_density + log_w)
    return tuple(jnp.where(inside, -sign * jnp.sum(mass * away, axis=-1), 0.0) for away in (away_a, away_b))


def _density(a: Array, b: Array, y: Array) -> tuple[Array, Array, Array]:
    """log of the density of y, and what log t and log(1 − t) have above their means."""
    total = a + b
    off_a = _log_quotient(-jax.nn.softplus(-y), jax.nn.sigmoid(y), a / total)
    off_b = _log_quotient(-jax.nn.softplus(y), jax.nn.sigmoid(-y), b / total)
    norm = stirling_rest(total) - stirling_rest(a) - stirling_rest(b)
    norm = norm + 0.5 * (jnp.log(a) + jnp.log(b) - jnp.log(2.0 * math.pi * total))
    rest_a, rest_b, rest = (_digamma_rest(shape) for shape in (a, b, total))
    log_density = norm - a * exp_excess(off_a) - b * exp_excess(off_b)
    return log_density, off_a - rest_a + rest, off_b - rest_b + rest


def _log_quotient(log_t, t, mean):
    """log(t/mean), where t may have underflown, and where it is close to the mean."""
    far = log_t - jnp.log(mean)
    near = jnp.abs(far) < 0.3
    return jnp.where(near, nu.log_quotient(jnp.where(near, t, mean), mean), far)


def _digamma_rest(x: Array) -> Array:
    """ψ(x) − log x for x > 0, about −1/(2x)."""
    large = x >= 10.0
    inverse, small = 1.0 / jnp.where(large, x, 10.0), jnp.where(large, 1.0, x)
    series = -0.5 * inverse + inverse * inverse * nu.polynomial(inverse * inverse, _DIGAMMA)
    return jnp.where(large, series, jax.lax.digamma(small) - jnp.log(small))


def _length(a, b, start, sign):
    """How far from ``start`` the density has fallen to rounding; rather too far: its logarithm is concave."""
    drop = 2.0 - math.log(jnp.finfo(start.dtype).eps)

    def slope(y):
        return -sign * (a * jax.nn.sigmoid(-y) - b * jax.nn.sigmoid(y))

    def fallen(y):
        return a * (jax.nn.softplus(-y) - jax.nn.softplus(-start)) + b * (jax.nn.softplus(y) - jax.nn.softplus(start))

    def newton(_, length):
        y = start + sign * length
        return length + (drop - fallen(y)) / slope(y)

    # Shorter than it is: then the first step goes too far, and all others come closer from there.
    at_most = slope(start) + jnp.sqrt(slope(start) ** 2 + 0.5 * (a + b) * drop)
    return jax.lax.fori_loop(0, _NEWTON, newton, 2.0 * drop / at_most)


def _nodes(start, sign, length):
    """y from ``start`` on, and log-weights: Gauss and Legendre's in arsinh y, so that branch points at ±iπ are far."""
    share, weight = (jnp.asarray(each, start.dtype) for each in _rule(jnp.finfo(start.dtype).bits))
    low, high = jnp.arcsinh(start), jnp.arcsinh(start + sign * length)
    t = low[..., None] + (high - low)[..., None] * share
    return jnp.sinh(t), jnp.log(jnp.abs(high - low))[..., None] + jnp.log(weight) + jnp.log(jnp.cosh(t))


def _rule(bits):
    x, w = np.polynomial.legendre.leggauss(128 if bits == 64 else 40)
    return 0.5 + 0.5 * x, 0.5 * w
