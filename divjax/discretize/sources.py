"""What can be sampled, and how: a distribution as a mixture of images of standard normal variables.

``source(dist)`` is open to users' own classes (``source.register(MyDistribution)``). A distribution without one is
sampled by its own ``sample``, which leaves no choice of design.
"""

import math
from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, Int, PRNGKeyArray
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu
from divjax.discretize.density import given_weights
from divjax.discretize.families import mixture_parts
from divjax.discretize.marginals import has_quantile, quantile

tfd = tfp.distributions

# Of distrax, whose own samples are differentiable in all parameters; it does not say so itself.
_REPARAMETERIZED = (distrax.Gamma, distrax.Beta, distrax.Dirichlet, distrax.Normal, distrax.Laplace, distrax.Logistic,
                    distrax.Gumbel, distrax.Uniform, distrax.LogStddevNormal)  # fmt: skip


class Source(NamedTuple):
    """A mixture with weights exp(log_w) of components x = image(key, index, t)."""

    log_w: Float[Array, " k"]
    # Key, components' numbers [...], standard normal z [..., dim] -> x [..., *event].
    image: Callable[[PRNGKeyArray, Int[Array, "..."], Float[Array, "... dim"]], Array]
    dim: int
    mapped: bool  # x is a smooth function of z; else x comes from the key alone, and z is not looked at
    pathwise: bool  # x is differentiable in the parameters, at a fixed z or key


def _at(dist, z):
    """The quantile at level Φ(z): both tails keep their digits."""
    return quantile(dist, ndtr(z), ndtr(-z))


@singledispatch
def source(dist: Any) -> Source:
    """How to draw from ``dist`` (see ``Source``); TypeError for something without sample and log_prob."""
    if not hasattr(dist, "sample"):
        name = type(dist).__name__
        raise TypeError(
            f"Expected a distribution that can be drawn from; got {name}, which has no sample. Draw from the other one "
            f"(base='p' or 'q'), or register one: divjax.discretize.sources.source.register({name})."
        )
    if (gaussian := _gaussian(dist)) is not None:
        return gaussian
    if has_quantile(dist):
        return _single(1, lambda z: _at(dist, z[..., 0]))
    return _own_sampler(dist)


def _single(dim, image):
    """One component, whose image needs neither key nor number."""
    return Source(jnp.zeros(1, jnp.result_type(float)), lambda key, index, z: image(z), dim, mapped=True, pathwise=True)


def _own_sampler(dist):
    def image(key, index, z):
        return dist.sample(seed=key, sample_shape=z.shape[:-1])

    none = jnp.zeros(1, jnp.result_type(float))
    return Source(none, image, 0, mapped=False, pathwise=_is_reparameterized(dist))


def _is_reparameterized(dist):
    """Whether the derivative of dist.sample is that of its distribution."""
    if (declared := getattr(dist, "reparameterization_type", None)) is not None:
        return bool(declared == tfd.FULLY_REPARAMETERIZED)
    if isinstance(dist, distrax.Independent | distrax.Transformed):
        return _is_reparameterized(dist.distribution)
    return isinstance(dist, _REPARAMETERIZED) and bool(jnp.issubdtype(dist.dtype, jnp.floating))


def _log_weights(dist, logits):
    """Of a mixture; a component of weight 0 is never drawn, and log 0 has no derivative."""
    weights = given_weights(dist)
    if weights is None:
        return jax.nn.log_softmax(logits)
    return _safe_log(weights)


def _safe_log(weights):
    positive = weights > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, weights, 1.0)), -jnp.inf)


def _gaussian(dist):
    """Gaussians, univariate or not, and mixtures of them: x = μ + L z."""
    from divjax.exact.mixtures import gaussian_mixture

    mixture = gaussian_mixture(dist)
    if mixture is None:
        return None
    log_w, loc, scale_tril = mixture
    log_w = _log_weights(dist, log_w)
    event = tuple(dist.event_shape)

    def image(key, index, z):
        if log_w.size == 1:
            x = loc[0] + nu.matmul(z, scale_tril[0].T)
        else:
            x = loc[index] + nu.matmul(scale_tril[index], z[..., None])[..., 0]
        return x.reshape(index.shape + event)

    return Source(log_w, image, loc.shape[-1], mapped=True, pathwise=True)


@source.register(distrax.Independent)
@source.register(tfd.Independent)
def _(dist):
    parts = dist.distribution
    shape = tuple(parts.batch_shape)
    if (gaussian := _gaussian(dist)) is not None:
        return gaussian
    if not has_quantile(parts) or tuple(dist.batch_shape) != ():
        return _own_sampler(dist)

    def image(z):
        return _at(parts, z.reshape(z.shape[:-1] + shape))

    return _single(math.prod(shape), image)


@source.register(distrax.MixtureSameFamily)
@source.register(tfd.MixtureSameFamily)
def _(dist):
    if (gaussian := _gaussian(dist)) is not None:
        return gaussian
    log_w = _log_weights(dist, dist.mixture_distribution.logits_parameter())
    parts, event = dist.components_distribution, tuple(dist.event_shape)
    if event == () and has_quantile(parts):
        return Source(log_w, _chosen(lambda key, z: _at(parts, z)), 1, mapped=True, pathwise=True)
    own = _own_sampler(parts)
    return own._replace(log_w=log_w, image=_chosen(lambda key, z: parts.sample(seed=key, sample_shape=z.shape[:-1])))


def _chosen(images):
    """All components' images of the same z, [..., k, *event], and of them the one asked for."""

    def image(key, index, z):
        x = images(key, z)
        at = index.reshape(index.shape + (1,) * (x.ndim - index.ndim))
        return jnp.take_along_axis(x, at, axis=index.ndim).squeeze(index.ndim)

    return image


@source.register(distrax.MixtureOfTwo)
@source.register(tfd.Mixture)
def _(dist):
    if (gaussian := _gaussian(dist)) is not None:
        return gaussian
    weights, parts = mixture_parts(dist)
    sources = [source(part) for part in parts]
    if any(part.log_w.size != 1 for part in sources):
        return _own_sampler(dist)._replace(pathwise=False)
    mapped, dim = all(part.mapped for part in sources), max(part.dim for part in sources)

    def images(key, z):
        first = jnp.zeros(z.shape[:-1], int)
        keys = jax.random.split(key, len(sources))
        drawn = [part.image(k, first, z[..., : part.dim]) for k, part in zip(keys, sources, strict=True)]
        return jnp.stack(drawn, axis=first.ndim)

    pathwise = all(part.pathwise for part in sources)
    return Source(_safe_log(weights), _chosen(images), dim, mapped, pathwise)


@source.register(distrax.Transformed)
@source.register(tfd.TransformedDistribution)
def _(dist):
    if (gaussian := _gaussian(dist)) is not None:
        return gaussian
    base = source(dist.distribution)
    return base._replace(image=lambda key, index, z: dist.bijector.forward(base.image(key, index, z)))
