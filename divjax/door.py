"""One door: every divergence of one measure, of two distributions, or, where it is defined for them, of two samples.

Behind it are the pure functions of ``divergences``, which know nothing of distributions. Two distributions are
resolved once and measured by the first route that they have: a closed form, else the nodes on which the divergence is
declared to be measured. The program of a route is compiled once for each structure of the two.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import discretize, exact, status
from divjax import divergences as dv
from divjax.discretize import validity
from divjax.distributions.family import Density
from divjax.distributions.resolve import is_distribution
from divjax.divergences.measured import declared, is_kinked
from divjax.estimate import Estimate
from divjax.estimate import estimate as estimate_on
from divjax.exact.pair import member
from divjax.measures import Cdfs, Coupling, Nodes, Points

Scalar = Float[Array, ""]
Divergence = Callable[..., Scalar]
_CROSSINGS = 4


class AccuracyWarning(UserWarning):
    """A divergence between two distributions is not known to the accuracy that one expects of it."""


def door(leaf: Divergence, *, closed: Divergence | None = None, of_samples: Divergence | None = None) -> Divergence:
    """``leaf``, a divergence of a measure, as one that takes two distributions or two samples as well.

    closed: its closed form between distributions, which raises NotImplementedError where there is none. of_samples: the
    same divergence between two samples [n, d].
    """

    @functools.wraps(leaf)
    def divergence(p: Any, q: Any = None, /, **params: Any) -> Scalar:
        if q is None:
            return leaf(p, **params)
        given = [_kind(side, leaf) for side in (p, q)]
        if "sample" in given:
            return _of_samples(leaf, of_samples, p, q, given, params)
        return _between(leaf, closed, p, q, params)

    divergence.leaf, divergence.closed = leaf, closed
    return divergence


def _kind(side: Any, leaf: Divergence) -> str:
    """``"distribution"`` or ``"sample"``; TypeError for what is neither."""
    if isinstance(side, Nodes | Coupling | Cdfs):
        raise TypeError(
            f"Expected one measure, or two distributions, for {leaf.__name__}; got {type(side).__name__} and something "
            f"else. A measure holds both sides: dj.{leaf.__name__}(measure)."
        )
    if is_distribution(side) or isinstance(side, type):
        return "distribution"
    if isinstance(side, Points) or hasattr(side, "shape") or hasattr(side, "__array__") or isinstance(side, list):
        return "sample"
    raise TypeError(
        f"Expected two distributions for {leaf.__name__}; got {type(side).__name__}. Pass objects of distrax, TFP, "
        "numpyro, distreqx, flowjax, efax or scipy.stats, or a measure such as dj.pmf(log_p, log_q)."
    )


def _of_samples(leaf, of_samples, p, q, given, params):
    """Between two samples, or a sample and a distribution."""
    if declared(leaf) is Nodes:
        raise TypeError(
            f"Expected two distributions for {leaf.__name__}, which is measured on log-densities; got "
            f"{' and '.join(f'a {kind}' for kind in given)}. Log-probabilities are dj.pmf(log_p, log_q); samples have "
            "dj.wasserstein, dj.energy, dj.mmd2, dj.neighbour_kl."
        )
    dims = [jnp.ndim(side.x if isinstance(side, Points) else side) for side in (p, q) if not is_distribution(side)]
    if of_samples is not None and given == ["sample", "sample"] and max(dims) == 2:
        return of_samples(p, q, **params)
    if max(dims) > 1 and not all(_is_column(side) for side in (p, q)):
        raise ValueError(
            f"Expected samples [n] on the line for {leaf.__name__}; got samples of points [n, d]. In d dimensions use "
            "dj.sliced_wasserstein, dj.sinkhorn_divergence or dj.energy of two samples."
        )
    return leaf(_discretizer(leaf)(p, q), **params)


def _is_column(side):
    shape = jnp.shape(side.x if isinstance(side, Points) else side) if not is_distribution(side) else ()
    return len(shape) < 2 or shape[1] == 1


def _discretizer(leaf: Divergence) -> Callable[..., Any]:
    return {Nodes: discretize.quadrature, Coupling: discretize.coupling, Cdfs: discretize.cdfs}[declared(leaf)]


def _between(leaf, closed, p, q, params):
    """Between two distributions: by a closed form, or by nodes, with a warning where they are not fine enough."""
    p, q = validity.pair(p, q)
    value = closed_form(closed, p, q, params)
    if value is not None:
        return value
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((p, q, params)))
    dynamic, static = _separated(params)
    if traced or declared(leaf) is not Nodes:
        return _value(p, q, dynamic, leaf=leaf, static=static)
    found = _estimated(p, q, dynamic, leaf=leaf, static=static)
    _warn(leaf, found)
    return found.value


def closed_form(closed: Divergence | None, p: Density, q: Density, params: dict[str, Any]) -> Scalar | None:
    """The closed form between two densities; None where there is none for this pair or these parameters."""
    if closed is None:
        return None
    # Two laws have a fixed parameter in common where it is one array: a program would be given two.
    framed = any(jax.tree.leaves(member(side).frame) for side in (p, q) if member(side) is not None)
    try:
        return closed(p, q, **params) if framed else _closed(p, q, params, closed=closed)
    except (NotImplementedError, ValueError):
        return None


@functools.partial(jax.jit, static_argnames="closed")
def _closed(p, q, params, *, closed):
    return closed(p, q, **params)


def _separated(params):
    """Numbers, which programs take, and functions, which they are made of."""
    static = tuple((name, value) for name, value in sorted(params.items()) if callable(value))
    return {name: value for name, value in params.items() if not callable(value)}, static


@functools.partial(jax.jit, static_argnames=("leaf", "static"))
def _value(p, q, params, *, leaf, static):
    return leaf(measure(p, q, leaf), **params, **dict(static))


@functools.partial(jax.jit, static_argnames=("leaf", "static"))
def _estimated(p, q, params, *, leaf, static):
    return estimate_on(functools.partial(leaf, **params, **dict(static)), measure(p, q, leaf))


def measure(p: Any, q: Any, leaf: Divergence) -> Nodes | Coupling | Cdfs:
    """What ``leaf`` is measured on between two distributions, with nodes at its kinks if it has some."""
    if declared(leaf) is not Nodes:
        return _discretizer(leaf)(p, q, crossings=_CROSSINGS if is_kinked(leaf) else 0)
    p, q = validity.pair(p, q)
    if validity.is_discrete(p):
        return discretize.pmf(p, q)
    return discretize.quadrature(p, q, crossings=_CROSSINGS if is_kinked(leaf) else 0)


def _warn(leaf, found: Estimate) -> None:
    bits = int(found.status)
    if found.value == jnp.inf:  # what the supports make it is no fault of the nodes
        bits &= ~status.NON_FINITE
    if bits:
        warnings.warn(
            f"dj.{leaf.__name__}(p, q) is {float(found.value):.6g}, but: {status.explain(bits)}. "
            f"dj.estimate(dj.{leaf.__name__}, p, q) has its error.",
            AccuracyWarning,
            stacklevel=4,
        )


@functools.wraps(estimate_on)
def estimate(divergence: Divergence, p: Any, q: Any = None, /, **params: Any) -> Estimate:
    if q is None:
        return estimate_on(divergence, p, **params)
    leaf = getattr(divergence, "leaf", divergence)
    p, q = validity.pair(p, q)
    value = closed_form(getattr(divergence, "closed", None), p, q, params)
    if value is not None:
        bits = jnp.where(jnp.isnan(value), status.NON_FINITE, status.OK).astype(jnp.int32)
        return Estimate(value, jnp.zeros_like(value), jnp.full_like(value, jnp.inf), bits)
    dynamic, static = _separated(params)
    return _estimated(p, q, dynamic, leaf=leaf, static=static)


def _wasserstein2(p: Density, q: Density, *, order: Any = 1.0) -> Scalar:
    """The closed forms are of order 2."""
    if isinstance(order, jax.core.Tracer) or order != 2:
        raise NotImplementedError
    return exact.wasserstein2(p, q)


kl = door(dv.kl, closed=exact.kl)
reverse_kl = door(dv.reverse_kl, closed=exact.reverse_kl)
jeffreys = door(dv.jeffreys, closed=exact.jeffreys)
jensen_shannon = door(dv.jensen_shannon)
squared_hellinger = door(dv.squared_hellinger, closed=exact.squared_hellinger)
bhattacharyya = door(dv.bhattacharyya, closed=exact.bhattacharyya)
chernoff = door(dv.chernoff)
triangular = door(dv.triangular)
total_variation = door(dv.total_variation)
pearson_chi2 = door(dv.pearson_chi2, closed=exact.pearson_chi2)
neyman_chi2 = door(dv.neyman_chi2, closed=exact.neyman_chi2)
alpha_divergence = door(dv.alpha_divergence, closed=exact.alpha_divergence)
renyi = door(dv.renyi, closed=exact.renyi)
tsallis = door(dv.tsallis, closed=exact.tsallis)
beta_divergence = door(dv.beta_divergence)
gamma_divergence = door(dv.gamma_divergence)
l2 = door(dv.l2, closed=exact.l2)
cauchy_schwarz = door(dv.cauchy_schwarz, closed=exact.cauchy_schwarz)
f_divergence = door(dv.f_divergence)
log_affinity = door(dv.log_affinity)
wasserstein = door(dv.wasserstein, closed=_wasserstein2)
transport_cost = door(dv.transport_cost)
cramer = door(dv.cramer)
energy = door(dv.energy, of_samples=dv.energy_distance)
