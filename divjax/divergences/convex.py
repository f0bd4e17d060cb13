"""Is a user's own f the generator of a divergence? f convex on (0, ∞) and f(1) = 0 (Csiszár 1963)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

_EACH_SIDE = 128  # nodes from 1 to 1e-6, and from 1 to 1e6: neighbours differ by 11 %
_DECADES = 6.0
_STRIDES = (1, 2, 4, 8, 16, 32, 64)


def check_convex(f: Callable[[Array], Array]) -> None:
    """Raises ValueError naming the interval where f is not convex, or f(1) if it is not 0.

    f maps arrays elementwise, as for ``f_divergence``. On a grid from 1e-6 to 1e6, evenly spaced in log t, every
    value is compared with chords around it, short and long; what rounding of f can do, a few eps (1 + t + |f|), is
    allowed, so that linear parts and kinks do not matter. What is narrower than 11 % of t may go unseen. Called inside
    jit it runs while tracing; an f that depends on traced values is let through.

    >>> dj.divergences.check_convex(lambda t: (t - 1.0) ** 2)
    """
    with jax.ensure_compile_time_eval():
        t = jnp.asarray(10.0 ** (_DECADES * np.arange(-_EACH_SIDE, _EACH_SIDE + 1) / _EACH_SIDE))
        values = f(t)
    if isinstance(values, jax.core.Tracer):
        return
    if jnp.shape(values) != t.shape:
        raise ValueError(
            f"Expected f to map arrays elementwise, shape {t.shape} to itself; got {jnp.shape(values)}. Use jnp "
            "functions of t, or jax.vmap(f)."
        )
    eps = float(jnp.finfo(jnp.promote_types(jnp.result_type(values), jnp.float32)).eps)
    _check_values(np.asarray(t, np.float64), np.asarray(values, np.float64), eps)


def _check_values(t: np.ndarray, values: np.ndarray, eps: float) -> None:
    bad = np.isnan(values) | (values == -np.inf)
    if bad.any():
        raise ValueError(
            f"Expected f finite on (0, inf); got {values[bad][0]} at t = {t[bad][0]:.3g}. Write f without 0 · inf, or "
            "the divergence on (log p, log q)."
        )
    rounding = 32.0 * eps * (1.0 + t + np.abs(values))
    at_one = values[_EACH_SIDE]
    if abs(at_one) > rounding[_EACH_SIDE]:
        raise ValueError(f"Expected f(1) = 0; got f(1) = {at_one:.3g}. Subtract it: lambda t: f(t) - f(1).")
    for stride in _STRIDES:
        left, middle, right = t[: -2 * stride], t[stride:-stride], t[2 * stride :]
        on_left, on_right = (right - middle) / (right - left), (middle - left) / (right - left)
        chord = on_left * values[: -2 * stride] + on_right * values[2 * stride :]
        slack = on_left * rounding[: -2 * stride] + rounding[stride:-stride] + on_right * rounding[2 * stride :]
        above = values[stride:-stride] > chord + slack
        if above.any():
            first, last = np.flatnonzero(above)[[0, -1]]
            raise ValueError(
                f"Expected a convex f; got one that is not convex for t in [{left[first]:.3g}, {right[last]:.3g}]: at "
                f"{middle[first]:.3g} it lies above its chord. Its ∫ q f(p/q) may be negative: choose another f."
            )
