"""The von Mises family: natural parameter κ (cos μ, sin μ), log-partition log I₀(κ)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax.exact import _numerics as num
from divjax.exact.family import combine_legs, mix, same_support


class Polar(NamedTuple):
    loc: Float[Array, ""]
    concentration: Float[Array, ""]


def _riccati(terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of A = I₁/I₀ from A' = 1 − A/κ − A²: Σ d_n κ^(2n+1) at 0, Σ c_n κ^(−n) at infinity."""
    d, c = np.zeros(terms), np.zeros(terms)
    c[0] = 1.0
    for n in range(terms):
        d[n] = ((n == 0) - d[:n] @ d[:n][::-1]) / (2 * n + 2)
    for n in range(1, terms):
        c[n] = ((n - 2) * c[n - 1] - c[1:n] @ c[1:n][::-1]) / 2
    return d, c


_NEAR, _FAR = _riccati(23)


def _ratio_and_slope(kappa: Array) -> tuple[Array, Array]:
    """A(κ)/κ and A'(κ): series near 0, Bessel functions between, asymptotic where A' is a small
    difference.
    """
    from jax.scipy.special import i0e, i1e

    single = kappa.dtype == jnp.float32
    border, terms = (8.0, 12) if single else (20.0, 23)
    near, far = kappa < 0.75, kappa > border
    low = jnp.where(near, kappa, 0.0)
    middle = jnp.where(near | far, 1.0, kappa)
    high = 1.0 / jnp.where(far, kappa, border)
    bessel = i1e(middle) / i0e(middle)
    between = bessel / middle, 1.0 - bessel / middle - bessel**2
    powers = _NEAR[:18]
    small = _horner(low**2, powers), _horner(low**2, powers * (2 * np.arange(18) + 1))
    orders = np.arange(1, terms)
    large = (
        high * _horner(high, _FAR[:terms]),
        -high * high * _horner(high, orders * _FAR[1:terms]),
    )
    return tuple(
        jnp.where(near, s, jnp.where(far, b, m)) for s, m, b in zip(small, between, large, strict=True)
    )


def _horner(x: Array, coefficients: np.ndarray) -> Array:
    return num._horner(x, [float(c) for c in coefficients])


def _curvature(eta: Array, delta: Array) -> Array:
    """Tangential A/κ and radial A' parts of Δᵀ∇² log I₀ Δ."""
    square = jnp.sum(eta**2)
    kappa = num.safe_sqrt(square)
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
        return num.segment_moment(lambda eta: _curvature(eta, delta), *ends)

    return combine_legs(alpha, leg)


VON_MISES = same_support(_gap)
