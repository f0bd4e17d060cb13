"""Distribution functions, their complements and their inverses, accurate in both tails.

``tails(dist, x) -> (P(X ≤ x), P(X > x))``, neither of them the rounded complement of the other, and
``quantile(dist, u, v)``, the x with P(X ≤ x) = u, where v = 1 − u is given too. Both are open to users' own classes
(``tails.register(MyDistribution)``); a quantile that is not registered is found by bisection.
"""

from functools import singledispatch
from typing import Any

import distrax
import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, gammainc, gammaincc, ndtr, ndtri
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu
from divjax.discretize.families import beta_shapes, knots, mixture_parts, profile

tfd = tfp.distributions


@singledispatch
def tails(dist: Any, x: Array) -> tuple[Array, Array]:
    """(P(X ≤ x), P(X > x)) of one distribution or of a batch of components, broadcast against x."""
    try:
        below = dist.cdf(x)
    except (AttributeError, NotImplementedError) as error:
        name = type(dist).__name__
        raise TypeError(
            f"Expected a distribution with a distribution function; got {name}, which has none. "
            f"Register one: divjax.discretize.marginals.tails.register({name})."
        ) from error
    try:
        return below, dist.survival_function(x)
    except (AttributeError, NotImplementedError):
        return below, 1.0 - below


def _standard(dist, x):
    return (x - dist.loc) / dist.scale


@tails.register(distrax.Normal)
@tails.register(tfd.Normal)
def _(dist, x):
    z = _standard(dist, x)
    return ndtr(z), ndtr(-z)


@tails.register(distrax.Laplace)
@tails.register(tfd.Laplace)
def _(dist, x):
    z = _standard(dist, x)
    tail = 0.5 * jnp.exp(-jnp.abs(z))
    return jnp.where(z < 0.0, tail, 1.0 - tail), jnp.where(z < 0.0, 1.0 - tail, tail)


@tails.register(distrax.Logistic)
@tails.register(tfd.Logistic)
def _(dist, x):
    z = _standard(dist, x)
    return jax.nn.sigmoid(z), jax.nn.sigmoid(-z)


@tails.register(distrax.Gumbel)
@tails.register(tfd.Gumbel)
def _(dist, x):
    # Held where exp(−rate) is 0 already and the derivative of the rate is finite.
    z = _standard(dist, x)
    rate = jnp.exp(-jnp.maximum(z, -0.5 * jnp.log(jnp.finfo(z.dtype).max)))
    return jnp.exp(-rate), -jnp.expm1(-rate)


@tails.register(tfd.Cauchy)
def _(dist, x):
    z = _standard(dist, x)
    return jnp.arctan2(jnp.ones_like(z), -z) / jnp.pi, jnp.arctan2(jnp.ones_like(z), z) / jnp.pi


@tails.register(tfd.StudentT)
def _(dist, x):
    z, df = _standard(dist, x), jnp.asarray(dist.df)
    far = z * z > df
    # I_s(df/2, 1/2) with s = df / (df + z²), from the side on which its argument is not rounded.
    s = df / (df + jnp.where(far, z * z, df))
    c = jnp.where(far, 0.0, z * z) / (df + jnp.where(far, 0.0, z * z))
    # Twice differentiable through z = 0 too: betainc(1/2, ., c) goes like √c = |z|, whose sign is put back below.
    tail = 0.5 * betainc(0.5 * df, jnp.full_like(s, 0.5), s)
    c_safe = jnp.where(c > 0.0, c, 0.5)
    centre = 0.5 * jnp.where(c > 0.0, betainc(jnp.full_like(c_safe, 0.5), 0.5 * df, c_safe), 0.0)
    small = jnp.where(far, tail, 0.5 - centre)
    return jnp.where(z < 0.0, small, 1.0 - small), jnp.where(z < 0.0, 1.0 - small, small)


@tails.register(tfd.TruncatedNormal)
def _(dist, x):
    # Ends may be infinite; 40 standard deviations are as far, and have derivatives.
    low, high, z = (jnp.clip(_standard(dist, end), -40.0, 40.0) for end in (dist.low, dist.high, x))
    z = jnp.clip(z, low, high)
    mass = _normal_mass(low, high)
    return _normal_mass(low, z) / mass, _normal_mass(z, high) / mass


def _normal_mass(low, high):
    """Φ(high) − Φ(low), from the side on which nothing cancels."""
    sign = jnp.where(low > 0.0, -1.0, 1.0)
    return sign * (ndtr(sign * high) - ndtr(sign * low))


@tails.register(distrax.Uniform)
@tails.register(tfd.Uniform)
def _(dist, x):
    u = (x - dist.low) / (dist.high - dist.low)
    return jnp.clip(u, 0.0, 1.0), jnp.clip((dist.high - x) / (dist.high - dist.low), 0.0, 1.0)


@tails.register(distrax.Gamma)
@tails.register(tfd.Gamma)
def _(dist, x):
    inside = x > 0.0
    scaled = dist.rate * jnp.where(inside, x, 1.0)
    shape = jnp.broadcast_to(dist.concentration, scaled.shape)
    return jnp.where(inside, gammainc(shape, scaled), 0.0), jnp.where(inside, gammaincc(shape, scaled), 1.0)


@tails.register(tfd.Exponential)
def _(dist, x):
    scaled = dist.rate * jnp.maximum(x, 0.0)
    return -jnp.expm1(-scaled), jnp.exp(-scaled)


@tails.register(distrax.Beta)
@tails.register(tfd.Beta)
def _(dist, x):
    a, b = beta_shapes(dist)
    inside = (x > 0.0) & (x < 1.0)
    safe = jnp.where(inside, x, 0.5)
    a, b = jnp.broadcast_to(a, safe.shape), jnp.broadcast_to(b, safe.shape)
    below, above = betainc(a, b, safe), betainc(b, a, 1.0 - safe)
    return jnp.where(inside, below, (x >= 1.0) * 1.0), jnp.where(inside, above, (x <= 0.0) * 1.0)


@tails.register(distrax.MixtureSameFamily)
@tails.register(tfd.MixtureSameFamily)
def _(dist, x):
    weights = jax.nn.softmax(dist.mixture_distribution.logits_parameter())
    below, above = tails(dist.components_distribution, x[..., None])
    return nu.matmul(below, weights), nu.matmul(above, weights)


@tails.register(distrax.MixtureOfTwo)
@tails.register(tfd.Mixture)
def _(dist, x):
    weights, parts = mixture_parts(dist)
    below, above = zip(*(tails(part, x) for part in parts), strict=True)
    return nu.matmul(jnp.stack(below, -1), weights), nu.matmul(jnp.stack(above, -1), weights)


@tails.register(distrax.Transformed)
@tails.register(tfd.TransformedDistribution)
def _(dist, x):
    shape = profile(dist)
    inside = jnp.ones(x.shape, bool)
    inside &= True if shape.low is None else x > shape.low
    inside &= True if shape.high is None else x < shape.high
    below, above = tails(dist.distribution, dist.bijector.inverse(jnp.where(inside, x, shape.center[0])))
    outside_above = (x >= shape.high) * 1.0 if shape.high is not None else 0.0
    return jnp.where(inside, below, outside_above), jnp.where(inside, above, 1.0 - outside_above)


@singledispatch
def quantile(dist: Any, u: Array, v: Array) -> Array:
    """x with P(X ≤ x) = u, P(X > x) = v = 1 − u: by bisection, then one Newton step that carries the derivative.

    d x = (d u − ∂P/∂θ d θ) / p(x): the first derivative in u and in the parameters is exact, higher ones are not.
    """
    ends = jax.lax.stop_gradient(jnp.ravel(knots(profile(dist))))
    center, width = jnp.median(ends), jnp.max(ends) - jnp.min(ends)

    def excess(x):
        below, above = tails(dist, x)
        return jnp.where(u < 0.5, below - u, v - above)

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        too_low = excess(center + width * jnp.sinh(middle)) < 0.0
        return jnp.where(too_low, middle, low), jnp.where(too_low, high, middle)

    # In x = center + width sinh(z): from a billionth of the width to where a float ends, whatever the tail.
    bracket = (jnp.full_like(u, -70.0), jnp.full_like(u, 70.0))
    steps = jnp.finfo(u.dtype).nmant + 10
    low, high = jax.lax.fori_loop(0, steps, halve, bracket)
    x = jax.lax.stop_gradient(center + width * jnp.sinh(0.5 * (low + high)))
    density = jnp.exp(dist.log_prob(x))
    density = jnp.where(density > 0.0, density, jnp.inf)
    return x - excess(x) / jax.lax.stop_gradient(density)


def has_quantile(dist: Any) -> bool:
    """Whether ``quantile`` is in closed form for the class of ``dist``."""
    return quantile.dispatch(type(dist)) is not quantile.dispatch(object)


@quantile.register(distrax.Normal)
@quantile.register(tfd.Normal)
def _(dist, u, v):
    lower = u < v
    z = ndtri(jnp.where(lower, u, v))
    return dist.loc + dist.scale * jnp.where(lower, z, -z)


@quantile.register(distrax.Laplace)
@quantile.register(tfd.Laplace)
def _(dist, u, v):
    lower = u < v
    z = jnp.log(2.0 * jnp.where(lower, u, v))
    return dist.loc + dist.scale * jnp.where(lower, z, -z)


@quantile.register(distrax.Logistic)
@quantile.register(tfd.Logistic)
def _(dist, u, v):
    return dist.loc + dist.scale * (jnp.log(u) - jnp.log(v))


@quantile.register(distrax.Uniform)
@quantile.register(tfd.Uniform)
def _(dist, u, v):
    return jnp.where(u < v, dist.low + (dist.high - dist.low) * u, dist.high - (dist.high - dist.low) * v)


@quantile.register(tfd.Cauchy)
def _(dist, u, v):
    return dist.loc + dist.scale * jnp.where(u < v, -1.0 / jnp.tan(jnp.pi * u), 1.0 / jnp.tan(jnp.pi * v))


@quantile.register(tfd.Exponential)
def _(dist, u, v):
    return -jnp.where(u < 0.5, jnp.log1p(-jnp.minimum(u, 0.5)), jnp.log(v)) / dist.rate
