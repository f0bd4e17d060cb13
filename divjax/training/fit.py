"""A fit: a loss and an optimiser make an iteration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree, Scalar

from divjax import status
from divjax.numerics.callbacks import callback
from divjax.numerics.calls import said
from divjax.training.iteration import Iteration, all_finite, frozen, select, starting, strong

LARGEST = 2**31 - 1  # steps that are counted


class FitState(NamedTuple):
    """Where a fit stands. ``value`` and ``grad`` are those at ``params``."""

    params: PyTree
    optimizer: PyTree  # the optimiser's own state
    value: Float[Array, ""]
    grad: PyTree
    grad_norm: Float[Array, ""]
    lowest: tuple[Scalar, Scalar]  # value and gradient norm, each the lowest so far
    anchor: PyTree  # the parameters when they last moved beyond rounding
    idle: Int[Array, ""]  # steps in a row that led nowhere
    steps: Int[Array, ""]
    status: Int[Array, ""]  # NOT_CONVERGED while it runs


class FitResult(NamedTuple):
    """What a fit ends with. ``value``, ``aux`` and ``grad_norm`` are those at ``params``."""

    params: PyTree
    value: Float[Array, ""]  # the loss
    aux: PyTree  # what the loss returned beside it; () if nothing
    steps: Int[Array, ""]  # optimiser steps taken
    grad_norm: Float[Array, ""]  # the largest absolute entry of the gradient
    status: Int[Array, ""]  # bits of divjax.status


@said
def fit(
    loss: Callable[[PyTree, PyTree], Any],
    init: PyTree | Callable[[PyTree], PyTree],
    optimizer: optax.GradientTransformation,
    *,
    max_steps: int = 1000,
    tol: float = 1e-6,
    patience: int = 10,
) -> Iteration:
    """Minimise ``loss(params, case)`` over params with an optax optimiser, for any case.

    Returns an ``Iteration``: ``run(fit(...), case)`` is one fit, ``jax.vmap`` over cases is many in one
    program. Its result is a ``FitResult``, whose status is

    * OK: the largest absolute entry of the gradient is at most ``tol``, at whatever kind of stationary point; or, with
      ``newton``, rounding stopped it where all curvatures are positive and the Newton step, its own estimate of the
      distance that is left, is below √eps of each parameter: a gradient that is a sum of large terms may never round
      to ``tol``;
    * NON_FINITE: the value, the gradient or a parameter became NaN or infinite: stopped at once, and the last
      finite step is kept (where the start itself is not finite, the start);
    * STALLED: ``patience`` steps in a row led nowhere, with the gradient above ``tol``: in float32 often all
      that is left of it is rounding;
    * NOT_CONVERGED: ``max_steps`` reached.

    A step leads nowhere if the parameters stay where they were when they last moved beyond rounding, each
    within eps·abs of that. A drift of one unit in the last place per step gets away, to and fro does not.
    That is the whole rule for an optimiser like Adam, which on a plateau moves on although neither value nor
    gradient shows it, and whose value may rise for a while. (One that holds still for n steps on purpose, as
    ``optax.MultiSteps`` does to accumulate gradients, needs patience > n.)

    An optimiser that looks at the loss itself, a line search or ``newton``, promises more: its step leads
    nowhere also if neither the value nor the gradient norm is a new low. It is known by a state with the
    fields ``value`` and ``grad``: those at the parameters it moved to, by optax's convention. They are used
    as they are, so nothing is evaluated twice; such an optimiser must be the last of its chain. If that state
    has a field ``exhausted`` too, as that of ``newton``, the fit stalls when it is set, without further
    patience; and its first update, which measures the start, is relied on to do so. Where ``near`` is set when the fit
    stalls, it stands at an optimum.

    Args:
      loss: ``loss(params, case)`` -> scalar, or (scalar, aux). Deterministic; randomness comes from the case.
      init: the parameters to start from, a pytree of floating-point arrays; or a function from case to them.
      optimizer: any ``optax.GradientTransformation``, with or without extra arguments.
      max_steps, tol, patience: see above. Traceable.

    Raises:
      TypeError: a parameter is not of a floating-point dtype, the loss is not a scalar, or an argument is no
        function, optimiser or number.
      ValueError: max_steps or tol below 0, or patience below 1, where they are not traced.

    Examples:
        >>> fit = dj.fit(lambda params, case: (params - case) ** 2, jnp.zeros(()), dj.training.newton())
        >>> round(float(dj.run(fit, 3.0).params), 3)
        3.0
    """
    remedy = "The loss comes first: fit(loss, init, optimizer)." if callable(init) else ""
    loss = callback(loss, "loss", "params", "case", remedy=remedy)
    _check_arguments(optimizer, max_steps, tol, patience)
    optimizer = optax.with_extra_args_support(optimizer)

    def begin(case: PyTree) -> FitState:
        params = jax.tree.map(as_parameter, starting(init, case))
        return _begin(lambda p: _value_and_aux(loss, p, case)[0], optimizer, params, tol, patience)

    def step(state: FitState, case: PyTree) -> FitState:
        return _step(lambda p: _value_and_aux(loss, p, case)[0], optimizer, state, tol, patience)

    def done(state: FitState) -> Array:
        return (state.status != status.NOT_CONVERGED) | (state.steps >= max_steps)

    def result(state: FitState, case: PyTree) -> FitResult:
        aux = jax.eval_shape(lambda p: _value_and_aux(loss, p, case)[1], state.params)
        if jax.tree.leaves(aux):  # evaluated once, at the end, rather than carried through the loop
            _, aux = _value_and_aux(loss, state.params, case)
        return FitResult(state.params, state.value, aux, state.steps, state.grad_norm, state.status)

    return Iteration(begin, frozen(step, done), done, result, healthy=None)  # it judges itself: NON_FINITE


def _check_arguments(optimizer, max_steps, tol, patience):
    check_optimizer(optimizer)
    for name, value, whole, low in (
        ("max_steps", max_steps, True, 0),
        ("tol", tol, False, 0),
        ("patience", patience, True, 1),
    ):
        traced = isinstance(value, jax.core.Tracer)
        given, value = value, value if traced else np.asarray(value)
        kinds = (jnp.integer,) if whole else (jnp.integer, jnp.floating)
        if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds) or value.ndim:
            raise TypeError(f"Expected {name} to be a {'whole ' * whole}number; got {given!r}.")
        if not traced and not low <= value <= (LARGEST if whole else np.inf):
            raise ValueError(f"Expected {name} >= {low}{f' and <= {LARGEST}' * whole}; got {value}.")


def check_optimizer(optimizer: Any) -> None:
    """TypeError for what is no optax optimiser, such as its name, or the function that makes one."""
    if not all(hasattr(optimizer, part) for part in ("init", "update")):
        got = getattr(optimizer, "__name__", type(optimizer).__name__)
        raise TypeError(f"Expected an optax optimiser; got {got}. Call it, as in optax.adam(1e-3) or newton().")


def _begin(
    value_fn: Callable,
    optimizer: optax.GradientTransformationExtraArgs,
    params: PyTree,
    tol: float,
    patience: int,
) -> FitState:
    inner = optimizer.init(params)
    search = _line_search(inner, params)
    if hasattr(search, "exhausted"):  # its first update measures the start
        value, grad = search.value, jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), params)
        judged = jnp.full((), status.NOT_CONVERGED, jnp.int32)
    else:
        value, grad = jax.value_and_grad(value_fn)(params)
        at_optimum = _max_norm(grad) <= tol
        judged = _verdict(at_optimum, jnp.zeros((), jnp.int32), all_finite((value, grad)), patience)
    state = FitState(
        params=params,
        optimizer=inner,
        value=value,
        grad=grad,
        grad_norm=_max_norm(grad),
        lowest=(value, _max_norm(grad)),
        anchor=params,
        idle=jnp.zeros((), jnp.int32),
        steps=jnp.zeros((), jnp.int32),
        status=judged,
    )
    return jax.tree.map(strong, state)


def _step(
    value_fn: Callable,
    optimizer: optax.GradientTransformationExtraArgs,
    state: FitState,
    tol: float,
    patience: int,
) -> FitState:
    updates, inner = optimizer.update(
        state.grad, state.optimizer, state.params, value=state.value, grad=state.grad, value_fn=value_fn
    )
    params = optax.apply_updates(state.params, updates)
    search = _line_search(inner, params)
    value, grad = (search.value, search.grad) if search is not None else jax.value_and_grad(value_fn)(params)
    finite = all_finite((value, grad, params))
    grad_norm = _max_norm(grad)

    low_value, low_norm = state.lowest
    still = _within_rounding(state.anchor, params)
    anchor = select(~still, params, state.anchor)
    no_low = (value >= low_value) & (grad_norm >= low_norm)
    idle = jnp.where(still | (no_low if search is not None else False), state.idle + 1, 0)
    idle = jnp.where(getattr(search, "exhausted", False), patience, idle)
    lowest = (jnp.minimum(value, low_value), jnp.minimum(grad_norm, low_norm))
    moved = FitState(params, inner, value, grad, grad_norm, lowest, anchor, idle, state.steps + 1, state.status)
    kept = select(finite, moved, state)
    at_optimum = (grad_norm <= tol) | ((idle >= patience) & getattr(search, "near", False))
    return kept._replace(steps=moved.steps, status=_verdict(at_optimum, idle, finite, patience))


def _verdict(at_optimum: Array, idle: Array, finite: Array, patience: int) -> Int[Array, ""]:
    stalled = jnp.where(idle >= patience, status.STALLED, status.NOT_CONVERGED)
    bits = jnp.where(finite, jnp.where(at_optimum, status.OK, stalled), status.NON_FINITE)
    return bits.astype(jnp.int32)


def _line_search(state: PyTree, params: PyTree) -> Any:
    """The part of an optimiser's state that holds value and gradient where it moved to; None without one."""

    def measures(node: Any) -> bool:
        return {"value", "grad"} <= set(getattr(node, "_fields", ()))

    found = [node for node in jax.tree.leaves(state, is_leaf=measures) if measures(node)]
    found = [node for node in found if jax.tree.structure(node.grad) == jax.tree.structure(params)]
    return found[0] if len(found) == 1 else None


def _value_and_aux(loss: Callable, params: PyTree, case: PyTree) -> tuple[Scalar, PyTree]:
    out = loss(params, case)
    value, aux = out if type(out) is tuple and len(out) == 2 else (out, ())
    check_scalar(value, "a scalar or (scalar, aux)", "Average it, say.")
    return value, aux


def check_scalar(value: Any, expected: str, remedy: str) -> None:
    """TypeError for what a loss may not return: anything but a real number, or an array of one."""
    if not (isinstance(value, int | float) or (hasattr(value, "dtype") and jnp.shape(value) == ())):
        got = f"shape {jnp.shape(value)}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise TypeError(f"Expected {expected} from loss; got {got}. {remedy}")


def as_parameter(leaf: Any) -> Array:
    """An array of the dtype it comes with; TypeError where that is not floating-point."""
    dtype = jnp.result_type(leaf)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"Expected floating-point parameters from init; got {dtype}. Write 0.0 for 0.")
    return jnp.asarray(leaf, dtype)


def _max_norm(tree: PyTree) -> Scalar:
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(tree)]))


def _within_rounding(old: PyTree, new: PyTree) -> Array:
    def near(a: Array, b: Array) -> Array:
        return jnp.all(jnp.abs(b - a) <= jnp.finfo(a.dtype).eps * jnp.abs(a))

    return jnp.all(jnp.stack(jax.tree.leaves(jax.tree.map(near, old, new))))
