"""Reading a sample: an array of points, or ``Points`` with log-weights, to points and weights that sum to one."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import checks
from divjax import numerics as nu
from divjax.measures import Points

Sample = Points | Float[Array, "n d"] | Float[Array, " n"]


def weighted(sample: Sample, name: str = "x", least: int = 1) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Points [n, d] and weights [n] that sum to one (all 0 where every log-weight is −inf).

    A masked point (log-weight −inf) may be anything, NaN too: it is put at the origin and counts for nothing.
    """
    x, log_w = (sample.x, sample.log_w) if isinstance(sample, Points) else (sample, None)
    (x,) = checks.floating(checks.points(x, name))
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[0] < least or x.shape[1] < 1:
        raise ValueError(
            f"Expected a sample {name} of shape [n, d] or [n] with n >= {least}; got shape {list(x.shape)}. "
            f"{shape_remedy(x)}"
        )
    if log_w is None:
        return x, jnp.full(x.shape[0], 1.0 / x.shape[0], x.dtype)
    log_w = jnp.asarray(log_w, x.dtype)
    if log_w.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"Expected one log-weight for each of the {x.shape[0]} points of {name}; got shape {list(log_w.shape)}. "
            "Use Points(x[n, d], log_w[n])."
        )
    log_w = jnp.broadcast_to(log_w, x.shape[:1])
    return jnp.where(log_w[:, None] == -jnp.inf, 0.0, x), nu.softmax(log_w)


def readable(*samples: Any, names: tuple[str, ...] = ("x", "y", "at")) -> tuple[Any, ...]:
    """Samples as what a program takes; TypeError for what is none."""
    known = Points | jax.Array | np.ndarray
    return tuple(
        each if isinstance(each, known) else checks.points(each, name)
        for each, name in zip(samples, names, strict=False)
    )


def shape_remedy(*samples: Array, on_the_line: str = "") -> str:
    """What to do with arrays that are no samples [n, d] of one dimension. on_the_line: what takes those [n]."""
    most, least = max(x.ndim for x in samples), min(x.ndim for x in samples)
    if most > 2:
        return "Use jax.vmap over batches of samples; x.reshape(len(x), -1) makes every row a point."
    if least == 0:
        return "One point on the line is an array of shape [1]."
    if least == 1 and on_the_line:
        return f"A sample [n] on the line is x[:, None] here; or use {on_the_line}."
    if any(x.size == 0 for x in samples):
        return "Look where its points were lost: there are too few."
    return "Give both the same coordinates." if len(samples) > 1 else "There are too few points."


def two_weighted(x: Sample, y: Sample, least: int = 1):
    """(x, w, y, v) of two samples of one dimension and one dtype."""
    (x, w), (y, v) = weighted(x, "x", least), weighted(y, "y", least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Expected two samples of one dimension; got d = {x.shape[1]} for x and {y.shape[1]} for y. Shapes are "
            "[n, d]."
        )
    return checks.floating(*(value.astype(jnp.result_type(x, y)) for value in (x, w, y, v)))


def two_unweighted(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, names: tuple[str, str] = ("x", "y"), least: int = 1
) -> tuple[Float[Array, "n d"], Float[Array, "m d"]]:
    """Two samples as arrays [n, d] and [m, d] of one dtype, where every point counts the same."""
    for sample, name in zip((x, y), names, strict=True):
        if isinstance(sample, Points):
            raise TypeError(f"Expected {name} as an array [n, d] without weights; got Points. Resample by the weights.")
    x, y = (weighted(sample, name, least)[0] for sample, name in zip((x, y), names, strict=True))
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Expected two samples of one dimension; got d = {x.shape[1]} for {names[0]} and {y.shape[1]} for "
            f"{names[1]}. Shapes are [n, d]."
        )
    return checks.floating(x, y)


def broken(*samples: Float[Array, "n *d"]) -> Float[Array, ""]:
    """NaN where a sample has one, else 0: where points are only compared it would not be seen."""
    has_nan = functools.reduce(jnp.logical_or, [jnp.any(jnp.isnan(x)) for x in samples])
    return jnp.where(has_nan, jnp.nan, 0.0).astype(samples[0].dtype)


def onto_heaviest(x: Float[Array, "n *d"], log_w: Float[Array, " n"]) -> Float[Array, "n *d"]:
    """The points, the masked ones moved to the heaviest: where they are must not matter, not even for a NaN.

    At the origin they would still widen the range of what is sorted, or the scale of the costs.
    """
    here = jax.lax.stop_gradient(x[jnp.argmax(log_w)])
    return jnp.where((log_w == -jnp.inf).reshape(-1, *[1] * (x.ndim - 1)), here, x)
