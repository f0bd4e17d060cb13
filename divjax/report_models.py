"""Tables of the studies of models: the remedy, likelihood on data, topics and ratings, digits."""

from typing import TYPE_CHECKING

import numpy as np

from divjax.report import plus_minus
from divjax.report import table as text_table
from divjax.studies import digits as of_digits
from divjax.studies import likelihood as of_likelihood
from divjax.studies import post_models as of_post_models
from divjax.studies import remedy as of_remedy

if TYPE_CHECKING:
    import xarray


def remedy(table: "xarray.Dataset") -> str:
    """The share of starts that recover the target, and the most frequent other end, for each optimiser and size."""
    shares = of_remedy.shares(table)
    rows = []
    for optimizer in table["optimizer"].values:
        for num in table["components"].values:
            of_label = shares.sel(optimizer=optimizer, components=num)
            recovered = of_label.sel(label="recovered").values
            others = of_label.mean("separation").drop_sel(label="recovered")
            worst = str(others["label"].values[int(others.values.argmax())]) if float(others.max()) > 0.0 else "–"
            rows.append((str(optimizer), str(int(num)), *(f"{100 * share:.0f} %" for share in recovered), worst))
    header = ("optimiser", "components", *(f"d = {d:g}" for d in table["separation"].values), "mostly else")
    return (
        f"Starts that end at the target, ½ N(0, 1) + ½ N(d, 1), out of {table.sizes['seed']}\n\n"
        f"{text_table(header, rows)}\n\nmerged: a component covers both modes; one_mode: all sit on the same; other: "
        "neither, such as steps that ran out."
    )


def likelihood(convergence: of_likelihood.Convergence, sampling: of_likelihood.Sampling) -> str:
    """The rate and its constant; how often intervals by the sandwich and by Fisher's information hold the truth."""
    rows = [
        (f"{num}", f"{rms:.5f} ± {stderr:.5f}", f"{convergence.constant / num**0.5:.5f}")
        for num, rms, stderr in zip(convergence.num, convergence.rms, convergence.rms_stderr, strict=True)
    ]
    rate = text_table(("draws", "rms error", "sd(log p/q) / √n"), rows)
    spread = np.cov(sampling.estimates.T)
    rows = [
        (name, f"{spread[i, i] ** 0.5:.5f}", f"{sampling.covariance[i, i] ** 0.5:.5f}",
         f"{sampling.inverse_fisher[i, i] ** 0.5:.5f}", f"{100 * sampling.covered[i]:.1f} %",
         f"{100 * sampling.covered_fisher[i]:.1f} %")
        for i, name in enumerate(("μ", "log σ"))
    ]  # fmt: skip
    header = ("", "spread", "sandwich", "Fisher", "held by sandwich", "held by Fisher")
    return (
        f"The mean of log p/q over n draws and KL = {convergence.kl:.5f} nats: slope {convergence.slope:.3f} ± "
        f"{convergence.slope_stderr:.3f} over log n\n\n{rate}\n\nMaximum likelihood on {sampling.num} points, "
        f"{len(sampling.estimates)} samples: standard deviations, and how often a 95 % interval holds the truth\n\n"
        f"{text_table(header, rows)}"
    )


def post_models(table: "xarray.Dataset") -> str:
    """The rates of unrealistic documents and ratings by size, means over data sets with their standard errors."""
    best = of_post_models.likeliest(table)
    documents, ratings = (best.sel(model=name) for name in (of_post_models.DOCUMENTS, of_post_models.RATINGS))
    columns = [_rates(documents["unrealistic"]), _rates(ratings["unrealistic"]),
               _rates(ratings["unrealistic_of_new_users"])]  # fmt: skip
    rows = [(str(int(size)), *cells) for size, *cells in zip(table["size"].values, *columns, strict=True)]
    header = ("topics, rank", "documents", "ratings", "ratings of new users")
    return (
        f"Generated draws whose true density is below that of {of_post_models.MASS:.0%} of real ones; the data have "
        f"{len(of_post_models.SUBJECTS)} topics and {of_post_models.GENRES} genres\n\n{text_table(header, rows)}"
    )


def _rates(values):
    values = values.transpose("size", "seed").values
    return [plus_minus(100.0 * row, 1) + " %" for row in values]


def digits(table: "xarray.Dataset") -> str:
    """Each model's measures, means over seeds with their standard errors."""
    percent = ("unrealistic", "precision", "recall", "coverage", "copied")
    rows = []
    for name in table["model"].values:
        here = table.sel(model=name)
        cells = [plus_minus(100.0 * here[measure].values, 1) for measure in percent]
        plain = [plus_minus(here[measure].values, 2) for measure in ("density", "sharpness")]
        classes = np.exp(-np.sum(_entropy_terms(here["classes"].transpose("seed", "digit").values), axis=1))
        last = here["log_likelihood"].isel(round=-1).values
        rows.append(
            (str(name), *cells, *plain, plus_minus(classes, 2), plus_minus(last, 1) if np.isfinite(last).all() else "–")
        )
    header = ("model", *(f"{measure}, %" for measure in percent), "density", "sharpness", "classes", "nats/image")
    return (
        f"8 × 8 digits, {of_digits.TRAIN} images to train on and {of_digits.COMPARED} to compare with; mean ± standard "
        f"error of {table.sizes['seed']} random choices of them\n\n{text_table(header, rows)}\n\nsharpness: of "
        "the real = 1; classes: exp(entropy) of their shares, 10 where all are as frequent; nats/image: log-likelihood "
        "of held-out images."
    )


def _entropy_terms(shares):
    return shares * np.log(np.where(shares > 0.0, shares, 1.0))
