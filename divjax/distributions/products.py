"""Products of independent variables: the last axes of a density's batch as axes of one event."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax.distributions.density import log_prob, support
from divjax.distributions.exponential.family import Member, product_square
from divjax.distributions.exponential.family import product as product_gap
from divjax.distributions.family import Density, Family, Source
from divjax.distributions.source import at_normal, single, source


class ProductParameters(NamedTuple):
    """The density of all coordinates, as a batch."""

    base: Density


def product(base: Density, ndims: int = 1) -> Density:
    """The joint density of the members along the last ``ndims`` axes of the batch."""
    return Density(_family(ndims), ProductParameters(base)) if ndims else base


def coordinates(p: Density) -> Density | None:
    """The densities of the coordinates, a batch [d], of a product of d densities on the line; None for others."""
    base = getattr(p.params, "base", None) if p.family.name == "Independent" else None
    on_line = base is not None and not base.event_shape and len(base.batch_shape) == len(p.event_shape) == 1
    return base if on_line and base.family.tails is not None and base.family.profile is not None else None


def _event(params: ProductParameters, ndims: int) -> tuple[int, ...]:
    batch = params.base.batch_shape
    return batch[len(batch) - ndims :] + params.base.event_shape


def _log_prob(params: ProductParameters, x: Array, ndims: int) -> Array:
    base, own = params.base, len(params.base.event_shape)
    if base.family.parts is None and not own:  # elementwise
        return jnp.sum(log_prob(base, x), axis=tuple(range(x.ndim - ndims, x.ndim)))
    each = log_prob
    lead = x.ndim - ndims - own
    for _ in range(ndims):
        each = jax.vmap(each, (0, lead), -1)
    return jnp.sum(each(base, x), axis=tuple(range(-ndims, 0)))


def _source(params: ProductParameters, ndims: int) -> Source:
    base = params.base
    axes = base.batch_shape[len(base.batch_shape) - ndims :]
    on_line = base.family.parts is None and not base.event_shape
    if on_line and base.family.source is not None:
        inner = base.family.source(base.params)
        each = lambda key, index, z: inner.image(key, index, z.reshape(z.shape[:-1] + axes)[..., None])  # noqa: E731
        return single(math.prod(axes), each, base.params)._replace(pathwise=inner.pathwise)
    if on_line and base.family.quantile is not None:
        each = lambda key, index, z: at_normal(base, z.reshape(z.shape[:-1] + axes))  # noqa: E731
        return single(math.prod(axes), each, base.params)
    if on_line and base.family.draw is not None:
        each = lambda key, index, z: base.family.draw(key, base.params, z.shape[:-1])  # noqa: E731
        return single(0, each, base.params)._replace(mapped=False, pathwise=base.family.pathwise)
    member = source(jax.tree.map(lambda leaf: leaf[(0,) * ndims], base))
    # Which component of a mixture each coordinate falls to is drawn by the key alone, and moves with no weight.
    alone = member.log_w.size == 1

    def one(density, key, z):
        drawn, (key, key_own) = source(density), jax.random.split(key)
        index = 0 if alone else jax.random.categorical(key, drawn.log_w, shape=z.shape[:-1])
        return drawn.image(key_own, jnp.broadcast_to(index, z.shape[:-1]), z)

    def image(key, index, z):
        if not (alone and member.mapped):
            key, key_own = jax.random.split(key)
            z = jax.random.normal(key_own, (*z.shape[:-1], math.prod(axes) * member.dim), z.dtype)
        z = z.reshape(z.shape[:-1] + axes + (member.dim,))
        each, keys, lead = one, jax.random.split(key, axes), z.ndim - 1 - ndims
        for _ in range(ndims):
            each = jax.vmap(each, (0, 0, lead), lead)
        return each(base, keys, z)

    mapped, pathwise = alone and member.mapped, alone and member.pathwise
    dim = math.prod(axes) * member.dim if mapped else 0
    return single(dim, image, base.params)._replace(mapped=mapped, pathwise=pathwise)


def _member(params: ProductParameters, ndims: int) -> Member | None:
    base = params.base
    inner = base.family.member(base.params) if base.family.member is not None else None
    if inner is None:
        return None
    square = inner.square and product_square(inner.square, ndims)
    tag = "MultivariateNormal" if inner.tag == "Normal" and ndims == 1 else f"{inner.tag}^{ndims}"
    return inner._replace(family=product_gap(inner.family, ndims), tag=tag, square=square)


@functools.cache
def _family(ndims: int) -> Family:
    with_ndims = {
        name: functools.partial(function, ndims=ndims)
        for name, function in (("log_prob", _log_prob), ("event", _event), ("source", _source), ("member", _member))
    }
    return Family(
        name="Independent",
        parameters=ProductParameters,
        batch=lambda params: params.base.batch_shape[: len(params.base.batch_shape) - ndims],
        support=lambda params: support(params.base),
        parts=lambda params: (params.base,),
        **with_ndims,
    )
