"""The rows of ``dj.table``: every divergence between two distributions, read by name."""

import difflib
import importlib
import math
from typing import Any, NamedTuple

from divjax import status, tables


class Row(NamedTuple):
    """One divergence between two distributions."""

    name: str
    value: float
    stderr: float  # NaN where there is no route
    route: str  # "exact", "quadrature", "coupling", "cdfs", "pmf"; "none" where there is no value
    status: int  # bits of divjax.status

    def words(self) -> str:
        """What the status says, in a word or two; "none" where there is no value."""
        said = [text.partition(":")[0] for bit, text in status.MEANING.items() if self.status & bit]
        return "none" if self.route == "none" else ", ".join(said) or "ok"


class Table(tuple[Row, ...]):
    """Rows that print as a table; ``table["kl"]`` is one of them, ``table.keys()`` are their names."""

    def __getitem__(self, key):
        if not isinstance(key, str):
            return super().__getitem__(key)
        found = next((row for row in self if row.name == key), None)
        if found is None:
            near = difflib.get_close_matches(key.lower(), self.keys(), 3, 0.5) or self.keys()
            raise KeyError(f"Expected the name of a row; got {key!r}. Choose one of {', '.join(near)}.")
        return found

    def __contains__(self, key: Any) -> bool:
        return key in self.keys() if isinstance(key, str) else super().__contains__(key)

    def keys(self) -> list[str]:
        """The names of the rows."""
        return [row.name for row in self]

    def to_pandas(self) -> Any:
        """The rows as a frame of pandas, which has to be installed, indexed by name."""
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(list(self), columns=Row._fields).set_index("name")

    def __repr__(self) -> str:
        def error(row):
            return "" if math.isnan(row.stderr) else f"{row.stderr:.1e}" if row.stderr else "0"

        cells = [(row.name, f"{row.value:.6g}", error(row), row.route, row.words()) for row in self]
        return tables.table(("divergence", "value", "±", "route", "status"), cells)
