"""Exponential families, once. Everything is the curvature of the log-partition A along a segment.

With η(t) = (1−t) η_q + t η_p and φ(t) = A(η(t)),

    −log ∫ p^a q^(1−a) = a φ(1) + (1−a) φ(0) − φ(a) = a (1−a) K(a),

the skew Jensen difference of A (Nielsen, Boltz 2011). K, the ``gap``, is smooth in a: K(1) = KL(p‖q) and
K(0) = KL(q‖p) are Bregman divergences. All of kl, renyi, tsallis, alpha_divergence, chi2, ... are
elementary in K(a), limits included. Written as a difference K cancels when p ≈ q; written with ∫ s φ''(t₀ +
s l) ds, a positive combination of two such moments, it does not.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from divjax.numerics import segments
from divjax.numerics.calls import said


class Overlap(NamedTuple):
    """Any p and q through their common support S: −log ∫ p^a q^(1−a) = −a log P(S) − (1−a) log Q(S) +
    a(1−a) gap.

    ``gap`` is K(a) of p and q conditioned on S; for equal supports both log-masses are 0.
    """

    log_p: Float[Array, ""]  # log P(S)
    log_q: Float[Array, ""]  # log Q(S)
    gap: Float[Array, ""]


class Family(NamedTuple):
    """``overlap(alpha, theta_p, theta_q)`` for two members given by the parameters their user gave.

    ``kl(theta_p, theta_q)``, where it is not None, holds for members of different frames too.
    """

    overlap: Callable[[Array, PyTree, PyTree], Overlap] | None
    kl: Callable[[PyTree, PyTree], Array] | None = None


class Square(NamedTuple):
    """The normalised square p²/∫p² as a member of the same family, and log ∫p², as functions of theta."""

    theta: Callable[[PyTree], PyTree]
    log_norm: Callable[[PyTree], Array]


class Member(NamedTuple):
    """A distribution as a member of a family.

    Two members are comparable when they have the same family, the same tag and the same frame: what the
    family holds fixed (a location, a shape, a number of trials). ``square`` is None where p² leaves it.
    """

    family: Family
    tag: str
    theta: PyTree
    frame: PyTree = ()
    square: Square | None = None


def same_support(
    gap: Callable[[Array, PyTree, PyTree], Array], kl: Callable[[PyTree, PyTree], Array] | None = None
) -> Family:
    """The family of a gap function whose members all have one support."""

    def overlap(alpha, p, q):
        value = gap(alpha, p, q)
        zero = jnp.zeros_like(value)
        return Overlap(zero, zero, value)

    return Family(overlap, kl)


def combine_legs(alpha: Array, leg: Callable[[Array, Array, Array], Array]) -> Array:
    """K(a) as a positive combination of two moments ``leg(start, end, length)`` = ∫₀¹ s φ''(start + s
    length) ds.

    For 0 ≤ a ≤ 1 the Green's function of the second difference splits at a; outside, the positive split is
    another one, so that nothing cancels towards the border of the natural domain.
    """
    above, below = alpha > 1.0, alpha < 0.0
    outside = above | below
    # where, not clip: the derivative of clip is halved at 0 and 1
    inside = jnp.where(outside, 0.5, alpha)
    zero, one = jnp.zeros_like(alpha), jnp.ones_like(alpha)
    first_start, first_end = jnp.where(below, one, zero), _choose(above, one, below, zero, inside)
    second_start, second_end = jnp.where(outside, alpha, one), _choose(above, one, below, zero, inside)
    first_length = _choose(above, one, below, -one, inside)
    second_length = _choose(above, 1.0 - alpha, below, -alpha, inside - 1.0)
    # one program for both: half the graph to compile
    first, second = jax.vmap(leg)(
        jnp.stack([first_start, second_start]),
        jnp.stack([first_end, second_end]),
        jnp.stack([first_length, second_length]),
    )
    up, down = jnp.where(above, alpha, 1.0), jnp.where(below, 1.0 - alpha, 1.0)
    weight_first = _choose(above, 1.0 / up, below, 1.0 / down, inside)
    weight_second = _choose(above, (alpha - 1.0) / up, below, -alpha / down, 1.0 - inside)
    return weight_first * first + weight_second * second


def _choose(first: Array, one: Array, second: Array, two: Array, otherwise: Array) -> Array:
    return jnp.where(first, one, jnp.where(second, two, otherwise))


def guarded(gap: Callable, inside: Callable) -> Callable:
    """``gap`` where ``inside(alpha, p, q)`` holds, +inf elsewhere: the integral of p^a q^(1−a) diverges
    there.
    """

    def guard(alpha, p, q):
        ok = inside(alpha, p, q)
        return jnp.where(ok, gap(jnp.where(ok, alpha, 0.5), p, q), jnp.inf)

    return guard


def mix(alpha: Array, p: Array, q: Array) -> Array:
    """(1 − a) q + a p, exactly p or q at a = 1 or 0."""
    return (1.0 - alpha) * q + alpha * p


@said
def from_curvature(curvature: Callable, inside: Callable, natural: Callable = lambda theta: theta) -> Family:
    """A family from the curvature of its log-partition, ``curvature(eta, delta)`` = Δᵀ∇²A(η)Δ.

    It is integrated along the segment between two members. ``inside(eta)`` says whether eta is in the natural domain;
    ``natural(theta)`` is the eta of the parameters that a member is given by.

    Examples:
        >>> poisson = dj.exact.from_curvature(
        ...     lambda eta, delta: jnp.exp(eta) * delta**2, inside=jnp.isfinite, natural=jnp.log
        ... )
        >>> round(float(poisson.overlap(jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(2.0)).gap), 4)
        0.3069
    """

    def gap(alpha, p, q):
        p, q = natural(p), natural(q)
        delta = jax.tree.map(jnp.subtract, p, q)

        def at(t):
            return jax.tree.map(functools.partial(mix, t), p, q)

        return combine_legs(
            alpha,
            lambda start, end, length: segments.moment(lambda eta: curvature(eta, delta), at(start), at(end)),
        )

    def ok(alpha, p, q):
        return inside(jax.tree.map(functools.partial(mix, alpha), natural(p), natural(q)))

    return same_support(guarded(gap, ok))


@said
def from_log_partition(log_partition: Callable[[PyTree], Array], inside: Callable[[PyTree], Array]) -> Family:
    """A family from its log-partition alone: the curvature by forward-over-forward differentiation.

    For the ``Member`` of a family of one's own. log_partition: A(η), a scalar; inside(η) says whether η is in the
    natural domain. Divergences of nearly equal members are as accurate as the second derivative of A is.

    Examples:
        >>> poisson = dj.exact.from_log_partition(jnp.exp, inside=jnp.isfinite)
        >>> found = poisson.overlap(jnp.asarray(1.0), jnp.log(1.0), jnp.log(2.0))
        >>> round(float(found.gap), 4)  # KL between Poisson laws of mean 1 and 2: 2 − 1 − log 2
        0.3069
    """

    def curvature(eta, delta):
        def slope(eta):
            return jax.jvp(log_partition, (eta,), (delta,))[1]

        return jax.jvp(slope, (eta,), (delta,))[1]

    return from_curvature(curvature, inside)


@functools.lru_cache
def product(family: Family, ndims: int) -> Family:
    """Independent copies along ``ndims`` leading axes of theta: log-masses and gaps add up."""

    def overlap(alpha, p, q):
        each = _mapped(functools.partial(family.overlap, alpha), ndims)
        return Overlap(*(jnp.sum(part) for part in each(p, q)))

    def kl(p, q):
        return jnp.sum(_mapped(family.kl, ndims)(p, q))

    return Family(family.overlap and overlap, family.kl and kl)


def product_square(square: Square, ndims: int) -> Square:
    """As ``product``: theta along the axes, the log-norms added."""
    return Square(_mapped(square.theta, ndims), lambda theta: jnp.sum(_mapped(square.log_norm, ndims)(theta)))


def _mapped(function: Callable, ndims: int) -> Callable:
    for _ in range(ndims):
        function = jax.vmap(function)
    return function


@functools.lru_cache
def repeated(family: Family) -> Family:
    """n draws of ``family``: theta is (n, theta of one draw)."""

    def overlap(alpha, p, q):
        (times, p), (_, q) = p, q
        return Overlap(*(times * part for part in family.overlap(alpha, p, q)))

    return Family(overlap)
