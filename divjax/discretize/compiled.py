"""Discretisers as one compiled program, also outside jit; what is no distribution has no measure."""

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
from divjax.numerics.calls import callers_level
from divjax.numerics.programs import kept


def compiled(discretiser: Callable[..., Any]) -> Callable[..., Any]:
    """A kept program of f(p, q, *, options) that gives a measure: NaN, with a warning, of what is no distribution."""

    @kept
    def program(p, q, **options):
        return of_laws(discretiser(p, q, **options), p, q)

    @wraps(discretiser)
    def call(p, q, **options):
        return spoken(program(p, q, **options), p, q)

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
    samples = jax.tree.leaves([side for side in sides if not isinstance(side, Density)])
    if any(checks.is_known(x) and np.isnan(np.asarray(x)).any() for x in samples):
        return measure  # it is the sample, or its weights, that has a NaN
    if densities and checks.is_known(measure.log_w) and np.isnan(np.asarray(measure.log_w).flat[0]):
        names = " and ".join(side.name for side in densities)
        warnings.warn(
            f"Expected parameters that make a distribution; got some of {names} that make none. Every divergence on "
            "this measure is NaN: look for a scale that is not above 0, or a NaN.",
            status.AccuracyWarning,
            stacklevel=callers_level(),
        )
    return measure
