"""Laws of distrax and TFP whose log-density has the derivatives that it should have: what the models are made of.

Apart from the functions that build them, so that these libraries are imported when something is built.
"""

import math

import distrax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float
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


class MonotoneSpline(distrax.RationalQuadraticSpline):
    """distrax's spline, of the same parameters and values, whose derivatives on a knot are those from its right.

    On the last knot they are those of the linear tail. distrax clips the place in a bin to [0, 1] twice, and the ties
    of the clip halve a derivative at 0: on a knot a quarter of it is left. Here what is outside is replaced before.

    Source: Durkan, Bekasov, Murray, Papamakarios, Neural Spline Flows (2019), eq. 4 to 8.
    """

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """T(x) and log T'(x)."""
        fn = jnp.vectorize(_forward, signature="(),(n),(n),(n)->(),()")
        return fn(x, self.x_pos, self.y_pos, self.knot_slopes)

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        """x with T(x) = y, and −log T'(x)."""
        fn = jnp.vectorize(_inverse, signature="(),(n),(n),(n)->(),()")
        return fn(y, self.x_pos, self.y_pos, self.knot_slopes)


def _forward(x, x_pos, y_pos, slopes):
    below, above = x < x_pos[0], x >= x_pos[-1]
    inside = jnp.where(below | above, x_pos[0], x)
    left, right, low, high, first, last = _bin(inside, x_pos, (x_pos, y_pos, slopes))
    mean = (high - low) / (right - left)
    z = (inside - left) / (right - left)
    y = low + (high - low) * z * (mean * z + first * (1.0 - z)) / _denominator(z, mean, first, last)
    y = jnp.where(below, (x - x_pos[0]) * slopes[0] + y_pos[0], y)
    y = jnp.where(above, (x - x_pos[-1]) * slopes[-1] + y_pos[-1], y)
    return y, _ended(_log_slope(z, mean, first, last), below, above, slopes)


def _inverse(y, x_pos, y_pos, slopes):
    below, above = y < y_pos[0], y >= y_pos[-1]
    inside = jnp.where(below | above, y_pos[0], y)
    left, right, low, high, first, last = _bin(inside, y_pos, (x_pos, y_pos, slopes))
    mean = (high - low) / (right - left)
    w = (inside - low) / (high - low)
    # a z² + b z = mean w, with the root that does not cancel: for b < 0 the other form.
    b = first - (last + first - 2.0 * mean) * w
    a = mean - b
    root = nu.safe_sqrt(b * b + 4.0 * a * mean * w)
    rising = b >= 0.0
    z = jnp.where(
        rising, 2.0 * mean * w / jnp.where(rising, b + root, 1.0), (root - b) / jnp.where(rising, 1.0, 2.0 * a)
    )
    # Past an end by rounding alone, and a tie is no end: a comparison, since a clip would halve the derivative.
    z = jnp.where(z > 1.0, 1.0, z)
    x = left + (right - left) * z
    x = jnp.where(below, (y - y_pos[0]) / slopes[0] + x_pos[0], x)
    x = jnp.where(above, (y - y_pos[-1]) / slopes[-1] + x_pos[-1], x)
    return x, -_ended(_log_slope(z, mean, first, last), below, above, slopes)


def _bin(t: Float[Array, ""], knots: Float[Array, " n"], arrays: tuple[Array, ...]) -> list[Float[Array, ""]]:
    """Both ends of each array in the bin [knot, next knot) of t, which is in one. By a sum: a CPU vectorises it."""
    here = (t >= knots[:-1]) & (t < knots[1:])
    return [jnp.sum(jnp.where(here, end, 0.0)) for array in arrays for end in (array[:-1], array[1:])]


def _denominator(z, mean, first, last):
    return mean + (last + first - 2.0 * mean) * z * (1.0 - z)


def _log_slope(z, mean, first, last):
    numerator = last * z * z + 2.0 * mean * z * (1.0 - z) + first * (1.0 - z) ** 2
    return 2.0 * jnp.log(mean) + jnp.log(numerator) - 2.0 * jnp.log(_denominator(z, mean, first, last))


def _ended(log_slope: Array, below: Bool[Array, ""], above: Bool[Array, ""], slopes: Array) -> Array:
    """With the constant slopes of the tails."""
    return jnp.where(below, jnp.log(slopes[0]), jnp.where(above, jnp.log(slopes[-1]), log_slope))
