"""The Fisher divergence: how far apart two scores, the gradients of log-densities, are.

No normalising constant is needed. p is the data, q the model. Samples x of p are arrays [n, d] or ``Points``, whose
weights are normalised here. A score is a function of one point, score(x[d]) -> [d], and what it closes over is
differentiated as usual; or it is an array of x's shape, its values at the points.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.divergences.reading import Sample, weighted

Scalar = Float[Array, ""]
Score = Callable[[Float[Array, " d"]], Float[Array, " d"]]
Scores = Float[Array, "n d"] | Float[Array, " n"]


def fisher(x: Sample, score_p: Score | Scores, score_q: Score | Scores) -> Scalar:
    """Fisher divergence ∫ p ‖∇log p − ∇log q‖² ≥ 0 from both scores at points x of p (Johnson 2004).

    Each a function of one point, or its values at all points. Blind to the weights of far-apart modes.

    Examples:
        >>> x = jnp.array([[0.0], [1.0]])
        >>> float(dj.fisher(x, lambda x: -x, lambda x: 2.0 - x))
        4.0
    """
    x, w = weighted(x, "x")
    gap = values_of(score_p, x, "score_p") - values_of(score_q, x, "score_q")
    gap = jnp.where(w[:, None] > 0.0, gap, 0.0)
    return jnp.sum(w * jnp.sum(gap * gap, axis=1))


def values_of(score: Score | Scores, x: Array, name: str = "score_q") -> Array:
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
