"""Which Monte Carlo rules are right for which pairs: what is known before a single draw is made."""

import math
from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu
from divjax.discretize.families import mixture_parts, profile
from divjax.discretize.sources import Source

tfd = tfp.distributions

# Of TFP, whose samples are floats.
_COUNTS = (tfd.Poisson, tfd.Bernoulli, tfd.Binomial, tfd.Geometric, tfd.NegativeBinomial, tfd.Categorical)
_MIXTURES = (distrax.MixtureSameFamily, tfd.MixtureSameFamily, distrax.MixtureOfTwo, tfd.Mixture)
# Supports that no parameter moves.
_FIXED = {
    (0.0, math.inf): (distrax.Gamma, tfd.Gamma, tfd.Exponential, tfd.HalfNormal, tfd.LogNormal),
    (0.0, 1.0): (distrax.Beta, tfd.Beta),
}


def check_pair(p: Any, q: Any) -> None:
    """Two unbatched distributions of one event shape; TypeError or ValueError otherwise."""
    for name, dist in (("p", p), ("q", q)):
        if isinstance(dist, type):
            raise TypeError(f"Expected {name} to be a distribution; got the class {dist.__name__}. Build one of it.")
        if not hasattr(dist, "log_prob"):
            raise TypeError(f"Expected {name} to be a distrax or TFP distribution; got {type(dist).__name__}.")
        if tuple(dist.batch_shape) != ():
            raise ValueError(
                f"Expected {name} to be unbatched; got batch_shape {tuple(dist.batch_shape)}. Use jax.vmap over its "
                "parameters and build the distribution inside the mapped function."
            )
    if tuple(p.event_shape) != tuple(q.event_shape):
        raise ValueError(
            f"Expected p and q of equal event shapes; got {tuple(p.event_shape)} and {tuple(q.event_shape)}. "
            "Both are to be densities of the same variable."
        )
    if is_discrete(p) != is_discrete(q):
        raise ValueError(
            f"Expected p and q both discrete or both continuous; got {type(p).__name__} and {type(q).__name__}. "
            "Between the two every divergence is at its upper end."
        )


def _members(dist: Any) -> list[Any]:
    """The distributions that a support is made of, coordinate by coordinate: those of all components, of the base."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        return _members(dist.components_distribution)
    if isinstance(dist, distrax.MixtureOfTwo | tfd.Mixture):
        return [member for part in mixture_parts(dist)[1] for member in _members(part)]
    if isinstance(dist, distrax.Independent | tfd.Independent):
        return _members(dist.distribution)
    if isinstance(dist, distrax.Transformed | tfd.TransformedDistribution) and _profile(dist) is None:
        base = _members(dist.distribution)
        return [_Somewhere(), *base] if any(_has_ends(member) for member in base) else base
    return [dist]


class _Somewhere:
    """What a map makes of a support with ends: it has ends too, but where is not known."""


def support(dist: Any) -> tuple[float, float]:
    """The ends of the support, along every coordinate; NaN where they are not known while tracing, or differ."""
    lows, highs = zip(*map(_ends, _members(dist)), strict=True)
    return float(np.min(lows)), float(np.max(highs))


def _ends(member):
    for ends, classes in _FIXED.items():
        if isinstance(member, classes):
            return ends
    if isinstance(member, _Somewhere) or (shape := _profile(member)) is None:
        return math.nan, math.nan
    if isinstance(member, tfd.TruncatedNormal):
        return _known(member.low), _known(member.high)
    # Those of every member of a batch, if there is one.
    low, high = _raw_ends(member, shape)
    return -math.inf if low is None else _known(low), math.inf if high is None else _known(high)


def _raw_ends(dist, shape):
    if isinstance(dist, distrax.Uniform | tfd.Uniform):
        return dist.low, dist.high
    return shape.low, shape.high


def _known(end):
    """The one value of an end as a float; NaN while tracing, and where members of a batch differ."""
    if isinstance(end, jax.core.Tracer):
        return math.nan
    values = np.unique(np.asarray(end))
    return float(values[0]) if values.size == 1 else math.nan


def is_discrete(dist: Any) -> bool:
    """Whether a distribution is known to be one over integers, or over what TFP calls so."""
    dtype = getattr(dist, "dtype", jnp.float32)
    return not jnp.issubdtype(dtype, jnp.floating) or isinstance(dist, _COUNTS)


def _profile(dist):
    """The profile of a distribution on the line, or of a batch of them; None where it has none."""
    if tuple(dist.event_shape) != () or is_discrete(dist):
        return None
    try:
        return profile(dist)
    except TypeError:
        return None


def check_reach(base: str, part: Any, other: Any) -> None:
    """ValueError where the support of the only base is known to be smaller than the other's."""
    (low, high), (other_low, other_high) = support(part), support(other)
    if low > other_low or high < other_high:
        raise ValueError(
            f"Expected a base that has mass wherever p and q have; got base={base!r} on ({low:g}, {high:g}), and the "
            f"other reaches ({other_low:g}, {other_high:g}). Use base='mixture'."
        )


def check_pathwise(part: Any, drawn: Source, pair: tuple[Any, ...], remedy: str) -> None:
    """ValueError where moving draws have no derivative, or may cross a place where a density jumps."""
    if not drawn.pathwise:
        raise ValueError(
            f"Expected a distribution whose draws are differentiable; got {type(part).__name__}. Use {remedy}."
        )
    low, high = support(part)
    for other in pair:
        members = [member for member in _members(other) if _has_ends(member)]
        if other is part and not isinstance(part, _MIXTURES):
            continue
        if any(not (start <= low and high <= end) for start, end in map(_ends, members)):
            raise ValueError(
                f"Expected draws that cannot cross an end of a support, for a gradient along their path; got "
                f"{type(other).__name__}, whose support may end among the draws of {type(part).__name__}: the "
                f"gradient would miss the jump. Use {remedy}."
            )


def _has_ends(member):
    """Whether the support of a distribution is known to end somewhere."""
    if isinstance(member, _Somewhere | tfd.TruncatedNormal):
        return True
    if any(isinstance(member, classes) for classes in _FIXED.values()):
        return True
    shape = _profile(member)
    return shape is not None and not (shape.low is None and shape.high is None)


def _moving_ends(member):
    if isinstance(member, _Somewhere) or any(isinstance(member, classes) for classes in _FIXED.values()):
        return []
    if isinstance(member, tfd.TruncatedNormal):
        return [jnp.asarray(member.low), jnp.asarray(member.high)]
    shape = _profile(member)
    return [] if shape is None else [shape.edges]


def with_fixed_ends(dist: Any, log: Array, what: str) -> Array:
    """The log-density; differentiating it along a moving end of the support is an error, since no node sees it move."""
    message = (
        f"Expected ends of supports that do not move for {what}; got {type(dist).__name__}, differentiated along an "
        "end of its support: no node sees it move. Use dj.quadrature in one dimension."
    )
    for end in (end for member in _members(dist) for end in _moving_ends(member)):
        log = log + nu.undifferentiable(end, message)
    return log
