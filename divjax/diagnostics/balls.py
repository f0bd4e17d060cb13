"""How many of many balls a point is in, tile by tile."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from divjax.divergences.pairwise import product

_TILE = 1024
_COORDINATES = 16


def reached(distance: Float[Array, "*s"], radius: Float[Array, "*s"]) -> Bool[Array, "*s"]:
    """distance ≤ radius, equal ones included though they were rounded differently."""
    return distance <= radius * (1.0 + 16.0 * jnp.finfo(radius.dtype).eps)


def within(points: Float[Array, "m d"], centres: Float[Array, "n d"], radii: Float[Array, " n"]) -> Int[Array, " m"]:
    """#{i: ‖y_j − x_i‖ ≤ r_i} for every point y_j.

    Of a tile the squared distances are a matrix product; where that is too coarse to tell one of them from its radius,
    the whole tile is done by differences, some ten times slower.
    """
    middle = jnp.mean(centres, axis=0)
    y, m = _blocks(points - middle), points.shape[0]
    # Balls that pad the last tile are empty.
    x, bound = _blocks(centres - middle), _blocks(radii * radii, -jnp.inf)

    def rows(y):
        def columns(total, balls):
            return total + _counts(y, *balls), None

        return jax.lax.scan(columns, jnp.zeros(y.shape[0], jnp.int32), (x, bound))[0]

    return jax.lax.map(rows, y).ravel()[:m]


def _blocks(a, fill=0.0):
    count = -(-a.shape[0] // _TILE)
    block = -(-a.shape[0] // count)
    padding = [(0, count * block - a.shape[0])] + [(0, 0)] * (a.ndim - 1)
    return jnp.pad(a, padding, constant_values=fill).reshape(count, block, *a.shape[1:])


def _counts(y, x, bound):
    """For each y [B, d] the x [C, d] with ‖y − x‖² ≤ bound [C]."""
    of_y, of_x = jnp.sum(y * y, axis=1), jnp.sum(x * x, axis=1)
    relative = (4.0 + 0.25 * x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps
    gap = (of_y[:, None] + (of_x - bound)[None, :]) - 2.0 * product(y, x.T)
    close = jnp.any(jnp.abs(gap) <= relative * (of_y[:, None] + of_x[None, :]))
    return jax.lax.cond(
        close, lambda: _count(reached(_by_differences(y, x), bound[None, :])), lambda: _count(gap <= 0.0)
    )


def _count(inside):
    return jnp.sum(inside, axis=1, dtype=jnp.int32)


def _by_differences(y, x):
    """‖y − x‖² [B, C], from some coordinates at a time in one loop over the pairs."""
    step = min(_COORDINATES, x.shape[1])
    y, x = (jnp.pad(a, [(0, 0), (0, -a.shape[1] % step)]).T.reshape(-1, step, a.shape[0]) for a in (y, x))

    def add(total, part):
        y, x = part
        return functools.reduce(jnp.add, [(y[k, :, None] - x[k, None, :]) ** 2 for k in range(step)], total), None

    return jax.lax.scan(add, jnp.zeros((y.shape[2], x.shape[2]), x.dtype), (y, x))[0]
