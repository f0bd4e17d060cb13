"""How a sweep ended: counts by status, and the cases that somebody should look at."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from divjax.sweeps.program import FLAG

if TYPE_CHECKING:
    import xarray


class Summary(NamedTuple):
    """Of one iteration."""

    statuses: dict[int, int]  # how many cases have which status; -1: not run yet. Empty without such a result
    quarantined: int  # stopped by the engine, because a step made them NaN
    cases: list[dict[str, Any]]  # the first that are quarantined or suspect, by their coordinates


def summary(
    table: "xarray.Dataset",
    *,
    dim: str = "divergence",
    suspect: Callable[[np.ndarray], np.ndarray] = lambda status: status != 0,
    most: int = 20,
) -> dict[str, Summary]:
    """What became of a sweep's cases, by iteration. ``divjax.status.explain`` puts a status into words.

    Args:
        table: what ``sweep`` returned.
        dim: the dimension of the iterations.
        suspect: which statuses ask for a look, elementwise; by default all but 0, those not run yet among them.
        most: so many cases are listed for each iteration.

    Examples:
        >>> import xarray
        >>> coords = {"divergence": ["kl"], "seed": [5, 6, 7]}
        >>> table = xarray.Dataset({"status": (("divergence", "seed"), [[0, 0, 1]])}, coords)
        >>> dj.sweeps.summary(table)["kl"].statuses
        {0: 2, 1: 1}
    """
    if not hasattr(table, "sel") or dim not in table:
        got = f"one of {', '.join(table.dims)}" if hasattr(table, "sel") else type(table).__name__
        raise TypeError(f"Expected the table that dj.sweep returned, along {dim!r}; got {got}. Its dimension is dim=.")
    return {str(name): _one(table.sel({dim: name}), suspect, most) for name in table[dim].values}


def _one(part: "xarray.Dataset", suspect: Callable, most: int) -> Summary:
    marks = [part[name] for name in ("status", FLAG) if name in part]
    if not marks:
        return Summary({}, 0, [])
    dims, shape = marks[0].dims, marks[0].shape
    status = part["status"].values if "status" in part else np.zeros(shape, int)
    ill = part[FLAG].values if FLAG in part else np.zeros(shape, bool)
    places = np.argwhere(ill | suspect(status))[:most].tolist()
    cases = [_case(part.isel(dict(zip(dims, place, strict=True)))) for place in places]
    counts = dict(zip(*(column.tolist() for column in np.unique(status, return_counts=True)), strict=True))
    return Summary(counts if "status" in part else {}, int(ill.sum()), cases)


def _case(point: "xarray.Dataset") -> dict[str, Any]:
    return {str(name): value.values.tolist() for name, value in point.coords.items()}
