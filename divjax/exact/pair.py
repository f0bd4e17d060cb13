"""Two distributions side by side: checks, and what they share."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from divjax.distributions.density import is_law, of_one_dtype
from divjax.distributions.exponential.family import Family, Member, Overlap, Square
from divjax.distributions.family import Density
from divjax.distributions.resolve import resolve
from divjax.distributions.vectors import dense
from divjax.numerics.calls import said
from divjax.numerics.programs import kept, of_structure


class Pair(NamedTuple):
    """Two members of one family; ``square`` is None where the squares leave it."""

    tag: str
    family: Family
    theta_p: PyTree
    theta_q: PyTree
    square: Square | None
    equal_frames: bool

    def overlap(self, alpha: Array | float) -> Overlap:
        return self.family.overlap(_as(alpha, self.theta_p), self.theta_p, self.theta_q)

    def overlap_of_squares(self, alpha: Array | float) -> Overlap:
        p, q = self.square.theta(self.theta_p), self.square.theta(self.theta_q)
        return self.family.overlap(_as(alpha, p), p, q)


def _as(alpha: Array | float, theta: PyTree) -> Array:
    return jnp.asarray(alpha, jnp.result_type(*jax.tree.leaves(theta)))


def both(p: Any, q: Any) -> tuple[Density, Density]:
    """p and q as densities, unbatched, of equal event shapes; ``TypeError`` or ``ValueError`` otherwise."""
    p, q = resolve(p, "p"), resolve(q, "q")
    for dist in (p, q):
        if dist.batch_shape:
            raise ValueError(
                f"Expected an unbatched distribution; got batch_shape {dist.batch_shape}. Use "
                "jax.vmap over the parameters, or make the axis part of the event (Independent)."
            )
    if p.event_shape != q.event_shape:
        raise ValueError(f"Expected p and q of equal event shapes; got {p.event_shape} and {q.event_shape}.")
    return of_one_dtype(p, q)


def member(p: Density) -> Member | None:
    """p as a member of an exponential family, or of one whose support moves; None if it is none."""
    return None if p.family.member is None else p.family.member(p.params)


def comparable(p: Density, q: Density, *, equal_frames: bool = True) -> Pair | None:
    """p and q as members of one family, or None. ``equal_frames=False`` accepts different fixed parameters too."""
    one, two = member(p), member(q)
    if one is None or two is None or one.tag != two.tag:
        return None
    if one.family is not two.family:
        one, two = dense(one), dense(two)
    if one.family is not two.family:
        return None
    equal = same(one.frame, two.frame)
    if equal_frames and not equal:
        return None
    return Pair(one.tag, one.family, one.theta, two.theta, one.square, equal)


MayBePoint = Callable[[Any], bool]  # of a family of densities


def never(family: Any) -> bool:
    return False


def is_location_scale(family: Any) -> bool:
    return family.standard is not None


def of_distributions(closed: Callable[..., Array], points: tuple[MayBePoint, MayBePoint] = (never, never)) -> Any:
    """``closed`` of two densities, for whatever ``resolve`` takes.

    NaN where the parameters of p or q make no distribution, whatever the formula, and its +inf, make of them.
    ``points`` says, for p and for q, in which families the formula holds for a scale of 0 too.
    """

    @kept
    def program(p: Density, q: Density, **params: Any) -> Array:
        are_laws = is_law(p, points[0]) & is_law(q, points[1])
        return jnp.where(are_laws, closed(p, q, **params), jnp.nan)

    @said
    @functools.wraps(closed)
    def checked(p: Any, q: Any, **params: Any) -> Array:
        p, q = both(p, q)
        framed = _in_one_frame(p, q)
        return program.__wrapped__(p, q, **params) if framed is None else program(p, framed, **params)

    return checked


def _in_one_frame(p: Density, q: Density) -> Density | None:
    """q with the frame of p, where both are known to be equal: a program knows equal parameters by their being one.

    None where a frame is no parameter as it is, so that a program would not find the two equal.
    """
    if not (_has_frame(p) and _has_frame(q)):
        return q
    one, two = member(p), member(q)
    if one.tag != two.tag or not same(one.frame, two.frame):
        return q
    own = {id(leaf) for leaf in jax.tree.leaves((p, q))}
    frames = [jax.tree.leaves(side.frame) for side in (one, two)]
    if not all(id(leaf) in own for frame in frames for leaf in frame):
        return None
    of_p = {id(b): a for a, b in zip(*frames, strict=True)}
    return jax.tree.map(lambda leaf: of_p.get(id(leaf), leaf), q)


@of_structure
def _has_frame(p: Density) -> bool:
    found = member(p)
    return found is not None and bool(jax.tree.leaves(found.frame))


def closed_form(name: str, p: Density, q: Density) -> Pair:
    """The pair on which ∫ p^a q^(1−a) is known, or an error that says what to do instead."""
    pair = comparable(p, q)
    if pair is None or pair.family.overlap is None:
        raise no_closed_form(name, p, q)
    return pair


def no_closed_form(name: str, p: Density, q: Density) -> NotImplementedError:
    """The error, with the reason where it is only a parameter that differs."""
    reason = ""
    one, two = member(p), member(q)
    if one is not None and two is not None and one.tag == two.tag and not same(one.frame, two.frame):
        reason = (
            f" unless they share the parameter that makes {one.tag} an exponential family (inside jit or "
            "vmap: build both from the same array)"
        )
    return NotImplementedError(
        f"Expected a pair with a closed form of {name}; got {p.name} and {q.name}, which "
        f"have none here{reason}. Use dj.quadrature (few dimensions), dj.monte_carlo, or dj.bounds "
        "(KL of Gaussian mixtures)."
    )


def same(one: PyTree, two: PyTree) -> bool:
    """Known to be equal: one object, or equal values that are not traced."""
    return all(a is b or _equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))
