"""In what way generated rows differ from real ones: where no data are, less of some of it, or copied from it.

Every check compares a rate of the generated rows with the same rate of real rows that were held out, against the same
reference: rows that are independent of the reference and of one distribution have the same rate, whatever the reference
is. So its p-value is exact (Fisher's test, or a permutation test) for any data, dimension and neighbour count.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from divjax import diagnostics
from divjax.divergences.neighbours import nearest

LEVEL = 0.99  # of the real rows are taken to be where the data are, and to be no copies of others
HALF, TENTH = 0.5, 0.1  # of its share: what a part of the data gets at least, unless it is missing
CELLS = 20
ROWS = 2000  # at most, of each part
TRAIN_ROWS = 100_000


class Check(NamedTuple):
    """A rate of the generated rows, that of real rows held out, and the p-value of their being the same."""

    name: str
    rate: float
    real_rate: float
    p_value: float
    words: str


def distances(x: np.ndarray, y: np.ndarray, k: int = 1, *, skip_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Distances [n, k] to the k nearest y of every x, and which they are; ``skip_self``: y is x."""
    index = np.asarray(_nearest(jnp.asarray(x), jnp.asarray(y), k=k, skip_self=skip_self))
    return np.linalg.norm(np.asarray(x)[:, None, :] - np.asarray(y)[index], axis=2), index


_nearest = jax.jit(nearest, static_argnames=("k", "skip_self"))


def fisher(hits: int, num: int, other_hits: int, other_num: int) -> float:
    """P(as many hits or more among ``num``) given the total over both, were the rates the same: Fisher's exact test."""
    total, size = hits + other_hits, num + other_num
    logs = [
        _log_choose(total, k) + _log_choose(size - total, num - k) - _log_choose(size, num)
        for k in range(hits, min(total, num) + 1)
        if num - k <= size - total
    ]
    return min(1.0, float(np.sum(np.exp(logs))))


def _log_choose(n, k):
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def distance_to_data(
    reference: np.ndarray, held_out: np.ndarray, generated: np.ndarray
) -> tuple[Check, np.ndarray, np.ndarray]:
    """``unrealistic``: rows farther from the data than 99 % of the reference rows, ``diagnostics.distance_to_data``.

    Also that distance of every generated and of every held-out row: above 1 it is unrealistic.
    """
    both = jnp.asarray(np.concatenate([generated, held_out]))
    far = np.asarray(diagnostics.distance_to_data(jnp.asarray(reference), both, level=LEVEL))
    far, far_real = far[: len(generated)], far[len(generated) :]
    words = f"farther from the fifth nearest real row than {100 * LEVEL:g} % of the real rows are from theirs"
    return _compared("unrealistic", far > 1.0, far_real > 1.0, words), far, far_real


def copies(train: np.ndarray, real: np.ndarray | None, generated: np.ndarray) -> tuple[Check, np.ndarray, np.ndarray]:
    """``memorised``: rows that are as close to a training row as 1 % of those are to another, or copies of it.

    How close is what ``diagnostics.copy_distances`` says. real: rows that the generator was not trained on; None where
    ``train`` are the real rows themselves, each of which is then compared with the others: 1 % of them are that close
    to another by definition. Also which generated rows are copies, and of which training rows. Rows in random order.
    """
    rows = generated if real is None else np.concatenate([generated, real])
    train = jnp.asarray(train)
    own, ratio = map(
        np.asarray, diagnostics.copy_distances(train, jnp.asarray(rows), level=1.0 - LEVEL, num_points=ROWS)
    )
    copied = ratio[: len(generated)] <= 1.0
    copied_real = (own if real is None else ratio[len(generated) :]) <= 1.0
    source = np.asarray(_nearest(jnp.asarray(generated), train, k=1))[:, 0]
    words = (
        f"closer to a training row, next to how far the next one is, than {100 * LEVEL:g} % of the training rows "
        "are to another"
    )
    return _compared("memorised", copied, copied_real, words), copied, source


def _compared(name, found, found_real, words):
    """A check of the share of generated rows against that of real ones: Fisher's exact test."""
    p_value = fisher(int(found.sum()), len(found), int(found_real.sum()), len(found_real))
    return Check(name, float(found.mean()), float(found_real.mean()), p_value, words)


def covered(
    reference: np.ndarray, held_out: np.ndarray, generated: np.ndarray, rng: np.random.Generator, num: int
) -> Check:
    """``uncovered``: held-out real rows with no generated row as near as their fifth real neighbour.

    Under the null hypothesis generated and reference rows are exchangeable: the p-value is that of relabelling them,
    ``num`` times. The rate beside it is the mean over those.
    """
    k = min(5, len(held_out) - 1)
    radius = distances(held_out, held_out, k=k, skip_self=True)[0][:, -1]
    pool = np.concatenate([generated, reference])
    squares = _squares(held_out, pool)
    slack = 1e-10 * np.mean(squares)  # of rounding: rows that coincide are near
    near = (squares <= (radius * (1.0 + 1e-5))[:, None] ** 2 + slack).astype(np.float32)
    labels = np.zeros((len(pool), num + 1), np.float32)
    labels[: len(generated), 0] = 1.0
    for j in range(1, num + 1):
        labels[rng.permutation(len(pool))[: len(generated)], j] = 1.0
    missed = np.mean(near @ labels == 0.0, axis=0)
    p_value = float(np.mean(missed >= missed[0] - 1e-9))
    return Check(
        "uncovered",
        float(missed[0]),
        float(missed[1:].mean()),
        p_value,
        "real rows with no generated row among their nearest neighbours",
    )


def missing_mass(
    reference: np.ndarray,
    held_out: np.ndarray,
    generated: np.ndarray,
    rng: np.random.Generator,
    num: int,
    *,
    part: float = HALF,
) -> tuple[Check, np.ndarray]:
    """``missing``: the part of the real rows in cells where fewer than half as many generated rows are as should be.

    Cells are those of k-means on the reference rows. Σ (share of held-out rows − share of generated rows / part)₊ over
    the cells, and its p-value by relabelling held-out and generated rows. Also which held-out rows are in such cells.
    Cells reach to infinity, so that a blurred mode is not a missing one. part: 1/2, or 1/10, which ``compare`` takes
    among realistic rows: blur thins out the middle of a mode, but leaves more than that of it.
    """
    centers = k_means(rng, reference, min(CELLS, max(2, min(len(reference), len(generated)) // 20)))
    at_real, at_generated = (np.argmin(_squares(x, centers), axis=1) for x in (held_out, generated))
    both, real_num = np.concatenate([at_real, at_generated]), len(at_real)
    pooled = np.bincount(both, minlength=len(centers))
    real_counts = np.concatenate(
        [
            np.bincount(at_real, minlength=len(centers))[None],
            rng.multivariate_hypergeometric(pooled, real_num, size=num, method="marginals"),
        ]
    )
    shares = real_counts / real_num, (pooled - real_counts) / len(at_generated)
    missing = np.sum(np.maximum(shares[0] - shares[1] / part, 0.0), axis=1)
    p_value = float(np.mean(missing >= missing[0] - 1e-9))
    how = ("half", "generated") if part == HALF else ("a tenth", "realistic generated")
    words = "parts of the data with less than {} of their share of {} rows".format(*how)
    check = Check("missing", float(missing[0]), float(missing[1:].mean()), p_value, words)
    return check, (shares[1][0] < part * shares[0][0])[at_real]


def k_means(rng: np.random.Generator, x: np.ndarray, num: int, steps: int = 30) -> np.ndarray:
    """Lloyd's algorithm from k-means++ (Arthur, Vassilvitskii 2007). Centers [num, d]; fewer where rows coincide."""
    centers = x[rng.integers(len(x))][None]
    while len(centers) < num:
        square = np.min(_squares(x, centers), axis=1)
        if square.sum() <= 0.0:
            break
        centers = np.concatenate([centers, x[rng.choice(len(x), p=square / square.sum())][None]])
    for _ in range(steps):
        at = np.argmin(_squares(x, centers), axis=1)
        counts = np.bincount(at, minlength=len(centers))
        sums = np.zeros_like(centers)
        np.add.at(sums, at, x)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers)
        if np.allclose(moved, centers):
            break
        centers = moved
    return centers


def _squares(x, y):
    """‖x_i − y_j‖² in float64, exact enough for ties to be ties."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.maximum((x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2.0 * x @ y.T, 0.0)
