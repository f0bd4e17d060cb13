"""Fields of a game other than its two gradients: what two players follow so that they do not turn in circles.

v = (∂ critic loss/∂ critic, ∂ generator loss/∂ generator), at both players, with Jacobian J. Around an equilibrium the
symmetric part of J is attraction, the antisymmetric part rotation. ``adjust`` of ``game`` takes one of these.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

if TYPE_CHECKING:
    from divjax.training.games import Field

ALIGNED = 0.1  # of the normalised product of both corrections: below it they count as opposed


def consensus(strength: ArrayLike = 1.0) -> "Callable[[Field], Field]":
    """The two gradients, plus a pull to where both are small: v + strength · ∇½‖v‖² = v + strength · Jᵀv.

    After Mescheder, Nowozin, Geiger (2017). Every point with v = 0 attracts, if the strength is large enough, one that
    is no equilibrium of the game too. Raises ValueError for a negative strength.

    Examples:
        >>> field = lambda players: (dj.training.Players(players.generator, -players.critic), None)
        >>> adjusted, _ = dj.training.consensus(0.5)(field)(dj.training.Players(jnp.ones(()), jnp.zeros(())))
        >>> float(adjusted.critic), float(adjusted.generator)
        (0.5, -1.0)
    """
    _check(strength, "consensus")

    def adjust(field):
        def adjusted(players):
            v, pull, losses = jax.vjp(field, players, has_aux=True)
            return _plus(v, strength, pull(v)[0]), losses

        return adjusted

    return adjust


def symplectic(strength: ArrayLike = 1.0, *, align: bool = True) -> "Callable[[Field], Field]":
    """v + λ Aᵀv with A = ½(J − Jᵀ) (Balduzzi et al. 2018).

    The correction is orthogonal to v, and 0 where the game has no rotation. ``align``: λ = ±strength, with the sign
    that attracts to stable points and repels from unstable ones; otherwise λ = strength.

    Examples:
        >>> field = lambda players: (dj.training.Players(players.generator, -players.critic), None)
        >>> adjusted, _ = dj.training.symplectic(0.5)(field)(dj.training.Players(jnp.ones(()), jnp.zeros(())))
        >>> float(adjusted.critic), float(adjusted.generator)
        (0.5, -1.0)
    """
    _check(strength, "symplectic")

    def adjust(field):
        def adjusted(players):
            v, pull, losses = jax.vjp(field, players, has_aux=True)
            slope = pull(v)[0]  # Jᵀv = ∇½‖v‖²
            _, push = jax.jvp(lambda at: field(at)[0], (players,), (v,))
            turn = jax.tree.map(lambda a, b: 0.5 * (a - b), slope, push)
            size = sum(jnp.size(leaf) for leaf in jax.tree.leaves(v))
            together = _dot(v, slope) * _dot(turn, slope) / size + ALIGNED
            return _plus(v, strength * jnp.where(together >= 0.0, 1.0, -1.0) if align else strength, turn), losses

        return adjusted

    return adjust


def _check(strength, name):
    """``adjust=consensus`` would be given the field for a strength."""
    if callable(strength):
        raise TypeError(f"Expected a number for strength; got a function. Write adjust={name}(1.0).")


def _plus(v: PyTree, weight: ArrayLike, other: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a + jnp.asarray(weight, a.dtype) * b, v, other)


def _dot(a: PyTree, b: PyTree) -> Array:
    return sum(jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
