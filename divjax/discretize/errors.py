"""What the nodes of a rule miss, read off the nodes alone: to first order in their weights, by what each counts.

influence: ∂D/∂log w, the share of each node in the divergence.
"""

import functools
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.discretize.panels import LOG_GAUSS_WEIGHTS, LOG_WEIGHTS
from divjax.distributions.counts import LEFT_OUT
from divjax.measures import Cdfs, Coupling, Measure, Nodes, Rule, arrays

_TAIL = [(0.0, LEFT_OUT), (LEFT_OUT, 30.0 * LEFT_OUT), (30.0 * LEFT_OUT, 900.0 * LEFT_OUT)]  # by the nearer tail's mass
NESTED = (Rule.PANELS, Rule.CUBATURE)  # with a coarser rule for the error


def log_masses(measure: Measure) -> list[Array]:
    """The logarithm of the mass on each node: of p and of q, or of both, where they are coupled; nodes of distribution
    functions have none."""
    if isinstance(measure, Nodes):
        return [measure.log_p + measure.log_w, measure.log_q + measure.log_w]
    return [measure.log_w] if isinstance(measure, Coupling) else []


def masses(measure: Measure) -> list[Array]:
    return [jnp.exp(log_mass) for log_mass in log_masses(measure)]


def nested(influence: Float[Array, "*n"], rule: Rule) -> Float[Array, ""]:
    """What the embedded rule makes of it: panel by panel, as where one alone is not smooth the others say nothing of
    it."""
    dtype = influence.dtype
    influence = nu.finite(influence)
    if rule is Rule.PANELS:
        share = influence.reshape(-1, LOG_WEIGHTS.size)
        change = jnp.asarray(np.expm1(LOG_GAUSS_WEIGHTS - LOG_WEIGHTS), dtype)
        mean = jnp.asarray(np.exp(LOG_WEIGHTS), dtype) * jnp.sum(share, axis=1, keepdims=True)
        gap, size = jnp.abs(nu.matmul(share, change)), jnp.sum(jnp.abs(share - mean), axis=1)
    else:
        change = jnp.asarray(_every_second(influence), dtype)
        gap, size = jnp.abs(jnp.sum(influence * change)), jnp.sum(jnp.abs(influence))
    relative = gap / jnp.where(size > 0.0, size, 1.0)
    return jnp.sum(size * jnp.minimum(relative, (200.0 * relative) ** 1.5))


def of_missed_mass(influence: Float[Array, "*n"], measure: Measure) -> Array | float:
    """What mass that is on no node would add, as next to the end of a density that is singular there: as much as it
    does on the node where mass adds most, of those that have a share to speak of."""
    if not (found := masses(measure)):
        return 0.0
    each = jnp.stack(found)
    missed = jnp.max(jnp.abs(1.0 - jnp.sum(each.reshape(len(found), -1), axis=1)))
    missed = jnp.maximum(missed - 100.0 * jnp.finfo(missed.dtype).eps, 0.0)
    mass = jnp.sum(each, axis=0)
    per_mass = jnp.where(mass > 0.01 * missed, jnp.abs(influence) / jnp.where(mass > 0.0, mass, 1.0), 0.0)
    return missed * jnp.max(nu.finite(per_mass))


def beyond_values(influence: Float[Array, " n"]) -> Float[Array, ""]:
    """What the values after the last would add, if they went on as a geometric series."""
    return _beyond(*jnp.abs(nu.finite(influence[-2:])))


def _beyond(before: Array, last: Array) -> Array:
    """The sum of the terms after the last of a geometric series; none where nothing came before it."""
    ratio = jnp.where(before > 0.0, last / jnp.where(before > 0.0, before, 1.0), 0.0)
    return jnp.where(ratio < 1.0, last * ratio / jnp.where(ratio < 1.0, 1.0 - ratio, 1.0), jnp.inf)


def _every_second(influence: Array) -> np.ndarray:
    """What becomes of the weights of a grid of components [k, m, …, m] where it has every second node of an axis."""
    kept = [np.arange(length) % 2 == 0 for length in influence.shape[1:]]
    return 2.0 ** len(kept) * functools.reduce(np.multiply.outer, kept, 1.0) - 1.0


def of_rounding(measure: Measure, influence: Array, by_p: Array, by_q: Array) -> Float[Array, ""]:
    """Σ |∂D/∂log p_i| eps |log p_i|, and the same for q: a log-density is a few operations, each of which rounds. So is
    a quantile, and a distribution function, and there the weight of the node as well."""
    of_p, of_q, _ = arrays(measure).values()
    if isinstance(measure, Nodes):
        parts = ((by_p, of_p, 1.0), (by_q, of_q, 1.0))
    else:
        parts = ((by_p, of_p, 0.0), (by_q, of_q, 0.0), (influence, measure.log_w, 1.0))
    eps = 3.0 * jnp.finfo(by_p.dtype).eps
    return eps * sum(jnp.sum(jnp.abs(by) * (one + jnp.abs(nu.finite(of)))) for by, of, one in parts)


def of_counts(divergence: Callable[..., Array], measure: Coupling | Cdfs) -> Float[Array, ""]:
    """What cutting the values of a discrete law off at the mass ``LEFT_OUT`` misses, and rounding of its levels.

    What a node counts for each unit of mass jumps at a level, which is a sum of probabilities: rounding moves it. What
    would follow on the last level is what a geometric series of what came in equal factors of mass adds up to.
    """
    if isinstance(measure, Cdfs):
        slopes = jax.grad(lambda p: divergence(replace(measure, cdf_p=p)))(measure.cdf_p)
        return 2.0 * LEFT_OUT * jnp.sum(jnp.abs(nu.finite(slopes)))
    mass = jnp.exp(measure.log_w)
    near = jnp.minimum(jnp.cumsum(mass), jnp.cumsum(mass[::-1])[::-1])
    eps = jnp.finfo(mass.dtype).eps
    held = jnp.maximum(mass, eps * near)  # pieces that rounding closed have a jump at their ends as well
    influence = jax.grad(lambda log_w: divergence(replace(measure, log_w=log_w)))(jnp.log(held))
    influence = jnp.abs(nu.finite(influence))
    jumps = jnp.abs(jnp.diff(influence / jnp.where(held > 0.0, held, 1.0)))
    moved = (4.0 * eps * near + LEFT_OUT)[1:]
    cut, last, before = (jnp.sum(jnp.where((near > low) & (near <= high), influence, 0.0)) for low, high in _TAIL)
    goes_on = jnp.min(jnp.where(mass > 0.0, near, 1.0)) < 1e3 * LEFT_OUT
    beyond = jnp.where(goes_on & (last > 0.0), _beyond(before, last), 0.0)
    return jnp.sum(jnp.minimum(moved, 1.0) * jumps) + cut + beyond
