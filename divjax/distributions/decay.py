"""How densities fall towards the ends of their supports, and which integrals of two of them diverge there.

An integral of powers, ∫ p^a q^b, diverges at an end or nowhere. Which of the terms of a log p + b log q is the largest
there decides, and where two cancel the next one: e^y, y^order, log² y, log y, in y → ∞, which is |x| where the end is
at infinity and one over the distance from it else. What no parameter moves is a Python float, and what follows from
floats a bool: nothing is computed for it in a program.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax.distributions.density import knots, log_prob, profile, support
from divjax.distributions.family import Density, is_infinite
from divjax.numerics.truths import Truth, also, choose, either

_ROUNDINGS = 16.0  # a sum that is less than so many roundings of its terms is 0
_FAR = 1e6  # widths of both laws: there the tail of a power is one, and its rounded logarithm good to 1e-5


class Decay(NamedTuple):
    """One end: log p = −((y − loc)/width)^order − log_square (log y)² − power log y, and what is bounded.

    y is |x| where the end is at infinity, so that loc is counted outwards, −loc towards −∞; else y is one over the
    distance from the end. Fields are Python floats where no parameter moves them, and arrays that broadcast.

    Examples:
        >>> student = Decay(power=4.0)
        >>> normal = Decay(order=2.0, width=jnp.asarray(1.4))
    """

    power: Any = 0.0
    order: Any = 0.0  # 0: there is no such term. ∞: it is −e^((y − loc)/width)
    width: Any = 1.0
    loc: Any = 0.0
    log_square: Any = 0.0
    known: Truth = True  # whether all of this is right for these parameters
    smooth: bool = True  # whether the density is positive and finite everywhere inside of the end


Ends = tuple[Decay, Decay]  # towards the lower and the upper end
LEVEL = Decay()  # of a finite end: the density goes to a number there, as it does at a point inside


def both(decay: Decay) -> Ends:
    """The same at both ends."""
    return decay, decay


def gaussian(loc: Any, scale: Any) -> Ends:
    """Of e^(−½ ((x − loc)/scale)²)."""
    width = math.sqrt(2.0) * scale
    return Decay(order=2.0, width=width, loc=-loc), Decay(order=2.0, width=width, loc=loc)


def decays(p: Density) -> Ends | None:
    """At both ends of the support of a density on the line; None where that is not known."""
    if p.family.decay is None or p.family.support is None or p.event_shape:
        return None
    return p.family.decay(p.params)


def is_bare_power(decay: Decay) -> bool:
    """Whether it is known, while tracing too, that it falls like a power alone."""
    return _is_none(decay.order) and _is_none(decay.log_square) and not _is_none(decay.power)


def if_known(p: Density, q: Density) -> tuple[Density, Density] | None:
    """Both, where it is known how they decay, which depends on their structure alone; else None."""
    return None if decays(p) is None or decays(q) is None else (p, q)


# --- Where two densities meet an end -----------------------------------------------------------------------


class Place(NamedTuple):
    """A point, or infinity, where one of two densities ends, or both do."""

    p: Decay
    q: Decay
    least: float  # ∫ y^−power converges for a power above that
    here: Truth = True  # whether there is such a place, for these parameters

    def exchanged(self) -> "Place":
        """p and q in each other's place."""
        return self._replace(p=self.q, q=self.p)


class Places(NamedTuple):
    """All places where an integral of two densities may diverge: it does if it diverges at one of them.

    Examples:
        >>> p, q = (Decay(power=power) for power in (3.0, 5.0))  # Student's t of 2 and 4 degrees of freedom
        >>> Places((Place(p, q, 1.0),)).power(2.0, -1.0)
        True
    """

    each: tuple[Place, ...]

    def exchanged(self) -> "Places":
        """p and q in each other's place."""
        return Places(tuple(place.exchanged() for place in self.each))

    def power(self, of_p: Any, of_q: Any) -> Truth:
        """Whether ∫ p^of_p q^of_q diverges."""
        return self._anywhere(lambda place: _power_diverges(place, of_p, of_q))

    def log(self) -> Truth:
        """Whether ∫ p log(p/q) diverges."""
        return self._anywhere(_log_diverges)

    def _anywhere(self, diverges: Callable[[Place], Truth]) -> Truth:
        found: Truth = False
        for place in self.each:
            right = also(also(place.p.known, place.q.known), place.here)
            found = either(found, also(right, diverges(place)))
        return found


def places(p: Density, q: Density) -> Places | None:
    """Of two densities; None where it is not known how one of them decays. Nothing is differentiated."""
    p, q = jax.lax.stop_gradient((p, q))
    of_p, of_q = decays(p), decays(q)
    if of_p is None or of_q is None:
        return None
    found = []
    smooth = [all(decay.smooth for decay in each) for each in (of_p, of_q)]
    for side, inwards in ((0, 1.0), (1, -1.0)):
        ends = [support(each)[side] for each in (p, q)]
        found += _at_end(of_p[side], of_q[side], ends, inwards, smooth)
    return Places(tuple(found))


def _at_end(p: Decay, q: Decay, ends: list[Any], inwards: float, smooth: list[bool]) -> list[Place]:
    """Both end there, or one does inside of the other; beyond it the supports decide."""
    if any(isinstance(end, float) and math.isnan(end) for end in ends):
        return []
    at_infinity = list(map(is_infinite, ends))
    if all(at_infinity):
        return [Place(p, q, 1.0)]
    if any(at_infinity):
        q_inner, p_inner = at_infinity
        same = False
    else:
        gap = inwards * (ends[0] - ends[1])
        p_inner, q_inner, same = gap > 0.0, gap < 0.0, gap == 0.0
    found = [Place(p, q, -1.0, same)]
    found += [Place(p, LEVEL, -1.0, p_inner)] if smooth[1] else []
    found += [Place(LEVEL, q, -1.0, q_inner)] if smooth[0] else []
    return [place for place in found if place.here is not False]


# --- Where tails of two laws differ ------------------------------------------------------------------------


class Tail(NamedTuple):
    """Towards one end of the line. ``differ``: whether one density is the larger far out, by more than a shift is."""

    decays: tuple[Decay, ...]  # of those of the two laws that reach it
    differ: Callable[[], Truth]


class Tails(NamedTuple):
    """Both ends of the line: an integral of what two laws differ in diverges if it does at one of them.

    Examples:
        >>> student = Tail((Decay(power=3.0), Decay(order=2.0)), lambda: True)  # of 2 degrees of freedom, and a normal
        >>> Tails((student,)).heavy(2.0), Tails((student,)).heavy(3.0)
        (False, True)
    """

    each: tuple[Tail, ...]
    room: float = 0.0  # by how much they might fall more slowly

    def heavy(self, power: Any) -> Truth:
        """Whether somewhere they differ, and one of them falls as slowly as y^−power, or more slowly."""
        found: Truth = False
        for tail in self.each:
            slow: Truth = False
            for decay in tail.decays:
                bare = also(decay.known, also(decay.order == 0.0, decay.log_square == 0.0))
                slow = either(
                    slow, also(bare, _sum((decay.power, -power, -self.room)) <= 0.0) if bare is not False else False
                )
            found = either(found, also(slow, tail.differ()) if slow is not False else False)
        return found


def tails_apart(p: Any, q: Any, room: float = 0.0) -> Tails | None:
    """Of two densities, or of a density and a sample, which has no tail; None where it is not known how one decays."""
    laws = jax.lax.stop_gradient([law for law in (p, q) if isinstance(law, Density)])
    ends = [decays(law) for law in laws]
    if not laws or any(each is None for each in ends):
        return None
    found = []
    for side, sign in ((0, -1.0), (1, 1.0)):
        reaching = [of[side] for law, of in zip(laws, ends, strict=True) if is_infinite(support(law)[side])]
        found += [Tail(tuple(reaching), functools.partial(_differ, laws, sign))] if reaching else []
    return Tails(tuple(found), room)


def _differ(laws: list[Density], sign: float) -> Truth:
    if len(laws) == 1:
        return True
    within = jnp.concatenate([jnp.ravel(knots(profile(law))) for law in laws])
    low, high = jnp.min(within), jnp.max(within)
    x = (high if sign > 0.0 else low) + sign * _FAR * (high - low)
    logs = [log_prob(law, x) for law in laws]
    return jnp.abs(logs[0] - logs[1]) > 30.0 / _FAR


# --- Integrals ---------------------------------------------------------------------------------------------


def _power_diverges(place: Place, a: Any, b: Any) -> Truth:
    p, q, least, _ = place
    total = _sum((_times(a, p.power), _times(b, q.power), -least))
    found = total <= 0.0
    squares = _sum((_times(a, p.log_square), _times(b, q.log_square)))
    for term in (squares, *reversed(_leading(p, q, a, b))):
        found = either(term < 0.0, also(term == 0.0, found))
    return found


def _leading(p: Decay, q: Decay, a: Any, b: Any) -> list[Any]:
    """The signs that decide of both leading terms: the larger's, then the other's; of one order that of their sum,
    then that of the sum of their shifts. A positive one lets the integral converge."""
    if _is_none(p.order) and _is_none(q.order):
        return []
    alone_p, alone_q = (choose(each.order > 0.0, of, 0.0) for each, of in ((p, a), (q, b)))
    together, shift = _together(p, q, a, b)
    p_first, q_first = p.order > q.order, p.order < q.order
    return [
        choose(p_first, alone_p, choose(q_first, alone_q, together)),
        choose(p_first, alone_q, choose(q_first, alone_p, shift)),
    ]


def _together(p: Decay, q: Decay, a: Any, b: Any) -> tuple[Any, Any]:
    """Of terms of one order, in units of that of p: a ratio of widths neither overflows nor is 0 as a rate may be."""
    order = int(p.order) if isinstance(p.order, float) and p.order.is_integer() else p.order
    some, doubly = p.order > 0.0, p.order == math.inf
    ratio = (p.width / q.width) ** order if some is not False else 1.0
    if doubly is not False:
        # Of other widths one of the two is 0 or infinite already beside the other: these are equal.
        ratio = ratio * choose(doubly, jnp.exp((p.loc - q.loc) / p.width), 1.0)
    total = choose(some, _sum((a, b * ratio)), 0.0)
    shift = _times(a, _sum((q.loc, -p.loc)))
    # A sum of doubly exponential terms that is 0 is followed by others than these, and nothing is said.
    return total, choose(doubly, 1.0, choose(p.order > 1.0, shift, 0.0))


def _log_diverges(place: Place) -> Truth:
    """p |log q| alone is in question: |log q| grows like y^order, or e^(y/width), or by logarithms, which is slow."""
    p, q, least, _ = place
    if _is_none(q.order):
        return False
    bare = also(p.order == 0.0, p.log_square == 0.0)
    by_power = also(bare, _sum((p.power, -q.order, -least)) <= 0.0) if bare is not False else False
    as_fast = choose(p.order == 1.0, p.width >= q.width, p.order < 1.0)
    return also(q.order > 0.0, choose(q.order == math.inf, as_fast, by_power))


def _sum(terms: tuple[Any, ...]) -> Any:
    """0 where it is by rounding alone that it is not: 2/s² − 1/(s²/2), say."""
    total, size = sum(terms), sum(map(abs, terms))
    eps = 2.0**-52 if isinstance(total, float) else jnp.finfo(total.dtype).eps
    return choose(abs(total) < _ROUNDINGS * eps * size, 0.0, total)  # of infinite terms it is not


def _is_none(x: Any) -> bool:
    """Whether it is known, while tracing too, to be 0."""
    return isinstance(x, float) and x == 0.0


def _times(a: Any, x: Any) -> Any:
    return 0.0 if _is_none(x) or _is_none(a) else a * x


# --- Mixtures ----------------------------------------------------------------------------------------------


def slowest(parts: list[tuple[Decay, Any, tuple[int, ...]]], weighs: Array, inwards: float, dtype: Any) -> Decay:
    """The decay of a mixture towards one end: the slowest of those components of some weight that reach it decides.

    parts: of every group the decay, the end, and the shape of the group's batch, whose last axis holds its members;
    weighs: which of all components have a weight, [..., k].
    """

    def joined(values):
        if all(isinstance(value, float | bool) and value == values[0] for value in values):
            return values[0]
        rows = [jnp.broadcast_to(jnp.asarray(value), shape) for value, (_, _, shape) in zip(values, parts, strict=True)]
        return jnp.concatenate([row if row.dtype == bool else row.astype(dtype) for row in rows], axis=-1)

    ends = joined([end for _, end, _ in parts])
    one_end = isinstance(ends, float)
    alive = weighs if one_end else weighs & (ends == inwards * jnp.min(inwards * ends, axis=-1, keepdims=True))
    right = joined([decay.known for decay, _, _ in parts])
    right = also(True if one_end else jnp.any(alive, axis=-1), _all(right, alive))
    found = {}
    for name, sign in (("order", 1.0), ("width", -1.0), ("loc", -1.0), ("log_square", 1.0), ("power", 1.0)):
        values = joined([getattr(decay, name) for decay, _, _ in parts])
        if not isinstance(values, float):
            least = jnp.min(jnp.where(alive, sign * values, jnp.inf), axis=-1)
            alive = alive & (sign * values == least[..., None])
            values = sign * least
        found[name] = values
    return Decay(**found, known=right, smooth=one_end and all(decay.smooth for decay, _, _ in parts))


def _all(right: Truth, alive: Array) -> Truth:
    return right if isinstance(right, bool) else jnp.all(right | ~alive, axis=-1)
