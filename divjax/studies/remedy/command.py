"""``divjax remedy``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def remedy(
    *,
    separations: Annotated[
        str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")
    ] = "3,4,6,8,16",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 64,
    out: options.Out = Path("runs/remedy"),
    quiet: options.Quiet = False,
) -> None:
    """Fit one, two and three Gaussians to two modes, by EM, Adam, L-BFGS and Newton: who gets there, who ends where.

    Writes OUT/remedy.zarr and OUT/remedy.png, and prints the shares; what is in OUT already is kept. Two minutes on two
    cores, most of them to compile.
    """
    distances = options.grid(separations, "separations")
    options.check_least("seeds", seeds, 1)
    started = time.perf_counter()
    from divjax.plots import save
    from divjax.studies.remedy import plot, study, table

    folders.folder(out, "remedy.zarr", ("remedy.png",))
    found = study.run_sweep(distances, seeds, store=out / "remedy.zarr", progress=not quiet)
    print(table.remedy(found))
    save(plot.recovered(found), out / "remedy.png")
    print("\n" + folders.told(started, out, "remedy.zarr", "remedy.png"))
