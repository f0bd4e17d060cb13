"""``divjax adversarial``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def adversarial(
    *,
    target: Annotated[str, typer.Option(help="line (two modes), ring (8 Gaussians) or grid (25).")] = "line",
    games: Annotated[
        str, typer.Option(help="Out of gan, non_saturating, unrolled, r1, wgan_gp, wgan_lp, f_gan_DIVERGENCE.")
    ] = "",
    separations: Annotated[
        str | None, typer.Option(help="On the line, START:STOP:COUNT or a list; 2,4,8,16 by default.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 8,
    steps: Annotated[
        int, typer.Option(help="By default 2000 (line), 4000 (ring), 12000 (grid), of the generator.")
    ] = 0,
    out: options.Out = Path("runs/adversarial"),
    quiet: options.Quiet = False,
) -> None:
    """Train adversarially on two modes, a ring or a grid; measure what was found, dropped, and never settled.

    Writes OUT/TARGET.zarr (read it with xarray.open_zarr) and a figure, and prints a table. What is in OUT already is
    kept: a finished run of the same settings is read, of an interrupted one the rest is run; others are refused.
    Each game takes half a minute to compile; on the plane a seed takes a quarter of a minute of a core, or minutes
    where the critic moves often or the generator looks ahead.
    """
    options.check_least("seeds", seeds, 1)
    options.check_least("steps", steps, 0)
    distances = options.grid("2,4,8,16" if separations is None else separations, "separations")
    if target not in ("line", "ring", "grid"):
        raise ValueError(f"Expected --target line, ring or grid; got {target!r}.")
    if target != "line" and separations is not None:
        raise ValueError(f"Expected --separations with --target line alone; got them with {target}.")
    chosen = options.names(games, "games") if games else None
    started = time.perf_counter()
    from divjax.studies.adversarial import methods

    for name in chosen or ():
        methods.lookup(name)
    folders.folder(out, f"{target}.zarr", (f"{target}.png", "fates.png")[: 1 + (target == "line")])
    text, figures = _play(
        target, chosen, distances, seeds, steps, {"store": out / f"{target}.zarr", "progress": not quiet}
    )
    from divjax.plots import save

    for name, figure in figures.items():
        save(figure, out / name)
    print(text)
    print("\n" + folders.told(started, out, f"{target}.zarr", *figures))


def _play(target, chosen, distances, seeds, steps, where):
    """The table and the figures of one target."""
    from divjax.studies.adversarial import line, methods, plane, plot, table

    where = where | {"steps": steps or None}
    if target == "line":
        chosen = chosen or methods.LINE
        fits = line.run_line(distances, seeds, chosen, **where).load()
        exact = line.minimisers(distances, chosen, store=where["store"].with_name("optima.zarr"))
        pictures = {"line.png": plot.found_against_exact(fits, exact), "fates.png": plot.fates(fits)}
        return table.line(fits, exact), pictures
    fits = plane.run_plane(target, seeds, chosen or methods.PLANE, **where).load()
    return table.plane(fits, target), {f"{target}.png": plot.samples_over_training(fits, target)}
