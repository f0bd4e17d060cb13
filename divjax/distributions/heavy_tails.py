"""Families on a half-line whose tail falls like a power."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import LEVEL, Decay
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member
from divjax.distributions.family import HALF_LINE, POWER, Family, bounded
from divjax.distributions.half_line import half_line_of, positive
from divjax.distributions.lifetimes import Shaped
from divjax.distributions.moments import Moments, Target
from divjax.distributions.pushed import by_quantile, steep
from divjax.distributions.real_line import (
    CAUCHY,
    LOGISTIC,
    STUDENT_T,
    Located,
    StudentTParameters,
    of_smaller,
    of_student_t,
)
from divjax.numerics.incomplete import betainc
from divjax.numerics.special import held_exp, log1m_exp, logs

_ROOT_2 = math.sqrt(2.0)


def above_loc(params: Any) -> tuple[Array, float]:
    """x > loc."""
    return params.loc, math.inf


def far_of(x: Array) -> float:
    """The number whose fourth power is the largest of its dtype."""
    return jnp.finfo(x.dtype).max ** 0.25


# --- Pareto, Lomax, generalised Pareto ---------------------------------------------------------------------


def _pareto_tails(params: gaps.Tail, x: Array) -> tuple[Array, Array]:
    fall = -params.concentration * nu.log_quotient(jnp.maximum(x, params.scale), params.scale)
    return -jnp.expm1(fall), jnp.exp(fall)


def _pareto_log_prob(params: gaps.Tail, x: Array) -> Array:
    """a scale^a / x^(a + 1)."""
    a, scale = params
    return jnp.log(a) - jnp.log(x) - a * nu.log_quotient(x, scale)


def _pareto_quantile(params: gaps.Tail, u: Array, v: Array) -> Array:
    return params.scale * jnp.exp(-logs(u, v)[1] / params.concentration)


def _pareto_moments(p: gaps.Tail) -> Moments:
    a, scale = p

    def power(s):
        ok = a > s
        return jnp.where(ok, a * jnp.exp(s * jnp.log(scale)) / jnp.where(ok, a - s, 1.0), jnp.inf)

    heavy = a <= 2.0
    safe = jnp.where(heavy, 3.0, a)
    variance = scale**2 * safe / ((safe - 1.0) ** 2 * (safe - 2.0))
    return Moments(
        scale,
        math.inf,
        jnp.log(scale / a) + 1.0 + 1.0 / a,
        mean=power(jnp.ones_like(a)),
        variance=jnp.where(heavy, jnp.inf, variance),
        log=jnp.log(scale) + 1.0 / a,
        log_variance=1.0 / a**2,
        power=power,
    )


def _pareto_target(q: gaps.Tail) -> Target:
    a, scale = q
    return Target(scale, math.inf, ("log",), lambda m: jnp.log(a) + a * jnp.log(scale) - (a + 1.0) * m.log)


PARETO = Family(
    name="Pareto",
    parameters=gaps.Tail,
    log_prob=_pareto_log_prob,
    support=lambda params: (params.scale, math.inf),
    profile=lambda params: by_quantile(_pareto_quantile, params, params.scale, math.inf),
    tails=_pareto_tails,
    quantile=_pareto_quantile,
    member=lambda params: Member(gaps.PARETO, "Pareto", params),
    moments=_pareto_moments,
    target=_pareto_target,
    decay=lambda params: (LEVEL, Decay(power=params.concentration + 1.0)),
)


def _log1p_ratio(x: Array, scale: Array) -> Array:
    """log(1 + x/scale), without an overflow."""
    near = x < scale
    inner = jnp.log1p(jnp.where(near, x, scale) / scale)
    return jnp.where(near, inner, nu.log_quotient(jnp.where(near, scale, x) + scale, scale))


@positive
def _lomax_tails(params: Shaped, x: Array) -> tuple[Array, Array]:
    fall = -params.concentration * _log1p_ratio(x, params.scale)
    return -jnp.expm1(fall), jnp.exp(fall)


def _lomax_log_prob(params: Shaped, x: Array) -> Array:
    """a/scale (1 + x/scale)^(−a − 1): a Pareto variable less its scale."""
    a, scale = params
    return jnp.log(a) - jnp.log(scale) - (a + 1.0) * _log1p_ratio(x, scale)


def _lomax_quantile(params: Shaped, u: Array, v: Array) -> Array:
    return params.scale * jnp.expm1(-logs(u, v)[1] / params.concentration)


LOMAX = Family(
    name="Lomax",
    parameters=Shaped,
    log_prob=_lomax_log_prob,
    support=half_line_of,
    profile=lambda params: by_quantile(_lomax_quantile, params, *HALF_LINE),
    tails=_lomax_tails,
    quantile=_lomax_quantile,
    decay=lambda params: (LEVEL, Decay(power=params.concentration + 1.0)),
)


class GeneralizedParetoParameters(NamedTuple):
    """P(X > x) = (1 + c z)^(−1/c), z = (x − loc)/scale, c the concentration of any sign; e^(−z) at c = 0."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    concentration: Float[Array, ""]


def _excess(params: GeneralizedParetoParameters, x: Array) -> tuple[Array, Array]:
    """Whether x is below the end that a negative c makes, and log(1 + c z)/c."""
    z = (x - params.loc) / params.scale
    inside = params.concentration * z > -1.0
    z = jnp.where(inside, jnp.maximum(z, 0.0), 0.0)
    return inside, z * nu.log1p_over(params.concentration * z)


def _generalized_pareto_log_prob(params: GeneralizedParetoParameters, x: Array) -> Array:
    inside, excess = _excess(params, x)
    return jnp.where(inside, -jnp.log(params.scale) - (1.0 + params.concentration) * excess, -jnp.inf)


def _generalized_pareto_tails(params: GeneralizedParetoParameters, x: Array) -> tuple[Array, Array]:
    inside, excess = _excess(params, x)
    return jnp.where(inside, -jnp.expm1(-excess), 1.0), jnp.where(inside, jnp.exp(-excess), 0.0)


def _generalized_pareto_quantile(params: GeneralizedParetoParameters, u: Array, v: Array) -> Array:
    excess = -logs(u, v)[1]
    return params.loc + params.scale * excess * nu.one_minus_exp_over(-params.concentration * excess)


def _generalized_pareto_profile(params: GeneralizedParetoParameters) -> Any:
    """Whether there is an upper end is not known while tracing: it is no end of the support, only a knot."""
    shape = by_quantile(_generalized_pareto_quantile, params, params.loc, math.inf)
    ends = params.concentration < 0.0
    high = params.loc - params.scale / jnp.where(ends, params.concentration, -1.0)
    knot = jnp.where(ends, high, jnp.max(shape.center))
    return dataclasses.replace(shape, edges=jnp.concatenate([shape.edges, jnp.ravel(knot)]))


GENERALIZED_PARETO = Family(
    positive=("scale",),
    name="GeneralizedPareto",
    parameters=GeneralizedParetoParameters,
    log_prob=_generalized_pareto_log_prob,
    support=above_loc,
    profile=_generalized_pareto_profile,
    tails=_generalized_pareto_tails,
    quantile=_generalized_pareto_quantile,
)


# --- Halves of Cauchy's and Student's t --------------------------------------------------------------------


def _half_cauchy_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = jnp.maximum((x - params.loc) / params.scale, 0.0)
    one = jnp.ones_like(z)
    return 2.0 / jnp.pi * jnp.arctan2(z, one), 2.0 / jnp.pi * jnp.arctan2(one, z)


def _half_cauchy_quantile(params: Located, u: Array, v: Array) -> Array:
    lower = u < v
    angle = 0.5 * jnp.pi * jnp.where(lower, u, v)
    return params.loc + params.scale * jnp.where(lower, jnp.tan(angle), 1.0 / jnp.tan(angle))


HALF_CAUCHY = Family(
    name="HalfCauchy",
    parameters=Located,
    log_prob=lambda params, x: CAUCHY.log_prob(params, x) + math.log(2.0),
    support=above_loc,
    profile=lambda params: bounded(params.loc + params.scale, params.scale, POWER, *above_loc(params)),
    tails=_half_cauchy_tails,
    quantile=_half_cauchy_quantile,
    decay=lambda params: (LEVEL, Decay(power=2.0)),
)


def _half_student_t_tails(params: StudentTParameters, x: Array) -> tuple[Array, Array]:
    df, half = 0.5 * params.df, jnp.asarray(0.5, x.dtype)
    z = (x - params.loc) / params.scale
    inside = z > 0.0
    square = jnp.where(inside, z, 1.0) ** 2
    far = square > jnp.minimum(params.df, 0.5)
    s = params.df / (params.df + jnp.where(far, square, params.df))
    c = jnp.where(far, params.df, square) / (params.df + jnp.where(far, params.df, square))
    df, half, s, c = jnp.broadcast_arrays(df, half, s, c)
    below, above = of_smaller(jnp.where(far, betainc(df, half, s), betainc(half, df, c)), ~far)
    return jnp.where(inside, below, 0.0), jnp.where(inside, above, 1.0)


def _half_student_t_draw(key: Array, params: StudentTParameters, size: tuple[int, ...]) -> Array:
    return params.loc + jnp.abs(STUDENT_T.draw(key, params, size) - params.loc)


HALF_STUDENT_T = Family(
    name="HalfStudentT",
    parameters=StudentTParameters,
    log_prob=lambda params, x: STUDENT_T.log_prob(params, x) + math.log(2.0),
    support=above_loc,
    profile=lambda params: bounded(params.loc + params.scale, params.scale, POWER, *above_loc(params)),
    tails=_half_student_t_tails,
    draw=_half_student_t_draw,
    decay=lambda params: (LEVEL, of_student_t(params)),
)


# --- Lévy --------------------------------------------------------------------------------------------------


def _levy_log_prob(params: Located, x: Array) -> Array:
    """√(scale/2π) z^(−3/2) e^(−scale/(2 z)), z = x − loc."""
    z = x - params.loc
    inverse = params.scale / jnp.maximum(z, params.scale / far_of(z))
    return 0.5 * jnp.log(params.scale / (2.0 * math.pi)) - 1.5 * jnp.log(z) - 0.5 * inverse


def _levy_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = x - params.loc
    inside = z > 0.0
    z = jnp.where(inside, jnp.maximum(z, params.scale / far_of(z)), 1.0)
    root = jnp.sqrt(0.5 * params.scale / z)
    return jnp.where(inside, jax.lax.erfc(root), 0.0), jnp.where(inside, jax.lax.erf(root), 1.0)


def _levy_quantile(params: Located, u: Array, v: Array) -> Array:
    lower = u < v
    root = jnp.where(
        lower, -ndtri(jnp.where(lower, 0.5 * u, 0.25)), _ROOT_2 * jax.lax.erf_inv(jnp.where(lower, 0.5, v))
    )
    return params.loc + params.scale / root**2


LEVY = Family(
    name="Levy",
    parameters=Located,
    log_prob=_levy_log_prob,
    support=above_loc,
    profile=lambda params: by_quantile(_levy_quantile, params, *above_loc(params)),
    tails=_levy_tails,
    quantile=_levy_quantile,
    decay=lambda params: (Decay(order=1.0, width=2.0 / params.scale, power=-1.5), Decay(power=1.5)),
)


# --- Images of logistic and extreme variables --------------------------------------------------------------


def _log_logistic_quantile(params: Located, u: Array, v: Array) -> Array:
    return jnp.exp(LOGISTIC.quantile(params, u, v))


LOG_LOGISTIC = Family(
    name="LogLogistic",
    parameters=Located,
    log_prob=lambda params, x: LOGISTIC.log_prob(params, jnp.log(x)) - jnp.log(x),
    support=half_line_of,
    profile=lambda params: by_quantile(_log_logistic_quantile, params, *HALF_LINE, steep(1.0 / params.scale)),
    tails=positive(lambda params, x: LOGISTIC.tails(params, jnp.log(x))),
    quantile=_log_logistic_quantile,
    decay=lambda params: (Decay(power=1.0 / params.scale - 1.0), Decay(power=1.0 / params.scale + 1.0)),
)


class DagumParameters(NamedTuple):
    """P(X ≤ x) = (1 + (x/scale)^(−sharpness))^(−concentration)."""

    concentration: Float[Array, ""]
    sharpness: Float[Array, ""]
    scale: Float[Array, ""]


def _dagum_log_prob(params: DagumParameters, x: Array) -> Array:
    p, sharpness, scale = params
    y = sharpness * nu.log_quotient(x, scale)
    # p y − (p + 1) log(1 + e^y), where the larger of e^y and 1 is taken out of the sum
    rise = jnp.minimum(p * y, -y) - (p + 1.0) * jnp.log1p(jnp.exp(-jnp.abs(y)))
    return jnp.log(p) + jnp.log(sharpness) - jnp.log(x) + rise


@positive
def _dagum_tails(params: DagumParameters, x: Array) -> tuple[Array, Array]:
    log_below = -params.concentration * jax.nn.softplus(-params.sharpness * nu.log_quotient(x, params.scale))
    return jnp.exp(log_below), -jnp.expm1(log_below)


def _dagum_quantile(params: DagumParameters, u: Array, v: Array) -> Array:
    """(x/scale)^(−sharpness) = e^t − 1, t = −log u / concentration."""
    t = -logs(u, v)[0] / params.concentration
    return params.scale * jnp.exp(-(t + log1m_exp(-t)) / params.sharpness)


DAGUM = Family(
    name="Dagum",
    parameters=DagumParameters,
    log_prob=_dagum_log_prob,
    support=half_line_of,
    profile=lambda params: by_quantile(
        _dagum_quantile, params, *HALF_LINE, steep(params.sharpness * params.concentration)
    ),
    tails=_dagum_tails,
    quantile=_dagum_quantile,
    decay=lambda params: (
        Decay(power=params.sharpness * params.concentration - 1.0),
        Decay(power=params.sharpness + 1.0),
    ),
)


def _frechet_log_prob(params: Shaped, x: Array) -> Array:
    """a/x t e^(−t) with t = (x/scale)^(−a)."""
    y = -params.concentration * nu.log_quotient(x, params.scale)
    return jnp.log(params.concentration) - jnp.log(x) + y - held_exp(y)


@positive
def _frechet_tails(params: Shaped, x: Array) -> tuple[Array, Array]:
    power = held_exp(-params.concentration * nu.log_quotient(x, params.scale))
    return jnp.exp(-power), -jnp.expm1(-power)


def _frechet_quantile(params: Shaped, u: Array, v: Array) -> Array:
    return params.scale * jnp.exp(-jnp.log(-logs(u, v)[0]) / params.concentration)


FRECHET = Family(
    name="Frechet",
    parameters=Shaped,
    log_prob=_frechet_log_prob,
    support=half_line_of,
    profile=lambda params: by_quantile(_frechet_quantile, params, *HALF_LINE),
    tails=_frechet_tails,
    quantile=_frechet_quantile,
    decay=lambda params: (
        Decay(order=params.concentration, width=1.0 / params.scale, power=-params.concentration - 1.0),
        Decay(power=params.concentration + 1.0),
    ),
)
