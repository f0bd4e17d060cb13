"""Likelihood on data in words: the tables that ``divjax likelihood`` prints."""

import numpy as np

from divjax.studies.likelihood.study import Convergence, Sampling
from divjax.tables import table


def likelihood(convergence: Convergence, sampling: Sampling) -> str:
    """The rate and its constant; how often intervals by the sandwich and by Fisher's information hold the truth."""
    rows = [
        (f"{num}", f"{rms:.5f} ± {stderr:.5f}", f"{convergence.constant / num**0.5:.5f}")
        for num, rms, stderr in zip(convergence.num, convergence.rms, convergence.rms_stderr, strict=True)
    ]
    rate = table(("draws", "rms error", "sd(log p/q) / √n"), rows)
    spread = np.cov(sampling.estimates.T)
    spreads, covered = (
        (spread, sampling.covariance, sampling.inverse_fisher),
        (sampling.covered, sampling.covered_fisher),
    )
    rows = [
        (name, *(f"{each[i, i] ** 0.5:.5f}" for each in spreads), *(f"{100 * each[i]:.1f} %" for each in covered))
        for i, name in enumerate(("μ", "log σ"))
    ]
    header = ("", "spread", "sandwich", "Fisher", "held by sandwich", "held by Fisher")
    return (
        f"The mean of log p/q over n draws and KL = {convergence.kl:.5f} nats: slope {convergence.slope:.3f} ± "
        f"{convergence.slope_stderr:.3f} over log n\n\n{rate}\n\nMaximum likelihood on {sampling.num} points, "
        f"{len(sampling.estimates)} samples: standard deviations, and how often a 95 % interval holds the truth\n\n"
        f"{table(header, rows)}"
    )
