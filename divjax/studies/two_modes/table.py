"""The sweep over two modes in words: the table that ``divjax sweep`` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from divjax.diagnostics import basin_name
from divjax.status import NON_FINITE, NOT_CONVERGED, OK, STALLED
from divjax.studies.two_modes.study import optima
from divjax.tables import table

if TYPE_CHECKING:
    import xarray

PUBLISHED = (8.0, 8.06)  # the post's figure 1: two modes 16 apart, equal weights and scales


def two_modes(fits: "xarray.Dataset", weights: Sequence[float], scales: Sequence[float]) -> str:
    """The sweep at its largest separation: what each divergence's seeds found, and the post beside ours."""
    separation = float(fits["separation"].max())
    at = fits.sel(separation=separation)
    rows = []
    for name in at["divergence"].values:
        found = optima(at.sel(divergence=name))
        if not found:
            rows.append((str(name), *["–"] * 3, "0 %", "–", "–", "no fit converged"))
        for rank, best in enumerate(found):
            masses = " / ".join(f"{100 * mass:.1f}" for mass in best.mode_mass)
            rows.append(
                (
                    str(name) if rank == 0 else "",
                    _number(best.loc),
                    _number(best.scale),
                    f"{best.value:.5g}",
                    f"{100 * best.share:.0f} %",
                    f"{100 * best.unrealistic_rate:.1f} %",
                    f"{masses} %",
                    basin_name(best.basin),
                )
            )
    title = (
        f"A Gaussian fitted to {weights[0]:g} N(0, {scales[0]:g}²) + {weights[1]:g} N({separation:g}, {scales[1]:g}²), "
        f"{fits.sizes['seed']} starts per divergence: every optimum found, best first"
    )
    header = ("divergence", "μ", "σ", "value", "seeds", "unrealistic", "mass by mode", "basin")
    return "\n".join(
        [title, "", table(header, rows), "", _maximum_likelihood(at, separation, weights, scales), summary(fits)]
    )


def _number(x):
    return f"{x if abs(x) >= 5e-4 else 0.0:.3f}"


def _maximum_likelihood(at, separation, weights, scales):
    """The post's published figure where the target is the post's; the closed form (moment matching) always."""
    loc = weights[1] * separation
    scale = np.sqrt(weights[0] * scales[0] ** 2 + weights[1] * scales[1] ** 2 + weights[0] * weights[1] * separation**2)
    line = f"Maximum likelihood in closed form: μ = {loc:.3f}, σ = {scale:.3f}"
    if "kl" in at["divergence"].values and (found := optima(at.sel(divergence="kl"))):
        line += f"; found under kl: μ = {found[0].loc:.3f}, σ = {found[0].scale:.3f}"
        if separation == 16 and tuple(weights) == (0.5, 0.5) and tuple(scales) == (1, 1):
            line += f"; published in the post: μ = {PUBLISHED[0]:g}, σ = {PUBLISHED[1]:g}"
    return line + "."


def summary(fits: "xarray.Dataset") -> str:
    """How many fits converged, and how the others ended."""
    status = np.asarray(fits["status"].values)
    counts = {
        "converged": np.sum(status == OK),
        "stalled": np.sum(status == STALLED),
        "out of steps": np.sum(status == NOT_CONVERGED),
        "non-finite": np.sum(status == NON_FINITE),
    }
    return f"{status.size} fits: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + "."
