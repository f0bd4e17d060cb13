"""Counts with zeros of their own: 0 with some probability besides what a base says of it, or instead of that."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax.distributions.counts import both, log_chance
from divjax.distributions.density import log_prob, support, tails
from divjax.distributions.exponential import families as gaps
from divjax.distributions.family import Density, Family, floats
from divjax.numerics.special import log1m_exp

_BITS = 31  # of the largest integer that a draw may be

# --- Besides: zero-inflated --------------------------------------------------------------------------------


class InflatedParameters(NamedTuple):
    """A density of counts, and the probability of a zero besides its own, or the logit; the other is None."""

    base: Density
    gate: Float[Array, ""] | None
    logit: Float[Array, ""] | None


def zero_inflated(base: Density, gate: Any = None, *, logits: Any = None) -> Density:
    """0 with probability ``gate``, given as such or by ``logits``, else a draw of ``base``."""
    given = floats(gate if logits is None else logits)
    batch = np.broadcast_shapes(jnp.shape(given), base.batch_shape)
    given = jnp.broadcast_to(given, batch)
    own = len(base.batch_shape)
    base = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, batch + jnp.shape(leaf)[own:]), base)
    gate, logit = (given, None) if logits is None else (None, given)
    return Density(_inflated(base.family), InflatedParameters(base, gate, logit))


def _gate(params: InflatedParameters) -> gaps.Chance:
    return gaps.Chance(success=params.gate, logit=params.logit)


def _inflated_log_prob(params: InflatedParameters, x: Array) -> Array:
    log_gate, log_rest = log_chance(_gate(params))
    value = log_rest + log_prob(params.base, x)
    return jnp.where(x == 0, jnp.logaddexp(log_gate, value), value)


def _inflated_tails(params: InflatedParameters, x: Array) -> tuple[Array, Array]:
    gate, rest = both(_gate(params))
    below, above = tails(params.base, x)
    return rest * below + jnp.where(x >= 0, gate, 0.0), rest * above + jnp.where(x >= 0, 0.0, gate)


def _inflated_support(params: InflatedParameters) -> tuple[Any, Any]:
    low, high = support(params.base)
    low = min(low, 0.0) if isinstance(low, float) else jnp.minimum(low, 0.0)
    return low, max(high, 0.0) if isinstance(high, float) else jnp.maximum(high, 0.0)


def _inflated_draw(key: Array, params: InflatedParameters, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.split(key)
    x = params.base.family.draw(first, params.base.params, shape)
    return jnp.where(jax.random.bernoulli(second, both(_gate(params))[0], x.shape), jnp.zeros_like(x), x)


def _inflated_grid(params: InflatedParameters) -> np.ndarray | None:
    grid = params.base.family.grid(params.base.params)
    return None if grid is None else np.union1d(grid, 0)


@functools.cache
def _inflated(base: Family, name: str = "ZeroInflated") -> Family:
    return Family(
        name=name,
        parameters=InflatedParameters,
        batch=lambda params: params.base.batch_shape,
        log_prob=_inflated_log_prob,
        support=_inflated_support,
        tails=base.tails and _inflated_tails,
        draw=base.draw and _inflated_draw,
        pathwise=False,
        discrete=True,
        grid=base.grid and _inflated_grid,
        decay=base.decay and (lambda params: base.decay(params.base.params)),  # but for a factor
    )


# --- Instead: behind a hurdle ------------------------------------------------------------------------------


def hurdle(base: Density, gate: Any = None, *, logits: Any = None) -> Density:
    """0 with probability ``gate``, given as such or by ``logits``, else a draw of ``base`` that is not 0."""
    law = zero_inflated(Density(_not_zero(base.family), base.params), gate, logits=logits)
    return dataclasses.replace(law, family=_inflated(_not_zero(base.family), "Hurdle"))


def _log_not_zero(base: Family, params: Any) -> Array:
    return log1m_exp(base.log_prob(params, 0.0))


def _not_zero_tails(base: Family, params: Any, x: Array) -> tuple[Array, Array]:
    """The side of x that 0 is not on is a share of the base's; the other is the rest."""
    share = jnp.exp(_log_not_zero(base, params))
    below, above = (side / share for side in base.tails(params, x))
    return jnp.where(x < 0, below, 1.0 - above), jnp.where(x < 0, 1.0 - below, above)


def _not_zero_draw(base: Family, key: Array, params: Any, shape: tuple[int, ...]) -> Array:
    """The integer at which P(X > x) passes a level: base may be 0 so often that to draw until it is not never ends."""
    log_zero, share = base.log_prob(params, 0.0), jnp.exp(_log_not_zero(base, params))
    shape = shape + share.shape
    level = share * jax.random.uniform(key, shape, share.dtype, minval=jnp.finfo(share.dtype).tiny)
    level = jnp.where(level < base.tails(params, 0.0)[1], level, level + jnp.exp(log_zero))

    def halve(_, bracket):
        low, high = bracket
        middle = jnp.floor(0.5 * (low + high))
        passed = base.tails(params, middle)[1] <= level
        return jnp.where(passed, low, middle), jnp.where(passed, middle, high)

    ends = jnp.full(shape, -(2.0**_BITS), share.dtype), jnp.full(shape, 2.0**_BITS, share.dtype)
    return jax.lax.fori_loop(0, _BITS + 1, halve, ends)[1]


@functools.cache
def _not_zero(base: Family) -> Family:
    def density(params, x):
        return jnp.where(jnp.asarray(x) == 0, -jnp.inf, base.log_prob(params, x) - _log_not_zero(base, params))

    return dataclasses.replace(
        base,
        name=f"{base.name} but 0",
        log_prob=density,
        tails=base.tails and functools.partial(_not_zero_tails, base),
        draw=base.tails and functools.partial(_not_zero_draw, base),
        quantile=None,
        pathwise=False,
        member=None,
        moments=None,
    )
