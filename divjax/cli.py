"""The command line. It reads what is asked, refuses what is wrong in one line, and leaves the work to the library."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from divjax import inputs

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

INTERRUPTED = (130, 143)  # Ctrl-C, SIGTERM

Out = Annotated[Path, typer.Option(help="Folder for the results and the figures.")]


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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
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
    _folder(out, "sweep.zarr", ("figure_1.png", "optima.png", "separation.png"))
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
        _folder(out)
    from divjax import report
    from divjax.studies import sample

    fits = sample.fit_sample(x, chosen)
    print(report.sample(fits, f"{name} of {data.name}", x.size))
    if out is not None:
        from divjax import plots

        picture = out / f"fit_{data.stem}_{_file_name(name)}.png"
        gaussians = {key: (found.loc, found.scale) for key, found in fits.items()}
        plots.save(plots.sample_fits(x, gaussians, column=name), picture)
        print(f"Drawn: {picture}")


@app.command("adversarial")
def adversarial_command(
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
    out: Out = Path("runs/adversarial"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train adversarially on two modes, a ring or a grid; measure what was found, dropped, and never settled.

    Writes OUT/TARGET.zarr (read it with xarray.open_zarr) and a figure, and prints a table. What is in OUT already is
    kept: a finished run of the same settings is read, of an interrupted one the rest is run; others are refused.
    Each game takes half a minute to compile; on the plane a seed takes a quarter of a minute of a core, or minutes
    where the critic moves often or the generator looks ahead.
    """
    for name, number, low in (("seeds", seeds, 1), ("steps", steps, 0)):
        if number < low:
            raise ValueError(f"Expected --{name} >= {low}; got {number}.")
    distances = inputs.grid("2,4,8,16" if separations is None else separations, "separations")
    if target not in ("line", "ring", "grid"):
        raise ValueError(f"Expected --target line, ring or grid; got {target!r}.")
    if target != "line" and separations is not None:
        raise ValueError(f"Expected --separations with --target line alone; got them with {target}.")
    chosen = inputs.names(games, "games") if games else None
    started = time.perf_counter()
    from divjax.studies import methods

    for name in chosen or ():
        methods.lookup(name)
    _folder(out, f"{target}.zarr", (f"{target}.png", "fates.png")[: 1 + (target == "line")])
    text, figures = _play(
        target, chosen, distances, seeds, steps, {"store": out / f"{target}.zarr", "progress": not quiet}
    )
    from divjax import plots

    for name, figure in figures.items():
        plots.save(figure, out / name)
    print(f"{text}\n\n{time.perf_counter() - started:.0f} s. In {out}: {', '.join([f'{target}.zarr', *figures])}.")


def _play(target, chosen, distances, seeds, steps, where):
    """The table and the figures of one target."""
    from divjax import plots, report_games
    from divjax.studies import adversarial_line, adversarial_plane, methods

    where = where | {"steps": steps or None}
    if target == "line":
        chosen = chosen or methods.LINE
        fits = adversarial_line.run_line(distances, seeds, chosen, **where).load()
        exact = adversarial_line.minimisers(distances, chosen, store=where["store"].with_name("optima.zarr"))
        pictures = {"line.png": plots.found_against_exact(fits, exact), "fates.png": plots.fates(fits)}
        return report_games.line(fits, exact), pictures
    fits = adversarial_plane.run_plane(target, seeds, chosen or methods.PLANE, **where).load()
    return report_games.plane(fits, target), {f"{target}.png": plots.samples_over_training(fits, target)}


@app.command("huszar")
def huszar_command(
    *,
    weights: Annotated[
        str, typer.Option(help="Weights of the generalised JS, START:STOP:COUNT or a list.")
    ] = ".01,.05,.2,.5,.8,.9,.95,.98,.99",
    separation: Annotated[float, typer.Option(help="Distance of the two modes.")] = 6.0,
    seeds: Annotated[int, typer.Option(help="Games for each weight.")] = 8,
    steps: Annotated[int, typer.Option(help="Generator steps of a game.")] = 2000,
    out: Out = Path("runs/huszar"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Huszar (2015): the generalised JS from mode covering to mode seeking, and scheduled sampling's objective.

    The best Gaussian on two modes across JS's weight, exactly and by adversarial games; and what a sequence model of
    two steps forgets when it is trained on its own samples. Writes OUT/exact.zarr, OUT/games.zarr and two figures; what
    is in OUT already is kept, as by the other commands. Minutes on two cores.
    """
    for name, number in (("seeds", seeds), ("steps", steps)):
        if number < 1:
            raise ValueError(f"Expected --{name} >= 1; got {number}.")
    if not 0.0 < separation < 1e3:
        raise ValueError(f"Expected --separation between 0 and 1000; got {separation}.")
    chosen = inputs.grid(weights, "weights")
    started = time.perf_counter()
    from divjax import plots, report_games
    from divjax.studies import generalised_js, scheduled_sampling

    chosen = generalised_js.checked(chosen)
    _folder(out, "games.zarr", ("weights.png", "sequences.png"))
    stores = (out / "exact.zarr", out / "games.zarr")
    options = {"separation": separation, "steps": steps, "stores": stores, "progress": not quiet}
    exact, games = generalised_js.run(chosen, seeds, **options)
    sequences = scheduled_sampling.run()
    plots.save(plots.across_weights(exact, games), out / "weights.png")
    plots.save(plots.across_rates(sequences, scheduled_sampling.PHRASES), out / "sequences.png")
    print(report_games.weights(exact, games), report_games.sequences(sequences), sep="\n\n")
    print(f"\n{time.perf_counter() - started:.0f} s. In {out}: exact.zarr, games.zarr, weights.png, sequences.png.")


@app.command("phase")
def phase_command(
    *,
    family: Annotated[str, typer.Option(help="alpha (Renyi, Tsallis) or jensen_shannon, by its order.")] = "alpha",
    orders: Annotated[int, typer.Option(help="So many orders, over the family's range.")] = 128,
    separations: Annotated[str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")] = "0:10:128",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 16,
    lines: Annotated[int, typer.Option(help="Orders at which the lines are found.")] = 49,
    out: Out = Path("runs/phase"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Draw the phase diagram of mode seeking: order of the divergence by separation of the modes.

    Fits tell where the best Gaussian covers both modes, sits on one, or could do either; bisection and root finding
    tell where that changes. Writes OUT/FAMILY.zarr and OUT/FAMILY.png; what is in OUT already is kept.
    """
    for name, number, low in (("orders", orders, 2), ("seeds", seeds, 1), ("lines", lines, 2)):
        if not low <= number <= 10**4:
            raise ValueError(f"Expected --{name} from {low} to 10000; got {number}.")
    distances = inputs.grid(separations, "separations")
    if len(distances) < 2:
        raise ValueError(f"Expected two --separations or more; got {separations!r}.")
    started = time.perf_counter()
    from divjax import plots, report
    from divjax.studies import phase, phase_lines

    of_family = phase.lookup(family)
    _folder(out, f"{family}.zarr", (f"{family}.png",))
    fits = phase.run(
        family, of_family.orders(orders), distances, seeds, store=out / f"{family}.zarr", progress=not quiet
    )
    swept = time.perf_counter() - started
    at = of_family.orders(lines)
    by_fits = phase_lines.by_fits(of_family, at)
    by_roots = phase_lines.by_roots(of_family, at, by_fits)
    print(report.phase(family, at, by_fits.lines, by_roots))
    known = phase_lines.best_known(by_roots, by_fits.lines)
    plots.save(plots.phase_diagram(fits, at, known, family), out / f"{family}.png")
    print(f"{swept:.0f} s for {fits['value'].size:,} fits, {time.perf_counter() - started:.0f} s in all. "
          f"In {out}: {family}.zarr, {family}.png.")  # fmt: skip


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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Tell whether a generator's samples are realistic: discrepancies, two-sample tests, a verdict and a report.

    The verdict is a list out of mode_dropping, unrealistic, memorised, indistinguishable. Nothing is overwritten.
    """
    from divjax import compare_files

    settings = compare_files.Settings(alpha=alpha, image=image, drop_nan=drop_nan, seed=seed)
    print(compare_files.run(real, generated, train, settings, out=out, json_file=json_file, progress=not quiet))


def _folder(path: Path, store: str = "", drawn: tuple[str, ...] = ()) -> None:
    """Made if it is not there. Figures that lie in it without the store they would be drawn from are not ours."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"Expected --out to be a folder; got {str(path)!r}, which is a file. Name another.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"Expected --out to be a folder that can be made; got {str(path)!r}: {error.strerror}. Name another."
        ) from None
    if taken := [name for name in drawn if (path / name).exists() and not (path / store).exists()]:
        raise ValueError(
            f"Expected no {', '.join(taken)} in {path}, which has no {store}; got some. Name another --out."
        )


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
