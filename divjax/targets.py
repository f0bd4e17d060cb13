"""Benchmark targets: parameter arrays in, distrax distributions out. Build them inside the mapped function."""

import distrax
import jax.numpy as jnp
from jaxtyping import ArrayLike


def two_modes(
    separation: ArrayLike, *, weights: ArrayLike = (0.5, 0.5), scales: ArrayLike = (1.0, 1.0)
) -> distrax.MixtureSameFamily:
    """w₁ N(0, s₁²) + w₂ N(separation, s₂²): the two-mode target of the blog post, there with separation 16.

    weights and scales: [2]; weights sum to one. All traceable.
    """
    separation = jnp.asarray(separation, jnp.result_type(float))
    locs = jnp.stack([jnp.zeros_like(separation), separation])
    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.asarray(weights, locs.dtype)),
        distrax.Normal(locs, jnp.asarray(scales, locs.dtype)),
    )
