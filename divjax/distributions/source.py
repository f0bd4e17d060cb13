"""How to draw from a density: as a mixture of images of standard normal variables where that can be."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array

from divjax.distributions.density import quantile, tails
from divjax.distributions.family import Density, Source
from divjax.numerics.programs import of_structure


def source(p: Density) -> Source:
    """How to draw from ``p`` (see ``Source``); TypeError, with the remedy, for what cannot be drawn from.

    Its parameters may have the axes of z in front: one draw from each of many members.
    """
    family = p.family
    if family.source is not None:
        return family.source(p.params)
    if family.quantile is not None:
        return single(1, lambda key, index, z: at_normal(p, z[..., 0]), p.params)
    if family.draw is not None:

        def image(key, index, z):
            shape = z.shape[:-1]
            return family.draw(key, p.params, () if p.batch_shape else shape)

        return single(0, image, p.params)._replace(mapped=False, pathwise=family.pathwise)
    if family.tails is not None and family.profile is not None:
        return single(1, lambda key, index, z: at_normal(p, z[..., 0]), p.params)
    raise TypeError(
        f"Expected a distribution that can be drawn from; got {p.name}, which has no sampler. Draw from the other one "
        "(base='p' or 'q'), or give its record ``draw`` or ``quantile``."
    )


@of_structure
def outline(p: Density) -> Source:
    """``source`` without what would have to be computed: how many components there are, the dimension and the flags."""
    found = source(p)
    return found._replace(log_w=jax.ShapeDtypeStruct(found.log_w.shape, found.log_w.dtype), image=None)


def at_normal(p: Density, z: Array) -> Array:
    """The quantile at level Φ(z): both tails keep their digits."""
    return quantile(p, ndtr(z), ndtr(-z))


def to_normal(p: Density, x: Array) -> Array:
    """The z that ``at_normal`` takes to x."""
    below, above = tails(p, x)
    return jnp.where(below < above, ndtri(below), -ndtri(above))


def single(dim: int, image: Any, params: Any) -> Source:
    """One component, which its image needs no number of."""
    return Source(jnp.zeros(1, dtype_of(params)), image, dim, mapped=True, pathwise=True)


def dtype_of(params: Any) -> jnp.dtype:
    """The floating dtype of the parameters."""
    known = map(jnp.result_type, jax.tree.leaves(params))  # of Python's numbers too
    dtypes = [dtype for dtype in known if jnp.issubdtype(dtype, jnp.floating)]
    return jnp.result_type(*dtypes) if dtypes else jnp.result_type(float)
