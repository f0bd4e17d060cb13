"""Mixtures: records made of records. Components of one family are one density with an axis of members."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import Ends, decays, slowest
from divjax.distributions.density import hull, log_prob, profile, support, tails
from divjax.distributions.family import Density, Family, Profile, Source, floats
from divjax.distributions.source import dtype_of, source

FEW = 4  # terms that are added one by one


class MixtureParameters(NamedTuple):
    """Weights as they were given, one of the two is None, [..., k]; and groups of components.

    A group is a density of one family with its members along the last axis of its batch; weights go through the groups
    in order. Neither weights nor logits need be normalised.
    """

    probs: Float[Array, "*b k"] | None
    logits: Float[Array, "*b k"] | None
    groups: tuple[Density, ...]


def mixture(groups: Sequence[Density], *, probs: Any = None, logits: Any = None) -> Density:
    """The mixture of the members of all groups."""
    given = floats(jnp.asarray(probs if logits is None else logits))
    return Density(MIXTURE, MixtureParameters(*((given, None) if logits is None else (None, given)), tuple(groups)))


def log_weights(params: MixtureParameters) -> Array:
    """Normalised; a component of weight 0 is never drawn, and log 0 has no derivative."""
    if params.logits is not None:
        return jax.nn.log_softmax(params.logits)
    return nu.safe_log(weights(params))


def weights(params: MixtureParameters) -> Array:
    """Normalised, and linear in the weights that were given, so that a weight 0 has a gradient."""
    if params.logits is not None:
        return jax.nn.softmax(params.logits)
    return params.probs / jnp.sum(params.probs, axis=-1, keepdims=True)


def log_sum(log_w: Array | None, w: Array | None, parts: Array) -> Array:
    """log Σ w_k p_k(x) of log p_k(x) [k, ...]: by log-weights, or linear in the weights. −inf where all parts are."""
    along = (-1,) + (1,) * (parts.ndim - 1)
    if log_w is not None:
        parts = parts + log_w.reshape(along)
        w = jnp.ones(parts.shape[0], parts.dtype)
    w = w.reshape(along)
    top = jax.lax.stop_gradient(_over_members(jnp.maximum, jnp.where(w > 0.0, parts, -jnp.inf)))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    # A component that is −inf here is a constant: its derivative may not be finite.
    nowhere = jax.lax.stop_gradient(parts) == -jnp.inf
    densities = jnp.where(nowhere, 0.0, nu.bounded_exp(jnp.where(nowhere, 0.0, parts - top)))
    total = _over_members(jnp.add, w * densities)
    positive = total > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, total, 1.0)) + top, -jnp.inf)[0]


def _over_members(both: Callable[[Array, Array], Array], terms: Array) -> Array:
    """The sum, or the largest, of terms [k, ...], as [1, ...]. Of few term by term: that is one loop with what is done
    before and after it, where a reduction is a loop of its own (a log density of two modes takes a third of the time).
    """
    if terms.shape[0] <= FEW:
        return functools.reduce(both, jnp.split(terms, terms.shape[0]))
    return {jnp.add: jnp.sum, jnp.maximum: jnp.max}[both](terms, axis=0, keepdims=True)


def log_parts(params: MixtureParameters, x: Array) -> Array:
    """log p_k(x), [k, ...]."""
    parts = [_of_members(group, x) for group in params.groups]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def _of_members(group: Density, x: Array) -> Array:
    """log p_k(x) of one group. Of numbers the members come first: with two of them last a CPU would take two at a time.

    Of vectors the points do: the derivative in x is a sum over members, which is slow over the outermost axis.
    """
    ndim = len(group.event_shape)
    if ndim == 0:
        return jax.vmap(lambda member: log_prob(member, x))(group)
    lead, event = x.shape[: x.ndim - ndim], x.shape[x.ndim - ndim :]
    at = lambda point: jax.vmap(lambda member: log_prob(member, point))(group)  # noqa: E731
    found = jax.vmap(at)(x.reshape(-1, *event))
    return found.T.reshape(-1, *lead)


def _log_prob(params: MixtureParameters, x: Array) -> Array:
    parts = log_parts(params, x)
    if params.logits is not None:
        return log_sum(jax.nn.log_softmax(params.logits), None, parts)
    return log_sum(None, weights(params), parts)


def log_base(p: Density, log_w: Array, x: Array) -> Array:
    """log p(x) with weights exp(log_w) of a mixture's components that stand still: no draw moves with them.

    ∫ h = E h/r whatever the weights in r, so their derivative is that of h, at fixed draws.
    """
    if p.family is not MIXTURE:
        return log_prob(p, x)
    return log_sum(None, jnp.exp(jax.lax.stop_gradient(log_w)), log_parts(p.params, x))


def _tails(params: MixtureParameters, x: Array) -> tuple[Array, Array]:
    pairs = [jax.vmap(lambda member: tails(member, x))(group) for group in params.groups]
    below, above = (jnp.concatenate(side) for side in zip(*pairs, strict=True))
    w = weights(params)
    return tuple(jnp.tensordot(w, side, 1, precision="highest") for side in (below, above))


def _profile(params: MixtureParameters) -> Profile:
    """A component keeps its own scale; the longest reach and the steepest grading serve all."""
    shapes = [jax.vmap(profile)(group) for group in params.groups]
    centers, scales, kinks, edges = (
        jnp.concatenate([jnp.ravel(getattr(shape, name)) for shape in shapes])
        for name in ("center", "scale", "kinks", "edges")
    )
    lows, highs = ([getattr(shape, end) for shape in shapes] for end in ("low", "high"))
    low = None if any(end is None for end in lows) else jnp.min(jnp.concatenate(lows))
    high = None if any(end is None for end in highs) else jnp.max(jnp.concatenate(highs))
    reach = max((shape.reach for shape in shapes), key=len)
    order = jnp.max(jnp.concatenate([jnp.ravel(jnp.asarray(shape.order, centers.dtype)) for shape in shapes]))
    return Profile(centers, scales, reach, kinks, edges, low, high, order)


def _support(params: MixtureParameters) -> tuple[Any, Any]:
    ends = [support(group) for group in params.groups]
    return hull([low for low, _ in ends], min, jnp.min), hull([high for _, high in ends], max, jnp.max)


def _decay(params: MixtureParameters) -> Ends | None:
    """Far out the slowest component that has a weight carries all of it, however small the weight."""
    found = [decays(group) for group in params.groups]
    if any(ends is None for ends in found):
        return None
    weighs = params.probs > 0.0 if params.logits is None else params.logits > -jnp.inf
    shapes, dtype = [group.batch_shape for group in params.groups], dtype_of(params)
    supports = [support(group) for group in params.groups]
    low, high = (
        slowest(
            [(ends[side], own[side], shape) for ends, own, shape in zip(found, supports, shapes, strict=True)],
            weighs,
            inwards,
            dtype,
        )
        for side, inwards in ((0, 1.0), (1, -1.0))
    )
    return low, high


def _source(params: MixtureParameters) -> Source:
    """All groups' images of the same z, and of them the one that the component's number asks for."""
    sizes = [batch_size(group) for group in params.groups]
    firsts = [source(jax.tree.map(lambda leaf: leaf[0], group)) for group in params.groups]
    if any(first.log_w.size != 1 for first in firsts):
        raise TypeError("Expected components that are no mixtures themselves. Write them as one mixture.")

    def image(key, index, z):
        offset, x = 0, None
        keys = jax.random.split(key, len(sizes)) if len(sizes) > 1 else [key]
        for own, group, size, first in zip(keys, params.groups, sizes, firsts, strict=True):
            local = jnp.clip(index - offset, 0, size - 1)
            chosen = jax.tree.map(lambda leaf, local=local: leaf[local], group)
            drawn = source(chosen).image(own, local, z[..., : first.dim])
            here = (index >= offset).reshape(index.shape + (1,) * (drawn.ndim - index.ndim))
            x = drawn if x is None else jnp.where(here, drawn, x)
            offset += size
        return x

    mapped, pathwise = (all(getattr(first, name) for first in firsts) for name in ("mapped", "pathwise"))
    dim = max(first.dim for first in firsts)
    return Source(log_weights(params).astype(dtype_of(params)), image, dim, mapped, pathwise)


def _grid(params: MixtureParameters) -> np.ndarray | None:
    """All values of all components, of counts."""
    grids = [group.family.grid(group.params) if group.family.grid else None for group in params.groups]
    if any(grid is None for grid in grids) or params.groups[0].event_shape:
        return None
    return functools.reduce(np.union1d, grids)


def batch_size(group: Density) -> int:
    """How many members it has."""
    return group.batch_shape[-1]


MIXTURE = Family(
    name="Mixture",
    parameters=MixtureParameters,
    log_prob=_log_prob,
    event=lambda params: params.groups[0].event_shape,
    batch=lambda params: jnp.shape(params.probs if params.logits is None else params.logits)[:-1],
    support=_support,
    profile=_profile,
    tails=_tails,
    source=_source,
    parts=lambda params: params.groups,
    grid=_grid,
    decay=_decay,
)
