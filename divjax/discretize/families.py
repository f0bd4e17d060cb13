"""What quadrature has to know of a one-dimensional distribution: where its mass is, its tails, its quantiles.

Three generic functions, open to users' own classes (``profile.register(MyDistribution)`` and so on):

* ``profile(dist) -> Profile``: centres and scales of its components, kinks and edges, support;
* ``tails(dist, x) -> (P(X ≤ x), P(X > x))``, neither the rounded complement of the other;
* ``quantile(dist, u, v)``, the x with P(X ≤ x) = u, where v = 1 − u is given too so that no tail is rounded away.

A distribution that is not listed is asked for mean(), stddev(), cdf() and its support bijector.
"""

import math
from functools import singledispatch
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from tensorflow_probability.substrates import jax as tfp

tfd = tfp.distributions

# How far in units of the scale the panels of a component go, by the weight of its tail.
GAUSSIAN = (0.0, 1.2, 2.5, 4.0, 5.8, 8.0)
EXPONENTIAL = (0.0, 0.7, 1.5, 2.6, 4.2, 6.5, 10.0, 15.0, 22.0, 32.0)
POWER = (0.0, 0.6, 1.3, 2.2, 3.5, 5.5, 9.0, 16.0, 30.0, 60.0)
FLAT = (0.0, 0.6, 1.2)


class Profile(NamedTuple):
    """Where a distribution's mass is, all that is needed to lay panels."""

    center: Float[Array, " k"]  # one entry per component
    scale: Float[Array, " k"]
    reach: tuple[float, ...]  # static: ends of the panels, in units of the scale
    kinks: Float[Array, " j"]  # points inside the support where the density is not smooth
    edges: Float[Array, " e"]  # ends of the support, and of components' supports
    low: Float[Array, ""] | None  # the support; None: it has no end on this side
    high: Float[Array, ""] | None
    order: Float[Array, ""] | float = 8.0  # how steeply panels are graded towards an edge: x − low = h t^order


def _row(x: Any) -> Array:
    return jnp.ravel(jnp.asarray(x))


def _smooth(center, scale, reach, kinks=()):
    center, scale = jnp.broadcast_arrays(_row(center), _row(scale))
    none = jnp.zeros((0,), center.dtype)
    return Profile(center, scale, reach, _row(kinks) if len(kinks) else none, none, None, None)


def _bounded(center, scale, reach, low, high, order=8.0):
    center, scale = jnp.broadcast_arrays(_row(center), _row(scale))
    ends = [_row(end) for end in (low, high) if end is not None]
    low, high = (None if low is None else jnp.min(low)), (None if high is None else jnp.max(high))
    return Profile(center, scale, reach, jnp.zeros((0,), center.dtype), jnp.concatenate(ends), low, high, order)


@singledispatch
def profile(dist: Any) -> Profile:
    """Where the mass of ``dist`` is (see ``Profile``). Works on a batch of components too, for mixtures."""
    try:
        # Moments only place panels; their own derivatives need not exist.
        center, scale = (jax.lax.stop_gradient(moment()) for moment in (dist.mean, dist.stddev))
        low, high = _ends(dist.experimental_default_event_space_bijector())
    except (AttributeError, NotImplementedError) as error:
        name = type(dist).__name__
        raise TypeError(
            f"Expected a one-dimensional distribution with a known profile; got {name}, which has no "
            f"{error or 'mean and stddev'}. Register one: divjax.discretize.families.profile.register({name})."
        ) from error
    if low is None and high is None:
        return _smooth(center, scale, EXPONENTIAL)
    return _bounded(center, scale, EXPONENTIAL, low, high)


def _image(bijector: Any, end: Array | float) -> Array | float:
    """The image of an end of a support, a Python float where it is ±inf: whether it is must be known while tracing.

    An affine map whose coefficients are traced keeps an infinite end where it is: it is taken to be increasing.
    """
    for part in reversed(getattr(bijector, "bijectors", (bijector,))):
        if isinstance(end, float) and _is_affine(part):
            continue
        with jax.ensure_compile_time_eval():
            end = part.forward(jnp.asarray(end, jnp.result_type(float)))
            if not isinstance(end, jax.core.Tracer) and jnp.isinf(end).all():
                end = float(jnp.ravel(end)[0])
    return end


def _is_affine(bijector):
    return bool(getattr(bijector, "is_constant_jacobian", False))


def _ends(bijector, low=-math.inf, high=math.inf):
    """Both ends of the image of (low, high), None where infinite."""
    images = [_image(bijector, end) for end in (low, high)]
    # An end that is an array may be traced: it is finite, and not compared.
    at_infinity = [end if isinstance(end, float) else 0.0 for end in images]
    if at_infinity[0] == math.inf or at_infinity[1] == -math.inf:  # a decreasing map
        images = images[::-1]
    return tuple(None if isinstance(end, float) else end for end in images)


@profile.register(distrax.Normal)
@profile.register(tfd.Normal)
def _(dist):
    return _smooth(dist.loc, dist.scale, GAUSSIAN)


@profile.register(distrax.Laplace)
@profile.register(tfd.Laplace)
def _(dist):
    return _smooth(dist.loc, dist.scale, EXPONENTIAL, kinks=_row(dist.loc))


@profile.register(distrax.Logistic)
@profile.register(tfd.Logistic)
@profile.register(distrax.Gumbel)
@profile.register(tfd.Gumbel)
def _(dist):
    return _smooth(dist.loc, dist.scale, EXPONENTIAL)


@profile.register(tfd.StudentT)
@profile.register(tfd.Cauchy)
def _(dist):
    return _smooth(dist.loc, dist.scale, POWER)


@profile.register(tfd.TruncatedNormal)
def _(dist):
    """The ends may be infinite, and whether they are is not known while tracing: they are no support, only knots."""
    center = jnp.clip(dist.loc, dist.low, dist.high)
    smooth = _smooth(center, dist.scale, GAUSSIAN)
    ends = [jnp.clip(_row(end), smooth.center - 12.0 * smooth.scale, smooth.center + 12.0 * smooth.scale)
            for end in (dist.low, dist.high)]  # fmt: skip
    return smooth._replace(edges=jnp.concatenate(ends))


@profile.register(distrax.Uniform)
@profile.register(tfd.Uniform)
def _(dist):
    return _bounded(0.5 * (dist.low + dist.high), 0.25 * (dist.high - dist.low), FLAT, dist.low, dist.high, 1.0)


@profile.register(distrax.Gamma)
@profile.register(tfd.Gamma)
def _(dist):
    shape, zero = dist.concentration, jnp.zeros_like(jnp.asarray(dist.rate))
    order = 4.0 * jnp.max(jnp.maximum(2.0, 1.0 / shape))
    return _bounded(shape / dist.rate, jnp.sqrt(shape) / dist.rate, EXPONENTIAL, zero, None, order)


@profile.register(tfd.Exponential)
def _(dist):
    return _bounded(1.0 / dist.rate, 1.0 / dist.rate, EXPONENTIAL, jnp.zeros_like(dist.rate), None)


def beta_shapes(dist):
    return (dist.alpha, dist.beta) if isinstance(dist, distrax.Beta) else (dist.concentration1, dist.concentration0)


@profile.register(distrax.Beta)
@profile.register(tfd.Beta)
def _(dist):
    a, b = beta_shapes(dist)
    order = 4.0 * jnp.max(jnp.maximum(2.0, 1.0 / jnp.minimum(a, b)))
    mean, zero = a / (a + b), jnp.zeros_like(a * b)
    return _bounded(mean, jnp.sqrt(mean * (1.0 - mean) / (a + b + 1.0)), EXPONENTIAL, zero, zero + 1.0, order)


@profile.register(distrax.MixtureSameFamily)
@profile.register(tfd.MixtureSameFamily)
def _(dist):
    return profile(dist.components_distribution)


@profile.register(distrax.MixtureOfTwo)
@profile.register(tfd.Mixture)
def _(dist):
    return _merge([profile(component) for component in mixture_parts(dist)[1]])


def _merge(parts: list[Profile]) -> Profile:
    """The profile of a mixture of different families: a component keeps its own scale, the longest reach serves all."""
    centers, scales, kinks, edges = (
        jnp.concatenate([getattr(part, name) for part in parts]) for name in ("center", "scale", "kinks", "edges")
    )
    lows, highs = [part.low for part in parts], [part.high for part in parts]
    low = None if any(end is None for end in lows) else jnp.min(jnp.stack(lows))
    high = None if any(end is None for end in highs) else jnp.max(jnp.stack(highs))
    reach = max((part.reach for part in parts), key=len)
    order = jnp.max(jnp.stack([jnp.asarray(part.order, float) for part in parts]))
    return Profile(centers, scales, reach, kinks, edges, low, high, order)


def mixture_parts(dist: Any) -> tuple[Array, list[Any]]:
    """Weights and components of a mixture whose components are separate objects."""
    if isinstance(dist, distrax.MixtureOfTwo):
        return jnp.stack([dist.prob_a, 1.0 - dist.prob_a]), [dist._component_a, dist._component_b]
    return dist.cat.probs_parameter(), list(dist.components)


@profile.register(distrax.Transformed)
@profile.register(tfd.TransformedDistribution)
def _(dist):
    """Pushed forward from the base: the images of the base's panels lie where the mass is."""
    base, forward = profile(dist.distribution), jax.vmap(dist.bijector.forward)
    # Four panels for one of the base: a map like exp stretches the outer ones, and the density with them.
    ends = jnp.sort(jnp.ravel(knots(base)))
    finer = ends[:-1, None] + jnp.diff(ends)[:, None] * jnp.arange(4) / 4
    image = jnp.sort(forward(jnp.append(finer.ravel(), ends[-1])))
    low, high = _ends(
        dist.bijector,
        -math.inf if base.low is None else base.low,
        math.inf if base.high is None else base.high,
    )
    ends = [_row(end) for end in (low, high) if end is not None]
    none = jnp.zeros((0,), image.dtype)
    kinks = forward(base.kinks) if base.kinks.size else none
    # The outermost image gets the scale of its distance from the middle one: the tail panel starts there.
    scale = jnp.abs(image - image[image.size // 2])
    return Profile(image, scale, (0.0,), kinks, jnp.concatenate(ends) if ends else none, low, high)


def knots(shape: Profile) -> Float[Array, "k m"]:
    """Ends of the panels of every component; towards an end of the support they crowd instead of crossing it."""
    reach = jnp.asarray(shape.reach, shape.center.dtype)
    last = shape.reach[-1] + 1.0
    offsets = shape.scale[:, None] * reach
    below, above = offsets, offsets
    if shape.low is not None:
        below = jnp.minimum(below, (shape.center - shape.low)[:, None] * (reach / last))
    if shape.high is not None:
        above = jnp.minimum(above, (shape.high - shape.center)[:, None] * (reach / last))
    center = shape.center[:, None]
    return jnp.concatenate([center - below[:, :0:-1], center + above], axis=1)
