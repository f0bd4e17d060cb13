"""Marks: which chunks of a store are done, and how one tells that they still are.

A chunk is a few files of zarr's and one mark, a small file that names them with length and CRC. The files are
written first, each under another name, flushed, and renamed; the mark likewise, last. So a mark promises that the data
are there, and the promise can be checked: a chunk whose files are gone, cut short or altered is not done, and neither
is one whose mark cannot be read.
"""

import json
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from divjax.sweeps.table import Tally

WRITERS = 8  # threads


class Mark(NamedTuple):
    """A chunk that is done: its files with (length, CRC), and how its fits ended."""

    files: dict[str, tuple[int, int]]
    tally: Tally


def put(path: Path, data: bytes, draft: Path) -> None:
    """Writes a file whole or not at all: as ``draft``, of the same file system, flushed to the disk, then renamed.

    The directory is not flushed: should the machine lose power, a name may be lost, and then the check finds it.

    Raises:
        OSError: no room, no right; nothing stands at ``path`` then but what stood there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def checksum(data: bytes) -> tuple[int, int]:
    return len(data), zlib.crc32(data)


def encode(mark: Mark) -> bytes:
    """One line of JSON and its CRC: no part of a mark, and no altered one, passes for a mark."""
    line = json.dumps({"files": mark.files, "tally": mark.tally}).encode()
    return b"%s\n%08x\n" % (line, zlib.crc32(line))


def decode(data: bytes) -> Mark | None:
    line, _, rest = data.partition(b"\n")
    if rest != b"%08x\n" % zlib.crc32(line):
        return None
    content = json.loads(line)
    return Mark({name: (size, crc) for name, (size, crc) in content["files"].items()}, Tally(*content["tally"]))


def read(path: Path) -> Mark | None:
    """The mark, or None where there is none, or none that can be read."""
    try:
        return decode(path.read_bytes())
    except OSError:
        return None


def write(root: Path, path: Path, files: dict[str, bytes], tally: Tally, drafts: Path) -> Mark:
    """A chunk: its files below ``root``, all at once, since flushing is waiting, and ``status`` after them, so that
    who reads meanwhile and finds it has the rest; then its mark at ``path``."""
    drafts.mkdir(exist_ok=True)
    last = {name for name in files if name.startswith("status/")}
    with ThreadPoolExecutor(WRITERS) as pool:
        for names in (files.keys() - last, last):
            list(pool.map(lambda k, name: put(root / name, files[name], drafts / str(k)), range(len(names)), names))
    mark = Mark({name: checksum(data) for name, data in files.items()}, tally)
    put(path, encode(mark), drafts / "mark")
    return mark


def intact(root: Path, mark: Mark) -> bool:
    """Whether the files are what was written. Reads all of them."""
    try:
        return all(checksum((root / name).read_bytes()) == expected for name, expected in mark.files.items())
    except OSError:
        return False


def standing(root: Path, folder: Path, known: Iterable[str] = ()) -> dict[str, Mark]:
    """The marks in a folder that hold, by file name; but those that are known."""
    new = sorted({path.name for path in folder.glob("*.json")}.difference(known))
    found = {name: read(folder / name) for name in new}
    return {name: mark for name, mark in found.items() if mark is not None and intact(root, mark)}
