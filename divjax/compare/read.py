"""Reading files of samples: .npy, .npz, .csv, .tsv, .csv.gz, .parquet. Nothing is ever unpickled; what is not
understood is refused.

A file is known by its name and by its first bytes, and the two have to agree.
"""

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from divjax.inputs.files import FAULTS, KINDS, read_array, read_npy, unreadable
from divjax.inputs.frames import Table, listed, numbers_of
from divjax.inputs.text import read_csv

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


LARGEST = 2**32  # bytes of an array in an archive, which may be small and claim much


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
    if suffix not in KINDS or (suffix == ".gz" and path.suffixes[-2:-1] not in ([".csv"], [".tsv"])):
        raise ValueError(
            f"Expected a .npy, .npz, .csv, .tsv, .csv.gz or .parquet file; got {path.name!r}. Convert it to one of "
            "them."
        )
    if path.stat().st_size == 0:
        raise ValueError(f"Expected {KINDS[suffix]} with samples; got {path.name!r}, which is empty.")
    found = _content(path)
    if found != KINDS[suffix]:
        raise ValueError(
            f"Expected {KINDS[suffix]}; got {path.name!r}, whose content is {found}. Rename or convert it."
        )
    read = {".npy": _read_npy, ".npz": _read_npz, ".parquet": _read_parquet}.get(suffix, _read_csv)
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


def filled(sample: SampleFile, name: str, *, drop: bool) -> SampleFile:
    """The sample, if every column has a number; with ``drop`` those that have, and a note of the others."""
    empty = np.all(np.isnan(sample.x), axis=0)
    if not empty.any():
        return sample
    lost = [column for column, is_empty in zip(sample.columns, empty, strict=True) if is_empty]
    if not drop or empty.all():
        raise ValueError(
            f"Expected numbers in every column of {name!r}; got none in {listed(lost)}. Leave such columns out with "
            "--drop-empty."
        )
    kept = tuple(column for column in sample.columns if column not in lost)
    note = f"{name}: left out, for being empty: {listed(lost)}."
    return sample._replace(x=sample.x[:, ~empty], columns=kept, shape=(len(kept),), notes=(*sample.notes, note))


def noted(x: SampleFile, name: str, y: SampleFile, other_name: str) -> SampleFile:
    """``x`` with notes of what makes two files differ though their contents may not: units, and what is missing."""
    notes, missing = [], [np.isnan(each.x).any(axis=1).mean() for each in (x, y)]
    if max(missing) > 0.0 and abs(missing[0] - missing[1]) > 0.02:
        notes.append(f"Rows with something missing: {missing[0]:.0%} of {name}, {missing[1]:.0%} of {other_name}.")
    for (one, in_one), (two, in_two) in (((x, name), (y, other_name)), ((y, other_name), (x, name))):
        if _are_bytes(one.x) and np.nanmin(two.x) >= 0.0 and np.nanmax(two.x) <= 1.0:
            notes.append(f"{in_one} holds whole numbers up to 255, {in_two} numbers from 0 to 1: the same unit?")
    return x._replace(notes=(*x.notes, *notes))


def _are_bytes(x: np.ndarray) -> bool:
    return bool(
        np.nanmax(x) > 100.0
        and np.nanmin(x) >= 0.0
        and np.nanmax(x) <= 255.0
        and np.all((x == np.floor(x)) | np.isnan(x))
    )


def aligned(sample: SampleFile, name: str, other: SampleFile, other_name: str) -> SampleFile:
    """``other`` with its columns in the order of ``sample``'s, where both name the same ones."""
    if sample.x.shape[1] != other.x.shape[1]:
        raise ValueError(
            f"Expected samples of one dimension; got {sample.x.shape[1]} columns in {name!r} and {other.x.shape[1]} in "
            f"{other_name!r}{_apart(sample, other)}. Keep the same columns in both."
        )
    if len(sample.shape) > 1 and len(other.shape) > 1 and sample.shape != other.shape:
        raise ValueError(
            f"Expected rows of one shape; got {list(sample.shape)} in {name!r} and {list(other.shape)} in "
            f"{other_name!r}. Transpose one of them."
        )
    if sample.columns == other.columns:
        return other
    if set(sample.columns) == set(other.columns):
        order = [other.columns.index(column) for column in sample.columns]
        return other._replace(x=other.x[:, order], columns=sample.columns)
    if _is_named(sample.columns) and _is_named(other.columns):
        raise ValueError(
            f"Expected the same columns in {name!r} and {other_name!r}{_apart(sample, other)}. Rename or drop them."
        )
    return other


def _apart(sample: SampleFile, other: SampleFile) -> str:
    """The columns that only one of two files has."""
    if not (_is_named(sample.columns) and _is_named(other.columns)):
        return ""
    mine, theirs = ([c for c in a.columns if c not in b.columns] for a, b in ((sample, other), (other, sample)))
    return "; " + " and ".join(
        f"{listed(names)} in the {which} alone" for names, which in ((mine, "first"), (theirs, "second")) if names
    )


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
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="ignore")
    if "\0" in text or sum(letter < " " and letter not in "\t\r\n" for letter in text) > 0:
        return "binary of an unknown kind"
    if text.lstrip()[:1] in ("<", "{"):
        return "HTML or XML" if text.lstrip()[0] == "<" else "JSON"
    return "a table in text"


def _read_npy(path):
    return _from_array(read_npy(path), repr(path.name))


def _read_npz(path, member):
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if member is None and len(inside) != 1:
                raise ValueError(
                    f"Expected one array in {path.name!r}, or {path.name}:NAME; got {len(inside)}: "
                    f"{listed(list(inside)) or 'none'}."
                )
            if member is not None and member not in inside:
                raise ValueError(f"Expected an array of {path.name!r}, one of {listed(list(inside))}; got {member!r}.")
            name = member or next(iter(inside))
            array = _member_of(path, archive, inside[name])
    except (OSError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from None
    return _from_array(array, f"{name!r} of {path.name!r}")


def _member_of(path, archive, info):
    if info.file_size > LARGEST:
        raise ValueError(
            f"Expected at most {LARGEST >> 30} GiB in {info.filename!r} of {path.name!r}. Save it as .npy."
        )
    try:
        return read_array(io.BytesIO(archive.read(info)), info.file_size)
    except (*FAULTS, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from None


def _from_array(array, name):
    if array.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers in {name}; got an array of {array.dtype}. Convert it first.")
    if not 1 <= array.ndim <= 4:
        raise ValueError(
            f"Expected shape [n], [n, d] or [n, height, width] in {name}; got {list(array.shape)}. Reshape it."
        )
    if array.size == 0:
        raise ValueError(f"Expected samples in {name}; got an empty array of shape {list(array.shape)}.")
    notes = ()
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array, notes = np.moveaxis(array, 1, -1), (f"{name}: colours first, as in torch; moved behind the columns.",)
    x = array.reshape(array.shape[0], -1).astype(float)
    shape = array.shape[1:] if array.ndim > 1 else (1,)
    return SampleFile(x, tuple(map(str, range(x.shape[1]))), shape[:2] if shape[2:] == (1,) else shape, notes)


def _read_csv(path):
    return _sample(read_csv(path), path.name)


def _sample(table: Table, name: str) -> SampleFile:
    """The columns of numbers, and notes of what is left out."""
    if not table.columns:
        raise ValueError(f"Expected a column of numbers in {name!r}; got none in {listed(table.words)}.")
    notes = (f"{name}: left out, for not being numbers: {listed(table.words)}.",) if table.words else ()
    return SampleFile(table.x, table.columns, (table.x.shape[1],), (*table.notes, *notes))


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
        frame = table.to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise unreadable(path, error) from None
    if not table.num_rows:
        raise ValueError(f"Expected rows in {path.name!r}; got an empty table.")
    return _sample(numbers_of(frame, path.name), path.name)
