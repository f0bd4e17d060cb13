"""Discrepancies of two samples with their standard errors, and what two halves of the real rows have between them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from divjax import divergences as dv
from divjax.compare.scaling import halves
from divjax.discretize import coupling
from divjax.divergences import kernels, samples

GROUPS = 10  # of the jackknife
MANY, SOME, FEW = 5000, 2000, 500  # rows at most, by what a discrepancy costs
LEAST_ROWS = 20  # for a standard error


class Discrepancy(NamedTuple):
    """A value with its standard error, and the value between two disjoint halves of the real rows."""

    name: str
    value: float
    stderr: float
    between_halves: float
    rows: tuple[int, int]  # real and generated, that it was measured on
    words: str


class Measure(NamedTuple):
    """function(key, kernel, x, y) -> scalar, on so many rows of each sample at most."""

    function: Callable[..., jax.Array]
    rows: int
    words: str


@jax.jit
def _energy(key, kernel, x, y):
    return samples.energy_unbiased(x, y)


@jax.jit
def _mmd2(key, kernel, x, y):
    return samples.mmd2_unbiased(x, y, kernel=kernel)


@jax.jit
def _neighbour_kl(key, kernel, x, y):
    return samples.neighbour_kl(x, y)


@jax.jit
def _neighbour_kl_reverse(key, kernel, x, y):
    return samples.neighbour_kl(y, x)


@jax.jit
def _wasserstein(key, kernel, x, y):
    return jnp.max(jax.lax.map(lambda pair: dv.wasserstein(coupling(*pair)), (x.T, y.T)))


@jax.jit
def _sliced(key, kernel, x, y):
    return dv.sliced_wasserstein(key, x, y)


@jax.jit
def _max_sliced(key, kernel, x, y):
    return dv.max_sliced_wasserstein(key, x, y, num_starts=4)


@jax.jit
def _sinkhorn(key, kernel, x, y):
    return dv.sinkhorn_divergence(x, y)


LINE = {
    "energy_distance": Measure(_energy, MANY, "unbiased; 0 where the distributions are equal"),
    "mmd2": Measure(_mmd2, MANY, "unbiased; Gaussian kernel, median distance"),
    "neighbour_kl": Measure(_neighbour_kl, SOME, "KL(real‖generated) in nats, 5 nearest neighbours"),
    "neighbour_kl_reverse": Measure(_neighbour_kl_reverse, SOME, "KL(generated‖real) in nats, 5 nearest neighbours"),
    "wasserstein": Measure(_wasserstein, SOME, "order 1; of the worst column where there are several"),
}
SPACE = {
    "sliced_wasserstein": Measure(_sliced, SOME, "order 2, 128 random directions"),
    "max_sliced_wasserstein": Measure(_max_sliced, FEW, "order 2, the worst direction found"),
    "sinkhorn_divergence": Measure(_sinkhorn, FEW, "entropic transport of ‖x − y‖²"),
}

FAST = ("energy_distance", "wasserstein")  # what a quick look has


def measures(dim: int) -> dict[str, Measure]:
    """What can be measured between samples of this dimension without a density."""
    return LINE | (SPACE if dim > 1 else {})


def common(key: jax.Array, x: np.ndarray, y: np.ndarray) -> tuple[jax.Array, kernels.Kernel]:
    """What all measures share: a key for the directions of the sliced distances, and a kernel."""
    return key, kernels.rbf(kernels.median_distance(jnp.asarray(x[:SOME]), jnp.asarray(y[:SOME])))


def measure(
    name: str, how: Measure, shared: tuple[jax.Array, kernels.Kernel], x: np.ndarray, y: np.ndarray
) -> Discrepancy:
    """``how`` on at most ``how.rows`` rows of each sample, which are in random order.

    The standard error is the delete-a-group jackknife over 10 groups of rows of both samples at once: √((g−1)/g Σ (θ_−j
    − mean)²). Where the distributions are equal it is on the large side for the unbiased forms. NaN below 20 rows.
    """
    parts = [half[: how.rows] for half in halves(x)]
    x, y = x[: how.rows], y[: how.rows]
    function = functools.partial(how.function, *shared)
    value = _number(function, x, y)
    stderr = float("nan")
    if min(len(x), len(y)) >= LEAST_ROWS:
        left = np.array([_number(function, _without(x, j), _without(y, j)) for j in range(GROUPS)])
        stderr = float(np.sqrt((GROUPS - 1) * np.mean((left - left.mean()) ** 2)))
    return Discrepancy(name, value, stderr, _number(function, *parts), (len(x), len(y)), how.words)


def _without(x, group):
    """x without one of ten groups of equal size."""
    size = len(x) // GROUPS
    return np.concatenate([x[: group * size], x[(group + 1) * size :]])


def _number(function, x, y):
    """The value, NaN where there are too few rows for it."""
    try:
        return float(function(x, y))
    except ValueError:
        return float("nan")
