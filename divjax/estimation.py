"""A divergence, or its gradient, with its error: value, standard error, effective sample size, status."""

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from divjax import checks, status
from divjax import numerics as nu
from divjax.discretize import errors
from divjax.distributions.decay import places, tails_apart
from divjax.divergences.line import merged
from divjax.divergences.measured import declared, infinite_where, is_blind, is_kinked
from divjax.measures import Cdfs, Coupling, Measure, Nodes, Points, Rule, arrays
from divjax.numerics.calls import callers_level, described
from divjax.numerics.pareto import pareto_k
from divjax.numerics.programs import kept

_MIN_ESS = 10.0
_HEAVY = 0.7  # Vehtari et al. 2024
_PROBES = 8


class Estimate(NamedTuple):
    """A value and how wrong it may be. Of a gradient, ``value`` and ``stderr`` are pytrees like the parameters."""

    value: Float[Array, ""] | PyTree
    stderr: Float[Array, ""] | PyTree  # standard error; for quadrature an error bound that errs on the large side
    ess: Float[Array, ""]  # Kish's effective number of nodes, the smaller of those that carry p and q; inf if none do
    status: Int[Array, ""]  # bits of divjax.status


@kept
def estimate(divergence: Callable[..., Array], nodes: Measure, **params: ArrayLike) -> Estimate:
    """``divergence(nodes, **params)`` with its error, from the nodes alone: no code per divergence.

    ``estimate(divergence, p, q)``: of two distributions. ``estimate(divergence, measure)``: of nodes laid before.

    Nodes of ``quadrature``, ``coupling`` and ``cdfs``: the difference to the embedded rule (7-point Gauss; every second
    node in more dimensions) on every panel, by what each node counts, scaled as in QUADPACK (Piessens et al. 1983)
    where the full rule is far better than that, plus what rounding of the log-densities (of the points, of the
    distribution functions) can do. Draws of ``monte_carlo``: the infinitesimal jackknife (Jaeckel 1972) over the
    independent units of every stratum, √(Σ u/(u−1) Σ (I − mean I)²) with I = Σ ∂D/∂log w over a unit's members, and the
    second-order term ½ ‖H‖² of the same expansion (Efron 1982), which is what is left where the first vanishes; by
    eight random probes. The values of two discrete laws: what rounding can do, and what would follow on the last value
    if terms went on as they fall there. Other nodes are taken for independent draws, weighted: a pmf of one's own,
    which is exact, needs no estimate.

    status: MASS_MISSED where p or q does not have mass 1 on the nodes (by 10⁻³, and five standard errors for draws),
    UNRESOLVED where the error of the nodes is more than a tenth of the value, or of an integral whose logarithm the
    value is, or a divergence with kinks is measured on panels that were laid with crossings=0, LOW_ESS below 10
    effective nodes of draws, HEAVY_TAIL for a Pareto k̂ above 0.7 of the weights p/r, q/r or of the terms, NON_FINITE
    for a value that is not finite (its stderr is inf).

    An integral that diverges is no matter of nodes: far out, and at the ends of supports, it is decided by how fast p
    and q fall, where both are known to (``Family.decay``) and the nodes are those of ``quadrature`` on the line. Its
    value is +inf, with stderr 0, and its status INFINITE alone; a value that exceeds the dtype is NON_FINITE.
    jit, vmap and grad as usual. Raises TypeError for a divergence that is measured on something else.

    Examples:
        >>> found = dj.estimate(dj.kl, distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0))
        >>> float(found.value), float(found.stderr)
        (0.5, 0.0)
    """
    _check_measure(divergence, nodes)
    if not isinstance(nodes, Nodes):
        return of_line(divergence, nodes, None, params)
    blind, nodes = _kinks_missed(divergence, _broadcast(nodes), params)
    found = _of_draws if nodes.rule in (Rule.DRAWS, Rule.PMF) else _of_rule
    value, stderr, bits = found(functools.partial(divergence, **params), nodes)
    return _or_divergent(_finished(value, stderr, nodes, bits | blind), divergence, nodes.laws, params)


def _of_rule(divergence, measure):
    """Value, error and status, where nodes are those of a rule: one pass backwards says what each of them counts."""
    of_p, of_q, _ = arrays(measure)

    def value_at(log_w, p, q):
        return divergence(replace(measure, log_w=log_w, **{of_p: p, of_q: q}))

    at = (measure.log_w, getattr(measure, of_p), getattr(measure, of_q))
    value, (influence, *by_side) = jax.value_and_grad(value_at, argnums=(0, 1, 2))(*at)
    is_nested = measure.rule in errors.NESTED
    size = whole = jnp.sum(jnp.abs(nu.finite(influence)))
    if is_nested:
        missing = errors.nested(influence, measure.rule) + errors.of_missed_mass(influence, measure)
        size = jnp.minimum(whole, jnp.abs(value))  # of a logarithm it is the integral that is to be resolved
    else:  # the values of laws without an end go on beyond the last
        missing = errors.beyond_values(influence) if getattr(measure, "laws", None) is not None else 0.0
    # An integral that stands on a few nodes is a peak between two knots, of which more may have been missed than seen.
    alone = jnp.sum(nu.finite(influence / whole) ** 2) > 0.25 if is_nested else False
    rounding = errors.of_rounding(measure, influence, *by_side)
    if isinstance(measure, Coupling) and is_nested:
        rounding = rounding + divergence(merged(measure))
    if not isinstance(measure, Nodes):  # quantiles of equal laws differ by what rounding makes of each
        size, alone = size + 10.0 * rounding, alone & (value > rounding)
    bits = _quadrature_status(measure) | jnp.where(~(missing <= 0.1 * size) | alone, status.UNRESOLVED, status.OK)
    return value, missing + rounding, bits


def _of_draws(divergence, nodes):
    def value_at(shift):
        return divergence(replace(nodes, log_w=nodes.log_w + shift))

    none = jnp.zeros_like(nodes.log_w)
    influence, curvature = jax.linearize(jax.grad(value_at), none)
    stderr = nu.safe_root(_variance(nodes, influence) + _second_order(nodes, influence, curvature))
    return value_at(none), stderr, _draws_status(nodes, influence)


@kept
def estimate_gradient(
    divergence: Callable[..., Array],
    discretize: Callable[[PyTree], Measure],
    theta: PyTree,
    **params: ArrayLike,
) -> Estimate:
    """∂/∂θ of ``divergence(discretize(theta), **params)`` with its error, entry by entry, as ``estimate`` has it.

    discretize builds distributions and nodes from the parameters, a pytree of arrays; ``value`` and ``stderr`` are
    pytrees like it. For Monte Carlo the influence of a node on the gradient is ∂²D/∂θ∂log w, so the error is that of
    the gradient estimator in use, pathwise or score. Costs about as many gradients as there are parameters. status,
    errors: as ``estimate``; of an integral that diverges NaN, with the status INFINITE beside NON_FINITE.

    Examples:
        >>> log_p, at = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([1.0, 3.0]))
        >>> build = lambda logits: dj.pmf(log_p, jax.nn.log_softmax(logits))
        >>> [round(float(each), 3) for each in dj.estimate_gradient(dj.kl, build, at).value]
        [-0.25, 0.25]
    """
    _check_build(discretize, theta)
    flat, unravel = ravel_pytree(theta)
    like = jax.eval_shape(discretize, theta)
    _check_measure(divergence, like)

    def gradient_at(shift):
        def value(flat):
            made = _broadcast(discretize(unravel(flat)))
            laid = _kinks_missed(divergence, made, params)[1]
            return divergence(replace(laid, log_w=made.log_w + shift), **params), made

        return jax.grad(value, has_aux=True)(flat)

    none = jnp.zeros(jnp.broadcast_shapes(*(each.shape for each in arrays(like).values())), like.log_w.dtype)
    # Nodes, gradient and influence from one pass, so that nothing is in the program twice.
    gradient, pulled, nodes = jax.vjp(gradient_at, none, has_aux=True)
    (influence,) = jax.vmap(pulled)(jnp.eye(flat.size, dtype=flat.dtype))
    blind, nodes = _kinks_missed(divergence, nodes, params)
    if nodes.rule in errors.NESTED:
        logs = [nodes.log_p, nodes.log_q] if isinstance(nodes, Nodes) else [nodes.log_w]
        units = 1.0 + sum(jnp.abs(nu.finite(log)) for log in logs)
        # A score is a few operations on log-densities, each of which rounds.
        rounding = 4.0 * jnp.finfo(flat.dtype).eps * jax.vmap(lambda row: jnp.sum(jnp.abs(row) * units))(influence)
        stderr = jax.vmap(functools.partial(errors.nested, rule=nodes.rule))(influence) + rounding
        bits = _quadrature_status(nodes)
    else:
        stderr = nu.safe_root(jax.vmap(lambda row: _variance(nodes, row))(influence))
        bits = jax.vmap(lambda row: _draws_status(nodes, row))(influence)
        bits = jax.lax.reduce(bits, jnp.zeros((), bits.dtype), jax.lax.bitwise_or, (0,))
    diverges = is_infinite_between(divergence, getattr(nodes, "laws", None), params)
    if diverges is not False:  # what has no value has no derivative either
        gradient, bits = jnp.where(diverges, jnp.nan, gradient), jnp.where(diverges, status.INFINITE, bits)
    found = _finished(gradient, stderr, nodes, bits | blind)
    return found._replace(value=unravel(found.value), stderr=unravel(found.stderr))


def _check_build(discretize, theta):
    if not callable(discretize):
        raise TypeError(
            f"Expected a function from parameters to a measure second; got {described(discretize)}. Write "
            "dj.estimate_gradient(dj.kl, lambda theta: dj.quadrature(p, build(theta)), theta)."
        )
    for leaf in jax.tree.leaves(theta):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(f"Expected floating-point parameters; got {jnp.result_type(leaf)}. Write 1.0 for 1.")


def is_infinite_between(
    divergence: Callable[..., Array], laws: Any, params: dict[str, Any], room: float = 0.0
) -> bool | Array:
    """Whether its integral diverges, by how fast both laws fall: a bool if it can, False where nothing is known.

    room: of what is measured on the line, or would if tails fell more slowly by such a power.
    """
    if laws is None or len(laws) != 2:
        return False
    at = tails_apart(*laws, room) if declared(divergence) in (Coupling, Cdfs) else places(*laws)
    return False if at is None else infinite_where(divergence, at, **params)


_is_infinite_between = kept(is_infinite_between)


def or_infinite(
    value: Array, divergence: Callable[..., Array], laws: Any, params: dict[str, Any]
) -> tuple[Array, bool | Array]:
    """The value, +inf where the integral diverges, and where it does. A NaN stays one."""
    diverges = is_infinite_between(divergence, laws, params)
    if diverges is False:
        return value, False
    diverges = diverges & ~jnp.isnan(value)
    return jnp.where(diverges, jnp.inf, value), diverges


def of_closed_form(value: Array, divergence: Callable[..., Array], laws: Any, params: dict[str, Any]) -> Estimate:
    """It knows by itself that it is infinite, but not whether that is the integral, or too much for the dtype."""
    lost = jnp.isnan(value)
    bits = jnp.where(lost, status.NON_FINITE, status.OK).astype(jnp.int32)
    if not checks.is_known(value) or value == jnp.inf:
        diverges = (value == jnp.inf) & _is_infinite_between(divergence, laws, params)
        bits = jnp.where(diverges, status.INFINITE, bits).astype(jnp.int32)
    return Estimate(value, jnp.where(lost, jnp.inf, 0.0), jnp.full_like(value, jnp.inf), bits)


def of_line(divergence: Callable[..., Array], measure: Coupling | Cdfs, laws: Any, params: dict[str, Any]) -> Estimate:
    """Of transport and energy between two laws.

    HEAVY_TAIL where it is hardly finite: what is left out far away is more than can be told.
    """
    blind, measure = _kinks_missed(divergence, measure, params)
    value, stderr, bits = _of_rule(functools.partial(divergence, **params), measure)
    if any(isinstance(law, Points) for law in laws or ()):  # the values of a discrete one
        cut = errors.of_counts(functools.partial(divergence, **params), measure)
        bits = bits | jnp.where(~(cut <= 0.1 * value + 10.0 * stderr), status.UNRESOLVED, status.OK)
        stderr = stderr + cut
    room = 0.08 if value.dtype == jnp.float64 else 0.3
    nearly = is_infinite_between(divergence, laws, params, room)
    bits = bits if nearly is False else bits | jnp.where(nearly, status.HEAVY_TAIL, status.OK)
    return _or_divergent(_finished(value, stderr, measure, bits | blind), divergence, laws, params)


def warn_of(found: Estimate, divergence: str) -> None:
    """AccuracyWarning for what is not OK between two distributions, unless it is traced."""
    if not (checks.is_known(found.status) and checks.is_known(found.value)):  # of an object that hides what is traced
        return
    name, value, bits = f"dj.{divergence}", float(found.value), int(found.status)
    if value == math.inf:  # what the supports make it is no fault of the nodes
        bits &= ~(status.NON_FINITE | status.INFINITE)
    if math.isnan(value):
        text = (
            f"{name}(p, q) is nan: look for a scale that is not above 0, or a NaN, among the parameters of p and q, or "
            "for numbers that are too large or too small for their dtype."
        )
    elif bits:
        text = f"{name}(p, q) is {value:.6g}, but: {status.explain(bits)}. dj.estimate({name}, p, q) has its error."
    else:
        return
    warnings.warn(text, status.AccuracyWarning, stacklevel=callers_level())


def _or_divergent(found, divergence, laws, params):
    """What was found, but infinite, and exactly so, where the integral diverges."""
    value, diverges = or_infinite(found.value, divergence, laws, params)
    if diverges is False:
        return found
    stderr, bits = jnp.where(diverges, 0.0, found.stderr), jnp.where(diverges, status.INFINITE, found.status)
    return found._replace(value=value, stderr=stderr, status=bits.astype(jnp.int32))


def _check_measure(divergence, nodes):
    if not callable(divergence):
        raise TypeError(
            f"Expected a divergence such as dj.kl first, and nodes second; got {type(divergence).__name__}."
        )
    measure = declared(divergence) or Nodes
    if not isinstance(nodes, measure):
        raise TypeError(f"Expected {measure.__name__}; got {type(nodes).__name__}. Use {measure.made_by}.")
    if measure is not Nodes and nodes.rule is not Rule.PANELS:
        raise TypeError(
            f"Expected {measure.__name__} of distributions, of which the nodes give an error; got that of two samples, "
            "whose value is exact. What other samples would give is dj.twosample's matter."
        )


def _broadcast(nodes):
    named = arrays(nodes)
    return replace(nodes, **dict(zip(named, jnp.broadcast_arrays(*named.values()), strict=True)))


def _finished(value, stderr, nodes, bits):
    effective = [_kish(log_mass) for log_mass in errors.log_masses(nodes)] or [jnp.full((), jnp.inf, nodes.log_w.dtype)]
    ess = functools.reduce(jnp.minimum, effective)
    if nodes.rule in (Rule.DRAWS, Rule.PMF) and isinstance(nodes, Nodes):
        bits = bits | jnp.where(ess < _MIN_ESS, status.LOW_ESS, status.OK)
    is_finite = jnp.isfinite(value)
    stderr = jnp.where(is_finite & ~jnp.isnan(stderr), stderr, jnp.inf)
    bits = bits | jnp.where(jnp.all(is_finite), status.OK, status.NON_FINITE)
    return Estimate(value, stderr, ess, bits.astype(jnp.int32))


def _kish(log_mass):
    return jnp.exp(2.0 * nu.logsumexp(log_mass) - nu.logsumexp(2.0 * log_mass))


def _quadrature_status(nodes):
    missed = [jnp.abs(jnp.sum(mass) - 1.0) > 1e-3 for mass in errors.masses(nodes)]
    return jnp.where(functools.reduce(jnp.logical_or, missed), status.MASS_MISSED, status.OK) if missed else status.OK


def _kinks_missed(divergence, nodes, params):
    """UNRESOLVED for kinks that are not nodes, and nodes that are not warned of once more."""
    missed = is_blind(nodes) and is_kinked(divergence, **params)
    if is_blind(nodes):
        nodes = replace(nodes, crossings=1)
    return (status.UNRESOLVED if missed else status.OK), nodes


def _by_unit(nodes, per_node):
    """Sums over the members of every unit, [strata, units]."""
    return jnp.sum(per_node, axis=-1) if nodes.rule is Rule.DRAWS else jnp.ravel(per_node)[None]


def _centred(units):
    """Deviations from the mean of the stratum, such that their squares add up to the variance of the sum."""
    num = units.shape[1]
    if num == 1:
        return jnp.full_like(units, jnp.inf)  # one unit alone says nothing of its error
    return np.sqrt(num / (num - 1)) * (units - jnp.mean(units, axis=1, keepdims=True))


def _variance(nodes, influence):
    return jnp.sum(_centred(_by_unit(nodes, influence)) ** 2)


def _second_order(nodes, influence, curvature):
    """½ ‖C H C‖²_F of the Hessian H in the counts of the units, ∂²D/∂log w² − diag(∂D/∂log w), C centring."""
    shape = _by_unit(nodes, influence).shape
    if shape[1] == 1:
        return jnp.zeros((), influence.dtype)

    def probed(direction):
        direction = _centred(direction)
        per_node = direction[..., None] if nodes.rule is Rule.DRAWS else direction.reshape(influence.shape)
        per_node = jnp.broadcast_to(per_node, influence.shape)
        change = curvature(per_node) - influence * per_node
        return jnp.sum(_centred(_by_unit(nodes, jnp.where(jnp.isfinite(change), change, 0.0))) ** 2)

    # Any directions will do that do not follow the nodes; always the same ones, so that an error is reproducible.
    directions = jax.random.rademacher(jax.random.key(0), (_PROBES, *shape), influence.dtype)
    return 0.5 * jnp.mean(jax.vmap(probed)(directions))


def _draws_status(nodes, influence):
    bits = status.OK
    for mass in errors.masses(nodes):
        missed = jnp.abs(jnp.sum(mass) - 1.0) > 1e-3 + 5.0 * nu.safe_root(_variance(nodes, mass))
        bits = bits | jnp.where(missed, status.MASS_MISSED, status.OK)
    logs = [nodes.log_p + nodes.log_w, nodes.log_q + nodes.log_w, jnp.log(jnp.abs(nu.finite(influence)))]
    shapes = jax.vmap(pareto_k)(jnp.stack([jnp.ravel(log) for log in logs]))
    return bits | jnp.where(jnp.max(shapes) > _HEAVY, status.HEAVY_TAIL, status.OK)
