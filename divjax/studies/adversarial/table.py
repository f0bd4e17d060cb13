"""Games in words: the tables that ``divjax adversarial`` prints."""

from typing import TYPE_CHECKING

import numpy as np

from divjax.studies.adversarial.methods import lookup
from divjax.studies.adversarial.plane import TARGETS
from divjax.tables import count, plus_minus, table

if TYPE_CHECKING:
    import xarray

LONGER = "elsewhere: at no optimum within a fifth of its scale; a longer run (--steps) may still get there."


def line(fits: "xarray.Dataset", exact: dict[str, list[list[tuple[float, float]]]]) -> str:
    """At the largest separation: the exact optimum, where the seeds ended, and how."""
    at = int(np.argmax(fits["separation"].values))
    here = fits.isel(separation=at)
    rows = []
    for name in map(str, here["game"].values):
        criterion, game = lookup(name).criterion, here.sel(game=name)
        best = exact[criterion][at]
        ended = near(game, best)
        rows.append(
            (
                name,
                criterion,
                normal(*best[0]) if best else "–",
                percent(ended == 0),
                percent(ended > 0),
                percent((ended < 0) & ~game["diverged"].values),
                percent(game["cycled"].values),
                percent(game["diverged"].values),
                f"{100 * float(game['unrealistic_rate'].median()):.1f} %",
            )
        )
    title = (
        f"A Gaussian generator against a critic, ½ N(0, 1) + ½ N({float(here['separation']):g}, 1), "
        f"{count(here.sizes['seed'], 'seed')}: how many ended at an exact optimum of what they are meant to minimise"
    )
    header = (
        "game",
        "criterion",
        "best optimum",
        "there",
        "at another",
        "elsewhere",
        "to and fro",
        "diverged",
        "unrealistic",
    )
    return f"{title}\n\n{table(header, rows)}\n{LONGER}"


def near(game: "xarray.Dataset", optima: list[tuple[float, float]]) -> np.ndarray:
    """Of each seed the exact optimum within a fifth of its scale; −1 where there is none."""
    loc, scale = game["loc"].values, game["scale"].values
    near = np.full(loc.shape, -1)
    for rank, (mean, deviation) in reversed(list(enumerate(optima))):
        near[np.hypot(loc - mean, scale - deviation) < 0.2 * deviation] = rank
    twins = [rank for rank, (_, deviation) in enumerate(optima) if rank and abs(deviation / optima[0][1] - 1) < 1e-3]
    return np.where(np.isin(near, twins), 0, near)  # the mirror image is as good


# Srivastava et al. (2017), VEEGAN, table 1: modes captured, and percent of the samples within three deviations of one.
PUBLISHED = {
    "ring": {"GAN": (1.0, 99.3), "ALI": (2.8, 0.13), "unrolled GAN": (7.6, 35.6), "VEEGAN": (8.0, 52.9)},
    "grid": {"GAN": (3.3, 0.5), "ALI": (15.8, 1.6), "unrolled GAN": (23.6, 16.0), "VEEGAN": (24.6, 40.0)},
}


def plane(fits: "xarray.Dataset", target: str) -> str:
    """Modes captured and samples of high quality, mean ± standard error over seeds, and what went wrong.

    A game that diverged has neither.
    """
    known = len(TARGETS[target]()[0])
    rows = [
        (
            name,
            f"{plus_minus(game['modes'].where(~game['diverged'], 0))} of {known}",
            f"{plus_minus(100 * game['high_quality'].where(~game['diverged'], 0))} %",
            percent(game["modes"].values == known),
            percent(game["collapsed"].values),
            percent(game["diverged"].values),
        )
        for name, game in ((str(name), fits.sel(game=name)) for name in fits["game"].values)
    ]
    header = ("game", "modes captured", "high quality", "all modes", "collapsed", "diverged")
    published = "; ".join(f"{name} {modes:g}, {quality:g} %" for name, (modes, quality) in PUBLISHED[target].items())
    title = f"The {target} of {known} Gaussians, {count(fits.sizes['seed'], 'seed')}"
    note = f"Published, with other networks and settings (Srivastava et al. 2017, table 1): {published}."
    return f"{title}\n\n{table(header, rows)}\n{note}"


def percent(flags: np.ndarray) -> str:
    return f"{100 * np.mean(flags):.0f} %"


def normal(loc: float, scale: float) -> str:
    loc = loc if abs(loc) > 1e-4 * scale else 0.0  # of the size of a fit's error
    return f"N({loc:.4g}, {scale:.4g}²)"
