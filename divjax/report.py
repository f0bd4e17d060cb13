"""Results in words: the tables that the command line prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from divjax.diagnostics import basin_name
from divjax.status import NON_FINITE, NOT_CONVERGED, OK, STALLED
from divjax.studies.adversarial import standard_error
from divjax.studies.two_modes import optima

if TYPE_CHECKING:
    import xarray

    from divjax.studies.sample import SampleFit

PUBLISHED = (8.0, 8.06)  # the post's figure 1: two modes 16 apart, equal weights and scales


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, numbers to the right, the last to the left again."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    last = len(header) - 1
    lines = [
        "  ".join(cell.ljust(width) if i in (0, last) else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in cells
    ]  # fmt: skip
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def plus_minus(values: Any, digits: int = 1) -> str:
    """Mean ± standard error over seeds; of a single one the value alone."""
    mean = f"{float(np.mean(values)):.{digits}f}"
    return f"{mean} ± {float(standard_error(values)):.{digits}f}" if np.size(values) > 1 else mean


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


def sample(fits: dict[str, "SampleFit"], name: str, num: int) -> str:
    """The fits of a Gaussian to a sample."""
    rows = [
        (key, f"{found.loc:.5g}", f"{found.scale:.5g}", f"{found.value:.5g}", f"{100 * found.near:.1f} %",
         "ok" if found.status == OK else "stalled" if found.status == STALLED else "not converged")
        for key, found in fits.items()
    ]  # fmt: skip
    header = ("divergence", "μ", "σ", "value", "data near μ", "status")
    return "\n".join([
        f"A Gaussian fitted to {name}, {num} rows", "", table(header, rows), "",
        "kl is maximum likelihood; its value is the mean negative log-likelihood in nats. The others have the units of "
        "the data.", "data near μ: share of the rows within σ/4 of μ, where the fitted Gaussian itself has 19.7 %.",
    ])  # fmt: skip


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
