"""Families on an interval."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import LEVEL, Decay, both
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member, Square
from divjax.distributions.family import EXPONENTIAL, FLAT, GAUSSIAN, UNIT, Family, Standard, bounded
from divjax.distributions.half_line import doubled, trigamma
from divjax.distributions.moments import Moments, Target
from divjax.distributions.pushed import by_quantile, pushed, steep
from divjax.distributions.real_line import LOGISTIC, NORMAL, Located, tempered
from divjax.numerics.incomplete import betainc
from divjax.numerics.special import exp_excess, log1m_exp, logs, stirling_rest


def unit_of(params: Any) -> tuple[float, float]:
    """0 < x < 1, whatever the parameters."""
    return UNIT


def within(params: Any) -> tuple[Array, Array]:
    """low < x < high."""
    return params.low, params.high


# --- Uniform and log-uniform -------------------------------------------------------------------------------


def _uniform_tails(params: gaps.Interval, x: Array) -> tuple[Array, Array]:
    low, high = params
    return jnp.clip((x - low) / (high - low), 0.0, 1.0), jnp.clip((high - x) / (high - low), 0.0, 1.0)


def _uniform_quantile(params: gaps.Interval, u: Array, v: Array) -> Array:
    low, high = params
    return jnp.where(u < v, low + (high - low) * u, high - (high - low) * v)


def _uniform_profile(params: gaps.Interval) -> Any:
    low, high = params
    return bounded(0.5 * (low + high), 0.25 * (high - low), FLAT, low, high, 1.0)


def _uniform_moments(p: gaps.Interval) -> Moments:
    low, high = p
    width = high - low

    def mean_log(a, b):  # of a uniform variable on [a, b], a ≥ 0
        ok = b > 0.0
        top = jnp.where(ok, b, 1.0)
        bottom = jnp.where(a > 0.0, a, top)
        rest = jnp.where(a > 0.0, nu.log1p_over((top - bottom) / bottom), 0.0)
        return jnp.log(top) - 1.0 + rest

    def power(s):
        a, b = jnp.maximum(low, 0.0), jnp.maximum(high, 0.0)
        return (_power(b, s + 1.0) - _power(a, s + 1.0)) / ((s + 1.0) * width)

    def distance(m):
        held = jnp.clip(m, low, high)
        return ((held - low) ** 2 + (high - held) ** 2) / (2.0 * width) + jnp.abs(m - held)

    return Moments(
        low,
        high,
        jnp.log(width),
        mean=0.5 * (low + high),
        variance=width**2 / 12.0,
        log=mean_log(low, high),
        log1m=mean_log(1.0 - high, 1.0 - low),
        # e^(t low) (1 − e^(−y))/y with y = −t width
        exp=lambda t: jnp.exp(t * low) * nu.one_minus_exp_over(-t * width),
        power=power,
        distance=distance,
    )


def _power(x: Array, s: Array) -> Array:
    some = x > 0.0
    return jnp.where(some, jnp.exp(s * jnp.log(jnp.where(some, x, 1.0))), 0.0)


UNIFORM_SQUARE = Square(lambda theta: theta, lambda theta: -jnp.log(theta.high - theta.low))

UNIFORM = Family(
    name="Uniform",
    parameters=gaps.Interval,
    log_prob=lambda params, x: jnp.broadcast_to(-jnp.log(params.high - params.low), x.shape),
    support=within,
    profile=_uniform_profile,
    tails=_uniform_tails,
    quantile=_uniform_quantile,
    member=lambda params: Member(gaps.UNIFORM, "Uniform", params, square=UNIFORM_SQUARE),
    moments=_uniform_moments,
    target=lambda q: Target(q.low, q.high, (), lambda m: -jnp.log(q.high - q.low)),
    standard=lambda params: Standard(0.5, 1 / 12, params.low, params.high - params.low),
    decay=lambda params: both(LEVEL),
)


def _log_uniform_tails(params: gaps.Interval, x: Array) -> tuple[Array, Array]:
    low, high = params
    x, width = jnp.clip(x, low, high), nu.log_quotient(high, low)
    return nu.log_quotient(x, low) / width, nu.log_quotient(high, x) / width


def _log_uniform_quantile(params: gaps.Interval, u: Array, v: Array) -> Array:
    low, high = params
    width = nu.log_quotient(high, low)
    return jnp.where(u < v, low * jnp.exp(width * u), high * jnp.exp(-width * v))


LOG_UNIFORM = Family(
    name="LogUniform",
    parameters=gaps.Interval,
    log_prob=lambda params, x: -jnp.log(x) - jnp.log(nu.log_quotient(params.high, params.low)),
    support=within,
    profile=lambda params: pushed(
        lambda p, z: _log_uniform_quantile(p, 0.5 + 0.25 * z, 0.5 - 0.25 * z), params, FLAT, *within(params), 1.0
    ),
    tails=_log_uniform_tails,
    quantile=_log_uniform_quantile,
    decay=lambda params: both(LEVEL),
)


# --- Triangular --------------------------------------------------------------------------------------------


class Triangle(NamedTuple):
    """A density that grows linearly from low to the peak and falls linearly to high."""

    low: Float[Array, ""]
    high: Float[Array, ""]
    peak: Float[Array, ""]


def _side(width: Array) -> Array:
    """The width of one side of a triangle, which may be 0: nothing is on that side then."""
    return jnp.where(width > 0.0, width, 1.0)


def _triangular_log_prob(params: Triangle, x: Array) -> Array:
    low, high, peak = params
    left = x < peak
    height = jnp.where(left, (x - low) / _side(peak - low), (high - x) / _side(high - peak))
    height = jnp.where(x == peak, 1.0, height)
    return math.log(2.0) - jnp.log(high - low) + jnp.log(jnp.where(height > 0.0, height, 1.0))


def _triangular_tails(params: Triangle, x: Array) -> tuple[Array, Array]:
    low, high, peak = params
    left, x = x < peak, jnp.clip(x, low, high)
    side = jnp.where(left, (x - low) / _side(peak - low), (high - x) / _side(high - peak))
    tail = side * jnp.where(left, x - low, high - x) / (high - low)
    return jnp.where(left, tail, 1.0 - tail), jnp.where(left, 1.0 - tail, tail)


def _triangular_quantile(params: Triangle, u: Array, v: Array) -> Array:
    low, high, peak = params
    width = high - low
    left = u * width < peak - low
    root = jnp.sqrt(width * jnp.where(left, u * (peak - low), v * (high - peak)))
    return jnp.where(left, low + root, high - root)


def _triangular_profile(params: Triangle) -> Any:
    low, high, peak = params
    shape = bounded(0.5 * (low + high), 0.25 * (high - low), FLAT, low, high)  # graded: p log p has a logarithm there
    return dataclasses.replace(shape, kinks=jnp.ravel(peak))


TRIANGULAR = Family(
    name="Triangular",
    parameters=Triangle,
    log_prob=_triangular_log_prob,
    support=within,
    profile=_triangular_profile,
    tails=_triangular_tails,
    quantile=_triangular_quantile,
    decay=lambda p: (Decay(power=(p.peak > p.low) * 1.0), Decay(power=(p.peak < p.high) * 1.0)),
)


# --- Beta --------------------------------------------------------------------------------------------------


class Shapes(NamedTuple):
    """Both shapes: of the end 0 and of the end 1."""

    a: Float[Array, ""]
    b: Float[Array, ""]


def _beta_log_prob(params: Shapes, x: Array) -> Array:
    """x^(a − 1) (1 − x)^(b − 1) Γ(a + b) / (Γ(a) Γ(b)), about the mean so that large shapes do not cancel."""
    a, b = params
    total, rest = a + b, 1.0 - x
    norm = stirling_rest(total) - stirling_rest(a) - stirling_rest(b)
    norm = norm + 0.5 * (jnp.log(a) + jnp.log(b) - jnp.log(2.0 * math.pi * total))
    away = a * exp_excess(nu.log_quotient(x, a / total)) + b * exp_excess(nu.log_quotient(rest, b / total))
    return norm - away - jnp.log(x) - jnp.log1p(-x)


def _beta_tails(params: Shapes, x: Array) -> tuple[Array, Array]:
    inside = (x > 0.0) & (x < 1.0)
    a, b, safe = jnp.broadcast_arrays(*params, jnp.where(inside, x, 0.5))
    below, above = betainc(a, b, safe), betainc(b, a, 1.0 - safe)
    # Of a tiny x, 1 − x is rounded by more than what is above it, where it is steep.
    rounded = (safe < 0.5) & ((below < 0.9) | (safe < jnp.minimum(a, 1e-8)))
    above = jnp.where(rounded, 1.0 - below, above)
    return jnp.where(inside, below, (x >= 1.0) * 1.0), jnp.where(inside, above, (x <= 0.0) * 1.0)


def _beta_profile(params: Shapes) -> Any:
    a, b = params
    mean = a / (a + b)
    deviation = jnp.sqrt(mean * (b / (a + b)) / (a + b + 1.0))
    zero = jnp.zeros_like(mean)
    return bounded(mean, deviation, EXPONENTIAL, zero, zero + 1.0, steep(a, b))


def _beta_draw(key: Array, params: Shapes, size: tuple[int, ...]) -> Array:
    return jax.random.beta(key, *params, size + params.a.shape, params.a.dtype)


def _beta_moments(p: Shapes) -> Moments:
    a, b = p
    total = a + b
    log, log1m = digamma(a) - digamma(total), digamma(b) - digamma(total)
    entropy = gammaln(a) + gammaln(b) - gammaln(total) - (a - 1.0) * log - (b - 1.0) * log1m
    return Moments(
        *UNIT,
        entropy,
        mean=a / total,
        variance=a * b / (total**2 * (total + 1.0)),
        log=log,
        log_variance=trigamma(a) - trigamma(total),
        log1m=log1m,
        power=lambda s: jnp.exp(gammaln(a + s) - gammaln(a) + gammaln(total) - gammaln(total + s)),
    )


def _beta_target(q: Shapes) -> Target:
    a, b = q

    def value(m):
        return gammaln(a + b) - gammaln(a) - gammaln(b) + (a - 1.0) * m.log + (b - 1.0) * m.log1m

    return Target(*UNIT, ("log", "log1m"), value)


def _dirichlet_log_norm(alpha: Array) -> Array:
    ok = jnp.all(alpha > 0.5)
    safe = jnp.where(ok, alpha, 1.0)
    return jnp.where(ok, _log_beta(2.0 * safe - 1.0) - 2.0 * _log_beta(safe), jnp.inf)


def _log_beta(alpha: Array) -> Array:
    return jnp.sum(gammaln(alpha)) - gammaln(jnp.sum(alpha))


DIRICHLET_SQUARE = Square(doubled, _dirichlet_log_norm)

BETA = Family(
    name="Beta",
    parameters=Shapes,
    log_prob=_beta_log_prob,
    support=unit_of,
    profile=_beta_profile,
    tails=_beta_tails,
    draw=_beta_draw,
    member=lambda params: Member(gaps.DIRICHLET, "Beta", jnp.stack(params, axis=-1), square=DIRICHLET_SQUARE),
    moments=_beta_moments,
    target=_beta_target,
    decay=lambda params: (Decay(power=params.a - 1.0), Decay(power=params.b - 1.0)),
)


# --- Kumaraswamy -------------------------------------------------------------------------------------------


def _log_rest(params: Shapes, x: Array) -> tuple[Array, Array]:
    """log x and log(1 − x^a)."""
    log_x = jnp.log(x)
    return log_x, log1m_exp(params.a * log_x)


def _kumaraswamy_log_prob(params: Shapes, x: Array) -> Array:
    """a b x^(a − 1) (1 − x^a)^(b − 1)."""
    log_x, log_rest = _log_rest(params, x)
    return jnp.log(params.a) + jnp.log(params.b) + (params.a - 1.0) * log_x + (params.b - 1.0) * log_rest


def _kumaraswamy_tails(params: Shapes, x: Array) -> tuple[Array, Array]:
    inside = (x > 0.0) & (x < 1.0)
    fall = params.b * _log_rest(params, jnp.where(inside, x, 0.5))[1]
    below, above = -jnp.expm1(fall), jnp.exp(fall)
    return jnp.where(inside, below, (x >= 1.0) * 1.0), jnp.where(inside, above, (x <= 0.0) * 1.0)


def _kumaraswamy_quantile(params: Shapes, u: Array, v: Array) -> Array:
    return jnp.exp(log1m_exp(logs(u, v)[1] / params.b) / params.a)


KUMARASWAMY = Family(
    name="Kumaraswamy",
    parameters=Shapes,
    log_prob=_kumaraswamy_log_prob,
    support=unit_of,
    profile=lambda params: by_quantile(_kumaraswamy_quantile, params, *UNIT, steep(*params)),
    tails=_kumaraswamy_tails,
    quantile=_kumaraswamy_quantile,
    member=lambda params: Member(gaps.RATE, "Kumaraswamy", params.b, frame=params.a),
    decay=lambda params: (Decay(power=params.a - 1.0), Decay(power=params.b - 1.0)),
)


# --- Images of the line ------------------------------------------------------------------------------------


def _logit(x: Array) -> Array:
    return jnp.log(x) - jnp.log1p(-x)


def _held_logit(x: Array) -> tuple[Array, Array]:
    """Where x is inside, and its logit there."""
    inside = (x > 0.0) & (x < 1.0)
    return inside, _logit(jnp.where(inside, x, 0.5))


class Relaxed(NamedTuple):
    """σ of a logistic variable about logits/temperature, of scale 1/temperature."""

    temperature: Float[Array, ""]
    logits: Float[Array, ""]


def _as_logistic(params: Relaxed) -> Located:
    return Located(params.logits / params.temperature, 1.0 / params.temperature)


def _logit_tails(line: Family, as_line: Any) -> Any:
    def tails(params, x):
        inside, y = _held_logit(x)
        below, above = line.tails(as_line(params), y)
        return jnp.where(inside, below, (x >= 1.0) * 1.0), jnp.where(inside, above, (x <= 0.0) * 1.0)

    return tails


def _relaxed_log_prob(params: Relaxed, x: Array) -> Array:
    y = params.temperature * _logit(x) - params.logits
    logistic = -jnp.abs(y) - 2.0 * jnp.log1p(jnp.exp(-jnp.abs(y)))
    return jnp.log(params.temperature) + logistic - jnp.log(x) - jnp.log1p(-x)


def _relaxed_quantile(params: Relaxed, u: Array, v: Array) -> Array:
    return jax.nn.sigmoid(LOGISTIC.quantile(_as_logistic(params), u, v))


RELAXED_BERNOULLI = Family(
    name="RelaxedBernoulli",
    parameters=Relaxed,
    log_prob=_relaxed_log_prob,
    support=unit_of,
    profile=lambda params: by_quantile(_relaxed_quantile, params, *UNIT, steep(params.temperature)),
    tails=_logit_tails(LOGISTIC, _as_logistic),
    quantile=_relaxed_quantile,
    decay=lambda params: both(Decay(power=params.temperature - 1.0)),
)

LOGIT_NORMAL = Family(
    name="LogitNormal",
    parameters=Located,
    log_prob=lambda params, x: NORMAL.log_prob(params, _logit(x)) - jnp.log(x) - jnp.log1p(-x),
    support=unit_of,
    profile=lambda params: pushed(lambda p, z: jax.nn.sigmoid(p.loc + p.scale * z), params, GAUSSIAN, *UNIT),
    tails=_logit_tails(NORMAL, lambda params: params),
    quantile=lambda params, u, v: jax.nn.sigmoid(NORMAL.quantile(params, u, v)),
    member=lambda params: Member(gaps.NORMAL, "LogitNormal", tempered(params)),
    decay=lambda params: tuple(
        Decay(log_square=0.5 / params.scale**2, power=loc / params.scale**2 - 1.0) for loc in (params.loc, -params.loc)
    ),
)
