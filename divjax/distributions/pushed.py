"""Profiles of densities that are images of a standard one: panels lie where the images of its panels do."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax.distributions.family import EXPONENTIAL, Profile, is_infinite
from divjax.numerics import within


def pushed(
    image: Callable[[Any, Array], Array], params: Any, reach: tuple[float, ...], low: Any, high: Any, order: Any = 8.0
) -> Profile:
    """The profile of x = image(params, z), which grows with z; of z the panels go as far as ``reach`` says."""
    ends = np.concatenate([-np.asarray(reach[:0:-1]), np.asarray(reach)])
    # Four panels for one: a map like exp stretches the outer ones, and the density with them.
    finer = np.append(np.ravel(ends[:-1, None] + np.diff(ends)[:, None] * np.arange(4) / 4), ends[-1])
    params = jax.tree.map(lambda leaf: leaf[..., None], params)
    z = jnp.asarray(finer, jax.tree.leaves(params)[0].dtype)
    x = image(params, z)
    top = jnp.finfo(x.dtype).max ** 0.5
    x = within(x, top)
    # The outermost image gets the scale of its distance from the middle one: the tail panel starts there.
    scale = jnp.abs(x - x[..., x.shape[-1] // 2, None])
    low, high = (None if is_infinite(end) else jnp.ravel(jnp.asarray(end, x.dtype)) for end in (low, high))
    edges = [end for end in (low, high) if end is not None]
    none = jnp.zeros((0,), x.dtype)
    low, high = (None if low is None else jnp.min(low)), (None if high is None else jnp.max(high))
    edges = jnp.concatenate(edges) if edges else none
    return Profile(jnp.ravel(x), jnp.ravel(scale), (0.0,), none, edges, low, high, order)


def by_quantile(quantile: Callable[..., Array], params: Any, low: Any, high: Any, order: Any = 8.0) -> Profile:
    """The profile of a density whose quantiles are in closed form: an image of a logistic variable."""
    return pushed(
        lambda params, z: quantile(params, jax.nn.sigmoid(z), jax.nn.sigmoid(-z)), params, EXPONENTIAL, low, high, order
    )


def steep(*shapes: Array) -> Array:
    """How steeply panels are graded towards an end where the density goes like a power: shape − 1 of the distance."""
    shape = jnp.min(jnp.stack([jnp.min(shape) for shape in shapes]))
    return 4.0 * jnp.maximum(2.0, 1.0 / shape)
