"""Probabilities as nodes: arrays of one's own, or all the values of two discrete laws."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from divjax import checks, status
from divjax.discretize import validity
from divjax.discretize.compiled import of_laws
from divjax.distributions.decay import if_known
from divjax.distributions.density import log_prob
from divjax.distributions.family import Density
from divjax.distributions.resolve import is_distribution
from divjax.measures import Nodes, Points, Rule
from divjax.numerics.calls import callers_level, said


@said
def pmf(log_p: Any, log_q: Any, *, log_w: ArrayLike | None = None) -> Nodes:
    """``Nodes`` of log p and log q at the same values: Σ exp(log_w) h(p_i, q_i) is what is measured.

    Arrays [*n]: two probability mass functions, or two densities with log_w the logarithms of the nodes' weights, [*n]
    or one for all; a mask is −inf, 0 weighs all alike. Without log_w each is to have mass 1: an AccuracyWarning where
    it is seen not to. Two discrete distributions: all values that carry the mass of either, but for what rounding hides
    (10⁻¹³). Raises TypeError for what is no array of real numbers, ValueError for unequal shapes, and for laws whose
    values are too many to list, or not known while tracing.

    Examples:
        >>> print(f"{dj.kl(dj.pmf(jnp.log(jnp.array([0.25, 0.75])), jnp.log(jnp.array([0.5, 0.5])))):.4f}")
        0.1308
    """
    if is_distribution(log_p) and is_distribution(log_q):
        return _values(*validity.pair(log_p, log_q))
    is_weighted, log_w = log_w is not None, 0.0 if log_w is None else log_w
    log_p, log_q, log_w = checks.same_nodes({"log_p": log_p, "log_q": log_q}, log_w)
    if not is_weighted and checks.is_known(log_p) and checks.is_known(log_q):
        _warn_of_mass(np.asarray(log_p), np.asarray(log_q))
    return Nodes(log_p, log_q, jnp.broadcast_to(log_w, log_p.shape))


def _warn_of_mass(*logs: np.ndarray) -> None:
    """Of probabilities where their logarithms belong, of a batch, of what is not normalised."""
    with np.errstate(over="ignore"):
        masses = [float(np.sum(np.exp(log.astype(float)))) for log in logs]
    if any(abs(mass - 1.0) > 1e-3 for mass in masses):  # of a NaN that is false: it stays what it is
        got = " and ".join(f"{mass:.4g}" for mass in masses)
        warnings.warn(
            f"Expected log-probabilities of mass 1; got {got}. Take logarithms, normalise them, use jax.vmap over a "
            "batch, or give log_w: the nodes' weights, 0.0 where masses are meant as they are.",
            status.AccuracyWarning,
            stacklevel=callers_level(),
        )


def values(p: Density) -> Points:
    """All values of a discrete law on the line that carry its mass, with the logarithms of their probabilities."""
    x = jnp.asarray(_grid(p))
    log_w = of_laws(Points(x, log_prob(p, x)), p).log_w
    return Points(x.astype(log_w.dtype), log_w)


def _values(p: Density, q: Density) -> Nodes:
    grids = [_grid(side) for side in (p, q)]
    x = grids[0] if np.array_equal(*grids) else np.unique(np.concatenate(grids), axis=0)
    log_p, log_q = log_prob(p, jnp.asarray(x)), log_prob(q, jnp.asarray(x))
    return of_laws(Nodes(log_p, log_q, jnp.zeros_like(log_p), Rule.VALUES, laws=if_known(p, q)), p, q)


def _grid(p: Density) -> np.ndarray:
    if not validity.is_discrete(p):
        raise TypeError(f"Expected discrete distributions for pmf; got {p.name}. Use dj.quadrature(p, q).")
    grid = None if p.family.grid is None else p.family.grid(p.params)
    if grid is None:
        known = all(map(checks.is_known, jax.tree.leaves(p.params)))
        why = "are too many, or whose parameters make no distribution" if known else "depend on a traced parameter"
        raise ValueError(
            f"Expected a discrete distribution whose values can be listed; got {p.name}, whose {why}. Check its "
            "parameters, or use draws: dj.kl(dj.monte_carlo(key, p, q, num_draws=..., gradient='score'))."
        )
    return grid
