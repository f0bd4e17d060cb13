"""Iteration: what training makes and what sweeps run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree


def no_nan(state: PyTree) -> Bool[Array, ""]:
    """No NaN in any floating-point leaf. Infinities pass: a lowest value so far may well start as one."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return ~jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in leaves])) if leaves else jnp.ones((), bool)


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


def run(iteration: Iteration, case: PyTree = None) -> Any:
    """One case to its end: ``init``, then ``step`` until ``done``, then ``result``. Pure: jit and vmap as usual."""
    state = jax.lax.while_loop(
        lambda state: ~iteration.done(state), lambda state: iteration.step(state, case), iteration.init(case)
    )
    return iteration.result(state, case)
