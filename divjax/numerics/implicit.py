"""Roots that move with the parameters of their equation, as the implicit function theorem has it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Gap = Callable[[Array], Array]


def implicit_roots(
    gap: Gap, roots: Array, may_move: Bool[Array, "..."], anywhere: Array, is_root: Callable[[Array, Array], Array]
) -> Array:
    """``roots`` of an elementwise ``gap``, with the derivative d root = −d gap / gap' in what gap closes over.

    The derivative is 0 where they may not move, or where ``is_root(gap, gap')`` says that gap jumps; there it is
    differentiated at ``anywhere`` instead. A program without derivatives has nothing of all this. The first derivative
    is exact; of a second one it has what comes from gap at fixed roots.
    """
    # What gap closes over as arguments, truth values too, which jax.closure_convert leaves inside.
    traced = jax.make_jaxpr(gap)(roots)
    parameters = traced.consts

    @jax.custom_jvp
    def moved(roots, may_move, anywhere, *parameters):
        return roots

    def jvp(primals, tangents):
        roots, may_move, anywhere, *parameters = primals
        at = lambda x, *parameters: jax.core.eval_jaxpr(traced.jaxpr, parameters, x)[0]  # noqa: E731
        line = (lambda x: at(x, *parameters)), (roots,), (jnp.ones_like(roots),)
        value, slope = jax.lax.stop_gradient(jax.jvp(*line))
        moves = may_move & is_root(value, slope) & jnp.isfinite(slope) & (slope != 0.0)
        asked = [i for i, each in enumerate(tangents[3:]) if not isinstance(each, jax.custom_derivatives.SymbolicZero)]

        def along(*some):
            given = dict(zip(asked, some, strict=True))
            return at(jnp.where(moves, roots, anywhere), *(given.get(i, each) for i, each in enumerate(parameters)))

        if not asked:
            return roots, jnp.zeros_like(roots)
        _, change = jax.jvp(along, [parameters[i] for i in asked], [tangents[3 + i] for i in asked])
        return roots, jnp.where(moves, -change / jnp.where(moves, slope, 1.0), 0.0)

    moved.defjvp(jvp, symbolic_zeros=True)
    return moved(*jax.lax.stop_gradient((roots, may_move, anywhere)), *parameters)
