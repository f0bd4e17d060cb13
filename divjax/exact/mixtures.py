"""What mixtures of Gaussians allow exactly: everything quadratic in the densities, since ∫ N_i N_j is a
Gaussian.

∫ N(μ, Σ) N(μ', Σ') = N(μ − μ'; 0, Σ + Σ').
"""

import math
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu
from divjax.exact import families as fam
from divjax.exact.members import dense, exponential_family
from divjax.exact.multivariate import GAUSSIAN

tfd = tfp.distributions


class GaussianMixture(NamedTuple):
    """log_w [k] (normalised), loc [k, d] and lower Cholesky factors scale_tril [k, d, d]."""

    log_w: Float[Array, " k"]
    loc: Float[Array, "k d"]
    scale_tril: Float[Array, "k d d"]


def gaussian_mixture(dist: Any) -> GaussianMixture | None:
    """A Gaussian or a mixture of Gaussians (``MixtureSameFamily``, ``MixtureOfTwo``, ``tfd.Mixture``), else
    None.
    """
    if isinstance(dist, distrax.MixtureOfTwo):
        prob = jnp.asarray(dist.prob_a)
        return _stack(jnp.stack([jnp.log(prob), jnp.log1p(-prob)]), [dist._component_a, dist._component_b])
    if isinstance(dist, tfd.Mixture):
        return _stack(_log_weights(dist.cat), list(dist.components))
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        parts = _components(dist.components_distribution)
        return parts and GaussianMixture(_log_weights(dist.mixture_distribution), *parts)
    parts = _components(dist)
    return parts and GaussianMixture(jnp.zeros(1, parts[0].dtype), parts[0][None], parts[1][None])


def _stack(log_w: Array, components: list) -> GaussianMixture | None:
    parts = [_components(c) for c in components]
    if any(part is None for part in parts):
        return None
    return GaussianMixture(log_w, *(jnp.stack(leaf) for leaf in zip(*parts, strict=True)))


def _log_weights(categorical: Any) -> Array:
    logits = getattr(categorical, "logits", None)
    logits = jnp.log(categorical.probs) if logits is None else logits
    return jax.nn.log_softmax(logits)


def _components(dist: Any) -> tuple[Array, Array] | None:
    """loc [..., d] and scale_tril [..., d, d] of a batch of Gaussians."""
    member = exponential_family(dist)
    if member is None:
        return None
    if member.tag == "Normal" and member.family is fam.NORMAL:
        loc, scale, _ = member.theta
        return loc[..., None], scale[..., None, None]
    member = dense(member)
    return tuple(member.theta[:2]) if member.family is GAUSSIAN else None


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


def log_inner(p: GaussianMixture, q: GaussianMixture, variance: Array | float = 0.0) -> Float[Array, ""]:
    """log ∫∫ p(x) q(y) N(x − y; 0, variance · I); variance 0 is log ∫ p q."""
    return jax.scipy.special.logsumexp(p.log_w[:, None] + q.log_w[None, :] + log_overlap(p, q, variance))


def mixture_l2(p: Any, q: Any) -> Float[Array, ""] | None:
    """∫ (p−q)² of two mixtures of Gaussians, or None."""
    p, q = gaussian_mixture(p), gaussian_mixture(q)
    return None if p is None or q is None else quadratic(p, q)


def quadratic(p: GaussianMixture, q: GaussianMixture, variance: Array | float = 0.0) -> Float[Array, ""]:
    """⟨p, p⟩ + ⟨q, q⟩ − 2⟨p, q⟩ of the inner product in ``log_inner``, as one signed sum; ≥ 0 by clipping."""
    loc = jnp.concatenate([p.loc, q.loc])
    factor = jnp.concatenate([p.scale_tril, q.scale_tril])
    weight = jnp.concatenate([jnp.exp(p.log_w), -jnp.exp(q.log_w)])
    both = GaussianMixture(weight, loc, factor)
    value = nu.matmul(weight, jnp.exp(log_overlap(both, both, variance)), weight)
    return jnp.maximum(value, 0.0)


def mixture_cauchy_schwarz(p: Any, q: Any) -> Float[Array, ""] | None:
    """−log(∫pq/√(∫p²∫q²)) of two mixtures of Gaussians, or None."""
    p, q = gaussian_mixture(p), gaussian_mixture(q)
    if p is None or q is None:
        return None
    value = 0.5 * log_inner(p, p) + 0.5 * log_inner(q, q) - log_inner(p, q)
    return jnp.maximum(value, 0.0)
