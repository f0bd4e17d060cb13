"""Assembly: chunks under way, put together from lanes that finish in any order."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, pairwise
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from divjax.sweeps.devices import Threads, share
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
    threads = Threads()
    try:
        yield from _completed(threads, launches, load, num)
    finally:
        threads.close()


def _completed(threads, launches, load, num):
    chunks: dict[int, Chunk] = {}
    before = left = None
    for launch, following in pairwise(chain(launches, [None])):
        runner = launch.runner()
        if left is None:
            left = [(runner.begin, np.int32(0))] * len(runner.advance)
        slot = next(k for k in count() if k not in chunks)  # a lane's id says where it belongs: slot, then row
        chunks[slot] = opened(launch, runner, num)
        last = following is None or following.iteration != launch.iteration
        keep = 0 if last or len(chunks) > CROWD else runner.keep
        outcomes = advance(threads, runner, load(launch.block, num), launch.size, slot * num, left, keep)
        left = None if last else [(outcome.left, outcome.first) for outcome in outcomes]
        yield from put(chunks, before, num)
        before = outcomes
    yield from put(chunks, before, num)


def opened(launch: Launch, runner: Runner, num: int) -> Chunk:
    columns = {name: np.zeros((num, *leaf.shape), leaf.dtype) for name, leaf in runner.columns.items()}
    return Chunk(launch, columns, [launch.size])


def advance(
    threads: Threads, runner: Runner, cases: PyTree, size: int, base: int, left: list[tuple], keep: int
) -> list[Outcome]:
    """The next call on every share."""
    futures = []
    for index, program in enumerate(runner.advance):
        mine = share(size, len(runner.advance), index)
        rows = np.resize(mine, runner.rows) if mine.size else np.zeros(runner.rows, np.int32)
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], cases)
        arguments = (base + rows, part, np.int32(mine.size), *left[index], np.int32(keep))
        futures.append(threads.call(index, program, arguments))
    return [future.result() for future in futures]


def put(chunks: dict[int, Chunk], outcomes: list[Outcome] | None, num: int) -> list[Chunk]:
    """The finished lanes in their places; gives the chunks that are complete now, and forgets them."""
    for outcome in outcomes or ():
        finished = slice(int(outcome.first), int(outcome.last))
        slots, places = np.divmod(np.asarray(outcome.id)[finished], num)
        leaves = [np.asarray(leaf)[finished] for leaf in (*jax.tree.leaves(outcome.result), outcome.ill)]
        for slot in np.unique(slots).tolist():
            mine = slots == slot
            for column, leaf in zip(chunks[slot].columns.values(), leaves, strict=False):
                column[places[mine]] = leaf[mine]
            chunks[slot].missing[0] -= int(mine.sum())
    return [chunks.pop(slot) for slot in sorted(chunks) if chunks[slot].missing == [0]]
