"""Tables in text, as pandas, R and spreadsheets write them: .csv, .tsv and the same in gzip. One reader for all."""

import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from divjax.inputs.files import unreadable
from divjax.inputs.frames import Table, listed, numbers_of, one_line

LONGEST = 2**29  # bytes of text, so that a small file in gzip does not fill the memory
_SEPARATORS = "\t;,|"
_SAMPLE = 100  # rows by which the separator is found
_ONE_DECIMAL = re.compile(r"[+-]?\d+(,\d+)?")
_WITH_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")


class _Form(NamedTuple):
    """How a table is written."""

    separator: str
    decimal: str
    has_header: bool
    names: list[str]  # of all columns


def read_csv(path: Path) -> Table:
    """The columns of numbers of a table in UTF-8 (or UTF-16 with its mark), with or without a header.

    Cells are parted by tabs, semicolons, commas or bars, whichever gives rows of one length; beside semicolons and
    tabs, and in a single column, a comma is a decimal mark. Lines that begin with # are comments. What is empty, NA or
    NaN is NaN; 1,234 in quotes is a number, 1_000 is none. ValueError, in one line, for what is no table: rows of
    unequal length, a name that stands twice, no rows.
    """
    text = _without_blanks(_text(path))
    if not text:
        what = "has none" if path.stat().st_size else "is empty"
        raise ValueError(f"Expected a table with rows; got {path.name!r}, which {what}.")
    try:
        form = _form(text, path.name)
        _check_widths(text, form, path.name)
        return numbers_of(_frame(text, form, path), path.name, decimal=form.decimal)
    except csv.Error as error:
        raise unreadable(path, error) from None


def _text(path: Path) -> str:
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                raw = file.read(LONGEST + 1)
        else:
            with path.open("rb") as file:
                raw = file.read(LONGEST + 1)
        if len(raw) > LONGEST:
            raise ValueError(
                f"Expected at most {LONGEST >> 20} MiB of text; got more in {path.name!r}. Save it as .npy."
            )
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def _without_blanks(text: str) -> str:
    """The lines that are neither a comment nor without a cell that is filled."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"(?m)^([ \t,;|\n]*|#.*)(\n|\Z)", "", text).strip("\n")


def _rows(text: str, separator: str, most: int) -> list[list[str]]:
    reader, found = csv.reader(io.StringIO(text), delimiter=separator), []
    for row in reader:
        found.append(row)
        if len(found) == most:
            break
    return found


def _form(text: str, name: str) -> _Form:
    separator = _separator(text)
    rows = _rows(text, separator, _SAMPLE)
    first, below = list(map(one_line, rows[0])), rows[1:]
    width = max(map(len, below), default=len(first))
    if below and len(first) == width + 1 and not first[-1].strip():  # a comma behind the last name alone
        first = first[:-1]
    if below and len(first) == width - 1 and all(len(row) == width for row in below):
        # R's names of rows have no name; a comma behind the last cell has nothing behind it.
        first = [*first, ""] if all(not row[-1].strip() for row in below) else ["", *first]
    has_header = bool(below) and _is_header(first, below)
    if not below and not any(map(is_number, first)):
        raise ValueError(f"Expected rows below the header of {name!r}; got {listed(first)} alone.")
    decimal = "," if separator != "," and _has_commas(below if has_header else rows) else "."
    return _Form(separator, decimal, has_header, first if has_header else list(map(str, range(width))))


def _separator(text: str) -> str:
    """The first that gives rows of one length of at least two cells; the most frequent where none does."""
    lines = text[: 1 << 16].split("\n")[:_SAMPLE]
    if len(lines) > 1 and not is_number(lines[0]) and "," not in lines[0]:
        body = [line.strip() for line in lines[1:] if line.strip()]
        if all(map(_ONE_DECIMAL.fullmatch, body)):
            return ";"  # a single column of numbers, some with a decimal comma
    for separator in _SEPARATORS:
        widths = {len(row) for row in _rows(text, separator, _SAMPLE)}
        if max(widths) > 1 and max(widths) - min(widths) <= (1 if separator == "\t" else 0):
            return separator
    return max(",", *_SEPARATORS, key=lambda each: sum(each in line for line in lines))


def _has_commas(rows: list[list[str]]) -> bool:
    cells = [cell.strip() for row in rows for cell in row]
    return any(map(_WITH_COMMA.fullmatch, cells)) and not any(re.fullmatch(r"[+-]?\d+\.\d+", cell) for cell in cells)


def is_number(cell: str) -> bool:
    """Whether it is one to a program: 1_000, which Python reads, is none."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _is_header(first: list[str], below: list[list[str]]) -> bool:
    """Whether names stand above numbers, there is no number at all, or the columns are numbered from 0."""
    names = [bool(cell.strip()) and not _is_written(cell) for cell in first]
    numbered = [cell.strip() for cell in first if cell.strip()]
    if len(numbered) > 1 and numbered == list(map(str, range(len(numbered)))):
        return not all(cell.strip().lstrip("-").isdigit() for row in below for cell in row)
    over = any(names[i] and _is_written(row[i]) for row in below for i in range(min(len(row), len(first))))
    return over or not any(map(_is_written, first))


def _is_written(cell: str) -> bool:
    return is_number(cell) or bool(_WITH_COMMA.fullmatch(cell.strip()))


def _check_widths(text: str, form: _Form, name: str) -> None:
    """pandas fills short rows up in silence."""
    width = len(form.names)
    for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=form.separator), 1):
        trailing = len(row) == width + 1 and not row[-1].strip()
        if len(row) != width and not trailing and not (number == 1 and form.has_header):
            raise ValueError(f"Expected {width} cells in every row of {name!r}; got {len(row)} in row {number}.")


def _frame(text: str, form: _Form, path: Path):
    import pandas

    try:
        frame = pandas.read_csv(
            io.StringIO(text),
            sep=form.separator,
            header=None,
            names=range(len(form.names)),
            index_col=False,
            usecols=range(len(form.names)),
            skiprows=int(form.has_header),
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:
        raise unreadable(path, error) from None
    frame.columns = form.names
    if not form.names[-1].strip() and frame.iloc[:, -1].isna().all() and len(form.names) > 1:
        frame = frame.iloc[:, :-1]  # a separator at the end of every row
    return frame
