"""Reading one column of a file."""

from pathlib import Path

import numpy as np

from divjax.inputs.files import read_csv, read_npy


def read_column(path: Path, column: str | None) -> tuple[str, np.ndarray]:
    """The name and the numbers of one column of a .csv or .npy file, float64 [n]."""
    if not path.is_file():
        raise ValueError(
            f"Expected a file; got {str(path)!r}, which {'is a folder' if path.is_dir() else 'does not exist'}."
        )
    readers = {".csv": read_csv, ".npy": read_npy}
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
