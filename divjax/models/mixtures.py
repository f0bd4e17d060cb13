"""Mixtures of Gaussians, on the line and in d dimensions: enough components describe any smooth density."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from divjax import checks
from divjax import numerics as nu
from divjax.models.elliptical import cholesky
from divjax.models.parameters import check_positive

if TYPE_CHECKING:
    import distrax

_LINE, _SPACE = "log_scales", "factors"


def mixture(params: dict[str, Array]) -> "distrax.MixtureSameFamily":
    """Σ_j w_j N(m_j, S_j) with w = softmax(logits): every array of real numbers is a mixture.

    On the line from ``{"logits": [k], "locs": [k], "log_scales": [k]}``, S_j = exp(log_scales_j)²; in d dimensions from
    ``{"logits": [k], "locs": [k, d], "factors": [k, d, d]}``, S_j = L Lᵀ with L = ``cholesky(factors_j)``. A constant
    added to all logits changes nothing, nor does the order of the components, so optima are never unique.
    ``dj.quadrature`` takes both, up to three dimensions. Raises ValueError for other names or shapes.

    Examples:
        >>> start = dj.models.init_mixture(jax.random.key(0), jnp.array([-1.0, 0.0, 1.0]), num_components=2)
        >>> dj.models.mixture(start).event_shape
        ()
    """
    import distrax

    from divjax.models.laws import Mixture

    check_mixture(params)
    logits, locs = jnp.asarray(params["logits"]), jnp.asarray(params["locs"])
    if _LINE in params:
        parts = distrax.Normal(locs, jnp.exp(jnp.asarray(params[_LINE])))
    else:
        parts = distrax.MultivariateNormalTri(locs, cholesky(jnp.asarray(params[_SPACE])))
    return Mixture(distrax.Categorical(logits=logits), parts)


def check_mixture(params: dict[str, Array]) -> None:
    """ValueError for names or shapes that are not those of one mixture of Gaussians, TypeError for no dict."""
    if not isinstance(params, dict):
        raise TypeError(f"Expected a dict with logits, locs, and log_scales or factors; got {type(params).__name__}.")
    shapes = {name: tuple(np.shape(value)) for name, value in params.items()}
    k, d = shapes.get("logits", ()), shapes.get("locs", ())[1:]
    line, space = {"logits": k, "locs": k, _LINE: k}, {"logits": k, "locs": k + d, _SPACE: k + d + d}
    fits = shapes == line or (shapes == space and len(d) == 1)
    if not fits or len(k) != 1 or 0 in k + d:
        raise ValueError(
            f"Expected logits [k], locs [k] and log_scales [k], or locs [k, d] and factors [k, d, d]; got {shapes}. "
            "Use jax.vmap for many mixtures."
        )


def init_mixture(
    key: PRNGKeyArray, x: Float[Array, " n"] | Float[Array, "n d"], *, num_components: int, scale: ArrayLike = 1.0
) -> dict[str, Array]:
    """A random start of ``num_components`` components from data: at distinct points of x, each as wide as all of the
    data.

    Equal weights, and along every axis ``scale`` times the standard deviation of all points (times 1 where they are all
    alike), without correlations. Wide components that start close together are near the saddle where they are one:
    with a scale below 1 they part sooner. Distinct are the places in the array: of points that occur twice both may be
    taken. Raises ValueError for an x that is not [n] or [n, d], or not finite, for a scale that is not positive, where
    they are not traced, and for more components than points.

    Examples:
        >>> start = dj.models.init_mixture(jax.random.key(0), jnp.array([-1.0, 0.0, 1.0]), num_components=2)
        >>> start["locs"].shape
        (2,)
    """
    (x,) = checks.floating(x)
    checks.check_count(num_components, "num_components")
    check_positive(scale, "scale")
    if x.ndim not in (1, 2) or 0 in x.shape:
        raise ValueError(f"Expected data x [n] or [n, d]; got shape {x.shape}. Use jax.vmap for many data sets.")
    if not 1 <= num_components <= x.shape[0]:
        raise ValueError(f"Expected 1 to {x.shape[0]} components, at most one for a point; got {num_components}.")
    if checks.is_known(x) and not jnp.all(jnp.isfinite(x)):
        raise ValueError("Expected finite data x; got NaN or inf. Leave out the points that have one.")
    locs = jax.random.choice(key, x, (num_components,), replace=False)
    # Of what is left of the first point, in units of the largest: no square rounds away, overflows or underflows.
    away = x - x[0]
    reach = jnp.max(jnp.abs(away), axis=0)
    spread = jnp.std(nu.safe_ratio(away, jnp.broadcast_to(reach, away.shape)), axis=0)
    log_scale = nu.finite(nu.safe_log(spread)) + nu.finite(nu.safe_log(reach)) + jnp.log(jnp.asarray(scale, x.dtype))
    logits = jnp.zeros(num_components, x.dtype)
    if x.ndim == 1:
        return {"logits": logits, "locs": locs, _LINE: jnp.full(num_components, log_scale)}
    return {"logits": logits, "locs": locs, _SPACE: jnp.tile(jnp.diag(log_scale), (num_components, 1, 1))}
