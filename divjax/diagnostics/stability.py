"""What became of a game, told from its path: did it settle, go in circles, lose modes, or diverge; and when."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

TURNS = 3  # passages from one side to the other in the second half: to, fro and to again


class Stability(NamedTuple):
    """How a game went. ``when``: the round in which that began, −1 where it did not happen."""

    diverged: Bool[Array, ""]
    diverged_when: Int[Array, ""]
    cycled: Bool[Array, ""]
    collapsed: Bool[Array, ""]
    collapsed_when: Int[Array, ""]


def stability(
    path: Float[Array, "rounds k"],
    *,
    tolerance: ArrayLike,
    reach: ArrayLike,
    modes: Int[Array, " rounds"] | None = None,
    known: int = 1,
) -> Stability:
    """How a game went: whether it diverged, went in circles or lost modes, and when.

    path: k numbers that describe the generator, a row after each round.

    * diverged: a number is NaN (the game ended before), or beyond ``reach`` in absolute value, at the end; ``when``:
      since when without interruption.
    * cycled: in the second half some number goes from one side of its range to the other and back and again, over more
      than ``tolerance``. To have crossed it must come within a quarter of the range's width of the far end, so that a
      settled path with some noise on a slope is none.
    * collapsed: it did not diverge, and at the end captures fewer than ``known`` modes; ``when``: since when.

    Pure: vmap it over games. Raises ValueError for a path of fewer than seven rounds: its half has no three passages.

    Examples:
        >>> path = jnp.sin(jnp.arange(40.0))[:, None]
        >>> bool(dj.diagnostics.stability(path, tolerance=0.1, reach=10.0).cycled)
        True
    """
    if jnp.ndim(path) != 2 or path.shape[0] < 7:
        raise ValueError(f"Expected a path [rounds, k] of at least 7 rounds; got shape {jnp.shape(path)}.")
    gone = jnp.any(~(jnp.abs(path) <= reach), axis=1)
    lost = jnp.zeros(path.shape[0], bool) if modes is None else (modes < known) & ~gone
    half = path[path.shape[0] // 2 :]
    turning = (jnp.ptp(half, axis=0) > tolerance) & (jax.vmap(_passages, in_axes=1)(half) >= TURNS)
    return Stability(gone[-1], _since(gone), jnp.any(turning), lost[-1], _since(lost))


def _passages(x: Float[Array, " rounds"]) -> Int[Array, ""]:
    """From the lower quarter of the range to the upper or back, how often."""
    low, width = jnp.min(x), jnp.ptp(x)
    side = jnp.where(x >= low + 0.75 * width, 1, 0) - jnp.where(x <= low + 0.25 * width, 1, 0)
    last = jax.lax.cummax(jnp.where(side != 0, jnp.arange(x.size), 0))  # where it last was at either end
    side = side[last]
    return jnp.sum((side[1:] != side[:-1]) & (side[:-1] != 0))


def _since(bad: Bool[Array, " rounds"]) -> Int[Array, ""]:
    """The first round of those at the end that are all bad; −1 if the last is not."""
    good = jnp.where(bad, -1, jnp.arange(bad.size))
    return jnp.where(bad[-1], jnp.max(good) + 1, -1)
