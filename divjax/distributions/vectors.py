"""Families of vectors."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member, Square
from divjax.distributions.exponential.multivariate import GAUSSIAN, Gaussian
from divjax.distributions.family import LINE, UNIT, Density, Family, Source, floats
from divjax.distributions.products import product
from divjax.distributions.real_line import NORMAL
from divjax.numerics import gamma_half_step, linalg
from divjax.numerics.factorials import deviance, factorial_excess
from divjax.numerics.special import LOG_ROOT_2PI

# --- Multivariate normal -----------------------------------------------------------------------------------


class MultivariateNormalParameters(NamedTuple):
    """x = loc + L z with a lower factor L, of positive diagonal."""

    loc: Float[Array, "*b d"]
    scale_tril: Float[Array, "*b d d"]


_solve = jnp.vectorize(linalg.solve_triangular, signature="(d,d),(d)->(d)")


def whitened(factor: Array, shift: Array) -> Array:
    """L⁻¹ (x − loc), [..., d], held where its square is finite."""
    far = jnp.finfo(shift.dtype).max ** 0.25
    return nu.within(_solve(factor, shift), far)


def _log_det(factor: Array) -> Array:
    return jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


def _times(factor: Array, z: Array) -> Array:
    """L z of every z [..., d], for one factor or one for each."""
    if factor.ndim == 2:
        return nu.matmul(z, factor.T)
    return nu.matmul(factor, z[..., None])[..., 0]


def _normal_log_prob(params: MultivariateNormalParameters, x: Array) -> Array:
    z = whitened(params.scale_tril, x - params.loc)
    return -0.5 * jnp.sum(z * z, axis=-1) - _log_det(params.scale_tril) - x.shape[-1] * LOG_ROOT_2PI


def _normal_source(params: MultivariateNormalParameters) -> Source:
    image = lambda key, index, z: params.loc + _times(params.scale_tril, z)  # noqa: E731
    return Source(jnp.zeros(1, params.loc.dtype), image, params.loc.shape[-1], mapped=True, pathwise=True)


def _gaussian_log_norm(theta: Gaussian) -> Array:
    return -0.5 * theta.loc.shape[-1] * math.log(4.0 * math.pi) - _log_det(theta.scale_tril)


_GAUSSIAN_SQUARE = Square(lambda theta: theta._replace(power=2.0 * theta.power), _gaussian_log_norm)


def gaussian_member(loc: Array, factor: Array) -> Member:
    """A multivariate normal by its location and lower Cholesky factor."""
    theta = Gaussian(loc, factor, jnp.ones(loc.shape[:-1], loc.dtype))
    return Member(GAUSSIAN, "MultivariateNormal", theta, square=_GAUSSIAN_SQUARE)


def dense(member: Member) -> Member:
    """A diagonal multivariate normal as a full one; anything else unchanged."""
    if member.tag != "MultivariateNormal" or member.family is GAUSSIAN:
        return member
    loc, scale, _ = member.theta
    return gaussian_member(loc, scale[..., None] * jnp.eye(scale.shape[-1], dtype=scale.dtype))


MULTIVARIATE_NORMAL = Family(
    name="MultivariateNormal",
    parameters=MultivariateNormalParameters,
    core=(1, 2),
    event=lambda params: params.loc.shape[-1:],
    log_prob=_normal_log_prob,
    support=lambda params: LINE,
    source=_normal_source,
    member=lambda params: gaussian_member(*params),
)


def multivariate_normal_diag(loc: Any, scale: Any) -> Density:
    """Independent normal variables along the last axis."""
    return product(NORMAL(loc, scale), 1)


def positive_diagonal(factor: Array) -> Array:
    """A lower factor of the same covariance whose diagonal is positive: columns may change their sign."""
    negative = jnp.diagonal(factor, axis1=-2, axis2=-1) < 0.0
    return jnp.where(negative[..., None, :], -factor, factor)


def from_covariance(loc: Any, covariance: Any) -> Density:
    """The multivariate normal of this covariance [..., d, d]."""
    loc, covariance = floats((loc, covariance))
    return MULTIVARIATE_NORMAL(loc, linalg.cholesky(covariance))


def from_precision(loc: Any, precision: Any) -> Density:
    """The multivariate normal of this inverse covariance [..., d, d], which is not inverted."""
    loc, precision = floats((loc, precision))
    # P = Uᵀ U with a lower U, from the Cholesky factor of P read backwards; then Σ = U⁻¹ U⁻ᵀ.
    backwards = linalg.cholesky(precision[..., ::-1, ::-1])[..., ::-1, ::-1]
    lower = jnp.swapaxes(backwards, -1, -2)
    eye = jnp.broadcast_to(jnp.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
    return MULTIVARIATE_NORMAL(loc, linalg.solve_triangular(lower, eye))


# --- Multivariate normal of low rank -----------------------------------------------------------------------


class LowRankParameters(NamedTuple):
    """x = loc + factor z + √diag w: the covariance is factor factorᵀ + diag."""

    loc: Float[Array, "*b d"]
    factor: Float[Array, "*b d r"]
    diag: Float[Array, "*b d"]


def _low_rank_log_prob(params: LowRankParameters, x: Array) -> Array:
    """By the capacitance matrix 1 + Wᵀ W [r, r] of W = diag^(−½) factor.

    With y = diag^(−½) (x − loc), (x − loc)ᵀ Σ⁻¹ (x − loc) is the least ‖y − W z‖² + ‖z‖²: of squares, nothing cancels.
    """
    root = jnp.sqrt(params.diag)
    far = jnp.finfo(root.dtype).max ** 0.25
    w, y = params.factor / root[..., None], nu.within((x - params.loc) / root, far)
    transposed = jnp.swapaxes(w, -1, -2)
    capacitance = nu.matmul(transposed, w) + jnp.eye(w.shape[-1], dtype=w.dtype)
    lower = linalg.cholesky(capacitance)
    half = _solve(lower, _times(transposed, y))
    z = _solve_transposed(lower, half)
    rest = y - _times(w, z)
    distance = jnp.sum(rest * rest, axis=-1) + jnp.sum(z * z, axis=-1)
    log_det = _log_det(lower) + jnp.sum(jnp.log(root), axis=-1)
    return -0.5 * distance - log_det - x.shape[-1] * LOG_ROOT_2PI


_solve_transposed = jnp.vectorize(
    functools.partial(linalg.solve_triangular, transposed=True), signature="(d,d),(d)->(d)"
)


def _low_rank_source(params: LowRankParameters) -> Source:
    dim, rank = params.factor.shape[-2:]

    def image(key, index, z):
        return params.loc + _times(params.factor, z[..., :rank]) + jnp.sqrt(params.diag) * z[..., rank:]

    return Source(jnp.zeros(1, params.loc.dtype), image, rank + dim, mapped=True, pathwise=True)


def _low_rank_member(params: LowRankParameters) -> Member:
    square = nu.matmul(params.factor, jnp.swapaxes(params.factor, -1, -2))
    diag = params.diag[..., None] * jnp.eye(params.diag.shape[-1], dtype=params.diag.dtype)
    return gaussian_member(params.loc, linalg.cholesky(square + diag))


LOW_RANK_NORMAL = Family(
    name="MultivariateNormal",
    parameters=LowRankParameters,
    core=(1, 2, 1),
    event=lambda params: params.loc.shape[-1:],
    log_prob=_low_rank_log_prob,
    support=lambda params: LINE,
    source=_low_rank_source,
    member=_low_rank_member,
)


# --- Multivariate Student's t ------------------------------------------------------------------------------


class MultivariateStudentTParameters(NamedTuple):
    """x = loc + L z √(df/c) with a χ² variable c of ``df`` degrees of freedom."""

    df: Float[Array, "*b"]
    loc: Float[Array, "*b d"]
    scale_tril: Float[Array, "*b d d"]


def _student_t_log_prob(params: MultivariateStudentTParameters, x: Array) -> Array:
    df, dim = params.df, x.shape[-1]
    # log Γ((df + d)/2) − log Γ(df/2) − d/2 log(df/2), which large degrees of freedom would cancel, by steps of ½.
    steps = jnp.arange(dim, dtype=df.dtype)
    log_norm = jnp.sum(gamma_half_step(0.5 * (df[..., None] + steps)) + 0.5 * jnp.log1p(steps / df[..., None]), axis=-1)
    log_norm = log_norm - dim * LOG_ROOT_2PI - _log_det(params.scale_tril)
    # ‖z‖ in units of its largest entry where the square of that overflows.
    z = _solve(params.scale_tril, x - params.loc)
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(z), axis=-1))
    near = top < jnp.finfo(z.dtype).max ** 0.25
    unit = jnp.where(near, 1.0, top)
    square = jnp.sum((z / unit[..., None]) ** 2, axis=-1)
    far = 2.0 * jnp.log(unit) + jnp.log(jnp.where(near, 1.0, square)) - jnp.log(df)
    log1p = jnp.where(near, jnp.log1p(jnp.where(near, square, 0.0) / df), far)
    return log_norm - 0.5 * (df + dim) * log1p


def _student_t_draw(key: Array, params: MultivariateStudentTParameters, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.split(key)
    z = jax.random.normal(first, shape + params.loc.shape, params.loc.dtype)
    half = jax.random.gamma(second, 0.5 * params.df, shape + params.df.shape, params.df.dtype)
    return params.loc + _times(params.scale_tril, z * jnp.sqrt(0.5 * params.df / half)[..., None])


MULTIVARIATE_STUDENT_T = Family(
    name="MultivariateStudentT",
    parameters=MultivariateStudentTParameters,
    core=(0, 1, 2),
    event=lambda params: params.loc.shape[-1:],
    log_prob=_student_t_log_prob,
    support=lambda params: LINE,
    draw=_student_t_draw,
)


# --- Dirichlet ---------------------------------------------------------------------------------------------


class DirichletParameters(NamedTuple):
    """Of probabilities of k values."""

    concentration: Float[Array, "*b k"]


def _dirichlet_log_prob(params: DirichletParameters, x: Array) -> Array:
    """Around the mean, so that large concentrations do not cancel."""
    a = params.concentration
    total = jnp.sum(a, axis=-1)
    inside = jnp.all((x > 0.0) & (x < jnp.inf), axis=-1)
    x = jnp.where(inside[..., None], x, 1.0)
    log_ratio = jnp.log(x) + jnp.log(total)[..., None] - jnp.log(a)
    each = factorial_excess(a) + deviance(a, total[..., None] * x, log_ratio) + jnp.log(x) - jnp.log(a)
    value = factorial_excess(total) - jnp.log(total) - jnp.sum(each, axis=-1)
    # The deviances have Σ x = 1 in them; the derivative in x is that of Σ (a − 1) log x, off the simplex too.
    off = jnp.sum(x, axis=-1)
    return jnp.where(inside, value + total * (off - jax.lax.stop_gradient(off)), -jnp.inf)


def _dirichlet_draw(key: Array, params: DirichletParameters, shape: tuple[int, ...]) -> Array:
    a = params.concentration
    return jax.random.dirichlet(key, a, shape + a.shape[:-1], a.dtype)


def dirichlet_member(tag: str, concentration: Array) -> Member:
    """Of a Dirichlet, or of a beta as one of two values."""
    return Member(gaps.DIRICHLET, tag, concentration, square=Square(_double, _dirichlet_log_norm))


def _double(a: Array) -> Array:
    return jnp.where(a > 0.5, 2.0 * a - 1.0, 1.0)


def _dirichlet_log_norm(a: Array) -> Array:
    ok = jnp.all(a > 0.5)
    safe = jnp.where(ok, a, 1.0)
    return jnp.where(ok, _log_beta(2.0 * safe - 1.0) - 2.0 * _log_beta(safe), jnp.inf)


def _log_beta(a: Array) -> Array:
    return jnp.sum(jax.lax.lgamma(a)) - jax.lax.lgamma(jnp.sum(a))


DIRICHLET = Family(
    name="Dirichlet",
    parameters=DirichletParameters,
    core=(1,),
    event=lambda params: params.concentration.shape[-1:],
    log_prob=_dirichlet_log_prob,
    support=lambda params: UNIT,
    draw=_dirichlet_draw,
    member=lambda params: dirichlet_member("Dirichlet", params.concentration),
)
