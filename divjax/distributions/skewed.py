"""Families on the whole line with a shape: a skew, or a weight of the tails."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaincc, gammaln, ndtr
from jaxtyping import Array, Float

from divjax.distributions.decay import Decay, Ends
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member
from divjax.distributions.family import EXPONENTIAL, GAUSSIAN, LINE, Family, smooth
from divjax.distributions.half_line import gamma_tails, log_gamma_log_prob
from divjax.distributions.pushed import pushed
from divjax.distributions.real_line import (
    Located,
    line_of,
    of_exponential,
    of_smaller,
    standardised,
    symmetric_quantile,
)
from divjax.numerics import within
from divjax.numerics.special import LOG_ROOT_2PI, held_exp, normal_quantile

# --- Laplace's kin -----------------------------------------------------------------------------------------


class Asymmetric(NamedTuple):
    """Exponential on both sides of loc: of scale · asymmetry to the left, of scale / asymmetry to the right."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    asymmetry: Float[Array, ""]


def _sides(params: Asymmetric) -> tuple[Array, Array]:
    return params.scale * params.asymmetry, params.scale / params.asymmetry


def _asymmetric_laplace_log_prob(params: Asymmetric, x: Array) -> Array:
    left, right = _sides(params)
    z = x - params.loc
    return -jnp.abs(z) / jnp.where(z < 0.0, left, right) - jnp.log(left + right)


def _asymmetric_laplace_tails(params: Asymmetric, x: Array) -> tuple[Array, Array]:
    left, right = _sides(params)
    z = x - params.loc
    lower = z < 0.0
    own = jnp.where(lower, left, right)
    return of_smaller(own / (left + right) * jnp.exp(-jnp.abs(z) / own), lower)


def _asymmetric_laplace_quantile(params: Asymmetric, u: Array, v: Array) -> Array:
    left, right = _sides(params)
    lower = u * (left + right) < left
    own, level = jnp.where(lower, left, right), jnp.where(lower, u, v)
    z = own * jnp.log(level * (left + right) / own)
    return params.loc + jnp.where(lower, z, -z)


def _asymmetric_laplace_profile(params: Asymmetric) -> Any:
    """One component for each side."""
    centers = jnp.concatenate([jnp.ravel(params.loc)] * 2)
    scales = jnp.concatenate([jnp.ravel(side) for side in _sides(params)])
    return smooth(centers, scales, EXPONENTIAL, kinks=jnp.ravel(params.loc))


ASYMMETRIC_LAPLACE = Family(
    name="AsymmetricLaplace",
    parameters=Asymmetric,
    log_prob=_asymmetric_laplace_log_prob,
    support=line_of,
    profile=_asymmetric_laplace_profile,
    tails=_asymmetric_laplace_tails,
    quantile=_asymmetric_laplace_quantile,
    decay=lambda params: tuple(Decay(order=1.0, width=side) for side in _sides(params)),
)


def _soft_laplace_log_prob(params: Located, x: Array) -> Array:
    """1 / (π scale cosh z)."""
    z = jnp.abs(standardised(params, x))
    return math.log(2.0 / math.pi) - jnp.log(params.scale) - z - jnp.log1p(jnp.exp(-2.0 * z))


def _soft_laplace_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = standardised(params, x)
    return 2.0 / jnp.pi * jnp.arctan(held_exp(z)), 2.0 / jnp.pi * jnp.arctan(held_exp(-z))


SOFT_LAPLACE = Family(
    name="SoftLaplace",
    parameters=Located,
    log_prob=_soft_laplace_log_prob,
    support=line_of,
    profile=lambda params: smooth(*params, EXPONENTIAL),
    tails=_soft_laplace_tails,
    quantile=symmetric_quantile(lambda u: jnp.log(jnp.tan(0.5 * jnp.pi * u))),
    decay=of_exponential,
)


# --- Generalised normal ------------------------------------------------------------------------------------


class Powered(NamedTuple):
    """Density ~ e^(−|z|^power), z = (x − loc)/scale."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    power: Float[Array, ""]


def _powered(params: Powered, x: Array) -> Array:
    """|z|^power; 0, without a derivative, at the centre."""
    z = jnp.abs((x - params.loc) / params.scale)
    away = z > 0.0
    return jnp.where(away, held_exp(params.power * jnp.log(jnp.where(away, z, 1.0))), 0.0)


def _generalized_normal_log_prob(params: Powered, x: Array) -> Array:
    norm = math.log(2.0) + jnp.log(params.scale) + gammaln(1.0 + 1.0 / params.power)
    return -_powered(params, x) - norm


def _generalized_normal_tails(params: Powered, x: Array) -> tuple[Array, Array]:
    shape, power = jnp.broadcast_arrays(1.0 / params.power, _powered(params, x))
    return of_smaller(0.5 * gammaincc(shape, power), x < params.loc)


def _generalized_normal_draw(key: Array, params: Powered, size: tuple[int, ...]) -> Array:
    radius, sign = jax.random.split(key)
    shape = size + params.power.shape
    log_power = jax.random.loggamma(radius, 1.0 / params.power, shape, params.power.dtype)
    side = jax.random.rademacher(sign, shape, params.power.dtype)
    return params.loc + params.scale * side * jnp.exp(log_power / params.power)


def _generalized_normal_profile(params: Powered) -> Any:
    """In |z|^power the mass ends as that of an exponential variable does; the centre is no smooth point of it."""

    def image(params, t):
        log_size = jnp.log(jnp.where(t == 0.0, 1.0, jnp.abs(t))) / params.power
        return params.loc + params.scale * jnp.sign(t) * jnp.exp(log_size)

    shape = pushed(image, params, EXPONENTIAL, -math.inf, math.inf)
    return dataclasses.replace(shape, kinks=jnp.ravel(params.loc))


GENERALIZED_NORMAL = Family(
    name="GeneralizedNormal",
    parameters=Powered,
    log_prob=_generalized_normal_log_prob,
    support=line_of,
    profile=_generalized_normal_profile,
    tails=_generalized_normal_tails,
    draw=_generalized_normal_draw,
    member=lambda params: Member(
        gaps.POWER,
        "GeneralizedNormal",
        gaps.Power(params.scale, params.power, 1.0 / params.power),
        frame=(params.loc, params.power),
    ),
    decay=lambda params: tuple(
        Decay(order=params.power, width=params.scale, loc=loc) for loc in (-params.loc, params.loc)
    ),
)


# --- Logarithm of a gamma variable -------------------------------------------------------------------------


def _log_mean(params: gaps.GammaParameters) -> Array:
    return jnp.log(params.concentration) - jnp.log(params.rate)


def _exp_gamma_tails(params: gaps.GammaParameters, x: Array) -> tuple[Array, Array]:
    """Far to the left P(X ≤ x) is a power of e^x, which may be 0 itself."""
    shape, y = jnp.broadcast_arrays(params.concentration, x + jnp.log(params.rate))
    left = y < -40.0
    below, above = gamma_tails(shape, held_exp(jnp.where(left, 0.0, y)))
    log_below = shape * jnp.where(left, y, -40.0) - gammaln(1.0 + shape)
    return jnp.where(left, jnp.exp(log_below), below), jnp.where(left, -jnp.expm1(log_below), above)


def _exp_gamma_draw(key: Array, params: gaps.GammaParameters, size: tuple[int, ...]) -> Array:
    shape = params.concentration
    return jax.random.loggamma(key, shape, size + shape.shape, shape.dtype) - jnp.log(params.rate)


def _exp_gamma_profile(params: gaps.GammaParameters) -> Any:
    """1/√shape wide, or 1/shape: to the left it falls like e^(shape x)."""
    shape = params.concentration
    return smooth(_log_mean(params), jnp.sqrt((1.0 + 1.0 / shape) / shape), EXPONENTIAL)


EXP_GAMMA = Family(
    name="ExpGamma",
    parameters=gaps.GammaParameters,
    log_prob=lambda params, x: log_gamma_log_prob(params.concentration, x - _log_mean(params)),
    support=line_of,
    profile=_exp_gamma_profile,
    tails=_exp_gamma_tails,
    draw=_exp_gamma_draw,
    member=lambda params: Member(gaps.GAMMA, "ExpGamma", params),
    decay=lambda params: (
        Decay(order=1.0, width=1.0 / params.concentration),
        Decay(order=math.inf, loc=-jnp.log(params.rate)),
    ),
)


# --- Images of a normal variable ---------------------------------------------------------------------------


class Johnson(NamedTuple):
    """x = loc + scale sinh((z − skewness)/tailweight), z standard normal."""

    skewness: Float[Array, ""]
    tailweight: Float[Array, ""]
    loc: Float[Array, ""]
    scale: Float[Array, ""]


class Arcsinh(NamedTuple):
    """x = loc + scale f(z)/f₀(2) · 2, f(z) = sinh((arsinh z + skewness) tailweight), f₀ that without a skew."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    skewness: Float[Array, ""]
    tailweight: Float[Array, ""]


def _log_arsinh_slope(z: Array) -> Array:
    """−½ log(1 + z²), without an overflow."""
    far = jnp.finfo(z.dtype).max ** 0.25
    near = jnp.abs(z) < far
    inner = -0.5 * jnp.log1p(jnp.where(near, z, 0.0) ** 2)
    return jnp.where(near, inner, -jnp.log(jnp.where(near, 1.0, jnp.abs(z))))


def _held_sinh(y: Array) -> Array:
    far = 0.5 * math.log(jnp.finfo(y.dtype).max)
    return jnp.sinh(within(y, far))


def _log_cosh(y: Array) -> Array:
    size = jnp.abs(y)
    return size + jnp.log1p(jnp.exp(-2.0 * size)) - math.log(2.0)


def _image_of_normal(name: str, parameters: Any, normal: Any, image: Any, decay: Any = None) -> Family:
    """The family of x = image(params, z); normal: params, x -> z, log |dz/dx|."""

    def log_prob(params, x):
        z, log_slope = normal(params, x)
        return -0.5 * within(z, _far(z)) ** 2 - LOG_ROOT_2PI + log_slope

    def tails(params, x):
        z, _ = normal(params, x)
        return ndtr(z), ndtr(-z)

    return Family(
        name=name,
        parameters=parameters,
        log_prob=log_prob,
        support=line_of,
        profile=lambda params: pushed(image, params, GAUSSIAN, *LINE),
        tails=tails,
        quantile=lambda params, u, v: image(params, normal_quantile(u, v)),
        decay=decay,
    )


def _far(z: Array) -> float:
    return jnp.finfo(z.dtype).max ** 0.25


def _johnson_normal(params: Johnson, x: Array) -> tuple[Array, Array]:
    z = (x - params.loc) / params.scale
    log_slope = jnp.log(params.tailweight) - jnp.log(params.scale) + _log_arsinh_slope(z)
    return params.skewness + params.tailweight * jnp.arcsinh(z), log_slope


def _johnson_image(params: Johnson, z: Array) -> Array:
    return params.loc + params.scale * _held_sinh((z - params.skewness) / params.tailweight)


def _johnson_decay(params: Johnson) -> Ends:
    """±z goes like tailweight (log y + log 2/scale) ± skewness."""
    tail = params.tailweight
    starts = (math.log(2.0) - jnp.log(params.scale) + skew / tail for skew in (-params.skewness, params.skewness))
    low, high = (Decay(log_square=0.5 * tail**2, power=1.0 + tail**2 * start) for start in starts)
    return low, high


JOHNSON_SU = _image_of_normal("JohnsonSU", Johnson, _johnson_normal, _johnson_image, _johnson_decay)


def _stretch(params: Arcsinh) -> Array:
    """What makes the images of ±2 stay where they are without a skew."""
    return 2.0 / _held_sinh(math.asinh(2.0) * params.tailweight)


def _arcsinh_normal(params: Arcsinh, x: Array) -> tuple[Array, Array]:
    scale = params.scale * _stretch(params)
    y = (x - params.loc) / scale
    bent = jnp.arcsinh(y) / params.tailweight - params.skewness
    log_slope = _log_cosh(bent) - jnp.log(params.tailweight) - jnp.log(scale) + _log_arsinh_slope(y)
    return _held_sinh(bent), log_slope


def _arcsinh_image(params: Arcsinh, z: Array) -> Array:
    bent = (jnp.arcsinh(z) + params.skewness) * params.tailweight
    return params.loc + params.scale * _stretch(params) * _held_sinh(bent)


SINH_ARCSINH = _image_of_normal("SinhArcsinh", Arcsinh, _arcsinh_normal, _arcsinh_image)
