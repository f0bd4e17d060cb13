"""Gaussians and mixtures of Gaussians of any dimension, whatever record they are of: weights, locations, factors."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.multivariate import GAUSSIAN
from divjax.distributions.family import Density
from divjax.distributions.mixtures import MIXTURE, log_weights, weights
from divjax.distributions.real_line import NORMAL
from divjax.distributions.vectors import dense


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
    found = None if p.family.member is None else p.family.member(p.params)
    if found is None:
        return None
    if found.tag == "Normal" and found.family is gaps.NORMAL:
        loc, scale, _ = found.theta
        return loc[..., None], scale[..., None, None]
    found = dense(found)
    return tuple(found.theta[:2]) if found.family is GAUSSIAN else None


def is_normal(family: Any) -> bool:
    """Of which the KL from a point, and from a normal on fewer dimensions, is +inf."""
    return family is NORMAL
