"""The von Mises family: natural parameter κ (cos μ, sin μ), log-partition log I₀(κ)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential.family import combine_legs, mix, same_support
from divjax.numerics import segments


class Polar(NamedTuple):
    loc: Float[Array, ""]
    concentration: Float[Array, ""]


_BORDER = 20.0  # above it the asymptotic series has 16 digits
_ANGLES = np.linspace(0.0, np.pi, 33)
_WEIGHTS = np.where(np.isin(np.arange(33), (0, 32)), 0.5, 1.0)


def _asymptotic(terms: int) -> list[float]:
    """Coefficients of A = I₁/I₀ = Σ c_n κ^(−n) at infinity, from A' = 1 − A/κ − A²."""
    c = np.zeros(terms)
    c[0] = 1.0
    for n in range(1, terms):
        c[n] = ((n - 2) * c[n - 1] - np.dot(c[1:n], c[1:n][::-1])) / 2
    return c.tolist()


_FAR = _asymptotic(23)
_SLOPE = [n * c for n, c in enumerate(_FAR)][1:]


def _ratio_and_slope(kappa: Array) -> tuple[Array, Array]:
    """A(κ)/κ = E sin² θ and A'(κ) = Var cos θ: by the trapezoidal rule, spectrally exact on the circle.

    1 − A/κ − A² would cancel.
    """
    far = kappa > _BORDER
    low, high = jnp.where(far, 1.0, kappa), 1.0 / jnp.where(far, kappa, _BORDER)
    versine = jnp.asarray(2.0 * np.sin(0.5 * _ANGLES) ** 2, kappa.dtype)
    square = jnp.asarray(np.sin(_ANGLES) ** 2, kappa.dtype)
    weight = jnp.asarray(_WEIGHTS, kappa.dtype) * jnp.exp(-low * versine)
    weight = weight / jnp.sum(weight)
    centred = versine - nu.matmul(weight, versine)
    ratio = high * nu.polynomial(high, _FAR)
    slope = -high * high * nu.polynomial(high, _SLOPE)
    return (
        jnp.where(far, ratio, nu.matmul(weight, square)),
        jnp.where(far, slope, nu.matmul(weight, centred**2)),
    )


def _curvature(eta: Array, delta: Array) -> Array:
    """Tangential A/κ and radial A' parts of Δᵀ∇² log I₀ Δ."""
    square = jnp.sum(eta**2)
    kappa = nu.safe_sqrt(square)
    ratio, slope = _ratio_and_slope(kappa)
    some = square > 0.0
    along = jnp.where(some, jnp.sum(eta * delta) ** 2 / jnp.where(some, square, 1.0), jnp.sum(delta**2))
    across = jnp.sum(delta**2) - along
    return slope * along + ratio * across


def _gap(alpha: Array, p: Polar, q: Polar) -> Array:
    # in the frame of q's direction, where the difference of natural parameters does not cancel
    turn = p.loc - q.loc
    eta_q = jnp.stack([q.concentration, jnp.zeros_like(turn)])
    delta = jnp.stack(
        [
            p.concentration - q.concentration - 2.0 * p.concentration * jnp.sin(0.5 * turn) ** 2,
            p.concentration * jnp.sin(turn),
        ]
    )
    eta_p = p.concentration * jnp.stack([jnp.cos(turn), jnp.sin(turn)])

    def leg(start, end, _):
        ends = mix(start, eta_p, eta_q), mix(end, eta_p, eta_q)
        return segments.moment(lambda eta: _curvature(eta, delta), *ends)

    return combine_legs(alpha, leg)


VON_MISES = same_support(_gap)
