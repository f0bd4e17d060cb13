"""The command line. It reads what is asked, refuses what is wrong in one line, and leaves the work to the library."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from divjax import cli_studies, inputs
from divjax.cli_studies import Out, Quiet

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

INTERRUPTED = (130, 143)  # Ctrl-C, SIGTERM


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors that a user can mend are one line on stderr and exit code 2."""
    usage_error = typer.BadParameter.__mro__[2]  # click's own, wherever typer keeps it
    try:
        code = app(args=arguments, standalone_mode=False)
    except usage_error as error:
        code = _refuse(error.format_message())
    except (ValueError, OSError) as error:
        code = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED[0]
    except SystemExit as stop:  # after SIGTERM
        code = stop.code
    if code in INTERRUPTED:  # typer turns Ctrl-C into the first of them, or lets it through, by its version
        print("divjax: interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
    sys.exit(code)


def _refuse(message):
    print("divjax: " + " ".join(message.split()), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Differentiable divergences: sweeps of fits, and fits to your own sample."""
    if version:
        from importlib.metadata import version as installed

        print(installed("divjax"))
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


@app.command("sweep")
def sweep_command(
    *,
    separations: Annotated[str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")] = "0:16:33",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 64,
    divergences: Annotated[str, typer.Option(help="Names from the catalogue, separated by commas.")] = "",
    weights: Annotated[str, typer.Option(help="Weights of the two modes.")] = ".5,.5",
    scales: Annotated[str, typer.Option(help="Standard deviations of the two modes.")] = "1,1",
    out: Out = Path("runs/demo"),
    quiet: Quiet = False,
    processes: Annotated[int, typer.Option(help="So many processes on this machine.")] = 1,
    distributed: Annotated[
        str, typer.Option(help="On every host of a cluster: auto, or ADDRESS:PORT/COUNT/INDEX where JAX finds none.")
    ] = "",
) -> None:
    """Fit a Gaussian to a two-mode target under every divergence, across seeds and mode separations.

    Writes OUT/sweep.zarr (read it with xarray.open_zarr) and the figures, and prints the optima at the largest
    separation. What is in OUT already is kept: a finished sweep of the same settings is read, not run again; of an
    interrupted one the rest is run. Several processes share the chunks and write into the one store.
    """
    distances = inputs.grid(separations, "separations")
    if not 1 <= seeds <= 10**8:
        raise ValueError(f"Expected --seeds from 1 to 10^8; got {seeds}.")
    pair, spread = inputs.weights(weights), inputs.scales(scales)
    member = inputs.member(distributed, processes)
    started = time.perf_counter()
    from divjax import catalog, report
    from divjax.studies import two_modes
    from divjax.sweeps import join

    chosen = inputs.names(divergences, "divergences") if divergences else list(two_modes.DIVERGENCES)
    for name in chosen:
        catalog.lookup(name)
    inputs.folder(out, "sweep.zarr", ("figure_1.png", "optima.png", "separation.png"))
    if processes > 1:
        asked = {"separations": separations, "seeds": seeds, "divergences": ",".join(chosen)}
        asked |= {"weights": weights, "scales": scales, "out": out}
        _launch(processes, asked, total=len(distances) * seeds * len(chosen), progress=not quiet)
        return
    first = member is None or join(*member).index == 0
    fits = two_modes.run_sweep(
        distances, seeds, chosen, weights=pair, scales=spread, store=out / "sweep.zarr", progress=first and not quiet
    )
    if not first:  # one of the processes tells
        return
    fits = fits.load()
    print(report.two_modes(fits, pair, spread))
    drawn = _draw(fits, out, weights=pair, scales=spread)
    print(f"{time.perf_counter() - started:.0f} s. In {out}: sweep.zarr, {', '.join(drawn)}.")


def _launch(processes, asked, *, total, progress):
    """The same command in several processes; the first prints and draws. Leaves with their exit code."""
    from divjax.sweeps.launch import launch

    options = [text for name, value in asked.items() for text in (f"--{name}", str(value))]

    def command(address, index):
        member = f"{address}/{processes}/{index}"
        return [sys.executable, "-m", "divjax", "sweep", *options, "--quiet", "--distributed", member]

    code, said = launch(command, processes, store=asked["out"] / "sweep.zarr", total=total, progress=progress)
    if said:
        print(said, file=sys.stderr)
    raise typer.Exit(code)


def _draw(fits, out, **target):
    """The figures of a sweep; figure 1 for maximum likelihood where it was swept. -> their file names."""
    from divjax import plots
    from divjax.studies import two_modes

    figures = {"optima.png": plots.optima(fits, **target), "separation.png": plots.against_separation(fits, **target)}
    names = sorted((str(name) for name in fits["divergence"].values), key=lambda name: name != "kl")
    farthest = fits.sel(separation=fits["separation"].max())
    if fitted := [name for name in names if two_modes.optima(farthest.sel(divergence=name))]:
        figures = {"figure_1.png": plots.figure_1(fits, divergence=fitted[0], **target)} | figures
    for name, figure in figures.items():
        plots.save(figure, out / name)
    return list(figures)


@app.command("fit")
def fit_command(
    data: Annotated[Path, typer.Argument(help="A .csv or .npy file.")],
    *,
    column: Annotated[str | None, typer.Option(help="The column to fit, where there are several.")] = None,
    divergences: Annotated[str, typer.Option(help="kl (maximum likelihood), wasserstein_<order>, energy, cramer.")] = (
        "kl,wasserstein_2,energy"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder for the figure; none is drawn without.")] = None,
) -> None:
    """Fit a Gaussian to your own one-dimensional sample, by maximum likelihood and by sample discrepancies."""
    name, x = inputs.read_column(data, column)
    chosen = inputs.names(divergences, "divergences")
    if out is not None:
        inputs.folder(out)
    from divjax import report
    from divjax.studies import sample

    fits = sample.fit_sample(x, chosen)
    print(report.sample(fits, f"{name} of {data.name}", x.size))
    if out is not None:
        from divjax import plots

        picture = out / f"fit_{data.stem}_{inputs.file_name(name)}.png"
        gaussians = {key: (found.loc, found.scale) for key, found in fits.items()}
        plots.save(plots.sample_fits(x, gaussians, column=name), picture)
        print(f"Drawn: {picture}")


@app.command("compare")
def compare_command(
    real: Annotated[
        Path, typer.Argument(help="Real samples: .npy, .npz (FILE.npz:NAME), .csv or .parquet; a row each.")
    ],
    generated: Annotated[Path, typer.Argument(help="The generator's samples, likewise.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html; by default one in runs/ named after the input.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all results; 'verdict' is a list.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a finding where there is nothing to find.")] = 0.01,
    train: Annotated[
        Path | None, typer.Option(help="What the generator was trained on, where REAL was held out from it.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH[x3] where rows are images; guessed for squares.")
    ] = None,
    drop_nan: Annotated[bool, typer.Option("--drop-nan", help="Leave out rows with NaN or infinite entries.")] = False,
    seed: Annotated[int, typer.Option(help="Of the permutations and subsamples.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Tell whether a generator's samples are realistic: discrepancies, two-sample tests, a verdict and a report.

    The verdict is a list out of mode_dropping, unrealistic, memorised, indistinguishable. Nothing is overwritten.
    """
    from divjax import compare_files

    settings = compare_files.Settings(alpha=alpha, image=image, drop_nan=drop_nan, seed=seed)
    print(compare_files.run(real, generated, train, settings, out=out, json_file=json_file, progress=not quiet))


for _name, _command in cli_studies.COMMANDS.items():
    app.command(_name)(_command)
