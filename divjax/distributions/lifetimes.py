"""Families of lifetimes and sizes, x > 0: inverse Gaussian, log-normal, Weibull, Gompertz."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.special import gammaln, ndtr
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import LEVEL, Decay, Ends
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.extremes import WEIBULL as WEIBULL_GAP
from divjax.distributions.exponential.family import Member
from divjax.distributions.family import EXPONENTIAL, GAUSSIAN, HALF_LINE, Family, bounded
from divjax.distributions.half_line import half_line_of, positive
from divjax.distributions.moments import Moments, Target
from divjax.distributions.pushed import by_quantile, pushed, steep
from divjax.distributions.real_line import NORMAL, Located, tempered
from divjax.numerics.special import LOG_ROOT_2PI, erfcx, held_exp, logs

_EULER = 0.5772156649015329
_ROOT_2 = math.sqrt(2.0)


# --- Inverse Gaussian --------------------------------------------------------------------------------------


class InverseGaussianParameters(NamedTuple):
    """Mean loc and variance loc³/concentration: √(λ/(2π x³)) e^(−λ (x − loc)²/(2 loc² x)), λ the concentration."""

    loc: Float[Array, ""]
    concentration: Float[Array, ""]


def _deviations(params: InverseGaussianParameters, x: Array) -> tuple[Array, Array]:
    """√(λ/x) (x/loc ∓ 1), held where the density is 0 long since."""
    far = jnp.finfo(x.dtype).max ** 0.25
    x = jnp.minimum(jnp.maximum(x, params.concentration / far), params.loc * far)
    root = jnp.sqrt(params.concentration / x)
    return root * ((x - params.loc) / params.loc), root * ((x + params.loc) / params.loc)


def _inverse_gaussian_log_prob(params: InverseGaussianParameters, x: Array) -> Array:
    z, _ = _deviations(params, x)
    return 0.5 * jnp.log(params.concentration) - LOG_ROOT_2PI - 1.5 * jnp.log(x) - 0.5 * z * z


@positive
def _inverse_gaussian_tails(params: InverseGaussianParameters, x: Array) -> tuple[Array, Array]:
    """Φ(z) + e^(2λ/loc) Φ(−s), whose second part is e^(−z²/2) times what neither overflows nor is 0."""
    z, s = _deviations(params, x)
    rest = 0.5 * jnp.exp(-0.5 * z * z) * erfcx(s / _ROOT_2)
    below = ndtr(z) + rest
    up = jnp.maximum(z, 0.0)
    above = 0.5 * jnp.exp(-0.5 * up * up) * (erfcx(up / _ROOT_2) - erfcx(s / _ROOT_2))
    return jnp.where(z < 0.0, below, 1.0 - above), jnp.where(z < 0.0, 1.0 - below, above)


def _inverse_gaussian_profile(params: InverseGaussianParameters) -> Any:
    deviation = params.loc * jnp.sqrt(params.loc / params.concentration)
    return bounded(params.loc, deviation, EXPONENTIAL, *HALF_LINE)


INVERSE_GAUSSIAN = Family(
    name="InverseGaussian",
    parameters=InverseGaussianParameters,
    log_prob=_inverse_gaussian_log_prob,
    support=half_line_of,
    profile=_inverse_gaussian_profile,
    tails=_inverse_gaussian_tails,
    member=lambda params: Member(gaps.INVERSE_GAUSSIAN, "InverseGaussian", gaps.Located(*params)),
    decay=lambda params: (
        Decay(order=1.0, width=2.0 / params.concentration, power=-1.5),
        Decay(order=1.0, width=2.0 * params.loc**2 / params.concentration, power=1.5),
    ),
)


# --- Log-normal ---------------------------------------------------------------------------------------------


def _log_normal_moments(p: Located) -> Moments:
    power = lambda s: jnp.exp(s * p.loc + 0.5 * (s * p.scale) ** 2)  # noqa: E731
    entropy, mean = p.loc + 0.5 + LOG_ROOT_2PI + jnp.log(p.scale), power(jnp.ones_like(p.loc))
    variance = mean**2 * jnp.expm1(p.scale**2)
    return Moments(*HALF_LINE, entropy, mean, variance, log=p.loc, log_variance=p.scale**2, power=power)


def _log_normal_decay(params: Located) -> Ends:
    """In log y, which is −log x at 0: −(log y ± loc)²/(2 scale²) ± log y."""
    square, shift = 0.5 / params.scale**2, params.loc / params.scale**2
    return Decay(log_square=square, power=shift - 1.0), Decay(log_square=square, power=1.0 - shift)


def _log_normal_target(q: Located) -> Target:
    def value(m):
        square = ((m.log - q.loc) ** 2 + m.log_variance) / q.scale**2
        return -LOG_ROOT_2PI - jnp.log(q.scale) - m.log - 0.5 * square

    return Target(*HALF_LINE, ("log", "log_variance"), value)


LOG_NORMAL = Family(
    name="LogNormal",
    parameters=Located,
    log_prob=lambda params, x: NORMAL.log_prob(params, jnp.log(x)) - jnp.log(x),
    support=half_line_of,
    profile=lambda params: pushed(lambda p, z: jnp.exp(p.loc + p.scale * z), params, GAUSSIAN, *HALF_LINE),
    tails=positive(lambda params, x: NORMAL.tails(params, jnp.log(x))),
    quantile=lambda params, u, v: jnp.exp(NORMAL.quantile(params, u, v)),
    member=lambda params: Member(gaps.NORMAL, "LogNormal", tempered(params)),
    moments=_log_normal_moments,
    target=_log_normal_target,
    decay=_log_normal_decay,
)


# --- Weibull and Gompertz ----------------------------------------------------------------------------------


class Shaped(NamedTuple):
    """A shape, the concentration, and a scale."""

    concentration: Float[Array, ""]
    scale: Float[Array, ""]


def _weibull_log_prob(params: Shaped, x: Array) -> Array:
    """k/x t e^(−t) with t = (x/scale)^k."""
    y = params.concentration * nu.log_quotient(x, params.scale)
    return jnp.log(params.concentration) - jnp.log(x) + y - held_exp(y)


@positive
def _weibull_tails(params: Shaped, x: Array) -> tuple[Array, Array]:
    power = held_exp(params.concentration * nu.log_quotient(x, params.scale))
    return -jnp.expm1(-power), jnp.exp(-power)


def _weibull_quantile(params: Shaped, u: Array, v: Array) -> Array:
    return params.scale * jnp.exp(jnp.log(-logs(u, v)[1]) / params.concentration)


def _weibull_moments(p: Shaped) -> Moments:
    k = p.concentration
    power = lambda s: jnp.exp(s * jnp.log(p.scale) + gammaln(1.0 + s / k))  # noqa: E731
    mean = power(jnp.ones_like(k))
    return Moments(
        *HALF_LINE,
        _EULER * (1.0 - 1.0 / k) + jnp.log(p.scale / k) + 1.0,
        mean=mean,
        variance=power(jnp.full_like(k, 2.0)) - mean**2,
        log=jnp.log(p.scale) - _EULER / k,
        log_variance=math.pi**2 / (6.0 * k**2),
        power=power,
    )


def _weibull_target(q: Shaped) -> Target:
    k, scale = q

    def value(m):
        power = m.power(k) * jnp.exp(-k * jnp.log(scale))
        return jnp.log(k / scale) + (k - 1.0) * (m.log - jnp.log(scale)) - power

    return Target(*HALF_LINE, ("log", "power"), value)


WEIBULL = Family(
    name="Weibull",
    parameters=Shaped,
    log_prob=_weibull_log_prob,
    support=half_line_of,
    profile=lambda params: by_quantile(_weibull_quantile, params, *HALF_LINE, steep(params.concentration)),
    tails=_weibull_tails,
    quantile=_weibull_quantile,
    member=lambda params: Member(
        WEIBULL_GAP, "Weibull", gaps.Located(params.scale, params.concentration), frame=params.concentration
    ),
    moments=_weibull_moments,
    target=_weibull_target,
    decay=lambda params: (
        Decay(power=params.concentration - 1.0),
        Decay(order=params.concentration, width=params.scale, power=1.0 - params.concentration),
    ),
)


class GompertzParameters(NamedTuple):
    """P(X > x) = e^(−concentration (e^(rate x) − 1))."""

    concentration: Float[Array, ""]
    rate: Float[Array, ""]


def _hazard(params: GompertzParameters, x: Array) -> Array:
    top = 0.5 * math.log(jnp.finfo(x.dtype).max)
    return params.concentration * jnp.expm1(jnp.minimum(params.rate * x, top))


@positive
def _gompertz_tails(params: GompertzParameters, x: Array) -> tuple[Array, Array]:
    return -jnp.expm1(-_hazard(params, x)), jnp.exp(-_hazard(params, x))


def _gompertz_quantile(params: GompertzParameters, u: Array, v: Array) -> Array:
    return jnp.log1p(-logs(u, v)[1] / params.concentration) / params.rate


GOMPERTZ = Family(
    name="Gompertz",
    parameters=GompertzParameters,
    log_prob=lambda params, x: (
        jnp.log(params.concentration) + jnp.log(params.rate) + params.rate * x - _hazard(params, x)
    ),
    support=half_line_of,
    profile=lambda params: by_quantile(_gompertz_quantile, params, *HALF_LINE),
    tails=_gompertz_tails,
    quantile=_gompertz_quantile,
    decay=lambda params: (
        LEVEL,
        Decay(order=math.inf, width=1.0 / params.rate, loc=-jnp.log(params.concentration) / params.rate),
    ),
)
