"""What figures say: numbers, formulas, and the finding that is a figure's title."""

import numpy as np

from divjax import diagnostics
from divjax.status import OK

NATS = ("kl", "reverse_kl", "jeffreys", "jensen_shannon", "bhattacharyya", "chernoff", "renyi", "gamma", "cauchy")
LENGTHS = ("wasserstein", "cramer", "energy")


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


def spread_story(fits):
    """How far the Gaussians fitted to one sample differ in σ."""
    scales = {name: scale for name, (_, scale) in fits.items()}
    if len(scales) < 2:
        return "".join(f"The Gaussian fitted with {name}" for name in scales) or "The sample"
    narrow, wide = min(scales, key=scales.get), max(scales, key=scales.get)
    return f"The fitted σ goes from {fixed(scales[narrow])} ({narrow}) to {fixed(scales[wide])} ({wide})"


def left_out(fits):
    """A note of the fits that did not converge; empty if all did."""
    ok = converged(fits)
    num = ok.size - int(ok.sum())
    verb = "is" if num == 1 else "are"
    return f"{num:,} of {count(ok.size, 'fit')} did not converge and {verb} left out." if num else ""


def fixed(value):
    """Two decimals; three digits where they would say little."""
    text = f"{value:.2f}" if abs(value) < 1000 and (abs(value) >= 0.1 or abs(value) < 1e-3) else f"{value:.3g}"
    return "0.00" if text == "-0.00" else text


def place(loc, scale):
    """A mean, no finer than the deviation about it asks for."""
    return fixed(round(loc, 2) if scale >= 0.1 else loc)


def short(value):
    """Three digits."""
    return f"{value:#.3g}".removesuffix(".") if abs(value) >= 1e-4 else "0" if abs(value) < 1e-9 else f"{value:.0e}"


def percent(share, digits=1):
    return f"{100 * share:.{digits}f}".removesuffix(".0") + " %"


def count(num, noun):
    return f"{num:,} {noun}{'' if num == 1 else 's'}"


def normal(loc, scale):
    loc, scale = (fixed(v).removesuffix(".00") for v in (loc, scale))
    return f"N({loc}, {scale}²)" if scale != "1" else f"N({loc}, 1)"


def mixture(modes, weights):
    parts = {0.5: "½ ", 0.25: "¼ ", 0.75: "¾ "}
    return " + ".join(
        f"{parts.get(float(w), f'{w:g} ')}{normal(m, s)}" for w, (m, s) in zip(weights, modes, strict=True)
    )


def value(name, number):
    return f"{name} = {short(number)} {unit(name)}".rstrip()


def unit(name):
    """What a divergence is measured in; empty if it has no unit."""
    return "nats" if name.startswith(NATS) else "units of x" if name.startswith(LENGTHS) else ""


def converged(fits):
    """Which fits ended at an optimum, as an array over divergence, separation and seed, those that are there."""
    dims = [dim for dim in ("divergence", "separation", "seed") if dim in fits["status"].dims]
    table = fits.transpose(*dims, ...)
    return (table["status"].values == OK) & np.isfinite(table["value"].values)
