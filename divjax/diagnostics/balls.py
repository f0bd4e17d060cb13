"""How many of many balls a point is in, tile by tile."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from divjax.divergences.pairwise import product

_TILE = 1024


def reached(distance: Float[Array, "*s"], radius: Float[Array, "*s"]) -> Bool[Array, "*s"]:
    """distance ≤ radius, equal ones included though they were rounded differently."""
    return distance <= radius * (1.0 + 32.0 * jnp.finfo(radius.dtype).eps)


def within(points: Float[Array, "m d"], centres: Float[Array, "n d"], radii: Float[Array, " n"]) -> Int[Array, " m"]:
    """#{i: ‖y_j − x_i‖ ≤ r_i} for every point y_j.

    Of a tile the squared distances are a matrix product; where that is too coarse to tell one of them from its radius,
    the whole tile is done by differences, about ten times slower.
    """
    middle = jnp.mean(centres, axis=0)
    y, m = _blocks(points - middle), points.shape[0]
    x, radii = _blocks(centres - middle), _blocks(radii, -1.0)

    def rows(y):
        def columns(total, ball):
            x, radius = ball
            return total + jnp.sum(_inside(y, x, radius), axis=1, dtype=jnp.int32), None

        return jax.lax.scan(columns, jnp.zeros(y.shape[0], jnp.int32), (x, radii))[0]

    return jax.lax.map(rows, y).ravel()[:m]


def _blocks(a, fill=0.0):
    count = -(-a.shape[0] // _TILE)
    block = -(-a.shape[0] // count)
    padding = [(0, count * block - a.shape[0])] + [(0, 0)] * (a.ndim - 1)
    return jnp.pad(a, padding, constant_values=fill).reshape(count, block, *a.shape[1:])


def _inside(y, x, radius):
    """[B, C]. A ball of negative radius is empty."""
    norms = jnp.sum(y * y, axis=1)[:, None] + jnp.sum(x * x, axis=1)[None, :]
    squares = norms - 2.0 * product(y, x.T)
    bound = jnp.broadcast_to(radius * radius, squares.shape)
    rounding = (4.0 + x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps * norms
    empty = radius < 0.0
    close = jnp.any((jnp.abs(squares - bound) <= rounding) & ~empty)
    exact = jax.lax.cond(close, lambda: _by_differences(y, x), lambda: squares)
    return reached(jnp.maximum(exact, 0.0), bound) & ~empty


def _by_differences(y, x):
    def add(k, total):
        return total + (y[:, k, None] - x[None, :, k]) ** 2

    return jax.lax.fori_loop(0, x.shape[1], add, jnp.zeros((y.shape[0], x.shape[0]), x.dtype))
