"""What can be asked of one density on the line: its logarithm, its distribution function and its quantiles."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax.distributions.family import Density, Family, Profile, is_open


def log_prob(p: Density, x: Array) -> Array:
    """log p(x), −inf outside the support, never NaN and never with a NaN derivative for parameters that make a law."""
    if p.event_shape or is_discrete(p):
        return p.family.log_prob(p.params, x)
    low, high = support(p)
    if is_open(low) and is_open(high):
        return p.family.log_prob(p.params, x)
    low, high = jax.lax.stop_gradient((low, high))
    inside = (x >= low) & (x <= high)
    # A node that rounding puts on an end of the support is moved one step inside: log 0 times 0 is NaN.
    held = x
    if not is_open(low):
        held = jnp.where(held <= low, _step(low, 1.0, x.dtype), held)
    if not is_open(high):
        held = jnp.where(held >= high, _step(high, -1.0, x.dtype), held)
    return jnp.where(inside, p.family.log_prob(p.params, held), -jnp.inf)


def is_discrete(p: Density) -> bool:
    """Whether it is a law over integers, or made of such."""
    return p.family.discrete or (p.family.parts is not None and any(map(is_discrete, p.family.parts(p.params))))


def log_prob_of_draws(p: Density, x: Array) -> Array:
    """``log_prob``, −inf where it is held since the square of a distance overflows: nodes need a number, draws none."""
    log = log_prob(p, x)
    return jnp.where(log < -0.49 * jnp.finfo(log.dtype).max ** 0.5, -jnp.inf, log)


def is_law(p: Density, may_be_point: Callable[[Family], bool] = lambda family: False) -> Array:
    """Whether the parameters make a distribution, as those of a batch all must.

    Those that are to be positive are, and finite, as a location is; a chance is between 0 and 1; none is NaN; an upper
    end is above the lower one.
    A scale of 0 makes a point, a law without a density: it counts as one in families that ``may_be_point``.
    """
    found = []
    for name in getattr(p.params, "_fields", ()):
        value = getattr(p.params, name)
        inner = [leaf for leaf in jax.tree.leaves(value, is_leaf=_is_density) if _is_density(leaf)]
        found += [is_law(part, may_be_point) for part in inner]
        if not inner and isinstance(value, jax.Array | np.ndarray) and jnp.issubdtype(value.dtype, jnp.floating):
            right = _is_right(name, value, p.family)
            if name == "scale" and may_be_point(p.family):
                right |= value == 0.0
            found.append(jnp.all(right))
    low, high = support(p)
    if not (isinstance(low, float) or isinstance(high, float)):
        found.append(jnp.all(low < high))
    return jnp.all(jnp.stack(found)) if found else jnp.ones((), bool)


def of_one_dtype(*laws: Density) -> tuple[Density, ...]:
    """The laws with parameters of the widest floating dtype of all: what one of them rounds is no better in the sum."""
    kinds = [{leaf.dtype for leaf in _floats(law)} for law in laws]
    if len(set().union(*kinds)) < 2:
        return laws
    dtype = jnp.result_type(*set().union(*kinds))
    wider = lambda leaf: jnp.asarray(leaf, dtype) if _is_float(leaf) else leaf  # noqa: E731
    return tuple(jax.tree.map(wider, law) for law in laws)


def _floats(law: Density) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(law) if _is_float(leaf)]


def _is_float(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _is_density(value: Any) -> bool:
    return isinstance(value, Density)


def _is_right(name: str, value: Array, family: Family) -> Array:
    if name in family.chances:
        return (value >= 0.0) & (value <= 1.0)
    if name == "probs":  # of several values, which need not add up to 1
        return value >= 0.0
    if name in family.positive:
        return (value > 0.0) & ((value < jnp.inf) | (name == "df"))  # with df = ∞ Student's t is normal
    return jnp.isfinite(value) if name == "loc" else ~jnp.isnan(value)


def _step(end, sign, dtype):
    """The next number after an end of the support; past 0 a normal one, since others count as 0."""
    end, tiny = jnp.asarray(end, dtype), jnp.finfo(dtype).tiny
    return jnp.where(end == 0.0, sign * tiny, jnp.nextafter(end, jnp.asarray(sign * jnp.inf, dtype)))


def support(p: Density) -> tuple[Any, Any]:
    """Both ends of the support: floats where no parameter moves them, NaN where they are not known."""
    return (math.nan, math.nan) if p.family.support is None else p.family.support(p.params)


def hull(ends: Sequence[Any], choose: Any, choose_array: Any) -> Any:
    """The outermost of some ends of supports: a float where all are."""
    known = [end for end in ends if isinstance(end, float)]
    if any(math.isnan(end) for end in known):
        return math.nan
    if known and (len(known) == len(ends) or math.isinf(choose(known))):
        return choose(known)
    return choose_array(jnp.concatenate([jnp.ravel(jnp.asarray(end)) for end in ends]))


def profile(p: Density) -> Profile:
    """Where the mass of ``p`` is; TypeError, with the remedy, where that is not known."""
    if p.family.profile is None:
        raise TypeError(
            f"Expected a one-dimensional distribution whose mass can be located; got {p.name}. Give its record a "
            "profile, or use dj.monte_carlo."
        )
    return p.family.profile(p.params)


def tails(p: Density, x: Array) -> tuple[Array, Array]:
    """(P(X ≤ x), P(X > x)), neither of them the rounded complement of the other."""
    if p.family.tails is None:
        raise TypeError(
            f"Expected a distribution with a distribution function; got {p.name}, which has none. Give it a "
            "cdf (a record: ``tails``), or draw samples of both."
        )
    below, above = p.family.tails(p.params, x)
    low, high = support(p)
    for end, is_past, limit in ((low, x < low, 0.0), (high, x > high, 1.0)):
        if not is_open(end):
            below, above = jnp.where(is_past, limit, below), jnp.where(is_past, 1.0 - limit, above)
    return below, above


def knots(shape: Profile) -> Array:
    """Ends of the panels of every component, [k, m]; towards an end of the support they crowd instead of crossing."""
    reach = jnp.asarray(shape.reach, shape.center.dtype)
    last = shape.reach[-1] + 1.0
    offsets = shape.scale[:, None] * reach
    below, above = offsets, offsets
    if shape.low is not None:
        below = jnp.minimum(below, (shape.center - shape.low)[:, None] * (reach / last))
    if shape.high is not None:
        above = jnp.minimum(above, (shape.high - shape.center)[:, None] * (reach / last))
    center = shape.center[:, None]
    return jnp.concatenate([center - below[:, :0:-1], center + above], axis=1)


_FARTHEST = 70.0


def _places(p: Density, u: Array) -> Callable[[Array], Array]:
    """Where to look for a quantile, as a rising function of z in [−70, 70] that reaches as far as a float does.

    By its distance from the nearer finite end, e^±z or more, which has all digits however close it is; where there is
    none by center + width sinh(z).
    """
    low, high = jax.lax.stop_gradient(support(p))
    rate = 0.99 * math.log(jnp.finfo(u.dtype).max) / _FARTHEST
    ends = jax.lax.stop_gradient(jnp.ravel(knots(profile(p))))
    center, width = jnp.median(ends), jnp.max(ends) - jnp.min(ends)
    wider = max(1.0, 0.5 * rate)  # whose square does not overflow either, in double precision

    def placed(z):
        x = center + width * jnp.sinh(wider * z)
        if not is_open(high):
            x = jnp.where(jnp.isfinite(high), high - jnp.exp(-rate * z), x)
        if not is_open(low):
            nearer = jnp.isfinite(low) & ((u < 0.5) | ~jnp.isfinite(high))
            x = jnp.where(nearer, low + jnp.exp(rate * z), x)
        return x

    return placed


def quantile(p: Density, u: Array, v: Array) -> Array:
    """x with P(X ≤ x) = u, P(X > x) = v = 1 − u: in closed form, or by bisection.

    Bisection ends with one Newton step that carries the derivative, d x = (d u − ∂P/∂θ d θ) / p(x): the first
    derivative in u and in the parameters is exact, higher ones are not.
    """
    if p.family.quantile is not None:
        return p.family.quantile(p.params, u, v)
    placed = _places(p, u)

    def excess(x):
        below, above = tails(p, x)
        return jnp.where(u < 0.5, below - u, v - above)

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        too_low = excess(placed(middle)) < 0.0
        return jnp.where(too_low, middle, low), jnp.where(too_low, high, middle)

    bracket = (jnp.full_like(u, -_FARTHEST), jnp.full_like(u, _FARTHEST))
    steps = jnp.finfo(u.dtype).nmant + 10
    low, high = jax.lax.fori_loop(0, steps, halve, bracket)
    x = jax.lax.stop_gradient(placed(0.5 * (low + high)))
    density = jnp.exp(log_prob(p, x))
    density = jnp.where(density > 0.0, density, jnp.inf)
    x = x - excess(x) / jax.lax.stop_gradient(density)
    # By rounding alone it may have left the support.
    for end, choose in zip(support(p), (jnp.maximum, jnp.minimum), strict=True):
        if not is_open(end):
            x = x + jax.lax.stop_gradient(choose(x, end) - x)
    return x


def centred(*laws: Density) -> tuple[Density, ...]:
    """The laws as seen from the narrowest: far from 0 distances between nodes would be rounded at the size of x.

    As they are, where one of them has no location that can be moved. What depends on differences of x alone is the
    same, and so are its derivatives.
    """
    found = [_locations(law) for law in laws]
    if any(each is None for each in found):
        return laws
    locs, scales = zip(*itertools.chain(*found), strict=True)
    origin = locs[0][0]
    if sum(loc.size for loc in locs) > 1:
        scale = jnp.concatenate(scales)
        origin = jnp.max(jnp.where(scale == jnp.min(scale), jnp.concatenate(locs), -jnp.inf))
    return tuple(_moved(law, jax.lax.stop_gradient(origin)) for law in laws)


def _locations(law: Density) -> list[tuple[Array, Array]] | None:
    """Locations and scales [k] of groups of members; None where some cannot be moved."""
    if law.family.located:
        loc, scale = jax.lax.stop_gradient(jnp.broadcast_arrays(law.params.loc, law.params.scale))
        return [(jnp.ravel(loc), jnp.ravel(scale))]
    parts = getattr(law.params, "groups", None) if law.family.name == "Mixture" else None
    found = [_locations(part) for part in parts or ()]
    return None if not found or any(each is None for each in found) else list(itertools.chain(*found))


def _moved(law: Density, origin: Array) -> Density:
    if law.family.located:
        return dataclasses.replace(law, params=law.params._replace(loc=law.params.loc - origin))
    groups = tuple(_moved(part, origin) for part in law.params.groups)
    return dataclasses.replace(law, params=law.params._replace(groups=groups))
