"""Lanes: many cases of one iteration in one program, in which whoever is done makes room for the next.

``jax.vmap(run)`` keeps every lane going until the slowest ends. Here the lanes lie on a stack, and a tile of fixed
width works on its top. Once an eighth of the tile is done, its lanes are sorted, those that go on first: what is done
thereby lies above the new top, for good, and the tile moves down by as many lanes, which are new ones. So all but an
eighth of the work is steps that some case needs, and the step is compiled once, for one shape.

What is left when the stack no longer fills a tile stays for the next chunk. A lane's numbers depend on neither its
place in the tile nor on its neighbours: the shapes never change, and no operation mixes lanes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from divjax.iteration import Iteration

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
    first: Int[Array, " 1"]
    last: Int[Array, " 1"]
    left: Lanes  # the first ``first`` of them are unfinished: for the next call


def advance(
    iteration: Iteration,
    id: Int[Array, " n"],
    case: PyTree,
    count: Int[Array, " 1"],
    left: Lanes,
    num_left: Int[Array, " 1"],
    keep: Int[Array, ""],
    *,
    tile: int,
) -> Outcome:
    """Runs the first ``count`` of n new lanes and ``num_left`` old ones until at most ``keep`` are unfinished.

    n is a multiple of ``tile``, ``left`` has ``tile`` lanes.
    """
    new = Lanes(id, case, _tiled(iteration.init, tile, case), jnp.zeros(id.shape, bool))
    # Rows that nobody is on are stepped too, now and then: they hold a case as well, lest a loop inside never ends.
    real = jnp.arange(tile) < num_left[0]
    left = jax.tree.map(lambda a, b: _where(real, a, b[:1]), left, new)
    stack = jax.tree.map(lambda a, b: _write(jnp.concatenate([a, b]), b, count[0]), new, left)
    last = count[0] + num_left[0]

    def turn(carry):
        stack, top = carry
        bottom = jnp.maximum(top - tile, 0)
        lanes = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, bottom, tile), stack)
        # Nobody is below to take a place: no need to stop for that.
        lanes, active = burst(iteration, lanes, jnp.arange(tile) < top - bottom, jnp.where(bottom > 0, -1, keep))
        order = jnp.sort(jnp.where(active, 0, tile) + jnp.arange(tile)) % tile
        stack = jax.tree.map(lambda leaf, part: _write(leaf, part[order], bottom), stack, lanes)
        return stack, bottom + jnp.sum(active, dtype=jnp.int32)

    stack, top = jax.lax.while_loop(lambda carry: carry[1] > keep, turn, (stack, last))
    result = _tiled(iteration.result, tile, stack.state, stack.case)
    rest = jax.tree.map(lambda leaf: leaf[:tile], stack)
    return Outcome(stack.id, stack.ill, result, top[None], last[None], rest)


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


def _tiled(function: Callable, tile: int, *rows: PyTree) -> Any:
    """vmap over the rows, a tile at a time: the same shape, hence the same program, for every lane."""
    tiles = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] // tile, tile, *leaf.shape[1:]), rows)
    out = jax.lax.map(lambda part: jax.vmap(function)(*part), tiles)
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * tile, *leaf.shape[2:]), out)


def _write(leaf: Array, part: Array, at: Int[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(leaf, part, at, 0)


def _where(which: Bool[Array, " lanes"], new: Array, old: Array) -> Array:
    return jnp.where(which.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
