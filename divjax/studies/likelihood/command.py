"""``divjax likelihood``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def likelihood(
    *,
    seeds: Annotated[int, typer.Option(help="Samples of each size.")] = 400,
    fits: Annotated[int, typer.Option(help="Samples that a Gaussian is fitted to.")] = 4000,
    separation: Annotated[float, typer.Option(help="Distance of the two modes.")] = 16.0,
    out: options.Out = Path("runs/likelihood"),
) -> None:
    """How fast the likelihood of a sample comes to KL(data‖model), and how far its estimates are off.

    Writes OUT/likelihood.png and prints the rate, its constant, and both covariances of the estimates.
    """
    options.check_least("seeds", seeds, 2)
    options.check_least("fits", fits, 2)
    if not 0.0 < separation < 1e3:
        raise ValueError(
            f"Expected --separation between 0 and 1000; got {separation}. At 0 the model is right: KL is 0."
        )
    started = time.perf_counter()
    folders.folder(out, "", ("likelihood.png",))
    import jax

    from divjax.plots import save
    from divjax.studies.likelihood import plot, study, table

    of_rate, of_fits = jax.random.split(jax.random.key(0))
    convergence = study.convergence(of_rate, num_seeds=seeds, separation=separation)
    sampling = study.sampling(of_fits, num_fits=fits, separation=separation)
    print(table.likelihood(convergence, sampling))
    save(plot.likelihood_on_data(convergence, sampling), out / "likelihood.png")
    print("\n" + folders.told(started, out, "likelihood.png"))
