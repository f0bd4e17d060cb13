"""``divjax topics``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def topics(
    *,
    sizes: Annotated[str, typer.Option(help="Numbers of topics, and ranks, separated by commas.")] = "1,2,3,4,5,6",
    seeds: Annotated[int, typer.Option(help="Data sets.")] = 4,
    starts: Annotated[int, typer.Option(help="Random starts for each.")] = 3,
    out: options.Out = Path("runs/topics"),
    quiet: options.Quiet = False,
) -> None:
    """Documents by latent Dirichlet allocation and ratings by matrix factorisation: how many of the generated ones are
    unrealistic, with too few topics and factors and with enough. Writes OUT/topics.png and prints a table; minutes.
    """
    chosen = options.numbers(sizes, "sizes")
    options.check_least("seeds", seeds, 1)
    options.check_least("starts", starts, 1)
    started = time.perf_counter()
    from divjax.plots import save
    from divjax.studies.topics import plot, study, table

    chosen = study.checked(chosen)
    folders.folder(out, "", ("topics.png",))
    found = study.run(chosen, seeds, starts, progress=not quiet)
    print(table.topics(found))
    save(plot.unrealistic(found), out / "topics.png")
    print("\n" + folders.told(started, out, "topics.png"))
