"""Reading arrays and tables of numbers from files. Nothing is ever unpickled."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

KINDS = {".npy": "a .npy file", ".npz": "a .npz archive", ".csv": "a CSV file", ".parquet": "a Parquet file"}
PICKLE = "an object array or a pickle, which is never read"


class CsvFile(NamedTuple):
    """The numbers of a CSV file, float64 [n, d], the names of their columns, and those of the columns left out."""

    x: np.ndarray
    columns: tuple[str, ...]
    words: tuple[str, ...]  # of less than half numbers


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file; ValueError, in one line, where there is none that may be read."""
    try:
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError) as error:
        raise unreadable(path, error) from None


def read_csv(path: Path) -> CsvFile:
    """The columns of numbers of a CSV file in UTF-8, with or without a header; cells that are none are NaN.

    ValueError, in one line, for what is no table: rows of unequal length, a name that stands twice, no rows.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = _rows(csv.reader(file), 2)
            if not first:
                what = "has none" if path.stat().st_size else "is empty"
                raise ValueError(f"Expected a CSV file with rows; got {path.name!r}, which {what}.")
            separator = next((mark for mark in ";\t|" if len(first[0]) == 1 and mark in first[0][0]), None)
            if separator:
                raise ValueError(f"Expected commas between the cells of {path.name!r}; got {separator!r}. Convert it.")
            has_header = _is_header(first[0], first[-1])
            body = _all_numbers(path, has_header, len(first[0])) if len(first) > has_header else None
            if body is None:
                file.seek(0)
                return _mixed(_rows(csv.reader(file)), has_header, path.name)
    except (UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error) from None
    return CsvFile(body, _header(first[0], has_header, path.name), ())


def unreadable(path: Path, error: Exception) -> ValueError:
    """Why a file cannot be read, in a line; without numpy's advice, to unpickle."""
    line = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    why = f"{PICKLE}. Save it as a numeric array" if "pickle" in line.lower() else line
    kind = KINDS[path.suffix.lower()]
    return ValueError(f"Expected {kind} of numbers; got {path.name!r}, which cannot be read: {why}.")


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


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
    return CsvFile(stacked(columns, len(body)), tuple(columns), tuple(words))


def stacked(columns: dict[str, list[float]], rows: int) -> np.ndarray:
    """Columns side by side, float64 [rows, d]; d may be 0."""
    return (
        np.stack([np.asarray(values, float) for values in columns.values()], axis=1) if columns else np.zeros((rows, 0))
    )
