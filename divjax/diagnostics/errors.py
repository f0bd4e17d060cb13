"""Standard errors of what is counted on samples."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax.divergences.samples import two_unweighted

Result = TypeVar("Result")


def rate_stderr(rate: ArrayLike, num: ArrayLike) -> Float[Array, ""]:
    """Standard error of a share of ``num`` independent points.

    √(s (1 − s) / (num + 4)) with s = (rate num + 2) / (num + 4). Two successes and two failures are added (Agresti,
    Coull 1998): a rate of 0 or 1 is not known without error. For the rates of this package it is the error of the
    points counted, the other sample being held fixed; ``split_stderr`` has that of both.
    """
    rate, num = jnp.asarray(rate), jnp.asarray(num)
    middle = (rate * num + 2.0) / (num + 4.0)
    return jnp.sqrt(middle * (1.0 - middle) / (num + 4.0))


def split_stderr(
    key: Array,
    diagnostic: Callable[[Array, Array], Result],
    real: Float[Array, "n d"],
    generated: Float[Array, "m d"],
    *,
    num: int = 10,
) -> Result:
    """Standard errors of diagnostic(real, generated), of the same type, from ``num`` random splits of both samples.

    √(mean (θ_A − θ_B)² / 4), θ_A and θ_B from independent halves, which each have twice the variance of the whole. For
    what is counted by neighbours: leaving points out in turn, the jackknife, gives twice the error there, since it
    moves the neighbours of all who lose one. The diagnostic runs 2 num times on half of the points. diagnostic: e.g.
    ``precision_recall``, or ``functools.partial(precision_recall, num=3)``.
    """
    real, generated = two_unweighted(real, generated, names=("real", "generated"), least=2)
    if num < 1:
        raise ValueError(f"Expected num >= 1 splits; got {num}.")

    def halves(key):
        for x, part in zip((real, generated), jax.random.split(key), strict=True):
            half, shuffled = x.shape[0] // 2, jax.random.permutation(part, x)
            yield shuffled[:half], shuffled[half : 2 * half]

    pairs = [[diagnostic(*half) for half in zip(*halves(part), strict=True)] for part in jax.random.split(key, num)]
    squares = [jax.tree.map(lambda a, b: (a - b) ** 2 / 4.0, *pair) for pair in pairs]
    return jax.tree.map(lambda *values: jnp.sqrt(sum(values) / num), *squares)
