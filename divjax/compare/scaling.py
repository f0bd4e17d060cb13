"""What two samples are made of before they are compared: the same units, no more rows than needed, images or not."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_SIDE = 4


class Scaled(NamedTuple):
    """Samples [n, d] in shared units: x = (file's entry − center) / scale, column by column."""

    real: np.ndarray
    generated: np.ndarray
    train: np.ndarray | None
    center: np.ndarray
    scale: np.ndarray


def scale_samples(
    real: np.ndarray, generated: np.ndarray, train: np.ndarray | None = None, *, image: bool = False
) -> Scaled:
    """Every column in standard deviations of the real rows; all pixels of images in the same unit, their mean one.

    A column that is constant in the real rows is measured in the deviations of the generated ones, and in its own units
    where it is constant in both. float32: the columns have been centred before.
    """
    center = real.mean(axis=0)
    spread = _spread(real)
    if image:
        spread = np.full_like(center, np.sqrt(np.mean(spread**2)))
    scale = np.where(spread > 0.0, spread, _spread(generated))
    scale = np.where(scale > 0.0, scale, 1.0)

    def scaled(x):
        with np.errstate(over="ignore"):
            moved = np.asarray((x - center) / scale, np.float32)
        if not np.isfinite(moved).all():
            raise ValueError(
                "Expected entries that a float32 can hold once they are in standard deviations of the real rows; got "
                "larger ones. Rescale or drop them."
            )
        return moved

    return Scaled(scaled(real), scaled(generated), None if train is None else scaled(train), center, scale)


def _spread(x):
    """Standard deviations, 0 where a column is constant up to rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread, size = x.std(axis=0), np.abs(x).max(axis=0)
    if not np.isfinite(spread).all():
        raise ValueError(
            f"Expected numbers whose variance a float can hold; got values up to {size.max():g}. Rescale them."
        )
    return np.where(spread > 1e-12 * size, spread, 0.0)


def constant_columns(x: np.ndarray) -> np.ndarray:
    """Indices of the columns that hold one value."""
    return np.flatnonzero(np.ptp(x, axis=0) == 0.0)


def guess_image(x: np.ndarray) -> tuple[int, int] | None:
    """(side, side) where the rows look like square images: neighbours along a row and a column are alike.

    The number of columns is a square of at least 16, the entries are within [0, 255] or [−1, 1], and the mean squared
    difference of adjacent pixels is below 0.7 of that of all pairs.
    """
    side = math.isqrt(x.shape[1])
    low, high = float(x.min()), float(x.max())
    if (
        side < LEAST_SIDE
        or side * side != x.shape[1]
        or not (0.0 <= low <= high <= 255.0 or -1.0 <= low <= high <= 1.0)
    ):
        return None
    grid = x[:2000].reshape(-1, side, side)
    grid = grid - grid.mean(axis=(1, 2), keepdims=True)
    apart = 2.0 * np.mean(grid**2)
    steps = [np.mean(np.diff(grid, axis=axis) ** 2) for axis in (1, 2)]
    return (side, side) if apart > 0.0 and max(steps) < 0.7 * apart else None


def subsample(rng: np.random.Generator, x: np.ndarray, most: int) -> np.ndarray:
    """x in random order, at most so many rows of it."""
    return x[rng.permutation(len(x))[:most]]


def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second half of rows that are in random order already."""
    half = len(x) // 2
    return x[:half], x[half : 2 * half]


def listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
