"""KL between different families, written once per family instead of once per pair.

KL(p‖q) = −H(p) − E_p log q, and log q is linear in a few functions of x: so p brings its entropy and
moments, q brings ``expected_log_density`` of any moments. A moment that p does not know in closed form is
None.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


class Moments(NamedTuple):
    """What a distribution on [low, high] offers. Logarithmic moments are of a positive variable."""

    low: float | Array
    high: float | Array
    entropy: Scalar
    mean: Scalar | None = None
    variance: Scalar | None = None
    log: Scalar | None = None  # E log x
    log_variance: Scalar | None = None  # Var log x
    log1m: Scalar | None = None  # E log(1 − x)
    exp: Callable[[Array], Array] | None = None  # t -> E e^(t x), for t < 0
    power: Callable[[Array], Array] | None = None  # s -> E x^s, for s > 0
    distance: Callable[[Array], Array] | None = None  # m -> E |x − m|


class Target(NamedTuple):
    """q: its support, the moments it needs, and E log q from them."""

    low: float | Array
    high: float | Array
    needs: tuple[str, ...]
    expected_log_density: Callable[[Moments], Array]


@functools.singledispatch
def moments(p: Any) -> Moments | None:
    """Moments of p, None if it is not in the table. Open for registration, as ``target`` is."""
    return None


@functools.singledispatch
def target(q: Any) -> Target | None:
    """q as the second argument of ``kl``, None if it is not in the table."""
    return None


def cross_kl(p: Any, q: Any) -> Scalar | None:
    """KL(p‖q) from the tables; +inf where the support of p is not inside that of q; None where a moment is
    missing.
    """
    source, goal = moments(p), target(q)
    if source is None or goal is None:
        return None
    if _unbounded_in_bounded(source, goal):
        return jnp.full_like(source.entropy, jnp.inf)
    if any(getattr(source, name) is None for name in goal.needs):
        return None
    inside = (source.low >= goal.low) & (source.high <= goal.high)
    value = -source.entropy - goal.expected_log_density(source)
    # a moment may be infinite, never NaN: E log q is then −inf
    return jnp.where(inside & (value < jnp.inf), jnp.where(inside, value, 0.0), jnp.inf)


def _unbounded_in_bounded(p: Moments, q: Target) -> bool:
    """Known without looking at values: the whole line in a half-line, or a half-line in an interval."""

    def free(end):
        return isinstance(end, float) and math.isinf(end)

    return (free(p.low) and not free(q.low)) or (free(p.high) and not free(q.high))


def _registrar(table):
    def register(*kinds: type):
        def decorate(function):
            for kind in kinds:
                table.register(kind, function)
            return function

        return decorate

    return register


register_moments, register_target = _registrar(moments), _registrar(target)
