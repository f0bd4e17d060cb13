"""How many of many balls a point is in, tile by tile."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from divjax.divergences.kernel.pairwise import squared_differences
from divjax.numerics import matmul

_TILE = 1024


def reached(distance: Float[Array, "*s"], radius: Float[Array, "*s"]) -> Bool[Array, "*s"]:
    """distance ≤ radius, equal ones included though they were rounded differently."""
    return distance <= radius * (1.0 + 16.0 * jnp.finfo(radius.dtype).eps)


def within(points: Float[Array, "m d"], centres: Float[Array, "n d"], radii: Float[Array, " n"]) -> Int[Array, " m"]:
    """#{i: ‖y_j − x_i‖ ≤ r_i} for every point y_j.

    Of a tile the squared distances are a matrix product; where that is too coarse to tell one of them from its radius,
    the whole tile is done by differences, some ten times slower.
    """
    middle = jnp.mean(centres, axis=0)
    y, m = _blocks(points), points.shape[0]
    # Balls that pad the last tile are empty.
    x, bound = _blocks(centres), _blocks(radii * radii, -jnp.inf)

    def rows(y):
        def columns(total, balls):
            return total + _counts(y, *balls, middle), None

        return jax.lax.scan(columns, jnp.zeros(y.shape[0], jnp.int32), (x, bound))[0]

    return jax.lax.map(rows, y).ravel()[:m]


def _blocks(a, fill=0.0):
    count = -(-a.shape[0] // _TILE)
    block = -(-a.shape[0] // count)
    padding = [(0, count * block - a.shape[0])] + [(0, 0)] * (a.ndim - 1)
    return jnp.pad(a, padding, constant_values=fill).reshape(count, block, *a.shape[1:])


def _counts(y, x, bound, middle):
    """For each y [B, d] the x [C, d] with ‖y − x‖² ≤ bound [C]."""
    near_y, near_x = y - middle, x - middle
    of_y, of_x = jnp.sum(near_y * near_y, axis=1), jnp.sum(near_x * near_x, axis=1)
    relative = (4.0 + 0.25 * x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps
    gap = (of_y[:, None] + (of_x - bound)[None, :]) - 2.0 * matmul(near_y, near_x.T)
    close = jnp.any(jnp.abs(gap) <= relative * (of_y[:, None] + of_x[None, :]))
    return jax.lax.cond(
        close, lambda: _count(reached(squared_differences(y, x), bound[None, :])), lambda: _count(gap <= 0.0)
    )


def _count(inside):
    return jnp.sum(inside, axis=1, dtype=jnp.int32)
