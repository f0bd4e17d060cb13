"""Reading what users type and the files they have. Nothing is ever unpickled; what is not understood is refused."""

import csv
import math
from pathlib import Path

import numpy as np

PICKLE = "an object array or a pickle, which is never read"
MOST = 1e6  # beyond, float32 does not resolve a mode of width 1


def numbers(text: str, name: str) -> list[float]:
    """ "2.5,5,10" -> [2.5, 5.0, 10.0], all finite."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"Expected {name} as numbers separated by commas, such as 1,2.5; got {text!r}.") from None
    if not all(map(math.isfinite, values)):
        raise ValueError(f"Expected finite {name}; got {text!r}. Leave out nan and inf.")
    return values


def grid(text: str, name: str) -> list[float]:
    """ "0:16:33" -> 33 evenly spaced values from 0 to 16; or a list as in ``numbers``. Each value once."""
    if ":" not in text:
        values = numbers(text, name)
    else:
        parts = text.split(":")
        if len(parts) != 3 or not parts[2].isdigit() or not 1 <= int(parts[2]) <= 10**6:
            raise ValueError(
                f"Expected {name} as START:STOP:COUNT with COUNT from 1 to 10^6, such as 0:16:33; got {text!r}."
            )
        low, high = numbers(f"{parts[0]},{parts[1]}", name)
        values = [float(value) for value in np.linspace(low, high, int(parts[2]))]
    if max(map(abs, values)) > MOST or min(values) < 0.0:
        raise ValueError(f"Expected {name} from 0 to {MOST:g}; got {text!r}. They are distances of the modes.")
    if len(set(np.float32(values).tolist())) < len(values):
        raise ValueError(f"Expected different {name}; got {text!r}, where one stands twice. Give each of them once.")
    return values


def pair(text: str, name: str) -> tuple[float, float]:
    values = numbers(text, name)
    if len(values) != 2:
        raise ValueError(f"Expected two {name}, one per mode, such as .5,.5; got {len(values)}: {text!r}.")
    return values[0], values[1]


def weights(text: str) -> tuple[float, float]:
    values = pair(text, "weights")
    if min(values) < 0:
        raise ValueError(f"Expected weights ≥ 0 that sum to 1; got {text!r}, of which {min(values):g} is negative.")
    if abs(sum(values) - 1) > 1e-6:
        raise ValueError(
            f"Expected weights ≥ 0 that sum to 1; got {text!r}, which sums to {sum(values):g}. Normalise them."
        )
    return values


def scales(text: str) -> tuple[float, float]:
    values = pair(text, "scales")
    if min(values) <= 0:
        raise ValueError(f"Expected scales > 0; got {text!r}. A scale is a standard deviation.")
    return values


def names(text: str, what: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts) or len(set(parts)) < len(parts):
        raise ValueError(f"Expected different {what} separated by commas, each once; got {text!r}.")
    return parts


def read_column(path: Path, column: str | None) -> tuple[str, np.ndarray]:
    """The name and the numbers of one column of a .csv or .npy file, float64 [n]."""
    if not path.is_file():
        raise ValueError(
            f"Expected a file; got {str(path)!r}, which {'is a folder' if path.is_dir() else 'does not exist'}."
        )
    readers = {".csv": _read_csv, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise ValueError(f"Expected a .csv or .npy file; got {path.name!r}. Convert it to one of the two.")
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


def _read_npy(path):
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


def _read_csv(path):
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


def member(text: str, processes: int) -> tuple[str, int, int] | tuple[()] | None:
    """ "host:1234/4/0" -> ("host:1234", 4, 0); "auto" -> (); "" -> None, no member of anything."""
    if processes < 1 or (processes > 1 and text):
        raise ValueError(f"Expected --processes of at least 1, and 1 with --distributed; got {processes} and {text!r}.")
    if text in ("", "auto"):
        return () if text else None
    address, *counts = text.split("/")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and len(counts) == 2 and all(part.isdigit() for part in counts)):
        raise ValueError(
            f"Expected --distributed as auto or ADDRESS:PORT/COUNT/INDEX, such as node0:1234/4/0; got {text!r}."
        )
    count, index = map(int, counts)
    if index >= count:
        raise ValueError(f"Expected --distributed with INDEX from 0 to COUNT − 1; got {text!r}.")
    return address, count, index


def check_no_file(path: Path) -> None:
    """ValueError where --out is a file."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"Expected --out to be a folder; got {str(path)!r}, which is a file. Name another.")


def make(path: Path, expected: str) -> None:
    """The folder with all above it, unless it is there; ValueError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"Expected {expected} that can be made; got {str(path)!r}: {error.strerror}. Name another."
        ) from None


def folder(path: Path, store: str = "", drawn: tuple[str, ...] = ()) -> None:
    """Made if it is not there. Figures that lie in it without the store they are drawn from, if any, are not ours."""
    check_no_file(path)
    make(path, "--out to be a folder")
    ours = store and (path / store).exists()
    if not ours and (taken := [name for name in drawn if (path / name).exists()]):
        without = f", which has no {store}" if store else ""
        raise ValueError(f"Expected no {', '.join(taken)} in {path}{without}; it is there already. Name another --out.")


def file_name(text: str) -> str:
    """Letters, digits, - and _ stay; the rest becomes _."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
