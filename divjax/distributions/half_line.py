"""Families on the half-line x > 0: exponential, gamma and its images, half-normal.

Others are in ``lifetimes`` and, if their tail falls like a power, in ``heavy_tails``.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammainc, gammaincc, gammaln, ndtri
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import LEVEL, Decay, Ends, gaussian
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member, Square
from divjax.distributions.family import EXPONENTIAL, HALF_LINE, Family, Standard, bounded
from divjax.distributions.moments import Moments, Target
from divjax.distributions.pushed import pushed, steep
from divjax.distributions.real_line import NORMAL_SQUARE, Located, standardised, tempered
from divjax.numerics import gamma_half_step
from divjax.numerics.special import LOG_ROOT_2PI, exp_excess, logs, stirling_rest

_EULER = 0.5772156649015329
_ROOT_2 = math.sqrt(2.0)


def half_line_of(params: Any) -> tuple[float, float]:
    """x > 0, whatever the parameters."""
    return HALF_LINE


def positive(tails: Callable[[Any, Array], tuple[Array, Array]]) -> Callable[[Any, Array], tuple[Array, Array]]:
    """The tails of a law on x > 0 from what is right there: (0, 1) elsewhere, without a derivative."""

    @functools.wraps(tails)
    def both(params, x):
        inside = x > 0.0
        below, above = tails(params, jnp.where(inside, x, 1.0))
        return jnp.where(inside, below, 0.0), jnp.where(inside, above, 1.0)

    return both


# --- Exponential -------------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """Density rate e^(−rate x)."""

    rate: Float[Array, ""]


def _as_gamma(params: Rate) -> gaps.GammaParameters:
    return gaps.GammaParameters(jnp.ones_like(params.rate), params.rate)


@positive
def _exponential_tails(params: Rate, x: Array) -> tuple[Array, Array]:
    return -jnp.expm1(-params.rate * x), jnp.exp(-params.rate * x)


def _exponential_target(q: Rate) -> Target:
    return Target(*HALF_LINE, ("mean",), lambda m: jnp.log(q.rate) - q.rate * m.mean)


EXPONENTIAL_LAW = Family(
    name="Exponential",
    parameters=Rate,
    log_prob=lambda params, x: jnp.log(params.rate) - params.rate * x,
    support=half_line_of,
    profile=lambda params: bounded(1.0 / params.rate, 1.0 / params.rate, EXPONENTIAL, *HALF_LINE),
    tails=_exponential_tails,
    quantile=lambda params, u, v: -logs(u, v)[1] / params.rate,
    member=lambda params: Member(gaps.GAMMA, "Gamma", _as_gamma(params), square=GAMMA_SQUARE),
    moments=lambda params: _gamma_moments(_as_gamma(params)),
    target=_exponential_target,
    standard=lambda params: Standard(1.0, 1.0, jnp.zeros_like(params.rate), 1.0 / params.rate),
    decay=lambda params: (LEVEL, Decay(order=1.0, width=1.0 / params.rate)),
)


# --- Gamma and its images ----------------------------------------------------------------------------------


def log_gamma_log_prob(shape: Array, y: Array) -> Array:
    """The log-density of y = log(X/shape) for a gamma variable X of rate 1: −shape (e^y − 1 − y) and a constant.

    Written about the mean so that nothing cancels where the shape is large.
    """
    norm = 0.5 * jnp.log(shape) - LOG_ROOT_2PI - stirling_rest(shape)
    return norm - shape * exp_excess(y)


def _gamma_log_prob(params: gaps.GammaParameters, x: Array) -> Array:
    """rate^shape x^(shape − 1) e^(−rate x) / Γ(shape)."""
    shape, rate = params
    return log_gamma_log_prob(shape, nu.log_quotient(x, shape / rate)) - jnp.log(x)


def gamma_tails(shape: Array, x: Array) -> tuple[Array, Array]:
    """Both tails of a gamma variable of rate 1."""
    shape, x = jnp.broadcast_arrays(shape, x)
    return gammainc(shape, x), gammaincc(shape, x)


@positive
def _gamma_tails(params: gaps.GammaParameters, x: Array) -> tuple[Array, Array]:
    return gamma_tails(params.concentration, params.rate * x)


def _gamma_profile(params: gaps.GammaParameters) -> Any:
    shape, rate = params
    return bounded(shape / rate, jnp.sqrt(shape) / rate, EXPONENTIAL, *HALF_LINE, steep(shape))


def of_gamma(params: gaps.GammaParameters) -> Ends:
    """x^(shape − 1) at 0, and beside e^(−rate x) far out."""
    shape, rate = params
    return Decay(power=shape - 1.0), Decay(order=1.0, width=1.0 / rate, power=1.0 - shape)


def gamma_draw(key: Array, shape: Array, size: tuple[int, ...]) -> Array:
    """Gamma variables of rate 1, [*size, *batch]."""
    return jax.random.gamma(key, shape, size + shape.shape, shape.dtype)


def _gamma_moments(p: gaps.GammaParameters) -> Moments:
    a, b = p

    def distance(m):
        held = jnp.maximum(m, 0.0)
        below, below_next = (gammainc(c, b * held) for c in (a, a + 1.0))
        return m * (2.0 * below - 1.0) + a / b * (1.0 - 2.0 * below_next)

    return Moments(
        *HALF_LINE,
        a - jnp.log(b) + gammaln(a) + (1.0 - a) * digamma(a),
        mean=a / b,
        variance=a / b**2,
        log=digamma(a) - jnp.log(b),
        log_variance=trigamma(a),
        exp=lambda t: jnp.exp(-a * jnp.log1p(-t / b)),
        power=lambda s: jnp.exp(gammaln(a + s) - gammaln(a) - s * jnp.log(b)),
        distance=distance,
    )


def trigamma(x: Array) -> Array:
    """ψ'(x), from what it has more than 1/x."""
    return (nu.trigamma_excess(x) / x + 1.0) / x


def _gamma_target(q: gaps.GammaParameters) -> Target:
    a, b = q
    value = lambda m: a * jnp.log(b) - gammaln(a) + (a - 1.0) * m.log - b * m.mean  # noqa: E731
    return Target(*HALF_LINE, ("log", "mean"), value)


def doubled(alpha: Array) -> Array:
    """The shape of p² for one of p, where p² has an integral."""
    return jnp.where(alpha > 0.5, 2.0 * alpha - 1.0, 1.0)


def _gamma_log_norm(theta: gaps.GammaParameters) -> Array:
    """log ∫p² of a gamma density, finite for a shape > ½."""
    ok = theta.concentration > 0.5
    safe = jnp.where(ok, theta.concentration, 1.0)
    value = gammaln(2.0 * safe - 1.0) - 2.0 * gammaln(safe) - (2.0 * safe - 1.0) * math.log(2.0)
    return jnp.where(ok, jnp.log(theta.rate) + value, jnp.inf)


GAMMA_SQUARE = Square(
    lambda theta: gaps.GammaParameters(doubled(theta.concentration), 2.0 * theta.rate), _gamma_log_norm
)

GAMMA = Family(
    name="Gamma",
    parameters=gaps.GammaParameters,
    log_prob=_gamma_log_prob,
    support=half_line_of,
    profile=_gamma_profile,
    tails=_gamma_tails,
    draw=lambda key, params, size: gamma_draw(key, params.concentration, size) / params.rate,
    member=lambda params: Member(gaps.GAMMA, "Gamma", params, square=GAMMA_SQUARE),
    moments=_gamma_moments,
    target=_gamma_target,
    decay=of_gamma,
)


class Freedom(NamedTuple):
    """The length of ``df`` standard normal variables."""

    df: Float[Array, ""]


def _chi_log_prob(params: Freedom, x: Array) -> Array:
    """2^(1 − df/2) x^(df − 1) e^(−x²/2) / Γ(df/2)."""
    y = 2.0 * nu.log_quotient(x, jnp.sqrt(params.df))
    return log_gamma_log_prob(0.5 * params.df, y) + math.log(2.0) - jnp.log(x)


def _chi_profile(params: Freedom) -> Any:
    step = gamma_half_step(0.5 * params.df)
    mean, variance = jnp.sqrt(params.df) * jnp.exp(step), -params.df * jnp.expm1(2.0 * step)
    return bounded(mean, jnp.sqrt(variance), EXPONENTIAL, *HALF_LINE, steep(params.df))


CHI = Family(
    name="Chi",
    parameters=Freedom,
    log_prob=_chi_log_prob,
    support=half_line_of,
    profile=_chi_profile,
    tails=positive(lambda params, x: gamma_tails(0.5 * params.df, 0.5 * x * x)),
    draw=lambda key, params, size: jnp.sqrt(2.0 * gamma_draw(key, 0.5 * params.df, size)),
    member=lambda params: Member(
        gaps.GAMMA, "Chi", gaps.GammaParameters(0.5 * params.df, jnp.full_like(params.df, 0.5))
    ),
    decay=lambda params: (
        Decay(power=params.df - 1.0),
        Decay(order=2.0, width=_ROOT_2, power=1.0 - params.df),
    ),
)


class InverseGammaParameters(NamedTuple):
    """Density scale^a / Γ(a) x^(−a − 1) e^(−scale/x), a the concentration."""

    concentration: Float[Array, ""]
    scale: Float[Array, ""]


def _inverse_gamma_log_prob(params: InverseGammaParameters, x: Array) -> Array:
    shape, scale = params
    return log_gamma_log_prob(shape, nu.log_quotient(scale / shape, x)) - jnp.log(x)


@positive
def _inverse_gamma_tails(params: InverseGammaParameters, x: Array) -> tuple[Array, Array]:
    top = jnp.finfo(x.dtype).max ** 0.25
    shape, scale = params
    return gamma_tails(shape, scale / jnp.maximum(x, scale / top))[::-1]


def _inverse_gamma_profile(params: InverseGammaParameters) -> Any:
    """log x is about −log of a gamma variable: 1/√shape wide, or 1/shape."""

    def image(params, z):
        shape, scale = params
        return jnp.exp(jnp.log(scale / shape) + z * jnp.sqrt((1.0 + 1.0 / shape) / shape))

    return pushed(image, params, EXPONENTIAL, *HALF_LINE)


def _inverse_gamma_draw(key: Array, params: InverseGammaParameters, size: tuple[int, ...]) -> Array:
    shape = params.concentration
    return jnp.exp(jnp.log(params.scale) - jax.random.loggamma(key, shape, size + shape.shape, shape.dtype))


INVERSE_GAMMA = Family(
    name="InverseGamma",
    parameters=InverseGammaParameters,
    log_prob=_inverse_gamma_log_prob,
    support=half_line_of,
    profile=_inverse_gamma_profile,
    tails=_inverse_gamma_tails,
    draw=_inverse_gamma_draw,
    member=lambda params: Member(gaps.GAMMA, "InverseGamma", gaps.GammaParameters(*params)),
    decay=lambda params: (
        Decay(order=1.0, width=1.0 / params.scale, power=-params.concentration - 1.0),
        Decay(power=params.concentration + 1.0),
    ),
)


# --- Half-normal --------------------------------------------------------------------------------------------


class Scale(NamedTuple):
    """|x| of a normal variable about 0."""

    scale: Float[Array, ""]


def _centred(params: Scale) -> Located:
    return Located(jnp.zeros_like(params.scale), params.scale)


def _half_normal_log_prob(params: Scale, x: Array) -> Array:
    z = standardised(_centred(params), x)
    return 0.5 * math.log(2.0 / math.pi) - jnp.log(params.scale) - 0.5 * z * z


@positive
def _half_normal_tails(params: Scale, x: Array) -> tuple[Array, Array]:
    z = x / (_ROOT_2 * params.scale)
    return jax.lax.erf(z), jax.lax.erfc(z)


def _half_normal_quantile(params: Scale, u: Array, v: Array) -> Array:
    lower = u < v
    near = _ROOT_2 * jax.lax.erf_inv(jnp.where(lower, u, 0.0))
    return params.scale * jnp.where(lower, near, -ndtri(jnp.where(lower, 0.5, 0.5 * v)))


def _half_normal_moments(p: Scale) -> Moments:
    root, log_scale = jnp.sqrt(jnp.asarray(2.0 / math.pi, p.scale.dtype)), jnp.log(p.scale)
    log_root_pi = 0.5 * math.log(math.pi)
    return Moments(
        *HALF_LINE,
        0.5 * math.log(math.pi / 2) + 0.5 + log_scale,
        mean=p.scale * root,
        variance=p.scale**2 * (1.0 - 2.0 / math.pi),
        log=log_scale - 0.5 * (_EULER + math.log(2.0)),
        log_variance=jnp.full_like(p.scale, math.pi**2 / 8.0),
        power=lambda s: jnp.exp(s * jnp.log(p.scale * _ROOT_2) + gammaln(0.5 * (s + 1.0)) - log_root_pi),
    )


def _half_normal_target(q: Scale) -> Target:
    def value(m):
        square = (m.mean**2 + m.variance) / q.scale**2
        return 0.5 * math.log(2.0 / math.pi) - jnp.log(q.scale) - 0.5 * square

    return Target(*HALF_LINE, ("mean", "variance"), value)


def _half_normal_standard(params: Scale) -> Standard:
    return Standard(math.sqrt(2 / math.pi), 1 - 2 / math.pi, *_centred(params))


HALF_NORMAL = Family(
    name="HalfNormal",
    parameters=Scale,
    log_prob=_half_normal_log_prob,
    support=half_line_of,
    profile=lambda params: bounded(
        params.scale * math.sqrt(2 / math.pi), params.scale * math.sqrt(1 - 2 / math.pi), EXPONENTIAL, *HALF_LINE
    ),
    tails=_half_normal_tails,
    quantile=_half_normal_quantile,
    member=lambda params: Member(
        gaps.NORMAL,
        "HalfNormal",
        tempered(_centred(params)),
        square=NORMAL_SQUARE._replace(log_norm=lambda theta: -jnp.log(math.sqrt(math.pi) * theta.scale)),
    ),
    moments=_half_normal_moments,
    target=_half_normal_target,
    standard=_half_normal_standard,
    decay=lambda params: (LEVEL, gaussian(0.0, params.scale)[1]),
)
