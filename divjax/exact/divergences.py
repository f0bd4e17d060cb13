"""Closed forms of the divergences between two distributions. p is the target, q the model; values in nats.

Every function takes two unbatched distributions, records or objects of a library that is known (see
``divjax.distributions``), is a scalar, and is differentiable, jittable and vmappable in their parameters. ``alpha`` may
be traced. Where the supports differ, or the integral diverges, the value is the mathematical one.

Raises, all of them: ``NotImplementedError`` where no closed form is known here, naming the remedies;
``ValueError`` for a batched distribution, unequal event shapes, or an ``alpha`` outside its domain; ``TypeError`` for
what is no distribution.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import checks
from divjax import numerics as nu
from divjax.distributions.exponential.family import Overlap
from divjax.distributions.family import Density, is_infinite
from divjax.distributions.gaussian import is_normal
from divjax.distributions.moments import Moments, Target
from divjax.distributions.source import dtype_of
from divjax.exact.mixtures import mixture_cauchy_schwarz, mixture_l2
from divjax.exact.pair import Pair, closed_form, comparable, never, no_closed_form, of_distributions
from divjax.numerics import segments

Scalar = Float[Array, ""]


@functools.partial(of_distributions, points=(is_normal, never))
def kl(p: Density, q: Density) -> Scalar:
    """How many nats q loses on data of p, in closed form: KL(p‖q) = ∫ p log(p/q) ≥ 0 (Kullback, Leibler 1951).

    +inf where p has mass outside the support of q, or lies on fewer dimensions than q, as a normal with a scale of 0
    does. Also between families: any p whose entropy and moments are known against any q whose log-density is linear in
    them. That is a difference of an entropy and a cross-entropy, each of which rounds: ``dj.kl`` takes it in double
    precision alone.

    Examples:
        >>> round(float(dj.exact.kl(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        0.5
    """
    pair = comparable(p, q, equal_frames=False)
    if pair is not None:
        if pair.family.kl is not None:
            return pair.family.kl(pair.theta_p, pair.theta_q)
        if pair.equal_frames:
            return _coefficient(pair.overlap(1.0), jnp.ones(()))
    value = _cross_kl(p, q)
    if value is None:
        raise no_closed_form("kl", p, q)
    return value


@functools.partial(of_distributions, points=(never, is_normal))
def reverse_kl(p: Density, q: Density) -> Scalar:
    """KL with p and q exchanged, in closed form: KL(q‖p) = ∫ q log(q/p) ≥ 0 (Kullback, Leibler 1951).

    Examples:
        >>> round(float(dj.exact.reverse_kl(distrax.Uniform(0.0, 2.0), distrax.Uniform(0.0, 1.0))), 4)
        0.6931
    """
    return kl(q, p)


@of_distributions
def jeffreys(p: Density, q: Density) -> Scalar:
    """KL both ways, in closed form: KL(p‖q) + KL(q‖p) = ∫ (p − q) log(p/q) ≥ 0 (Jeffreys 1946).

    Examples:
        >>> round(float(dj.exact.jeffreys(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        1.0
    """
    return kl(p, q) + kl(q, p)


@of_distributions
def renyi(p: Density, q: Density, *, alpha: Float[Array, ""] | float = 0.5) -> Scalar:
    """The Rényi divergence in closed form: log ∫ p^α q^(1−α) / (α − 1) ≥ 0 (Rényi 1961).

    alpha: α ≥ 0, else ValueError. α → 1 is ``kl``, α = 0 is −log Q(support of p). +inf for α ≥ 1 where p has mass
    outside the support of q, or where the integral diverges. An order α < 0 would be α/(1−α) times the order 1−α of q
    from p.

    Examples:
        >>> round(float(dj.exact.renyi(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0), alpha=2.0)), 4)
        1.0
    """
    alpha = _order(alpha, 0.0)
    parts = closed_form("renyi", p, q).overlap(alpha)
    return _renyi(parts, alpha)


@of_distributions
def tsallis(p: Density, q: Density, *, alpha: Float[Array, ""] | float = 0.5) -> Scalar:
    """Tsallis relative entropy in closed form: (∫ p^α q^(1−α) − 1) / (α − 1) ≥ 0 (Tsallis 1998).

    alpha: α ≥ 0, else ValueError. α → 1 is ``kl``, α = 2 is ``pearson_chi2``.

    Examples:
        >>> round(float(dj.exact.tsallis(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0), alpha=2.0)), 4)
        1.7183
    """
    alpha = _order(alpha, 0.0)
    parts = closed_form("tsallis", p, q).overlap(alpha)
    order = _renyi(parts, alpha)
    # with J = (1−a) R: (1 − e^(−J))/(1−a) = R (1 − e^(−J))/J
    return _saturate(order, 1.0 - alpha)


@of_distributions
def alpha_divergence(p: Density, q: Density, *, alpha: Float[Array, ""] | float = 0.5) -> Scalar:
    """The alpha-divergence in closed form: (1 − ∫ p^α q^(1−α)) / (α (1−α)) ≥ 0 for any real α (Minka 2005).

    α → 1 is KL(p‖q), α → 0 is KL(q‖p). At most 1/(α(1−α)) for 0 < α < 1; +inf for α ≥ 1 (α ≤ 0) where p (q) has mass
    outside the other's support.

    Examples:
        >>> round(float(dj.exact.alpha_divergence(distrax.Uniform(0.0, 1.0), distrax.Uniform(0.0, 4.0), alpha=0.5)), 4)
        2.0
    """
    alpha = _order(alpha)
    parts = closed_form("alpha_divergence", p, q).overlap(alpha)
    return _saturate(_coefficient(parts, alpha), alpha * (1.0 - alpha))


@of_distributions
def bhattacharyya(p: Density, q: Density) -> Scalar:
    """Bhattacharyya's distance in closed form, from the overlap of the roots: −log ∫ √(p q) ≥ 0 (Bhattacharyya 1943).

    +inf for disjoint supports.

    Examples:
        >>> round(float(dj.exact.bhattacharyya(distrax.Normal(2.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        0.5
    """
    parts = closed_form("bhattacharyya", p, q).overlap(0.5)
    return 0.25 * _coefficient(parts, jnp.full((), 0.5))


@of_distributions
def squared_hellinger(p: Density, q: Density) -> Scalar:
    """One minus the overlap of the roots of p and q, in closed form: 1 − ∫ √(p q), in [0, 1] (Hellinger 1909).

    Examples:
        >>> round(float(dj.exact.squared_hellinger(distrax.Uniform(0.0, 1.0), distrax.Uniform(0.0, 4.0))), 4)
        0.5
    """
    parts = closed_form("squared_hellinger", p, q).overlap(0.5)
    return -jnp.expm1(-0.25 * _coefficient(parts, jnp.full((), 0.5)))


@of_distributions
def pearson_chi2(p: Density, q: Density) -> Scalar:
    """Pearson's χ² divergence in closed form: ∫ (p − q)² / q = ∫ p²/q − 1 ≥ 0 (Pearson 1900).

    +inf where the integral diverges: between two Gaussians for σ_p² ≥ 2 σ_q².

    Examples:
        >>> round(float(dj.exact.pearson_chi2(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        1.7183
        >>> float(dj.exact.pearson_chi2(distrax.Normal(0.0, 2.0), distrax.Normal(0.0, 1.0)))
        inf
    """
    parts = closed_form("pearson_chi2", p, q).overlap(2.0)
    two = jnp.full((), 2.0)
    return 2.0 * _saturate(_coefficient(parts, two), -two)


@of_distributions
def neyman_chi2(p: Density, q: Density) -> Scalar:
    """Pearson's χ² divergence with p and q exchanged, in closed form: ∫ (p − q)² / p ≥ 0 (Neyman 1949).

    Examples:
        >>> round(float(dj.exact.neyman_chi2(distrax.Uniform(0.0, 2.0), distrax.Uniform(0.0, 1.0))), 4)
        1.0
    """
    return pearson_chi2(q, p)


@of_distributions
def cauchy_schwarz(p: Density, q: Density) -> Scalar:
    """Minus the logarithm of the cosine between the two densities, −log(∫ p q / √(∫p² ∫q²)) ≥ 0, in closed form.

    Exact between mixtures of Gaussians too (Jenssen et al. 2006). Between two members of one family it is
    ``bhattacharyya`` of the normalised squares, so that nothing cancels. +inf for disjoint supports, and where one of
    ∫p² and ∫q² diverges.

    Examples:
        >>> round(float(dj.exact.cauchy_schwarz(distrax.Normal(2.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        1.0
    """
    pair = comparable(p, q)
    if pair is not None and pair.square is not None:
        # Beside a square without an integral the other has no part in it, and ∫ p q none in the root of both.
        norms = (pair.square.log_norm(theta) for theta in (pair.theta_p, pair.theta_q))
        steep = jnp.logical_xor(*(norm == jnp.inf for norm in norms))
        return jnp.where(steep, jnp.inf, _cauchy_schwarz(pair))
    value = mixture_cauchy_schwarz(p, q)
    if value is None:
        raise no_closed_form("cauchy_schwarz", p, q)
    return value


@of_distributions
def l2(p: Density, q: Density) -> Scalar:
    """The squared L2 distance of the densities in closed form: ∫ (p − q)² ≥ 0. +inf where ∫p² or ∫q² diverges.

    Exact between mixtures of Gaussians too. Two members of one family: (√∫p² − √∫q²)² + 2 √(∫p² ∫q²)(1 −
    e^(−cauchy_schwarz)), without cancellation.

    Examples:
        >>> round(float(dj.exact.l2(distrax.Uniform(0.0, 1.0), distrax.Uniform(0.0, 2.0))), 4)
        0.5
    """
    pair = comparable(p, q)
    if pair is not None and pair.square is not None:
        return pair_l2(pair)
    value = mixture_l2(p, q)
    if value is None:
        raise no_closed_form("l2", p, q)
    return value


def pair_l2(pair: Pair) -> Scalar:
    """``l2`` of two members of one family whose squares are members too."""
    norm_p, norm_q = pair.square.log_norm(pair.theta_p), pair.square.log_norm(pair.theta_q)
    ok = (norm_p < jnp.inf) & (norm_q < jnp.inf)
    norm_p, norm_q = jnp.where(ok, norm_p, 0.0), jnp.where(ok, norm_q, 0.0)
    angle = _cauchy_schwarz(pair)
    # far apart, the second term dwarfs the rounding of the first
    near = ok & (angle < 0.05)
    exact = segments.difference(
        pair.square.log_norm,
        pair.theta_q,
        jax.tree.map(functools.partial(jnp.where, near), pair.theta_p, pair.theta_q),
    )
    half = 0.5 * jnp.where(near, exact, norm_p - norm_q)
    # (√A − √B)², from the larger so that expm1 stays bounded
    amplitude = jnp.exp(jnp.maximum(norm_p, norm_q)) * jnp.expm1(-jnp.abs(half)) ** 2
    turn = -2.0 * jnp.exp(0.5 * (norm_p + norm_q)) * jnp.expm1(-angle)
    return jnp.where(ok, amplitude + turn, jnp.inf)


def _cauchy_schwarz(pair: Pair) -> Scalar:
    parts = pair.overlap_of_squares(0.5)
    return 0.25 * _coefficient(parts, jnp.full((), 0.5))


# --- From the overlap to the divergence --------------------------------------------------------------------


def _coefficient(parts: Overlap, alpha: Array) -> Scalar:
    """−log ∫ p^a q^(1−a) / (a(1−a)): the gap plus what lies outside the common support, with its poles."""
    log_p, log_q, gap = parts
    alpha = alpha.astype(gap.dtype)
    lost_p, lost_q = log_p < 0.0, log_q < 0.0
    infinite = (lost_p & (alpha >= 1.0)) | (lost_q & (alpha <= 0.0)) | (gap == jnp.inf)
    infinite |= (log_p == -jnp.inf) | (log_q == -jnp.inf)
    safe_p, safe_q = jnp.where(lost_p & ~infinite, log_p, 0.0), jnp.where(lost_q & ~infinite, log_q, 0.0)
    outside = -safe_p / jnp.where(alpha == 1.0, 1.0, 1.0 - alpha) - safe_q / jnp.where(alpha == 0.0, 1.0, alpha)
    # at a = 1 and a = 0 the other side's mass still counts: −log Q(S) and −log P(S)
    value = jnp.where(infinite, jnp.inf, jnp.where(infinite, 0.0, gap) + outside)
    return jnp.where(jnp.isnan(alpha), jnp.nan, value)


def _renyi(parts: Overlap, alpha: Array) -> Scalar:
    """a K − log Q(S) − a log P(S)/(1−a)."""
    log_p, log_q, gap = parts
    alpha = alpha.astype(gap.dtype)
    lost_p, lost_q = log_p < 0.0, log_q < 0.0
    infinite = (lost_p & (alpha >= 1.0)) | (log_p == -jnp.inf) | (log_q == -jnp.inf)
    infinite |= (lost_q & (alpha < 0.0)) | (gap == jnp.inf)
    safe_p, safe_q = jnp.where(lost_p & ~infinite, log_p, 0.0), jnp.where(lost_q & ~infinite, log_q, 0.0)
    value = alpha * jnp.where(infinite, 0.0, gap) - safe_q
    value -= alpha * safe_p / jnp.where(alpha == 1.0, 1.0, 1.0 - alpha)
    value = jnp.where(infinite, jnp.where(alpha < 0.0, -jnp.inf, jnp.inf), value)
    return jnp.where(jnp.isnan(alpha), jnp.nan, value)


def _saturate(value: Array, factor: Array) -> Scalar:
    """(1 − e^(−factor · value))/factor, also for an infinite value and for factor 0."""
    factor = factor.astype(value.dtype)
    infinite = (jnp.abs(value) == jnp.inf) | (-factor * value > nu.log_max(value))
    safe = jnp.where(infinite, 0.0, value)
    finite = safe * nu.one_minus_exp_over(factor * safe)
    saturated = infinite & (factor * jnp.sign(value) > 0.0)
    limit = jnp.where(saturated, 1.0 / jnp.where(saturated, factor, 1.0), jnp.where(value < 0.0, -jnp.inf, jnp.inf))
    return jnp.where(infinite, limit, finite)


def _order(alpha: Array | float, low: float = -math.inf) -> Array:
    """A scalar, in its domain where it is not traced."""
    alpha = checks.parameter(alpha, "alpha", low)
    return jnp.asarray(alpha, jnp.result_type(float, alpha))


def _cross_kl(p: Density, q: Density) -> Scalar | None:
    """KL(p‖q) = −H(p) − E_p log q between families: from moments of the one and the log-density of the other.

    +inf where the support of p is not inside that of q; None where something of it is not known.
    """
    if p.family.moments is None or q.family.target is None:
        return None
    source, goal = p.family.moments(p.params), q.family.target(q.params)
    if _unbounded_in_bounded(source, goal):
        return jnp.full_like(source.entropy, jnp.inf)
    if any(getattr(source, name) is None for name in goal.needs):
        return None
    inside = (source.low >= goal.low) & (source.high <= goal.high)
    value = -source.entropy - goal.expected_log_density(source)
    # a moment may be infinite, never NaN: E log q is then −inf
    return jnp.where(inside & (value < jnp.inf), jnp.where(inside, value, 0.0), jnp.inf)


def loses_digits(p: Density, q: Density) -> bool:
    """Whether KL is the difference of an entropy and a cross-entropy in single precision, which may leave nothing of
    it: Beta(3e4, 1e4) | Normal(.75, .0022) is .000265, and would be -.04."""
    return dtype_of((p.params, q.params)) != jnp.float64 and comparable(p, q, equal_frames=False) is None


def _unbounded_in_bounded(p: Moments, q: Target) -> bool:
    """Known without looking at values: the whole line in a half-line, or a half-line in an interval."""
    return any(is_infinite(own) and not is_infinite(other) for own, other in ((p.low, q.low), (p.high, q.high)))
