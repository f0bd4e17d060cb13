"""A sweep on disk: zarr v3, one run chunk to one zarr chunk, written whole before it is marked as done.

Beside the arrays lies ``_sweep``: what the store is a sweep of (``zarr.json``), the marks of what is written and whole
(``skeleton.json``, ``marks/ITERATION.CHUNK.json``) and, while it runs, the locks of its processes.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from divjax.sweeps.configuration import fingerprint
from divjax.sweeps.filling import MARKS, filling, finished, room
from divjax.sweeps.lock import flock, locked, tried
from divjax.sweeps.marks import Mark, checksum, encode, intact, put, read, standing
from divjax.sweeps.processes import Member
from divjax.sweeps.table import Sink, Table, Tally, absent, labels

LEDGER = "_sweep"  # a subgroup: plain xarray.open_zarr does not see it
SKELETON = "skeleton.json"
DRAFT = (
    ".sweep-",
    ".draft",
)  # around a random name: no part of the store's name, which may be as long as a name can be
ALIVE, DAY = "alive.lock", 86400.0


class Found(NamedTuple):
    """A sweep that is already there."""

    chunk: tuple[int, ...]
    setting: dict[str, Any]
    programs: list[str]  # hashes of what ran
    jax: str
    platform: str


def peek(path: str | os.PathLike) -> Found | None:
    """What lies at ``path``: None if nothing does. Reads only.

    Raises:
        FileExistsError: something that no sweep has written.
        ValueError: an address.
    """
    if "://" in str(path):
        raise ValueError(
            f"Expected store to be a folder of this machine; got {str(path)!r}, an address. Name a folder, and copy it."
        )
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        ledger = json.loads((path / LEDGER / "zarr.json").read_text())["attributes"]
        return Found(tuple(ledger.pop("chunk")), **ledger)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if (path / LEDGER).is_dir():
            raise FileExistsError(
                f"Expected a whole ledger at {path / LEDGER}; got a damaged one: whether this store is "
                "of the same sweep cannot be told. Choose another path; xarray.open_zarr still reads what is there."
            ) from error
        raise FileExistsError(
            f"Expected {path} to be absent, empty or a sweep's store; got "
            f"{'a directory with other contents' if path.is_dir() else 'a file'}. Choose another path."
        ) from error


@contextmanager
def in_store(
    path: str | os.PathLike,
    table: Table,
    found: Found | None,
    setting: dict[str, Any],
    programs: list[str],
    member: Member,
) -> Iterator[Sink]:
    """A sink of zarr arrays: those found at ``path`` if they are of the same sweep, otherwise new ones. Locked.

    ``programs`` is the text of what will run: a changed loss or optimiser is another sweep, though every name
    and number that the configuration knows may be the same. A store that is finished and whole is only read.

    Raises:
        FileExistsError: the store is of another sweep, or another one is running on it.
        OSError: no room; or chunks are missing in the end, since other processes have died.
    """
    path = Path(path)
    hashes = [digest(text) for text in programs]
    mine = Found(table.chunk, setting, hashes, jax.__version__, jax.default_backend())
    with room(path):
        if found is None and not create(path, table, mine):
            found = peek(path)  # another process of this run, or another sweep, was quicker
        if found is not None:
            check_same(path, found, mine)
    # Every chunk is read to check it, once: what is found here need not be read again behind the lock.
    held = standing(path, path / LEDGER / MARKS) if is_sound(path) else {}
    if held and (sink := finished(path, table, held)):
        yield sink
        return
    with room(path), locked(path / LEDGER, member):
        if not is_sound(path):
            mend(path, table, mine, path / LEDGER / f"{SKELETON}.draft")
        yield filling(path, path / LEDGER, table, member, held)


def check_same(path: Path, found: Found | None, mine: Found) -> None:
    """Refuses another sweep's store, and says in what it differs."""
    if found is None:
        raise FileExistsError(
            f"Expected {path} to be absent or empty; got other contents meanwhile. Choose another path."
        )
    if fingerprint(found.setting) != fingerprint(mine.setting):
        where = differences(found.setting, mine.setting)
        raise FileExistsError(
            f"Expected {path} to hold this sweep (fingerprint {fingerprint(mine.setting)[:12]}); got another "
            f"({fingerprint(found.setting)[:12]}), different in {', '.join(where)}. "
            "Name another folder, or give the settings that it was begun with."
        )
    if found.chunk != mine.chunk:  # both came into being at once
        raise FileExistsError(
            f"Expected {path} to be in chunks of {mine.chunk}; got {found.chunk}. Give one chunk_size to all processes."
        )
    # None is a program whose text holds addresses of this process: nothing to compare.
    other = [
        name
        for name, theirs, ours in zip(mine.setting["iterations"], found.programs, mine.programs, strict=True)
        if None not in (theirs, ours) and theirs != ours
    ]
    if other:
        raise FileExistsError(
            f"Expected {path} to hold this sweep; got one for which other code ran for {', '.join(other)}: "
            f"another loss or optimiser, or another JAX ({found.jax} on {found.platform}; now {mine.jax} on "
            f"{mine.platform}). Read it with xarray.open_zarr, or choose another path."
        )


def differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    """Where two configurations differ, by path."""
    paths = []
    for key in sorted(a.keys() | b.keys()):
        x, y = a.get(key), b.get(key)
        if isinstance(x, dict) and isinstance(y, dict) and "sha256" not in x:
            paths += differences(x, y, f"{prefix}{key}.")
        elif x != y:
            paths.append(f"{prefix}{key}")
    return paths


def create(path: Path, table: Table, mine: Found) -> bool:
    """The store without values: built beside ``path`` and renamed, so that it is never there in part.

    -> False if another sweep's came meanwhile.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(f"Expected {path} to lie in folders; got a file above it. Choose another path.") from None
    with drawn(path, table, mine) as draft:
        try:
            os.rename(draft, path)  # replaces an empty directory, and nothing else
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            return False
    return True


@contextmanager
def drawn(path: Path, table: Table, mine: Found) -> Iterator[Path]:
    """A store without values beside ``path``, on the disk, in a folder that nobody else has: not another thread, nor a
    process of the same number in another container. What killed ones left goes."""
    for left in path.parent.glob("*".join(DRAFT)):
        if abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix=DRAFT[0], suffix=DRAFT[1], dir=path.parent))
    descriptor = os.open(home / ALIVE, os.O_RDWR | os.O_CREAT, 0o666)
    flock(descriptor)  # until this process ends, however it ends
    try:
        write_skeleton(home / "store", table, mine)
        yield home / "store"
    finally:
        os.close(descriptor)
        shutil.rmtree(home, ignore_errors=True)


def abandoned(draft: Path) -> bool:
    """Whether its process has ended: the lock is free. Where there are no locks, or not yet one, after a day."""
    with suppress(FileNotFoundError), tried(draft / ALIVE) as free:
        if free is not None:
            return free
    with suppress(FileNotFoundError):  # its process may take it away meanwhile
        return time.time() - draft.stat().st_mtime > DAY
    return False


def is_sound(path: Path) -> bool:
    """Whether metadata and coordinates are what was written."""
    mark = read(path / LEDGER / SKELETON)
    return mark is not None and intact(path, mark)


def mend(path: Path, table: Table, mine: Found, part: Path) -> None:
    """Writes metadata and coordinates anew: they are known, whatever happened to them."""
    with drawn(path, table, mine) as draft:
        mark = draft / LEDGER / SKELETON
        for file in [*(file for file in draft.rglob("*") if file.is_file() and file != mark), mark]:
            put(path / file.relative_to(draft), file.read_bytes(), part)


def write_skeleton(path: Path, table: Table, mine: Found) -> None:
    import xarray
    import zarr

    names = np.array(table.names, dtype=object)  # strings of any length: the kind that zarr v3 specifies
    coords = {**labels(table), table.dim: names}
    codecs = [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]  # the last: no reader takes damage for numbers
    xarray.Dataset(coords=coords, attrs=table.attributes).to_zarr(
        path,
        mode="w-",
        zarr_format=3,
        consolidated=False,
        encoding={name: {"compressors": codecs} for name in coords},
    )
    root = zarr.open_group(path, mode="r+")
    for name, variable in table.variables.items():
        root.create_array(
            name,
            shape=table.shape + variable.shape,
            chunks=(1, *table.chunk, *(max(length, 1) for length in variable.shape)),
            dtype=variable.dtype,
            compressors=codecs,
            fill_value=absent(variable.dtype),
            dimension_names=table.dims + variable.dims,
        )
    with warnings.catch_warnings():
        # Consolidated metadata are an extension of v3; without them plain open_zarr warns instead.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)
    root.create_group(LEDGER, attributes={**mine._asdict(), "chunk": list(mine.chunk)})
    (path / LEDGER / MARKS).mkdir()
    files = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
    for file in files.values():
        flush(file)
    mark = Mark({name: checksum(file.read_bytes()) for name, file in files.items()}, Tally(0, 0, 0))
    put(path / LEDGER / SKELETON, encode(mark), path / LEDGER / f"{SKELETON}.draft")


def flush(file: Path) -> None:
    with open(file, "rb+") as opened:
        os.fsync(opened.fileno())


def digest(text: str) -> str | None:
    """Hash of a program's text, or None where the text is not the same in every process (host callbacks)."""
    return None if "callback" in text else hashlib.sha256(text.encode()).hexdigest()
