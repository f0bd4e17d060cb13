"""Sliced Wasserstein distances of samples in d dimensions: means and maxima over one-dimensional projections.

Samples are arrays [n, d] without weights, or ``Points``. Blocks of directions are sorted together, so that memory
does not grow with their number.
"""

import functools
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.line import transport_cost, wasserstein
from divjax.divergences.reading import onto_heaviest, shape_remedy
from divjax.divergences.transport.monotone import coupling_of_counts, coupling_of_samples
from divjax.measures import Points
from divjax.numerics.programs import kept

_BLOCK = 1 << 20  # numbers projected at a time, and at least one direction


class MaxSliced(NamedTuple):
    """The largest distance along one direction, and the direction: a unit vector."""

    value: Float[Array, ""]
    direction: Float[Array, " d"]


@kept
def sliced_wasserstein(
    key: Array,
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    order: ArrayLike = 2.0,
    num_directions: int = 128,
) -> Float[Array, ""]:
    """The Wasserstein distance of two samples along random directions, averaged: (E_θ W_k(θ·X, θ·Y)^k)^(1/k).

    θ is uniform on the sphere (Rabin et al. 2012). The mean over ``num_directions`` of them, whose error falls like the
    root of their number; the same key gives the same directions. In the units of x. order: k ≥ 1. Differentiable once,
    in reverse mode, in the points, the weights and the order; the gradient is made together with the value, and is 0 at
    x = y. Raises ValueError for unequal dimensions and empty samples.

    Examples:
        >>> x = jnp.array([[0.0, 0.0], [1.0, 1.0]])
        >>> float(dj.sliced_wasserstein(jax.random.key(0), x, x))
        0.0
    """
    cost, unit = _along_directions(checks.key(key), x, y, order, num_directions)
    return unit * nu.safe_root(cost, order)


@kept
def sliced_cost(
    key: Array,
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    order: ArrayLike = 2.0,
    num_directions: int = 128,
) -> Float[Array, ""]:
    """The k-th power of ``sliced_wasserstein``, E_θ W_k(θ·X, θ·Y)^k: smoother to minimise. Arguments and errors as
    there.

    Examples:
        >>> x = jnp.array([[0.0, 0.0], [1.0, 1.0]])
        >>> round(float(dj.samples.sliced_cost(jax.random.key(0), x, x + jnp.array([3.0, 4.0]), num_directions=512)), 0)
        13.0
    """
    cost, unit = _along_directions(checks.key(key), x, y, order, num_directions)
    return unit**order * cost


def _along_directions(key, x, y, order, num):
    p, q = centred_samples(x, y)
    directions = sphere(key, num, p[0].shape[1]).astype(p[0].dtype)
    cost, unit = _mean_cost(p, q, jnp.asarray(order, p[0].dtype), directions)
    return cost, jax.lax.stop_gradient(unit)


def sphere(key: Array, num: int, dim: int) -> Float[Array, "num dim"]:
    """Unit vectors, uniform on the sphere."""
    normal = jax.random.normal(checks.key(key), (num, dim))
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)


def paired_samples(x, y):
    """(points [n, d], log-weights or None) of both; weights are given to both or to neither."""
    weighted = isinstance(x, Points) or isinstance(y, Points)
    x, y = (
        replace(z, x=checks.points(z.x, name)) if isinstance(z, Points) else checks.points(z, name)
        for z, name in ((x, "x"), (y, "y"))
    )
    parts = [z if isinstance(z, Points) else Points(z, jnp.zeros(jnp.shape(z)[:1])) for z in (x, y)]
    x, y, *log_w = checks.floating(*(part.x for part in parts), *(part.log_w for part in parts))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.size or not y.size:
        raise ValueError(
            f"Expected two samples of shapes [n, d] and [m, d], not empty; got {x.shape} and {y.shape}. "
            f"{shape_remedy(x, y, on_the_line='dj.wasserstein(x, y)')}"
        )
    for z, w in ((x, log_w[0]), (y, log_w[1])):
        if w.shape not in ((), z.shape[:1]):
            raise ValueError(
                f"Expected one log-weight for each of the {z.shape[0]} points; got shape {list(w.shape)}. Use "
                "dj.Points(x[n, d], log_w[n])."
            )
    if not weighted:
        return (x, None), (y, None)
    log_w = [jax.nn.log_softmax(jnp.broadcast_to(w, z.shape[:1])) for w, z in zip(log_w, (x, y), strict=True)]
    return (onto_heaviest(x, log_w[0]), log_w[0]), (onto_heaviest(y, log_w[1]), log_w[1])


def centred_samples(x, y):
    """``paired_samples`` less the mean of both: projections and matrix products of points far out lose digits."""
    (x, log_w_x), (y, log_w_y) = paired_samples(x, y)
    shift = jax.lax.stop_gradient(0.5 * _mean(x, log_w_x) + 0.5 * _mean(y, log_w_y))
    return (x - shift, log_w_x), (y - shift, log_w_y)


def _along(direction, p, q):
    """The coupling of the projections on one direction."""
    (x, log_w_x), (y, log_w_y) = p, q
    x, y = nu.matmul(x, direction), nu.matmul(y, direction)
    if log_w_x is None:
        return coupling_of_counts(x, y)
    return coupling_of_samples(Points(x, log_w_x), Points(y, log_w_y))


def _blocks(directions, size):
    """Directions [blocks, block, d] and the share of each in the mean [blocks, block], 0 for those that fill up."""
    num = directions.shape[0]
    count = -(-num // max(1, min(num, _BLOCK // size)))
    block = -(-num // count)
    fill = count * block - num
    share = jnp.pad(jnp.full(num, 1.0 / num, directions.dtype), (0, fill))
    directions = jnp.pad(directions, ((0, fill), (0, 0)), mode="edge")
    return directions.reshape(count, block, -1), share.reshape(count, block)


def _sum_of_costs(p, q, order, directions, share):
    """∫ |P_θ⁻¹ − Q_θ⁻¹|^k du of the directions θ in units of about the largest distance, and that unit.

    A power of the distances themselves may overflow or vanish.
    """
    coupled = jax.vmap(lambda direction: _along(direction, p, q))(directions)
    farthest, dtype = jnp.max(jax.lax.stop_gradient(jnp.abs(coupled.x - coupled.y))), jnp.finfo(coupled.x.dtype)
    unit = jax.lax.clamp(jnp.asarray(dtype.tiny, dtype.dtype), farthest, jnp.asarray(dtype.max, dtype.dtype))
    coupled = replace(coupled, x=coupled.x / unit, y=coupled.y / unit)
    return nu.matmul(share, jax.vmap(lambda each: transport_cost(each, order=order))(coupled)), unit


@jax.custom_vjp
def _mean_cost(p, q, order, directions):
    """The mean over the directions, and its unit, which counts as constant."""
    blocks = _blocks(directions, max(p[0].shape[0], q[0].shape[0]))
    costs, units = jax.lax.map(lambda block: _sum_of_costs(p, q, order, *block), blocks)
    if len(units) == 1:
        return costs[0], units[0]
    return jnp.sum(costs * (units / jnp.max(units)) ** order), jnp.max(units)


def _mean_cost_forward(p, q, order, directions):
    """One pass for value and gradient: kept are a gradient as large as the points, not the permutations."""
    blocks = _blocks(directions, max(p[0].shape[0], q[0].shape[0]))
    gradient = jax.value_and_grad(_sum_of_costs, argnums=(0, 1, 2), has_aux=True)

    def add(total, block):
        (value, unit), slopes = gradient(p, q, order, *block)
        larger = jnp.maximum(total[-1], unit)
        parts = (_in_unit(part, order, larger) for part in (total, (value, slopes, unit)))
        return (*jax.tree.map(jnp.add, *((value, slopes) for value, slopes in parts)), larger), None

    least = jnp.full_like(order, jnp.finfo(order.dtype).tiny)
    start = (jnp.zeros_like(order), jax.tree.map(jnp.zeros_like, (p, q, order)), least)
    (value, slopes, unit), _ = jax.lax.scan(add, start, blocks)
    return (value, unit), (slopes, jnp.zeros_like(directions))  # random directions: nothing to differentiate


def _in_unit(part, order, unit):
    """A sum of costs and its slopes in points, weights and order, in a larger unit than its own."""
    value, slopes, own = part
    ratio = own / unit
    factor = ratio**order
    *slopes, by_order = jax.tree.map(lambda slope: factor * slope, slopes)
    grown = jnp.where(ratio > 0.0, jnp.log(ratio), 0.0) * factor * value
    return factor * value, (*slopes, by_order + grown)


def _mean_cost_backward(kept, cotangents):
    slopes, no_slope = kept
    return *jax.tree.map(lambda slope: cotangents[0] * slope, slopes), no_slope


_mean_cost.defvjp(_mean_cost_forward, _mean_cost_backward)


# --- The worst direction ------------------------------------------------------------------------------------


@kept
def max_sliced_wasserstein(
    key: Array,
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    order: ArrayLike = 2.0,
    num_starts: int = 8,
    num_steps: int = 30,
) -> Float[Array, ""]:
    """The value of ``samples.max_sliced`` alone: the Wasserstein distance along the direction where it is largest.

    max_θ W_k(θ·X, θ·Y) over the unit sphere (Deshpande et al. 2019), in the units of x. Arguments, gradients and errors
    are those of ``samples.max_sliced``, which also returns the direction.

    Examples:
        >>> x = jnp.asarray([[0.0, 0.0], [1.0, 1.0]])
        >>> round(float(dj.max_sliced_wasserstein(jax.random.key(0), x, x + jnp.asarray([3.0, 4.0]))), 3)
        5.0
    """
    return max_sliced(key, x, y, order=order, num_starts=num_starts, num_steps=num_steps).value


@kept
def max_sliced(
    key: Array,
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    order: ArrayLike = 2.0,
    num_starts: int = 8,
    num_steps: int = 30,
) -> MaxSliced:
    """The largest Wasserstein distance of two samples along one direction, and that direction, a unit vector [d].

    max_θ W_k(θ·X, θ·Y) over the unit sphere (Deshpande et al. 2019); order: k ≥ 1. What is returned is a lower bound:
    the best that ``num_steps`` of projected gradient ascent find from the difference of the means and from
    ``num_starts`` − 1 random directions. The same key gives the same value. The gradient holds the direction fixed
    (Danskin). Raises ValueError for unequal dimensions and empty samples.

    Examples:
        >>> x = jnp.asarray([[0.0, 0.0], [1.0, 1.0]])
        >>> dj.samples.max_sliced(jax.random.key(0), x, x + jnp.asarray([3.0, 4.0])).direction.shape
        (2,)
    """
    p, q = centred_samples(x, y)
    order = jnp.asarray(order, p[0].dtype)
    fixed = jax.lax.stop_gradient(_in_one_unit(p, q))
    starts = sphere(key, num_starts, p[0].shape[1]).astype(p[0].dtype)
    distance = lambda direction: wasserstein(_along(direction, *fixed), order=jax.lax.stop_gradient(order))  # noqa: E731
    starts = starts.at[0].set(_unit(_mean(*fixed[0]) - _mean(*fixed[1]), starts[0]))
    found, values = jax.lax.map(lambda start: _ascend(distance, start, num_steps), starts)
    direction = found[jnp.argmax(values)]
    return MaxSliced(wasserstein(_along(direction, p, q), order=order), direction)


def _in_one_unit(p, q):
    """Points over the next power of two above all their coordinates: squares of slopes neither overflow nor vanish."""
    unit = nu.power_of_two(jnp.maximum(jnp.max(jnp.abs(p[0])), jnp.max(jnp.abs(q[0]))))
    return (p[0] / unit, p[1]), (q[0] / unit, q[1])


def _ascend(distance, start, steps):
    """Steps along the sphere, longer after one that gains and shorter after one that does not."""
    value_and_slope = jax.value_and_grad(distance)

    def step(state, _):
        at, value, slope, length = state
        tangent = slope - jnp.sum(slope * at) * at
        trial = _unit(at + length * _unit(tangent, jnp.zeros_like(at)), at)
        new_value, new_slope = value_and_slope(trial)
        gains = new_value > value
        moved = (trial, new_value, new_slope, 1.5 * length)
        stayed = (at, value, slope, 0.3 * length)
        return jax.tree.map(functools.partial(jnp.where, gains), moved, stayed), None

    first = (start, *value_and_slope(start), jnp.full((), 0.5, start.dtype))
    (at, value, _, _), _ = jax.lax.scan(step, first, length=steps)
    return at, value


def _mean(x, log_w):
    return jnp.mean(x, axis=0) if log_w is None else nu.matmul(jnp.exp(log_w), x)


def _unit(vector, otherwise):
    square = jnp.sum(vector * vector)
    positive = square > 0.0
    return jnp.where(positive, vector / jnp.sqrt(jnp.where(positive, square, 1.0)), otherwise)
