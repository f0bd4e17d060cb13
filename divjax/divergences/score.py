"""Divergences of scores, the gradients of log-densities: no normalising constant is needed. p is the data, q the model.

Samples x of p are arrays [n, d] or ``Points``, whose weights are normalised here. A score is a function of one point,
score(x[d]) -> [d]; what it closes over is differentiated as usual. Where it is asked for at the points alone, it may be
an array of x's shape. ValueError for a score of another shape. The implicit, sliced and denoising objectives are
the Fisher divergence less a constant of the data alone, so that they may be negative, but have its minimum.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax.divergences.samples import Sample, weighted

Scalar = Float[Array, ""]
Score = Callable[[Float[Array, " d"]], Float[Array, " d"]]
Scores = Float[Array, "n d"] | Float[Array, " n"]


def fisher(x: Sample, score_p: Score | Scores, score_q: Score | Scores) -> Scalar:
    """Fisher divergence ∫ p ‖∇log p − ∇log q‖² ≥ 0 from both scores at points x of p (Johnson 2004).

    Each a function of one point, or its values at all points. Blind to the weights of far-apart modes.
    """
    x, w = weighted(x, "x")
    gap = _scores(score_p, x, "score_p") - _scores(score_q, x, "score_q")
    gap = jnp.where(w[:, None] > 0.0, gap, 0.0)
    return jnp.sum(w * jnp.sum(gap * gap, axis=1))


def explicit_score_matching(x: Sample, score_p: Score | Scores, score_q: Score | Scores) -> Scalar:
    """½ E_p ‖∇log q − ∇log p‖², half of ``fisher``, where the data's own score is known (Hyvärinen 2005)."""
    return 0.5 * fisher(x, score_p, score_q)


def implicit_score_matching(x: Sample, score_q: Score) -> Scalar:
    """E_p [tr ∇score_q(x) + ½ ‖score_q(x)‖²], the trace exact by one derivative per dimension (Hyvärinen 2005).

    ½ ``fisher`` less ½ E_p ‖∇log p‖². Time d times that of ``sliced_score_matching``.
    """
    x, w = weighted(x, "x")

    def trace(point):
        def diagonal(k):
            return jax.jvp(score_q, (point,), (jnp.zeros_like(point).at[k].set(1.0),))[1][k]

        return jnp.sum(jax.lax.map(diagonal, jnp.arange(point.shape[0])))

    values = _scores(score_q, x)
    return jnp.sum(w * (jax.vmap(trace)(x) + 0.5 * jnp.sum(values * values, axis=1)))


def sliced_score_matching(key: Array, x: Sample, score_q: Score, *, num: int = 1) -> Scalar:
    """E_p [v·∇score_q(x) v + ½ ‖score_q(x)‖²] over ``num`` random signs v for each point: the trace in expectation.

    Unbiased for ``implicit_score_matching``; the form of reduced variance of Song, Garg, Shi, Ermon 2019.
    """
    x, w = weighted(x, "x")
    signs = jax.random.rademacher(key, (num, *x.shape), x.dtype)

    def curvature(point, direction):
        return jnp.sum(direction * jax.jvp(score_q, (point,), (direction,))[1])

    traces = jnp.mean(jax.vmap(lambda v: jax.vmap(curvature)(x, v))(signs), axis=0)
    values = _scores(score_q, x)
    return jnp.sum(w * (traces + 0.5 * jnp.sum(values * values, axis=1)))


def denoising_score_matching(key: Array, x: Sample, score_q: Score, *, scale: ArrayLike) -> Scalar:
    """½ E ‖score_q(x + scale ε) + ε / scale‖², ε standard normal (Vincent 2011).

    Up to a constant ½ ``fisher`` of the score of the data smoothed by N(0, scale²): score_q then is that of the noisy
    data. One draw of noise for each point; average over keys.
    """
    x, w = weighted(x, "x")
    noise, scale = jax.random.normal(key, x.shape, x.dtype), jnp.asarray(scale, x.dtype)
    gap = _scores(score_q, x + scale * noise) + noise / scale
    return 0.5 * jnp.sum(w * jnp.sum(gap * gap, axis=1))


def _scores(score: Score | Scores, x: Array, name: str = "score_q") -> Array:
    """A score at all points [n, d], given as a function of one of them or as its values."""
    if callable(score):
        values = jax.vmap(score)(x)
        if values.shape != x.shape:
            raise ValueError(
                f"Expected {name}(x) of the shape of one point, [{x.shape[1]}]; got {list(values.shape[1:])}. It is "
                "mapped over the points."
            )
        return values
    values = jnp.asarray(score, x.dtype)
    values = values[:, None] if values.ndim == 1 else values
    if values.shape != x.shape:
        raise ValueError(
            f"Expected {name} at all points, of shape {list(x.shape)}; got {list(values.shape)}. Or pass a function of "
            "one point."
        )
    return values
