"""Reading arrays of numbers from files. Nothing is ever unpickled; memory is taken for what is there, not declared."""

import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

KINDS = {
    ".npy": "a .npy file",
    ".npz": "a .npz archive",
    ".csv": "a table in text",
    ".tsv": "a table in text",
    ".gz": "a gzip file",
    ".parquet": "a Parquet file",
}
PICKLE = "an object array or a pickle, which is never read"
# What reading an array raises where a file is damaged, or made to be.
FAULTS = (ValueError, OSError, EOFError, MemoryError, SyntaxError, OverflowError, KeyError, TypeError, zlib.error)

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file; ValueError, in one line, where there is none that may be read."""
    try:
        with path.open("rb") as file:
            return read_array(file, path.stat().st_size)
    except FAULTS as error:
        raise unreadable(path, error) from None


def read_array(file: BinaryIO, size: int) -> np.ndarray:
    """The array of a file in numpy's format, of ``size`` bytes: no more is made room for than these can fill."""
    version = np.lib.format.read_magic(file)
    if version in _HEADERS:
        shape, _, dtype = _HEADERS[version](file)
        declared = math.prod(shape) * dtype.itemsize
        if declared > size:
            raise ValueError(f"its header declares {declared:,} bytes, and it has {size:,}")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def unreadable(path: Path, error: Exception) -> ValueError:
    """Why a file cannot be read, in a line; without numpy's advice, to unpickle."""
    line = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    why = f"{PICKLE}. Save it as a numeric array" if "pickle" in line.lower() else line
    kind = KINDS[path.suffix.lower()]
    return ValueError(f"Expected {kind} of numbers; got {path.name!r}, which cannot be read: {why}.")
