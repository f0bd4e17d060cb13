"""Huszar's two objectives in words: the tables that ``divjax huszar`` prints."""

from typing import TYPE_CHECKING

from divjax.studies.adversarial.table import LONGER, near, normal, percent
from divjax.studies.huszar import scheduled_sampling
from divjax.studies.two_modes.study import optima
from divjax.tables import table

if TYPE_CHECKING:
    import xarray


def weights(exact: "xarray.Dataset", games: "xarray.Dataset") -> str:
    """Of each weight the best Gaussian, exactly, and the seeds of the game that ended at it or at another optimum."""
    rows = []
    for at in games["weight"].values:
        best = optima(exact.sel(weight=at))
        ended = near(games.sel(weight=at), [(each.loc, each.scale) for each in best])
        seeks = bool(best) and best[0].basin >= 0
        rows.append(
            (
                f"{float(at):.3g}",
                normal(best[0].loc, best[0].scale) if best else "–",
                f"{best[0].value:.4f}" if best else "–",
                percent(ended == 0),
                percent(ended > 0),
                percent(ended < 0),
                "seeks one mode" if seeks else "covers both",
            )
        )
    title = (
        f"The generalised Jensen-Shannon divergence by its weight, ½ N(0, 1) + ½ N({float(exact['separation']):g}, 1), "
        f"{games.sizes['seed']} games each: where they ended"
    )
    header = ("weight", "best optimum", "JS_w / w(1-w)", "there", "at another", "elsewhere", "the best")
    return f"{title}\n\n{table(header, rows)}\n{LONGER}"


def sequences(fits: "xarray.Dataset") -> str:
    """Scheduled sampling's rate, and what is left of the dependence of two steps."""
    rows = [
        (f"{float(rate):.3g}", *(f"{float(held[name]):.4f}" for name in ("value", "kl", "mutual_information")))
        for rate in fits["rate"].values
        for held in [fits.sel(draw=scheduled_sampling.HELD, rate=rate).mean("seed")]
    ]
    header = ("rate", "objective", "KL(data‖model)", "mutual information")
    return f"Scheduled sampling on two steps, nats\n\n{table(header, rows)}"
