"""A divergence, or its gradient, with its error: value, standard error, effective sample size, status."""

import functools
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
from divjax.discretize.panels import LOG_GAUSS_WEIGHTS, LOG_WEIGHTS
from divjax.distributions.decay import places, tails_apart
from divjax.divergences.measured import declared, infinite_where, is_blind, is_kinked
from divjax.measures import Cdfs, Coupling, Nodes, Rule
from divjax.numerics.pareto import pareto_k
from divjax.numerics.programs import kept

_MIN_ESS = 10.0
_HEAVY = 0.7  # Vehtari et al. 2024
_PROBES = 8
_NESTED = (Rule.PANELS, Rule.CUBATURE)  # with a coarser rule for the error


class Estimate(NamedTuple):
    """A value and how wrong it may be. Of a gradient, ``value`` and ``stderr`` are pytrees like the parameters."""

    value: Float[Array, ""] | PyTree
    stderr: Float[Array, ""] | PyTree  # standard error; for quadrature an error bound that errs on the large side
    ess: Float[Array, ""]  # Kish's effective number of nodes, the smaller of those that carry p and q
    status: Int[Array, ""]  # bits of divjax.status


@kept
def estimate(divergence: Callable[..., Array], nodes: Nodes, **params: ArrayLike) -> Estimate:
    """``divergence(nodes, **params)`` with its error, from the nodes alone: no code per divergence.

    Nodes of ``quadrature``: the difference to the embedded rule (7-point Gauss; every second node in more dimensions)
    on every panel, by what each node counts, scaled as in QUADPACK (Piessens et al. 1983) where the full rule is far
    better than that, plus what rounding of the log-densities can do. Draws of ``monte_carlo``: the infinitesimal
    jackknife (Jaeckel 1972) over the independent units of every stratum, √(Σ u/(u−1) Σ (I − mean I)²) with I = Σ
    ∂D/∂log w over a unit's members, and the second-order term ½ ‖H‖² of the same expansion (Efron 1982), which is what
    is left where the first vanishes; by eight random probes. The values of two discrete laws: what rounding can do, and
    what would follow on the last value if terms went on as they fall there. Other nodes are taken for independent
    draws, weighted: a pmf of one's own, which is exact, needs no estimate.

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
    blind, nodes = _kinks_missed(divergence, _broadcast(nodes), params)
    found = _of_draws if nodes.rule in (Rule.DRAWS, Rule.PMF) else _of_rule
    value, stderr, bits = found(functools.partial(divergence, **params), nodes)
    return _or_divergent(_finished(value, stderr, nodes, bits | blind), divergence, nodes.laws, params)


def _of_rule(divergence, nodes):
    """Value, error and status, where nodes are those of a rule: one pass backwards says what each of them counts."""

    def value_at(log_w, log_p, log_q):
        return divergence(replace(nodes, log_w=log_w, log_p=log_p, log_q=log_q))

    value, (influence, *by_log) = jax.value_and_grad(value_at, argnums=(0, 1, 2))(nodes.log_w, nodes.log_p, nodes.log_q)
    size = whole = jnp.sum(jnp.abs(nu.finite(influence)))
    if nodes.rule in _NESTED:
        missing = _nested_error(influence, nodes) + _of_missed_mass(influence, nodes)
        size = jnp.minimum(whole, jnp.abs(value))  # of a logarithm it is the integral that is to be resolved
    else:  # the values of laws without an end go on beyond the last
        missing = _beyond_values(influence) if nodes.laws is not None else 0.0
    # An integral that stands on a few nodes is a peak between two knots, of which more may have been missed than seen.
    alone = jnp.sum(nu.finite(influence / whole) ** 2) > 0.25 if nodes.rule in _NESTED else False
    bits = _quadrature_status(nodes) | jnp.where(~(missing <= 0.1 * size) | alone, status.UNRESOLVED, status.OK)
    return value, missing + _rounding(nodes, *by_log), bits


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
    discretize: Callable[[PyTree], Nodes],
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
    for leaf in jax.tree.leaves(theta):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(f"Expected floating-point parameters; got {jnp.result_type(leaf)}. Write 1.0 for 1.")
    flat, unravel = ravel_pytree(theta)
    like = jax.eval_shape(discretize, theta)
    _check_measure(divergence, like)

    def gradient_at(shift):
        def value(flat):
            made = _broadcast(discretize(unravel(flat)))
            laid = _kinks_missed(divergence, made, params)[1]
            return divergence(replace(laid, log_w=made.log_w + shift), **params), made

        return jax.grad(value, has_aux=True)(flat)

    none = jnp.zeros(jnp.broadcast_shapes(like.log_p.shape, like.log_w.shape), like.log_w.dtype)
    # Nodes, gradient and influence from one pass, so that nothing is in the program twice.
    gradient, pulled, nodes = jax.vjp(gradient_at, none, has_aux=True)
    (influence,) = jax.vmap(pulled)(jnp.eye(flat.size, dtype=flat.dtype))
    blind, nodes = _kinks_missed(divergence, nodes, params)
    if nodes.rule in _NESTED:
        units = 1.0 + jnp.abs(nu.finite(nodes.log_p)) + jnp.abs(nu.finite(nodes.log_q))
        # A score is a few operations on log-densities, each of which rounds.
        rounding = 4.0 * jnp.finfo(flat.dtype).eps * jax.vmap(lambda row: jnp.sum(jnp.abs(row) * units))(influence)
        stderr = jax.vmap(functools.partial(_nested_error, nodes=nodes))(influence) + rounding
        bits = _quadrature_status(nodes)
    else:
        stderr = nu.safe_root(jax.vmap(lambda row: _variance(nodes, row))(influence))
        bits = jax.vmap(lambda row: _draws_status(nodes, row))(influence)
        bits = jax.lax.reduce(bits, jnp.zeros((), bits.dtype), jax.lax.bitwise_or, (0,))
    diverges = is_infinite_between(divergence, nodes.laws, params)
    if diverges is not False:  # what has no value has no derivative either
        gradient, bits = jnp.where(diverges, jnp.nan, gradient), jnp.where(diverges, status.INFINITE, bits)
    found = _finished(gradient, stderr, nodes, bits | blind)
    return found._replace(value=unravel(found.value), stderr=unravel(found.stderr))


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
    bits = jnp.where(jnp.isnan(value), status.NON_FINITE, status.OK).astype(jnp.int32)
    if not checks.is_known(value) or value == jnp.inf:
        diverges = (value == jnp.inf) & _is_infinite_between(divergence, laws, params)
        bits = jnp.where(diverges, status.INFINITE, bits).astype(jnp.int32)
    return Estimate(value, jnp.zeros_like(value), jnp.full_like(value, jnp.inf), bits)


def of_line(value: Array, divergence: Callable[..., Array], laws: Any, params: dict[str, Any]) -> Estimate:
    """Of transport and energy, which have no error: NaN, but where both laws say that it is infinite.

    HEAVY_TAIL where it is hardly finite: what is left out far away is more than can be told.
    """
    bits = jnp.where(jnp.isfinite(value), status.OK, status.NON_FINITE)
    room = 0.08 if value.dtype == jnp.float64 else 0.3
    nearly = is_infinite_between(divergence, laws, params, room)
    bits = bits if nearly is False else bits | jnp.where(nearly, status.HEAVY_TAIL, status.OK)
    found = Estimate(value, jnp.full_like(value, jnp.nan), jnp.full_like(value, jnp.nan), bits.astype(jnp.int32))
    return _or_divergent(found, divergence, laws, params)


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
    measure = declared(divergence)
    if measure not in (Nodes, None):
        raise TypeError(
            f"Expected a divergence on nodes, which give it an error; got one that is measured on {measure.__name__}. "
            f"Call it with {measure.made_by}: there is no error estimate."
        )
    if not isinstance(nodes, Nodes):
        raise TypeError(f"Expected Nodes; got {type(nodes).__name__}. Use {Nodes.made_by}.")


def _broadcast(nodes):
    arrays = jnp.broadcast_arrays(nodes.log_p, nodes.log_q, nodes.log_w)
    return replace(nodes, **dict(zip(("log_p", "log_q", "log_w"), arrays, strict=True)))


def _finished(value, stderr, nodes, bits):
    ess = jnp.minimum(_kish(nodes.log_p + nodes.log_w), _kish(nodes.log_q + nodes.log_w))
    if nodes.rule not in (*_NESTED, Rule.VALUES):
        bits = bits | jnp.where(ess < _MIN_ESS, status.LOW_ESS, status.OK)
    is_finite = jnp.isfinite(value)
    stderr = jnp.where(is_finite & ~jnp.isnan(stderr), stderr, jnp.inf)
    bits = bits | jnp.where(jnp.all(is_finite), status.OK, status.NON_FINITE)
    return Estimate(value, stderr, ess, bits.astype(jnp.int32))


def _kish(log_mass):
    return jnp.exp(2.0 * nu.logsumexp(log_mass) - nu.logsumexp(2.0 * log_mass))


def _mass(nodes):
    return [jnp.exp(log_density + nodes.log_w) for log_density in (nodes.log_p, nodes.log_q)]


def _quadrature_status(nodes):
    missed = [jnp.abs(jnp.sum(mass) - 1.0) > 1e-3 for mass in _mass(nodes)]
    return jnp.where(missed[0] | missed[1], status.MASS_MISSED, status.OK)


def _kinks_missed(divergence, nodes, params):
    """UNRESOLVED for kinks that are not nodes, and nodes that are not warned of once more."""
    missed = is_blind(nodes) and is_kinked(divergence, **params)
    return (status.UNRESOLVED if missed else status.OK), replace(nodes, crossings=nodes.crossings or 1)


def _nested_error(influence: Array, nodes: Nodes) -> Array:
    """What the embedded rule makes of it, to first order in the weights: panel by panel, as where one alone is not
    smooth the others say nothing of it. influence: ∂/∂log w, each node's share."""
    dtype = influence.dtype
    influence = nu.finite(influence)
    if nodes.rule is Rule.PANELS:
        share = influence.reshape(-1, LOG_WEIGHTS.size)
        change = jnp.asarray(np.expm1(LOG_GAUSS_WEIGHTS - LOG_WEIGHTS), dtype)
        mean = jnp.asarray(np.exp(LOG_WEIGHTS), dtype) * jnp.sum(share, axis=1, keepdims=True)
        gap, size = jnp.abs(nu.matmul(share, change)), jnp.sum(jnp.abs(share - mean), axis=1)
    else:
        change = jnp.asarray(_every_second(influence), dtype)
        gap, size = jnp.abs(jnp.sum(influence * change)), jnp.sum(jnp.abs(influence))
    relative = gap / jnp.where(size > 0.0, size, 1.0)
    return jnp.sum(size * jnp.minimum(relative, (200.0 * relative) ** 1.5))


def _of_missed_mass(influence: Array, nodes: Nodes) -> Array:
    """What mass that is on no node would add, as next to the end of a density that is singular there: as much as it
    does on the node where mass adds most, of those that have a share to speak of."""
    masses = jnp.stack(_mass(nodes))
    missed = jnp.max(jnp.abs(1.0 - jnp.sum(masses.reshape(2, -1), axis=1)))
    missed = jnp.maximum(missed - 100.0 * jnp.finfo(missed.dtype).eps, 0.0)
    mass = jnp.sum(masses, axis=0)
    per_mass = jnp.where(mass > 0.01 * missed, jnp.abs(influence) / jnp.where(mass > 0.0, mass, 1.0), 0.0)
    return missed * jnp.max(nu.finite(per_mass))


def _beyond_values(influence: Array) -> Array:
    """What the values after the last would add, if they went on as a geometric series."""
    before, last = jnp.abs(nu.finite(influence[-2:]))
    ratio = jnp.where(before > 0.0, last / jnp.where(before > 0.0, before, 1.0), 0.0)
    return jnp.where(ratio < 1.0, last * ratio / jnp.where(ratio < 1.0, 1.0 - ratio, 1.0), jnp.inf)


def _every_second(influence: Array) -> np.ndarray:
    """What becomes of the weights of a grid of components [k, m, …, m] where it has every second node of an axis."""
    kept = [np.arange(length) % 2 == 0 for length in influence.shape[1:]]
    return 2.0 ** len(kept) * functools.reduce(np.multiply.outer, kept, 1.0) - 1.0


def _rounding(nodes, by_p, by_q):
    """Σ |∂D/∂log p_i| eps |log p_i|, and the same for q: a log-density is a few operations, each of which rounds."""
    eps = 3.0 * jnp.finfo(nodes.log_p.dtype).eps
    units_p, units_q = (1.0 + jnp.abs(nu.finite(log)) for log in (nodes.log_p, nodes.log_q))
    return eps * (jnp.sum(jnp.abs(by_p) * units_p) + jnp.sum(jnp.abs(by_q) * units_q))


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
    for mass in _mass(nodes):
        missed = jnp.abs(jnp.sum(mass) - 1.0) > 1e-3 + 5.0 * nu.safe_root(_variance(nodes, mass))
        bits = bits | jnp.where(missed, status.MASS_MISSED, status.OK)
    logs = [nodes.log_p + nodes.log_w, nodes.log_q + nodes.log_w, jnp.log(jnp.abs(nu.finite(influence)))]
    shapes = jax.vmap(pareto_k)(jnp.stack([jnp.ravel(log) for log in logs]))
    return bits | jnp.where(jnp.max(shapes) > _HEAVY, status.HEAVY_TAIL, status.OK)
