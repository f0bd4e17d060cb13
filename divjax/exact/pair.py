"""Two distributions side by side: checks, and what they share."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from divjax.exact import members_discrete as members_discrete  # registers
from divjax.exact.family import Family, Overlap, Square
from divjax.exact.members import dense, exponential_family


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


def check(p: Any, q: Any) -> None:
    """Distributions, unbatched, of equal event shapes; ``TypeError`` or ``ValueError`` otherwise."""
    for dist in (p, q):
        if not hasattr(dist, "batch_shape"):
            raise TypeError(
                f"Expected distrax or TFP distributions; got {type(dist).__name__}. Log-densities go to the divergence "
                "itself: dj.kl(dj.pmf(log_p, log_q))."
            )
        if tuple(dist.batch_shape):
            raise ValueError(
                f"Expected an unbatched distribution; got batch_shape {tuple(dist.batch_shape)}. Use "
                "jax.vmap over the parameters, or distrax.Independent if the axis is part of the event."
            )
    if tuple(p.event_shape) != tuple(q.event_shape):
        raise ValueError(
            f"Expected p and q of equal event shapes; got {tuple(p.event_shape)} and {tuple(q.event_shape)}."
        )


def comparable(p: Any, q: Any, *, equal_frames: bool = True) -> Pair | None:
    """p and q as members of one family, or None. ``equal_frames=False`` accepts different fixed parameters
    too.
    """
    one, two = exponential_family(p), exponential_family(q)
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


def nan_in_nan_out(closed: Callable[..., Array]) -> Callable[..., Array]:
    """NaN where a parameter of p or q is: comparisons with it would choose +inf, which means something else."""

    @functools.wraps(closed)
    def checked(p: Any, q: Any, **params: Any) -> Array:
        value = closed(p, q, **params)
        arrays = [leaf for leaf in jax.tree.leaves((p, q)) if isinstance(leaf, jax.Array | np.ndarray | float)]
        real = [leaf for leaf in map(jnp.asarray, arrays) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        broken = [jnp.any(jnp.isnan(leaf)) for leaf in real]
        return jnp.where(jnp.any(jnp.stack(broken)), jnp.nan, value) if broken else value

    return checked


def closed_form(name: str, p: Any, q: Any) -> Pair:
    """The pair on which ∫ p^a q^(1−a) is known, or an error that says what to do instead."""
    check(p, q)
    pair = comparable(p, q)
    if pair is None or pair.family.overlap is None:
        raise no_closed_form(name, p, q)
    return pair


def no_closed_form(name: str, p: Any, q: Any) -> NotImplementedError:
    """The error, with the reason where it is only a parameter that differs."""
    reason = ""
    one, two = exponential_family(p), exponential_family(q)
    if one is not None and two is not None and one.tag == two.tag and not same(one.frame, two.frame):
        reason = (
            f" unless they share the parameter that makes {one.tag} an exponential family (inside jit or "
            "vmap: build both from the same array)"
        )
    return NotImplementedError(
        f"Expected a pair with a closed form of {name}; got {type(p).__name__} and {type(q).__name__}, which "
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
