"""Filling a store: chunks as zarr would write them, each with its mark, by one process or several."""

import errno
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from divjax.sweeps import marks
from divjax.sweeps.lock import is_held, lock_name
from divjax.sweeps.processes import Member, share
from divjax.sweeps.table import Sink, Table, tally, total

MARKS = "marks"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POLL, GRACE = 0.2, 600.0  # seconds: between looks at other processes; for one that is not seen and writes nothing
LOOKS = 5  # in a row at a file without its lock


def finished(root: Path, table: Table, found: dict[str, marks.Mark]) -> Sink | None:
    """The sink of a store with nothing left to do, which is only read; None if there is something left.

    found: the marks that hold."""
    done = present(found, table)
    if not done.all():
        return None
    ended = total(mark.tally for mark in found.values())
    return Sink(done, ~done, lambda *_: None, lambda: ended, lambda: opened(root, table))


def filling(root: Path, ledger: Path, table: Table, member: Member, known: dict[str, marks.Mark]) -> Sink:
    """The sink of a store that is not finished. Its lock is held. known: marks that held a moment ago."""
    folder, drafts = ledger / MARKS, ledger / f"{member.index}of{member.count}.drafts"
    sweep_out(ledger, drafts)
    found = known | marks.standing(root, folder, known=known)
    encoded = encoder(root, list(table.variables))
    ended = total(mark.tally for mark in found.values())

    def add(new):
        nonlocal ended
        found.update(new)
        ended = total([ended, *(mark.tally for mark in new.values())])

    def write(iteration, block, region, values):
        counted = tally(values, math.prod(part.stop - part.start for part in region))
        files, mark = encoded(iteration, region, values), mark_name(iteration, block)
        with room(root):
            add({mark: marks.write(root, folder / mark, files, counted, drafts)})

    def tallied():
        if member.count > 1:
            add(marks.standing(root, folder, known=found))
        return ended

    def finish():
        if member.count > 1:
            wait(root, ledger, table, member)
        missing = int((~present(marks.standing(root, folder), table)).sum())
        if missing:
            raise OSError(
                f"Expected {math.prod(table.marks)} chunks in {root} at the end; got {missing} less: "
                f"{'another process ended early' if member.count > 1 else 'they do not read back as written'}. "
                "Start the same sweep again: it runs just these."
            )
        shutil.rmtree(drafts, ignore_errors=True)
        return opened(root, table)

    return Sink(present(found, table), share(table.marks, member), write, tallied, finish)


def sweep_out(ledger: Path, mine: Path) -> None:
    """Half-written files of killed processes."""
    for folder in ledger.glob("*.drafts"):
        if folder == mine or not folder.with_suffix(".lock").exists():
            shutil.rmtree(folder, ignore_errors=True)


def encoder(
    root: Path, names: list[str]
) -> Callable[[int, tuple[slice, ...], dict[str, np.ndarray]], dict[str, bytes]]:
    """(iteration, region, values) -> files by name: zarr's own encoding, in memory, so that writing is ours."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype

    made = default_buffer_prototype().buffer.from_bytes
    held = {f"{name}/zarr.json": made((root / name / "zarr.json").read_bytes()) for name in names}
    metadata = set(held)
    # Else a chunk of nothing but the fill value is no file, and could not be told from a lost one.
    with zarr.config.set({"array.write_empty_chunks": True}):
        store = zarr.storage.MemoryStore(held)
        arrays = {name: zarr.open_array(store, path=name, mode="r+") for name in names}

    def encoded(iteration, region, values):
        for name, value in values.items():
            arrays[name][(iteration, *region)] = value
        return {key: held.pop(key).to_bytes() for key in sorted(held.keys() - metadata)}

    return encoded


def opened(root: Path, table: Table) -> Any:
    import xarray

    dataset = xarray.open_zarr(root)
    # Not dataset[names]: that drops coordinates along dimensions that no variable has.
    return xarray.Dataset({name: dataset[name] for name in table.variables}, dataset.coords, dataset.attrs)


def present(found: dict[str, marks.Mark], table: Table) -> Bool[np.ndarray, "iterations chunks"]:
    rows, columns = table.marks
    return np.array([[mark_name(i, block) in found for block in range(columns)] for i in range(rows)])


def mark_name(iteration: int, block: int) -> str:
    return f"{iteration}.{block}.json"


def wait(root: Path, ledger: Path, table: Table, member: Member) -> None:
    """Until the other processes of this run have finished, or cannot any more. No process waits before its end.

    One that was killed has left its file without the lock. One that is not seen has yet to begin, or there are no
    locks: it has some time.
    """
    shares = [share(table.marks, member._replace(index=index)) for index in range(member.count)]
    found: dict[str, marks.Mark] = {}
    deadline, looks = time.monotonic() + GRACE, 0
    while time.monotonic() < deadline and looks < LOOKS:
        new = marks.standing(root, ledger / MARKS, known=found)
        found |= new
        missing = ~present(found, table)
        others = [i for i, part in enumerate(shares) if i != member.index and (missing & part).any()]
        files = [ledger / lock_name(member._replace(index=i)) for i in others]
        held = [is_held(file) for file in files if file.exists()]
        if not others:
            return
        looks = looks + 1 if False in held else 0  # one that begins has its file a moment before the lock
        if new or True in held:
            deadline = time.monotonic() + GRACE
        time.sleep(POLL)


@contextmanager
def room(root: Path) -> Iterator[None]:
    """A full disk in one line."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(
            f"Expected room for {root}; got: {os.strerror(error.errno)}. What is finished is kept: make room and start "
            "the same sweep again."
        ) from error
