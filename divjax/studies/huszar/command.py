"""``divjax huszar``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def huszar(
    *,
    weights: Annotated[
        str, typer.Option(help="Weights of the generalised JS, START:STOP:COUNT or a list.")
    ] = ".01,.05,.2,.5,.8,.9,.95,.98,.99",
    separation: Annotated[float, typer.Option(help="Distance of the two modes.")] = 6.0,
    seeds: Annotated[int, typer.Option(help="Games for each weight.")] = 8,
    steps: Annotated[int, typer.Option(help="Generator steps of a game.")] = 2000,
    out: options.Out = Path("runs/huszar"),
    quiet: options.Quiet = False,
) -> None:
    """Huszar (2015): the generalised JS from mode covering to mode seeking, and scheduled sampling's objective.

    The best Gaussian on two modes across JS's weight, exactly and by adversarial games; and what a sequence model of
    two steps forgets when it is trained on its own samples. Writes OUT/exact.zarr, OUT/games.zarr and two figures; what
    is in OUT already is kept, as by the other commands. Minutes on two cores.
    """
    options.check_least("seeds", seeds, 1)
    options.check_least("steps", steps, 1)
    if not 0.0 < separation < 1e3:
        raise ValueError(f"Expected --separation between 0 and 1000; got {separation}.")
    chosen = options.grid(weights, "weights")
    started = time.perf_counter()
    from divjax.plots import save
    from divjax.studies.huszar import generalised_js, plot, scheduled_sampling, table

    chosen = generalised_js.checked(chosen)
    folders.folder(out, "games.zarr", ("weights.png", "sequences.png"))
    stores = (out / "exact.zarr", out / "games.zarr")
    settings = {"separation": separation, "steps": steps, "stores": stores, "progress": not quiet}
    exact, games = generalised_js.run(chosen, seeds, **settings)
    sequences = scheduled_sampling.run()
    save(plot.across_weights(exact, games), out / "weights.png")
    save(plot.across_rates(sequences, scheduled_sampling.PHRASES), out / "sequences.png")
    print(table.weights(exact, games), table.sequences(sequences), sep="\n\n")
    print("\n" + folders.told(started, out, "exact.zarr", "games.zarr", "weights.png", "sequences.png"))
