"""Standard errors of what is counted on samples."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from divjax.divergences.samples import two_unweighted

Result = TypeVar("Result")


def rate_stderr(rate: ArrayLike, num: ArrayLike) -> Float[Array, ""]:
    """Standard error of a share of ``num`` independent points.

    √(s (1 − s) / (num + 4)) with s = (rate num + 2) / (num + 4). Two successes and two failures are added (Agresti,
    Coull 1998): a rate of 0 or 1 is not known without error. For the rates of this package it is the error of the
    points counted, the other sample being held fixed; ``jackknife_stderr`` has that of both.
    """
    rate, num = jnp.asarray(rate), jnp.asarray(num)
    middle = (rate * num + 2.0) / (num + 4.0)
    return jnp.sqrt(middle * (1.0 - middle) / (num + 4.0))


def jackknife_stderr(
    diagnostic: Callable[[Array, Array], Result],
    real: Float[Array, "n d"],
    generated: Float[Array, "m d"],
    *,
    groups: int = 10,
) -> Result:
    """Standard errors of diagnostic(real, generated), of the same type: the two-sample delete-a-group jackknife.

    √(Σ over both samples of (G − 1)/G Σ_g (θ_(g) − mean θ)²), where θ_(g) is without every G-th point of a sample from
    the g-th on (Shao, Wu 1989). Points in random order. Relative error of the stderr about 1/√(2 (G − 1)). Runs the
    diagnostic 2 G times. diagnostic: e.g. ``precision_recall``, or ``functools.partial(precision_recall, num=3)``.
    """
    real, generated = two_unweighted(real, generated, names=("real", "generated"))
    if not 2 <= groups <= min(real.shape[0], generated.shape[0]):
        raise ValueError(f"Expected 2 <= groups <= {min(real.shape[0], generated.shape[0])} points; got {groups}.")

    def spread(values):
        values = jnp.stack([jnp.asarray(value, real.dtype) for value in values])
        return (groups - 1.0) / groups * jnp.sum((values - jnp.mean(values, axis=0)) ** 2, axis=0)

    by_real = [diagnostic(_without(real, g, groups), generated) for g in range(groups)]
    by_generated = [diagnostic(real, _without(generated, g, groups)) for g in range(groups)]
    parts = [jax.tree.map(lambda *values: spread(values), *results) for results in (by_real, by_generated)]
    return jax.tree.map(lambda a, b: jnp.sqrt(a + b), *parts)


def _without(x, g, groups):
    """x without one group; of equal length for every g, so that all are one program: at most one point more is left."""
    kept = np.flatnonzero(np.arange(x.shape[0]) % groups != g)
    return x[kept[: x.shape[0] - -(-x.shape[0] // groups)]]
