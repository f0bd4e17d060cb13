"""Is what a model generates realistic, where the data's density is known and its regions are not: by levels of samples.

``unrealistic_rate`` finds the smallest region that holds 99 % of p on the line. In many dimensions, of documents say,
there is no boundary to integrate along, but the region is known by its level: x is outside where log p(x) lies below
that of 99 % of real draws. Two samples of log p are then enough, one of real draws and one of generated ones.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.diagnostics.errors import rate_stderr


class RateBelow(NamedTuple):
    """A share of generated draws, and its standard error from both samples."""

    rate: Float[Array, ""]
    stderr: Float[Array, ""]


def rate_below(log_p_x: Float[Array, " n"], log_p_y: Float[Array, " m"], *, mass: ArrayLike = 0.99) -> RateBelow:
    """The share of the model's draws y that are less likely under the data's law p than ``mass`` of real draws x are.

    It is ``unrealistic_rate`` where p is known at points only. log_p_x, log_p_y: log p, in nats, at n draws from p
    itself and at m draws from the model; −inf is where p is 0. Any increasing function of p gives the same rate, so
    that a constant left out of log p does not matter; one that depends on x does, such as the number of orders in which
    the same words may come. The level is the order statistic of rank ⌊(1 − mass)(n + 1)⌋, at least 1, so that the rate
    of fresh real draws is in expectation that rank over n + 1, at most 1 − mass; for a discrete p less, by the ties.

    The error has two independent parts, √(e² + s²): e is ``rate_stderr``, of the m draws, and s that of the level:
    √(n mass (1 − mass)), the standard deviation of how many real draws lie below the true level, times the slope of the
    rate over the rank between the ranks lower and higher by as much, as far as there are such (Woodruff 1952). A NaN in
    either sample makes both NaN.

    Raises TypeError for what is no array of real numbers; ValueError for a mass outside (0, 1), for a sample that is
    not [n] or is empty, and for fewer than 1 / (1 − mass) real draws, where mass is not traced.

    Examples:
        >>> float(dj.diagnostics.rate_below(-jnp.arange(10.0), jnp.asarray([-0.5, -20.0]), mass=0.9).rate)
        0.5
    """
    mass = checks.parameter(mass, "mass", 0.0, 1.0, above=True)
    real, generated = (_sample(values, name) for values, name in ((log_p_x, "log_p_x"), (log_p_y, "log_p_y")))
    n = real.size
    if not isinstance(mass, jax.core.Tracer) and n * (1.0 - mass) < 1.0 - 1e-6:
        raise ValueError(
            f"Expected at least 1 / (1 − mass) real draws, for one to lie outside; got {n} for mass {mass}. Draw more."
        )
    order, outside = jnp.sort(real), jnp.asarray(1.0 - mass, real.dtype)
    # A whole number that rounding has put just below itself is meant to be itself.
    middle = jnp.floor((outside + 8.0 * jnp.finfo(real.dtype).eps) * (n + 1))
    spread = jnp.sqrt(n * outside * (1.0 - outside))
    ranks = jnp.clip(jnp.round(jnp.stack([middle - spread, middle, middle + spread])), 1, n)
    rates = jnp.mean(generated < order[ranks.astype(jnp.int32) - 1][:, None], axis=1, dtype=real.dtype)

    broken = jnp.any(jnp.isnan(generated)) | jnp.any(jnp.isnan(real)) | jnp.isnan(outside)
    broken = jnp.where(broken, jnp.nan, 0.0).astype(real.dtype)
    found, of_level = rates[1], spread * nu.safe_ratio(rates[2] - rates[0], ranks[2] - ranks[0])
    return RateBelow(found + broken, jnp.sqrt(rate_stderr(found, generated.size) ** 2 + of_level**2) + broken)


def _sample(x, name):
    (x,) = checks.floating(x)
    if x.ndim != 1 or not x.size:
        raise ValueError(
            f"Expected {name} as [n], n >= 1, log p of the draws; got shape {x.shape}. Use jax.vmap for many."
        )
    return x
