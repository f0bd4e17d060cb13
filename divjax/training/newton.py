"""Newton's method in a trust region: few parameters, a deterministic loss, a handful of steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from divjax import numerics as nu

# Rounding of a value that is a sum of many terms, in units of eps·|value|.
ROUNDING = 8.0


class NewtonState(NamedTuple):
    """What was measured where the parameters stand. ``value = inf``: nothing yet."""

    value: Scalar  # the loss at the parameters
    grad: PyTree  # its gradient, shaped like the parameters
    hessian: Float[Array, "n n"]  # its Hessian over the ravelled parameters
    radius: Scalar  # the longest step trusted along any axis of the Hessian
    exhausted: Bool[Array, ""]  # no step improves any more: what is left is rounding
    near: Bool[Array, ""]  # a minimum is within √eps


def newton(*, max_step: float = 4.0, first_step: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Minimise by second-order steps, each kept in a box along the eigenvectors of the Hessian.

    With gradient g and Hessian H = Σ λᵢ vᵢvᵢᵀ the model g·s + ½ sᵀHs is separable in sᵢ = vᵢ·s, so its
    minimum over the box abs(sᵢ) ≤ r has a closed form: the Newton step sᵢ = −(vᵢ·g)/λᵢ where λᵢ > 0 and it
    fits, else the wall, sᵢ = ∓r. Negative curvature is thereby a direction to leave along, at full length: a
    saddle or a maximum does not attract, even if the slope along that direction is exactly zero. (``fit`` ends at any
    point whose gradient is within its tolerance, a start on such a point or on a plateau too.)

    A trial is accepted if the loss falls by a fair part of what the model predicts. Where the prediction is
    below the rounding of the loss, the loss cannot judge, and the gradients at both ends decide. A rejected
    trial shrinks r and moves nothing, so the loss never rises beyond rounding; near a minimum convergence is
    quadratic.

    Each update evaluates (value, gradient, Hessian) once, at the trial point, and the state keeps those of
    the point that stands. The first update has nothing to go by: it stays, and measures.
    ``optax.value_and_grad_from_state`` and ``divjax.fit`` read value and gradient off the state rather than
    evaluate them again.

    Use as ``optax.lbfgs``: ``update(grad, state, params, value=, grad=, value_fn=)``. It must be the last of
    a chain, and params must be those that its own updates led to. The Hessian takes n forward sweeps over the
    gradient, and O(n³) for its eigenvectors: n up to a few dozen.

    Args:
      max_step: the largest radius r, in units of the parameters. Traceable.
      first_step: the radius at the start. Traceable.

    Raises:
      ValueError: ``update`` is called without params.

    Source: Conn, Gould, Toint, Trust-Region Methods (2000), ch. 6-7, with a box in place of the ball.

    Examples:
        >>> fit = dj.fit(lambda params, case: (params - case) ** 2, jnp.zeros(()), dj.training.newton())
        >>> round(float(dj.run(fit, 3.0).params), 3)
        3.0
    """

    def init(params: PyTree) -> NewtonState:
        flat, _ = ravel_pytree(params)
        return NewtonState(
            value=jnp.full((), jnp.inf, flat.dtype),
            grad=jax.tree.map(jnp.zeros_like, params),
            hessian=jnp.zeros((flat.size, flat.size), flat.dtype),
            radius=jnp.minimum(first_step, max_step).astype(flat.dtype),
            exhausted=jnp.zeros((), bool),
            near=jnp.zeros((), bool),
        )

    def update(
        updates: PyTree,
        state: NewtonState,
        params: PyTree | None = None,
        *,
        value_fn: Callable,
        **unused: Any,
    ) -> tuple[PyTree, NewtonState]:
        del updates, unused  # value and gradient are in the state, with the Hessian that belongs to them
        if params is None:
            raise ValueError("Expected params in update; got None. Call update(grad, state, params, value_fn=...).")
        return _update(value_fn, state, params, max_step)

    return optax.GradientTransformationExtraArgs(init, update)


def _update(value_fn: Callable, state: NewtonState, params: PyTree, max_step: float) -> tuple[PyTree, NewtonState]:
    here, unravel = ravel_pytree(params)
    grad, _ = ravel_pytree(state.grad)
    rounding = ROUNDING * jnp.finfo(here.dtype).eps * jnp.abs(state.value)
    fresh = jnp.isinf(state.value)
    step, predicted, distance = _box_step(grad, state.hessian, state.radius, rounding)

    there = here + step
    trial = _measure(lambda x: value_fn(unravel(x)), there)
    accept, ratio = _judge(state.value, grad, trial, step, predicted, rounding)
    accept = jnp.all(jnp.isfinite(ravel_pytree(trial)[0])) & (accept | fresh)
    radius = _next_radius(state.radius, jnp.max(jnp.abs(step)), ratio, max_step)
    tiny = radius <= jnp.finfo(here.dtype).eps * jnp.max(jnp.abs(here))
    exhausted = ~accept & (fresh | tiny | (predicted <= rounding))
    near = jnp.all(distance <= jnp.sqrt(jnp.finfo(here.dtype).eps) * jnp.maximum(1.0, jnp.abs(here)))
    new = NewtonState(
        value=jnp.where(accept, trial[0], state.value).astype(state.value.dtype),
        grad=unravel(jnp.where(accept, trial[1], grad)),
        hessian=jnp.where(accept, trial[2], state.hessian),
        radius=jnp.where(fresh, state.radius, radius),
        exhausted=exhausted,
        near=near & ~fresh,
    )
    return unravel(jnp.where(accept, there - here, 0.0)), new


def _measure(value_fn: Callable, x: Float[Array, " n"]) -> tuple[Scalar, Float[Array, " n"], Float[Array, "n n"]]:
    """Value, gradient and Hessian at x: the gradient's derivative along each axis, value and gradient computed once."""
    both = jax.value_and_grad(value_fn)

    def along(axis):
        (value, grad), (_, row) = jax.jvp(both, (x,), (axis,))
        return value, grad, row

    value, grad, hessian = jax.vmap(along, out_axes=(None, None, 0))(np.eye(x.size, dtype=x.dtype))
    return value, grad, 0.5 * (hessian + hessian.T)


def _box_step(
    grad: Float[Array, " n"], hessian: Float[Array, "n n"], radius: Scalar, rounding: Scalar
) -> tuple[Float[Array, " n"], Scalar, Float[Array, " n"]]:
    """The minimiser of g·s + ½ sᵀHs over abs(vᵢ·s) ≤ radius, the fall it predicts, and the way to the minimum: the
    absolute Newton step of every parameter, inf where a curvature is not positive."""
    curvature, axes = _eigh(hessian)
    slope = nu.matmul(axes.T, grad)
    inside = (curvature * radius >= jnp.abs(slope)) & (curvature > 0.0)
    wall = jnp.where(slope > 0, -radius, radius)
    # Along a flat axis slope and curvature are rounding: going to the wall would be a random walk.
    worth = (jnp.abs(slope) * radius - 0.5 * curvature * radius**2 > rounding) | (curvature * radius**2 > rounding)
    along = jnp.where(inside, -slope / jnp.where(inside, curvature, 1.0), jnp.where(worth, wall, 0.0))
    predicted = -jnp.sum(slope * along + 0.5 * curvature * along**2)
    convex = jnp.all(curvature > 0.0)
    distance = jnp.where(convex, jnp.abs(nu.matmul(axes, slope / jnp.where(convex, curvature, 1.0))), jnp.inf)
    return nu.matmul(axes, along), predicted, distance


def _judge(
    value: Scalar,
    grad: Float[Array, " n"],
    trial: tuple,
    step: Float[Array, " n"],
    predicted: Scalar,
    rounding: Scalar,
) -> tuple[Bool[Array, ""], Scalar]:
    """Take the trial? And how far to trust the model: fall of the loss / predicted fall."""
    expected = jnp.where(predicted > 0, predicted, 1.0)
    fall = value - trial[0]
    ratio = fall / expected
    flatter = jnp.sum(trial[1] ** 2) / jnp.sum(grad**2)
    unseen = predicted <= rounding  # the loss, as rounded, cannot show a fall this small
    by_slope = unseen & (flatter < 1) & (fall >= -rounding)
    # The rounding of a loss near 0 is that of the terms it sums, taken to be of order 1. Below it two
    # gradients tell the fall better than two values: by the trapezoidal rule, −½(g + g')·s.
    noise = ROUNDING * jnp.finfo(step.dtype).eps * jnp.maximum(jnp.abs(value), 1.0)
    trapezoid = -0.5 * jnp.sum((grad + trial[1]) * step) / expected
    by_slope |= (predicted <= noise) & (jnp.abs(fall) <= noise) & (flatter < 0.25) & (trapezoid > 0.25)
    accept = by_slope | (~unseen & (ratio > 0.05))
    return accept, jnp.where(by_slope, jnp.maximum(ratio, 0.5), jnp.where(unseen, 0.0, ratio))


def _next_radius(radius: Scalar, length: Scalar, ratio: Scalar, max_step: float) -> Scalar:
    """Shrink below what was tried if the model misled (or the trial was NaN), grow if it held at the wall."""
    grown = jnp.where((ratio > 0.7) & (length > 0.7 * radius), jnp.minimum(2.5 * radius, max_step), radius)
    return jnp.where(ratio > 0.25, grown, 0.25 * jnp.minimum(length, radius)).astype(radius.dtype)


def _eigh(h: Float[Array, "n n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """Eigenvalues and eigenvectors (columns) of a symmetric matrix; closed form up to 2×2."""
    if h.shape[0] == 1:
        return h[0], jnp.ones_like(h)
    if h.shape[0] > 2:
        return jnp.linalg.eigh(h)
    # Vectorised by vmap, which LAPACK is not; square roots alone, which compile in a third of the time of angles.
    mean, half, off = 0.5 * (h[0, 0] + h[1, 1]), 0.5 * (h[0, 0] - h[1, 1]), h[0, 1]
    largest = jnp.maximum(jnp.abs(half), jnp.abs(off))
    scale = jnp.where(largest > 0.0, largest, 1.0)
    radius = jnp.where(largest > 0.0, scale * jnp.sqrt((half / scale) ** 2 + (off / scale) ** 2), 0.0)
    # cos and sin of half the angle of (half, off): the larger of the two by a sum, the other one by division.
    large = jnp.sqrt(jnp.where(radius > 0.0, 0.5 * (1.0 + jnp.abs(half) / jnp.where(radius > 0.0, radius, 1.0)), 1.0))
    small = jnp.where(radius > 0.0, 0.5 * off / jnp.where(radius > 0.0, radius * large, 1.0), 0.0)
    first = jnp.where(half >= 0.0, jnp.stack([large, small]), jnp.stack([small, large]))
    second = jnp.stack([-first[1], first[0]])
    return jnp.stack([mean + radius, mean - radius]), jnp.stack([first, second], axis=1)
