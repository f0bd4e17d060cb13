"""How heavy the tail of a set of weights is: the generalised Pareto shape, from the largest of them."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def pareto_k(log_weights: Float[Array, "..."]) -> Float[Array, ""]:
    """k̂ of the upper tail of exp(log_weights) ≥ 0: moments below 1/k̂ are finite (Vehtari et al. 2024).

    Fitted to the min(n/5, 3√n) largest by the estimator of Zhang, Stephens (2009), drawn towards ½ as ten draws would.
    Above ½ their variance may be infinite, above 0.7 no standard error of their mean is to be trusted. 0 where the
    tail is empty: many of the largest are equal, or there are fewer than 25 weights. +inf for a weight that is infinite
    or NaN.
    """
    log_weights = jnp.ravel(log_weights)
    broken = jnp.any(jnp.isnan(log_weights) | (log_weights == jnp.inf))
    log_weights = jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)
    num = int(min(log_weights.size / 5, 3 * math.sqrt(log_weights.size)))
    if num < 5:
        return jnp.where(broken, jnp.inf, jnp.zeros((), log_weights.dtype))
    top = jax.lax.stop_gradient(jax.lax.top_k(log_weights, num + 1)[0])
    largest = jnp.where(jnp.isfinite(top[0]), top[0], 0.0)
    weights = jnp.exp(top - largest)
    excess = (weights[:-1] - weights[-1])[::-1]
    # Excesses that are all rounding are no tail, nor are those of a few values that come again and again.
    rounding = 16.0 * jnp.finfo(excess.dtype).eps
    empty = (excess[-1] <= rounding) | (excess[num // 4] <= rounding)
    shape = _zhang_stephens(jnp.where(empty, jnp.linspace(0.1, 1.0, num, dtype=excess.dtype), excess))
    return jnp.where(broken, jnp.inf, jnp.where(empty, 0.0, (num * shape + 5.0) / (num + 10.0)))


def _zhang_stephens(excess):
    """The shape of excesses in ascending order: a mean over a grid of b = −shape/scale, weighted by its likelihood."""
    num = excess.size
    grid = 30 + int(math.sqrt(num))
    quartile = jnp.maximum(excess[int(num / 4 + 0.5) - 1], jnp.finfo(excess.dtype).tiny * 1e8)
    step = 1.0 - jnp.sqrt(grid / (jnp.arange(1.0, grid + 1.0, dtype=excess.dtype) - 0.5))
    b = step / (3.0 * quartile) + 1.0 / excess[-1]
    shape = jnp.mean(jnp.log1p(-b[:, None] * excess), axis=1)
    likelihood = num * (jnp.log(-b / shape) - shape - 1.0)
    b = jnp.sum(jax.nn.softmax(jnp.where(jnp.isnan(likelihood), -jnp.inf, likelihood)) * b)
    return jnp.mean(jnp.log1p(-b * excess))
