"""The lines of the phase diagram in words: the table that ``divjax phase`` prints."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from divjax.tables import table


def phase(name: str, orders: Sequence[float], by_fits: Any, by_roots: Any) -> str:
    """Where the best Gaussian changes its kind, at some orders: by root finding, and how far bisected fits are off."""
    rows = []
    for i in range(0, len(orders), max(len(orders) // 15, 1)):
        found = [float(line[i]) for line in by_roots]
        apart = np.abs(np.array(found) - [float(line[i]) for line in by_fits])
        rows.append(
            (
                f"{float(orders[i]):.3f}",
                *("–" if np.isnan(at) else f"{at:.4f}" for at in found),
                "–" if np.isnan(apart).all() else f"{np.nanmax(apart):.0e}",
            )
        )
    title = f"{name}: separations at which seeking appears, is the better, and covering is no optimum any more"
    header = ("order", "seeking appears", "switch", "covering vanishes", "fits − roots")
    return f"{title}\n\n{table(header, rows)}\n"
