"""Reading files of samples: .npy, .npz, .csv, .parquet. Nothing is ever unpickled; what is not understood is refused.

A file is known by its name and by its first bytes, and the two have to agree.
"""

import csv
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from divjax.inputs.files import PICKLE, is_number, reason

KINDS = {".npy": "a .npy file", ".npz": "a .npz archive", ".csv": "a CSV file", ".parquet": "a Parquet file"}
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
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    return _from_array(array, repr(path.name))


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
        raise _unreadable(path, error) from None
    return _from_array(array, f"{name!r} of {path.name!r}")


def _load_member(path, archive, name):
    try:
        array = archive[name]
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    if isinstance(array, bytes):  # a member that is no array
        raise _unreadable(path, ValueError(f"{name} is no array"))
    return array


def _unreadable(path, error):
    line = reason(error)
    if line == PICKLE:
        return ValueError(f"Expected an array of numbers in {path.name!r}; got {PICKLE}. Save it as a numeric array.")
    return ValueError(
        f"Expected {KINDS[path.suffix.lower()]} of numbers; got {path.name!r}, which cannot be read: {line}."
    )


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
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = _rows(csv.reader(file), 2)
            if not first:
                raise ValueError(f"Expected a CSV file with rows; got {path.name!r}, which has none.")
            separator = next((mark for mark in ";\t|" if len(first[0]) == 1 and mark in first[0][0]), None)
            if separator:
                raise ValueError(f"Expected commas between the cells of {path.name!r}; got {separator!r}. Convert it.")
            has_header = _is_header(first[0], first[-1])
            body = _all_numbers(path, has_header, len(first[0])) if len(first) > has_header else None
            if body is None:
                file.seek(0)
                return _mixed(_rows(csv.reader(file)), has_header, path.name)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None
    return SampleFile(body, _header(first[0], has_header, path.name), (body.shape[1],), ())


def _is_header(row, below):
    """Whether a word stands where there is a number below, or there is no number at all."""
    names = [bool(cell.strip()) and not is_number(cell) for cell in row]
    return any(names[i] and is_number(cell) for i, cell in enumerate(below[: len(row)])) or not any(map(is_number, row))


def _rows(reader, most=math.inf):
    rows = []
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append(row)
        if len(rows) >= most:
            break
    return rows


def _all_numbers(path, has_header, width):
    """The numbers below the header, read at numpy's speed; None where some cell is no number."""
    try:
        body = np.loadtxt(path, delimiter=",", skiprows=int(has_header), ndmin=2, encoding="utf-8-sig", comments=None)
    except ValueError:
        return None
    return body if body.size and body.shape[1] == width else None


def _header(row, has_header, name):
    header = tuple(cell.strip() for cell in row) if has_header else tuple(map(str, range(len(row))))
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise ValueError(f"Expected different names of the columns in {name!r}; got {twice!r} twice. Rename one.")
    return header


def _mixed(rows, has_header, name):
    """Columns cell by cell: what is empty is NaN, and a column that is mostly words is left out."""
    if ragged := next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), None):
        raise ValueError(
            f"Expected {len(rows[0])} cells in every row of {name!r}; got {len(rows[ragged - 1])} in row {ragged}."
        )
    header, body = _header(rows[0], has_header, name), rows[has_header:]
    if not body:
        raise ValueError(f"Expected rows below the header of {name!r}; got {', '.join(header[:5])} alone.")
    columns, words = {}, []
    for column, cells in zip(header, zip(*body, strict=True), strict=True):
        filled = [cell for cell in cells if cell.strip()]
        if filled and sum(map(is_number, filled)) < 0.5 * len(filled):
            words.append(column)
        else:
            columns[column] = [float(cell) if is_number(cell) else math.nan for cell in cells]
    return _from_columns(columns, words, name)


def _from_columns(columns, words, name):
    if not columns:
        raise ValueError(f"Expected a column of numbers in {name!r}; got none in {', '.join(words[:5])}.")
    listed = ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
    notes = (f"{name}: left out, for not being numbers: {listed}.",) if words else ()
    x = np.stack([np.asarray(values, float) for values in columns.values()], axis=1)
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
        raise _unreadable(path, error) from None
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
    return _from_columns(columns, words, path.name)
