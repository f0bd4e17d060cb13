"""When an ascent that has no gradient to look at has settled: the rule that EM and alternating least squares share."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int

from divjax import status

# Rounding of a mean over the data, in units of eps·|value|: no gain below it can be told from none.
ROUNDING = 4.0


def judged(value: Array, before: Array, finite: Array, tol: Any) -> Int[Array, ""]:
    """The status after a step from the objective ``before`` to ``value``: OK where it changed by at most tol, or by its
    rounding where that is more; NON_FINITE where not ``finite``; NOT_CONVERGED else."""
    rounding = ROUNDING * jnp.finfo(value.dtype).eps * jnp.abs(value)
    settled = jnp.abs(value - before) <= jnp.maximum(tol, rounding)
    verdict = jnp.where(finite, jnp.where(settled, status.OK, status.NOT_CONVERGED), status.NON_FINITE)
    return verdict.astype(jnp.int32)
