"""Kernel Stein discrepancy: how far a sample is from a distribution of which only ∇log q is known.

For s = ∇log q, no normalising constant needed, and a kernel k with k(0) = 1 the Stein kernel is

    u(x, y) = s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + ∇_x·∇_y k,    E_{x,x'~p} u(x, x') = E δ(x)·δ(x') k(x, x') ≥ 0

with δ = ∇log p − ∇log q (Liu, Lee, Jordan 2016; Chwialkowski, Strathmann, Gretton 2016). n² time, n memory, value and
gradient; differentiable in points, log-weights, scores and kernel parameters, in reverse mode. The gradient by the
points holds the scores fixed unless they are computed from the points inside the differentiated function.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.divergences.kernel.kernels import Kernel, as_kernel
from divjax.divergences.kernel.mmd import pairs_weight
from divjax.divergences.kernel.pairwise import (
    Pair,
    apart,
    both_ways,
    centre,
    pair_sums,
    quadratic_forms,
    squared_distances,
)
from divjax.divergences.reading import Sample, readable, weighted
from divjax.numerics.programs import kept

Scalar = Float[Array, ""]


@kept
def stein(x: Sample, score_q: Float[Array, "n d"], *, kernel: Kernel) -> Scalar:
    """How far a sample x is from a distribution q of which only the score ∇log q is known: squared kernel Stein
    discrepancy.

    Σ w_i w_j u(x_i, x_j) ≥ 0 with u the Stein kernel, a V-statistic. x: an array [n, d] or ``Points`` (weights are
    normalised here); score_q: ∇log q at these points, [n, d], or [n] in one dimension. kernel: a smooth function of the
    squared distance; ``imq`` also sees mass that escapes to the tails, ``rbf`` does not in d ≥ 3 (Gorham, Mackey 2017).
    Raises ValueError for scores of another shape than the points.

    Examples:
        >>> x = jnp.array([-1.0, 0.0, 1.0])
        >>> near, far = (dj.stein(x, mean - x, kernel=dj.kernels.imq(1.0)) for mean in (0.0, 3.0))
        >>> bool(near < far)
        True
    """
    return _biased(as_kernel(kernel), *readable(x), score_q)


@kept
def stein_unbiased(x: Sample, score_q: Float[Array, "n d"], *, kernel: Kernel) -> Scalar:
    """``stein`` without its bias: the pairs i = j left out, the U-statistic. n ≥ 2.

    May be negative; its mean is 0 for p = q. Arguments and errors as for ``stein``.

    Examples:
        >>> x = jnp.array([-1.0, 0.0, 1.0])
        >>> biased, unbiased = (f(x, -x, kernel=dj.kernels.imq(1.0)) for f in (dj.stein, dj.samples.stein_unbiased))
        >>> bool(unbiased < biased)
        True
    """
    return _unbiased(as_kernel(kernel), *readable(x), score_q)


def _with_scores(x, score, least=1):
    x, w = weighted(x, "x", least)
    score = jnp.asarray(score, x.dtype)
    score = score[:, None] if score.ndim == 1 else score
    if score.shape != x.shape:
        raise ValueError(
            f"Expected score_q of the shape of the points, {list(x.shape)}; got {list(score.shape)}. For a function "
            "use jax.vmap(jax.grad(log_density))(x)."
        )
    return x, jnp.where(w[:, None] > 0.0, score, 0.0), w


def _total(pair, kernel, x, score, w):
    (x,) = centre((x, w))
    return pair_sums(pair, kernel, ((x, score),), (w,))[0, 0]


def stein_forms(
    kernel: Kernel, x: Float[Array, "n d"], score: Float[Array, "n d"], columns: Float[Array, "n c"]
) -> Float[Array, " c"]:
    """Σ_ij a_i a_j u(x_i, x_j) for each of the columns a: 1/n everywhere is ``stein``, signs over n its bootstrap."""
    x, score, w = _with_scores(x, score)
    (x,) = centre((x, w))
    return quadratic_forms(_STEIN, kernel, (x, score), columns)


@jax.jit
def _biased(kernel, x, score):
    return _total(_STEIN, kernel, *_with_scores(x, score))


@jax.jit
def _unbiased(kernel, x, score):
    x, score, w = _with_scores(x, score, least=2)
    return nu.safe_ratio(_total(_OFF_DIAGONAL, kernel, x, score, w), pairs_weight(w))


def _slope(function):
    return lambda s: jax.jvp(function, (s,), (jnp.ones_like(s),))[1]


def _products(left, right, same):
    """D = ‖x_i − x_j‖², G = s_i·s_j and H = (x_i − x_j)·(s_i − s_j) of a tile."""
    (x, s), (y, t) = left.fields, right.fields
    own, other = jnp.sum(x * s, axis=1)[:, None], jnp.sum(y * t, axis=1)[None, :]
    crossed = nu.matmul(jnp.concatenate([x, s], axis=1), jnp.concatenate([t, y], axis=1).T)
    return squared_distances(x, y, same=same), nu.matmul(s, t.T), own + other - crossed


def _values(kernel, left, right, same, keep):
    """u = k G − 2 k' H − 2 d k' − 4 k'' D, with the derivatives of k in D."""
    squares, dots, mixed = _products(left, right, same)
    first, d = _slope(kernel), left.fields[0].shape[1]
    value = kernel(squares) * dots - 2.0 * first(squares) * (mixed + d) - 4.0 * _slope(first)(squares) * squares
    return jnp.where(keep, value, 0.0)


def _slopes(kernel, left, right, same, keep):
    """Row sums of u and of its derivatives, which by D, H and G are matrices on the tile."""
    squares, dots, mixed = _products(left, right, same)
    first, d = _slope(kernel), left.fields[0].shape[1]
    second = _slope(first)
    k, k1, k2, k3 = kernel(squares), first(squares), second(squares), _slope(second)(squares)
    value = jnp.where(keep, k * dots - 2.0 * k1 * (mixed + d) - 4.0 * k2 * squares, 0.0)
    by_squares = k1 * dots - 2.0 * k2 * (mixed + d + 2.0) - 4.0 * k3 * squares
    # These two are multiplied by differences of points, whose zeros would be rounded.
    by_squares, by_mixed = (jnp.where(apart(left, same), by, 0.0) for by in (by_squares, -2.0 * k1))
    weighted_left, weighted_right = (
        [side.w[:, None] * z for z in (jnp.ones_like(side.w)[:, None], *side.fields)] for side in (left, right)
    )

    def sums(matrix, *which):
        """[Σ w_j, Σ w_j x_j, Σ w_j s_j] of the matrix's rows, feature-major, for the left and the right points."""
        pick = [jnp.concatenate([side[k] for k in which], axis=1) for side in (weighted_left, weighted_right)]
        row, column = both_ways(matrix, *pick)
        return row.T, column

    parts = zip(
        sums(value, 0), sums(by_squares, 0, 1), sums(by_mixed, 0, 1, 2), sums(jnp.where(keep, k, 0.0), 2), strict=True
    )
    rows, columns = (_contributions(*part, *side.fields) for part, side in zip(parts, (left, right), strict=True))
    return rows.T, columns


def _contributions(value, by_squares, by_mixed, by_dots, x, s):
    """u, ∂u/∂x and ∂u/∂s summed over the other side, [1 + 2d, B]."""
    d, total = x.shape[1], by_mixed[:1]
    x_moved, s_moved = x.T * total - by_mixed[1 : 1 + d], s.T * total - by_mixed[1 + d :]
    by_x = 2.0 * (x.T * by_squares[:1] - by_squares[1:]) + s_moved
    return jnp.concatenate([value, by_x, by_dots + x_moved], axis=0)


def _where(keep):
    """The pair whose values count where keep(left, same) of a tile."""
    return Pair(
        *(
            lambda kernel, left, right, same, part=part: part(kernel, left, right, same, keep(left, same))
            for part in (_values, _slopes)
        )
    )


_STEIN = _where(lambda left, same: jnp.ones((), bool))
# u of an outlier and itself is like its squared score: added and subtracted it would take the digits of all others.
_OFF_DIAGONAL = _where(apart)
