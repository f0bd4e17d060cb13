"""Laws of distrax and TFP whose log-density has the derivatives that it should have: what the models are made of.

Apart from the functions that build them, so that these libraries are imported when something is built.
"""

import math

import distrax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax import numerics as nu


class HeldNormal(distrax.Normal):
    """N(loc, scale²) whose log-density is −inf, and constant, where the square of (x − loc)/scale overflows."""

    def log_prob(self, value: Array) -> Array:
        # A derivative of it has 1/scale², which may overflow though its factor is 0.
        far = jnp.abs(value - self.loc) >= nu.far(self.scale.dtype) * self.scale
        x, loc, scale = (jnp.where(far, at, of) for at, of in ((0.0, value), (0.0, self.loc), (1.0, self.scale)))
        return jnp.where(far, -jnp.inf, distrax.Normal(loc, scale).log_prob(x))


class Mixture(distrax.MixtureSameFamily):
    """distrax's mixture, whose gradient is finite where z = (x − m)/s overflows in some components or in all of them.

    They are −inf there and constant: of all of them so is log p, with derivative 0.
    """

    def log_prob(self, value: Array) -> Array:
        parts, x = self.components_distribution, jnp.expand_dims(value, -1 - len(self.event_shape))
        if isinstance(parts, distrax.Normal):
            log_parts = HeldNormal(parts.loc, parts.scale).log_prob(x)
        else:
            log_parts = parts.log_prob(x)
        return jnp.vectorize(nu.logsumexp, signature="(k)->()")(log_parts + self._mixture_log_probs)


class StudentT(tfp.distributions.StudentT):
    """TFP's Student's t, whose density has a derivative in df that does not cancel: it is of the order of t⁴/df²."""

    def _log_prob(self, value):
        df, loc, scale = (jnp.asarray(of, self.dtype) for of in (self.df, self.loc, self.scale))
        t = (value - loc) / scale
        near = t * t < df
        # −½ (df + 1) log(1 + u) with u = t²/df: what is −½ t² at df = ∞ must not be the difference of larger ones.
        square = jnp.where(near, t, 0.0) ** 2
        u = square / df
        body = -0.5 * square * nu.log1p_slope(-u) - 0.5 * jnp.log1p(u)
        apart = jnp.where(near, 1.0, jnp.abs(t))  # far off t² may overflow
        tail = -0.5 * (df + 1.0) * (2.0 * jnp.log(apart) - jnp.log(df) + jnp.log1p(df / apart / apart))
        constant = nu.gamma_half_step(0.5 * df) - 0.5 * math.log(2.0 * math.pi) - jnp.log(jnp.abs(scale))
        return jnp.where(near, body, tail) + constant


class SplineFlow(distrax.Transformed):
    """A ``distrax.Transformed`` on the line, of a class of its own, for ``quadrature`` to know where its knots are."""
