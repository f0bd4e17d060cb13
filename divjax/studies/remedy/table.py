"""The remedy in words: the table that ``divjax remedy`` prints."""

from typing import TYPE_CHECKING

from divjax.studies.remedy import study
from divjax.tables import table as text_table

if TYPE_CHECKING:
    import xarray


def remedy(table: "xarray.Dataset") -> str:
    """The share of starts that recover the target, and the most frequent other end, for each optimiser and size."""
    shares = study.shares(table)
    rows = []
    for optimizer in table["optimizer"].values:
        for num in table["components"].values:
            of_label = shares.sel(optimizer=optimizer, components=num)
            recovered = of_label.sel(label="recovered").values
            others = of_label.mean("separation").drop_sel(label="recovered")
            worst = str(others["label"].values[int(others.values.argmax())]) if float(others.max()) > 0.0 else "–"
            rows.append((str(optimizer), str(int(num)), *(f"{100 * share:.0f} %" for share in recovered), worst))
    header = ("optimiser", "components", *(f"d = {d:g}" for d in table["separation"].values), "mostly else")
    return (
        f"Starts that end at the target, ½ N(0, 1) + ½ N(d, 1), out of {table.sizes['seed']}\n\n"
        f"{text_table(header, rows)}\n\nmerged: a component covers both modes; one_mode: all sit on the same; other: "
        "neither, such as steps that ran out."
    )
