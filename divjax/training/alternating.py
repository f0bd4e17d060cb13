"""Alternating least squares: matrix factorisation of a table of ratings with gaps."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from divjax import checks, status
from divjax import numerics as nu
from divjax.models.factorisation import check_ratings, squared_errors
from divjax.models.parameters import check_names
from divjax.numerics import linalg
from divjax.numerics.callbacks import callback
from divjax.training.iteration import Iteration, frozen, select, starting
from divjax.training.settling import judged

FLOOR = 32.0  # of the normal equations, in units of eps times their trace


class AlternatingState(NamedTuple):
    """Where it stands. ``value`` is the objective at ``users`` and ``items``."""

    users: Float[Array, "n k"]
    items: Float[Array, "m k"]
    value: Float[Array, ""]
    ratings: Float[Array, "n m"]  # the table, read once, relative to ``offset``
    offset: Float[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]  # NOT_CONVERGED while it runs


class AlternatingResult(NamedTuple):
    """What it ends with."""

    params: dict[str, Array]  # a model of models.factorisation
    value: Float[Array, ""]  # the objective
    log_likelihood: Float[Array, ""]  # per rating
    steps: Int[Array, ""]
    status: Int[Array, ""]  # bits of divjax.status


def alternating(
    init: PyTree | Callable[[PyTree], PyTree],
    *,
    data: Callable[[PyTree], Any] = lambda case: case,
    ridge: Any = 0.0,
    max_steps: int = 1000,
    tol: float = 1e-6,
) -> Iteration:
    """Minimise [Σ (r_ij − u_i · v_j)² + ridge (Σ ‖u_i‖² + Σ ‖v_j‖²)] / num over factors, for any case.

    The sum is over the ``num`` ratings that are there (not NaN), r relative to their mean, the ``offset``. Returns an
    ``Iteration``: a step solves for all users with the items held, by the normal equations of each, then for all items;
    neither can raise the objective, but for what the floor below takes. At ridge 0 it is maximum likelihood of
    probabilistic matrix factorisation, above it the most probable factors under Gaussian priors of variance
    scale² / ridge (Salakhutdinov, Mnih 2007). scale² is then the mean squared error over the ratings, its maximum
    likelihood estimate.

    Without a ridge a user or item with fewer ratings than factors is not determined. The normal equations have a floor
    for that, 32 eps times their trace: the factors are then close to the shortest that fit. Without any rating
    they are 0, so that all is predicted by the offset.

    The result is an ``AlternatingResult``, whose status is

    * OK: a step changed the objective by less than ``tol`` (or than its rounding);
    * NON_FINITE: it became NaN or infinite: the last finite step is kept;
    * NOT_CONVERGED: ``max_steps`` reached.

    Args:
      init: ``{"users": [n, k], "items": [m, k]}``, as from ``random_factors``; or a function from case to them. The
        first step solves for the users: where they start does not matter, but the items must not be 0.
      data: a function from case to the ratings [n, m], NaN where there is none; called once. By default the case.
      ridge, max_steps, tol: see above. Traceable.

    Raises:
      TypeError: data is no function, init no dict, max_steps not whole.
      ValueError: ridge, max_steps or tol below 0 where not traced; factors that do not fit the table or have no column;
        a table without a rating, or with an infinite one, where it is not traced.

    Examples:
        >>> ratings = jnp.array([[1.0, 2.0], [2.0, 4.0]])
        >>> start = dj.models.random_factors(jax.random.key(0), 2, 2, rank=1)
        >>> end = dj.run(dj.training.alternating(start, ridge=0.01, max_steps=20), ratings)
        >>> bool(jnp.isfinite(end.value))
        True
    """
    data = callback(data, "data", "case", remedy="Pass a function, or the ratings as the case.")
    for name, value in (("ridge", ridge), ("max_steps", max_steps), ("tol", tol)):
        checks.parameter(value, name, 0.0, whole=name == "max_steps")

    def checked(case: PyTree) -> tuple[Any, Any, Any]:
        table, start = data(case), starting(init, case)
        check_ratings(table)
        check_names(start, "users", "items")
        return table, start["users"], start["items"]

    def begin(case: PyTree) -> AlternatingState:
        ratings, users, items = checks.floating(*checked(case))
        _check_shapes(ratings.shape, users.shape, items.shape)
        rated = ~jnp.isnan(ratings)
        offset = nu.safe_ratio(jnp.sum(jnp.where(rated, ratings, 0.0)), jnp.sum(rated).astype(ratings.dtype))
        ratings = ratings - offset
        value = _objective(users, items, ratings, ridge)
        first = jnp.where(jnp.isfinite(value), status.NOT_CONVERGED, status.NON_FINITE).astype(jnp.int32)
        return AlternatingState(users, items, value, ratings, offset, jnp.zeros((), jnp.int32), first)

    def step(state: AlternatingState, case: PyTree) -> AlternatingState:
        return _step(state, ridge, tol)

    def done(state: AlternatingState) -> Array:
        return (state.status != status.NOT_CONVERGED) | (state.steps >= max_steps)

    def result(state: AlternatingState, case: PyTree) -> AlternatingResult:
        return _result(state)

    return Iteration(begin, frozen(step, done), done, result, healthy=None, check=checked)  # it judges itself


def _check_shapes(ratings, users, items):
    if users != (ratings[0], *users[1:2]) or items != (ratings[1], *users[1:2]) or 0 in users:
        raise ValueError(
            f"Expected users [n, k] and items [m, k], k >= 1, for ratings [n, m]; got {users}, {items} and {ratings}."
        )


def _result(state: AlternatingState) -> AlternatingResult:
    model = {"offset": jnp.zeros_like(state.offset), "users": state.users, "items": state.items}
    num = jnp.sum(~jnp.isnan(state.ratings)).astype(state.value.dtype)
    log_scale = 0.5 * nu.safe_log(squared_errors(model, state.ratings) / num)
    log_likelihood = -0.5 - log_scale - 0.5 * math.log(2.0 * math.pi)  # at this scale; +inf where all is fitted
    params = model | {"offset": state.offset, "log_scale": log_scale}
    return AlternatingResult(params, state.value, log_likelihood, state.steps, state.status)


def _step(state: AlternatingState, ridge: Any, tol: Any) -> AlternatingState:
    users = _solved(state.items, state.ratings, ridge)
    items = _solved(users, state.ratings.T, ridge)
    value = _objective(users, items, state.ratings, ridge)
    finite = jnp.isfinite(value)
    kept = select(finite, state._replace(users=users, items=items, value=value), state)
    return kept._replace(steps=state.steps + 1, status=judged(value, state.value, finite, tol))


def _solved(held: Float[Array, "m k"], ratings: Float[Array, "n m"], ridge: Any) -> Float[Array, "n k"]:
    """The least-squares factors of every row with those of the columns held."""
    rated = ~jnp.isnan(ratings)
    k = held.shape[1]
    squares = nu.matmul(rated.astype(held.dtype), (held[:, :, None] * held[:, None]).reshape(-1, k * k))
    squares = squares.reshape(-1, k, k)
    sides = nu.matmul(jnp.where(rated, ratings, 0.0), held)
    # The whole trace: of few ratings and many factors nearly all of the diagonal is 0, and a part of its mean would be
    # no more than the rounding of what is not.
    floor = ridge + FLOOR * jnp.finfo(held.dtype).eps * jnp.trace(squares, axis1=1, axis2=2)
    # Nothing rated and no ridge: 0 = 0, and the factors are 0.
    floor = jnp.where(floor > 0.0, floor, 1.0)
    return linalg.solve(squares + floor[:, None, None] * jnp.eye(k, dtype=held.dtype), sides[..., None])[..., 0]


def _objective(users, items, ratings, ridge):
    model = {"offset": jnp.zeros((), users.dtype), "users": users, "items": items}
    penalty = ridge * (jnp.sum(users**2) + jnp.sum(items**2))
    return (squared_errors(model, ratings) + penalty) / jnp.sum(~jnp.isnan(ratings))
