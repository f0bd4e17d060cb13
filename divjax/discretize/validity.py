"""Which pairs can be measured, and which Monte Carlo rules are right for them: known before a single draw is made."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import numerics as nu
from divjax.distributions.density import is_discrete as is_discrete
from divjax.distributions.density import of_one_dtype, support
from divjax.distributions.family import Density, Source, is_infinite
from divjax.distributions.mixtures import MIXTURE
from divjax.distributions.resolve import resolve

Ends = tuple[Any, Any]
OF_SAMPLES = (
    "draw samples [n, d] of both, for dj.energy, dj.sliced_wasserstein or dj.sinkhorn_divergence; of two Gaussians "
    "there is dj.exact.wasserstein2"
)


def one(dist: Any, name: str = "the distribution") -> Density:
    """One unbatched distribution, resolved; TypeError or ValueError, with the remedy, for anything else."""
    p = resolve(dist, name)
    if p.batch_shape != ():
        raise ValueError(
            f"Expected {name} to be unbatched; got batch_shape {p.batch_shape}. Use jax.vmap(dj.kl)(p, q) where "
            "all parameters of both have the batch axis, jax.vmap(dj.kl, in_axes=(0, None))(p, q) where those of q "
            "have none, or build the distributions inside the mapped function."
        )
    return p


def pair(p: Any, q: Any, *, by_mass: bool = False) -> tuple[Density, Density]:
    """Two unbatched distributions of one event shape, resolved; TypeError or ValueError otherwise.

    by_mass: their masses are compared, not their densities: on the line one may be discrete and the other not.
    """
    p, q = one(p, "p"), one(q, "q")
    if not by_mass or p.event_shape != () or q.event_shape != ():
        check_pair(p, q)
    return of_one_dtype(p, q)


def check_pair(p: Density, q: Density) -> None:
    """Both densities of the same variable; ValueError otherwise."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"Expected p and q of equal event shapes; got {p.event_shape} and {q.event_shape}. "
            "Both are to be densities of the same variable."
        )
    if is_discrete(p) != is_discrete(q):
        raise ValueError(
            f"Expected p and q both discrete or both continuous; got {p.name} and {q.name}. "
            "A density of the one is none of the other."
        )


def univariate(dist: Any, name: str = "the distribution", remedy: str = OF_SAMPLES) -> Density:
    """One unbatched continuous distribution on the line, resolved; TypeError or ValueError where it is not that.

    remedy: what there is in more dimensions.
    """
    p = one(dist, name)
    if is_discrete(p):
        raise TypeError(
            f"Expected {name} to be continuous; got {p.name}. Measure on the log-probabilities of all values, "
            "dj.pmf(log_p, log_q), or use dj.exact or dj.monte_carlo(..., gradient='score')."
        )
    if p.event_shape != ():
        raise ValueError(
            f"Expected {name} to be one-dimensional with event_shape (); got event_shape {p.event_shape}. "
            f"In more dimensions {remedy}."
        )
    return p


def is_counted(p: Density) -> bool:
    """Whether it is a law over numbers that can be listed, or might be."""
    return is_discrete(p) and p.event_shape == ()


def pieces(p: Density) -> list[Ends]:
    """The supports that a support is made of: those of all components, of the base; an unknown one is left out."""
    own = [] if p.family.support is None else [support(p)]
    if p.family.parts is None:
        return own
    # What a map makes of a support with ends has ends too, but where is not known.
    lost = [ends for ends in own if all(isinstance(end, float) and math.isnan(end) for end in ends)]
    return lost + [ends for part in p.family.parts(p.params) for ends in pieces(part)]


def _known(end: Any) -> float:
    """The one value of an end of a support as a float; NaN while tracing, and where members of a batch differ."""
    if isinstance(end, jax.core.Tracer):
        return math.nan
    values = np.unique(np.asarray(end))
    return float(values[0]) if values.size == 1 else math.nan


def _known_ends(p: Density) -> Ends:
    """The ends of the support, along every coordinate; NaN where they are not known while tracing, or differ."""
    lows, highs = zip(*[(_known(low), _known(high)) for low, high in pieces(p) or [(math.nan, math.nan)]], strict=True)
    return float(np.min(lows)), float(np.max(highs))


def _has_ends(ends: Ends) -> bool:
    return not (is_infinite(ends[0]) and is_infinite(ends[1]))


def with_fixed_ends(p: Density, log: Array, what: str) -> Array:
    """The log-density; differentiating it along a moving end of the support is an error, since no node sees it move."""
    message = (
        f"Expected ends of supports that do not move for {what}; got {p.name}, differentiated along an "
        "end of its support: no node sees it move. Use dj.quadrature in one dimension."
    )
    for end in (end for ends in pieces(p) for end in ends if not isinstance(end, float)):
        log = log + nu.undifferentiable(jnp.asarray(end), message)
    return log


def check_reach(base: str, part: Density, other: Density) -> None:
    """ValueError where the support of the only base is known to be smaller than the other's."""
    (low, high), (other_low, other_high) = _known_ends(part), _known_ends(other)
    if low > other_low or high < other_high:
        raise ValueError(
            f"Expected a base that has mass wherever p and q have; got base={base!r} on ({low:g}, {high:g}), and the "
            f"other reaches ({other_low:g}, {other_high:g}). Use base='mixture'."
        )


def check_pathwise(part: Density, drawn: Source, both: tuple[Density, ...], remedy: str) -> None:
    """ValueError where moving draws have no derivative, or may cross a place where a density jumps."""
    if not drawn.pathwise:
        raise ValueError(f"Expected a distribution whose draws are differentiable; got {part.name}. Use {remedy}.")
    low, high = _known_ends(part)
    for other in both:
        if other is part and part.family is not MIXTURE:
            continue
        ends = [(_known(start), _known(end)) for start, end in pieces(other) if _has_ends((start, end))]
        if any(not (start <= low and high <= end) for start, end in ends):
            raise ValueError(
                f"Expected draws that cannot cross an end of a support, for a gradient along their path; got "
                f"{other.name}, whose support may end among the draws of {part.name}: the "
                f"gradient would miss the jump. Use {remedy}."
            )
