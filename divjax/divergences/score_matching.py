"""Score matching: what to minimise to fit a model by its score ∇log q alone, without its normalising constant.

x is a sample of p, the data: an array [n, d] or ``Points``, whose weights are normalised here. The model's score is a
function of one point, score_q(x[d]) -> [d]; what it closes over is differentiated as usual. All four are ½
``dj.fisher`` less a constant of the data alone, which is 0 for ``explicit``: the others may be negative, and have its
minimum. Each raises ValueError for a score of another shape than the points.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax import checks
from divjax.divergences.reading import Sample, weighted
from divjax.divergences.score import Scalar, Score, Scores, fisher, values_of
from divjax.numerics import calls as _calls
from divjax.numerics.calls import said

__dir__ = _calls.own(__name__, "fisher")


def explicit(x: Sample, score_p: Score | Scores, score_q: Score | Scores) -> Scalar:
    """Half the Fisher divergence, ½ E_p ‖∇log q − ∇log p‖², where the data's own score is known (Hyvärinen 2005).

    score_p, score_q: each a function of one point, or its values at all points.

    Examples:
        >>> x = jnp.array([[0.0], [1.0]])
        >>> float(dj.score_matching.explicit(x, lambda x: -x, lambda x: 2.0 - x))
        2.0
    """
    return 0.5 * fisher(x, score_p, score_q)


def implicit(x: Sample, score_q: Score) -> Scalar:
    """What is to be minimised where the data's own score is not known: E_p [tr ∇score_q(x) + ½ ‖score_q(x)‖²].

    ½ ``fisher`` less ½ E_p ‖∇log p‖² (Hyvärinen 2005). The trace is exact, by one derivative for each of the d
    dimensions: time d times that of ``sliced``.

    Examples:
        >>> x = jnp.array([[-1.0], [1.0]])
        >>> float(dj.score_matching.implicit(x, lambda x: -x))
        -0.5
    """
    x, w = weighted(x, "x")

    def trace(point):
        def diagonal(k):
            return jax.jvp(score_q, (point,), (jnp.zeros_like(point).at[k].set(1.0),))[1][k]

        return jnp.sum(jax.lax.map(diagonal, jnp.arange(point.shape[0])))

    values = values_of(score_q, x)
    return jnp.sum(w * (jax.vmap(trace)(x) + 0.5 * jnp.sum(values * values, axis=1)))


@said
def sliced(key: Array, x: Sample, score_q: Score, *, num_directions: int = 1) -> Scalar:
    """``implicit`` in less time: the trace of ∇score_q from random directions, as one derivative each.

    E_p [v·∇score_q(x) v + ½ ‖score_q(x)‖²] over ``num_directions`` vectors v of random signs for each point. Unbiased
    for ``implicit``; the form of reduced variance of Song, Garg, Shi, Ermon (2019).

    Examples:
        >>> x = jnp.array([[-1.0], [1.0]])
        >>> float(dj.score_matching.sliced(jax.random.key(0), x, lambda x: -x))
        -0.5
    """
    x, w = weighted(x, "x")
    signs = jax.random.rademacher(checks.key(key), (num_directions, *x.shape), x.dtype)

    def curvature(point, direction):
        return jnp.sum(direction * jax.jvp(score_q, (point,), (direction,))[1])

    traces = jnp.mean(jax.vmap(lambda v: jax.vmap(curvature)(x, v))(signs), axis=0)
    values = values_of(score_q, x)
    return jnp.sum(w * (traces + 0.5 * jnp.sum(values * values, axis=1)))


@said
def denoising(key: Array, x: Sample, score_q: Score, *, scale: ArrayLike) -> Scalar:
    """What is to be minimised to learn the score of data with noise added: ½ E ‖score_q(x + scale ε) + ε / scale‖².

    ε is standard normal (Vincent 2011). Up to a constant it is ½ ``fisher`` from the score of the data smoothed by
    N(0, scale²): score_q then is that of the noisy data. One draw of noise for each point; average over keys.

    Examples:
        >>> x = jnp.zeros((1000, 1))
        >>> loss = lambda slope: dj.score_matching.denoising(jax.random.key(0), x, lambda x: -slope * x, scale=0.5)
        >>> bool(loss(4.0) < loss(1.0))
        True
    """
    x, w = weighted(x, "x")
    noise, scale = jax.random.normal(checks.key(key), x.shape, x.dtype), jnp.asarray(scale, x.dtype)
    gap = values_of(score_q, x + scale * noise) + noise / scale
    return 0.5 * jnp.sum(w * jnp.sum(gap * gap, axis=1))
