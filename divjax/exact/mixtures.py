"""What mixtures of Gaussians allow exactly: everything quadratic in the densities, since ∫ N_i N_j is a
Gaussian.

∫ N(μ, Σ) N(μ', Σ') = N(μ − μ'; 0, Σ + Σ').
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.family import Density
from divjax.distributions.gaussian import GaussianMixture, gaussian_mixture
from divjax.numerics import linalg


def log_overlap(p: GaussianMixture, q: GaussianMixture, variance: Array | float = 0.0) -> Float[Array, "k l"]:
    """log ∫∫ N_i(x) N_j(y) N(x − y; 0, variance · I) for every pair of components."""
    dim = p.loc.shape[-1]
    cov_p, cov_q = (nu.matmul(m.scale_tril, jnp.swapaxes(m.scale_tril, -1, -2)) for m in (p, q))
    total = cov_p[:, None] + cov_q[None, :] + variance * jnp.eye(dim, dtype=cov_p.dtype)
    factor = linalg.cholesky(total)
    shift = p.loc[:, None] - q.loc[None, :]
    white = linalg.solve_triangular(factor, shift[..., None])[..., 0]
    log_det = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    return -0.5 * jnp.sum(white**2, axis=-1) - log_det - 0.5 * dim * math.log(2.0 * math.pi)


def log_inner(p: GaussianMixture, q: GaussianMixture) -> Float[Array, ""]:
    """log ∫ p q."""
    log = log_overlap(p, q)
    top = jax.lax.stop_gradient(jnp.max(jnp.where((p.weight[:, None] > 0.0) & (q.weight > 0.0), log, -jnp.inf)))
    top = nu.finite(top)
    return top + nu.safe_log(nu.matmul(p.weight, nu.bounded_exp(log - top), q.weight))


def mixture_l2(p: Density, q: Density) -> Float[Array, ""] | None:
    """∫ (p−q)² of two mixtures of Gaussians, or None."""
    p, q = gaussian_mixture(p), gaussian_mixture(q)
    return None if p is None or q is None else quadratic(p, q)


def quadratic(p: GaussianMixture, q: GaussianMixture, variance: Array | float = 0.0) -> Float[Array, ""]:
    """⟨p, p⟩ + ⟨q, q⟩ − 2⟨p, q⟩ of ∬ p(x) q(y) N(x − y; 0, variance · I), as one signed sum; ≥ 0 by clipping."""
    both = GaussianMixture(*(jnp.concatenate(leaves) for leaves in zip(p, q, strict=True)))
    weight = jnp.concatenate([p.weight, -q.weight])
    value = nu.matmul(weight, jnp.exp(log_overlap(both, both, variance)), weight)
    return jnp.maximum(value, 0.0)


def mixture_cauchy_schwarz(p: Density, q: Density) -> Float[Array, ""] | None:
    """−log(∫pq/√(∫p²∫q²)) of two mixtures of Gaussians, or None."""
    p, q = gaussian_mixture(p), gaussian_mixture(q)
    if p is None or q is None:
        return None
    value = 0.5 * log_inner(p, p) + 0.5 * log_inner(q, q) - log_inner(p, q)
    return jnp.maximum(value, 0.0)
