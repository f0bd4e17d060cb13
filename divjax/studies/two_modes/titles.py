"""The finding of a sweep that is its figure's title, and the notes beside it."""

import numpy as np

from divjax import diagnostics
from divjax.status import OK
from divjax.tables import count


def verdict(separation, names, found):
    """What the best fits are, over divergences."""
    best = [row[0] for row in found if row]
    apart = f"Modes {separation:g} apart: "
    if not best:
        return apart + "no fit converged"
    kinds = (
        (sum(o.basin >= 0 for o in best), "collapse", "onto one mode"),
        (sum(o.basin == diagnostics.AVERAGES for o in best), "average", "the modes"),
        (sum(o.basin == diagnostics.COVERS for o in best), "cover", "both modes"),
    )
    if len(names) == 1:
        return apart + next(f"{names[0]} {verb}s {what}" for num, verb, what in kinds if num)
    parts = [f"{num} {verb if num > 1 else verb + 's'} {what}" for num, verb, what in kinds if num]
    return f"{apart}of {len(names)} divergences {', '.join(parts)}"


def story(d, names, found):
    """Which divergence gives up a mode first, and how many never do."""
    if len(d) == 1:
        return verdict(d[0], names, [row[0] for row in found])
    onsets = {name: at for name, row in zip(names, found, strict=True) if (at := first_collapse(d, row)) is not None}
    if not onsets:
        return f"Up to separation {d[-1]:g} no best Gaussian collapses onto one mode"
    first = min(onsets, key=onsets.get)
    never = len(names) - len(onsets)
    rest = f"; {never} of {len(names)} never do" if never else "; in the end all do"
    return f"{first} is the first to give up a mode, at separation {onsets[first]:g}{rest}"


def first_collapse(d, found):
    return next((at for at, row in zip(d, found, strict=True) if row and row[0].basin >= 0), None)


def onset(d, found):
    """From which separation on the best optimum of a divergence is collapsed."""
    if not any(found):
        return "no fit converged"
    if len(d) == 1:
        return diagnostics.basin_name(found[0][0].basin)
    at = first_collapse(d, found)
    return "never collapses" if at is None else f"collapses from {at:g}"


def left_out(fits):
    """A note of the fits that did not converge; empty if all did."""
    ok = converged(fits)
    num = ok.size - int(ok.sum())
    verb = "is" if num == 1 else "are"
    return f"{num:,} of {count(ok.size, 'fit')} did not converge and {verb} left out." if num else ""


def converged(fits):
    """Which fits ended at an optimum, as an array over divergence, separation and seed, those that are there."""
    dims = [dim for dim in ("divergence", "separation", "seed") if dim in fits["status"].dims]
    table = fits.transpose(*dims, ...)
    return (table["status"].values == OK) & np.isfinite(table["value"].values)
