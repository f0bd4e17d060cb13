"""Reading files of samples: .npy, .npz, .csv, .parquet. Nothing is ever unpickled; what is not understood is refused.

A file is known by its name and by its first bytes, and the two have to agree.
"""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from divjax.inputs.files import KINDS, read_csv, read_npy, stacked, unreadable

MAGIC = (
    (b"\x93NUMPY", "a .npy file"),
    (b"PK\x03\x04", "a .npz archive"),
    (b"PK\x05\x06", "a .npz archive"),  # an empty one
    (b"PAR1", "a Parquet file"),
    (b"\x80", "a pickle, which is never read"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF file"),
)


class SampleFile(NamedTuple):
    """The rows of a file: x float64 [n, d], a name for each column, the shape of a row, and what there is to say."""

    x: np.ndarray
    columns: tuple[str, ...]
    shape: tuple[int, ...]  # (d,) for a table; (8, 8) for an array [n, 8, 8] of images
    notes: tuple[str, ...]


def read_samples(path: Path) -> SampleFile:
    """A sample from a .npy, .npz (``FILE.npz:NAME`` where it holds several arrays), .csv or .parquet file.

    Raises ValueError, in one line, for what is missing, misnamed, not numbers, empty or of a single row.
    """
    path, member = _member(path)
    if not path.is_file():
        raise ValueError(
            f"Expected a file of samples; got {str(path)!r}, which "
            f"{'is a folder' if path.is_dir() else 'does not exist'}."
        )
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise ValueError(f"Expected a .npy, .npz, .csv or .parquet file; got {path.name!r}. Convert it to one of them.")
    if path.stat().st_size == 0:
        raise ValueError(f"Expected {KINDS[suffix]} with samples; got {path.name!r}, which is empty.")
    found = _content(path)
    if found != KINDS[suffix]:
        raise ValueError(
            f"Expected {KINDS[suffix]}; got {path.name!r}, whose content is {found}. Rename or convert it."
        )
    read = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}[suffix]
    sample = read(path, member) if suffix == ".npz" else read(path)
    if sample.x.shape[0] < 2:
        raise ValueError(f"Expected at least 2 rows in {path.name!r}; got {sample.x.shape[0]}. A sample needs several.")
    return sample


def finite_rows(sample: SampleFile, name: str, *, drop: bool) -> SampleFile:
    """The sample, if its entries are finite; with ``drop`` its finite rows, and a note of how many were left out."""
    bad = ~np.isfinite(sample.x)
    if not bad.any():
        return sample
    rows = int(np.sum(bad.any(axis=1)))
    nans = int(np.sum(np.isnan(sample.x)))
    what = " and ".join(
        f"{count} {word}" for count, word in ((nans, "NaN"), (int(bad.sum()) - nans, "infinite")) if count
    )
    if not drop:
        raise ValueError(
            f"Expected finite numbers; got {what} in {rows} of the {len(sample.x)} rows of {name!r}. Mend them, or "
            "leave those rows out with --drop-nan."
        )
    kept = sample.x[~bad.any(axis=1)]
    if len(kept) < 2:
        raise ValueError(
            f"Expected at least 2 finite rows in {name!r}; got {len(kept)} of {len(sample.x)}. Mend the others."
        )
    return sample._replace(
        x=kept, notes=(*sample.notes, f"{name}: {rows} of {len(sample.x)} rows dropped, with {what}.")
    )


def aligned(sample: SampleFile, name: str, other: SampleFile, other_name: str) -> SampleFile:
    """``other`` with its columns in the order of ``sample``'s, where both name the same ones."""
    if sample.x.shape[1] != other.x.shape[1]:
        raise ValueError(
            f"Expected samples of one dimension; got {sample.x.shape[1]} columns in {name!r} and {other.x.shape[1]} in "
            f"{other_name!r}. Keep the same columns in both."
        )
    if sample.columns == other.columns:
        return other
    if set(sample.columns) == set(other.columns):
        order = [other.columns.index(column) for column in sample.columns]
        return other._replace(x=other.x[:, order], columns=sample.columns)
    if _is_named(sample.columns) and _is_named(other.columns):
        mine = sorted(set(sample.columns) - set(other.columns))
        raise ValueError(
            f"Expected the same columns in both files; got {', '.join(mine[:5])} in {name!r} alone. "
            "Rename or drop them."
        )
    return other


def image_shape(text: str, dim: int) -> tuple[int, ...]:
    """ "8x8" or "32x32x3" -> (8, 8) or (32, 32, 3), which must multiply to the dimension."""
    parts = text.lower().replace("×", "x").split("x")
    shape = tuple(int(part) for part in parts if part.isdigit())
    if (
        len(shape) != len(parts)
        or len(shape) not in (2, 3)
        or math.prod(shape) != dim
        or (shape[2:] or (1,))[0] not in (1, 3)
    ):
        raise ValueError(
            f"Expected --image HEIGHTxWIDTH or HEIGHTxWIDTHx3 with a product of {dim}, the number of columns; got "
            f"{text!r}. Leave it out for a table."
        )
    return shape[:2] if shape[2:] == (1,) else shape


def _member(path):
    """FILE.npz:NAME -> (FILE.npz, NAME)."""
    head, colon, tail = str(path).rpartition(":")
    return (Path(head), tail) if colon and head.lower().endswith(".npz") and not path.exists() else (path, None)


def _is_named(columns: Sequence[str]) -> bool:
    return columns != tuple(map(str, range(len(columns))))


def _content(path):
    with path.open("rb") as file:
        head = file.read(4096)
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    text = head.decode("utf-8-sig", errors="ignore")
    if b"\0" in head or sum(letter < " " and letter not in "\t\r\n" for letter in text) > 0:
        return "binary of an unknown kind"
    if text.lstrip()[:1] in ("<", "{"):
        return "HTML or XML" if text.lstrip()[0] == "<" else "JSON"
    return "a CSV file"


def _read_npy(path):
    return _from_array(read_npy(path), repr(path.name))


def _read_npz(path, member):
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = archive.files
            if member is None and len(names) != 1:
                raise ValueError(
                    f"Expected one array in {path.name!r}, or {path.name}:NAME; got {len(names)}: "
                    f"{', '.join(names) or 'none'}."
                )
            if member is not None and member not in names:
                raise ValueError(f"Expected an array of {path.name!r}, one of {', '.join(names)}; got {member!r}.")
            name = member or names[0]
            array = _load_member(path, archive, name)
    except (OSError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from None
    return _from_array(array, f"{name!r} of {path.name!r}")


def _load_member(path, archive, name):
    try:
        array = archive[name]
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError, KeyError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from None
    if isinstance(array, bytes):  # a member that is no array
        raise unreadable(path, ValueError(f"{name} is no array"))
    return array


def _from_array(array, name):
    if array.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers in {name}; got an array of {array.dtype}. Convert it first.")
    if not 1 <= array.ndim <= 4:
        raise ValueError(
            f"Expected shape [n], [n, d] or [n, height, width] in {name}; got {list(array.shape)}. Reshape it."
        )
    if array.size == 0:
        raise ValueError(f"Expected samples in {name}; got an empty array of shape {list(array.shape)}.")
    x = array.reshape(array.shape[0], -1).astype(float)
    shape = array.shape[1:] if array.ndim > 1 else (1,)
    return SampleFile(x, tuple(map(str, range(x.shape[1]))), shape[:2] if shape[2:] == (1,) else shape, ())


def _read_csv(path):
    found = read_csv(path)
    return _without(found.x, found.columns, found.words, path.name)


def _without(x, columns, words, name):
    """The columns of numbers, and a note of those of words, which are left out."""
    if not columns:
        raise ValueError(f"Expected a column of numbers in {name!r}; got none in {', '.join(words[:5])}.")
    listed = ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
    notes = (f"{name}: left out, for not being numbers: {listed}.",) if words else ()
    return SampleFile(x, tuple(columns), (x.shape[1],), notes)


def _read_parquet(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"Expected pyarrow to be installed to read {path.name!r}; got no such package. pip install "
            "'divjax[parquet]', or convert the file to .npy or .csv."
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from None
    types = pyarrow.types
    columns, words = {}, []
    for column, values in zip(table.column_names, table.columns, strict=True):
        kind = values.type
        if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_decimal(kind):
            columns[column] = [math.nan if value is None else float(value) for value in values.to_pylist()]
        else:
            words.append(column)
    if not table.num_rows:
        raise ValueError(f"Expected rows in {path.name!r}; got an empty table.")
    x = stacked(columns, table.num_rows)
    return _without(x, columns, words, path.name)
