"""Densities cut off at one end or at both: p(x) / P(low < X ≤ high) between the ends."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from divjax.distributions.decay import LEVEL, Decay, Ends, both, decays, gaussian
from divjax.distributions.density import log_prob, profile, quantile, support, tails
from divjax.distributions.family import GAUSSIAN, LINE, POWER, Density, Family, Profile, floats, is_infinite, smooth
from divjax.distributions.real_line import NORMAL
from divjax.numerics import matmul, within
from divjax.numerics.special import LOG_ROOT_2PI, erfcx, normal_quantile
from divjax.numerics.truths import also

_ROOT_2 = math.sqrt(2.0)
_X, _W = np.polynomial.legendre.leggauss(24)


# --- Normal and Cauchy, whose ends may be traced and infinite ----------------------------------------------


class Truncated(NamedTuple):
    """A location-scale family between two ends, either of which may be infinite."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


class Window(NamedTuple):
    """From low to high in units of the scale, and how wide that is: a difference that was not rounded twice."""

    low: Array
    high: Array
    width: Array


def _window(params: Truncated, low: Array, high: Array) -> Window:
    """Held where squares are finite: an infinite end has derivatives too, which are 0."""
    top, far = (jnp.finfo(params.loc.dtype).max ** power for power in (0.5, 0.25))
    low, high = jnp.clip(low, -top, top), jnp.clip(high, -top, top)
    start, end = (within((x - params.loc) / params.scale, far) for x in (low, high))
    held = (jnp.abs(start) == far) | (jnp.abs(end) == far)
    return Window(start, end, jnp.where(held, end - start, (high - low) / params.scale))


def _between_ends(params: Truncated, x: Array, value: Array) -> Array:
    return jnp.where((x >= params.low) & (x <= params.high), value, -jnp.inf)


def _profile(reach: tuple[float, ...], params: Truncated) -> Profile:
    """Whether the ends are infinite is not known while tracing: they are no support, only knots."""
    center, scale = jnp.clip(params.loc, params.low, params.high), params.scale
    # Far out in a heavy tail the mass goes as far as its distance from loc.
    shape = smooth(center, jnp.hypot(scale, center - params.loc) if reach == POWER else scale, reach)
    width = (reach[-1] + 4.0) * shape.scale
    ends = [jnp.clip(jnp.ravel(end), shape.center - width, shape.center + width) for end in params[2:]]
    return dataclasses.replace(shape, edges=jnp.concatenate(ends))


def _open_decay(ends: Ends, params: Truncated) -> Ends:
    """Where an end is infinite; of a finite one, which is none of the support's, nothing is said."""
    low, high = (
        decay._replace(known=jnp.isinf(end), smooth=False)
        for decay, end in zip(ends, (params.low, params.high), strict=True)
    )
    return low, high


def log_normal_mass(window: Window) -> Array:
    """log(Φ(high) − Φ(low)) for low < high, however far out and however close they are."""
    low, high = _mirrored(window)
    middle = 0.5 * (low + high)
    near = window.width * jnp.maximum(middle, 1.0) < 4.0
    by_nodes = _log_mass_near(jnp.where(near, window.width, 1.0), jnp.where(near, middle, 0.0))
    return jnp.where(near, by_nodes, _log_mass_far(jnp.where(near, 0.0, low), jnp.where(near, 9.0, high)))


def _mirrored(window: Window) -> tuple[Array, Array]:
    """Both ends, with the farther one above."""
    low, high, _ = window
    flip = low + high < 0.0
    return jnp.where(flip, -high, low), jnp.where(flip, -low, high)


def _log_mass_near(width: Array, middle: Array) -> Array:
    """φ(middle) ∫ e^(−middle t − t²/2) dt over |t| < width/2, by Gauss and Legendre."""
    t = 0.5 * width[..., None] * jnp.asarray(_X, width.dtype)
    mean = matmul(jnp.exp(-middle[..., None] * t - 0.5 * t * t), jnp.asarray(0.5 * _W, width.dtype))
    return jnp.log(width) - 0.5 * middle * middle - LOG_ROOT_2PI + jnp.log(mean)


def _log_mass_far(low: Array, high: Array) -> Array:
    """log of a difference of upper tails, φ(z) erfcx(z/√2) √(π/2) each; of what is left of 1 for low < 0."""
    out = low > 0.0
    start = jnp.where(out, low, 0.0)
    tail = _log_upper(start) + jnp.log1p(-_tail_ratio(start, high))
    outside = ndtr(jnp.where(out, 0.0, low)) + ndtr(-high)
    return jnp.where(out, tail, jnp.log1p(-jnp.where(out, 0.0, outside)))


def _log_upper(z: Array) -> Array:
    """log Φ(−z) for z ≥ 0."""
    return -0.5 * z * z + jnp.log(0.5 * erfcx(z / _ROOT_2))


def _tail_ratio(low: Array, high: Array) -> Array:
    """Φ(−high)/Φ(−low) for 0 ≤ low ≤ high."""
    return jnp.exp(-0.5 * (high - low) * (high + low)) * erfcx(high / _ROOT_2) / erfcx(low / _ROOT_2)


def _truncated_normal_log_prob(params: Truncated, x: Array) -> Array:
    z = _window(params, x, params.high).low
    log_mass = log_normal_mass(_window(params, params.low, params.high))
    return _between_ends(params, x, -0.5 * z * z - log_mass - jnp.log(params.scale) - LOG_ROOT_2PI)


def _truncated_normal_tails(params: Truncated, x: Array) -> tuple[Array, Array]:
    """Masses of both parts as shares of all; 0 of nothing, without a derivative."""
    x = jnp.clip(x, params.low, params.high)
    parts = _window(params, params.low, x), _window(params, x, params.high)
    part = Window(*(jnp.stack(jnp.broadcast_arrays(*pair)) for pair in zip(*parts, strict=True)))
    some = part.width > 0.0
    part = Window(*(jnp.where(some, value, safe) for value, safe in zip(part, (0.0, 1.0, 1.0), strict=True)))
    log_mass = log_normal_mass(_window(params, params.low, params.high))
    below, above = jnp.where(some, jnp.exp(log_normal_mass(part) - log_mass), 0.0)
    return below, above


def _truncated_normal_quantile(params: Truncated, u: Array, v: Array) -> Array:
    window = _window(params, params.low, params.high)
    low, high = _mirrored(window)
    flip = window.low + window.high < 0.0
    u, v = jnp.where(flip, v, u), jnp.where(flip, u, v)
    out = low > 2.0
    mass = jnp.exp(log_normal_mass(window))
    near = normal_quantile(*(jnp.where(out, 0.5, level) for level in (ndtr(low) + u * mass, ndtr(-high) + v * mass)))
    z = jnp.where(out, _far_quantile(jnp.where(out, low, 2.0), jnp.where(out, high, 9.0), u, v), near)
    return jnp.clip(params.loc + params.scale * jnp.where(flip, -z, z), params.low, params.high)


def _far_quantile(low: Array, high: Array, u: Array, v: Array) -> Array:
    """z with Φ(−z) = v Φ(−low) + u Φ(−high), for low ≥ 2, by Newton's steps in how far above low it is."""
    ratio = _tail_ratio(low, high)
    # The logarithm that is not taken must be finite too, at u = 1: 0 times its infinite slope is NaN.
    excess = -jnp.where(u < 0.5, jnp.log1p(-jnp.minimum(u, 0.5) * (1.0 - ratio)), jnp.log(v + u * ratio))

    def newton(step):
        rest = step * (low + 0.5 * step) - jnp.log(erfcx((low + step) / _ROOT_2) / erfcx(low / _ROOT_2)) - excess
        hazard = math.sqrt(2.0 / math.pi) / erfcx((low + step) / _ROOT_2)
        return step - rest / jax.lax.stop_gradient(hazard)

    step = 2.0 * excess / (low + jnp.sqrt(low * low + 2.0 * excess))
    step = jax.lax.fori_loop(0, 4, lambda _, step: jax.lax.stop_gradient(newton(step)), jax.lax.stop_gradient(step))
    return low + newton(jax.lax.stop_gradient(step))


TRUNCATED_NORMAL = Family(
    name="TruncatedNormal",
    parameters=Truncated,
    log_prob=_truncated_normal_log_prob,
    support=lambda params: LINE,
    profile=functools.partial(_profile, GAUSSIAN),
    tails=_truncated_normal_tails,
    quantile=_truncated_normal_quantile,
    decay=lambda params: _open_decay(gaussian(params.loc, params.scale), params),
)


def _angle(window: Window) -> Array:
    """arctan high − arctan low."""
    return jnp.arctan2(window.width, 1.0 + window.high * window.low)


def _truncated_cauchy_log_prob(params: Truncated, x: Array) -> Array:
    z = _window(params, x, params.high).low
    angle = _angle(_window(params, params.low, params.high))
    return _between_ends(params, x, -jnp.log1p(z * z) - jnp.log(params.scale) - jnp.log(angle))


def _truncated_cauchy_tails(params: Truncated, x: Array) -> tuple[Array, Array]:
    whole = _angle(_window(params, params.low, params.high))
    x = jnp.clip(x, params.low, params.high)
    return _angle(_window(params, params.low, x)) / whole, _angle(_window(params, x, params.high)) / whole


def _truncated_cauchy_quantile(params: Truncated, u: Array, v: Array) -> Array:
    """From the nearer end: the tangent of a sum of angles, of which one is known by its tangent."""
    window = _window(params, params.low, params.high)
    lower = u < v
    step = jnp.where(lower, u, -v) * _angle(window)
    end = jnp.where(lower, window.low, window.high)
    z = (end * jnp.cos(step) + jnp.sin(step)) / (jnp.cos(step) - end * jnp.sin(step))
    return jnp.clip(params.loc + params.scale * z, params.low, params.high)


TRUNCATED_CAUCHY = Family(
    name="TruncatedCauchy",
    parameters=Truncated,
    log_prob=_truncated_cauchy_log_prob,
    support=lambda params: LINE,
    profile=functools.partial(_profile, POWER),
    tails=_truncated_cauchy_tails,
    quantile=_truncated_cauchy_quantile,
    decay=lambda params: _open_decay(both(Decay(power=2.0)), params),
)


# --- Any density -------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """A density and the ends, None where there is none."""

    base: Density
    low: Float[Array, ""] | None
    high: Float[Array, ""] | None


def truncated(base: Density, low: Any = -math.inf, high: Any = math.inf) -> Density:
    """``base`` between two ends; None, and ±inf as a Python float, is no end.

    It needs tails of the base, and mass of it between the ends that a float can hold.
    """
    low, high = (None if end is None or is_infinite(end) else end for end in (low, high))
    dtype = jnp.result_type(*jax.tree.leaves(floats(base.params)))
    low, high = (None if end is None else jnp.asarray(end, dtype) for end in (low, high))
    return Density(_cut_family(base.family), Cut(base, low, high))


@functools.lru_cache(maxsize=256)
def _cut_family(base: Family) -> Family:
    knows = {
        "log_prob": _cut_log_prob,
        "tails": _cut_tails,
        "quantile": _cut_quantile if base.quantile is not None else None,
        "profile": _cut_profile if base.profile is not None else None,
        "decay": _cut_decay if base.decay is not None else None,
    }
    if base is NORMAL:
        knows |= {name: _cut_normal(getattr(TRUNCATED_NORMAL, name)) for name in ("log_prob", "tails", "quantile")}
    return Family(name=f"Truncated{base.name}", parameters=Cut, batch=_cut_batch, support=_cut_support, **knows)


def _cut_batch(params: Cut) -> tuple[int, ...]:
    return np.broadcast_shapes(params.base.batch_shape, *(jnp.shape(end) for end in params[1:] if end is not None))


def _outside(params: Cut) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Both tails of the base at both ends."""
    low = (0.0, 1.0) if params.low is None else tails(params.base, params.low)
    high = (1.0, 0.0) if params.high is None else tails(params.base, params.high)
    return low, high


def _between(low: tuple[Any, Any], high: tuple[Any, Any]) -> Array:
    """P(low < X ≤ high) from the tails on the side where they are smaller."""
    return jnp.where(low[1] < high[0], low[1] - high[1], high[0] - low[0])


def _as_truncated_normal(params: Cut) -> Truncated:
    """A normal base has masses that no float can hold."""
    loc, scale = params.base.params
    low = -jnp.inf if params.low is None else params.low
    high = jnp.inf if params.high is None else params.high
    return Truncated(loc, scale, *(jnp.asarray(end, loc.dtype) for end in (low, high)))


def _cut_normal(function: Any) -> Any:
    return lambda params, *args: function(_as_truncated_normal(params), *args)


def _cut_log_prob(params: Cut, x: Array) -> Array:
    return log_prob(params.base, x) - jnp.log(_between(*_outside(params)))


def _cut_tails(params: Cut, x: Array) -> tuple[Array, Array]:
    low, high = _outside(params)
    held = x if params.low is None else jnp.maximum(x, params.low)
    held = held if params.high is None else jnp.minimum(held, params.high)
    here, whole = tails(params.base, held), _between(low, high)
    return _between(low, here) / whole, _between(here, high) / whole


def _cut_quantile(params: Cut, u: Array, v: Array) -> Array:
    low, high = _outside(params)
    whole = _between(low, high)
    return quantile(params.base, low[0] + u * whole, high[1] + v * whole)


def _cut_support(params: Cut) -> tuple[Any, Any]:
    low, high = support(params.base)
    low = low if params.low is None else _inner(low, params.low, jnp.maximum)
    return low, high if params.high is None else _inner(high, params.high, jnp.minimum)


def _cut_decay(params: Cut) -> Ends | None:
    """At the base's own ends that of the base; flat where it is cut, inside of them."""
    ends = decays(params.base)
    if ends is None:
        return None
    found, smooth = [], all(decay.smooth for decay in ends)
    for decay, own, cut, inwards in zip(ends, support(params.base), params[1:], (1.0, -1.0), strict=True):
        inside = True if cut is None or is_infinite(own) else inwards * (cut - own) > 0.0
        found.append(decay if cut is None else LEVEL._replace(known=also(smooth, inside), smooth=smooth))
    return tuple(found)


def _inner(own: Any, end: Array, choose: Any) -> Array:
    return end if is_infinite(own) else choose(own, end)


def _cut_profile(params: Cut) -> Profile:
    """That of the base, its centres brought inside; where the tail is heavy, at the scale of their distance."""
    shape = profile(params.base)
    low, high = _cut_support(params)
    ends = [None if is_infinite(end) else jnp.ravel(jnp.asarray(end, shape.center.dtype)) for end in (low, high)]
    low, high = (None if end is None else choose(end) for end, choose in zip(ends, (jnp.min, jnp.max), strict=True))
    center, kinks = (jnp.clip(x, low, high) for x in (shape.center, shape.kinks))
    scale = shape.scale
    if shape.reach == POWER:
        scale = jnp.hypot(scale, center - shape.center)
    edges = jnp.concatenate([end for end in ends if end is not None] or [shape.edges])
    return Profile(center, scale, shape.reach, kinks, edges, low, high, shape.order)
