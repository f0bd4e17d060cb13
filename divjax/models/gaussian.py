"""The Gaussian on the line: the under-specified model of the blog post."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from divjax.models.parameters import check_names, check_positive

if TYPE_CHECKING:
    import distrax


def normal(params: dict[str, Array]) -> "distrax.Normal":
    """N(loc, exp(log_scale)²) from ``{"loc": (), "log_scale": ()}``: every real parameter is a Gaussian.

    Examples:
        >>> float(dj.models.normal({"loc": jnp.asarray(1.0), "log_scale": jnp.asarray(0.0)}).scale)
        1.0
    """
    check_names(params, "loc", "log_scale")
    import distrax

    return distrax.Normal(params["loc"], jnp.exp(params["log_scale"]))


def random_normal(
    key: PRNGKeyArray, *, low: ArrayLike, high: ArrayLike, narrow: ArrayLike, wide: ArrayLike
) -> dict[str, Float[Array, ""]]:
    """A random start: loc uniform on [low, high], log_scale uniform on [log narrow, log wide].

    Which optimum a fit ends in depends on where it starts, so a sweep over seeds must cover locations and scales.

    Examples:
        >>> start = dj.models.random_normal(jax.random.key(0), low=-1.0, high=1.0, narrow=0.5, wide=2.0)
        >>> sorted(start)
        ['loc', 'log_scale']
    """
    check_positive(narrow, "narrow")
    check_positive(wide, "wide")
    loc, share = jax.random.uniform(key, (2,), jnp.result_type(float))
    log_narrow, log_wide = jnp.log(narrow), jnp.log(wide)
    return {"loc": low + (high - low) * loc, "log_scale": log_narrow + (log_wide - log_narrow) * share}
