"""Discretisers as one compiled program, also outside jit."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import numpy as np


def compiled(discretiser: Callable[..., Any]) -> Callable[..., Any]:
    """jit for f(p, q, *, options): op by op, a first call would compile hundreds of small programs. Options are static.

    Densities are pytrees of their parameters. One whose parameters are no arrays, a user's own object, is left to run
    op by op (or inside the caller's jit).
    """
    options = [
        name for name, each in inspect.signature(discretiser).parameters.items() if each.kind is each.KEYWORD_ONLY
    ]
    jitted = jax.jit(discretiser, static_argnames=options)

    @wraps(discretiser)
    def call(p, q, **options):
        leaves = jax.tree.leaves((p, q))
        arrays = all(isinstance(leaf, jax.Array | np.ndarray | np.number | float | int) for leaf in leaves)
        return (jitted if arrays else discretiser)(p, q, **options)

    return call
