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

from divjax.divergences.neighbours import nearest

LEVEL = 0.99  # of the real rows are taken to be where the data are
CLOSE = 1.0 / 3.0  # a copy is nearer to a row than a third of that row's distance to the next
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


def distance_to_data(reference: np.ndarray, held_out: np.ndarray, generated: np.ndarray) -> tuple[Check, np.ndarray]:
    """``unrealistic``: rows farther from every reference row than 99 % of the reference rows are from each other.

    Also every generated row's distance in units of that one: above 1 it is unrealistic.
    """
    own, _ = distances(reference, reference, skip_self=True)
    edge = max(float(np.quantile(own, LEVEL)), np.finfo(np.float32).tiny)
    far, far_real = (distances(x, reference)[0][:, 0] / edge for x in (generated, held_out))
    hits, real_hits = int(np.sum(far > 1.0)), int(np.sum(far_real > 1.0))
    p_value = fisher(hits, len(far), real_hits, len(far_real))
    words = f"farther from the data than {100 * LEVEL:g} % of the real rows are from each other"
    return Check("unrealistic", hits / len(far), real_hits / len(far_real), p_value, words), far


def copies(train: np.ndarray, real: np.ndarray | None, generated: np.ndarray) -> tuple[Check, np.ndarray, np.ndarray]:
    """``memorised``: rows nearer to a training row than a third of its distance to the next one.

    real: rows that the generator was not trained on; None where ``train`` are the real rows themselves, each of which
    is then compared with the others. Also which generated rows are copies, and of which training rows.
    """
    copied, source = _copied(train, *distances(generated, train, k=2))
    if real is None:
        # Each against the others: the first three, of which one is itself or an equal row.
        chosen = train[:ROWS]
        gaps, index = distances(chosen, train, k=min(3, len(train)))
        others = index != np.arange(len(chosen))[:, None]
        keep = np.argsort(~others, axis=1, kind="stable")[:, :2]
        kept = [np.take_along_axis(a, keep, axis=1) for a in (gaps, index)]
        copied_real, _ = _copied(train, *kept, self_index=np.arange(len(chosen)))
    else:
        copied_real, _ = _copied(train, *distances(real, train, k=2))
    p_value = fisher(int(copied.sum()), len(copied), int(copied_real.sum()), len(copied_real))
    words = "nearer to a training row than a third of its distance to the next training row"
    return Check("memorised", float(copied.mean()), float(copied_real.mean()), p_value, words), copied, source


def _copied(train, gaps, index, self_index=None):
    """d(x, t) < d(t, t') / 3 with t the nearest training row and t' the nearest to it of those that are not x."""
    found = index[:, 0]
    between, others = distances(train[found], train, k=min(3, len(train)))
    taken = others == found[:, None]
    if self_index is not None:
        taken |= others == self_index[:, None]
    spacing = np.min(np.where(taken, np.inf, between), axis=1)
    return (gaps[:, 0] < CLOSE * spacing) & np.isfinite(spacing), found


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
        "uncovered", float(missed[0]), float(missed[1:].mean()), p_value,
        "real rows with no generated row among their nearest neighbours",
    )  # fmt: skip


def missing_mass(
    reference: np.ndarray, held_out: np.ndarray, generated: np.ndarray, rng: np.random.Generator, num: int
) -> tuple[Check, np.ndarray, np.ndarray]:
    """``missing``: the part of the real rows in cells where fewer than half as many generated rows are as should be.

    Cells are those of k-means on the reference rows. Σ (share of held-out rows − 2 × share of generated rows)₊ over the
    cells, and its p-value by relabelling held-out and generated rows. Also each cell's two shares, [cells, 2], and the
    cell of every held-out row. Cells reach to infinity, so that a blurred mode is not a missing one.
    """
    centers = k_means(rng, reference, min(CELLS, max(2, min(len(reference), len(generated)) // 20)))
    at_real, at_generated = (np.argmin(_squares(x, centers), axis=1) for x in (held_out, generated))
    both, real_num = np.concatenate([at_real, at_generated]), len(at_real)
    pooled = np.bincount(both, minlength=len(centers))
    real_counts = np.concatenate([
        np.bincount(at_real, minlength=len(centers))[None],
        rng.multivariate_hypergeometric(pooled, real_num, size=num, method="marginals"),
    ])  # fmt: skip
    shares = real_counts / real_num, (pooled - real_counts) / len(at_generated)
    missing = np.sum(np.maximum(shares[0] - 2.0 * shares[1], 0.0), axis=1)
    p_value = float(np.mean(missing >= missing[0] - 1e-9))
    words = "share of the real rows in parts of the data that get less than half of their share of generated rows"
    check = Check("missing", float(missing[0]), float(missing[1:].mean()), p_value, words)
    return check, np.stack([shares[0][0], shares[1][0]], axis=1), at_real


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
