"""Digits in words: the table that ``divjax digits`` prints."""

from typing import TYPE_CHECKING

import numpy as np

from divjax.studies.digits import study
from divjax.tables import plus_minus
from divjax.tables import table as text_table

if TYPE_CHECKING:
    import xarray


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
        f"8 × 8 digits, {study.TRAIN} images to train on and {study.COMPARED} to compare with; mean ± standard "
        f"error of {table.sizes['seed']} random choices of them\n\n{text_table(header, rows)}\n\nsharpness: of "
        "the real = 1; classes: exp(entropy) of their shares, 10 where all are as frequent; nats/image: log-likelihood "
        "of held-out images."
    )


def _entropy_terms(shares):
    return shares * np.log(np.where(shares > 0.0, shares, 1.0))
