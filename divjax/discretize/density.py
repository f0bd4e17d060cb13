"""Log-densities that are −inf, and not NaN, outside a support, with derivatives that are never NaN."""

import math
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


def _of_components(dist, x, log_prob_of=lambda part, x: part.log_prob(x)):
    """log p_k(x) of the components of a mixture, [k, ...]; None for what is none, or one whose event is not handled."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        parts = dist.components_distribution
        if _is_gaussian(dist):
            # Components first and points last: with two components last, a CPU would take two numbers at a time.
            loc, scale = jnp.broadcast_arrays(parts.loc, parts.scale)
            return jax.vmap(lambda loc, scale: log_prob_of(type(parts)(loc, scale), x))(loc, scale)
        return jnp.moveaxis(parts.log_prob(jnp.expand_dims(x, -1 - len(dist.event_shape))), -1, 0)
    if isinstance(dist, distrax.MixtureOfTwo | tfd.Mixture):
        return jnp.stack([log_prob(part, x) for part in mixture_parts(dist)[1]])
    return None


def _held(dist, x):
    """log p(x) of a Gaussian with x held where its square is finite, so that neither it nor a slope overflows.

    −½ u² − log σ √2π with u = a z + b, in z = (x − μ)/σ at fixed μ and σ: as values a = 1 and b = 0, and all of what
    depends on the parameters is in the three coefficients of a polynomial. Its derivatives are moments of z, of any
    order, and need no array for each parameter.
    """
    loc, scale = jax.lax.stop_gradient((dist.loc, dist.scale))
    far = jnp.finfo(x.dtype).max ** 0.25  # where what a power tail has does not count, and z² is finite
    if type(dist) not in (distrax.Normal, tfd.Normal):  # a class of one's own, with a log_prob of its own
        return dist.log_prob(jnp.clip(x, loc - far * scale, loc + far * scale))
    z = jnp.clip((x - loc) / scale, -far, far)
    # Only what is 1 and 0 is differentiated: powers of a narrow scale would overflow before its product with z does.
    stretch = dist.scale / scale
    a, b = 1.0 / stretch, (loc - dist.loc) / scale / stretch
    log_scale = jnp.log(scale) + jnp.log(stretch)
    return -0.5 * a * a * z * z - a * b * z - (0.5 * b * b + log_scale + 0.5 * math.log(2.0 * math.pi))


def _is_gaussian(dist):
    """Whether log p is finite on all of the line short of overflow: a Gaussian, or a mixture of some in a row."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        parts = dist.components_distribution
        return isinstance(parts, distrax.Normal | tfd.Normal) and len(parts.batch_shape) == 1
    return isinstance(dist, distrax.Normal | tfd.Normal)


def _linear(weights, parts):
    """log Σ w_k p_k(x), linear in the weights, so that a weight 0 has a gradient. parts: log p_k(x), [k, ...]."""
    first = jnp.moveaxis(weights, -1, 0)
    weights = first.reshape(first.shape[:1] + (1,) * (parts.ndim - first.ndim) + first.shape[1:])
    top = jax.lax.stop_gradient(jnp.max(jnp.where(weights > 0.0, parts, -jnp.inf), axis=0))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    # A component that is −inf here is a constant: its derivative may not be finite.
    nowhere = jax.lax.stop_gradient(parts) == -jnp.inf
    density = jnp.where(nowhere, 0.0, nu.bounded_exp(jnp.where(nowhere, 0.0, parts - top)))
    total = jnp.sum(weights * density, axis=0)
    positive = total > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, total, 1.0)) + top, -jnp.inf)


def given_weights(dist: Any) -> Array | None:
    """The weights of a mixture that was given by them; None for one given by logits, and for what is none."""
    if isinstance(dist, distrax.MixtureSameFamily | tfd.MixtureSameFamily):
        return getattr(dist.mixture_distribution, "_probs", None)
    return mixture_parts(dist)[0] if isinstance(dist, distrax.MixtureOfTwo | tfd.Mixture) else None


def _plain(dist, x):
    weights = given_weights(dist)
    return dist.log_prob(x) if weights is None else _linear(weights, _of_components(dist, x))


def _gaussian(dist, x):
    if isinstance(dist, distrax.Normal | tfd.Normal):
        return _held(dist, x)
    parts, weights = _of_components(dist, x, _held), given_weights(dist)
    if weights is not None:
        return _linear(weights, parts)
    log_weights = jax.nn.log_softmax(dist.mixture_distribution.logits)
    return jax.nn.logsumexp(parts + log_weights.reshape((-1,) + (1,) * x.ndim), axis=0)


def log_base(dist: Any, log_w: Array, x: Array) -> Array:
    """log_prob whose weights, exp(log_w) of a mixture's components, stand still: no draw moves with them.

    ∫ h = E h/r whatever the weights in r, so their derivative is that of h, at fixed draws.
    """
    parts = _of_components(dist, x) if log_w.size > 1 else None
    return log_prob(dist, x) if parts is None else _linear(jnp.exp(jax.lax.stop_gradient(log_w)), parts)


def _underflown(dist, x, center):
    """log p(x), a constant where it is −inf: its derivative may be infinite there."""
    if _is_gaussian(dist):
        return _gaussian(dist, x)
    empty = jax.lax.stop_gradient(_plain(dist, x)) == -jnp.inf
    return jnp.where(empty, -jnp.inf, _plain(dist, jnp.where(empty, center, x)))
