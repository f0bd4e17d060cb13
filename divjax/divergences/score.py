"""Divergences of scores, the gradients of log-densities: no normalising constant is needed. p is the data, q the model.

Samples are arrays [n, d] or ``Points``, whose weights are normalised here. A model is a function of one point,
score(x[d]) -> [d]; what it closes over is differentiated as usual. The implicit, sliced and denoising objectives are
the Fisher divergence less a constant of the data alone, so that they may be negative, but have its minimum.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import operands as op
from divjax.divergences.samples import Sample, weighted
from divjax.measures import Points

Scalar = Float[Array, ""]
Score = Callable[[Float[Array, " d"]], Float[Array, " d"]]


def fisher(
    score_p: Float[Array, "n d"], score_q: Float[Array, "n d"], log_w: Float[Array, " n"] | None = None
) -> Scalar:
    """Fisher divergence ∫ p ‖∇log p − ∇log q‖² ≥ 0 from both scores at points of p (Johnson 2004).

    [n, d] each, or [n] in one dimension; log_w: log-weights of the points, normalised here, equal if None. The last
    three of ``Scores``: ``fisher(*scores[1:])``. Blind to the weights of far-apart modes.
    """
    score_p, score_q = op.floating(score_p, score_q)
    if score_p.shape != score_q.shape:
        raise ValueError(
            f"Expected two scores at the same points; got shapes {list(score_p.shape)} and {list(score_q.shape)}."
        )
    gap, w = weighted(score_p - score_q if log_w is None else Points(score_p - score_q, log_w), "score_p - score_q")
    return jnp.sum(w * jnp.sum(gap * gap, axis=1))


def explicit_score_matching(p: Sample, score_p: Float[Array, "n d"], score: Score) -> Scalar:
    """½ E_p ‖score(x) − ∇log p(x)‖², half of ``fisher``, where the data's own score is known (Hyvärinen 2005)."""
    x, w = weighted(p)
    target = jnp.asarray(score_p, x.dtype).reshape(x.shape)
    gap = jnp.where(w[:, None] > 0.0, _scores(score, x) - target, 0.0)
    return 0.5 * jnp.sum(w * jnp.sum(gap * gap, axis=1))


def implicit_score_matching(p: Sample, score: Score) -> Scalar:
    """E_p [tr ∇score(x) + ½ ‖score(x)‖²], the trace exact by one derivative per dimension (Hyvärinen 2005).

    ½ ``fisher`` less ½ E_p ‖∇log p‖². Time d times that of ``sliced_score_matching``.
    """
    x, w = weighted(p)

    def trace(point):
        def diagonal(k):
            return jax.jvp(score, (point,), (jnp.zeros_like(point).at[k].set(1.0),))[1][k]

        return jnp.sum(jax.lax.map(diagonal, jnp.arange(point.shape[0])))

    values = _scores(score, x)
    return jnp.sum(w * (jax.vmap(trace)(x) + 0.5 * jnp.sum(values * values, axis=1)))


def sliced_score_matching(key: Array, p: Sample, score: Score, *, num: int = 1) -> Scalar:
    """E_p [v·∇score(x) v + ½ ‖score(x)‖²] over ``num`` random signs v for each point: the trace in expectation.

    Unbiased for ``implicit_score_matching``; the form of reduced variance of Song, Garg, Shi, Ermon 2019.
    """
    x, w = weighted(p)
    signs = jax.random.rademacher(key, (num, *x.shape), x.dtype)

    def curvature(point, direction):
        return jnp.sum(direction * jax.jvp(score, (point,), (direction,))[1])

    traces = jnp.mean(jax.vmap(lambda v: jax.vmap(curvature)(x, v))(signs), axis=0)
    values = _scores(score, x)
    return jnp.sum(w * (traces + 0.5 * jnp.sum(values * values, axis=1)))


def denoising_score_matching(key: Array, p: Sample, score: Score, *, scale: ArrayLike) -> Scalar:
    """½ E ‖score(x + scale ε) + ε / scale‖², ε standard normal (Vincent 2011).

    Up to a constant ½ ``fisher`` of the score of the data smoothed by N(0, scale²): score then is that of the noisy
    data. One draw of noise for each point; average over keys.
    """
    x, w = weighted(p)
    noise, scale = jax.random.normal(key, x.shape, x.dtype), jnp.asarray(scale, x.dtype)
    gap = _scores(score, x + scale * noise) + noise / scale
    return 0.5 * jnp.sum(w * jnp.sum(gap * gap, axis=1))


def _scores(score, x):
    values = jax.vmap(score)(x)
    if values.shape != x.shape:
        raise ValueError(
            f"Expected score(x) of the shape of one point, [{x.shape[1]}]; got {list(values.shape[1:])}. It is mapped "
            "over the points."
        )
    return values
