"""Realism, coverage and memorisation where both sides are samples: by balls around points that reach their neighbours.

x is the sample of the data, y that of the model: arrays [n, d] and [m, d] (or [n] and [m]), every point of which counts
the same. Distances are Euclidean, in whatever space the points are given, and are found block by block. Ties count as
inside: if a set is compared with itself nothing is outside, duplicates and constant sets included. A NaN in either
sample makes every rate NaN. All raise ValueError for samples of unequal dimension, or of fewer points than they need,
and TypeError for ``Points``, whose weights they do not know. ``rate_stderr`` and ``split_stderr`` have standard errors.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from divjax import checks
from divjax import numerics as nu
from divjax.diagnostics.balls import reached, within
from divjax.divergences.neighbours import nearest, neighbour_distances
from divjax.divergences.reading import broken, two_unweighted
from divjax.numerics.calls import said

Rate = Float[Array, ""]


class PrecisionRecall(NamedTuple):
    """The share of the model's points among the data (precision), and of the data among the model's points (recall)."""

    precision: Rate
    recall: Rate


class DensityCoverage(NamedTuple):
    """How many points of the model a neighbourhood of the data holds, relative to what it holds if the distributions
    are equal (density); the share of neighbourhoods that hold any (coverage)."""

    density: Rate
    coverage: Rate


class ModesCaptured(NamedTuple):
    """The number of modes that are served, and the share of the samples that are close to one."""

    modes: Int[Array, ""]
    high_quality: Rate


@said
def precision_recall(x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int = 5) -> PrecisionRecall:
    """How much of what the model makes looks like data, and how much of the data the model makes.

    Improved precision and recall (Kynkäänniemi et al. 2019). Around every point of a sample there is a ball as large as
    the distance to its ``k``-th nearest other point. precision: the share of y within a ball of x; recall: the share of
    x within a ball of y. Both are below 1 for equal distributions, by how much depends on the dimension, and one
    outlier has a large ball: ``density_coverage`` has known values there. n, m > k.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
        >>> found = dj.diagnostics.precision_recall(x, x[:3] + 0.5, k=1)
        >>> float(found.precision), float(found.recall)
        (1.0, 0.5)
    """
    return _precision_recall(*_both(x, y, k, k), k)


@functools.partial(jax.jit, static_argnums=2)
def _precision_recall(x, y, k):
    precision = within(y, x, _radii(x, k)) > 0
    recall = within(x, y, _radii(y, k)) > 0
    return PrecisionRecall(*(_share(inside, x, y) for inside in (precision, recall)))


@said
def density_coverage(x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int = 5) -> DensityCoverage:
    """How densely the model fills the neighbourhoods of the data, and how many of them it reaches (Naeem et al. 2020).

    Around every point of x there is a ball as large as the distance to its ``k``-th nearest other point. density:
    Σ_j #{i: y_j within the ball of x_i} / (k m), about 1 for equal distributions and above 1 where y crowds where x is
    dense. coverage: the share of the balls with a point of y in them, in expectation
    1 − Π_{j=0}^{k−1} (n − 1 − j) / (n + m − 1 − j) for equal distributions, which is about 1 − 2^(−k) for n = m. n > k.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
        >>> float(dj.diagnostics.density_coverage(x, x[:3] + 0.5, k=1).coverage)
        0.5
    """
    return _density_coverage(*_both(x, y, k, 0), k)


@functools.partial(jax.jit, static_argnums=2)
def _density_coverage(x, y, k):
    radii = _radii(x, k)
    counts = within(y, x, radii)
    covered = reached(neighbour_distances(x, y, k=1)[:, 0], radii)
    return DensityCoverage(_share(counts, x, y) / k, _share(covered, x, y))


@said
def modes_captured(
    y: Float[Array, "m d"],
    modes: Float[Array, "k d"],
    scale: ArrayLike,
    *,
    sigmas: ArrayLike = 3.0,
    share: ArrayLike = 0.0,
) -> ModesCaptured:
    """How many of the known modes a model serves, and the share of its sample y close to one (Srivastava et al. 2017).

    A point is of high quality if it is within ``sigmas`` standard deviations of the nearest mode. A mode is captured if
    at least one such point is nearest to it, and at least ``share`` of all points. scale: the standard deviation of the
    modes, a scalar or [k]. If y is drawn from the truth itself in d dimensions, the share of high quality is the χ_d
    distribution function at ``sigmas``: 0.997, 0.989, 0.971 for d = 1, 2, 3.

    Examples:
        >>> found = dj.diagnostics.modes_captured(jnp.asarray([0.1, -0.2, 5.0]), jnp.asarray([0.0, 16.0]), 1.0)
        >>> int(found.modes), round(float(found.high_quality), 3)
        (1, 0.667)
    """
    y, modes = two_unweighted(y, modes, names=("y", "modes"))
    scale = jnp.asarray(scale, y.dtype)
    if scale.shape not in ((), modes.shape[:1]):
        raise ValueError(
            f"Expected scale as a scalar or one for each of the {modes.shape[0]} modes; got {scale.shape}."
        )
    return _modes_captured(y, modes, scale, sigmas, share)


@jax.jit
def _modes_captured(y, modes, scale, sigmas, share):
    scale = jnp.broadcast_to(scale, modes.shape[:1])
    index = nearest(y, modes, k=1)[:, 0]
    distance = nu.safe_sqrt(jnp.sum((y - modes[index]) ** 2, axis=1))
    close = reached(distance, sigmas * scale[index])
    counts = jnp.zeros(modes.shape[0], jnp.int32).at[index].add(close)
    captured = counts >= jnp.maximum(1.0, share * y.shape[0])
    return ModesCaptured(jnp.sum(captured), _share(close, y, modes))


class CopyDistances(NamedTuple):
    """How close points are to a training point, in units of what is close for a fresh one: at most 1 is a copy."""

    x: Float[Array, " c"]  # the training points, each left out in turn
    y: Float[Array, " m"]


@said
def memorisation_rate(x: Float[Array, "n d"], y: Float[Array, "m d"], *, level: float = 0.01) -> Rate:
    """The share of y that are copies, or nearly, of a training point x: about ``level`` for fresh draws.

    A copy is what ``copy_distances`` finds within 1. n ≥ 3.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 3.0, 6.0])
        >>> float(dj.diagnostics.memorisation_rate(x, jnp.asarray([3.0, 4.5])))
        0.5
    """
    distance = copy_distances(x, y, level=level).y
    return _share(distance <= 1.0, distance, x, y)


@said
def copy_distances(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, level: float = 0.01, num_points: int | None = None
) -> CopyDistances:
    """How close each of y is to a training point x, in units such that a fresh draw is within 1 with chance ``level``.

    For a point y, the nearest training point x and the distance r(x) from x to the nearest other training point it is
    the ratio ‖y − x‖ / r(x) that counts: it is small for a copy, wherever the data are dense or thin. The unit is the
    ``level`` quantile of the ratios of the training points themselves, each left out in turn. Of fewer than 1 / level
    of them it is the least one, and the probability about 1 / n. Exact copies have ratio 0 and always count. Where more
    than ``level`` of the training points are duplicates themselves, only exact copies count, of which a fresh sample
    then has as many. num_points: so many training points give the unit, the first ones, which saves time if they are in
    random order; by default all. n ≥ 3.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 3.0, 6.0])
        >>> dj.diagnostics.copy_distances(x, jnp.asarray([3.0, 4.5])).y <= 1.0
        Array([ True, False], dtype=bool)
    """
    checks.parameter(level, "level", 0.0, 1.0)
    x, y = two_unweighted(x, y, least=1)
    if x.shape[0] < 3:
        raise ValueError(f"Expected at least 3 training points x; got {x.shape[0]}.")
    num_points = x.shape[0] if num_points is None else min(num_points, x.shape[0])
    if num_points < 1:
        raise ValueError(f"Expected num_points >= 1; got {num_points}.")
    return _copy_distances(x, y, float(level), num_points)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _copy_distances(x, y, level, num_points):
    chosen = jnp.arange(num_points)
    near = nearest(x[:num_points], x, k=2)
    # The nearest but itself. Neither is itself where two others equal it, and then either has distance 0.
    first = jnp.where(near[:, 0] == chosen, near[:, 1], near[:, 0])
    left_out = _copy_ratio(x[:num_points], x, first, chosen)
    rank = max(1, math.floor(level * (num_points + 1))) if level > 0.0 else 0
    bound = _order_statistic(left_out, rank)
    ratio = _copy_ratio(y, x, nearest(y, x, k=1)[:, 0], -1)
    return CopyDistances(_relative(left_out, bound), _relative(ratio, bound))


def _copy_ratio(points, x, index, besides):
    """Distance to the training point of this index over that one's to the nearest other, ``besides`` left out."""
    around = nearest(x[index], x, k=3)
    left_out = (around == index[:, None]) | (around == jnp.reshape(besides, (-1, 1)))
    squares = jnp.sum((x[around] - x[index][:, None, :]) ** 2, axis=2)
    spacing = nu.safe_sqrt(jnp.min(jnp.where(left_out, jnp.inf, squares), axis=1))
    distance = nu.safe_sqrt(jnp.sum((points - x[index]) ** 2, axis=1))
    copy = distance == 0.0
    return jnp.where(copy, 0.0, distance / jnp.where(copy, 1.0, spacing))


@said
def unrealistic_rate_of_samples(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, level: float = 0.99, k: int = 5
) -> Rate:
    """The share of the model's sample y that lies where the data x do not: about 1 − level for fresh draws of the data.

    It is outside the region that holds ``level`` of x, where ``distance_to_data`` is at most 1:
    ``unrealistic_rate`` with a density estimated from the ``k`` nearest neighbours. n > k.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
        >>> float(dj.diagnostics.unrealistic_rate_of_samples(x, jnp.asarray([0.5, 6.0]), k=1))
        0.5
    """
    distance = distance_to_data(x, y, level=level, k=k)
    return _share(distance > 1.0, distance, x, y)


@said
def distance_to_data(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, level: float = 0.99, k: int = 5
) -> Float[Array, " m"]:
    """How far each of y is from the data x, in units such that a fresh draw is above 1 with chance about 1 − level.

    The distance to the ``k``-th nearest of x, which is larger where the density is lower, in units of the ``level``
    quantile of those of the points of x to each other. Of fewer than 1 / (1 − level) points the unit is the largest
    distance among them, and the probability about 1 / n. n > k.

    Examples:
        >>> x = jnp.asarray([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
        >>> dj.diagnostics.distance_to_data(x, jnp.asarray([0.5, 6.0]), k=1)
        Array([0.5, 4. ], dtype=float32)
    """
    checks.parameter(level, "level", 0.0, 1.0)
    return _distance_to_data(*_both(x, y, k, 0), float(level), k)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _distance_to_data(x, y, level, k):
    n = x.shape[0]
    bound = _order_statistic(_radii(x, k), min(n, math.ceil(level * (n + 1))))
    return _relative(neighbour_distances(y, x, k=k)[:, -1], bound)


def _relative(value, bound):
    """value / bound, at most 1 where the bound is reached up to rounding: 0 and inf for a bound of 0."""
    ratio = jnp.where(value == 0.0, 0.0, value / jnp.where(value == 0.0, 1.0, bound))
    return jnp.where(reached(value, bound), jnp.minimum(ratio, 1.0), ratio)


def _share(counts, *samples):
    """The mean, NaN where a sample has one: of comparisons it would only be false."""
    return jnp.mean(counts, dtype=samples[0].dtype) + broken(*samples)


def _order_statistic(values, rank):
    """The value of this rank, from 1 on; 0 for rank 0."""
    return jnp.sort(values)[rank - 1] if rank else jnp.zeros((), values.dtype)


def _radii(x, k):
    return neighbour_distances(x, x, k=k, skip_self=True)[:, -1]


def _both(x, y, k_of_x, k_of_y):
    """Both samples, with more points than the number of neighbours asked for within them."""
    x, y = two_unweighted(x, y)
    for sample, name, k in ((x, "x", k_of_x), (y, "y", k_of_y)):
        if (k < 1 and name == "x") or sample.shape[0] <= k:
            raise ValueError(
                f"Expected k >= 1 neighbours among more than k points {name}; got k = {k}, {sample.shape[0]} points."
            )
    return x, y
