"""``divjax phase``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def phase(
    *,
    family: Annotated[str, typer.Option(help="alpha (Renyi, Tsallis) or jensen_shannon, by its order.")] = "alpha",
    orders: Annotated[int, typer.Option(help="So many orders, over the family's range.")] = 128,
    separations: Annotated[str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")] = "0:10:128",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 16,
    lines: Annotated[int, typer.Option(help="Orders at which the lines are found.")] = 49,
    out: options.Out = Path("runs/phase"),
    quiet: options.Quiet = False,
) -> None:
    """Draw the phase diagram of mode seeking: order of the divergence by separation of the modes.

    Fits tell where the best Gaussian covers both modes, sits on one, or could do either; bisection and root finding
    tell where that changes. Writes OUT/FAMILY.zarr and OUT/FAMILY.png; what is in OUT already is kept.
    """
    for name, number, low in (("orders", orders, 2), ("seeds", seeds, 1), ("lines", lines, 2)):
        if not low <= number <= 10**4:
            raise ValueError(f"Expected --{name} from {low} to 10000; got {number}.")
    distances = options.grid(separations, "separations")
    if len(distances) < 2:
        raise ValueError(f"Expected two --separations or more; got {separations!r}.")
    started = time.perf_counter()
    from divjax.plots import save
    from divjax.studies.phase import lines as phase_lines
    from divjax.studies.phase import plot, study, table

    of_family = study.lookup(family)
    folders.folder(out, f"{family}.zarr", (f"{family}.png",))
    fits = study.run(
        family, of_family.orders(orders), distances, seeds, store=out / f"{family}.zarr", progress=not quiet
    )
    swept = time.perf_counter() - started
    at = of_family.orders(lines)
    by_fits = phase_lines.by_fits(of_family, at)
    by_roots = phase_lines.by_roots(of_family, at, by_fits)
    print(table.phase(family, at, by_fits.lines, by_roots))
    known = phase_lines.best_known(by_roots, by_fits.lines)
    save(plot.phase_diagram(fits, at, known, family), out / f"{family}.png")
    print(
        f"{swept:.0f} s for {fits['value'].size:,} fits, {time.perf_counter() - started:.0f} s in all. "
        f"In {out}: {family}.zarr, {family}.png."
    )
