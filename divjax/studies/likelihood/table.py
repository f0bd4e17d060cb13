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
        f"{table(header, rows)}"
    )
