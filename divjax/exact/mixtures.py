"""What mixtures of Gaussians allow exactly: everything quadratic in the densities, since ∫ N_i N_j is a
Gaussian.

∫ N(μ, Σ) N(μ', Σ') = N(μ − μ'; 0, Σ + Σ').
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential import families as fam
from divjax.distributions.exponential.multivariate import GAUSSIAN
from divjax.distributions.family import Density
from divjax.distributions.mixtures import MIXTURE, log_weights, weights
from divjax.distributions.vectors import dense
from divjax.exact.pair import member


class GaussianMixture(NamedTuple):
    """Normalised weights and their logarithms [k], loc [k, d] and lower Cholesky factors scale_tril [k, d, d].

    Weights are linear in what was given, so that one that is 0 has a derivative; its logarithm has none.
    """

    weight: Float[Array, " k"]
    log_w: Float[Array, " k"]
    loc: Float[Array, "k d"]
    scale_tril: Float[Array, "k d d"]


def gaussian_mixture(p: Density) -> GaussianMixture | None:
    """A Gaussian or a mixture of Gaussians, else None."""
    if p.family is not MIXTURE:
        found = _components(p)
        return found and alone(*found)
    groups = [_components(group) for group in p.params.groups]
    if any(group is None for group in groups):
        return None
    loc, scale_tril = (jnp.concatenate(leaves) for leaves in zip(*groups, strict=True))
    return GaussianMixture(*(w(p.params).astype(loc.dtype) for w in (weights, log_weights)), loc, scale_tril)


def alone(loc: Float[Array, " d"], scale_tril: Float[Array, "d d"]) -> GaussianMixture:
    """One Gaussian."""
    return GaussianMixture(jnp.ones(1, loc.dtype), jnp.zeros(1, loc.dtype), loc[None], scale_tril[None])


def _components(p: Density) -> tuple[Array, Array] | None:
    """loc [..., d] and scale_tril [..., d, d] of a batch of Gaussians."""
    found = member(p)
    if found is None:
        return None
    if found.tag == "Normal" and found.family is fam.NORMAL:
        loc, scale, _ = found.theta
        return loc[..., None], scale[..., None, None]
    found = dense(found)
    return tuple(found.theta[:2]) if found.family is GAUSSIAN else None


def log_overlap(p: GaussianMixture, q: GaussianMixture, variance: Array | float = 0.0) -> Float[Array, "k l"]:
    """log ∫∫ N_i(x) N_j(y) N(x − y; 0, variance · I) for every pair of components."""
    dim = p.loc.shape[-1]
    cov_p, cov_q = (nu.matmul(m.scale_tril, jnp.swapaxes(m.scale_tril, -1, -2)) for m in (p, q))
    total = cov_p[:, None] + cov_q[None, :] + variance * jnp.eye(dim, dtype=cov_p.dtype)
    factor = jnp.linalg.cholesky(total)
    shift = p.loc[:, None] - q.loc[None, :]
    white = jax.scipy.linalg.solve_triangular(factor, shift[..., None], lower=True)[..., 0]
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
