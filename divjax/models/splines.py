"""Monotone rational-quadratic splines, differentiable on their knots too."""

import distrax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from divjax import numerics as nu


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
