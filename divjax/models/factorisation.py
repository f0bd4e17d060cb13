"""Probabilistic matrix factorisation: ratings of items by users from a few factors (Salakhutdinov, Mnih 2007).

The rating of item j by user i is N(offset + u_i · v_j, scale²), with factors u_i and v_j of k entries: the rank. A
table of ratings is [users, items], NaN where a user has not rated an item. A model is a dict
``{"offset": [], "users": [n, k], "items": [m, k], "log_scale": []}``.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from divjax import checks
from divjax import numerics as nu
from divjax.models.parameters import check_names

Model = dict[str, Array]
Ratings = Float[Array, "n m"]


def draw_ratings(
    key: PRNGKeyArray,
    profiles: Float[Array, "c m"],
    weights: Float[ArrayLike, " c"],
    scale: ArrayLike,
    *,
    num_users: int,
    share: ArrayLike = 1.0,
) -> Float[Array, "num_users m"]:
    """A table of ``num_users`` users in clusters: Σ_c weight_c N(profile_c, scale² I), each rating kept with
    probability ``share`` and NaN otherwise.

    A table of c clusters has, but for noise, rank c: fewer factors are under-specified. With a share below 1 a user or
    an item may be left without a rating. Raises ValueError for shapes that do not fit, for weights below 0 or all 0, a
    scale below 0, a share outside [0, 1], and num_users below 1.

    Examples:
        >>> profiles = jnp.array([[1.0, 5.0], [5.0, 1.0]])
        >>> dj.models.draw_ratings(jax.random.key(0), profiles, [0.5, 0.5], 0.1, num_users=3).shape
        (3, 2)
    """
    profiles, weights = checks.floating(profiles)[0], checks.floating(weights)[0]
    if profiles.ndim != 2 or weights.shape != profiles.shape[:1] or 0 in profiles.shape:
        raise ValueError(f"Expected profiles [c, m] and weights [c]; got {profiles.shape} and {weights.shape}.")
    if checks.is_known(weights) and not jnp.min(weights) >= 0.0 < jnp.max(weights):
        raise ValueError(f"Expected weights >= 0, one of them above; got {weights.tolist()!r:.60}.")
    checks.parameter(scale, "scale", 0.0)
    checks.parameter(share, "share", 0.0, 1.0)
    checks.check_count(num_users, "num_users")
    for_cluster, for_noise, for_kept = jax.random.split(key, 3)
    cluster = jax.random.choice(for_cluster, len(profiles), (num_users,), p=weights)
    ratings = profiles[cluster] + scale * jax.random.normal(for_noise, (num_users, profiles.shape[1]))
    return jnp.where(jax.random.uniform(for_kept, ratings.shape) < share, ratings, jnp.nan)


def row_log_density(
    row: Float[Array, " m"], profiles: Float[Array, "c m"], weights: Float[ArrayLike, " c"], scale: ArrayLike
) -> Float[Array, ""]:
    """log Σ_c weight_c N(row; profile_c, scale² I) in nats: what ``draw_ratings`` draws a user's ratings from."""
    z = (row - profiles) / scale
    log_normal = -0.5 * jnp.sum(z * z, axis=1) - row.size * (jnp.log(scale) + 0.5 * math.log(2.0 * math.pi))
    return nu.logsumexp(nu.safe_log(jnp.asarray(weights, z.dtype)) + log_normal)


def predictions(model: Model) -> Ratings:
    """offset + u_i · v_j for every user and item: the means of the ratings. ValueError for a model without these."""
    check_names(model, "offset", "users", "items")
    return model["offset"] + nu.matmul(model["users"], model["items"].T)


def squared_errors(model: Model, ratings: Ratings) -> Float[Array, ""]:
    """Σ (rating − mean)² over the ratings that are there."""
    rated = ~jnp.isnan(ratings)
    return jnp.sum(jnp.where(rated, jnp.where(rated, ratings, 0.0) - predictions(model), 0.0) ** 2)


def generate_ratings(key: PRNGKeyArray, model: Model, *, num_users: int) -> Float[Array, "num_users m"]:
    """Whole rows of ratings by users drawn with replacement from those of the model: their means and fresh noise.

    Examples:
        >>> users, items = jnp.ones((5, 1)), jnp.array([[1.0], [-1.0]])
        >>> model = {"offset": 3.0, "users": users, "items": items, "log_scale": -jnp.inf}  # without noise
        >>> dj.models.generate_ratings(jax.random.key(0), model, num_users=2).tolist()
        [[4.0, 2.0], [4.0, 2.0]]
    """
    check_names(model, "offset", "users", "items", "log_scale")
    checks.check_count(num_users, "num_users")
    for_user, for_noise = jax.random.split(key)
    chosen = jax.random.randint(for_user, (num_users,), 0, model["users"].shape[0])
    return _rows(for_noise, model, model["users"][chosen])


def generate_new_users(key: PRNGKeyArray, model: Model, *, num_users: int) -> Float[Array, "num_users m"]:
    """Whole rows of ratings by users that are not of the table, their factors drawn from the model's Gaussian prior.

    The prior is N(m, S) with mean and covariance of the fitted users' factors, its maximum-likelihood estimate. A row
    is then Gaussian too, whatever the rank: of users in clusters it averages over the clusters.

    Examples:
        >>> users, items = jnp.ones((5, 1)), jnp.array([[1.0], [-1.0]])
        >>> model = {"offset": 3.0, "users": users, "items": items, "log_scale": -jnp.inf}  # without noise
        >>> dj.models.generate_new_users(jax.random.key(0), model, num_users=2).tolist()
        [[4.0, 2.0], [4.0, 2.0]]
    """
    check_names(model, "offset", "users", "items", "log_scale")
    checks.check_count(num_users, "num_users")
    for_user, for_noise = jax.random.split(key)
    users = model["users"]
    mean = jnp.mean(users, axis=0)
    # (U − m)ᵀ z / √n has the covariance S for z ~ N(0, I): no factorisation, which might fail, of an S of low rank.
    z = jax.random.normal(for_user, (num_users, users.shape[0]), users.dtype)
    drawn = mean + nu.matmul(z, users - mean) / math.sqrt(users.shape[0])
    return _rows(for_noise, model, drawn)


def _rows(key, model, users):
    means = predictions(model | {"users": users})
    return means + jnp.exp(model["log_scale"]) * jax.random.normal(key, means.shape, means.dtype)


def random_factors(key: PRNGKeyArray, num_users: int, num_items: int, *, rank: int) -> dict[str, Array]:
    """A random start: standard Gaussian factors over k^(1/4), so that their products have variance 1.

    Raises ValueError for a rank, a number of users or of items below 1.

    Examples:
        >>> dj.models.random_factors(jax.random.key(0), 3, 4, rank=2)["users"].shape
        (3, 2)
    """
    for name, value in (("rank", rank), ("num_users", num_users), ("num_items", num_items)):
        checks.check_count(value, name)
    for_users, for_items = jax.random.split(key)
    shrink = rank**-0.25
    return {
        "users": shrink * jax.random.normal(for_users, (num_users, rank)),
        "items": shrink * jax.random.normal(for_items, (num_items, rank)),
    }


def check_ratings(ratings: Float[ArrayLike, "n m"]) -> None:
    """ValueError for what is no table of ratings: a shape other than [n, m], an infinite rating, none at all.

    Values are looked at where they are not traced. A user or an item without a rating is no error: see ``alternating``.
    """
    shape = np.shape(ratings)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"Expected ratings [users, items], neither 0; got shape {shape}. Use jax.vmap for many tables."
        )
    if not checks.is_known(ratings):
        return
    ratings = np.asarray(ratings, float)
    if np.isinf(ratings).any():
        raise ValueError("Expected finite ratings, NaN for those not given; got an infinite one. Leave it out as NaN.")
    if np.isnan(ratings).all():
        raise ValueError(f"Expected at least one observed rating; got none in {shape}. NaN marks those not given.")
