"""Families on the whole line."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, ndtr, ndtri
from jaxtyping import Array, Float

from divjax.distributions.decay import Decay, Ends, both, gaussian
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.extremes import CAUCHY as CAUCHY_GAP
from divjax.distributions.exponential.extremes import GUMBEL as GUMBEL_GAP
from divjax.distributions.exponential.extremes import LAPLACE as LAPLACE_GAP
from divjax.distributions.exponential.family import Member, Square
from divjax.distributions.family import EXPONENTIAL, GAUSSIAN, LINE, POWER, Family, Source, Standard, smooth
from divjax.distributions.moments import Moments, Target
from divjax.numerics import gamma_half_step, log1p_slope, within
from divjax.numerics.incomplete import betainc
from divjax.numerics.special import LOG_ROOT_2PI, logs

_EULER = 0.5772156649015329


class Located(NamedTuple):
    """A location-scale family: x = loc + scale z."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]


def standardised(params: Located, x: Array) -> Array:
    """z = (x − loc)/scale, held where its square is finite, so that neither it nor a slope overflows."""
    far = jnp.finfo(jnp.result_type(x)).max ** 0.25
    return within((x - params.loc) / params.scale, far)


def line_of(params: Located) -> tuple[float, float]:
    """The whole line, whatever the parameters."""
    return LINE


def of_exponential(params: Located) -> Ends:
    """Of e^(−|x − loc|/scale) at both ends."""
    return both(Decay(order=1.0, width=params.scale))


def of_smaller(tail: Array, lower: Array) -> tuple[Array, Array]:
    """(P(X ≤ x), P(X > x)) from the smaller of the two, which is the first where ``lower``."""
    return jnp.where(lower, tail, 1.0 - tail), jnp.where(lower, 1.0 - tail, tail)


def symmetric_quantile(lower_half: Callable[[Array], Array]) -> Callable[[Located, Array, Array], Array]:
    """The quantile of loc + scale z, z symmetric about 0: from the smaller of u and v, where ``lower_half`` gives z."""

    def quantile(params: Located, u: Array, v: Array) -> Array:
        lower = u < v
        z = lower_half(jnp.where(lower, u, v))
        return params.loc + params.scale * jnp.where(lower, z, -z)

    return quantile


# --- Normal ------------------------------------------------------------------------------------------------


def _normal_log_prob(params: Located, x: Array) -> Array:
    """−½ u² − log σ √2π with u = a z + b, in z = (x − μ)/σ at fixed μ and σ: as values a = 1 and b = 0.

    All of what depends on the parameters is in the three coefficients of a polynomial. Its derivatives are moments of
    z, of any order, and need no array for each parameter.
    """
    loc, scale = jax.lax.stop_gradient((params.loc, params.scale))
    z = standardised(Located(loc, scale), x)
    # Only what is 1 and 0 is differentiated: powers of a narrow scale would overflow before its product with z does. As
    # a quotient of scales it would be 0/0 where a compiler multiplies numerators and denominators of two of them.
    stretch = 1.0 + (params.scale - scale) / scale
    a, b = 1.0 / stretch, (loc - params.loc) / scale / stretch
    log_scale = jnp.log(scale) + jnp.log(stretch)
    return -0.5 * a * a * z * z - a * b * z - (0.5 * b * b + log_scale + LOG_ROOT_2PI)


def _normal_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = (x - params.loc) / params.scale
    return ndtr(z), ndtr(-z)


def _normal_source(params: Located) -> Source:
    image = lambda key, index, z: params.loc + params.scale * z[..., 0]  # noqa: E731
    return Source(jnp.zeros(1, params.loc.dtype), image, 1, mapped=True, pathwise=True)


def tempered(params: Located) -> gaps.Tempered:
    """As what the gap between Gaussians takes."""
    return gaps.Tempered(params.loc, params.scale, jnp.ones_like(params.scale))


NORMAL_SQUARE = Square(
    lambda theta: theta._replace(power=2.0 * theta.power),
    lambda theta: -jnp.log(2.0 * math.sqrt(math.pi) * theta.scale),
)


def _normal_moments(p: Located) -> Moments:
    def distance(m):
        z = (p.loc - m) / p.scale
        return p.scale * math.sqrt(2 / math.pi) * jnp.exp(-0.5 * z * z) + (p.loc - m) * jax.lax.erf(z / math.sqrt(2))

    entropy = 0.5 + LOG_ROOT_2PI + jnp.log(p.scale)
    exp = lambda t: jnp.exp(t * p.loc + 0.5 * (t * p.scale) ** 2)  # noqa: E731
    return Moments(*LINE, entropy, p.loc, p.scale**2, exp=exp, distance=distance)


def _normal_target(q: Located) -> Target:
    def value(m):
        square = ((m.mean - q.loc) / q.scale) ** 2 + m.variance / q.scale**2
        return -LOG_ROOT_2PI - jnp.log(q.scale) - 0.5 * square

    return Target(*LINE, ("mean", "variance"), value)


NORMAL = Family(
    name="Normal",
    located=True,
    parameters=Located,
    log_prob=_normal_log_prob,
    support=line_of,
    profile=lambda params: smooth(*params, GAUSSIAN),
    tails=_normal_tails,
    quantile=symmetric_quantile(ndtri),
    source=_normal_source,
    member=lambda params: Member(gaps.NORMAL, "Normal", tempered(params), square=NORMAL_SQUARE),
    moments=_normal_moments,
    target=_normal_target,
    standard=lambda params: Standard(0.0, 1.0, *params),
    decay=lambda params: gaussian(*params),
)


# --- Laplace -----------------------------------------------------------------------------------------------


def _laplace_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = (x - params.loc) / params.scale
    return of_smaller(0.5 * jnp.exp(-jnp.abs(z)), z < 0.0)


def _laplace_moments(p: Located) -> Moments:
    def exp(t):
        ok = jnp.abs(t * p.scale) < 1.0
        safe = jnp.where(ok, t * p.scale, 0.0)
        return jnp.where(ok, jnp.exp(t * p.loc) / (1.0 - safe**2), jnp.inf)

    def distance(m):
        return jnp.abs(p.loc - m) + p.scale * jnp.exp(-jnp.abs(p.loc - m) / p.scale)

    entropy = 1.0 + jnp.log(2.0 * p.scale)
    return Moments(*LINE, entropy, p.loc, 2.0 * p.scale**2, exp=exp, distance=distance)


def _laplace_target(q: Located) -> Target:
    return Target(*LINE, ("distance",), lambda m: -jnp.log(2.0 * q.scale) - m.distance(q.loc) / q.scale)


LAPLACE_SQUARE = Square(
    lambda theta: theta._replace(scale=0.5 * theta.scale), lambda theta: -jnp.log(4.0 * theta.scale)
)

LAPLACE = Family(
    name="Laplace",
    located=True,
    parameters=Located,
    log_prob=lambda params, x: -jnp.abs(standardised(params, x)) - jnp.log(2.0 * params.scale),
    support=line_of,
    profile=lambda params: smooth(*params, EXPONENTIAL, kinks=jnp.ravel(params.loc)),
    tails=_laplace_tails,
    quantile=symmetric_quantile(lambda u: jnp.log(2.0 * u)),
    member=lambda params: Member(LAPLACE_GAP, "Laplace", gaps.Located(*params), square=LAPLACE_SQUARE),
    moments=_laplace_moments,
    target=_laplace_target,
    standard=lambda params: Standard(0.0, 2.0, *params),
    decay=of_exponential,
)


# --- Logistic ----------------------------------------------------------------------------------------------


def _logistic_log_prob(params: Located, x: Array) -> Array:
    z = jnp.abs(standardised(params, x))
    return -z - 2.0 * jnp.log1p(jnp.exp(-z)) - jnp.log(params.scale)


def _logistic_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = (x - params.loc) / params.scale
    return jax.nn.sigmoid(z), jax.nn.sigmoid(-z)


def _logistic_moments(p: Located) -> Moments:
    def exp(t):
        ok = jnp.abs(t * p.scale) < 1.0
        safe = jnp.where(ok, t * p.scale, 0.5)
        return jnp.where(ok, jnp.exp(t * p.loc) / jnp.sinc(safe), jnp.inf)

    def distance(m):
        z = jnp.abs(p.loc - m) / p.scale
        return p.scale * (z + 2.0 * jnp.log1p(jnp.exp(-z)))

    entropy, variance = jnp.log(p.scale) + 2.0, (math.pi * p.scale) ** 2 / 3.0
    return Moments(*LINE, entropy, p.loc, variance, exp=exp, distance=distance)


LOGISTIC = Family(
    name="Logistic",
    located=True,
    parameters=Located,
    log_prob=_logistic_log_prob,
    support=line_of,
    profile=lambda params: smooth(*params, EXPONENTIAL),
    tails=_logistic_tails,
    quantile=lambda params, u, v: params.loc + params.scale * (jnp.log(u) - jnp.log(v)),
    moments=_logistic_moments,
    standard=lambda params: Standard(0.0, math.pi**2 / 3, *params),
    decay=of_exponential,
)


# --- Gumbel ------------------------------------------------------------------------------------------------


def _gumbel_rate(params: Located, x: Array) -> tuple[Array, Array]:
    """z, and e^−z held where exp(−rate) is 0 already and the derivative of the rate is finite."""
    z = standardised(params, x)
    return z, jnp.exp(-jnp.maximum(z, -0.5 * jnp.log(jnp.finfo(z.dtype).max)))


def _gumbel_log_prob(params: Located, x: Array) -> Array:
    z, rate = _gumbel_rate(params, x)
    return -z - rate - jnp.log(params.scale)


def _gumbel_tails(params: Located, x: Array) -> tuple[Array, Array]:
    _, rate = _gumbel_rate(params, x)
    return jnp.exp(-rate), -jnp.expm1(-rate)


def _gumbel_moments(p: Located) -> Moments:
    exp = lambda t: jnp.exp(t * p.loc + gammaln(1.0 - t * p.scale))  # noqa: E731
    mean, variance = p.loc + _EULER * p.scale, (math.pi * p.scale) ** 2 / 6.0
    return Moments(*LINE, jnp.log(p.scale) + _EULER + 1.0, mean, variance, exp=exp)


def _gumbel_target(q: Located) -> Target:
    def value(m):
        return -jnp.log(q.scale) - (m.mean - q.loc) / q.scale - jnp.exp(q.loc / q.scale) * m.exp(-1.0 / q.scale)

    return Target(*LINE, ("mean", "exp"), value)


GUMBEL = Family(
    name="Gumbel",
    located=True,
    parameters=Located,
    log_prob=_gumbel_log_prob,
    support=line_of,
    profile=lambda params: smooth(*params, EXPONENTIAL),
    tails=_gumbel_tails,
    quantile=lambda params, u, v: params.loc - params.scale * jnp.log(-logs(u, v)[0]),
    member=lambda params: Member(GUMBEL_GAP, "Gumbel", gaps.Located(*params), frame=params.scale),
    moments=_gumbel_moments,
    target=_gumbel_target,
    standard=lambda params: Standard(_EULER, math.pi**2 / 6, *params),
    decay=lambda params: (
        Decay(order=math.inf, width=params.scale, loc=-params.loc),
        Decay(order=1.0, width=params.scale),
    ),
)


# --- Cauchy and Student's t --------------------------------------------------------------------------------


def _log1p_square(z: Array, df: Array | float = 1.0) -> Array:
    """log(1 + z²/df), without an overflow."""
    far = jnp.finfo(z.dtype).max ** 0.25
    near = jnp.abs(z) < far
    held = jnp.where(near, z, 0.0)
    outer = 2.0 * jnp.log(jnp.where(near, far, jnp.abs(z))) - jnp.log(df)
    return jnp.where(near, jnp.log1p(held * held / df), outer)


def _cauchy_tails(params: Located, x: Array) -> tuple[Array, Array]:
    z = (x - params.loc) / params.scale
    return jnp.arctan2(jnp.ones_like(z), -z) / jnp.pi, jnp.arctan2(jnp.ones_like(z), z) / jnp.pi


CAUCHY = Family(
    name="Cauchy",
    located=True,
    parameters=Located,
    log_prob=lambda params, x: -_log1p_square((x - params.loc) / params.scale) - jnp.log(math.pi * params.scale),
    support=line_of,
    profile=lambda params: smooth(*params, POWER),
    tails=_cauchy_tails,
    quantile=symmetric_quantile(lambda u: -1.0 / jnp.tan(jnp.pi * u)),
    member=lambda params: Member(CAUCHY_GAP, "Cauchy", gaps.Located(*params)),
    decay=lambda params: both(Decay(power=2.0)),
)


class StudentTParameters(NamedTuple):
    """x = loc + scale z with z of ``df`` degrees of freedom."""

    df: Float[Array, ""]
    loc: Float[Array, ""]
    scale: Float[Array, ""]


def _student_t_log_prob(params: StudentTParameters, x: Array) -> Array:
    df, z = params.df, (x - params.loc) / params.scale
    near = z * z < df
    # −½ (df + 1) log(1 + u) with u = z²/df: what is −½ z² at df = ∞ must not be the difference of larger ones.
    square = jnp.where(near, z, 0.0) ** 2
    u = square / df
    body = -0.5 * square * log1p_slope(-u) - 0.5 * jnp.log1p(u)
    apart = jnp.where(near, 1.0, jnp.abs(z))  # far off z² may overflow
    tail = -0.5 * (df + 1.0) * (2.0 * jnp.log(apart) - jnp.log(df) + jnp.log1p(df / apart / apart))
    return jnp.where(near, body, tail) + gamma_half_step(0.5 * df) - LOG_ROOT_2PI - jnp.log(params.scale)


def _student_t_tails(params: StudentTParameters, x: Array) -> tuple[Array, Array]:
    whole, df = jnp.broadcast_arrays((x - params.loc) / params.scale, params.df)
    # So far out that 1 is nothing beside z²/df the tail is a power, which overflows nowhere on the way.
    beyond = jnp.abs(whole) > jnp.sqrt(df / jnp.finfo(whole.dtype).eps)
    z = jnp.where(beyond, 1.0, whole)
    far = z * z > jnp.minimum(df, 0.5)  # for large df both sides would be rounded further out
    # I_s(df/2, 1/2) with s = df / (df + z²), from the side on which its argument is not rounded.
    s = df / (df + jnp.where(far, z * z, df))
    c = jnp.where(far, 0.0, z * z) / (df + jnp.where(far, 0.0, z * z))
    # Twice differentiable through z = 0 too: betainc(1/2, ., c) goes like √c = |z|, whose sign is put back below.
    tail = 0.5 * betainc(0.5 * df, jnp.full_like(s, 0.5), s)
    c_safe = jnp.where(c > 0.0, c, 0.5)
    centre = 0.5 * jnp.where(c > 0.0, betainc(jnp.full_like(c_safe, 0.5), 0.5 * df, c_safe), 0.0)
    power = _student_t_power(jnp.where(beyond, df, 1.0), jnp.where(beyond, jnp.abs(whole), 1.0))
    return of_smaller(jnp.where(beyond, power, jnp.where(far, tail, 0.5 - centre)), whole < 0.0)


def _student_t_power(df: Array, z: Array) -> Array:
    """What P(Z > z) tends to: its density's constant times (z/√df)^−df / √df."""
    log_constant = gamma_half_step(0.5 * df) - LOG_ROOT_2PI
    return jnp.exp(log_constant - 0.5 * jnp.log(df) - df * (jnp.log(z) - 0.5 * jnp.log(df)))


def of_student_t(params: StudentTParameters) -> Decay:
    """A power; with df = ∞ it is none, and nothing is said."""
    return Decay(power=params.df + 1.0, known=params.df < jnp.inf)


def _student_t_draw(key: Array, params: StudentTParameters, shape: tuple[int, ...]) -> Array:
    return params.loc + params.scale * jax.random.t(key, params.df, shape + params.df.shape, params.df.dtype)


STUDENT_T = Family(
    name="StudentT",
    located=True,
    parameters=StudentTParameters,
    log_prob=_student_t_log_prob,
    support=line_of,
    profile=lambda params: smooth(params.loc, params.scale, POWER),
    tails=_student_t_tails,
    draw=_student_t_draw,
    decay=lambda params: both(of_student_t(params)),
)
