"""Assembly: chunks under way, put together from lanes that finish in any order."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count, pairwise
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from divjax.sweeps.devices import deal, rows, shares
from divjax.sweeps.lanes import Outcome
from divjax.sweeps.program import Runner

# Chunks under way at which stragglers are waited for: it bounds memory, and what a crash costs.
CROWD = 6


class Launch(NamedTuple):
    """A chunk to be run."""

    runner: Callable[[], Runner]  # waits for its compilation
    iteration: int
    block: int
    size: int  # cases, without padding


class Chunk(NamedTuple):
    """A chunk that was launched and is not complete."""

    launch: Launch
    columns: dict[str, np.ndarray]
    missing: list[int]  # how many cases, one entry


def completed(launches: Iterable[Launch], load: Callable[[int, int], PyTree], num: int) -> Iterator[Chunk]:
    """Runs chunks of ``num`` cases, gives those that are complete. While the host is busy with one, the next runs.

    ``load(block, n)`` are the n cases of a block, padded.
    """
    chunks: dict[int, Chunk] = {}
    before = left = None
    for launch, following in pairwise([*launches, None]):
        runner = launch.runner()
        if left is None:
            left = (runner.begin, np.zeros(runner.devices, np.int32))
        slot = next(k for k in count() if k not in chunks)  # a lane's id says where it belongs: slot, then row
        chunks[slot] = opened(launch, runner, num)
        last = following is None or following.iteration != launch.iteration
        outcome = advance(runner, launch, slot, load, left, 0 if last or len(chunks) > CROWD else runner.keep)
        left = None if last else (outcome.left, outcome.first)
        if before is not None:
            yield from put(chunks, *before)
        before = outcome, runner.rows
    if before is not None:
        yield from put(chunks, *before)


def opened(launch: Launch, runner: Runner, num: int) -> Chunk:
    columns = {name: np.zeros((num, *leaf.shape), leaf.dtype) for name, leaf in runner.columns.items()}
    return Chunk(launch, columns, [launch.size])


def advance(runner: Runner, launch: Launch, slot: int, load: Callable, left: tuple, keep: int) -> Outcome:
    order = deal(np.arange(runner.rows, dtype=np.int32), runner.devices)
    cases = load(launch.block, runner.rows)
    if runner.devices > 1:
        cases = jax.tree.map(lambda leaf: leaf[order], cases)
    size = shares(launch.size, runner.devices)
    return runner.advance(slot * runner.rows + order, cases, size, *left, np.int32(keep))


def put(chunks: dict[int, Chunk], outcome: Outcome, num: int) -> list[Chunk]:
    """The finished lanes in their places; gives the chunks that are complete now, and forgets them."""
    first, last = np.asarray(outcome.first), np.asarray(outcome.last)
    slots, places = np.divmod(rows(outcome.id, first, last), num)
    leaves = [rows(leaf, first, last) for leaf in (*jax.tree.leaves(outcome.result), outcome.ill)]
    for slot in np.unique(slots).tolist():
        mine = slots == slot
        for column, leaf in zip(chunks[slot].columns.values(), leaves, strict=False):
            column[places[mine]] = leaf[mine]
        chunks[slot].missing[0] -= int(mine.sum())
    return [chunks.pop(slot) for slot in sorted(chunks) if chunks[slot].missing == [0]]
