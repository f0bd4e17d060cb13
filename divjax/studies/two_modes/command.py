"""``divjax sweep``: refuses what means nothing, runs the study, prints its table, keeps its figures."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from divjax.inputs import folders, options


def sweep(
    *,
    separations: Annotated[str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")] = "0:16:33",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 64,
    divergences: Annotated[str, typer.Option(help="Names from the catalogue, separated by commas.")] = "",
    weights: Annotated[str, typer.Option(help="Weights of the two modes.")] = ".5,.5",
    scales: Annotated[str, typer.Option(help="Standard deviations of the two modes.")] = "1,1",
    out: options.Out = Path("runs/demo"),
    quiet: options.Quiet = False,
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
    distances = options.grid(separations, "separations")
    if not 1 <= seeds <= 10**8:
        raise ValueError(f"Expected --seeds from 1 to 10^8; got {seeds}.")
    pair, spread = _weights(weights), _scales(scales)
    member = _member(distributed, processes)
    started = time.perf_counter()
    from divjax import catalog
    from divjax.studies.two_modes import study, table
    from divjax.sweeps import join
    from divjax.sweeps.launch import end_with_parent

    chosen = options.names(divergences, "divergences") if divergences else list(study.DIVERGENCES)
    for name in chosen:
        catalog.lookup(name)
    folders.folder(out, "sweep.zarr", ("figure_1.png", "optima.png", "separation.png"))
    if processes > 1:
        asked = {"separations": separations, "seeds": seeds, "divergences": ",".join(chosen)}
        asked |= {"weights": weights, "scales": scales, "out": out}
        _launch(processes, asked, total=len(distances) * seeds * len(chosen), progress=not quiet)
        return
    end_with_parent()
    first = member is None or join(**member).index == 0
    fits = study.run_sweep(
        distances, seeds, chosen, weights=pair, scales=spread, store=out / "sweep.zarr", progress=first and not quiet
    )
    if not first:  # one of the processes tells
        return
    fits = fits.load()
    print(table.two_modes(fits, pair, spread))
    drawn = _draw(fits, out, weights=pair, scales=spread)
    print(folders.told(started, out, "sweep.zarr", *drawn))


def _pair(text: str, name: str) -> tuple[float, float]:
    values = options.numbers(text, name)
    if len(values) != 2:
        raise ValueError(f"Expected two {name}, one per mode, such as .5,.5; got {len(values)}: {text!r}.")
    return values[0], values[1]


def _weights(text: str) -> tuple[float, float]:
    values = _pair(text, "weights")
    if min(values) < 0:
        raise ValueError(f"Expected weights ≥ 0 that sum to 1; got {text!r}, of which {min(values):g} is negative.")
    if abs(sum(values) - 1) > 1e-6:
        raise ValueError(
            f"Expected weights ≥ 0 that sum to 1; got {text!r}, which sums to {sum(values):g}. Normalise them."
        )
    return values


def _scales(text: str) -> tuple[float, float]:
    values = _pair(text, "scales")
    if min(values) <= 0:
        raise ValueError(f"Expected scales > 0; got {text!r}. A scale is a standard deviation.")
    return values


def _member(text: str, processes: int) -> dict[str, str | int] | None:
    """What ``join`` is told: process 0 of 4 for "host:1234/4/0", nothing for "auto"; None, no member, for ""."""
    if processes < 1 or (processes > 1 and text):
        raise ValueError(f"Expected --processes of at least 1, and 1 with --distributed; got {processes} and {text!r}.")
    if text in ("", "auto"):
        return {} if text else None
    address, *counts = text.split("/")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and len(counts) == 2 and all(part.isdigit() for part in counts)):
        raise ValueError(
            f"Expected --distributed as auto or ADDRESS:PORT/COUNT/INDEX, such as node0:1234/4/0; got {text!r}."
        )
    count, index = map(int, counts)
    if index >= count:
        raise ValueError(f"Expected --distributed with INDEX from 0 to COUNT − 1; got {text!r}.")
    return {"address": address, "num_processes": count, "process_id": index}


def _launch(processes, asked, *, total, progress):
    """The same command in several processes; the first prints and draws. Leaves with their exit code."""
    from divjax.sweeps.launch import launch

    typed = [text for name, value in asked.items() for text in (f"--{name}", str(value))]

    def command(address, index):
        member = f"{address}/{processes}/{index}"
        return [sys.executable, "-m", "divjax", "sweep", *typed, "--quiet", "--distributed", member]

    code, said = launch(command, processes, store=asked["out"] / "sweep.zarr", total=total, progress=progress)
    if said:
        print(said, file=sys.stderr)
    raise typer.Exit(code)


def _draw(fits, out, **target):
    """The figures of a sweep; figure 1 for maximum likelihood where it was swept. -> their file names."""
    from divjax.plots import save
    from divjax.studies.two_modes import plot, study

    figures = {"optima.png": plot.optima(fits, **target), "separation.png": plot.against_separation(fits, **target)}
    names = sorted((str(name) for name in fits["divergence"].values), key=lambda name: name != "kl")
    farthest = fits.sel(separation=fits["separation"].max())
    if fitted := [name for name in names if study.optima(farthest.sel(divergence=name))]:
        figures = {"figure_1.png": plot.figure_1(fits, divergence=fitted[0], **target)} | figures
    for name, figure in figures.items():
        save(figure, out / name)
    return list(figures)
