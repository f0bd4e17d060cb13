"""The f-divergence of a user's own f, and whether f is one: convex on (0, ∞) and f(1) = 0 (Csiszár 1963)."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.f import weighted_logs
from divjax.divergences.measured import measured_on
from divjax.measures import Nodes

_EACH_SIDE = 128  # nodes from 1 to 1e-6, and from 1 to 1e6: neighbours differ by 11 %
_DECADES = 6.0
_STRIDES = (1, 2, 4, 8, 16, 32, 64)


@measured_on(Nodes)
def f_divergence(nodes: Nodes, *, f: Callable[[Array], Array], slope: ArrayLike = jnp.inf) -> Float[Array, ""]:
    """The f-divergence of a function f of your own: ∫ q f(p/q) − f(1) ≥ 0 for convex f (Csiszár 1963; Ali, Silvey
    1966).

    f, of jax.numpy, maps arrays elementwise and must be finite on (0, ∞). What is summed is f(t) − f(1) − f'(1) (t −
    1): the same divergence, with non-negative terms. Where (p/q)⁴ leaves the dtype, logarithms in f go on and powers
    count as less than they are. ``slope`` = lim f(t)/t as t → ∞ is the price of p where q = 0. That f is convex is
    assumed; ``divergences.check_convex(f)`` tests it on a grid, and is called here when JAX's own debug switch is on,
    ``jax.config.update("jax_enable_checks", True)``.

    Raises TypeError for an f that is no function, ValueError for one that does not map elementwise or, with the switch
    on, is not convex.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.f_divergence(dj.pmf(p, q), f=lambda t: t * jnp.log(t))), 3)
        0.144
    """
    if not callable(f):
        raise TypeError(f"Expected f to be a function such as lambda t: t * jnp.log(t); got {type(f).__name__}.")
    if jax.config.jax_enable_checks:
        check_convex(f)
    slope = checks.parameter(slope, "slope", infinite=True)
    nodes, slope = checks.operands(nodes, slope)
    log_p, log_q, d, infinite = weighted_logs(nodes.log_p, nodes.log_q, nodes.log_w)
    one = jnp.ones_like(d)
    try:
        at_one, tilt = jax.jvp(f, (one,), (one,))
    except jax.errors.TracerArrayConversionError:
        raise TypeError(
            "Expected f that JAX can trace; got one of numpy. Write it with jax.numpy, as in jnp.log."
        ) from None
    if jnp.shape(at_one) != jnp.shape(one):
        raise ValueError(f"Expected f to map arrays elementwise; got {jnp.shape(at_one)} from {jnp.shape(one)}.")
    low, high = _own_terms(f, d, at_one, tilt)
    low, high = jnp.exp(log_q) * low, jnp.exp(log_p) * high
    # p · slope where q = 0; an infinite slope is a constant there, so that it is not multiplied by a gradient of 0.
    priced, is_finite = (d == jnp.inf) & (log_p > -jnp.inf), jnp.isfinite(slope)
    alone = jnp.exp(log_p) * (jnp.where(is_finite, slope, 0.0) - tilt)
    alone = jnp.where(priced, jnp.where(is_finite, alone, slope), 0.0)
    terms = jnp.where(d <= 0.0, low, jnp.where(d == jnp.inf, alone, high))
    return jnp.sum(jnp.where(infinite, jnp.inf, terms))


def _own_terms(f, d, at_one, tilt):
    """f(t) − f(1) − f'(1) (t − 1) at t = e^d ≤ 1, and over t at t > 1: what multiplies q, and p.

    Where t⁴ leaves the dtype they go on along their tangent in d, as the logarithms in t log t and −log t do.
    """
    reach = math.log(jnp.finfo(d.dtype).max) / 4.0

    def below(d):
        t = jnp.exp(d)
        return f(t) - at_one - tilt * (t - 1.0)

    def above(d):
        t = jnp.exp(d)
        return (f(t) - at_one) / t - tilt * (1.0 - 1.0 / t)

    def along(term, low, high):
        held, beyond = jnp.clip(d, low, high), nu.finite(d)
        value, slope = jax.jvp(term, (held,), (jnp.ones_like(held),))
        return value + slope * (beyond - nu.within(beyond, reach))

    return along(below, -reach, 0.0), along(above, 0.0, reach)


def check_convex(f: Callable[[Array], Array]) -> None:
    """Raises ValueError naming the interval where f is not convex, or f(1) if it is not 0.

    f maps arrays elementwise, as for ``f_divergence``. On a grid from 1e-6 to 1e6, evenly spaced in log t, every
    value is compared with chords around it, short and long; what rounding of f can do, a few eps (1 + t + |f|), is
    allowed, so that linear parts and kinks do not matter. What is narrower than 11 % of t may go unseen. Called inside
    jit it runs while tracing; an f that depends on traced values is let through.

    Examples:
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
