"""Reading arrays and tables from files. Nothing is ever unpickled."""

import csv
import math

import numpy as np

PICKLE = "an object array or a pickle, which is never read"


def read_npy(path):
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"Expected a .npy file of numbers; got {path.name!r}, which cannot be read: {reason(error)}."
        ) from None
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


def read_csv(path):
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"Expected a CSV file in UTF-8; got {path.name!r}, which cannot be read: {first_line(error)}."
        ) from None
    if not rows:
        raise ValueError(f"Expected a CSV file with rows; got {path.name!r}, which is empty.")
    if ragged := next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), None):
        raise ValueError(
            f"Expected {len(rows[0])} cells in every row of {path.name!r}; got {len(rows[ragged - 1])} in row {ragged}."
        )
    separator = next((mark for mark in ";\t|" if len(rows[0]) == 1 and mark in rows[0][0]), None)
    if separator:
        raise ValueError(f"Expected commas between the cells of {path.name!r}; got {separator!r}. Convert it.")
    below = rows[1:2] or [rows[0]]
    has_header = any(not is_number(name) and is_number(cell) for name, cell in zip(rows[0], below[0], strict=True))
    has_header |= not any(is_number(cell) for cell in rows[0])
    header = [cell.strip() for cell in rows[0]] if has_header else [str(i) for i in range(len(rows[0]))]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise ValueError(f"Expected different names of the columns in {path.name!r}; got {twice!r} twice. Rename one.")
    body = rows[has_header:]
    if not body:
        raise ValueError(f"Expected rows below the header of {path.name!r}; got {', '.join(header)} alone.")
    columns = {}
    for name, cells in zip(header, zip(*body, strict=True), strict=True):
        values = np.array([float(cell) if is_number(cell) else math.nan for cell in cells])
        if np.mean(np.isfinite(values)) > 0.5:  # what is empty or text in a column of numbers is NaN, and refused later
            columns[name] = values
    if not columns:
        raise ValueError(
            f"Expected a column with numbers in most rows of {path.name!r}; got none in {', '.join(header)}."
        )
    return columns


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a line; without numpy's advice, to unpickle."""
    line = first_line(error) if str(error) else type(error).__name__
    return PICKLE if "pickle" in line.lower() else line


def first_line(error):
    return str(error).split("\n")[0].rstrip(".")
