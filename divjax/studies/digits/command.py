"""``divjax digits``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def digits(
    *,
    models: Annotated[str, typer.Option(help="Out of fresh, flow, vae, vae_means, gan, wgan_gp.")] = "",
    seeds: Annotated[int, typer.Option(help="Splits of the images, each with its own start.")] = 8,
    steps: Annotated[int, typer.Option(help="Of every model; by default each has its own number.")] = 0,
    out: options.Out = Path("runs/digits"),
    quiet: options.Quiet = False,
) -> None:
    """Train a flow, a VAE, a GAN and a WGAN-GP on images of digits; tell who is blurred, unrealistic, or drops modes.

    Writes OUT/digits.zarr and OUT/digits.png, and prints a table; what is in OUT already is kept. Needs scikit-learn,
    which has the images. A seed takes a minute of a core or two, and compiling some minutes more.
    """
    options.check_least("seeds", seeds, 1)
    options.check_least("steps", steps, 0)
    chosen = options.names(models, "models") if models else None
    started = time.perf_counter()
    from divjax.plots import save
    from divjax.studies.digits import plot, study, table

    chosen = study.checked(chosen or study.ALL)
    folders.folder(out, "digits.zarr", ("digits.png",))
    found = study.run(seeds, chosen, steps=steps or None, store=out / "digits.zarr", progress=not quiet).load()
    print(table.digits(found))
    save(plot.generated_digits(found), out / "digits.png")
    print("\n" + folders.told(started, out, "digits.zarr", "digits.png"))
