"""Realism, coverage and memorisation where both sides are samples: by balls around points that reach their neighbours.

Samples are arrays [n, d] (or [n]); every point counts the same. Distances are Euclidean, in whatever space the points
are given, and are found block by block. Ties count as inside: of a set that is compared with itself nothing is outside,
duplicates and constant sets included. A NaN in either sample makes every rate NaN. ``divjax.diagnostics.errors`` has
standard errors.
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
from divjax.divergences.samples import broken, two_unweighted

Rate = Float[Array, ""]


class PrecisionRecall(NamedTuple):
    """Share of the generated among the real, and of the real among the generated."""

    precision: Rate
    recall: Rate


class DensityCoverage(NamedTuple):
    """How many real neighbourhoods hold a generated point, relative to a real one; the share of those that hold any."""

    density: Rate
    coverage: Rate


class ModesCaptured(NamedTuple):
    """The number of modes that are served, and the share of the samples that are close to one."""

    modes: Int[Array, ""]
    high_quality: Rate


def precision_recall(real: Float[Array, "n d"], generated: Float[Array, "m d"], *, num: int = 5) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019).

    The manifold of a sample is the union of balls around its points, each as large as the distance to the ``num``-th
    nearest other point. precision: the share of the generated in that of the real; recall: of the real in that of the
    generated. Both are below 1 for equal distributions, by how much depends on the dimension, and one outlier has a
    large ball: ``density_coverage`` has known values there. n, m > num.
    """
    return _precision_recall(*_both(real, generated, num, num), num)


@functools.partial(jax.jit, static_argnums=2)
def _precision_recall(real, generated, num):
    precision = within(generated, real, _radii(real, num)) > 0
    recall = within(real, generated, _radii(generated, num)) > 0
    return PrecisionRecall(*(_share(inside, real, generated) for inside in (precision, recall)))


def density_coverage(real: Float[Array, "n d"], generated: Float[Array, "m d"], *, num: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020), with balls around the real points only.

    density: Σ_j #{i: y_j within the ball of x_i} / (num m), about 1 for equal distributions and above 1 where generated
    points crowd where the real ones are dense. coverage: the share of the real balls with a generated point in them,
    in expectation 1 − Π_{k=0}^{num−1} (n − 1 − k) / (n + m − 1 − k) for equal distributions, which is about
    1 − 2^(−num) for n = m. n > num.
    """
    return _density_coverage(*_both(real, generated, num, 0), num)


@functools.partial(jax.jit, static_argnums=2)
def _density_coverage(real, generated, num):
    radii = _radii(real, num)
    counts = within(generated, real, radii)
    covered = reached(neighbour_distances(real, generated, k=1)[:, 0], radii)
    return DensityCoverage(_share(counts, real, generated) / num, _share(covered, real, generated))


def modes_captured(
    generated: Float[Array, "n d"],
    modes: Float[Array, "k d"],
    scale: ArrayLike,
    *,
    sigmas: ArrayLike = 3.0,
    share: ArrayLike = 0.0,
) -> ModesCaptured:
    """Modes captured and high-quality samples (Srivastava et al. 2017, VEEGAN).

    A sample is of high quality if it is within ``sigmas`` standard deviations of the nearest mode. A mode is captured
    if at least one such sample is nearest to it, and at least ``share`` of all the samples. scale: the standard
    deviation of the modes, a scalar or [k]. Of samples of the truth itself in d dimensions the share of high quality is
    the χ_d distribution function at ``sigmas``: 0.997, 0.989, 0.971 for d = 1, 2, 3.
    """
    generated, modes = two_unweighted(generated, modes, names=("generated", "modes"))
    scale = jnp.asarray(scale, generated.dtype)
    if scale.shape not in ((), modes.shape[:1]):
        raise ValueError(
            f"Expected scale as a scalar or one for each of the {modes.shape[0]} modes; got {scale.shape}."
        )
    return _modes_captured(generated, modes, scale, sigmas, share)


@jax.jit
def _modes_captured(generated, modes, scale, sigmas, share):
    scale = jnp.broadcast_to(scale, modes.shape[:1])
    index = nearest(generated, modes, k=1)[:, 0]
    distance = nu.safe_sqrt(jnp.sum((generated - modes[index]) ** 2, axis=1))
    close = reached(distance, sigmas * scale[index])
    counts = jnp.zeros(modes.shape[0], jnp.int32).at[index].add(close)
    captured = counts >= jnp.maximum(1.0, share * generated.shape[0])
    return ModesCaptured(jnp.sum(captured), _share(close, generated, modes))


class CopyDistances(NamedTuple):
    """How close points are to a training point, in units of what is close for a fresh one: at most 1 is a copy."""

    generated: Float[Array, " m"]
    train: Float[Array, " c"]  # training points, each left out in turn


def memorisation_rate(train: Float[Array, "n d"], generated: Float[Array, "m d"], *, level: float = 0.01) -> Rate:
    """The share of the generated that are copies of a training point, or nearly: about ``level`` for fresh draws.

    Copies are what ``copy_distances`` finds within 1. n ≥ 3.
    """
    distance = copy_distances(train, generated, level=level).generated
    return _share(distance <= 1.0, distance, train, generated)


def copy_distances(
    train: Float[Array, "n d"], generated: Float[Array, "m d"], *, level: float = 0.01, num: int | None = None
) -> CopyDistances:
    """How close each of the generated is to a training point, for a fresh draw at most 1 with probability ``level``.

    For a point y, the nearest training point x and the distance r(x) from x to the nearest other training point it is
    the ratio ‖y − x‖ / r(x) that counts: it is small for a copy, wherever the data are dense or thin. The unit is the
    ``level`` quantile of the ratios of the training points themselves, each left out in turn. Of fewer than 1 / level
    of them it is the least one, and the probability about 1 / n. Exact copies have ratio 0 and always count. Where more
    than ``level`` of the training points are duplicates themselves, only exact copies count, of which a fresh sample
    then has as many. num: so many training points give the unit, the first ones, which saves time if they are in random
    order. n ≥ 3.
    """
    checks.parameter(level, "level", 0.0, 1.0)
    train, generated = two_unweighted(train, generated, names=("train", "generated"), least=1)
    if train.shape[0] < 3:
        raise ValueError(f"Expected at least 3 training points; got {train.shape[0]}.")
    num = train.shape[0] if num is None else min(num, train.shape[0])
    if num < 1:
        raise ValueError(f"Expected num >= 1 training points; got {num}.")
    return _copy_distances(train, generated, float(level), num)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _copy_distances(train, generated, level, num):
    chosen = jnp.arange(num)
    near = nearest(train[:num], train, k=2)
    # The nearest but itself. Neither is itself where two others equal it, and then either has distance 0.
    first = jnp.where(near[:, 0] == chosen, near[:, 1], near[:, 0])
    left_out = _copy_ratio(train[:num], train, first, chosen)
    rank = max(1, math.floor(level * (num + 1))) if level > 0.0 else 0
    bound = _order_statistic(left_out, rank)
    ratio = _copy_ratio(generated, train, nearest(generated, train, k=1)[:, 0], -1)
    return CopyDistances(_relative(ratio, bound), _relative(left_out, bound))


def _copy_ratio(points, train, index, besides):
    """Distance to the training point of this index over that one's to the nearest other, ``besides`` left out."""
    around = nearest(train[index], train, k=3)
    left_out = (around == index[:, None]) | (around == jnp.reshape(besides, (-1, 1)))
    squares = jnp.sum((train[around] - train[index][:, None, :]) ** 2, axis=2)
    spacing = nu.safe_sqrt(jnp.min(jnp.where(left_out, jnp.inf, squares), axis=1))
    distance = nu.safe_sqrt(jnp.sum((points - train[index]) ** 2, axis=1))
    copy = distance == 0.0
    return jnp.where(copy, 0.0, distance / jnp.where(copy, 1.0, spacing))


def unrealistic_rate_of_samples(
    real: Float[Array, "n d"], generated: Float[Array, "m d"], *, level: float = 0.99, num: int = 5
) -> Rate:
    """The share of the generated outside the region that holds ``level`` of the real: about 1 − level for fresh draws.

    The region is where ``distance_to_data`` is at most 1. It is ``unrealistic_rate`` with a density estimated by
    neighbours. n > num.
    """
    distance = distance_to_data(real, generated, level=level, num=num)
    return _share(distance > 1.0, distance, real, generated)


def distance_to_data(
    real: Float[Array, "n d"], generated: Float[Array, "m d"], *, level: float = 0.99, num: int = 5
) -> Float[Array, " m"]:
    """How far each of the generated is from the real: for a fresh draw above 1 with probability about 1 − level.

    The distance to the ``num``-th nearest real point, a falling function of the density, in units of the ``level``
    quantile of those of the real points, each to the others. Of fewer than 1 / (1 − level) real points the unit is the
    largest distance among them, and the probability about 1 / n. n > num.
    """
    checks.parameter(level, "level", 0.0, 1.0)
    return _distance_to_data(*_both(real, generated, num, 0), float(level), num)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _distance_to_data(real, generated, level, num):
    n = real.shape[0]
    bound = _order_statistic(_radii(real, num), min(n, math.ceil(level * (n + 1))))
    return _relative(neighbour_distances(generated, real, k=num)[:, -1], bound)


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


def _radii(x, num):
    return neighbour_distances(x, x, k=num, skip_self=True)[:, -1]


def _both(real, generated, num_real, num_generated):
    """Both samples, with more points than the number of neighbours asked for within them."""
    real, generated = two_unweighted(real, generated, names=("real", "generated"))
    for sample, name, num in ((real, "real", num_real), (generated, "generated", num_generated)):
        if (num < 1 and name == "real") or sample.shape[0] <= num:
            raise ValueError(
                f"Expected num >= 1 neighbours among more than num {name} points; got num = {num}, "
                f"{sample.shape[0]} points."
            )
    return real, generated
