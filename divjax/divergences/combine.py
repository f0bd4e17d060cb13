"""Combinators: from divergences of a measure to divergences of a measure, which are declared to be measured alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.measured import Divergence, declared, declared_as, infinite_where
from divjax.measures import Measure, Nodes, exchanged
from divjax.numerics.calls import said
from divjax.numerics.truths import either


def _share(weight, part):
    """weight · part; an infinite part is a constant, and 0 where it has no weight."""
    infinite = jnp.isinf(part)
    constant = jnp.where(jnp.asarray(weight) == 0.0, 0.0, part)
    return jnp.where(infinite, constant, weight * jnp.where(infinite, 0.0, part))


@said
def reverse(divergence: Divergence) -> Divergence:
    """The divergence with its arguments exchanged, D(q, p).

    Examples:
        >>> nodes = dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])))
        >>> bool(dj.reverse(dj.kl)(nodes) == dj.reverse_kl(nodes))
        True
    """

    @declared_as(
        divergence, "reverse", lambda places, **params: infinite_where(divergence, places.exchanged(), **params)
    )
    def reversed_divergence(measure: Measure, **params: Any) -> Array:
        return divergence(exchanged(measure), **params)

    return reversed_divergence


@said
def symmetrize(divergence: Divergence) -> Divergence:
    """The divergence both ways, D(p, q) + D(q, p): Jeffreys from kl.

    Examples:
        >>> nodes = dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])))
        >>> round(float(dj.symmetrize(dj.kl)(nodes)), 3)
        0.275
    """

    def infinite(places, **params):
        both = (infinite_where(divergence, at, **params) for at in (places, places.exchanged()))
        return either(*both)

    @declared_as(divergence, "symmetrize", infinite)
    def symmetric(measure: Measure, **params: Any) -> Array:
        return divergence(measure, **params) + divergence(exchanged(measure), **params)

    return symmetric


@said
def skew(divergence: Divergence, *, weight: ArrayLike) -> Divergence:
    """The divergence of p from a mixture of p and q, D(p, w p + (1−w) q): finite where D(p, q) is not (Lee 1999).

    The second argument covers the first. Raises TypeError for a divergence that is not measured on ``Nodes``: of other
    measures no mixture is known; ValueError for a weight w outside [0, 1].

    Examples:
        >>> nodes = dj.pmf(jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.0, 1.0])))
        >>> round(float(dj.skew(dj.kl, weight=0.5)(nodes)), 3)
        0.693
    """
    weight = _checked_weight(divergence, weight, "skew")

    @declared_as(divergence, "skew")
    def skewed(nodes: Nodes, **params: Any) -> Array:
        (nodes,) = checks.operands(nodes)
        return divergence(replace(nodes, log_q=nu.log_mixture(nodes.log_p, nodes.log_q, weight)), **params)

    return skewed


@said
def jensen(divergence: Divergence, *, weight: ArrayLike = 0.5) -> Divergence:
    """The mean divergence of p and q from their mixture, w D(p, m) + (1−w) D(q, m), m = w p + (1−w) q.

    Jensen-Shannon from kl. Errors as for ``skew``.

    Examples:
        >>> nodes = dj.pmf(jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.0, 1.0])))
        >>> round(float(dj.jensen(dj.kl)(nodes)), 3)
        0.693
    """
    weight = _checked_weight(divergence, weight, "jensen")

    @declared_as(divergence, "jensen")
    def jensen_divergence(nodes: Nodes, **params: Any) -> Array:
        (nodes,) = checks.operands(nodes)
        log_m = nu.log_mixture(nodes.log_p, nodes.log_q, weight)
        p_part, q_part = (
            divergence(replace(nodes, log_p=log, log_q=log_m), **params) for log in (nodes.log_p, nodes.log_q)
        )
        return _share(weight, p_part) + _share(1.0 - weight, q_part)

    return jensen_divergence


def _checked_weight(divergence: Callable[..., Array], weight: ArrayLike, name: str) -> ArrayLike:
    measure = declared(divergence)
    if measure not in (Nodes, None):
        raise TypeError(
            f"Expected a divergence that is measured on Nodes for {name}; got one on {measure.__name__}, of which no "
            "mixture is known. Choose one such as dj.kl."
        )
    return checks.parameter(weight, "weight", 0.0, 1.0)
