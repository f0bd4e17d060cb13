"""From a data frame to columns of numbers: the same for every kind of file that a frame was read from."""

import json
import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas

# Numbers as people write them: 1,234.5 and, where the comma is the decimal mark, 1.234,5.
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_TRUTH = {"true": 1.0, "false": 0.0}
_INDEX = re.compile(r"__index_level_\d+__")


class Table(NamedTuple):
    """The numbers of a table, float64 [n, d], the names of their columns, those left out, and what there is to say."""

    x: np.ndarray
    columns: tuple[str, ...]
    words: tuple[str, ...]  # columns of less than half numbers
    notes: tuple[str, ...]


def numbers_of(frame: "pandas.DataFrame", name: str, *, decimal: str = ".") -> Table:
    """The columns of numbers and truth values of a frame, named by strings; cells that are none are NaN.

    A first column without a name that numbers or names the rows is no variable. Columns of lists of one length are a
    vector each, an embedding, and then are all that is compared. ``name``: of the file, for messages. ValueError, in
    one line, for a name that stands twice, and lists of unequal lengths.
    """
    names = [one_line(str(column)) for column in frame.columns]
    if twice := next((column for column in names if column and names.count(column) > 1), None):
        raise ValueError(f"Expected different names of the columns in {name!r}; got {twice!r} twice. Rename one.")
    notes, numbers, vectors, words = [], {}, {}, []
    for place, column in enumerate(names):
        values = frame.iloc[:, place]
        found = _as_vectors(values, column, name)
        if found is not None:
            vectors |= {f"{column}[{i}]": found[:, i] for i in range(found.shape[1])}
            continue
        found = _as_numbers(values, decimal)
        if _is_index(column, found, place):
            notes.append(f"{name}: a column that has no name and numbers the rows is left out.")
        elif found is None:
            words.append(column or f"unnamed {place}")
        else:
            numbers[column or f"unnamed {place}"] = found
    if vectors and numbers:
        notes.append(f"{name}: left out, beside the vectors: {listed(list(numbers))}.")
    chosen = vectors or numbers
    return Table(stacked(chosen, len(frame)), tuple(chosen), tuple(words), tuple(notes))


def one_line(text: str) -> str:
    """Without what would break a line of a message, or of a page."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def listed(names: list[str] | tuple[str, ...]) -> str:
    """At most five names, and whether there are more."""
    short = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:5]]
    return ", ".join(short) + (", …" if len(names) > 5 else "")


def stacked(columns: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Columns side by side, float64 [rows, d]; d may be 0."""
    return np.stack(list(columns.values()), axis=1) if columns else np.zeros((rows, 0))


def _is_index(column: str, values: np.ndarray | None, place: int) -> bool:
    """What pandas makes of an index in a Parquet file, and what it or R writes in front of a table in text."""
    if _INDEX.fullmatch(column):
        return True
    if place or column.lower() not in ("", "unnamed: 0"):
        return False
    return values is None or (np.all(np.diff(values) == 1.0) and values[:1] in (0.0, 1.0))


def _as_numbers(values: "pandas.Series", decimal: str) -> np.ndarray | None:
    """The column in float64, NaN where there is no number; None where less than half of what is filled are numbers."""
    import pandas

    kind = values.dtype.kind
    if kind in "mMc":
        return None
    if kind in "biuf":
        return values.to_numpy(float, na_value=math.nan)
    texts = values.map(lambda cell: str(cell).strip() if _is_filled(cell) else None)
    found = pandas.to_numeric(texts.map(lambda text: _plain(text, decimal)), errors="coerce").to_numpy(float)
    filled = texts.notna().to_numpy()
    return found if np.sum(np.isfinite(found) | np.isinf(found)) >= 0.5 * filled.sum() else None


def _is_filled(cell) -> bool:
    return cell is not None and not (isinstance(cell, float) and math.isnan(cell)) and bool(str(cell).strip())


def _plain(text: str | None, decimal: str) -> str | float | None:
    """A number as a program writes it; what is none as it is."""
    if text is None or text.lower() in _TRUTH:
        return text and _TRUTH[text.lower()]
    if decimal == ",":
        return text.replace(".", "").replace(",", ".") if _COMMA.fullmatch(text) else text
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _as_vectors(values: "pandas.Series", column: str, name: str) -> np.ndarray | None:
    """[n, d] of a column of lists, or of texts such as "[0.1, 0.2]"; None where it is something else."""
    if values.dtype.kind in "biufmMc" or not len(values):
        return None
    cells = [_as_list(cell) for cell in values]
    if any(cell is None for cell in cells):
        return None
    lengths = {len(cell) for cell in cells}
    if len(lengths) > 1:
        raise ValueError(
            f"Expected lists of one length in column {column!r} of {name!r}; got {min(lengths)} and {max(lengths)}."
        )
    return np.asarray(cells, float)


def _as_list(cell) -> list[float] | None:
    if isinstance(cell, str):
        if not (cell.startswith("[") and cell.endswith("]")):
            return None
        inside = cell[1:-1]
        try:  # JSON, or an array as numpy prints it
            cell = json.loads(cell) if "," in inside else [float(part) for part in inside.split()]
        except (ValueError, RecursionError):
            return None
    if not isinstance(cell, list | tuple | np.ndarray):
        return None
    flat = np.ravel(np.asarray(cell, dtype=object))
    return [float(each) for each in flat] if all(isinstance(each, int | float | np.number) for each in flat) else None
