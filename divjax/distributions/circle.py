"""Families on a circle, as densities on [−π, π]."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax.distributions.exponential.directions import VON_MISES as VON_MISES_GAP
from divjax.distributions.exponential.directions import Polar
from divjax.distributions.exponential.family import Member, Square
from divjax.distributions.family import GAUSSIAN, Family, Profile, bounded
from divjax.numerics import matmul

_LOG_2PI = math.log(2.0 * math.pi)
_X, _W = np.polynomial.legendre.leggauss(40)
_STEPS, _WEIGHTS = 0.5 + 0.5 * _X, 0.5 * _W  # on [0, 1]


def _log_norm(theta: Polar) -> Array:
    """log ∫p²: the factor e^κ cancels in I₀(2κ)/I₀(κ)²."""
    i0e = jax.scipy.special.i0e
    kappa = theta.concentration
    return jnp.log(i0e(2.0 * kappa)) - 2.0 * jnp.log(i0e(kappa)) - _LOG_2PI


VON_MISES_SQUARE = Square(lambda theta: theta._replace(concentration=2.0 * theta.concentration), _log_norm)


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
    total = matmul(jnp.exp(-kappa[..., None] * fall), jnp.asarray(_WEIGHTS, width.dtype))
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
    member=lambda params: Member(VON_MISES_GAP, "VonMises", params, square=VON_MISES_SQUARE),
)
