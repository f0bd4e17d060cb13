"""Sums over all pairs of points in tiles: time n², memory n, forward and backward.

For G samples with points z and weights w and a symmetric function K of two points the sums are

    S_gh = Σ_{i in g} Σ_{j in h} w_i w_j K(z_i, z_j)                                            [G, G]

Only tiles of [block, block] pairs are ever in memory, and since S is symmetric only those on and above the diagonal
are computed. Reverse mode would keep every tile. Instead the forward sweep, where a gradient will be wanted, collects
what each point contributes, R_i,h = Σ_{j in h} w_j (K(z_i, z_j), ∂K(z_i, z_j)/∂z_i), which is as large as the points
and all that the gradient needs: ∂S/∂w and ∂S/∂z are multiples of it.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float

from divjax import numerics as nu

_TILE = 768  # a tile of float32 is 2 MiB: what two cores do of it stays in a cache of 1 MiB each
_TILE_DEVICE = 4096
_COORDINATES = 16  # in one loop over the pairs
_DIRECT = 4  # up to so many coordinates differences are as fast as the matrix product, and lose no digits
_NEAR = 1e-4  # of |x|² + |y|²: below it the product has lost more than four digits


class Block(NamedTuple):
    """The points of one side of a tile: fields [B, d_k] each, weights [B], and whether both sides are the same."""

    fields: tuple[Array, ...]
    w: Array


class Pair(NamedTuple):
    """A symmetric function of two points, for tiles of them. Both are called with (theta, left, right, same).

    values gives K [B, B]. slopes gives what the tile adds to R: for the left points [B, c], for the right ones [c, B],
    with c = 1 + the width of all the fields. ``same`` is true for a tile on the diagonal.
    """

    values: Callable[..., Array]
    slopes: Callable[..., tuple[Array, Array]]


def apart(left: Block, same: Array) -> Array:
    """[B, B]: true but on the diagonal of one and the same block, where a point meets itself."""
    return ~(same & jnp.eye(left.w.shape[0], dtype=bool))


def both_ways(kernel: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """K right [B, c], and leftᵀ K [c, B]: the transpose is on the small factor because Kᵀ left is ten times slower."""
    return nu.matmul(kernel, right), nu.matmul(left.T, kernel)


def squared_distances(x: Float[Array, "n d"], y: Float[Array, "m d"], *, same: Array | bool) -> Float[Array, "n m"]:
    """‖x_i − y_j‖², exactly 0 on the diagonal of one and the same block, and for points that coincide.

    In more than a few dimensions it is |x|² + |y|² − 2 x·y. What is left of equal points is rounding, whose root would
    be large: below the rounding error the distance is 0. Centre the points first.
    """
    if x.shape[1] <= _DIRECT:
        return _by_coordinates(x, y)
    norms = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]
    squares = norms - 2.0 * nu.matmul(x, y.T)
    rounding = (4.0 + 0.25 * x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps * norms
    zero = (squares <= rounding) | (same & _diagonal(x, y))
    return jnp.where(zero, 0.0, squares)


def on_tile(function: Callable[[Array], Any], x: Float[Array, "n d"], y: Float[Array, "m d"], same: Array) -> Any:
    """A function of the tile of ‖x_i − y_j‖², which between points near to each other are found by differences.

    Differences take some ten times the time of the product: they are computed in tiles alone that hold such a pair,
    which are few unless points come in narrow groups, or one sample is nearly a copy of the other.
    """
    if x.shape[1] <= _DIRECT:
        return function(_by_coordinates(x, y))
    square = lambda z: jnp.sum(z * z, axis=1, keepdims=True)  # noqa: E731
    of_x, of_y = square(x), square(y)
    left = jnp.concatenate([x, of_x, jnp.ones_like(of_x)], axis=1)
    squares = nu.matmul(left, jnp.concatenate([-2.0 * y, jnp.ones_like(of_y), of_y], axis=1).T)
    # A point meets itself on the diagonal alone: written there, since a mask would be another pass over the tile.
    at = jnp.arange(min(x.shape[0], y.shape[0]))
    diagonal = squares[at, at]
    squares = squares.at[at, at].set(jnp.where(same, jnp.inf, diagonal))
    bound = _NEAR * (jnp.max(of_x) + of_y[:, 0])
    is_near = _shared(jnp.any(jnp.min(squares, axis=0) < bound))
    squares = squares.at[at, at].set(jnp.where(same, 0.0, diagonal))

    def refined():
        near = (squares < bound) & ~(same & _diagonal(x, y))
        return function(jnp.where(near, squared_differences(x, y), squares))

    return jax.lax.cond(is_near, refined, lambda: function(squares))


@jax.custom_batching.custom_vmap
def _shared(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """The flag, and under ``vmap`` one for all: whether any is set. So a branch by it stays a branch."""
    return flag


@_shared.def_vmap
def _shared_by_all(size, is_mapped, flag):  # as JAX calls it
    return _shared(jnp.any(flag)), False


def _by_coordinates(x, y):
    return functools.reduce(jnp.add, [(x[:, k, None] - y[None, :, k]) ** 2 for k in range(x.shape[1])])


def _diagonal(x, y):
    return jnp.arange(x.shape[0])[:, None] == jnp.arange(y.shape[0])[None, :]


def squared_differences(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """‖x_i − y_j‖² to full relative precision at any distance, in some ten times the time of ``squared_distances``."""
    step = min(_COORDINATES, x.shape[1])
    x, y = (jnp.pad(a, [(0, 0), (0, -a.shape[1] % step)]).T.reshape(-1, step, a.shape[0]) for a in (x, y))

    def add(total, part):
        x, y = part
        return functools.reduce(jnp.add, [(x[k, :, None] - y[k, None, :]) ** 2 for k in range(step)], total), None

    return jax.lax.scan(add, jnp.zeros((x.shape[2], y.shape[2]), x.dtype), (x, y))[0]


def _radial_values(kernel, left, right, same):
    return on_tile(kernel, left.fields[0], right.fields[0], same)


def _radial_slopes(kernel, left, right, same):
    """k and Σ_j w_j ∂k/∂x_i = 2 Σ_j w_j k'(s_ij) (x_i − x_j), as two matrix products."""
    (x,), (y,) = left.fields, right.fields

    def summed(squares):
        values, slopes = jax.jvp(kernel, (squares,), (jnp.ones_like(squares),))
        # Of a point and itself x_i − x_i is 0, which the difference of two sums is not.
        slopes = jnp.where(apart(left, same), slopes, 0.0)
        row, column = both_ways(values, left.w[:, None], right.w[:, None])
        sides = (jnp.concatenate([side.w[:, None], side.w[:, None] * z], axis=1) for side, z in ((left, x), (right, y)))
        to_left, to_right = both_ways(slopes, *sides)
        to_left = 2.0 * (x * to_left[:, :1] - to_left[:, 1:])
        to_right = 2.0 * (y.T * to_right[:1] - to_right[1:])
        return jnp.concatenate([row, to_left], axis=1), jnp.concatenate([column, to_right], axis=0)

    return on_tile(summed, x, y, same)


RADIAL = Pair(_radial_values, _radial_slopes)


def pair_sums(
    pair: Pair, theta: Any, samples: tuple[tuple[Array, ...], ...], weights: tuple[Array, ...]
) -> Float[Array, "G G"]:
    """S [G, G] of G samples, each a tuple of fields [n_g, d_k], with weights [n_g].

    theta: a pytree of what the function depends on besides (a kernel). Differentiable in fields, weights and theta.
    """
    sizes = [w.shape[0] for w in weights]
    block = _block_size(max(sizes))
    counts = [-(-size // block) for size in sizes]
    groups = tuple(g for g, count in enumerate(counts) for _ in range(count))

    def cut(arrays):
        rows = [
            jnp.pad(a, [(0, count * block - a.shape[0])] + [(0, 0)] * (a.ndim - 1))
            for a, count in zip(arrays, counts, strict=True)
        ]
        return jnp.concatenate(rows).reshape(len(groups), block, *arrays[0].shape[1:])

    return _sums(pair, groups, theta, tuple(map(cut, zip(*samples, strict=True))), cut(weights))


def _block_size(size):
    """Blocks of one size, a little padding, at most a tile: a multiple of 16."""
    tile = _TILE if jax.default_backend() == "cpu" else _TILE_DEVICE
    per_block = -(-size // -(-size // tile))
    return -(-per_block // 16) * 16


def _sweep(groups, fields, w, step, start):
    """step(carry, (i, j, g, h), left, right) over all the tiles i ≤ j, whose blocks are in the samples g ≤ h."""
    i, j = np.triu_indices(len(groups))
    of = np.asarray(groups)
    tiles = tuple(jnp.asarray(index, jnp.int32) for index in (i, j, of[i], of[j]))

    def body(carry, tile):
        left, right = (Block(tuple(field[k] for field in fields), w[k]) for k in tile[:2])
        return step(carry, tile, left, right), None

    return jax.lax.scan(body, start, tiles)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sums(pair, groups, theta, fields, w):
    def step(total, tile, left, right):
        i, j, g, h = tile
        part = nu.matmul(left.w, nu.matmul(pair.values(theta, left, right, i == j), right.w))
        return total.at[g, h].add(part).at[h, g].add(jnp.where(i == j, 0.0, part))

    size = max(groups) + 1
    return _sweep(groups, fields, w, step, jnp.zeros((size, size), w.dtype))


def _sums_forward(pair, groups, theta, fields, w):
    def step(carry, tile, left, right):
        (by_left, by_right), (i, j, g, h) = carry, tile
        to_left, to_right = pair.slopes(theta, left, right, i == j)
        # A tile on the diagonal has both of its halves on its left.
        return by_left.at[h, i].add(to_left), by_right.at[g, j].add(jnp.where(i == j, 0.0, to_right))

    size, (count, block), width = max(groups) + 1, w.shape, 1 + sum(field.shape[-1] for field in fields)
    start = jnp.zeros((size, count, block, width), w.dtype), jnp.zeros((size, count, width, block), w.dtype)
    by_left, by_right = _sweep(groups, fields, w, step, start)
    rows = by_left + jnp.swapaxes(by_right, 2, 3)
    member = jnp.asarray(np.asarray(groups)[:, None] == np.arange(size), w.dtype)
    sums = nu.matmul(member.T, jnp.sum(w * rows[..., 0], axis=2).T)
    return sums, (rows, theta, fields, w)


def _sums_backward(pair, groups, residuals, cotangent):
    rows, theta, fields, w = residuals
    both = (cotangent + cotangent.T)[np.asarray(groups)]  # [blocks, G]
    rows = jnp.einsum("kh,hkbc->kbc", both, rows, precision="highest")
    edges = np.cumsum([1] + [field.shape[-1] for field in fields])
    by_fields = tuple(w[..., None] * rows[..., a:b] for a, b in itertools.pairwise(edges))
    return _by_theta(pair, groups, theta, fields, w, cotangent), by_fields, rows[..., 0]


def _by_theta(pair, groups, theta, fields, w, cotangent):
    """Its own sweep: compiled away where nobody differentiates by the parameters."""
    if not jax.tree.leaves(theta):
        return theta

    def step(total, tile, left, right):
        i, j, g, h = tile
        _, pull = jax.vjp(lambda t: pair.values(t, left, right, i == j), theta)
        factor = cotangent[g, h] + jnp.where(i == j, 0.0, cotangent[h, g])
        return jax.tree.map(jnp.add, total, pull(factor * left.w[:, None] * right.w[None, :])[0])

    return _sweep(groups, fields, w, step, jax.tree.map(jnp.zeros_like, theta))


_sums.defvjp(_sums_forward, _sums_backward)


def quadratic_forms(
    pair: Pair, theta: Any, fields: tuple[Array, ...], columns: Float[Array, "n c"]
) -> Float[Array, " c"]:
    """Σ_ij a_i a_j K(z_i, z_j) for each of the columns a [n]: all of them from one sweep over the tiles of K.

    fields: those of one sample, [n, d_k]; theta as in ``pair_sums``. Time n² (d + c), memory n (d + c).
    """
    block = _block_size(columns.shape[0])
    count = -(-columns.shape[0] // block)

    def cut(a):
        return jnp.pad(a, [(0, count * block - a.shape[0]), (0, 0)]).reshape(count, block, -1)

    def step(total, tile, left, right):
        part = jnp.sum(left.w * nu.matmul(pair.values(theta, left, right, tile[0] == tile[1]), right.w), axis=0)
        return total + jnp.where(tile[0] == tile[1], 1.0, 2.0) * part

    start = jnp.zeros(columns.shape[1], columns.dtype)
    return _sweep((0,) * count, tuple(map(cut, fields)), cut(columns), step, start)


def centre(*parts: tuple[Array, Array]) -> tuple[Array, ...]:
    """The points of (points, weights) pairs less their common mean: distances stay, rounding errors shrink."""
    total = sum(jnp.sum(w) for _, w in parts)
    mean = sum(nu.matmul(w, x) for x, w in parts) / jnp.where(total > 0.0, total, 1.0)
    return tuple(x - jax.lax.stop_gradient(mean) for x, _ in parts)


def radial_sums(
    kernel: Callable[[Array], Array], *samples: tuple[Array, Array]
) -> tuple[Float[Array, "G G"], Callable[[Array], Array]]:
    """Σ w_i w_j (k(‖x_i − x_j‖²) − c) between and within samples (points [n, d], weights [n]).

    c is about the mean of k: differences of sums over samples of equal weight do not change, and lose fewer digits.
    Returns the sums and k − c.
    """
    points, weights = centre(*samples), tuple(w for _, w in samples)
    shifted = Partial(_shifted, kernel, _about_mean(kernel, points, weights))
    return pair_sums(RADIAL, shifted, tuple((x,) for x in points), weights), shifted


def radial_forms(
    kernel: Callable[[Array], Array], x: Float[Array, "n d"], columns: Float[Array, "n c"]
) -> tuple[Float[Array, " c"], Float[Array, ""]]:
    """Σ_ij a_i a_j k(‖x_i − x_j‖²) for each of the columns a, which sum to zero, and about the mean of k."""
    w = jnp.full(x.shape[0], 1.0 / x.shape[0], x.dtype)
    (x,) = centre((x, w))
    mean = _about_mean(kernel, (x,), (w,))
    return quadratic_forms(RADIAL, Partial(_shifted, kernel, mean), (x,), columns), mean


def _about_mean(kernel, points, weights):
    """The weighted mean of k over the pairs of at most 64 points of each sample, a constant."""
    few = [slice(None, None, -(-x.shape[0] // 64)) for x in points]
    x, w = (jnp.concatenate([a[part] for a, part in zip(arrays, few, strict=True)]) for arrays in (points, weights))
    weight = jnp.sum(w) ** 2
    mean = nu.matmul(w, nu.matmul(kernel(squared_distances(x, x, same=True)), w)) / jnp.where(weight > 0.0, weight, 1.0)
    return jax.lax.stop_gradient(mean)


def _shifted(kernel, mean, squares):
    return kernel(squares) - mean
