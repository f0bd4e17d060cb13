"""The exponential families: one gap each, in the parameters that a user gives, so that p ≈ q loses
nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential.family import (
    Family,
    Overlap,
    combine_legs,
    from_curvature,
    guarded,
    mix,
    same_support,
)
from divjax.numerics import segments


def log_gap(alpha: Array, ratio: Array) -> Array:
    """K(a) of A = −log at u/v = e^ratio: (log(a u + (1−a) v) − a log u − (1−a) log v)/(a(1−a)).

    Where a u + (1−a) v ≤ 0 it is +inf.
    """
    # the larger of the two is 1
    log_u, log_v = jnp.minimum(ratio, 0.0), -jnp.maximum(ratio, 0.0)
    u, v = jnp.exp(log_u), jnp.exp(log_v)
    difference = jnp.where(ratio > 0.0, -1.0, 1.0) * jnp.expm1(-jnp.abs(ratio))  # u − v
    over = jnp.abs(ratio) > nu.log_max(ratio)
    tame = jnp.where(over, 0.0, ratio)
    # so far apart, a slope is only to be large
    far_v, far_u = (jnp.expm1(jnp.minimum(way, nu.log_max(ratio))) for way in (ratio, -ratio))

    def at(t, on_v, on_u, between):
        return jnp.where(t == 0.0, on_v, jnp.where(t == 1.0, on_u, between))

    def near_v(t):  # log of the mix at t = 0, with its derivatives in t
        return log_v + jnp.log1p(jnp.where(t == 0.0, t, 0.0) * jnp.expm1(tame))

    def near_u(t):
        return log_u + jnp.log1p(jnp.where(t == 1.0, 1.0 - t, 0.0) * jnp.expm1(-tame))

    def leg(start, end, length):
        # at u and at v from the ratio itself: quotients of tiny numbers have derivatives that overflow
        first, last = at(start, 1.0, 1.0, mix(start, u, v)), at(end, 1.0, 1.0, mix(end, u, v))
        slope = at(start, far_v, -far_u, difference / first)
        growth = at(end, near_v(end), near_u(end), jnp.log(last)) - at(start, log_v, log_u, jnp.log(first))
        return segments.moment_of_inverse_square(slope, growth, length)

    def gap(alpha, *_):
        return combine_legs(alpha, leg)

    return guarded(gap, lambda alpha, u, v: mix(alpha, u, v) > 0.0)(alpha, u, v)


def exp_gap(alpha: Array, log_u: Array, log_v: Array, ratio: Array) -> Array:
    """K(a) of A = exp: (a u + (1−a) v − u^a v^(1−a))/(a(1−a)), given log u, log v, and log u − log v."""

    def leg(start, end, length):
        c = length * ratio
        exponent = log_v + start * ratio + jnp.maximum(c, 0.0)
        over = exponent > nu.log_max(exponent) - 10.0
        # halved, because ratio² may overflow where this vanishes
        scale = jnp.exp(0.5 * jnp.where(over, 0.0, exponent))
        return jnp.where(over, jnp.inf, (ratio * scale) ** 2 * segments.moment_of_exponential(c))

    return combine_legs(alpha, leg)


# --- −log: one positive parameter --------------------------------------------------------------------------

RATE = same_support(lambda alpha, p, q: log_gap(alpha, nu.log_quotient(p, q)))
"""theta = the rate of an exponential variable, e.g. Kumaraswamy with one first shape."""


class Power(NamedTuple):
    """The exponential variable X^power with scale(X) given; weight · gap is returned."""

    scale: Float[Array, ""]
    power: Float[Array, ""]
    weight: Float[Array, ""]


POWER = same_support(lambda alpha, p, q: p.weight * log_gap(1.0 - alpha, p.power * nu.log_quotient(p.scale, q.scale)))
"""Generalised normal about one location with one power k: weight 1/k."""


# --- Normal and inverse Gaussian ---------------------------------------------------------------------------


class Located(NamedTuple):
    loc: Float[Array, ""]
    scale: Float[Array, ""]


class Tempered(NamedTuple):
    """The normalised power^th power of N(loc, scale²): scale/√power is never rounded."""

    loc: Float[Array, ""]
    scale: Float[Array, ""]
    power: Float[Array, ""]


def _normal_gap(alpha: Array, p: Tempered, q: Tempered) -> Array:
    # variance of the normalised p^a q^(1−a), up to σp² σq²; divided by σ² of the larger for safety
    big = jnp.maximum(p.scale, q.scale)
    variance = mix(alpha, nu.quotient(q.scale, big) ** 2, nu.quotient(p.scale, big) ** 2)
    ok = variance > 0.0
    shift = nu.quotient(p.loc - q.loc, big)
    shift = shift / jnp.sqrt(jnp.where(ok, variance, 1.0))
    location = 0.5 * p.power * shift * shift
    spread = 0.5 * log_gap(1.0 - alpha, 2.0 * nu.log_quotient(p.scale, q.scale))
    return jnp.where(ok, location, jnp.inf) + spread


def _normal_kl(p: Tempered, q: Tempered) -> Array:
    # The gap at a = 1 in a fifth of the operations.
    shift = nu.quotient(p.loc - q.loc, q.scale)
    return 0.5 * (p.power * shift * shift + nu.expm1_minus(2.0 * nu.log_quotient(p.scale, q.scale)))


NORMAL = same_support(_normal_gap, _normal_kl)


def _inverse_gaussian_gap(alpha: Array, p: Located, q: Located) -> Array:
    """Natural parameters (−λ/(2μ²), −λ/2), A = −½ log λ − λ/μ; Located is (μ, λ)."""

    def inside(alpha, p, q):
        return (mix(alpha, p.scale, q.scale) > 0.0) & (mix(alpha, p.scale / p.loc**2, q.scale / q.loc**2) > 0.0)

    def gap(alpha, p, q):
        middle = jnp.sqrt(mix(alpha, p.scale, q.scale) * mix(alpha, p.scale / p.loc**2, q.scale / q.loc**2)) + mix(
            alpha, p.scale / p.loc, q.scale / q.loc
        )
        shift = (p.loc - q.loc) / (p.loc * q.loc)
        return p.scale * q.scale * shift**2 / middle + 0.5 * log_gap(alpha, nu.log_quotient(p.scale, q.scale))

    return guarded(gap, inside)(alpha, p, q)


INVERSE_GAUSSIAN = same_support(_inverse_gaussian_gap)


# --- Families through lgamma -------------------------------------------------------------------------------


class GammaParameters(NamedTuple):
    concentration: Float[Array, ""]
    rate: Float[Array, ""]


def _gamma_curvature(eta: GammaParameters, delta: GammaParameters) -> Array:
    """ψ'(α) δα² − 2 δα δβ/β + α δβ²/β², completed to squares."""
    a, b = delta.concentration / eta.concentration, delta.rate / eta.rate
    return a * a * nu.trigamma_excess(eta.concentration) + eta.concentration * (a - b) ** 2


_OF_CURVATURE = from_curvature(_gamma_curvature, lambda eta: (eta.concentration > 0.0) & (eta.rate > 0.0))


def _gamma_kl(p: GammaParameters, q: GammaParameters) -> Array:
    """Where rates are far apart theirs is a term of its own: between its ends no quadrature sees all of 1/rate²."""
    gap = nu.log_quotient(q.rate, p.rate)
    far = jnp.abs(gap) > 2.0
    gap = jnp.where(far, gap, 0.0)
    of_rates = p.concentration * nu.expm1_minus(gap) + (p.concentration - q.concentration) * gap
    rest = _OF_CURVATURE.overlap(jnp.ones_like(gap), p, q._replace(rate=jnp.where(far, p.rate, q.rate)))
    return rest.gap + of_rates


GAMMA = Family(_OF_CURVATURE.overlap, _gamma_kl)


def _dirichlet_curvature(eta: Float[Array, " k"], delta: Float[Array, " k"]) -> Array:
    """Σ ψ'(α_i) δ_i² − ψ'(Σα) (Σδ)²; the 1/α part of ψ' becomes a variance, free of cancellation."""
    total = jnp.sum(eta)
    each, mean = delta / eta, jnp.sum(delta) / total
    spread = jnp.sum(eta * (each - mean) ** 2)
    return spread + jnp.sum(each**2 * nu.trigamma_excess(eta)) - mean**2 * nu.trigamma_excess(total)


DIRICHLET = from_curvature(_dirichlet_curvature, lambda eta: jnp.all(eta > 0.0))


# --- Discrete ----------------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """A Poisson rate, as given: one of the two is None."""

    rate: Float[Array, ""] | None
    log_rate: Float[Array, ""] | None


def _poisson_gap(alpha: Array, p: Rate, q: Rate) -> Array:
    log_p, log_q, ratio = _logs(p.rate, p.log_rate, q.rate, q.log_rate)
    return exp_gap(alpha, log_p, log_q, ratio)


POISSON = same_support(_poisson_gap)


class Pmf(NamedTuple):
    """Probabilities [k], one of the two is None, neither need be normalised; power is 2 in squares.

    ``rest`` is what rounding took from ``probs``, as from 1 − p: it counts where two of them are nearly equal.
    """

    probs: Float[Array, " k"] | None
    logits: Float[Array, " k"] | None
    power: Float[Array, ""]
    rest: Float[Array, " k"] | None = None


def _logs(p: Array | None, log_p: Array | None, q: Array | None, log_q: Array | None) -> tuple:
    """log p, log q and their difference, from what was given, without rounding a difference of logarithms.

    Zeros are allowed: −inf logs and a difference of 0, for the caller to mask.
    """
    if p is None or q is None:
        log_p = nu.safe_log(p) if log_p is None else log_p
        log_q = nu.safe_log(q) if log_q is None else log_q
        both = (log_p > -jnp.inf) & (log_q > -jnp.inf)
        return log_p, log_q, jnp.where(both, log_p, 0.0) - jnp.where(both, log_q, 0.0)
    both = (p > 0.0) & (q > 0.0)
    return nu.safe_log(p), nu.safe_log(q), nu.log_quotient(jnp.where(both, p, 1.0), jnp.where(both, q, 1.0))


def _masked_log_softmax(logits: Array, mask: Array) -> tuple[Array, Array]:
    """log-probabilities given the mask (0 outside it), and the log of the mask's mass."""
    finite = logits > -jnp.inf
    top = jnp.max(jnp.where(finite, logits, -jnp.inf))
    weights = jnp.where(finite, jnp.exp(jnp.where(finite, logits, top) - top), 0.0)
    kept = jnp.sum(jnp.where(mask, weights, 0.0))
    lost = jnp.sum(jnp.where(mask, 0.0, weights))
    some = kept > 0.0
    safe = jnp.where(some, kept, 1.0)
    most = lost < safe
    log_most = -jnp.log1p(jnp.where(most, lost, 0.0) / jnp.where(most, safe, 1.0))
    log_mass = jnp.where(most, log_most, jnp.log(safe) - jnp.log(safe + lost))
    log_mass = jnp.where(some, log_mass, -jnp.inf)
    return jnp.where(mask, logits - top - jnp.log(safe), 0.0), log_mass


def _categorical_overlap(alpha: Array, p: Pmf, q: Pmf) -> Overlap:
    """1 − Σ p^a q^(1−a) as a sum of non-negative terms, then its logarithm; directly where the sum is
    small.
    """
    log_p, log_q, ratio = _logs(p.probs, p.logits, q.probs, q.logits)
    if p.rest is not None and q.rest is not None:
        ratio = ratio + nu.safe_ratio(p.rest, p.probs) - nu.safe_ratio(q.rest, q.probs)
    log_p, log_q, ratio = (p.power * part for part in (log_p, log_q, ratio))
    mask = (log_p > -jnp.inf) & (log_q > -jnp.inf)
    log_p, mass_p = _masked_log_softmax(log_p, mask)
    log_q, mass_q = _masked_log_softmax(log_q, mask)
    # the ratio of unnormalised probabilities is exact where they are near; normalise it without cancellation
    ratio = jnp.where(mask, ratio, 0.0)
    centre = jnp.sum(jnp.where(mask, jnp.exp(log_q), 0.0) * ratio)
    ratio = jnp.where(mask, ratio - centre, 0.0)
    small = jnp.max(jnp.abs(ratio)) < 1.0
    excess = jnp.sum(jnp.where(mask, jnp.exp(log_q), 0.0) * nu.expm1_minus(jnp.where(small, ratio, 0.0)))
    ratio = jnp.where(mask, jnp.where(small, ratio - jnp.log1p(excess), log_p - log_q), 0.0)
    terms = jnp.sum(jnp.where(mask, exp_gap(alpha, log_p, log_q, ratio), 0.0))
    product = alpha * (1.0 - alpha)
    affinity = 1.0 - product * terms
    near = (affinity > 0.3) & (affinity < 10.0)
    terms = jnp.where(near, terms, 0.0)
    safe = product * terms
    direct = -_logsumexp(mix(alpha, log_p, log_q), mask) / jnp.where(near, 1.0, product)
    gap = jnp.where(near, terms * nu.log1p_over(-safe), direct)
    return Overlap(mass_p, mass_q, jnp.where(jnp.any(mask), gap, jnp.inf))


def _logsumexp(x: Array, mask: Array) -> Array:
    top = jnp.max(jnp.where(mask, x, -jnp.inf))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    total = jnp.sum(jnp.where(mask, jnp.exp(jnp.where(mask, x, top) - top), 0.0))
    return top + jnp.log(jnp.where(total > 0.0, total, 1.0))


CATEGORICAL = Family(_categorical_overlap)


class Chance(NamedTuple):
    """The success probability as given: itself, that of failure, or the logit of success; two are None."""

    success: Float[Array, ""] | None = None
    failure: Float[Array, ""] | None = None
    logit: Float[Array, ""] | None = None


def _log_failure(x: Chance) -> Array:
    if x.success is not None:
        return jnp.log1p(-x.success)
    return nu.safe_log(x.failure) if x.failure is not None else -jax.nn.softplus(x.logit)


def _log_failure_ratio(p: Chance, q: Chance) -> Array:
    """log of the ratio of the failures, from what was given: nearly equal ones lose nothing."""
    if p.failure is not None and q.failure is not None:
        return nu.log_quotient(p.failure, q.failure)
    if p.success is not None and q.success is not None:
        change = (q.success - p.success) / (1.0 - q.success)
        near = jnp.abs(change) < 0.5
    elif p.logit is not None and q.logit is not None:
        # (1 + e^b) / (1 + e^a) = 1 + σ(a) (e^(b−a) − 1)
        near = jnp.abs(q.logit - p.logit) < 0.5
        change = jax.nn.sigmoid(p.logit) * jnp.expm1(jnp.where(near, q.logit - p.logit, 0.0))
    else:
        return _log_failure(p) - _log_failure(q)
    return jnp.where(near, jnp.log1p(jnp.where(near, change, 0.0)), _log_failure(p) - _log_failure(q))


def _geometric_curvature(eta: Array, delta: tuple) -> Array:
    """A = −log(1 − e^η), η = log(1 − p)."""
    return jnp.exp(eta) * (delta / jnp.expm1(eta)) ** 2


def _geometric_gap(alpha: Array, p: Chance, q: Chance) -> Array:
    delta = _log_failure_ratio(p, q)

    def gap(alpha, p, q):
        def leg(start, end, length):
            ends = mix(start, p, q), mix(end, p, q)
            return segments.moment(lambda eta: _geometric_curvature(eta, delta), *ends)

        return combine_legs(alpha, leg)

    return guarded(gap, lambda alpha, p, q: mix(alpha, p, q) < 0.0)(alpha, _log_failure(p), _log_failure(q))


GEOMETRIC = same_support(_geometric_gap)
"""theta = the success probability p, a ``Chance``; pmf p (1 − p)^n on 0, 1, 2, ..."""


# --- Members whose support moves ---------------------------------------------------------------------------


class Interval(NamedTuple):
    low: Float[Array, ""]
    high: Float[Array, ""]


def _uniform_overlap(_: Array, p: Interval, q: Interval) -> Overlap:
    low, high = jnp.maximum(p.low, q.low), jnp.minimum(p.high, q.high)
    width_p, width_q = p.high - p.low, q.high - q.low
    some = high > low
    width = jnp.where(some, high - low, 1.0)
    log_p = jnp.where(some, jnp.log(width / width_p), -jnp.inf)
    log_q = jnp.where(some, jnp.log(width / width_q), -jnp.inf)
    return Overlap(log_p, log_q, jnp.where(some, jnp.zeros_like(log_p), jnp.inf))


UNIFORM = Family(_uniform_overlap)


class Tail(NamedTuple):
    """P(X > x) = (scale/x)^concentration for x > scale."""

    concentration: Float[Array, ""]
    scale: Float[Array, ""]


def _pareto_overlap(alpha: Array, p: Tail, q: Tail) -> Overlap:
    above_p = jnp.maximum(nu.log_quotient(q.scale, p.scale), 0.0)  # log(max scale / own scale)
    above_q = jnp.maximum(nu.log_quotient(p.scale, q.scale), 0.0)
    gap = log_gap(alpha, nu.log_quotient(p.concentration, q.concentration))
    return Overlap(-p.concentration * above_p, -q.concentration * above_q, gap)


PARETO = Family(_pareto_overlap)
