"""The multivariate normal: gap, and the geometry that needs its matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.distributions.exponential.family import combine_legs, same_support
from divjax.numerics import linalg, matmul, power_of_two


class Gaussian(NamedTuple):
    """loc [d], a lower Cholesky factor of the covariance [d, d], the power of the density (2 in squares)."""

    loc: Float[Array, " d"]
    scale_tril: Float[Array, "d d"]
    power: Float[Array, ""]


def covariance_difference(p: Gaussian, q: Gaussian) -> Float[Array, "d d"]:
    """Σ_p − Σ_q from the difference of the factors, so that p ≈ q loses nothing."""
    step = p.scale_tril - q.scale_tril
    half = matmul(step, p.scale_tril.T)
    other = matmul(q.scale_tril, step.T)
    return 0.5 * (half + half.T + other + other.T)


def _whiten(factor: Array, matrix: Array) -> Array:
    """L⁻¹ A L⁻ᵀ, symmetric."""
    half = linalg.solve_triangular(factor, matrix)
    full = linalg.solve_triangular(factor, half.T)
    return 0.5 * (full + full.T)


def _leg(start: Array, end: Array, slope: Array, length: Array) -> Array:
    """∫₀¹ s tr((Σ(s)⁻¹ slope)²) ds from factor ``start`` to factor ``end``: −log det in place of −log.

    As ``moment_of_inverse_square``: a series in Z = (2 + C)⁻¹ C where C = length L⁻¹ slope L⁻ᵀ is small.
    """
    dim = slope.shape[0]
    eye = jnp.eye(dim, dtype=slope.dtype)
    whitened = _whiten(start, slope)
    c = length * whitened
    # ‖C²‖^½ bounds the spectral radius
    near = jnp.sum(matmul(c, c) ** 2) < 0.5**4
    w, c = jnp.where(near, whitened, 0.0), jnp.where(near, c, 0.0)
    halves = linalg.solve(2.0 * eye + c, jnp.concatenate([c, 2.0 * w], axis=1))
    z, v = halves[:, :dim], halves[:, dim:]
    square = matmul(z, z)
    odd = eye / (2 * 17 + 3)
    for k in range(16, -1, -1):
        odd = matmul(odd, square) + eye / (2 * k + 3)
    inner = 0.5 * linalg.solve(eye + c, 2.0 * eye + c) + matmul(z, odd)
    series = 0.5 * jnp.sum(matmul(v, v) * inner.T)
    log_det = jnp.sum(jnp.log(jnp.diagonal(end)) - jnp.log(jnp.diagonal(start)))
    ratio = linalg.solve_triangular(end, start)
    far = 2.0 * log_det - dim + jnp.sum(ratio**2)
    far_length = jnp.where(near, 1.0, length)
    return jnp.where(near, series, far / far_length / far_length)


def _gap(alpha: Array, p: Gaussian, q: Gaussian) -> Array:
    """½ Δμᵀ Σ*⁻¹ Δμ + ½ K_logdet(1 − a), Σ* = a Σ_q + (1−a) Σ_p; +inf where Σ* is not positive definite."""
    roots = [jnp.sqrt(jax.lax.stop_gradient(jnp.max(jnp.abs(theta.scale_tril)))) for theta in (p, q)]
    unit = power_of_two(roots[0] * roots[1])  # between the two, so that squares are as far from either end as can be
    apart = (p.loc - q.loc) / unit
    p, q = (theta._replace(scale_tril=theta.scale_tril / unit) for theta in (p, q))
    difference = covariance_difference(p, q)
    # eigenvalues only decide the domain: no gradient passes through them
    whitened = _whiten(q.scale_tril, difference)
    spectrum = 1.0 + (1.0 - jax.lax.stop_gradient(alpha)) * linalg.eigvalsh(whitened)
    ok = ~(jnp.min(spectrum) <= 0.0)  # of a NaN, which stays one
    beta = 1.0 - jnp.where(ok, alpha, 0.5)
    sigma_q = matmul(q.scale_tril, q.scale_tril.T)

    middle = linalg.cholesky(sigma_q + beta * difference)

    def factor(t):
        # beta first, so that the derivative in alpha survives at alpha = 0 and 1
        return jnp.where(t == beta, middle, jnp.where(t == 0.0, q.scale_tril, p.scale_tril))

    spread = combine_legs(beta, lambda start, end, length: _leg(factor(start), factor(end), difference, length))
    shift = linalg.solve_triangular(middle, apart)
    return jnp.where(ok, 0.5 * p.power * jnp.sum(shift**2) + 0.5 * spread, jnp.inf)


GAUSSIAN = same_support(_gap)


def smooth(p: Gaussian, variance: Array) -> Gaussian:
    """p convolved with N(0, variance · I)."""
    dim = p.loc.shape[0]
    covariance = matmul(p.scale_tril, p.scale_tril.T) + variance * jnp.eye(dim, dtype=p.loc.dtype)
    return Gaussian(p.loc, linalg.cholesky(covariance), p.power)


def bures(p: Gaussian, q: Gaussian) -> Float[Array, ""]:
    """Squared 2-Wasserstein distance ‖Δμ‖² + ‖L_p − L_q U‖², U the best rotation (Procrustes): nothing
    cancels.

    U is taken as a constant plus its first variation, which is zero in value: the first two derivatives are
    exact and no derivative of an SVD is needed, which would fail at equal singular values.
    """
    cross = matmul(q.scale_tril.T, p.scale_tril)
    left, values, right = linalg.svd(cross)
    rotated = matmul(left.T, cross, right.T)
    twist = _over_sums(rotated - rotated.T, values)
    twist = twist - jax.lax.stop_gradient(twist)
    step, turn = p.scale_tril - q.scale_tril, _turn(matmul(left, right))
    # Rounding in U may be as large as the step: one Newton step on the skew part of Uᵀ cross.
    turned = matmul(q.scale_tril, turn)
    rest, image = jax.lax.stop_gradient((step - turned, q.scale_tril + turned))
    skew = matmul(right, image.T, rest, right.T)
    twist = twist + _over_sums(skew - skew.T, values)
    rest = step - matmul(q.scale_tril, turn + matmul(left, twist + 0.5 * matmul(twist, twist), right))
    return jnp.sum((p.loc - q.loc) ** 2) + jnp.sum(rest**2)


def _over_sums(skew: Array, values: Array) -> Array:
    """skew_ij / (values_i + values_j), and 0 in a plane where both singular values are 0 but for rounding.

    There every rotation is as good as another: covariances that are singular along it.
    """
    sums = values[:, None] + values[None, :]
    flat = sums <= 8.0 * len(values) * jnp.finfo(values.dtype).eps * values[0]
    return jnp.where(flat, 0.0, skew / jnp.where(flat, 1.0, sums))


def _turn(rotation: Array) -> Array:
    """U − 1 of a rotation; a small one is Cayley's transform 2 (1 − A)⁻¹ A of a skew A, as orthogonal as A is small."""
    eye = jnp.eye(rotation.shape[0], dtype=rotation.dtype)
    small = jnp.sum((rotation - eye) ** 2) < 0.25
    safe = jnp.where(small, rotation, eye)
    half = linalg.solve(eye + safe, safe - eye)
    skew = 0.5 * (half - half.T)
    return jnp.where(small, 2.0 * linalg.solve(eye - skew, skew), rotation - eye)
