"""Standard errors of what is counted on samples."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax.divergences.reading import two_unweighted

Result = TypeVar("Result")


def rate_stderr(rate: ArrayLike, num_points: ArrayLike) -> Float[Array, ""]:
    """Standard error of a share of ``num_points`` independent points that have some property.

    √(s (1 − s) / (n + 4)) with s = (rate n + 2) / (n + 4), n = num_points. Two points with the property and two without
    it are added (Agresti, Coull 1998), since a rate of 0 or 1 is not known without error. For the rates of this package
    it is the error of the points counted, the other sample being held fixed; ``split_stderr`` has that of both.

    Examples:
        >>> round(float(dj.diagnostics.rate_stderr(0.5, 96)), 3)
        0.05
    """
    rate, num_points = jnp.asarray(rate), jnp.asarray(num_points)
    middle = (rate * num_points + 2.0) / (num_points + 4.0)
    return jnp.sqrt(middle * (1.0 - middle) / (num_points + 4.0))


def split_stderr(
    key: Array,
    diagnostic: Callable[[Array, Array], Result],
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    *,
    num_splits: int = 10,
) -> Result:
    """Standard errors of diagnostic(x, y), of the same type as its value, from random splits of both samples.

    √(mean (θ_A − θ_B)² / 4) over ``num_splits`` splits, with θ_A and θ_B from independent halves, which each have twice
    the variance of the whole. It is meant for what is counted by neighbours: the jackknife, which leaves points out in
    turn, gives twice the error there, since it moves the neighbours of all who lose one. The diagnostic runs twice for
    each split, on half of the points. diagnostic: e.g. ``precision_recall``, or
    ``functools.partial(precision_recall, k=3)``. Raises ValueError for fewer than two points and num_splits < 1.

    Examples:
        >>> x = jnp.arange(8.0)
        >>> float(dj.diagnostics.split_stderr(jax.random.key(0), lambda x, y: jnp.mean(x) - jnp.mean(y), x, x)) > 0.0
        True
    """
    x, y = two_unweighted(x, y, least=2)
    if num_splits < 1:
        raise ValueError(f"Expected num_splits >= 1; got {num_splits}.")

    def halves(key):
        for sample, part in zip((x, y), jax.random.split(key), strict=True):
            half, shuffled = sample.shape[0] // 2, jax.random.permutation(part, sample)
            yield shuffled[:half], shuffled[half : 2 * half]

    pairs = [
        [diagnostic(*half) for half in zip(*halves(part), strict=True)] for part in jax.random.split(key, num_splits)
    ]
    squares = [jax.tree.map(lambda a, b: (a - b) ** 2 / 4.0, *pair) for pair in pairs]
    return jax.tree.map(lambda *values: jnp.sqrt(sum(values) / num_splits), *squares)
