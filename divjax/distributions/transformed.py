"""Images of densities under bijections: normalising flows, logarithms of variables, shifted and scaled ones."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from divjax.distributions.decay import Decay, Ends, decays
from divjax.distributions.density import hull, knots, log_prob, profile, quantile, support, tails
from divjax.distributions.family import Density, Family, Profile, Source, is_infinite
from divjax.distributions.source import dtype_of, source
from divjax.numerics.truths import also


class Bijection(NamedTuple):
    """How to use the maps of one library: functions of a map b, a pytree, and points with any axes in front."""

    forward: Callable[[PyTree, Array], Array]
    inverse_and_log_det: Callable[[PyTree, Array], tuple[Array, Array]]  # x, log |dx/dy|
    chain: Callable[[PyTree], list[PyTree]] = lambda b: [b]  # the maps it is made of, the first to act first
    is_affine: Callable[[PyTree], bool] = lambda b: False
    # Of each of these maps, where it is affine and it matters: 1 if it is known to rise, −1 to fall, 0 for either.
    directions: tuple[int, ...] = ()

    def ways(self) -> "list[Bijection]":
        """The same, once for each way in which those of unknown direction may go."""
        each = itertools.product(*((known,) if known else (1, -1) for known in self.directions))
        return [self._replace(directions=directions) for directions in each]


class TransformedParameters(NamedTuple):
    """The density of x, and the map b with y = b(x)."""

    base: Density
    map: PyTree


def transformed(base: Density, map_: PyTree, bijection: Bijection, event: tuple[int, ...] | None = None) -> Density:
    """The density of y = b(x). event: the shape of y, where it is not that of x."""
    event = base.event_shape if event is None else event
    bijection = bijection._replace(directions=_directions(bijection, base, map_))
    return Density(_family(bijection, base.family, event), TransformedParameters(base, map_))


def _directions(bijection: Bijection, base: Density, map_: PyTree) -> tuple[int, ...]:
    """Affine maps of a law with one infinite end take it to the other side where they fall: which they do is part of
    what a program is made of, and known where their numbers are."""
    parts = bijection.chain(map_)
    if base.event_shape or base.family.support is None:
        return (1,) * len(parts)
    ends, found = support(base), []
    for part in parts:
        one_sided = bijection.is_affine(part) and is_infinite(ends[0]) != is_infinite(ends[1])
        found.append(_direction(bijection, part) if one_sided else 1)
        alone = bijection._replace(chain=lambda b: [b], directions=(found[-1] or 1,))
        ends = tuple(_image(alone, part, end) for end in ends)
    return tuple(found)


def _direction(bijection: Bijection, part: PyTree) -> int:
    """By its slope, of which a shift that is traced is no part."""
    with jax.ensure_compile_time_eval():
        x = jnp.zeros((), dtype_of(part))
        slope = jax.jvp(functools.partial(bijection.forward, part), (x,), (jnp.ones_like(x),))[1]
        if isinstance(slope, jax.core.Tracer):
            return 0
        slope = np.asarray(slope)
        return 1 if (slope > 0.0).all() else -1 if (slope < 0.0).all() else 0


def with_profile(p: Density, where: Callable[[TransformedParameters], Profile]) -> Density:
    """The same density, whose panels are laid as ``where`` says: for a map that has kinks."""
    return Density(_with_profile(p.family, where), p.params)


def _forward(bijection: Bijection, params: TransformedParameters, x: Array) -> Array:
    return bijection.forward(params.map, x)


def _log_prob(bijection: Bijection, params: TransformedParameters, y: Array) -> Array:
    if 0 not in bijection.directions:
        x, log_det = bijection.inverse_and_log_det(params.map, _off_ends(bijection, params, y))
        return log_prob(params.base, x) + log_det
    # No inverse is looked for on the side on which the law turns out not to be.
    low, high = _found_ends(bijection, params)
    inside = (y > low) & (y < high)
    middle = _forward(bijection, params, profile(params.base).center[0])
    x, log_det = bijection.inverse_and_log_det(params.map, _off_ends(bijection, params, jnp.where(inside, y, middle)))
    return jnp.where(inside, log_prob(params.base, x) + log_det, -jnp.inf)


def _found_ends(bijection: Bijection, params: TransformedParameters) -> tuple[Any, Any]:
    """Both ends of the support, arrays that may be infinite where the direction of a map is traced."""
    low, high = _support(bijection, params)
    at = [jnp.asarray(x, dtype_of(params.map)) for x in (0.0, 1.0)]
    for way in bijection.ways() if 0 in bijection.directions else ():
        own = _between(way, params.map, *support(params.base))
        is_this = jnp.ones((), bool)
        for part, known, taken in zip(bijection.chain(params.map), bijection.directions, way.directions, strict=True):
            if not known:
                rises = bijection.forward(part, at[1]) >= bijection.forward(part, at[0])
                is_this = is_this & (rises == (taken > 0))
        low, high = (jnp.where(is_this, here, end) for here, end in zip(own, (low, high), strict=True))
    return low, high


def _off_ends(bijection: Bijection, params: TransformedParameters, y: Array) -> Array:
    """y, a few steps away from where infinity is mapped to: an inverse rounds, and would be infinite next to it."""
    if params.base.event_shape or params.base.family.support is None:
        return y
    for way, end in itertools.product(bijection.ways(), support(params.base)):
        image = _image(way, params.map, end) if is_infinite(end) else end
        if is_infinite(end) and not isinstance(image, float):
            image = jax.lax.stop_gradient(image).astype(y.dtype)
            dtype = jnp.finfo(y.dtype)
            room = 4.0 * dtype.eps * jnp.abs(image) + dtype.tiny / dtype.eps
            y = jnp.where(jnp.abs(y - image) < room, image + jnp.where(y < image, -room, room), y)
    return y


def _image(bijection: Bijection, map_: PyTree, end: Any) -> Any:
    """The image of an end of a support, a Python float where it is ±inf: whether it is must be known while tracing.

    An affine map keeps an infinite end where it is, or takes it to the other side, as its direction says.
    """
    for part, direction in zip(bijection.chain(map_), bijection.directions, strict=True):
        if is_infinite(end) and bijection.is_affine(part):
            end = direction * end
            continue
        with jax.ensure_compile_time_eval():
            end = bijection.forward(part, jnp.asarray(end, jnp.result_type(float)))
            if not isinstance(end, jax.core.Tracer) and jnp.isinf(end).all():
                end = float(jnp.ravel(end)[0])
    return end


def _support(bijection: Bijection, params: TransformedParameters) -> tuple[Any, Any]:
    """Images of both ends; in more dimensions, and where those of the base differ, only that there are some."""
    low, high = support(params.base)
    if params.base.event_shape or np.size(low) > 1 or np.size(high) > 1:
        has_ends = not (is_infinite(low) and is_infinite(high))
        return (math.nan, math.nan) if has_ends else (-math.inf, math.inf)
    first, *others = (_between(way, params.map, low, high) for way in bijection.ways())
    lows, highs = zip(first, *others, strict=True)
    return (hull(lows, min, jnp.min), hull(highs, max, jnp.max)) if others else first


def _between(bijection: Bijection, map_: PyTree, low: Any, high: Any) -> tuple[Any, Any]:
    images = [_image(bijection, map_, end) for end in (low, high)]
    # An end that is an array may be traced: it is finite, and not compared.
    at_infinity = [end if isinstance(end, float) else 0.0 for end in images]
    if at_infinity[0] == math.inf or at_infinity[1] == -math.inf:  # a decreasing map
        images = images[::-1]
    elif not any(isinstance(end, float) for end in images):
        images = [jnp.minimum(*images), jnp.maximum(*images)]
    return tuple(images)


def _profile(bijection: Bijection, params: TransformedParameters) -> Profile:
    """Pushed forward from the base: the images of the base's panels lie where the mass is."""
    base = profile(params.base)
    forward = functools.partial(_forward, bijection, params)
    # Four panels for one of the base: a map like exp stretches the outer ones, and the density with them.
    ends = jnp.sort(jnp.ravel(knots(base)))
    finer = ends[:-1, None] + jnp.diff(ends)[:, None] * jnp.arange(4) / 4
    image = jnp.sort(forward(jnp.append(finer.ravel(), ends[-1])))
    low, high = (None if is_infinite(end) else end for end in _support(bijection, params))
    edges = [jnp.ravel(end) for end in (low, high) if end is not None]
    if 0 in bijection.directions:  # the law ends within what it may reach
        ends = [end for end in support(params.base) if not is_infinite(end)]
        edges += [jnp.ravel(forward(jnp.asarray(end, image.dtype))) for end in ends]
    none = jnp.zeros((0,), image.dtype)
    kinks = forward(base.kinks) if base.kinks.size else none
    # The outermost image gets the scale of its distance from the middle one: the tail panel starts there.
    scale = jnp.abs(image - image[image.size // 2])
    return Profile(image, scale, (0.0,), kinks, jnp.concatenate(edges) if edges else none, low, high)


def _rises(bijection: Bijection, params: TransformedParameters) -> Array:
    """Whether y grows with x, from two points where the base has mass."""
    ends = jnp.ravel(knots(profile(params.base)))
    low, high = _forward(bijection, params, jnp.stack([jnp.min(ends), jnp.max(ends)]))
    return jax.lax.stop_gradient(low <= high)


def _tails(bijection: Bijection, params: TransformedParameters, y: Array) -> tuple[Array, Array]:
    low, high = _found_ends(bijection, params)
    middle = _forward(bijection, params, profile(params.base).center[0])
    inside = jnp.ones(y.shape, bool)
    inside = inside if is_infinite(low) else inside & (y > low)
    inside = inside if is_infinite(high) else inside & (y < high)
    x, _ = bijection.inverse_and_log_det(params.map, jnp.where(inside, y, middle))
    below, above = tails(params.base, x)
    rises = _rises(bijection, params)
    below, above = jnp.where(rises, below, above), jnp.where(rises, above, below)
    past = 0.0 if is_infinite(high) else (y >= high) * 1.0
    return jnp.where(inside, below, past), jnp.where(inside, above, 1.0 - past)


def _quantile(bijection: Bijection, params: TransformedParameters, u: Array, v: Array) -> Array:
    rises = _rises(bijection, params)
    x = quantile(params.base, jnp.where(rises, u, v), jnp.where(rises, v, u))
    return _forward(bijection, params, x)


def _source(bijection: Bijection, params: TransformedParameters) -> Source:
    base = source(params.base)
    return base._replace(image=lambda key, index, z: _forward(bijection, params, base.image(key, index, z)))


def _decay(bijection: Bijection, params: TransformedParameters) -> Ends | None:
    """Of affine maps: that of the base, in units of the slope. One of unknown direction is taken to rise, or not known,
    where it matters which."""
    ends = decays(params.base)
    affine = all(map(bijection.is_affine, bijection.chain(params.map))) and 0 not in bijection.directions
    if ends is None or params.base.batch_shape or not affine:
        return None
    like = jax.tree.leaves(params.base.params)[0]
    # As a derivative: a difference would be rounded beside a large shift.
    forward = functools.partial(_forward, bijection, params)
    shift, slope = jax.jvp(forward, (jnp.zeros_like(like),), (jnp.ones_like(like),))
    if jnp.shape(shift) != ():
        return None
    direction = math.prod(bijection.directions)
    both = list(zip(ends, support(params.base), strict=True))[::direction]
    low, high = (
        _stretched(decay, end, direction * slope, side * shift)
        for (decay, end), side in zip(both, (-1.0, 1.0), strict=True)
    )
    return low, high


def _stretched(decay: Decay, end: Any, slope: Array, shift: Array) -> Decay:
    """log (y/slope)² is log² y less 2 log y log slope, and log² slope."""
    out = also(decay.known, slope > 0.0)
    squares = not (isinstance(decay.log_square, float) and decay.log_square == 0.0)
    moved = 2.0 * decay.log_square * jnp.log(slope) if squares else 0.0
    if not is_infinite(end):  # y is one over a distance
        return decay._replace(width=decay.width / slope, power=decay.power + moved, known=out)
    linear = isinstance(decay.order, float) and decay.order <= 1.0
    loc = 0.0 if linear else decay.loc * slope + shift
    return decay._replace(width=decay.width * slope, loc=loc, power=decay.power - moved, known=out)


@functools.lru_cache(maxsize=256)
def _family(bijection: Bijection, base: Family, event: tuple[int, ...]) -> Family:
    on_line = event == ()
    knows = {
        "profile": _profile if on_line and base.profile is not None else None,
        "tails": _tails if on_line and base.tails is not None and base.profile is not None else None,
        "quantile": _quantile if on_line and base.quantile is not None and base.profile is not None else None,
        "support": _support if base.support is not None else None,
        "log_prob": _log_prob,
        "source": _source,
        "decay": _decay if on_line and base.decay is not None and base.support is not None else None,
    }
    return Family(
        name="Transformed",
        parameters=TransformedParameters,
        event=lambda params: event,
        batch=lambda params: params.base.batch_shape,
        parts=None if on_line else lambda params: (params.base,),
        **{name: function and functools.partial(function, bijection) for name, function in knows.items()},
    )


@functools.lru_cache(maxsize=256)
def _with_profile(family: Family, where: Callable[[TransformedParameters], Profile]) -> Family:
    fields = {name: getattr(family, name) for name in family.__dataclass_fields__}
    return Family(**fields | {"profile": where})
