"""Topics and ratings in words: the table that ``divjax topics`` prints."""

from typing import TYPE_CHECKING

from divjax.studies.topics import study
from divjax.tables import plus_minus
from divjax.tables import table as text_table

if TYPE_CHECKING:
    import xarray


def topics(table: "xarray.Dataset") -> str:
    """The rates of unrealistic documents and ratings by size, means over data sets with their standard errors."""
    best = study.likeliest(table)
    documents, ratings = (best.sel(model=name) for name in (study.DOCUMENTS, study.RATINGS))
    columns = [
        _rates(documents["unrealistic"]),
        _rates(ratings["unrealistic"]),
        _rates(ratings["unrealistic_of_new_users"]),
    ]
    rows = [(str(int(size)), *cells) for size, *cells in zip(table["size"].values, *columns, strict=True)]
    header = ("topics, rank", "documents", "ratings", "ratings of new users")
    return (
        f"Generated draws whose true density is below that of {study.MASS:.0%} of real ones; the data have "
        f"{len(study.SUBJECTS)} topics and {study.GENRES} genres\n\n{text_table(header, rows)}"
    )


def _rates(values):
    values = values.transpose("size", "seed").values
    return [plus_minus(100.0 * row, 1) + " %" for row in values]
