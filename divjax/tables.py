"""What tables and pictures share: aligned columns, and means over seeds with their errors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, numbers to the right, the last to the left again."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    last = len(header) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def standard_error(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Of the mean over seeds."""
    values = np.asarray(values, float)
    return values.std(axis, ddof=1) / np.sqrt(values.shape[axis])


def plus_minus(values: Any, digits: int = 1) -> str:
    """Mean ± standard error over seeds; of a single one the value alone."""
    mean = f"{float(np.mean(values)):.{digits}f}"
    return f"{mean} ± {float(standard_error(values)):.{digits}f}" if np.size(values) > 1 else mean


def count(num, noun):
    return f"{num:,} {noun}{'' if num == 1 else 's'}"
