"""Elliptical distributions from unconstrained arrays: Gaussians on the line and of any covariance, and Student's t.

The Gaussian on the line is the under-specified model of the blog post.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from divjax.models.parameters import check_names, check_positive

if TYPE_CHECKING:
    import distrax

    from divjax.models.laws import StudentT


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
    return {"loc": low + (high - low) * loc, "log_scale": _log_uniform(share, narrow, wide)}


def cholesky(entries: Float[Array, "*batch d d"]) -> Float[Array, "*batch d d"]:
    """The lower triangular factor of any entries: exp of their diagonal, what is below it, and 0 above.

    Every real matrix gives the factor L of one covariance L Lᵀ, and every covariance has one such L, whose entries are
    unique but for those above the diagonal, which nothing depends on (Pinheiro, Bates 1996, the log-Cholesky form).
    """
    # A choice, no product: exp may overflow, and 0 · inf is NaN.
    on = jnp.eye(entries.shape[-1], dtype=bool)
    return jnp.where(on, jnp.exp(jnp.where(on, entries, 0.0)), jnp.tril(entries, -1))


def entries(factor: Float[Array, "*batch d d"]) -> Float[Array, "*batch d d"]:
    """The entries whose ``cholesky`` is this lower triangular factor of positive diagonal; 0 above it."""
    on = jnp.eye(factor.shape[-1], dtype=bool)
    return jnp.where(on, jnp.log(jnp.where(on, factor, 1.0)), jnp.tril(factor, -1))


def multivariate_normal(params: dict[str, Array]) -> "distrax.MultivariateNormalTri":
    """N(loc, L Lᵀ) with L = ``cholesky(factor)``, from ``{"loc": [d], "factor": [d, d]}``: any entries are a Gaussian.

    Raises ValueError for other shapes.

    Examples:
        >>> dj.models.multivariate_normal({"loc": jnp.zeros(2), "factor": jnp.eye(2)}).event_shape
        (2,)
    """
    import distrax

    check_names(params, "loc", "factor")
    loc, factor = jnp.shape(params["loc"]), jnp.shape(params["factor"])
    if len(loc) != 1 or factor != loc * 2:
        raise ValueError(f"Expected loc [d] and factor [d, d]; got {loc} and {factor}. Use jax.vmap for many.")
    return distrax.MultivariateNormalTri(jnp.asarray(params["loc"]), cholesky(jnp.asarray(params["factor"])))


def random_multivariate_normal(
    key: PRNGKeyArray, *, low: Float[ArrayLike, " d"], high: Float[ArrayLike, " d"], narrow: ArrayLike, wide: ArrayLike
) -> dict[str, Array]:
    """A random start: loc uniform on the box from low to high, [d] each, and one scale for all axes, whose logarithm
    is uniform on [log narrow, log wide]. Raises ValueError where low and high are not of one shape [d].

    Examples:
        >>> box = {"low": -jnp.ones(2), "high": jnp.ones(2)}
        >>> start = dj.models.random_multivariate_normal(jax.random.key(0), **box, narrow=0.5, wide=2.0)
        >>> start["loc"].shape
        (2,)
    """
    if jnp.ndim(low) != 1 or jnp.shape(low) != jnp.shape(high):
        shapes = f"{jnp.shape(low)} and {jnp.shape(high)}"
        raise ValueError(f"Expected low and high of one shape [d]; got {shapes}. Use random_normal on the line.")
    check_positive(narrow, "narrow")
    check_positive(wide, "wide")
    low, high = (jnp.asarray(end, jnp.result_type(float)) for end in (low, high))
    of_loc, of_scale = jax.random.split(key)
    log_scale = _log_uniform(jax.random.uniform(of_scale, (), low.dtype), narrow, wide)
    loc = low + (high - low) * jax.random.uniform(of_loc, low.shape, low.dtype)
    return {"loc": loc, "factor": jnp.eye(low.size, dtype=low.dtype) * log_scale}


def student_t(params: dict[str, Array]) -> "StudentT":
    """Student's t on the line, loc + exp(log_scale) T with T of exp(log_df) degrees of freedom.

    From ``{"loc": (), "log_scale": (), "log_df": ()}``. df = 1 is Cauchy, df → ∞ the Gaussian.

    Examples:
        >>> zero = jnp.asarray(0.0)
        >>> float(dj.models.student_t({"loc": zero, "log_scale": zero, "log_df": zero}).df)
        1.0
    """
    from divjax.models.laws import StudentT

    check_names(params, "loc", "log_scale", "log_df")
    return StudentT(jnp.exp(params["log_df"]), params["loc"], jnp.exp(params["log_scale"]))


def random_student_t(
    key: PRNGKeyArray,
    *,
    low: ArrayLike,
    high: ArrayLike,
    narrow: ArrayLike,
    wide: ArrayLike,
    fewest: ArrayLike = 2.0,
    most: ArrayLike = 30.0,
) -> dict[str, Float[Array, ""]]:
    """A random start: loc uniform on [low, high], log_scale on [log narrow, log wide], log_df between the other two.

    Examples:
        >>> start = dj.models.random_student_t(jax.random.key(0), low=-1.0, high=1.0, narrow=0.5, wide=2.0)
        >>> sorted(start)
        ['loc', 'log_df', 'log_scale']
    """
    for name, value in (("narrow", narrow), ("wide", wide), ("fewest", fewest), ("most", most)):
        check_positive(value, name)
    loc, scale, df = jax.random.uniform(key, (3,), jnp.result_type(float))
    return {
        "loc": low + (high - low) * loc,
        "log_scale": _log_uniform(scale, narrow, wide),
        "log_df": _log_uniform(df, fewest, most),
    }


def _log_uniform(share, low, high):
    return jnp.log(low) + (jnp.log(high) - jnp.log(low)) * share
