"""Discretisers as one compiled program, also outside jit; what is no distribution has no measure."""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from divjax import checks, status
from divjax.distributions.density import is_law
from divjax.distributions.family import Density


def compiled(discretiser: Callable[..., Any]) -> Callable[..., Any]:
    """jit for f(p, q, *, options): op by op, a first call would compile hundreds of small programs. Options are static.

    Densities are pytrees of their parameters. One whose parameters are no arrays, a user's own object, is left to run
    op by op (or inside the caller's jit).
    """
    options = [
        name for name, each in inspect.signature(discretiser).parameters.items() if each.kind is each.KEYWORD_ONLY
    ]

    def checked(p, q, **options):
        return of_laws(discretiser(p, q, **options), p, q)

    jitted = jax.jit(checked, static_argnames=options)

    @wraps(discretiser)
    def call(p, q, **options):
        leaves = jax.tree.leaves((p, q))
        arrays = all(isinstance(leaf, jax.Array | np.ndarray | np.number | float | int) for leaf in leaves)
        return spoken((jitted if arrays else checked)(p, q, **options), p, q)

    return call


def of_laws(measure: Any, *sides: Any) -> Any:
    """The measure, of NaN where the parameters of a distribution make none: no number comes out of it."""
    laws = [is_law(side) for side in sides if isinstance(side, Density)]
    if not laws:
        return measure
    return replace(measure, log_w=jnp.where(jnp.all(jnp.stack(laws)), measure.log_w, jnp.nan))


def spoken(measure: Any, *sides: Any) -> Any:
    """The measure; one of NaN does not go out in silence, unless it is traced."""
    densities = [side for side in sides if isinstance(side, Density)]
    if densities and checks.is_known(measure.log_w) and bool(jnp.isnan(measure.log_w.ravel()[0])):
        names = " and ".join(side.name for side in densities)
        warnings.warn(
            f"Expected parameters that make a distribution; got some of {names} that make none. Every divergence on "
            "this measure is NaN: look for a scale that is not above 0, or a NaN.",
            status.AccuracyWarning,
            stacklevel=4,
        )
    return measure
