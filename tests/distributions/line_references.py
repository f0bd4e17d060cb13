"""What mpmath says of families on the line: log-density, P(X ≤ x) and P(X > x), and parameters to ask it for."""

import functools
import math
from typing import NamedTuple

import mpmath as mp

from divjax.distributions import circle, half_line, heavy_tails, interval, lifetimes, real_line, skewed, truncated


class Row(NamedTuple):
    family: object
    params: list  # of tuples
    log_pdf: object  # x, *params -> log p(x)
    tails: object  # x, *params -> P(X ≤ x), P(X > x)


def hazard(h):
    """Tails from −log P(X > x)."""
    return lambda x, *p: (-mp.expm1(-h(x, *p)), mp.exp(-h(x, *p)))


def flipped(tails):
    return lambda x, *p: tails(x, *p)[::-1]


def gamma_tails(a, x):
    return mp.gammainc(a, 0, x, regularized=True), mp.gammainc(a, x, mp.inf, regularized=True)


def normal(z):
    return mp.ncdf(z), mp.ncdf(-z)


def normal_log(z):
    return -z * z / 2 - mp.log(2 * mp.pi) / 2


def logistic(y):
    return 1 / (1 + mp.exp(-y)), 1 / (1 + mp.exp(y))


def logistic_log(y):
    return -y - 2 * mp.log1p(mp.exp(-y))


def logit(x):
    return mp.log(x) - mp.log1p(-x)


def beta_tails(x, a, b):
    return mp.betainc(a, b, 0, x, regularized=True), mp.betainc(b, a, 0, 1 - x, regularized=True)


def student_log(x, df, loc, scale):
    z = (x - loc) / scale
    norm = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(scale)
    return norm - (df + 1) / 2 * mp.log1p(z * z / df)


def half_student_tails(x, df, loc, scale):
    z = (x - loc) / scale
    half = mp.mpf(1) / 2
    return (
        mp.betainc(half, df / 2, 0, z * z / (df + z * z), regularized=True),
        mp.betainc(df / 2, half, 0, df / (df + z * z), regularized=True),
    )


def student_tails(x, df, loc, scale):
    below, above = half_student_tails(x, df, loc, scale)
    return ((1 + below) / 2, above / 2) if x > loc else (above / 2, (1 + below) / 2)


def cauchy_tails(x, loc, scale):
    z = (x - loc) / scale
    return mp.atan2(1, -z) / mp.pi, mp.atan2(1, z) / mp.pi


def inverse_gaussian_tails(x, m, c):
    r, s = mp.sqrt(c / x) * (x / m - 1), mp.sqrt(c / x) * (x / m + 1)
    rest = mp.exp(2 * c / m) * mp.ncdf(-s)
    return mp.ncdf(r) + rest, mp.ncdf(-r) - rest


def pareto_excess(x, loc, scale, c):
    z = (x - loc) / scale
    return mp.log1p(c * z) / c if c else z


def triangle_log(x, low, high, peak):
    side = (x - low) / (peak - low) if x < peak else (high - x) / (high - peak)
    return mp.log(2 * side / (high - low))


def triangle_tails(x, low, high, peak):
    below = (x - low) ** 2 / ((peak - low) * (high - low))
    above = (high - x) ** 2 / ((high - peak) * (high - low))
    return (below, 1 - below) if x < peak else (1 - above, above)


def between(log_pdf, tails):
    """A density cut at its last two parameters."""

    def mass(low, high, *p):
        """From the tails on the side where they are small."""
        a, b = tails(low, *p), tails(high, *p)
        return b[0] - a[0] if b[0] < a[1] else a[1] - b[1]

    return (
        lambda x, *p: log_pdf(x, *p[:-2]) - mp.log(mass(*p[-2:], *p[:-2])),
        lambda x, *p: tuple(mass(*ends, *p[:-2]) / mass(*p[-2:], *p[:-2]) for ends in ((p[-2], x), (x, p[-1]))),
    )


def normal_at(x, loc, scale):
    return normal((x - loc) / scale)


def normal_log_at(x, loc, scale):
    return normal_log((x - loc) / scale) - mp.log(scale)


def cauchy_log(x, loc, scale):
    return -mp.log1p(((x - loc) / scale) ** 2) - mp.log(mp.pi * scale)


def asymmetric_tails(x, loc, scale, k):
    left, right, z = scale * k, scale / k, x - loc
    tail = (left * mp.exp(z / left) if z < 0 else right * mp.exp(-z / right)) / (left + right)
    return (tail, 1 - tail) if z < 0 else (1 - tail, tail)


def asymmetric_log(x, loc, scale, k):
    left, right, z = scale * k, scale / k, x - loc
    return (z / left if z < 0 else -z / right) - mp.log(left + right)


def generalized_normal_tails(x, loc, scale, k):
    tail = mp.gammainc(1 / k, (abs(x - loc) / scale) ** k, mp.inf, regularized=True) / 2
    return (tail, 1 - tail) if x < loc else (1 - tail, tail)


def arcsinh_parts(x, loc, scale, skew, tail):
    scale = scale * 2 / mp.sinh(mp.asinh(mp.mpf(2)) * tail)
    y = (x - loc) / scale
    bent = mp.asinh(y) / tail - skew
    return mp.sinh(bent), mp.log(mp.cosh(bent)) - mp.log(tail * scale) - mp.log1p(y * y) / 2


def johnson_parts(x, skew, tail, loc, scale):
    y = (x - loc) / scale
    return skew + tail * mp.asinh(y), mp.log(tail / scale) - mp.log1p(y * y) / 2


def image_of_normal(parts):
    return (lambda x, *p: normal_log(parts(x, *p)[0]) + parts(x, *p)[1]), (lambda x, *p: normal(parts(x, *p)[0]))


@functools.cache
def von_mises_mass(low, high, loc, kappa):
    points = sorted({low, high, *(c for c in (loc, loc - 2 * mp.pi, loc + 2 * mp.pi) if low < c < high)})
    return mp.quad(lambda t: mp.exp(kappa * (mp.cos(t - loc) - 1)), points) / (
        2 * mp.pi * mp.besseli(0, kappa) * mp.exp(-kappa)
    )


def gamma_log(x, a, b):
    return a * mp.log(b) - mp.loggamma(a) + (a - 1) * mp.log(x) - b * x


def tail_power(sign):
    return lambda x, k, s: mp.exp(sign * k * mp.log(x / s))


def image_log(y, slope):
    """log p of x where y(x) has density e^(y − e^y)."""
    return lambda x, k, s: mp.log(k / x) + y(x, k, s) - mp.exp(y(x, k, s)) + slope


def dagum_log_below(x, p, a, b):
    return -p * mp.log1p((x / b) ** (-a))


WIDE = [(0.3, 2.0), (-40.0, 1e-3), (5.0, 1e3)]
SHAPES = [(1e-2, 1.0), (0.7, 1e3), (2.5, 1e-3), (1e3, 2.0)]

ROWS = {
    "NORMAL": Row(real_line.NORMAL, WIDE, normal_log_at, normal_at),
    "CAUCHY": Row(real_line.CAUCHY, WIDE, cauchy_log, cauchy_tails),
    "EXPONENTIAL_LAW": Row(half_line.EXPONENTIAL_LAW, [(1e-3,), (1.3,), (1e3,)],
        lambda x, b: mp.log(b) - b * x, hazard(lambda x, b: b * x)),
    "GAMMA": Row(half_line.GAMMA, SHAPES, gamma_log, lambda x, a, b: gamma_tails(a, b * x)),
    "CHI": Row(half_line.CHI, [(0.1,), (1.0,), (3.5,), (1e3,)],
        lambda x, k: (k - 1) * mp.log(x) - x * x / 2 - (k / 2 - 1) * mp.log(2) - mp.loggamma(k / 2),
        lambda x, k: gamma_tails(k / 2, x * x / 2)),
    "INVERSE_GAMMA": Row(half_line.INVERSE_GAMMA, [(0.2, 3.0), (2.5, 1e-3), (1e3, 1e3)],
        lambda x, a, s: a * mp.log(s) - mp.loggamma(a) - (a + 1) * mp.log(x) - s / x,
        flipped(lambda x, a, s: gamma_tails(a, s / x))),
    "HALF_NORMAL": Row(half_line.HALF_NORMAL, [(1e-3,), (1.3,), (1e3,)],
        lambda x, s: mp.log(2) + normal_log_at(x, 0, s),
        lambda x, s: (mp.erf(x / s / mp.sqrt(2)), mp.erfc(x / s / mp.sqrt(2)))),
    "INVERSE_GAUSSIAN": Row(lifetimes.INVERSE_GAUSSIAN, [(1.5, 2.0), (1e-2, 1e2), (30.0, 0.5), (2.0, 1e3)],
        lambda x, m, c: mp.log(c / (2 * mp.pi * x**3)) / 2 - c * (x - m) ** 2 / (2 * m * m * x),
        inverse_gaussian_tails),
    "LOG_NORMAL": Row(lifetimes.LOG_NORMAL, [(0.3, 2.0), (-40.0, 1e-2), (5.0, 10.0)],
        lambda x, m, s: normal_log_at(mp.log(x), m, s) - mp.log(x), lambda x, m, s: normal_at(mp.log(x), m, s)),
    "WEIBULL": Row(lifetimes.WEIBULL, [(0.3, 2.0), (1.5, 1e3), (1e3, 1e-3)],
        image_log(lambda x, k, s: k * mp.log(x / s), 0), hazard(tail_power(1))),
    "GOMPERTZ": Row(lifetimes.GOMPERTZ, [(0.3, 2.0), (1e3, 1e-3), (1e-3, 10.0)],
        lambda x, c, b: mp.log(c * b) + b * x - c * mp.expm1(b * x), hazard(lambda x, c, b: c * mp.expm1(b * x))),
    "PARETO": Row(heavy_tails.PARETO, [(0.5, 2.0), (1e3, 1e-3), (3.0, 1e3)],
        lambda x, a, s: mp.log(a) + a * mp.log(s) - (a + 1) * mp.log(x),
        hazard(lambda x, a, s: a * mp.log(x / s))),
    "LOMAX": Row(heavy_tails.LOMAX, [(0.5, 2.0), (1e3, 1e-3), (3.0, 1e3)],
        lambda x, a, s: mp.log(a / s) - (a + 1) * mp.log1p(x / s), hazard(lambda x, a, s: a * mp.log1p(x / s))),
    "GENERALIZED_PARETO": Row(heavy_tails.GENERALIZED_PARETO, [(1.0, 2.0, 0.5), (0.0, 3.0, -0.5), (-2.0, 0.1, 0.0)],
        lambda x, m, s, c: -mp.log(s) - (1 + c) * pareto_excess(x, m, s, c), hazard(pareto_excess)),
    "HALF_CAUCHY": Row(heavy_tails.HALF_CAUCHY, [(0.0, 2.0), (3.0, 1e-3), (0.0, 1e3)],
        lambda x, m, s: mp.log(2) + cauchy_log(x, m, s),
        lambda x, m, s: (2 / mp.pi * mp.atan((x - m) / s), 2 / mp.pi * mp.atan(s / (x - m)))),
    "HALF_STUDENT_T": Row(heavy_tails.HALF_STUDENT_T, [(0.5, 0.0, 2.0), (3.0, 1.0, 0.1), (1e3, 0.0, 1e3)],
        lambda x, *p: mp.log(2) + student_log(x, *p), half_student_tails),
    "LEVY": Row(heavy_tails.LEVY, [(0.0, 2.0), (3.0, 1e-3), (0.0, 1e3)],
        lambda x, m, s: mp.log(s / (2 * mp.pi)) / 2 - mp.mpf(3) / 2 * mp.log(x - m) - s / (2 * (x - m)),
        lambda x, m, s: (mp.erfc(mp.sqrt(s / (2 * (x - m)))), mp.erf(mp.sqrt(s / (2 * (x - m)))))),
    "LOG_LOGISTIC": Row(heavy_tails.LOG_LOGISTIC, [(0.3, 2.0), (-4.0, 1e-2), (5.0, 0.5)],
        lambda x, m, s: logistic_log((mp.log(x) - m) / s) - mp.log(s * x),
        lambda x, m, s: logistic((mp.log(x) - m) / s)),
    "DAGUM": Row(heavy_tails.DAGUM, [(0.3, 2.0, 1e3), (50.0, 3.0, 1.0), (2.0, 0.4, 0.1)],
        lambda x, p, a, b: mp.log(p * a / x) + dagum_log_below(x, p, a, b) - mp.log1p((x / b) ** a),
        lambda x, *p: (mp.exp(dagum_log_below(x, *p)), -mp.expm1(dagum_log_below(x, *p)))),
    "FRECHET": Row(heavy_tails.FRECHET, [(0.3, 2.0), (1.5, 1e3), (1e3, 1e-3)],
        image_log(lambda x, k, s: -k * mp.log(x / s), 0), flipped(hazard(tail_power(-1)))),
    "UNIFORM": Row(interval.UNIFORM, [(-1.0, 2.5), (10.0, 10.01)],
        lambda x, a, b: -mp.log(b - a), lambda x, a, b: ((x - a) / (b - a), (b - x) / (b - a))),
    "LOG_UNIFORM": Row(interval.LOG_UNIFORM, [(1e-3, 1e3), (2.0, 2.01)],
        lambda x, a, b: -mp.log(x) - mp.log(mp.log(b / a)),
        lambda x, a, b: (mp.log(x / a) / mp.log(b / a), mp.log(b / x) / mp.log(b / a))),
    "TRIANGULAR": Row(interval.TRIANGULAR, [(-1.0, 2.5, 0.3), (0.0, 1e3, 1.0)], triangle_log, triangle_tails),
    "BETA": Row(interval.BETA, [(0.5, 0.5), (2.0, 3.5), (1e3, 5e2), (1e-2, 3.0), (20.0, 0.1)],
        lambda x, a, b: (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) - mp.log(mp.beta(a, b)), beta_tails),
    "KUMARASWAMY": Row(interval.KUMARASWAMY, [(0.5, 0.5), (2.0, 3.5), (1e2, 5.0), (0.05, 3.0)],
        lambda x, a, b: mp.log(a * b) + (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-(x**a)),
        hazard(lambda x, a, b: -b * mp.log1p(-(x**a)))),
    "RELAXED_BERNOULLI": Row(interval.RELAXED_BERNOULLI, [(0.5, 0.3), (2.0, -3.0), (20.0, 5.0)],
        lambda x, t, m: mp.log(t) + logistic_log(t * logit(x) - m) - mp.log(x) - mp.log1p(-x),
        lambda x, t, m: logistic(t * logit(x) - m)),
    "LOGIT_NORMAL": Row(interval.LOGIT_NORMAL, [(0.3, 0.5), (-2.0, 1e-2), (1.0, 2.0)],
        lambda x, m, s: normal_log_at(logit(x), m, s) - mp.log(x) - mp.log1p(-x),
        lambda x, m, s: normal_at(logit(x), m, s)),
    "VON_MISES": Row(circle.VON_MISES, [(0.3, 2.0), (-2.5, 0.01), (3.0, 40.0)],
        lambda x, m, k: k * mp.cos(x - m) - mp.log(2 * mp.pi * mp.besseli(0, k)),
        lambda x, m, k: (von_mises_mass(-mp.pi, x, m, k), von_mises_mass(x, mp.pi, m, k))),
    "TRUNCATED_NORMAL": Row(truncated.TRUNCATED_NORMAL,
        [(0.3, 2.0, -1.0, 5.0), (0.0, 1.0, 30.0, 33.0), (0.0, 1e3, 1.0, 1.5), (1.0, 0.1, -3.0, 0.2),
         (0.0, 1.0, -math.inf, -9.0), (0.0, 1.0, -0.5, math.inf)], *between(normal_log_at, normal_at)),
    "TRUNCATED_CAUCHY": Row(truncated.TRUNCATED_CAUCHY,
        [(0.3, 2.0, -1.0, 5.0), (0.0, 1.0, 1e3, 1e5), (0.0, 1e3, 1.0, 1.5), (0.0, 1.0, -math.inf, -9.0)],
        *between(cauchy_log, cauchy_tails)),
    "ASYMMETRIC_LAPLACE": Row(skewed.ASYMMETRIC_LAPLACE, [(0.3, 2.0, 0.5), (0.0, 1e-3, 10.0), (-2.0, 1e3, 1.0)],
        asymmetric_log, asymmetric_tails),
    "SOFT_LAPLACE": Row(skewed.SOFT_LAPLACE, WIDE,
        lambda x, m, s: -mp.log(mp.pi * s * mp.cosh((x - m) / s)),
        lambda x, m, s: tuple(2 / mp.pi * mp.atan(mp.exp(t * (x - m) / s)) for t in (1, -1))),
    "GENERALIZED_NORMAL": Row(skewed.GENERALIZED_NORMAL, [(0.3, 2.0, 0.6), (0.0, 1e-3, 1.0), (-2.0, 1e3, 8.0)],
        lambda x, m, s, k: -((abs(x - m) / s) ** k) - mp.log(2 * s) - mp.loggamma(1 + 1 / k), generalized_normal_tails),
    "EXP_GAMMA": Row(skewed.EXP_GAMMA, SHAPES,
        lambda x, a, b: gamma_log(mp.exp(x), a, b) + x, lambda x, a, b: gamma_tails(a, b * mp.exp(x))),
    "JOHNSON_SU": Row(skewed.JOHNSON_SU, [(0.5, 2.0, 1.0, 3.0), (-1.0, 0.7, 0.0, 1e-3)],
        *image_of_normal(johnson_parts)),
    "SINH_ARCSINH": Row(skewed.SINH_ARCSINH, [(1.0, 3.0, 0.3, 1.0), (0.0, 1e-3, -0.5, 1.5), (0.0, 2.0, 0.1, 0.6)],
        *image_of_normal(arcsinh_parts)),
}  # fmt: skip
