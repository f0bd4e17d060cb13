"""Log-densities that are −inf, and not NaN, outside a support, with derivatives that are never NaN."""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax.discretize.families import Profile, profile

tfd = tfp.distributions


def log_prob(dist: Any, x: Array) -> Array:
    """log p(x), −inf outside a support on the line; elsewhere what the distribution says."""
    if isinstance(dist, distrax.Independent | tfd.Independent):
        parts = dist.distribution
        axes = tuple(range(x.ndim - len(dist.event_shape), x.ndim))
        if tuple(parts.event_shape) == ():
            return jnp.sum(log_prob(parts, x), axis=axes)
    if tuple(dist.event_shape) == ():
        try:
            shape = profile(dist)
        except TypeError:
            return dist.log_prob(x)
        if shape.low is not None or shape.high is not None:
            return log_density(dist, shape, x)
    return dist.log_prob(x)


def log_density(dist: Any, shape: Profile, x: Array) -> Array:
    """log p(x), −inf outside the support, where a log_prob may be NaN or have a NaN gradient."""
    center = jax.lax.stop_gradient(shape.center[0])
    if shape.low is None and shape.high is None:
        return _underflown(dist, x, center)
    low = -jnp.inf if shape.low is None else jax.lax.stop_gradient(shape.low)
    high = jnp.inf if shape.high is None else jax.lax.stop_gradient(shape.high)
    inside = (x >= low) & (x <= high)
    # A node that rounding puts on an end of the support is moved one step inside: log 0 times 0 is NaN.
    x = jnp.where(x <= low, _step(low, 1.0, x.dtype), x)
    x = jnp.where(x >= high, _step(high, -1.0, x.dtype), x)
    return jnp.where(inside, _underflown(dist, jnp.where(inside, x, center), center), -jnp.inf)


def _step(end, sign, dtype):
    """The next number after an end of the support; past 0 a normal one, since others count as 0."""
    end, tiny = jnp.asarray(end, dtype), jnp.finfo(dtype).tiny
    return jnp.where(end == 0.0, sign * tiny, jnp.nextafter(end, jnp.asarray(sign * jnp.inf, dtype)))


def _underflown(dist, x, center):
    """log p(x), a constant where it is −inf: its derivative may be infinite there."""
    empty = jax.lax.stop_gradient(dist.log_prob(x)) == -jnp.inf
    return jnp.where(empty, -jnp.inf, dist.log_prob(jnp.where(empty, center, x)))
