"""Divergences of powers of the densities: Minka's alpha, Rényi, Tsallis, and the density-power (beta, gamma) family.

Signature, shapes and guarantees as in ``divjax.divergences.f``. The order (alpha, beta, gamma) is traceable, so
that ``jax.vmap`` over it is one program, and its limits are smooth: alpha → 0 and 1 and beta, gamma → 0 are the
Kullback-Leibler divergences, in value and in derivative.
"""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.f import Scalar, squared_hellinger, total, with_partials
from divjax.divergences.measured import measured_on
from divjax.measures import Nodes, arrays
from divjax.numerics.truths import also, either, one_alone


def _alpha_value(a, b, d, alpha):
    # T_alpha(p, q) = T_{1−alpha}(q, p): work on the side where 1 − order is at least ½ and divides nothing away.
    swap = alpha > 0.5
    order = jnp.where(swap, 1.0 - alpha, alpha)
    log_q, log_p = jnp.where(swap, a, b), jnp.where(swap, b, a)
    d = jnp.where(swap, -d, d)
    near = jnp.abs(d) * jnp.maximum(1.0, jnp.abs(order)) < 0.5
    series = jnp.exp(log_q) * nu.power_excess(order, jnp.where(near, d, 0.0))
    return jnp.where(near, series, _alpha_far(log_p, log_q, d, order))


def _alpha_far(log_p, log_q, d, order):
    """[p − q − q (e^(order d) − 1)/order] / (1 − order), its middle term without overflow and with its limits."""
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    only_p, only_q = (d == jnp.inf) & (log_p > -jnp.inf), (d == -jnp.inf) & (log_q > -jnp.inf)
    d = nu.finite(d)
    small = jnp.abs(order * d) < 0.5
    safe_order = jnp.where(small, 1.0, order)
    slope = q * d * nu.exp_slope(jnp.where(small, order * d, 0.0))
    power = (jnp.exp(log_q + jnp.where(small, 0.0, order * d)) - q) / safe_order
    value = (nu.difference(log_p, log_q, d) - jnp.where(small, slope, power)) / (1.0 - order)
    # Where only p is positive: p / (1 − order), order ≤ ½. Where only q is: q / order, infinite for order ≤ 0.
    return jnp.where(only_p, p / (1.0 - order), jnp.where(only_q, nu.over_order(q, order), value))


def _alpha_partials(a, b, d, alpha):
    # (p − M)/(1−alpha) and (q − M)/alpha with M = p^alpha q^(1−alpha).
    d = nu.held(d)
    return -_power_gap(a, -d, 1.0 - alpha), -_power_gap(b, d, alpha)


def _power_gap(log_q, d, order):
    """q (e^(order d) − 1) / order, smooth through order = 0, saturating instead of overflowing."""
    small = jnp.abs(order * d) < 0.5
    safe_order = jnp.where(small, 1.0, order)
    slope = jnp.exp(log_q) * d * nu.exp_slope(jnp.where(small, order * d, 0.0))
    power = (nu.bounded_exp(log_q + jnp.where(small, 0.0, order * d)) - jnp.exp(log_q)) / safe_order
    return jnp.where(small, slope, power)


_alpha = with_partials(_alpha_value, _alpha_partials)


def _affinity_infinite(places, *, alpha):
    """Between 0 and 1 the integral is at most 1, however close to a boundary both densities are."""
    return also(either(alpha < 0.0, alpha > 1.0), places.power(alpha, 1.0 - alpha))


def _order_infinite(places, *, alpha=0.5):
    return either(_affinity_infinite(places, alpha=alpha), also(alpha == 1.0, places.log()))


def _own_order(*, alpha=0.5):
    return (alpha,)


def _alpha_infinite(places, *, alpha=0.5):
    return either(_order_infinite(places, alpha=alpha), also(alpha == 0.0, places.exchanged().log()))


@measured_on(Nodes, infinite=_alpha_infinite, orders=_own_order)
def alpha_divergence(nodes: Nodes, *, alpha: ArrayLike = 0.5) -> Scalar:
    """A family from reverse KL to KL and beyond: (1 − ∫ p^α q^(1−α)) / (α (1−α)) ≥ 0 for any real α (Minka 2005).

    α → 1 is kl, α → 0 reverse_kl, ½ is 4 squared_hellinger, 2 is pearson_chi2 / 2, −1 neyman_chi2 / 2. Amari's
    parameter is another one, 2α − 1. +inf where q = 0 < p for α ≥ 1, where p = 0 < q for α ≤ 0.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.alpha_divergence(dj.pmf(p, q), alpha=2.0)), 4)
        0.1667
    """
    return total(_alpha, nodes, checks.parameter(alpha, "alpha"))


@measured_on(Nodes, infinite=_order_infinite, orders=_own_order)
def tsallis(nodes: Nodes, *, alpha: ArrayLike = 0.5) -> Scalar:
    """Tsallis relative entropy (∫ p^α q^(1−α) − 1) / (α − 1) ≥ 0, which is α times ``alpha_divergence`` (Tsallis 1998).

    alpha: α ≥ 0, else ValueError. α → 1 is kl; α = 0 gives ∫ q over p = 0, which is 0 where the supports agree.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.tsallis(dj.pmf(p, q), alpha=2.0)), 4)
        0.3333
    """
    alpha = checks.parameter(alpha, "alpha", 0.0)
    nodes, alpha = checks.operands(nodes, alpha)
    divergence = alpha_divergence(nodes, alpha=alpha)
    is_infinite = jnp.isinf(divergence)  # and no NaN, which stays one
    # At α = 0 what is left of an infinite α-divergence is the mass of q where p = 0.
    outside = jnp.sum(nu.bounded_exp(jnp.where(nodes.log_p == -jnp.inf, nodes.log_q + nodes.log_w, -jnp.inf)))
    infinite = jnp.where(alpha == 0.0, outside, jnp.inf)
    return jnp.where(is_infinite, infinite, alpha * jnp.where(is_infinite, 0.0, divergence))


@measured_on(Nodes, infinite=_affinity_infinite, orders=_own_order)
def log_affinity(nodes: Nodes, *, alpha: ArrayLike) -> Scalar:
    """The logarithm of how much p and q overlap, log ∫ p^α q^(1−α), any real α: 0 for p = q.

    −inf for disjoint supports and 0 < α < 1. In log space throughout, so that it is finite where its exponential
    overflows: α = 2 is log(1 + pearson_chi2) and α = −1 log(1 + neyman_chi2), to be minimised in their place. Near p =
    q ``renyi`` has more digits.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.divergences.log_affinity(dj.pmf(p, q), alpha=0.5)), 4)
        -0.0347
    """
    alpha = checks.parameter(alpha, "alpha")
    nodes, alpha = checks.operands(nodes, alpha)
    log_p, log_q, log_w = arrays(nodes).values()
    powers = alpha * nu.finite(log_p) + (1.0 - alpha) * nu.finite(log_q)
    p_zero, q_zero = log_p == -jnp.inf, log_q == -jnp.inf
    powers = jnp.where((p_zero & (alpha >= 0.0)) | (q_zero & (alpha <= 1.0)), -jnp.inf, powers)
    powers = jnp.where((~p_zero & q_zero & (alpha > 1.0)) | (p_zero & ~q_zero & (alpha < 0.0)), jnp.inf, powers)
    powers = jnp.where(p_zero & q_zero, -jnp.inf, powers)
    return nu.logsumexp(jnp.where(log_w == -jnp.inf, -jnp.inf, powers + log_w))


@measured_on(Nodes, infinite=_order_infinite, orders=_own_order)
def renyi(nodes: Nodes, *, alpha: ArrayLike = 0.5) -> Scalar:
    """A family around KL that stresses where p/q is large: log ∫ p^α q^(1−α) / (α − 1) ≥ 0, in nats (Rényi 1961).

    alpha: α ≥ 0, else ValueError. α → 1 is kl, 2 is log(1 + pearson_chi2), ½ is 2 bhattacharyya (van Erven, Harremoës
    2014). Computed from ``alpha_divergence`` near p = q and α = 1, where the logarithm cancels, and in log space where
    that one overflows.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.renyi(dj.pmf(p, q), alpha=2.0)), 4)
        0.2877
    """
    alpha = checks.parameter(alpha, "alpha", 0.0)
    nodes, alpha = checks.operands(nodes, alpha)
    log_sum = log_affinity(nodes, alpha=alpha)
    near = (jnp.abs(log_sum) < 0.5) | (alpha == 1.0)
    # Where the other branch is taken alpha_divergence may overflow, and its derivatives with it: it gets p = q there.
    tsallis_gap = tsallis(replace(nodes, log_q=jnp.where(near, nodes.log_q, nodes.log_p)), alpha=alpha)
    from_tsallis = _infinite_or(tsallis_gap, lambda gap: gap * nu.log1p_slope((1.0 - alpha) * gap))
    from_affinity = _infinite_or(log_sum, lambda log_sum: log_sum / jnp.where(near, 1.0, alpha - 1.0))
    return jnp.where(near, from_tsallis, from_affinity)


def _infinite_or(x, function):
    """function(x) for finite x; +inf where x is infinite. Where x is so large that squares overflow, a constant."""
    infinite, large = jnp.isinf(x), jnp.abs(x) > 1e-3 * math.sqrt(jnp.finfo(x.dtype).max)
    constant = jax.lax.stop_gradient(jnp.where(infinite, jnp.inf, function(jnp.where(infinite, 0.0, x))))
    return jnp.where(large, constant, function(jnp.where(large, 0.0, x)))


@measured_on(Nodes)
def bhattacharyya(nodes: Nodes) -> Scalar:
    """Minus the logarithm of the overlap of the roots of p and q: −log ∫ √(p q) ≥ 0, in nats (Bhattacharyya 1943).

    Symmetric. +inf for disjoint supports.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.bhattacharyya(dj.pmf(p, q))), 4)
        0.0347
    """
    distance = squared_hellinger(nodes)
    near = distance < 0.5
    affinity = log_affinity(nodes, alpha=0.5)
    return jnp.where(near, distance * nu.log1p_slope(jnp.where(near, distance, 0.0)), -affinity)


def chernoff_exponent(nodes: Nodes) -> Scalar:
    """The α in [0, 1] that maximises −log ∫ p^α q^(1−α), by bisection on the derivative (the log is convex in α).

    Near p = q it maximises ∫ αp + (1−α)q − p^α q^(1−α) instead, whose terms do not cancel: the same α for exact masses,
    and, where they have the noise of draws, the one at which ``renyi`` is stationary.
    """
    (nodes,) = checks.operands(nodes)
    dtype = nodes.log_p.dtype
    near = jnp.abs(log_affinity(nodes, alpha=0.5)) < 0.5

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        slope = _affinity_slope(nodes, middle, near)[0]
        return jnp.where(slope > 0.0, low, middle), jnp.where(slope < 0.0, high, middle)  # of p = q it is ½

    zero = jnp.zeros((), dtype)
    low, high = jax.lax.fori_loop(0, jnp.finfo(dtype).nmant + 2, halve, (zero, zero + 1.0))
    # Strictly inside, where (1 − α) renyi is −log ∫ p^α q^(1−α) even if kl is infinite.
    eps = jnp.finfo(dtype).eps
    alpha = jax.lax.stop_gradient(jnp.clip(0.5 * (low + high), eps, 1.0 - eps))
    # It moves with the densities as the implicit function theorem has it: d alpha = −d slope / slope'.
    at_root, curvature = map(nu.finite, _affinity_slope(nodes, alpha, near))
    curvature = jax.lax.stop_gradient(curvature)
    moved = (at_root - jax.lax.stop_gradient(at_root)) / jnp.where(curvature > 0.0, curvature, 1.0)
    inside = (curvature > 0.0) & (alpha > 4.0 * eps) & (alpha < 1.0 - 4.0 * eps)  # at an end it stays there
    return alpha - jnp.where(inside, moved, 0.0)


def _affinity_slope(nodes, alpha, near):
    """Something that has the sign of d/dα ∫ p^α q^(1−α) everywhere, and its derivative in α where it is 0.

    Near p = q that of ∫ p^α q^(1−α) − αp − (1−α)q, whose terms q (d (e^(αd) − 1) − (e^d − 1 − d)), d = log p/q, do not
    cancel. Else of the integral itself, in units of its largest term.
    """
    log_p, log_q, log_w = arrays(nodes).values()
    empty = (log_p == -jnp.inf) | (log_q == -jnp.inf) | (log_w == -jnp.inf)
    a, b = (jnp.where(empty, 0.0, x) for x in (log_p, log_q))
    d, logs = a - b, jnp.where(empty, -jnp.inf, alpha * a + (1.0 - alpha) * b + log_w)
    powers = jnp.exp(logs - jax.lax.stop_gradient(jnp.where(near, 0.0, nu.finite(jnp.max(logs)))))
    small = near & (jnp.abs(d) < 0.5)
    t = jnp.where(small, d, 0.0)
    # Masses that are infinite are those of no distribution, and not near: they have no derivative to spoil here.
    p, q = (jnp.exp(jnp.where(near, log + log_w, 0.0)) for log in (log_p, log_q))
    series = q * (t * jnp.expm1(alpha * t) - nu.exp_excess(t))
    slopes = jnp.where(small & ~empty, series, powers * d - jnp.where(near, p - q, 0.0))
    return jnp.sum(slopes), jnp.sum(powers * d * d)


@measured_on(Nodes)
def chernoff(nodes: Nodes) -> Scalar:
    """How fast two hypotheses can be told apart: max over α in [0, 1] of −log ∫ p^α q^(1−α) ≥ 0, nats a draw (Chernoff
    1952).

    Symmetric. +inf for disjoint supports.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.25, 0.75])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(dj.chernoff(dj.pmf(p, q))), 3)
        0.144
    """
    alpha = chernoff_exponent(nodes)
    return (1.0 - alpha) * renyi(nodes, alpha=alpha)


def _beta_terms(log_p, log_q, log_w, beta):
    """q^(1+β) − (1 + 1/β) p q^β + p^(1+β)/β = (1+β) q^(1+β) S(1+β, log p/q), weighted."""
    # A term that exceeds the dtype is infinite, a constant; the margin leaves room for a division by beta.
    top = nu.log_power(jnp.maximum(log_p, log_q), 1.0 + beta) + log_w
    overflow = top > jnp.log(jnp.finfo(log_p.dtype).max) - 12.0
    log_p, log_q = (jnp.where(overflow, 0.0, x) for x in (log_p, log_q))
    log_w = jnp.where(overflow, 0.0, log_w)
    d = nu.log_ratio(log_p, log_q)
    near = jnp.abs(d) * (1.0 + beta) < 0.5
    series = (1.0 + beta) * nu.power_excess(1.0 + beta, jnp.where(near, d, 0.0))
    near_term = jnp.exp(nu.log_power(log_q, 1.0 + beta) + log_w) * series
    return jnp.where(overflow, jnp.inf, jnp.where(near, near_term, _beta_far(log_p, log_q, log_w, d, beta)))


def _beta_infinite(places, *, beta=0.5):
    """Where one density alone is too steep at an edge. Two that are steep alike may be so close that all cancels."""
    return _scaled_infinite(places, beta)


def _scaled_infinite(places, order):
    """Without a norm in L^(1+order) one side has no part in common with the other; where both have none, who knows."""
    norms = one_alone(places.power(1.0 + order, 0.0), places.power(0.0, 1.0 + order))
    return either(also(order > 0.0, norms), also(order == 0.0, places.log()))


def _beta_far(log_p, log_q, log_w, d, beta):
    p_zero, q_zero = log_p == -jnp.inf, log_q == -jnp.inf
    log_p, log_q = nu.finite(log_p), nu.finite(log_q)
    d = jnp.where(p_zero | q_zero, 0.0, d)
    small = jnp.abs(beta * d) < 0.5
    safe_beta = jnp.where(small, 1.0, beta)
    q_power = jnp.where(q_zero, 0.0, jnp.exp((1.0 + beta) * log_q + log_w))
    cross = jnp.where(p_zero | q_zero, 0.0, jnp.exp(log_p + beta * log_q + log_w))
    p_power = jnp.where(p_zero, 0.0, jnp.exp((1.0 + beta) * log_p + log_w))
    slope = jnp.where(small, cross * d * nu.exp_slope(jnp.where(small, beta * d, 0.0)), (p_power - cross) / safe_beta)
    alone_p = q_zero & ~p_zero & (log_w > -jnp.inf)
    return jnp.where(alone_p, nu.over_order(p_power, beta), q_power - cross + slope)


@measured_on(Nodes, infinite=_beta_infinite)
def beta_divergence(nodes: Nodes, *, beta: ArrayLike = 0.5) -> Scalar:
    """A family from KL to the squared L2 distance: ∫ q^(1+β) − (1+1/β) p q^β + p^(1+β)/β ≥ 0 (Basu et al. 1998).

    Density-power divergence. beta: β ≥ 0, else ValueError. β → 0 is kl, β = 1 is l2; in between efficiency is traded
    for robustness against outliers in p.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.beta_divergence(dj.pmf(p, q), beta=1.0)), 3)
        0.125
    """
    beta = checks.parameter(beta, "beta", 0.0)
    nodes, beta = checks.operands(nodes, beta)
    return jnp.sum(_beta_terms(**arrays(nodes), beta=beta))


@measured_on(Nodes, infinite=lambda places, *, gamma=0.5: _scaled_infinite(places, gamma))
def gamma_divergence(nodes: Nodes, *, gamma: ArrayLike = 0.5) -> Scalar:
    """A robust relative of KL that does not see the size of p and q, only their shapes (Fujisawa, Eguchi 2008).

    log∫p^(1+γ) / (γ(1+γ)) − log∫p q^γ / γ + log∫q^(1+γ) / (1+γ) ≥ 0. gamma: γ ≥ 0, else ValueError. γ → 0 is kl.
    Unchanged when p or q is multiplied by a constant. Computed as −log(1 − γ D/(1+γ)) / γ with D the beta-divergence of
    the two densities normalised in L^(1+γ), so that nothing cancels near p = q.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.gamma_divergence(dj.pmf(p, q), gamma=1.0)), 4)
        0.1116
    """
    gamma = checks.parameter(gamma, "gamma", 0.0)
    nodes, gamma = checks.operands(nodes, gamma)
    log_w = nodes.log_w
    log_p, log_q = (
        x - nu.finite(nu.logsumexp(nu.log_power(x, 1.0 + gamma) + log_w)) / (1.0 + gamma)
        for x in (nodes.log_p, nodes.log_q)
    )
    distance = jnp.sum(_beta_terms(log_p, log_q, log_w, gamma))
    gap = gamma / (1.0 + gamma) * nu.finite(distance)  # 1 − ∫ p q^γ of the normalised densities
    near = gap < 0.5
    slope = nu.log1p_slope(jnp.where(near, gap, 0.0))
    from_distance = _infinite_or(distance, lambda distance: distance / (1.0 + gamma) * slope)
    log_cross = nu.logsumexp(log_p + nu.log_power(log_q, gamma) + log_w)
    in_logs = _infinite_or(log_cross, lambda log_cross: nu.over_order(-log_cross, jnp.where(near, 1.0, gamma)))
    return jnp.where(near, from_distance, in_logs)


def _squared_gap(log_p, log_q, log_w):
    log_p, log_q = log_p + 0.5 * log_w, log_q + 0.5 * log_w
    # A square that exceeds the dtype is infinite, a constant.
    overflow = jnp.maximum(log_p, log_q) > 0.5 * jnp.log(jnp.finfo(log_p.dtype).max) - 1.0
    log_p, log_q = (jnp.where(overflow, 0.0, x) for x in (log_p, log_q))
    root = nu.difference(log_p, log_q, nu.log_ratio(log_p, log_q))
    return jnp.sum(jnp.where(overflow, jnp.inf, root * root))


@measured_on(Nodes, infinite=lambda places: _beta_infinite(places, beta=1.0))
def l2(nodes: Nodes) -> Scalar:
    """The squared L2 distance of the densities, ∫ (p − q)² ≥ 0, in units of density (Scott 2001). Its root is a metric.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.l2(dj.pmf(p, q))), 3)
        0.125
    """
    (nodes,) = checks.operands(nodes)
    return _squared_gap(**arrays(nodes))


@measured_on(Nodes, infinite=lambda places: _scaled_infinite(places, 1.0))
def cauchy_schwarz(nodes: Nodes) -> Scalar:
    """Minus the logarithm of the cosine between the two densities: −log (∫ p q / √(∫ p² ∫ q²)) ≥ 0 (Príncipe 2000).

    Symmetric. +inf for disjoint supports.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.cauchy_schwarz(dj.pmf(p, q))), 4)
        0.1116
    """
    (nodes,) = checks.operands(nodes)
    log_w = nodes.log_w
    log_p, log_q = (x - 0.5 * nu.finite(nu.logsumexp(2.0 * x + log_w)) for x in (nodes.log_p, nodes.log_q))
    gap = 0.5 * _squared_gap(log_p, log_q, log_w)
    near = gap < 0.5
    in_logs = -nu.logsumexp(log_p + log_q + log_w)
    return jnp.where(near, gap * nu.log1p_slope(jnp.where(near, gap, 0.0)), in_logs)
