"""Maximum likelihood on data: that it is KL of the empirical distribution, and how far its estimates may be off.

The mean log-likelihood (1/n) Σ log q(x_i) of a sample is −KL(p̂‖q) − H(p̂), p̂ being the sample's own distribution, and
it tends to −KL(p‖q) − H(p) like n^(−½). A model that does not hold p tends to its own best parameters, with the
sandwich for covariance and not the inverse of Fisher's information (Huber 1967; White 1982). All in nats.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Shaped

from divjax import checks, status
from divjax import divergences as dv
from divjax import numerics as nu
from divjax.divergences.measured import measured_on
from divjax.measures import Nodes
from divjax.numerics import linalg

_AWAY = 0.1  # standard errors from the optimum that make no difference


class Mean(NamedTuple):
    """A mean and its standard error, in nats."""

    value: Float[Array, ""]
    stderr: Float[Array, ""]


class Sandwich(NamedTuple):
    """How far the maximum-likelihood estimate of k parameters may be off. Matrices in ``ravel_pytree``'s order."""

    stderr: PyTree  # like the parameters: roots of the sandwich's diagonal
    covariance: Float[Array, "k k"]  # A⁻¹ B A⁻¹ / n, whether or not the model holds the truth
    inverse_fisher: Float[Array, "k k"]  # A⁻¹ / n, for a model that holds it
    penalty: Float[Array, ""]  # tr(A⁻¹ B), k for a model that holds it
    tic: Float[Array, ""]  # −2 Σ log q(x_i) + 2 tr(A⁻¹ B), Takeuchi's criterion (1976): AIC if penalty = k
    status: Int[Array, ""]  # bits of divjax.status


def log_likelihood(log_q: Float[ArrayLike, " n"], log_w: ArrayLike = 0.0) -> Mean:
    """Σ w_i log q(x_i) / Σ w_i, nats per point, and its standard error √(Σ w_i² (log q(x_i) − mean)² / c).

    log_q: [n], the model's log-densities at independent points; log_w: log-weights, [n] or scalar, up to a constant;
    −inf leaves a point out. In the error the weights sum to one, and c = 1 − 2 S₃/S₂ + S₂ with S_k = Σ w_i^k makes its
    square unbiased for weights that do not depend on the points; it is s/√n where they are equal. It is inf for a
    single point, for none at all, whose mean is 0, and where the mean is not finite. Raises ValueError for what is
    not [n] with n >= 1, TypeError for what is no array of real numbers.

    Examples:
        >>> found = dj.training.likelihood.log_likelihood(jnp.array([-1.0, -3.0]))
        >>> float(found.value), float(found.stderr)
        (-2.0, 1.0)
    """
    log_q, share = _sample(log_q, log_w, "log_q")
    value = _expectation(share, log_q)
    squares, cubes = jnp.sum(share**2), jnp.sum(share**3)
    unbiased = 1.0 - 2.0 * nu.safe_ratio(cubes, squares) + squares
    known = jnp.isfinite(value) & (squares > 0.0) & (unbiased > 0.0)
    away = jnp.where(known & (share > 0.0), log_q - jnp.where(known, value, 0.0), 0.0)
    variance = jnp.sum(share**2 * away**2) / jnp.where(known, unbiased, 1.0)
    return Mean(value, jnp.where(known, nu.safe_sqrt(jnp.where(known, variance, 0.0)), jnp.inf))


def empirical_entropy(counts: ArrayLike) -> Float[Array, ""]:
    """The entropy of a sample of values, −Σ p̂_i log p̂_i in nats, from how often each was seen: p̂_i = counts_i / Σ
    counts.

    It is log n for n distinct values seen once each. Negative counts: NaN.

    Examples:
        >>> round(float(dj.training.likelihood.empirical_entropy(jnp.array([1, 1, 1, 1]))), 4)
        1.3863
    """
    counts, _ = checks.same_nodes({"counts": counts})
    share = _shares(counts)
    return -jnp.sum(share * nu.finite(nu.safe_log(share)))


def empirical_kl(counts: ArrayLike, log_q: ArrayLike) -> Float[Array, ""]:
    """KL(p̂‖q) = Σ p̂_i log p̂_i/q_i = −H(p̂) − (1/n) Σ log q(x_j), p̂_i = counts_i / Σ counts, n = Σ counts.

    counts, log_q: of equal shape, one entry for each distinct point, seen or not; log_q are log-masses there, or, as
    the blog post has it, log-densities, which are known up to a unit of x. Only the second term depends on the model:
    the largest likelihood is the least KL. It is +inf where a point was seen whose q is 0. ``kl(pmf(log p̂, log_q))``
    has the same value for masses that sum to one, and keeps its digits where p̂ ≈ q. Negative counts: NaN. Raises
    ValueError for unequal shapes, TypeError for what is no array of real numbers.

    Examples:
        >>> round(float(dj.training.likelihood.empirical_kl(jnp.array([2, 2]), jnp.log(jnp.array([0.25, 0.75])))), 3)
        0.144
    """
    counts, log_q, _ = checks.same_nodes({"counts": counts, "log_q": log_q})
    share = _shares(counts)
    return _expectation(share, nu.safe_log(share) - log_q)


@measured_on(Nodes)
def predicted_kl(nodes: Nodes, *, num_points: ArrayLike = 1) -> Mean:
    """KL(p‖q), and the standard error sd_p(log p/q) / √num_points of the mean of log p/q over ``num_points`` draws from
    p.

    By quadrature: ``predicted_kl(quadrature(p, q))``; at num_points = 1 the error is the constant of the rate n^(−½).
    Of the mean log-likelihood alone, whose log p is unknown, the error is another, sd_p(log q) / √num_points:
    ``log_likelihood`` has it from the sample. num_points: real, > 0, traceable. The error is inf where KL or the
    variance is. Raises as ``kl``.

    Examples:
        >>> nodes = dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])))
        >>> round(float(dj.training.likelihood.predicted_kl(nodes, num_points=100).stderr), 3)
        0.055
    """
    num_points = checks.parameter(num_points, "num_points", 0.0, above=True)
    (nodes,) = checks.operands(nodes)
    value = dv.kl(nodes)
    known = jnp.isfinite(value)
    gap = nu.finite(nu.log_ratio(nodes.log_p, nodes.log_q)) - jnp.where(known, value, 0.0)
    variance = _expectation(nu.bounded_exp(nodes.log_p + nodes.log_w), gap**2)
    return Mean(value, jnp.where(known, nu.safe_sqrt(variance / num_points), jnp.inf))


def sandwich(
    log_prob: Callable[[PyTree, Any], Array], params: PyTree, x: Shaped[ArrayLike, "n ..."], log_w: ArrayLike = 0.0
) -> Sandwich:
    """The covariance A⁻¹ B A⁻¹ / n of the maximum-likelihood estimate ``params``, for a model that may be wrong.

    A is the mean Hessian of −log q, B the covariance of the scores ∇ log q(x_i), both over the sample and at params
    (Huber 1967; White 1982). With weights w_i that sum to one, A is the weighted mean, B = Σ w_i² s_i s_iᵀ / Σ w_i² of
    the centred scores, and n = 1 / Σ w_i²; −inf leaves a point out, whatever it holds.

    log_prob(params, point) -> scalar, twice differentiable; params: a pytree of floating-point arrays, k entries in
    all, with a smooth optimum inside their domain; x: [n, ...]. Memory: a few n × k. jit, vmap as usual.

    A is scaled to unit diagonal and factored, not inverted; B is never formed. Where it is not positive definite
    beyond rounding (parameters that the data do not tell apart, a saddle, a point with q = 0), or where one point has
    all weight, there is no covariance: everything is NaN, and the status NON_FINITE. So it is for ``models.mixture``,
    whose logits mean the same with a constant added: hold one of them, ``logits = jnp.append(free, 0.0)``.
    NOT_CONVERGED: a Newton step would move a parameter by more than a tenth of its standard error, so that params are
    not the estimate from this sample. Raises ValueError for an empty x and a log_prob that is not a scalar, TypeError
    for parameters that are not floating-point.

    Examples:
        >>> log_prob = lambda loc, x: -0.5 * (x - loc) ** 2
        >>> found = dj.training.likelihood.sandwich(log_prob, jnp.asarray(1.0), jnp.array([0.0, 2.0]))
        >>> found.covariance.shape
        (1, 1)
    """
    flat, unravel, x, share = _problem(log_prob, params, x, log_w)

    def one(flat, point):
        return log_prob(unravel(flat), point)

    def loss(flat):
        return -jnp.sum(share * jax.vmap(one, (None, 0))(flat, x))

    scores = jax.vmap(jax.grad(one), (None, 0))(flat, x)
    score, squares = nu.matmul(share, scores), jnp.sum(share**2)
    rows = share[:, None] * (scores - score)
    factor, scale = _factored(jax.hessian(loss)(flat))
    factor = jnp.where(squares < 1.0, factor, jnp.nan)  # of a single point there is no covariance
    columns = jnp.concatenate([jnp.eye(flat.size, dtype=flat.dtype), score[:, None], rows.T], axis=1)
    white = linalg.solve_triangular(factor, scale[:, None] * columns)  # L⁻¹ columns, A = L Lᵀ
    solved = scale[:, None] * linalg.solve_triangular(factor, white, transposed=True)  # A⁻¹ columns
    half, root = white[:, : flat.size], solved[:, flat.size + 1 :]
    covariance, inverse_fisher = nu.matmul(root, root.T), squares * nu.matmul(half.T, half)
    penalty = jnp.sum(white[:, flat.size + 1 :] ** 2) / squares
    widest = nu.safe_sqrt(jnp.maximum(jnp.diagonal(covariance), jnp.diagonal(inverse_fisher)))
    bits = jnp.where(jnp.any(jnp.abs(solved[:, flat.size]) > _AWAY * widest), status.NOT_CONVERGED, status.OK)
    found = jnp.all(jnp.isfinite(covariance)) & jnp.all(jnp.isfinite(inverse_fisher))
    bits = jnp.where(found, bits, status.NON_FINITE).astype(jnp.int32)
    stderr = unravel(nu.safe_sqrt(jnp.diagonal(covariance)))
    return Sandwich(stderr, covariance, inverse_fisher, penalty, 2.0 * (loss(flat) / squares + penalty), bits)


def _factored(curvature):
    """L and D with D A D = L Lᵀ of unit diagonal; L is NaN unless A is positive definite beyond rounding."""
    diagonal, size = jnp.diagonal(curvature), curvature.shape[0]
    scale = nu.safe_ratio(jnp.ones_like(diagonal), nu.safe_sqrt(diagonal))
    factor = linalg.cholesky(curvature * scale[:, None] * scale)
    rounding = 16.0 * size * jnp.finfo(curvature.dtype).eps
    return jnp.where(jnp.all(jnp.diagonal(factor) ** 2 > rounding), factor, jnp.nan), scale


def _problem(log_prob, params, x, log_w):
    """The parameters in a row and the way back, the points, and their shares."""
    for leaf in jax.tree.leaves(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(
                f"Expected floating-point parameters; got {jnp.result_type(leaf)}. Use jnp.asarray(value, float)."
            )
    if not callable(log_prob):
        raise TypeError(f"Expected log_prob(params, point); got {type(log_prob).__name__}. Pass a function.")
    if not jnp.ndim(x) or not jnp.shape(x)[0]:
        raise ValueError(f"Expected points of shape [n, ...] with n >= 1; got shape {jnp.shape(x)}. Use x[None].")
    flat, unravel = ravel_pytree(params)
    if not flat.size:
        raise ValueError("Expected at least one parameter; got none. Use log_likelihood.")
    x = jnp.asarray(x)
    shape = jax.eval_shape(lambda: log_prob(params, x[0])).shape
    if shape != ():
        raise ValueError(f"Expected log_prob of one point to be a scalar; got shape {shape}. Sum over its coordinates.")
    _, share = _sample(jnp.zeros(x.shape[0], flat.dtype), log_w, "x")
    # A point left out stands in for nothing, and must not bring a NaN: 0 · NaN.
    kept = (share > 0.0).reshape(-1, *(1,) * (x.ndim - 1))
    return flat, unravel, jnp.where(kept, x, x[jnp.argmax(share)]), share


def _sample(values, log_w, name):
    """The values [n] and their shares, which sum to one, or to zero where everything is left out."""
    row, log_w = checks.same_nodes({name: values}, log_w)
    if jnp.ndim(values) != 1 or not row.size:
        raise ValueError(f"Expected {name} of shape [n], n >= 1; got {jnp.shape(values)}. Use jax.vmap over batches.")
    return row, nu.softmax(jnp.broadcast_to(log_w, row.shape))


def _shares(counts):
    """counts / Σ counts; NaN where one is negative."""
    return jnp.where(jnp.any(counts < 0.0), jnp.nan, nu.safe_ratio(counts, jnp.sum(counts)))


def _expectation(share, terms):
    """Σ share · terms, where a share of 0 makes any term 0."""
    return jnp.sum(share * jnp.where(share > 0.0, terms, 0.0))
