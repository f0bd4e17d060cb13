"""Which Monte Carlo rules are right for which pairs: what is known before a single draw is made."""

import math
from typing import Any

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax.discretize.families import profile
from divjax.discretize.sources import Source

tfd = tfp.distributions

# Supports that no parameter moves.
_FIXED = {
    (0.0, math.inf): (distrax.Gamma, tfd.Gamma, tfd.Exponential, tfd.HalfNormal, tfd.LogNormal),
    (0.0, 1.0): (distrax.Beta, tfd.Beta),
}


def check_pair(p: Any, q: Any) -> None:
    """Two unbatched distributions of one event shape; TypeError or ValueError otherwise."""
    for name, dist in (("p", p), ("q", q)):
        if not hasattr(dist, "log_prob"):
            raise TypeError(f"Expected {name} to be a distrax or TFP distribution; got {type(dist).__name__}.")
        if tuple(dist.batch_shape) != ():
            raise ValueError(
                f"Expected {name} to be unbatched; got batch_shape {tuple(dist.batch_shape)}. Use jax.vmap over its "
                "parameters and build the distribution inside the mapped function."
            )
    if tuple(p.event_shape) != tuple(q.event_shape):
        raise ValueError(
            f"Expected p and q of equal event shapes; got {tuple(p.event_shape)} and {tuple(q.event_shape)}."
        )


def support(dist: Any) -> tuple[float, float]:
    """The ends of a support on the line, NaN where they are not known while tracing or not on the line."""
    for ends, classes in _FIXED.items():
        if isinstance(dist, classes):
            return ends
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        return support(dist.components_distribution)
    if tuple(dist.event_shape) != ():
        return math.nan, math.nan
    try:
        shape = profile(dist)
    except TypeError:
        return math.nan, math.nan
    low, high = -math.inf if shape.low is None else shape.low, math.inf if shape.high is None else shape.high
    if isinstance(dist, tfd.TruncatedNormal):
        low, high = jnp.min(jnp.asarray(dist.low)), jnp.max(jnp.asarray(dist.high))
    return tuple(math.nan if isinstance(end, jax.core.Tracer) else float(end) for end in (low, high))


def check_reach(base: str, part: Any, other: Any) -> None:
    """ValueError where the support of the only base is known to be smaller than the other's."""
    (low, high), (other_low, other_high) = support(part), support(other)
    if low > other_low or high < other_high:
        raise ValueError(
            f"Expected a base that has mass wherever p and q have; got base={base!r} on ({low:g}, {high:g}), and the "
            f"other reaches ({other_low:g}, {other_high:g}). Use base='mixture'."
        )


def check_pathwise(part: Any, drawn: Source, pair: tuple[Any, Any]) -> None:
    """ValueError where moving draws have no derivative, or may cross a place where a density jumps."""
    if not drawn.pathwise:
        raise ValueError(
            f"Expected a base whose draws are differentiable for gradient='pathwise'; got {type(part).__name__}. "
            "Use gradient='score'."
        )
    low, high = support(part)
    for other in pair:
        if other is part:
            continue
        other_low, other_high = support(other)
        bounded = not (other_low == -math.inf and other_high == math.inf)
        on_the_line = tuple(other.event_shape) == () and hasattr(other, "log_prob") and _has_profile(other)
        if bounded and on_the_line and not (other_low <= low and high <= other_high):
            raise ValueError(
                f"Expected draws that cannot cross an end of a support for gradient='pathwise'; got "
                f"{type(other).__name__}, whose support may end among the draws of {type(part).__name__}: the "
                "gradient would miss the jump. Use gradient='score'."
            )


def _has_profile(dist):
    try:
        profile(dist)
    except TypeError:
        return False
    return True


def moving_ends(dist: Any) -> list[Array]:
    """The ends of a support that parameters may move."""
    if any(isinstance(dist, classes) for classes in _FIXED.values()) or tuple(dist.event_shape) != ():
        return []
    if isinstance(dist, tfd.TruncatedNormal):
        return [jnp.asarray(dist.low), jnp.asarray(dist.high)]
    return [profile(dist).edges] if _has_profile(dist) else []
