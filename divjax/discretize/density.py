"""Log-densities that are −inf, and not NaN, outside a support, with derivatives that are never NaN."""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu
from divjax.discretize.families import Profile, mixture_parts, profile

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
            return _plain(dist, x)
        if shape.low is not None or shape.high is not None:
            return log_density(dist, shape, x)
    return _plain(dist, x)


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


def _of_components(dist, x):
    """log p_k(x) of the components of a mixture, [..., k]; None for what is none, or one whose event is not handled."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        return dist.components_distribution.log_prob(jnp.expand_dims(x, -1 - len(dist.event_shape)))
    if isinstance(dist, distrax.MixtureOfTwo | tfd.Mixture):
        return jnp.stack([log_prob(part, x) for part in mixture_parts(dist)[1]], axis=-1)
    return None


def _linear(weights, parts):
    """log Σ w_k p_k(x), linear in the weights, so that a weight 0 has a gradient."""
    top = jax.lax.stop_gradient(jnp.max(jnp.where(weights > 0.0, parts, -jnp.inf), axis=-1, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    # A component that is −inf here is a constant: its derivative may not be finite.
    nowhere = jax.lax.stop_gradient(parts) == -jnp.inf
    density = jnp.where(nowhere, 0.0, nu.bounded_exp(jnp.where(nowhere, 0.0, parts - top)))
    total = jnp.sum(weights * density, axis=-1)
    positive = total > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, total, 1.0)) + top[..., 0], -jnp.inf)


def given_weights(dist: Any) -> Array | None:
    """The weights of a mixture that was given by them; None for one given by logits, and for what is none."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        return getattr(dist.mixture_distribution, "_probs", None)
    return mixture_parts(dist)[0] if isinstance(dist, distrax.MixtureOfTwo | tfd.Mixture) else None


def _plain(dist, x):
    weights = given_weights(dist)
    return dist.log_prob(x) if weights is None else _linear(weights, _of_components(dist, x))


def log_base(dist: Any, log_w: Array, x: Array) -> Array:
    """log_prob whose weights, exp(log_w) of a mixture's components, stand still: no draw moves with them.

    ∫ h = E h/r whatever the weights in r, so their derivative is that of h, at fixed draws.
    """
    parts = _of_components(dist, x) if log_w.size > 1 else None
    return log_prob(dist, x) if parts is None else _linear(jnp.exp(jax.lax.stop_gradient(log_w)), parts)


def _underflown(dist, x, center):
    """log p(x), a constant where it is −inf: its derivative may be infinite there."""
    empty = jax.lax.stop_gradient(_plain(dist, x)) == -jnp.inf
    return jnp.where(empty, -jnp.inf, _plain(dist, jnp.where(empty, center, x)))
