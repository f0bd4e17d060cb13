"""Discretisers as one compiled program, also outside jit."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import numpy as np


def compiled(discretiser: Callable[..., Any]) -> Callable[..., Any]:
    """jit for f(p, q, *, crossings, refine): op by op, a first call would compile hundreds of small programs.

    Distributions are pytrees of their parameters. An object that is none, a user's own class, is left to run op by op
    (or inside the caller's jit).
    """
    jitted = jax.jit(discretiser, static_argnames=("crossings", "refine"))

    @wraps(discretiser)
    def call(p, q, **options):
        leaves = jax.tree.leaves((p, q))
        arrays = all(isinstance(leaf, jax.Array | np.ndarray | np.number | float | int) for leaf in leaves)
        return (jitted if arrays else discretiser)(p, q, **options)

    return call
