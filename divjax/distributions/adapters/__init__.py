"""What the objects of other libraries are: one file for each, a table from the names of its classes to records.

No file imports its library: an object brings its class along, and its parameters are read from its attributes.
"""

import functools
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from divjax.distributions.family import Density
from divjax.distributions.mixtures import mixture
from divjax.distributions.products import product
from divjax.distributions.protocol import is_by_protocol
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection, transformed

Serve = Callable[[Any], Density]


def look_up(
    dist: Any,
    kind: type,
    table: Mapping[str, Serve],
    serve: Serve,
    base: str = "Distribution",
    methods: Sequence[str] = ("log_prob", "_log_prob", "_prob"),
) -> Density | None:
    """What the table says of an object whose class is, or comes from, ``kind``; None where it does not know that class.

    An object whose class has a log-density of its own is not what ``kind`` is, and one that is known only to come from
    the library's ``base`` is of no known family: both are served by their own methods.
    """
    name = kind.__name__.lstrip("_")
    if name not in table:
        return serve(dist) if name == base else None
    has_own = any(getattr(type(dist), method, None) is not getattr(kind, method, None) for method in methods)
    return serve(dist) if has_own else table[name](dist)


def given(dist: Any) -> dict[str, Any]:
    """``{"probs": ...}`` or ``{"logits": ...}``, as the user gave them: most libraries answer for both."""
    probs, logits = dist._probs, dist._logits
    return {"logits": logits} if probs is None else {"probs": probs}


def batch_of_log_prob(dist: Any) -> tuple[int, ...]:
    """The axes of a log-density at one point: a ``batch_shape`` may be that of before a ``jax.vmap``."""
    x = jax.ShapeDtypeStruct(tuple(dist.event_shape), jnp.zeros(()).dtype)
    return jax.eval_shape(dist.log_prob, x).shape


def same_family(dist: Any, components: Any, weights: dict[str, Any], serve: Serve) -> Density:
    """A mixture of the members along the last axis of the components' batch."""
    group = resolve(components)
    if is_by_protocol(group):
        return serve(dist)
    ((name, value),) = weights.items()
    value = jnp.asarray(value)
    batch = jnp.broadcast_shapes(group.batch_shape, value.shape)
    return mixture([widened(group, batch)], **{name: jnp.broadcast_to(value, batch)})


def different_families(components: Sequence[Any], weights: dict[str, Any]) -> Density:
    """A mixture of distributions that are objects of their own."""
    parts = [resolve(component) for component in components]
    ((name, value),) = weights.items()
    value = jnp.asarray(value)
    batch = jnp.broadcast_shapes(value.shape[:-1], *(part.batch_shape for part in parts))
    groups = [jax.tree.map(lambda leaf: jnp.expand_dims(leaf, len(batch)), widened(part, batch)) for part in parts]
    return mixture(groups, **{name: jnp.broadcast_to(value, batch + value.shape[-1:])})


def independent(dist: Any, base: Any, ndims: int, serve: Serve) -> Density:
    """The product of the members along the last axes of the base's batch."""
    part = resolve(base)
    return serve(dist) if is_by_protocol(part) and ndims else product(part, ndims)


def image(dist: Any, base: Density, map_: PyTree, bijection: Bijection, ndims: int, serve: Serve) -> Density:
    """The density of y = b(x), for a map of arrays of so many axes."""
    base = product(base, max(ndims - len(base.event_shape), 0))
    if is_by_protocol(base) and base.batch_shape:
        return serve(dist)
    x = jax.ShapeDtypeStruct(base.batch_shape + base.event_shape, jnp.zeros(()).dtype)
    y = jax.eval_shape(functools.partial(bijection.forward, map_), x).shape
    # The axes of an event that a map changes are as many as before, for every map that the libraries have.
    event = y[len(y) - len(base.event_shape) :]
    batch = y[: len(y) - len(event)]
    if batch and event:
        return serve(dist)  # which axes of a map's arrays are a batch is not known
    return transformed(widened(base, batch), widened_leaves(map_, batch), bijection, event)


def widened(p: Density, batch: tuple[int, ...]) -> Density:
    """The same density for every place of a larger batch."""
    own = len(p.batch_shape)

    def full(leaf):
        rest = jnp.shape(leaf)[own:]
        return jnp.broadcast_to(jnp.reshape(leaf, (1,) * (len(batch) - own) + jnp.shape(leaf)), batch + rest)

    return p if p.batch_shape == batch else jax.tree.map(full, p)


def widened_leaves(map_: PyTree, batch: tuple[int, ...]) -> PyTree:
    """Arrays of a map on the line with a batch in front, so that it can be mapped over."""

    def full(leaf):
        return leaf if jnp.shape(leaf)[: len(batch)] == batch else jnp.broadcast_to(leaf, batch + jnp.shape(leaf))

    return jax.tree.map(full, map_) if batch else map_


def on_points(function: Any, axes_in: int, *axes_out: int) -> Any:
    """A function of one point as one of points with any axes in front."""
    letters = iter(string.ascii_letters)

    def core(axes):
        return f"({','.join(next(letters) for _ in range(axes))})"

    return jnp.vectorize(function, signature=f"{core(axes_in)}->{','.join(core(axes) for axes in axes_out)}")
