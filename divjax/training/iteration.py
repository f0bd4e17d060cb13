"""Iteration: what training makes and what sweeps run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from divjax.numerics.callbacks import callback
from divjax.numerics.calls import said
from divjax.numerics.programs import kept


def no_nan(state: PyTree) -> Bool[Array, ""]:
    """No NaN in any floating-point leaf. Infinities pass: a lowest value so far may well start as one."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return ~jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in leaves])) if leaves else jnp.ones((), bool)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """No NaN and no infinity in any leaf."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def strong(leaf: Any, dtype: Any = None) -> Array:
    """Of that dtype, not weakly typed: what optimisers return may be promoted, a loop's state must not be."""
    dtype = jnp.result_type(leaf) if dtype is None else dtype
    is_key = jnp.issubdtype(dtype, jax.dtypes.extended)
    return leaf if is_key else jnp.asarray(leaf, dtype)


def like(old: PyTree, new: PyTree) -> PyTree:
    """``new`` with the dtypes of ``old``, which what optimisers and projections compute in may widen."""
    return jax.tree.map(lambda a, b: strong(b, a.dtype), old, new)


def select(condition: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    """``new`` where the condition holds, else ``old``, whose dtypes stay."""
    return jax.tree.map(lambda a, b: jnp.where(condition, b, a), old, like(old, new))


def frozen(step: Callable[[PyTree, PyTree], PyTree], done: Callable[[PyTree], Array]) -> Callable:
    """``step``, but a state that is done stays as it is: what makes a step after the end harmless."""
    return lambda state, case: select(~done(state), step(state, case), state)


def starting(init: PyTree | Callable[[PyTree], PyTree], case: PyTree) -> PyTree:
    """The parameters to start from: ``init`` itself, or what it makes of the case.

    Parameters that can be called, as a module of equinox can, are a pytree of arrays; a function is not, and one that
    holds arrays, a ``jax.tree_util.Partial``, is a function all the same.
    """
    is_function = callable(init) and (isinstance(init, jax.tree_util.Partial) or jax.tree_util.all_leaves([init]))
    return callback(init, "init", "case")(case) if is_function else init


class Iteration(NamedTuple):
    """A loop as four pure functions, unbatched, so that an engine may run many of them in one program.

    A case is a pytree of arrays: the parameters of one problem. The state must keep its structure, shapes and
    dtypes from step to step. A step after ``done`` must be harmless: engines may take it and drop the outcome.
    """

    init: Callable[[PyTree], PyTree]  # case -> state
    step: Callable[[PyTree, PyTree], PyTree]  # state, case -> state
    done: Callable[[PyTree], Bool[Array, ""]]  # state -> stop?
    result: Callable[[PyTree, PyTree], Any]  # state, case -> what to keep, a pytree of arrays
    # state -> may it go on? A sweep keeps the state before the step that says no, and flags the case. None: the
    # iteration sees to that itself, as ``fit`` does.
    healthy: Callable[[PyTree], Bool[Array, ""]] | None = no_nan
    # case -> raises where its values make no sense. ``run`` shows it the case outside of the program, which sees none.
    check: Callable[[PyTree], Any] | None = None
    # Added to the entries of every case. They are arguments of the program that nothing is mapped over, so that a
    # ``lax.switch`` by one of them stays one, and iterations that differ in them alone are one program.
    constants: dict[str, Array] | None = None


def bound(iteration: Iteration, constants: dict[str, Array] | None) -> Iteration:
    """The iteration of cases that do not have the constants yet."""
    if constants is None:
        return iteration._replace(constants=None)
    whole = lambda case: {**({} if case is None else case), **constants}  # noqa: E731
    return iteration._replace(
        init=lambda case: iteration.init(whole(case)),
        step=lambda state, case: iteration.step(state, whole(case)),
        result=lambda state, case: iteration.result(state, whole(case)),
        constants=None,
    )


@said
def run(iteration: Iteration, case: PyTree = None) -> Any:
    """One case to its end: ``init``, then ``step`` until ``done``, then ``result``. Pure: jit and vmap as usual.

    Compiled once for an iteration: keep the ``Iteration`` rather than make it anew.

    Examples:
        >>> fit = dj.fit(lambda params, case: (params - case) ** 2, jnp.zeros(()), dj.training.newton())
        >>> int(dj.run(fit, 3.0).status)
        0
    """
    if not isinstance(iteration, Iteration):
        raise TypeError(
            f"Expected an Iteration, as dj.fit makes one; got {type(iteration).__name__}. Write "
            "dj.run(dj.fit(loss, init, optimizer), case)."
        )
    if iteration.check is not None:
        iteration.check(case)
    return _run(iteration._replace(check=None, constants=None), case, iteration.constants)


@kept
def _run(iteration: Iteration, case: PyTree, constants: dict[str, Array] | None) -> Any:
    iteration = bound(iteration, constants)
    state = jax.lax.while_loop(
        lambda state: ~iteration.done(state), lambda state: iteration.step(state, case), iteration.init(case)
    )
    return iteration.result(state, case)
