"""The commands of the studies: each runs one, keeps what it found in a folder, draws it, and prints a table."""

import time
from pathlib import Path
from typing import Annotated

import typer

from divjax import inputs

Out = Annotated[Path, typer.Option(help="Folder for the results and the figures.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


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
    out: Out = Path("runs/adversarial"),
    quiet: Quiet = False,
) -> None:
    """Train adversarially on two modes, a ring or a grid; measure what was found, dropped, and never settled.

    Writes OUT/TARGET.zarr (read it with xarray.open_zarr) and a figure, and prints a table. What is in OUT already is
    kept: a finished run of the same settings is read, of an interrupted one the rest is run; others are refused.
    Each game takes half a minute to compile; on the plane a seed takes a quarter of a minute of a core, or minutes
    where the critic moves often or the generator looks ahead.
    """
    _check("seeds", seeds, 1)
    _check("steps", steps, 0)
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
    inputs.folder(out, f"{target}.zarr", (f"{target}.png", "fates.png")[: 1 + (target == "line")])
    text, figures = _play(
        target, chosen, distances, seeds, steps, {"store": out / f"{target}.zarr", "progress": not quiet}
    )
    from divjax import plots

    for name, figure in figures.items():
        plots.save(figure, out / name)
    print(text)
    _say(started, out, f"{target}.zarr", *figures)


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


def huszar(
    *,
    weights: Annotated[
        str, typer.Option(help="Weights of the generalised JS, START:STOP:COUNT or a list.")
    ] = ".01,.05,.2,.5,.8,.9,.95,.98,.99",
    separation: Annotated[float, typer.Option(help="Distance of the two modes.")] = 6.0,
    seeds: Annotated[int, typer.Option(help="Games for each weight.")] = 8,
    steps: Annotated[int, typer.Option(help="Generator steps of a game.")] = 2000,
    out: Out = Path("runs/huszar"),
    quiet: Quiet = False,
) -> None:
    """Huszar (2015): the generalised JS from mode covering to mode seeking, and scheduled sampling's objective.

    The best Gaussian on two modes across JS's weight, exactly and by adversarial games; and what a sequence model of
    two steps forgets when it is trained on its own samples. Writes OUT/exact.zarr, OUT/games.zarr and two figures; what
    is in OUT already is kept, as by the other commands. Minutes on two cores.
    """
    _check("seeds", seeds, 1)
    _check("steps", steps, 1)
    if not 0.0 < separation < 1e3:
        raise ValueError(f"Expected --separation between 0 and 1000; got {separation}.")
    chosen = inputs.grid(weights, "weights")
    started = time.perf_counter()
    from divjax import plots, report_games
    from divjax.studies import generalised_js, scheduled_sampling

    chosen = generalised_js.checked(chosen)
    inputs.folder(out, "games.zarr", ("weights.png", "sequences.png"))
    stores = (out / "exact.zarr", out / "games.zarr")
    options = {"separation": separation, "steps": steps, "stores": stores, "progress": not quiet}
    exact, games = generalised_js.run(chosen, seeds, **options)
    sequences = scheduled_sampling.run()
    plots.save(plots.across_weights(exact, games), out / "weights.png")
    plots.save(plots.across_rates(sequences, scheduled_sampling.PHRASES), out / "sequences.png")
    print(report_games.weights(exact, games), report_games.sequences(sequences), sep="\n\n")
    _say(started, out, "exact.zarr", "games.zarr", "weights.png", "sequences.png")


def phase(
    *,
    family: Annotated[str, typer.Option(help="alpha (Renyi, Tsallis) or jensen_shannon, by its order.")] = "alpha",
    orders: Annotated[int, typer.Option(help="So many orders, over the family's range.")] = 128,
    separations: Annotated[str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")] = "0:10:128",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 16,
    lines: Annotated[int, typer.Option(help="Orders at which the lines are found.")] = 49,
    out: Out = Path("runs/phase"),
    quiet: Quiet = False,
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
    inputs.folder(out, f"{family}.zarr", (f"{family}.png",))
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


def remedy(
    *,
    separations: Annotated[
        str, typer.Option(help="START:STOP:COUNT or a list: distances of the modes.")
    ] = "3,4,6,8,16",
    seeds: Annotated[int, typer.Option(help="Random starts per case.")] = 64,
    out: Out = Path("runs/remedy"),
    quiet: Quiet = False,
) -> None:
    """Fit one, two and three Gaussians to two modes, by EM, Adam, L-BFGS and Newton: who gets there, who ends where.

    Writes OUT/remedy.zarr and OUT/remedy.png, and prints the shares; what is in OUT already is kept. Two minutes on two
    cores, most of them to compile.
    """
    distances = inputs.grid(separations, "separations")
    _check("seeds", seeds, 1)
    started = time.perf_counter()
    from divjax import plots, report_models
    from divjax.studies import remedy as study

    inputs.folder(out, "remedy.zarr", ("remedy.png",))
    table = study.run_sweep(distances, seeds, store=out / "remedy.zarr", progress=not quiet)
    print(report_models.remedy(table))
    plots.save(plots.recovered(table), out / "remedy.png")
    _say(started, out, "remedy.zarr", "remedy.png")


def likelihood(
    *,
    seeds: Annotated[int, typer.Option(help="Samples of each size.")] = 400,
    fits: Annotated[int, typer.Option(help="Samples that a Gaussian is fitted to.")] = 4000,
    separation: Annotated[float, typer.Option(help="Distance of the two modes.")] = 16.0,
    out: Out = Path("runs/likelihood"),
) -> None:
    """How fast the likelihood of a sample comes to KL(data‖model), and how far its estimates are off.

    Writes OUT/likelihood.png and prints the rate, its constant, and both covariances of the estimates.
    """
    _check("seeds", seeds, 2)
    _check("fits", fits, 2)
    if not 0.0 < separation < 1e3:
        raise ValueError(
            f"Expected --separation between 0 and 1000; got {separation}. At 0 the model is right: KL is 0."
        )
    started = time.perf_counter()
    inputs.folder(out, "", ("likelihood.png",))
    import jax

    from divjax import plots, report_models
    from divjax.studies import likelihood as study

    of_rate, of_fits = jax.random.split(jax.random.key(0))
    convergence = study.convergence(of_rate, num_seeds=seeds, separation=separation)
    sampling = study.sampling(of_fits, num_fits=fits, separation=separation)
    print(report_models.likelihood(convergence, sampling))
    plots.save(plots.likelihood_on_data(convergence, sampling), out / "likelihood.png")
    _say(started, out, "likelihood.png")


def topics(
    *,
    sizes: Annotated[str, typer.Option(help="Numbers of topics, and ranks, separated by commas.")] = "1,2,3,4,5,6",
    seeds: Annotated[int, typer.Option(help="Data sets.")] = 4,
    starts: Annotated[int, typer.Option(help="Random starts for each.")] = 3,
    out: Out = Path("runs/topics"),
    quiet: Quiet = False,
) -> None:
    """Documents by latent Dirichlet allocation and ratings by matrix factorisation: how many of the generated ones are
    unrealistic, with too few topics and factors and with enough. Writes OUT/topics.png and prints a table; minutes.
    """
    chosen = inputs.numbers(sizes, "sizes")
    _check("seeds", seeds, 1)
    _check("starts", starts, 1)
    started = time.perf_counter()
    from divjax import plots, report_models
    from divjax.studies import post_models

    chosen = post_models.checked(chosen)
    inputs.folder(out, "", ("topics.png",))
    table = post_models.run(chosen, seeds, starts, progress=not quiet)
    print(report_models.post_models(table))
    plots.save(plots.unrealistic(table), out / "topics.png")
    _say(started, out, "topics.png")


def digits(
    *,
    models: Annotated[str, typer.Option(help="Out of fresh, flow, vae, vae_means, gan, wgan_gp.")] = "",
    seeds: Annotated[int, typer.Option(help="Splits of the images, each with its own start.")] = 8,
    steps: Annotated[int, typer.Option(help="Of every model; by default each has its own number.")] = 0,
    out: Out = Path("runs/digits"),
    quiet: Quiet = False,
) -> None:
    """Train a flow, a VAE, a GAN and a WGAN-GP on images of digits; tell who is blurred, unrealistic, or drops modes.

    Writes OUT/digits.zarr and OUT/digits.png, and prints a table; what is in OUT already is kept. Needs scikit-learn,
    which has the images. A seed takes a minute of a core or two, and compiling some minutes more.
    """
    _check("seeds", seeds, 1)
    _check("steps", steps, 0)
    chosen = inputs.names(models, "models") if models else None
    started = time.perf_counter()
    from divjax import plots, report_models
    from divjax.studies import digits as study

    chosen = study.checked(chosen or study.ALL)
    inputs.folder(out, "digits.zarr", ("digits.png",))
    table = study.run(seeds, chosen, steps=steps or None, store=out / "digits.zarr", progress=not quiet).load()
    print(report_models.digits(table))
    plots.save(plots.generated_digits(table), out / "digits.png")
    _say(started, out, "digits.zarr", "digits.png")


COMMANDS = {
    "adversarial": adversarial,
    "huszar": huszar,
    "phase": phase,
    "remedy": remedy,
    "likelihood": likelihood,
    "topics": topics,
    "digits": digits,
}


def _check(name, number, low):
    if number < low:
        raise ValueError(f"Expected --{name} >= {low}; got {number}.")


def _say(started, out, *names):
    print(f"\n{time.perf_counter() - started:.0f} s. In {out}: {', '.join(names)}.")
