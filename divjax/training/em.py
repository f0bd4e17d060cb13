"""Expectation-maximisation for mixtures of Gaussians: maximum likelihood on data, the baseline of gradient fits."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from divjax import numerics as nu
from divjax import status
from divjax.measures import Points
from divjax.models.elliptical import cholesky, entries
from divjax.models.mixtures import check_mixture
from divjax.numerics import linalg
from divjax.numerics.callbacks import callback
from divjax.training.iteration import Iteration, all_finite, frozen, select, starting
from divjax.training.settling import judged


class Components(NamedTuple):
    """The k components of a mixture, their means relative to the centre of the data; d = 1 on the line."""

    log_weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    factors: Float[Array, "k d d"]  # lower triangular, L Lᵀ the covariance


class EMState(NamedTuple):
    """Where EM stands. ``value`` is the mean log-likelihood of ``parts``, ``proposal`` what a step makes of them."""

    parts: Components
    value: Float[Array, ""]
    proposal: Components
    steps: Int[Array, ""]
    status: Int[Array, ""]  # NOT_CONVERGED while it runs


class EMResult(NamedTuple):
    """What EM ends with. ``log_likelihood`` is that of ``params``, and no gradient has been taken."""

    params: dict[str, Array]  # those of models.mixture
    log_likelihood: Float[Array, ""]  # the mean over the points
    steps: Int[Array, ""]
    status: Int[Array, ""]  # bits of divjax.status


def em(
    init: PyTree | Callable[[PyTree], PyTree],
    *,
    floor: Any,
    data: Callable[[PyTree], Any] = lambda case: case,
    max_steps: int = 1000,
    tol: float = 1e-6,
) -> Iteration:
    """Maximise Σ_i w_i log p(x_i) over mixtures p of Gaussians by expectation-maximisation, for any case.

    Returns an ``Iteration`` like that of ``fit``: ``run(em(...), case)`` is one fit, ``jax.vmap`` over starts or data
    is many in one program. A step computes r_ij, the probability that point i came from component j, then

        weight_j = Σ_i w_i r_ij,  mean_j = Σ_i w_i r_ij x_i / weight_j,
        covariance_j = Σ_i w_i r_ij (x_i − mean_j)(x_i − mean_j)ᵀ / weight_j + floor I.

    All sums over r are softmaxes of logarithms, so that a component far from all data moves to the nearest instead of
    dividing 0 by 0 (to the mean of those whose distance, squared in units of its scale, overflows: of all of them).
    Means and covariances are sums of differences from the old mean, and everything is relative to the centre of the
    data, so that float32 loses nothing to data far from 0 but what their own rounding has taken.

    The likelihood of a mixture is unbounded: a component on a single point gains without end as it narrows. ``floor``,
    a variance, is what keeps it finite: choose it below the variances that matter (scikit-learn's ``reg_covar``, there
    1e-6). It also holds the direction of a constant column or of collinear points; in float32 it should then be above
    1e-6 times the largest variance, else the factorisation may fail, which ends as NON_FINITE. As it is added to
    every covariance, the likelihood rises from step to step but for what the floor takes from it.

    The result is an ``EMResult``, whose status is

    * OK: a step changed the mean log-likelihood by less than ``tol`` (or than its rounding, where that is more). EM is
      slow where components overlap: a gain of tol says little of how many such gains are left. It ends at a saddle
      too: components that start alike stay alike;
    * NON_FINITE: the likelihood or a parameter became NaN or infinite, as for a NaN in the data: the last finite
      step is kept;
    * NOT_CONVERGED: ``max_steps`` reached.

    Args:
      init: the parameters of ``models.mixture`` to start from, such as ``models.init_mixture`` gives; or a function
        from case to them. They are not floored.
      floor: added to all variances, > 0. Traceable.
      data: a function from case to the points, [n] for a mixture on the line and [n, d] in d dimensions, or to
        weighted ones, ``Points(x, log_w)``. Called at every step, like the loss of ``fit``, and deterministic. By
        default the case is the data.
      max_steps, tol: see above. Traceable.

    Raises:
      TypeError: an argument is no function or number.
      ValueError: floor is not positive, max_steps or tol is below 0; data and parameters do not fit, or there are more
        components than points.

    Source: Dempster, Laird, Rubin (1977); McLachlan, Peel, Finite Mixture Models (2000), ch. 3.

    Examples:
        >>> x = jnp.array([-1.1, -0.9, 0.9, 1.1])
        >>> start = dj.models.init_mixture(jax.random.key(0), x, num_components=2)
        >>> end = dj.run(dj.training.em(start, floor=0.01), x)
        >>> bool(jnp.isfinite(end.log_likelihood))
        True
    """
    data = callback(data, "data", "case", remedy="Pass a function, or the data as the case.")
    _check_arguments(floor, max_steps, tol)

    def problem(case: PyTree) -> tuple[dict[str, Array], _Data]:
        params = starting(init, case)
        return params, _centred(data(case), params)

    def begin(case: PyTree) -> EMState:
        params, points = problem(case)
        parts = _components(params, points)
        value, proposal = _evaluate(parts, points, floor)
        first = jnp.where(all_finite((parts, value)), status.NOT_CONVERGED, status.NON_FINITE)
        return EMState(parts, value, proposal, jnp.zeros((), jnp.int32), first.astype(jnp.int32))

    def step(state: EMState, case: PyTree) -> EMState:
        return _step(state, problem(case)[1], floor, tol)

    def done(state: EMState) -> Array:
        return (state.status != status.NOT_CONVERGED) | (state.steps >= max_steps)

    def result(state: EMState, case: PyTree) -> EMResult:
        params, points = problem(case)
        return EMResult(_params(state.parts, points, params), state.value, state.steps, state.status)

    return Iteration(begin, frozen(step, done), done, result, healthy=None)  # it judges itself: NON_FINITE


class _Data(NamedTuple):
    """Points relative to their weighted mean, one to a column, and weights that sum to one."""

    x: Float[Array, "d n"]
    log_w: Float[Array, " n"]
    centre: Float[Array, " d"]


def _check_arguments(floor, max_steps, tol):
    for name, value, kind in (
        ("floor", floor, jnp.number),
        ("max_steps", max_steps, jnp.integer),
        ("tol", tol, jnp.number),
    ):
        if not hasattr(value, "dtype"):
            value = np.asarray(value)
        if not jnp.issubdtype(value.dtype, kind) or value.ndim:
            raise TypeError(f"Expected {name} to be {'a' if kind is jnp.number else 'a whole'} number; got {value!r}.")
        if isinstance(value, jax.core.Tracer):
            continue
        if name == "floor" and not 0.0 < value < math.inf:
            raise ValueError(f"Expected floor > 0, a variance; got {value}. Without one the likelihood is unbounded.")
        if not value >= 0:
            raise ValueError(f"Expected {name} >= 0; got {value}.")


def _centred(points: Any, params: dict[str, Array]) -> _Data:
    """The data as [n, d] around their mean, 0 where without weight; ValueError where they do not fit the parameters."""
    x, log_w = (points.x, points.log_w) if isinstance(points, Points) else (points, None)
    check_mixture(params)
    shape, locs = jnp.shape(x), jnp.shape(params["locs"])
    if len(shape) != len(locs) or shape[1:] != locs[1:]:
        raise ValueError(f"Expected data [n] for locs [k], or [n, d] for locs [k, d]; got {shape} and {locs}.")
    if shape[0] < locs[0]:
        raise ValueError(f"Expected at least as many points as components; got {shape[0]} and {locs[0]}. Use fewer.")
    if log_w is not None and jnp.shape(log_w) != shape[:1]:
        raise ValueError(f"Expected log_w of shape {shape[:1]}, one for a point; got {jnp.shape(log_w)}.")
    dtype = jnp.result_type(jnp.result_type(x), params["locs"], jnp.float32)
    x = jnp.asarray(x, dtype).reshape(shape[0], -1).T
    log_w = jnp.zeros(shape[0], dtype) if log_w is None else jnp.asarray(log_w, dtype)
    log_w = log_w - nu.logsumexp(log_w)
    out = log_w == -jnp.inf
    # Around one of them first: a mean of large numbers rounds as they do.
    first = x[:, jnp.argmax(log_w)]
    x = jnp.where(out, 0.0, x - first[:, None])
    shift = jnp.sum(nu.softmax(log_w) * x, axis=-1)
    return _Data(jnp.where(out, 0.0, x - shift[:, None]), log_w, first + shift)


def _components(params: dict[str, Array], points: _Data) -> Components:
    dtype, (k, *_), d = points.x.dtype, jnp.shape(params["locs"]), points.centre.size
    spread = jnp.asarray(params["factors"] if "factors" in params else params["log_scales"], dtype).reshape(k, -1)
    means = jnp.asarray(params["locs"], dtype).reshape(k, d) - points.centre
    return Components(
        jax.nn.log_softmax(jnp.asarray(params["logits"], dtype)), means, cholesky(spread.reshape(k, d, d))
    )


def _params(parts: Components, points: _Data, like: dict[str, Array]) -> dict[str, Array]:
    spread = "factors" if "factors" in like else "log_scales"
    arrays = {"logits": parts.log_weights, "locs": parts.means + points.centre, spread: entries(parts.factors)}
    return {name: arrays[name].reshape(jnp.shape(like[name])) for name in like}


def _step(state: EMState, points: _Data, floor: Any, tol: Any) -> EMState:
    value, proposal = _evaluate(state.proposal, points, floor)
    finite = all_finite((state.proposal, value))
    moved = EMState(state.proposal, value, proposal, state.steps, state.status)
    kept = select(finite, moved, state)
    return kept._replace(steps=state.steps + 1, status=judged(value, state.value, finite, tol))


def _evaluate(parts: Components, points: _Data, floor: Any) -> tuple[Float[Array, ""], Components]:
    """The mean log-likelihood of these components, and the components that an E- and an M-step make of them."""
    away = points.x - parts.means[..., None]  # [k, d, n]
    log_joint = parts.log_weights[:, None] + _log_normal(parts.factors, away)  # [k, n]
    log_p = jax.vmap(nu.logsumexp, in_axes=1)(log_joint)
    value = jnp.sum(nu.softmax(points.log_w) * log_p)
    log_share = points.log_w + log_joint - log_p
    log_weights = jax.nn.log_softmax(jax.vmap(nu.logsumexp)(log_share))
    share = jax.vmap(nu.softmax)(log_share)[:, None]
    shift = jnp.sum(share * away, axis=-1)
    away = away - shift[..., None]
    covariances = _moments(share * away, away) + jnp.asarray(floor, value.dtype) * jnp.eye(away.shape[1])
    return value, Components(log_weights, parts.means + shift, _factors(covariances.astype(value.dtype)))


# One dimension is arithmetic, which vmap vectorises; a library's routines for matrices are called one by one.


def _log_normal(factors: Float[Array, "k d d"], away: Float[Array, "k d n"]) -> Float[Array, "k n"]:
    """log N(x; mean, L Lᵀ) at differences from the mean."""
    d = away.shape[1]
    z = away / factors if d == 1 else linalg.solve_triangular(factors, away)
    log_det = jnp.sum(jnp.log(jnp.diagonal(factors, axis1=-2, axis2=-1)), axis=-1)
    square = jnp.minimum(jnp.sum(z * z, axis=1), 0.01 * jnp.finfo(z.dtype).max)  # short of what overflows
    return -0.5 * square - log_det[:, None] - 0.5 * d * math.log(2.0 * math.pi)


def _moments(weighted: Float[Array, "k d n"], away: Float[Array, "k d n"]) -> Float[Array, "k d d"]:
    if away.shape[1] == 1:
        return jnp.sum(weighted * away, axis=-1, keepdims=True)
    return nu.matmul(weighted, jnp.swapaxes(away, 1, 2))


def _factors(covariances: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
    return jnp.sqrt(covariances) if covariances.shape[-1] == 1 else linalg.cholesky(covariances)
