"""``divjax fit``: a column of a file, fitted, told and drawn."""

from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options
from divjax.studies.sample.read import read_column


def fit(
    data: Annotated[Path, typer.Argument(help="A .csv or .npy file.")],
    *,
    column: Annotated[str | None, typer.Option(help="The column to fit, where there are several.")] = None,
    divergences: Annotated[str, typer.Option(help="kl (maximum likelihood), wasserstein_<order>, energy, cramer.")] = (
        "kl,wasserstein_2,energy"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder for the figure; none is drawn without.")] = None,
) -> None:
    """Fit a Gaussian to your own one-dimensional sample, by maximum likelihood and by sample discrepancies."""
    name, x = read_column(data, column)
    chosen = options.names(divergences, "divergences")
    if out is not None:
        folders.folder(out)
    from divjax.studies.sample import study, table

    fits = study.fit_sample(x, chosen)
    print(table.sample(fits, f"{name} of {data.name}", x.size))
    if out is not None:
        from divjax import plots

        picture = out / f"fit_{data.stem}_{folders.file_name(name)}.png"
        gaussians = {key: (found.loc, found.scale) for key, found in fits.items()}
        figure = plots.sample_fits(x, gaussians, column=name)
        folders.drawn_new(lambda path: plots.save(figure, path), picture)
        print(f"Drawn: {picture}")
