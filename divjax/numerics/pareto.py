"""How heavy the tail of some weights is, from the largest of them."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.numerics.guards import safe_log


def pareto_k(log_weights: Float[Array, "..."]) -> Float[Array, ""]:
    """k̂ of the upper tail of exp(log_weights) ≥ 0: moments below 1/k̂ are finite (Vehtari et al. 2024).

    Fitted to the min(n/5, 3√n) largest by the estimator of Zhang, Stephens (2009), drawn towards ½ as ten draws would.
    Above ½ their variance may be infinite, above 0.7 no standard error of their mean is to be trusted. 0 where the
    tail is empty: many of the largest are equal, or there are fewer than 25 weights. +inf for a weight that is infinite
    or NaN.

    Examples:
        >>> light = dj.diagnostics.pareto_k(jax.random.normal(jax.random.key(0), (1000,)))
        >>> bool(light < 0.7 < dj.diagnostics.pareto_k(jnp.log(1.0 / jnp.linspace(0.001, 1.0, 1000))))
        True
    """
    log_weights = jnp.ravel(log_weights)
    broken = jnp.any(jnp.isnan(log_weights) | (log_weights == jnp.inf))
    log_weights = jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)
    num = int(min(log_weights.size / 5, 3 * math.sqrt(log_weights.size)))
    if num < 5:
        return jnp.where(broken, jnp.inf, jnp.zeros((), log_weights.dtype))
    top = jax.lax.stop_gradient(jax.lax.top_k(log_weights, num + 1)[0])
    # log(w − w_min), each beside its own weight: where tails are heaviest most excesses underflow beside the largest.
    gap = jnp.where(top[:-1] == top[-1], 0.0, top[:-1] - top[-1])[::-1]
    log_excess = (top[:-1] - jnp.where(jnp.isfinite(top[0]), top[0], 0.0))[::-1] + safe_log(-jnp.expm1(-gap))
    # Excesses that are all rounding are no tail, nor are those of a few values that come again and again.
    rounding = 16.0 * jnp.finfo(gap.dtype).eps
    empty = (gap[-1] <= rounding) | (gap[num // 4] <= rounding)
    shape = _zhang_stephens(jnp.where(empty, jnp.log(jnp.linspace(0.1, 1.0, num, dtype=gap.dtype)), log_excess))
    return jnp.where(broken, jnp.inf, jnp.where(empty, 0.0, (num * shape + 5.0) / (num + 10.0)))


def _zhang_stephens(log_excess):
    """The shape of excesses in ascending order: a mean over a grid of b = −shape/scale, weighted by its likelihood.

    In units of their quartile, and by logarithms: excesses may be e^200 apart.
    """
    num = log_excess.size
    grid = 30 + int(math.sqrt(num))
    log_ratio = log_excess - log_excess[int(num / 4 + 0.5) - 1]
    step = 1.0 - jnp.sqrt(grid / (jnp.arange(1.0, grid + 1.0, dtype=log_excess.dtype) - 0.5))
    minus_b = -step / 3.0 - jnp.exp(-log_ratio[-1])

    def shape_at(minus_b):
        """The mean of log(1 − b excess)."""
        rising = minus_b > 0.0
        far = jnp.logaddexp(0.0, jnp.log(jnp.where(rising, minus_b, 1.0)) + log_ratio)
        # Below 0 the excesses are at most a few hundred quartiles.
        near = jnp.log1p(jnp.where(rising, 0.0, minus_b) * jnp.exp(jnp.where(rising, 0.0, log_ratio)))
        return jnp.mean(jnp.where(rising, far, near))

    shape = jax.vmap(shape_at)(minus_b)
    likelihood = num * (jnp.log(minus_b / shape) - shape - 1.0)
    weights = jax.nn.softmax(jnp.where(jnp.isnan(likelihood), -jnp.inf, likelihood))
    return shape_at(jnp.sum(weights * minus_b))
