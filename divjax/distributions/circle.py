"""Families on a circle, as densities on [−π, π]."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential.family import Member, Square, combine_legs, mix, same_support
from divjax.distributions.family import GAUSSIAN, Family, Profile, bounded
from divjax.numerics import segments

_LOG_2PI = math.log(2.0 * math.pi)
_X, _W = np.polynomial.legendre.leggauss(40)
_STEPS, _WEIGHTS = 0.5 + 0.5 * _X, 0.5 * _W  # on [0, 1]


# --- An exponential family: natural parameter κ (cos μ, sin μ), log-partition log I₀(κ) -------------------


class Polar(NamedTuple):
    loc: Float[Array, ""]
    concentration: Float[Array, ""]


_BORDER = 20.0  # above it the asymptotic series has 16 digits
_ANGLES = np.linspace(0.0, np.pi, 33)
_TRAPEZOID = np.where(np.isin(np.arange(33), (0, 32)), 0.5, 1.0)


def _asymptotic(terms: int) -> list[float]:
    """Coefficients of A = I₁/I₀ = Σ c_n κ^(−n) at infinity, from A' = 1 − A/κ − A²."""
    c = np.zeros(terms)
    c[0] = 1.0
    for n in range(1, terms):
        c[n] = ((n - 2) * c[n - 1] - np.dot(c[1:n], c[1:n][::-1])) / 2
    return c.tolist()


_FAR = _asymptotic(23)
_SLOPE = [n * c for n, c in enumerate(_FAR)][1:]


class _Moments(NamedTuple):
    """Of cos θ and sin θ under a concentration κ: A(κ)/κ = E sin² θ, A'(κ) = Var cos θ and 1 − A = E (1 − cos θ)."""

    ratio: Array
    slope: Array
    rest: Array


def _moments(kappa: Array) -> _Moments:
    """By the trapezoidal rule, spectrally exact on the circle: 1 − A/κ − A² would cancel."""
    far = kappa > _BORDER
    low, high = jnp.where(far, 1.0, kappa), 1.0 / jnp.where(far, kappa, _BORDER)
    versine = jnp.asarray(2.0 * np.sin(0.5 * _ANGLES) ** 2, kappa.dtype)
    square = jnp.asarray(np.sin(_ANGLES) ** 2, kappa.dtype)
    weight = jnp.asarray(_TRAPEZOID, kappa.dtype) * jnp.exp(-low * versine)
    weight = weight / jnp.sum(weight)
    mean = nu.matmul(weight, versine)
    return _Moments(
        jnp.where(far, high * nu.polynomial(high, _FAR), nu.matmul(weight, square)),
        jnp.where(far, -high * high * nu.polynomial(high, _SLOPE), nu.matmul(weight, (versine - mean) ** 2)),
        jnp.where(far, -high * nu.polynomial(high, _FAR[1:]), mean),
    )


def _direction(eta: Array) -> tuple[Array, Array]:
    """κ = ‖η‖ and the unit vector of η, 0 at 0."""
    kappa = nu.safe_sqrt(jnp.sum(eta**2))
    some = kappa > 0.0
    return kappa, jnp.where(some, eta / jnp.where(some, kappa, 1.0), 0.0)


def _curvature(eta: Array, delta: Array, cross: Array) -> Array:
    """Radial A' and tangential A/κ parts of Δᵀ∇² log I₀ Δ, with cross = η × Δ, which one segment has in common.

    ‖Δ‖² less its radial part would leave nothing but rounding of the tangential one where Δ is along η.
    """
    kappa, unit = _direction(eta)
    some, moments = kappa > 0.0, _moments(kappa)
    along = jnp.where(some, jnp.sum(unit * delta) ** 2, jnp.sum(delta**2))
    across = jnp.where(some, cross / jnp.where(some, kappa, 1.0), 0.0) ** 2
    return moments.slope * along + moments.ratio * across


def _bregman(start: Array, end: Array, cross: Array) -> Array:
    """KL(end‖start) = κ_s (1 − cos) A(κ_e) − (1 − A(κ_e)) (κ_e − κ_s) + log I₀(κ_s)/I₀(κ_e) less its κ_s − κ_e.

    No difference of large numbers; where the two are nearly equal it is one of nearly equal logarithms.
    """
    (kappa_s, _), (kappa_e, unit) = _direction(start), _direction(end)
    projected = jnp.sum(start * unit)
    acute, some = projected > 0.0, kappa_e > 0.0
    sine = cross / jnp.where(some, kappa_e, 1.0)
    fall = jnp.where(acute, sine * (sine / jnp.where(acute, kappa_s + projected, 1.0)), kappa_s - projected)
    log_i0e = lambda kappa: jnp.log(jax.scipy.special.i0e(kappa))  # noqa: E731
    rest = _moments(kappa_e).rest
    return fall * (1.0 - rest) - rest * (kappa_e - kappa_s) + log_i0e(kappa_s) - log_i0e(kappa_e)


def _leg(start: Array, end: Array, delta: Array, cross: Array, length: Array) -> Array:
    """∫₀¹ s φ''(start + s length Δ) ds; over a long way past small κ, where φ'' has a peak, by the primitive."""
    squares = [jnp.sum(eta**2) for eta in (start, end)]
    uneven = jnp.maximum(*squares) > 64.0 * jnp.minimum(*squares)
    long = (jnp.sum((end - start) ** 2) > 900.0) & (uneven | (jnp.sum(start * end) < 0.0))
    near_end, safe = jnp.where(long, start, end), jnp.where(long, length, 1.0)
    near = segments.moment(lambda eta: _curvature(eta, delta, cross), start, near_end)
    return jnp.where(long, _bregman(start, end, length * cross) / safe / safe, near)


def _gap(alpha: Array, p: Polar, q: Polar) -> Array:
    # in the frame of q's direction, where the difference of natural parameters does not cancel
    turn = p.loc - q.loc
    sine = p.concentration * jnp.sin(turn)
    eta_q = jnp.stack([q.concentration, jnp.zeros_like(turn)])
    delta = jnp.stack([p.concentration - q.concentration - 2.0 * p.concentration * jnp.sin(0.5 * turn) ** 2, sine])
    eta_p = jnp.stack([p.concentration * jnp.cos(turn), sine])

    def leg(start, end, length):
        ends = mix(start, eta_p, eta_q), mix(end, eta_p, eta_q)
        return _leg(*ends, delta, q.concentration * sine, length)

    return combine_legs(alpha, leg)


def _log_norm(theta: Polar) -> Array:
    """log ∫p²: the factor e^κ cancels in I₀(2κ)/I₀(κ)²."""
    i0e = jax.scipy.special.i0e
    kappa = theta.concentration
    return jnp.log(i0e(2.0 * kappa)) - 2.0 * jnp.log(i0e(kappa)) - _LOG_2PI


GAP = same_support(_gap)
SQUARE = Square(lambda theta: theta._replace(concentration=2.0 * theta.concentration), _log_norm)


# --- Its density ----------------------------------------------------------------------------------------


def _log_prob(params: Polar, x: Array) -> Array:
    """e^(κ cos(x − loc)) / (2π I₀(κ)), of period 2π."""
    versine = 2.0 * jnp.sin(0.5 * (x - params.loc)) ** 2
    return -params.concentration * versine - jnp.log(jax.scipy.special.i0e(params.concentration)) - _LOG_2PI


def _wrapped(x: Array) -> Array:
    return x - 2.0 * math.pi * jnp.round(x / (2.0 * math.pi))


def _tail(kappa: Array, z: Array) -> Array:
    """The mass of the arc from z ∈ [0, π] to π, about loc."""
    # Over as far as the density falls by e^−40 at least.
    width = jnp.minimum(math.pi - z, 250.0 / kappa / (z + jnp.sqrt(z * z + 250.0 / kappa)))
    t = width[..., None] * jnp.asarray(_STEPS, width.dtype)
    # 2 sin(t/2) sin(z + t/2) = cos z − cos(z + t)
    fall = 2.0 * jnp.sin(0.5 * t) * jnp.sin(z[..., None] + 0.5 * t)
    total = nu.matmul(jnp.exp(-kappa[..., None] * fall), jnp.asarray(_WEIGHTS, width.dtype))
    top = jnp.exp(-2.0 * kappa * jnp.sin(0.5 * z) ** 2)
    return width * total * top / (2.0 * math.pi * jax.scipy.special.i0e(kappa))


def _tails(params: Polar, x: Array) -> tuple[Array, Array]:
    """The arcs from −π to x and from x to π, of tails about loc, mirrored so that loc ≥ 0."""
    x = jnp.clip(x, -math.pi, math.pi)
    loc, kappa = _wrapped(params.loc), params.concentration
    mirrored = loc < 0.0
    x, loc = jnp.where(mirrored, -x, x), jnp.abs(loc)
    x, loc, kappa = jnp.broadcast_arrays(x, loc, kappa)
    z = x - loc
    end, here, over = _tail(kappa, math.pi - loc), _tail(kappa, jnp.minimum(jnp.abs(z), math.pi)), z < -math.pi
    around = _tail(kappa, jnp.where(over, jnp.minimum(z + 2.0 * math.pi, math.pi), math.pi - loc))
    below = jnp.where(over, end - around, end + jnp.where(z < 0.0, here, 1.0 - here))
    above = jnp.where(over, 1.0 - (end - around), jnp.where(z < 0.0, 1.0 - here, here) - end)
    return jnp.where(mirrored, above, below), jnp.where(mirrored, below, above)


def _profile(params: Polar) -> Profile:
    """The mass about loc, and what of it comes around at either end."""
    loc = jnp.ravel(_wrapped(params.loc))
    scale = jnp.ravel(jnp.minimum(1.0 / jnp.sqrt(params.concentration), 1.0))
    center = jnp.concatenate([loc, jnp.full_like(loc, -math.pi), jnp.full_like(loc, math.pi)])
    low, high = jnp.asarray(-math.pi, loc.dtype), jnp.asarray(math.pi, loc.dtype)
    return bounded(center, jnp.concatenate([scale] * 3), GAUSSIAN, low, high, 1.0)


VON_MISES = Family(
    positive=(),  # a concentration of 0 is the uniform law
    name="VonMises",
    parameters=Polar,
    log_prob=_log_prob,
    support=lambda params: (-math.pi, math.pi),
    profile=_profile,
    tails=_tails,
    member=lambda params: Member(GAP, "VonMises", params, square=SQUARE),
)
