"""Which distribution is which member of which family: distrax and TensorFlow Probability on JAX."""

import functools
import math
from typing import Any

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax.exact import families as fam
from divjax.exact.directions import VON_MISES, Polar
from divjax.exact.extremes import CAUCHY, GUMBEL, LAPLACE, WEIBULL
from divjax.exact.family import Member, Square, product, product_square
from divjax.exact.multivariate import GAUSSIAN, Gaussian

tfd = tfp.distributions


@functools.singledispatch
def exponential_family(dist: Any) -> Member | None:
    """``dist`` as a ``Member`` of an exponential family (or of one whose support moves), None if it is none.

    Open: ``exponential_family.register(MyDistribution)`` a function that returns a ``Member``, whose family
    comes from ``divjax.exact.family.from_log_partition`` or ``from_curvature``. The leaves of theta must
    carry the batch shape in front.
    """
    return None


def register(*types: type):
    """Register one function for several types, its leaves as arrays of one floating dtype and of full batch
    shape.
    """

    def decorate(function):
        @functools.wraps(function)
        def member(dist):
            found = function(dist)
            return found and found._replace(theta=_floats(found.theta))

        for kind in types:
            exponential_family.register(kind, member)
        return function

    return decorate


def _floats(tree):
    leaves, structure = jax.tree.flatten(tree)
    if not leaves:
        return tree
    dtype = jnp.result_type(*leaves)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    return structure.unflatten([jnp.asarray(leaf, dtype) for leaf in leaves])


def full(dist: Any, *leaves: Array, core: int = 0) -> list[Array]:
    """Leaves broadcast to the batch shape of dist in front of their own last ``core`` axes."""
    batch = tuple(dist.batch_shape)
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    return [jnp.broadcast_to(leaf, batch + leaf.shape[leaf.ndim - core :]) for leaf in leaves]


# --- Normal and its images ---------------------------------------------------------------------------------

_normal_square = Square(
    lambda theta: theta._replace(power=2.0 * theta.power),
    lambda theta: -jnp.log(2.0 * math.sqrt(math.pi) * theta.scale),
)


def _tempered(loc: Array, scale: Array) -> fam.Tempered:
    return fam.Tempered(loc, scale, jnp.ones_like(scale))


@register(distrax.Normal, tfd.Normal)
def _normal(dist):
    theta = _tempered(*full(dist, dist.loc, dist.scale))
    return Member(fam.NORMAL, "Normal", theta, square=_normal_square)


@register(tfd.LogNormal, tfd.LogitNormal)
def _image_of_normal(dist):
    base = dist.distribution
    tag = "LogNormal" if isinstance(dist, tfd.LogNormal) else "LogitNormal"
    return Member(fam.NORMAL, tag, _tempered(*full(dist, base.loc, base.scale)))


@register(tfd.HalfNormal)
def _half_normal(dist):
    (scale,) = full(dist, dist.scale)
    square = _normal_square._replace(log_norm=lambda theta: -jnp.log(math.sqrt(math.pi) * theta.scale))
    return Member(fam.NORMAL, "HalfNormal", _tempered(jnp.zeros_like(scale), scale), square=square)


@register(tfd.InverseGaussian)
def _inverse_gaussian(dist):
    return Member(fam.INVERSE_GAUSSIAN, "InverseGaussian", fam.Located(*full(dist, dist.loc, dist.concentration)))


@register(distrax.MultivariateNormalDiag, tfd.MultivariateNormalDiag)
def _normal_diag(dist):
    scale = dist.scale_diag if isinstance(dist, distrax.MultivariateNormalDiag) else jnp.abs(dist.scale.diag_part())
    loc = jnp.zeros_like(scale) if dist.loc is None else dist.loc
    shape = tuple(dist.batch_shape) + tuple(dist.event_shape)
    theta = _tempered(jnp.broadcast_to(loc, shape), jnp.broadcast_to(jnp.abs(scale), shape))
    square = product_square(_normal_square, 1)
    return Member(product(fam.NORMAL, 1), "MultivariateNormal", theta, square=square)


@register(distrax.MultivariateNormalFromBijector, tfd.MultivariateNormalLinearOperator)
def _normalfull(dist):
    if getattr(dist, "is_lower", False) is True:
        factor = dist.scale_tri
    elif isinstance(dist, tfd.MultivariateNormalTriL | tfd.MultivariateNormalFullCovariance):
        factor = dist.scale.to_dense()
    else:
        with jax.default_matmul_precision("highest"):  # of the distribution's own product
            factor = jnp.linalg.cholesky(jnp.asarray(dist.covariance()))
    # a factor with negative diagonal entries is as good; the Cholesky factor has none
    sign = jnp.where(jnp.diagonal(factor, axis1=-2, axis2=-1) < 0.0, -1.0, 1.0).astype(factor.dtype)
    loc = jnp.zeros_like(factor[..., 0]) if dist.loc is None else jnp.asarray(dist.loc)
    return gaussian_member(
        *full(dist, jnp.broadcast_to(loc, dist.batch_shape + dist.event_shape), core=1),
        *full(dist, factor * sign[..., None, :], core=2),
    )


def gaussian_member(loc: Array, factor: Array) -> Member:
    """A multivariate normal by its location and lower Cholesky factor."""
    theta = Gaussian(loc, factor, jnp.ones(loc.shape[:-1], loc.dtype))
    return Member(GAUSSIAN, "MultivariateNormal", theta, square=_gaussian_square)


def _gaussian_log_norm(theta: Gaussian) -> Array:
    log_det = jnp.sum(jnp.log(jnp.diagonal(theta.scale_tril)))
    return -0.5 * theta.loc.shape[-1] * math.log(4.0 * math.pi) - log_det


_gaussian_square = Square(lambda theta: theta._replace(power=2.0 * theta.power), _gaussian_log_norm)


def dense(member: Member) -> Member:
    """A diagonal multivariate normal as a full one; anything else unchanged."""
    if member.tag != "MultivariateNormal" or member.family is GAUSSIAN:
        return member
    loc, scale, _ = member.theta
    return gaussian_member(loc, scale[..., None] * jnp.eye(scale.shape[-1], dtype=scale.dtype))


# --- Gamma and its images, Beta, Dirichlet -----------------------------------------------------------------


def rate_of(dist) -> Array:
    """The rate of a distribution that may have been given its logarithm."""
    if getattr(dist, "rate", None) is not None:
        return dist.rate
    return jnp.exp(dist.log_rate)


def _gamma_member(dist, tag: str, concentration, rate) -> Member:
    return Member(fam.GAMMA, tag, fam.GammaParameters(*full(dist, concentration, rate)))


_lgamma = jax.scipy.special.gammaln


def _gamma_log_norm(theta: fam.GammaParameters) -> Array:
    """∫p² of a gamma density, finite for α > ½."""
    alpha, rate = theta
    ok = alpha > 0.5
    safe = jnp.where(ok, alpha, 1.0)
    value = _lgamma(2.0 * safe - 1.0) - 2.0 * _lgamma(safe) - (2.0 * safe - 1.0) * math.log(2.0)
    return jnp.where(ok, jnp.log(rate) + value, jnp.inf)


_gamma_square = Square(
    lambda theta: fam.GammaParameters(_double(theta.concentration), 2.0 * theta.rate), _gamma_log_norm
)


def _double(alpha: Array) -> Array:
    return jnp.where(alpha > 0.5, 2.0 * alpha - 1.0, 1.0)


@register(distrax.Gamma, tfd.Gamma)
def _gamma(dist):
    return _gamma_member(dist, "Gamma", dist.concentration, rate_of(dist))._replace(square=_gamma_square)


@register(tfd.Exponential)
def _exponential(dist):
    rate = rate_of(dist)
    return _gamma_member(dist, "Gamma", jnp.ones_like(rate), rate)._replace(square=_gamma_square)


@register(tfd.Chi2)
def _chi2(dist):
    df = jnp.asarray(dist.df)
    return _gamma_member(dist, "Gamma", 0.5 * df, jnp.full_like(df, 0.5))._replace(square=_gamma_square)


@register(tfd.Chi)
def _chi(dist):
    df = jnp.asarray(dist.df)
    return _gamma_member(dist, "Chi", 0.5 * df, jnp.full_like(df, 0.5))


@register(tfd.ExpGamma)
def _exp_gamma(dist):
    return _gamma_member(dist, "ExpGamma", dist.concentration, rate_of(dist))


@register(tfd.InverseGamma)
def _inverse_gamma(dist):
    return _gamma_member(dist, "InverseGamma", dist.concentration, dist.scale)


@register(distrax.Beta)
def _distrax_beta(dist):
    return _beta_member(dist, dist.alpha, dist.beta)


@register(tfd.Beta)
def _tfp_beta(dist):
    return _beta_member(dist, dist.concentration1, dist.concentration0)


def _beta_member(dist, alpha, beta) -> Member:
    return _dirichlet_member("Beta", jnp.stack(full(dist, alpha, beta), axis=-1))


def _dirichlet_member(tag: str, alpha: Array) -> Member:
    return Member(fam.DIRICHLET, tag, alpha, square=Square(_double, _dirichlet_log_norm))


def _dirichlet_log_norm(alpha: Array) -> Array:
    ok = jnp.all(alpha > 0.5)
    safe = jnp.where(ok, alpha, 1.0)
    return jnp.where(ok, _log_beta(2.0 * safe - 1.0) - 2.0 * _log_beta(safe), jnp.inf)


def _log_beta(alpha: Array) -> Array:
    return jnp.sum(_lgamma(alpha)) - _lgamma(jnp.sum(alpha))


@register(distrax.Dirichlet, tfd.Dirichlet)
def _dirichlet(dist):
    return _dirichlet_member("Dirichlet", *full(dist, dist.concentration, core=1))


# --- Families of −log --------------------------------------------------------------------------------------


@register(distrax.Laplace, tfd.Laplace)
def _laplace(dist):
    loc, scale = full(dist, dist.loc, dist.scale)
    square = Square(lambda theta: theta._replace(scale=0.5 * theta.scale), lambda theta: -jnp.log(4.0 * theta.scale))
    return Member(LAPLACE, "Laplace", fam.Located(loc, scale), square=square)


@register(distrax.Gumbel, tfd.Gumbel)
def _gumbel(dist):
    return Member(GUMBEL, "Gumbel", fam.Located(*full(dist, dist.loc, dist.scale)), frame=dist.scale)


@register(tfd.Weibull)
def _weibull(dist):
    theta = fam.Located(*full(dist, dist.scale, dist.concentration))
    return Member(WEIBULL, "Weibull", theta, frame=dist.concentration)


@register(tfd.Cauchy)
def _cauchy(dist):
    return Member(CAUCHY, "Cauchy", fam.Located(*full(dist, dist.loc, dist.scale)))


@register(tfd.GeneralizedNormal)
def _generalized_normal(dist):
    scale, power = full(dist, dist.scale, dist.power)
    return Member(fam.POWER, "GeneralizedNormal", fam.Power(scale, power, 1.0 / power), frame=(dist.loc, dist.power))


@register(tfd.Kumaraswamy)
def _kumaraswamy(dist):
    (b,) = full(dist, dist.concentration0)
    return Member(fam.RATE, "Kumaraswamy", b, frame=dist.concentration1)


@register(tfd.Pareto)
def _pareto(dist):
    return Member(fam.PARETO, "Pareto", fam.Tail(*full(dist, dist.concentration, dist.scale)))


@register(distrax.Uniform, tfd.Uniform)
def _uniform(dist):
    low, high = full(dist, dist.low, dist.high)
    square = Square(lambda theta: theta, lambda theta: -jnp.log(theta.high - theta.low))
    return Member(fam.UNIFORM, "Uniform", fam.Interval(low, high), square=square)


@register(distrax.VonMises, tfd.VonMises)
def _von_mises(dist):
    loc, kappa = full(dist, dist.loc, dist.concentration)
    square = Square(lambda theta: theta._replace(concentration=2.0 * theta.concentration), _von_mises_log_norm)
    return Member(VON_MISES, "VonMises", Polar(loc, kappa), square=square)


def _von_mises_log_norm(theta: Polar) -> Array:
    i0e = jax.scipy.special.i0e  # the factor e^κ cancels in I₀(2κ)/I₀(κ)²
    kappa = theta.concentration
    return jnp.log(i0e(2.0 * kappa)) - 2.0 * jnp.log(i0e(kappa)) - math.log(2.0 * math.pi)


# --- Products ----------------------------------------------------------------------------------------------


@register(distrax.Independent, tfd.Independent)
def _independent(dist):
    ndims = len(tuple(dist.event_shape)) - len(tuple(dist.distribution.event_shape))
    inner = exponential_family(dist.distribution)
    if inner is None:
        return None
    if ndims == 0:
        return inner
    square = inner.square and product_square(inner.square, ndims)
    tag = "MultivariateNormal" if inner.tag == "Normal" and ndims == 1 else f"{inner.tag}^{ndims}"
    return inner._replace(family=product(inner.family, ndims), tag=tag, square=square)
