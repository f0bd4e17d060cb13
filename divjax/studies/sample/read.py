"""Reading one column of a file."""

from pathlib import Path

import numpy as np

from divjax.inputs.files import read_npy
from divjax.inputs.text import read_csv


def read_column(path: Path, column: str | None) -> tuple[str, np.ndarray]:
    """The name and the numbers of one column of a .csv, .tsv, .csv.gz or .npy file, float64 [n]."""
    if not path.is_file():
        raise ValueError(
            f"Expected a file; got {str(path)!r}, which {'is a folder' if path.is_dir() else 'does not exist'}."
        )
    readers = {".csv": _csv_columns, ".tsv": _csv_columns, ".gz": _csv_columns, ".npy": _npy_columns}
    if path.suffix.lower() not in readers:
        raise ValueError(f"Expected a .csv, .tsv, .csv.gz or .npy file; got {path.name!r}. Convert it to one of them.")
    columns = readers[path.suffix.lower()](path)
    if column is None:
        if len(columns) > 1:
            raise ValueError(
                f"Expected --column, one of {', '.join(columns)}; got none, and {path.name} has {len(columns)}."
            )
        return next(iter(columns.items()))
    if column not in columns:
        raise ValueError(f"Expected --column out of the numeric columns {', '.join(columns)}; got {column!r}.")
    return column, columns[column]


def _csv_columns(path):
    """By name the columns with numbers in most rows; what is empty or text in them is NaN, and refused later."""
    found = read_csv(path)
    known = np.mean(np.isfinite(found.x), axis=0) > 0.5
    columns = {name: found.x[:, i] for i, name in enumerate(found.columns) if known[i]}
    if not columns:
        names = ", ".join((*found.columns, *found.words))
        raise ValueError(f"Expected a column with numbers in most rows of {path.name!r}; got none in {names}.")
    return columns


def _npy_columns(path):
    """The columns by number; one alone has the file's name."""
    array = read_npy(path)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise ValueError(
            f"Expected real numbers of shape [n] or [n, columns]; got {array.dtype} of shape {list(array.shape)} "
            f"in {path.name!r}. Convert it first."
        )
    if array.size == 0:
        raise ValueError(f"Expected numbers in {path.name!r}; got an empty array of shape {list(array.shape)}.")
    array = array.astype(float)
    if array.ndim == 1:
        return {path.stem: array}
    return {str(i): array[:, i] for i in range(array.shape[1])}
