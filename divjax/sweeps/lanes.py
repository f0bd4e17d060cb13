"""Lanes: many cases of one iteration in one program, in which whoever is done makes room for the next.

``jax.vmap(run)`` keeps every lane going until the slowest ends. Here the lanes lie on a stack, and a tile of fixed
width works on its top. Once an eighth of the tile is done, its lanes are sorted, those that go on first: what is done
thereby lies above the new top, for good, and the tile moves down by as many lanes, which are new ones. So all but an
eighth of the work is steps that some case needs, and the step is compiled once, for one shape.

What is left when the stack no longer fills a tile stays for the next chunk. A lane's numbers depend on neither its
place in the tile nor on its neighbours: the shapes never change, and no operation mixes lanes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from divjax.training.iteration import Iteration, bound

LEAVE = 8  # a tile is sorted when one in so many of its lanes is done
WIDTH = 16  # a tile is a multiple of it: whole vectors for any CPU, so that no lane is a remainder


class Lanes(NamedTuple):
    """Cases under way. Every leaf is ``[lanes, ...]``."""

    id: Int[Array, " lanes"]
    case: PyTree
    state: PyTree
    ill: Bool[Array, " lanes"]  # stopped by the engine: the step after ``state`` was not healthy


class Outcome(NamedTuple):
    """Where a chunk ended. Lanes from ``first`` up to ``last`` are finished: their ``id``, ``ill``, ``result``."""

    id: Int[Array, " rows"]
    ill: Bool[Array, " rows"]
    result: PyTree
    first: Int[Array, ""]
    last: Int[Array, ""]
    left: list[Array]  # ``pack``ed; the first ``first`` of them are unfinished: for the next call


def advance(
    iteration: Iteration,
    like: Lanes,
    constants: dict[str, Array] | None,
    id: Int[Array, " n"],
    case: PyTree,
    count: Int[Array, ""],
    left: list[Array],
    num_left: Int[Array, ""],
    keep: Int[Array, ""],
    *,
    tile: int,
) -> Outcome:
    """Runs the first ``count`` of n new lanes and ``num_left`` old ones until at most ``keep`` are unfinished.

    n is a multiple of ``tile``, ``left`` has ``tile`` lanes. ``like``: shapes and dtypes of one lane.
    """
    iteration = bound(iteration, constants)
    stack = _tiled(partial(_begin, iteration), tile, id, case)
    # Rows that nobody is on are stepped too, now and then: they hold a case as well, lest a loop inside never ends.
    real = jnp.arange(tile)[:, None] < num_left
    left = [jnp.where(real, old, new[:1]) for old, new in zip(left, stack, strict=True)]
    stack = [_write(jnp.concatenate([new, old]), old, count) for old, new in zip(left, stack, strict=True)]

    def turn(carry):
        stack, top = carry
        bottom = jnp.maximum(top - tile, 0)
        rows = [jax.lax.dynamic_slice_in_dim(leaf, bottom, tile) for leaf in stack]
        # Nobody is below to take a place: no need to stop for that.
        enough = jnp.where(bottom > 0, -1, keep)
        lanes, active = burst(iteration, unpack(rows, like), jnp.arange(tile) < top - bottom, enough)
        order = jnp.sort(jnp.where(active, 0, tile) + jnp.arange(tile)) % tile
        stack = [_write(leaf, part[order], bottom) for leaf, part in zip(stack, pack(lanes), strict=True)]
        return stack, bottom + jnp.sum(active, dtype=jnp.int32)

    last = count + num_left
    stack, top = jax.lax.while_loop(lambda carry: carry[1] > keep, turn, (stack, last))
    ids, ill, result = _tiled(partial(_end, iteration, like), tile, *stack)
    return Outcome(ids, ill, result, top, last, [leaf[:tile] for leaf in stack])


def burst(
    iteration: Iteration, lanes: Lanes, there: Bool[Array, " tile"], enough: Int[Array, ""]
) -> tuple[Lanes, Bool[Array, " tile"]]:
    """Steps, until at most ``enough`` lanes of those that are ``there`` are active, and which; −1: until an eighth
    has left."""
    step, done = jax.vmap(iteration.step), jax.vmap(iteration.done)
    active = there & ~lanes.ill & ~done(lanes.state)
    num = jnp.sum(active, dtype=jnp.int32)
    enough = jnp.where(enough < 0, num - (num + LEAVE - 1) // LEAVE, enough)

    def more(carry):
        return jnp.sum(carry[2], dtype=jnp.int32) > enough

    def body(carry):
        state, ill, active = carry
        moved = step(state, lanes.case)
        good = active if iteration.healthy is None else active & jax.vmap(iteration.healthy)(moved)
        state = jax.tree.map(partial(_where, good), moved, state)
        return state, ill | (active & ~good), good & ~done(moved)

    state, ill, active = jax.lax.while_loop(more, body, (lanes.state, lanes.ill, active))
    return lanes._replace(state=state, ill=ill), active


def pack(lanes: PyTree) -> list[Array]:
    """One array ``[lanes, columns]`` for each dtype: to move lanes is then an operation or two, however many
    leaves they have."""
    leaves = jax.tree.leaves(lanes)
    flat = [leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:])) for leaf in leaves]
    return [
        jnp.concatenate([part for part in flat if part.dtype == dtype], axis=1)
        for dtype in dict.fromkeys(leaf.dtype for leaf in leaves)
    ]


def unpack(rows: list[Array], like: PyTree) -> PyTree:
    """The lanes again. ``like``: shapes and dtypes of one of them."""
    leaves, structure = jax.tree.flatten(like)
    source = dict(zip(dict.fromkeys(leaf.dtype for leaf in leaves), rows, strict=True))
    used = dict.fromkeys(source, 0)
    out = []
    for leaf in leaves:
        first, num = used[leaf.dtype], math.prod(leaf.shape)
        used[leaf.dtype] += num
        part = source[leaf.dtype][:, first : first + num]
        out.append(part.reshape(part.shape[0], *leaf.shape))
    return structure.unflatten(out)


def _begin(iteration: Iteration, id: Int[Array, " tile"], case: PyTree) -> list[Array]:
    return pack(Lanes(id, case, jax.vmap(iteration.init)(case), jnp.zeros(id.shape, bool)))


def _end(iteration: Iteration, like: Lanes, *rows: Array) -> tuple[Array, Array, Any]:
    lanes = unpack(list(rows), like)
    return lanes.id, lanes.ill, jax.vmap(iteration.result)(lanes.state, lanes.case)


def _tiled(function: Callable, tile: int, *rows: PyTree) -> Any:
    """A function of tiles on more rows than that: the same shape, hence the same program, for every lane."""
    tiles = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] // tile, tile, *leaf.shape[1:]), rows)
    out = jax.lax.map(lambda part: function(*part), tiles)
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * tile, *leaf.shape[2:]), out)


def _write(leaf: Array, part: Array, at: Int[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(leaf, part, at, 0)


def _where(which: Bool[Array, " lanes"], new: Array, old: Array) -> Array:
    return jnp.where(which.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
