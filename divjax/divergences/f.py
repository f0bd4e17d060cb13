"""The f-divergences: ∫ q f(p/q) with f convex and f(1) = f'(1) = 0, on (log p, log q), never on the ratio.

Every one has the signature ``div(nodes, *, params) -> scalar`` in nats: ``Nodes`` hold log-densities at shared nodes
and log-weights of the nodes, Σ exp(log_w) h(x_i) ≈ ∫ h. Terms are non-negative one by one, so a value is never
negative, p ≈ q costs no digits beyond those of the log-densities, and log-ratios of ±1e4 are fine in float32. A node
where p = q = 0, or of weight 0 and finite p and q, adds 0. Values may be +inf; value and
gradient are never NaN: an infinite term has gradient 0.

A term T(p, q) is 1-homogeneous, hence T = ∂T/∂log p + ∂T/∂log q (Euler). The two partial derivatives are written by
hand: they are simpler than T, share its exponentials, and can be differentiated again.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.measured import measured_on
from divjax.measures import Nodes
from divjax.numerics import f_terms
from divjax.numerics.truths import either

Term = Callable[..., Array]
Scalar = Float[Array, ""]


def with_partials(value: Term, partials: Callable[..., tuple[Array, Array]], *, bounded: bool = False) -> Term:
    """T(log_p, log_q, log_w, *params) with hand-written derivatives in the first two; a weight multiplies T.

    bounded: T is finite wherever p and q are, and its partials with it.
    """

    @jax.custom_jvp
    def term(log_p, log_q, log_w, *params):
        a, b, d, infinite = weighted_logs(log_p, log_q, log_w)
        return jnp.where(infinite, jnp.inf, value(a, b, d, *params))

    def jvp(primals, tangents):
        log_p, log_q, log_w, *params = primals
        a, b, d, _ = weighted_logs(log_p, log_q, log_w)
        out = term(*primals)
        # A term that is infinite has derivative 0, which is masked after the fact: so the exponentials are those of
        # the value, and of other divergences at these nodes. Where only ``weighted_logs`` made it so, p = q = 1 has it.
        # Partials with parameters share nothing, and may exceed the dtype: p = q = 1 in all infinite terms.
        if params:
            a, b, d = (jnp.where(jnp.isinf(out), 0.0, x) for x in (a, b, d))
        by_p, by_q = partials(a, b, d, *params)
        if not bounded:
            by_p, by_q = (jnp.where(jnp.isinf(out), 0.0, by) for by in (by_p, by_q))
        # In log_w it is the term itself: by_p + by_q would cancel near p = q.
        by_w = jnp.where(jnp.isinf(out), 0.0, out)
        # Nothing is computed for what is not differentiated: a parameter's derivative costs more than both others.
        asked = [
            (by, tangent) for by, tangent in zip((by_p, by_q, by_w), tangents[:3], strict=True) if not _is_zero(tangent)
        ]
        total = sum((by * tangent for by, tangent in asked), jnp.zeros_like(out))
        for i, tangent in enumerate(tangents[3:]):
            if not _is_zero(tangent):
                along = functools.partial(_along, value, (a, b, d, *params), 3 + i)
                total = total + jax.jvp(along, (params[i],), (tangent,))[1]
        return out, total

    term.defjvp(jvp, symbolic_zeros=True)
    return term


def _along(function, args, i, x):
    """The function with its argument i replaced."""
    return function(*args[:i], x, *args[i + 1 :])


def _is_zero(tangent):
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def weighted_logs(log_p, log_q, log_w):
    """The logarithms of both weighted densities and of their ratio, and where the term is infinite.

    That is where a weighted density exceeds the dtype, unless p = q there; p = q = 1 takes its place.
    """
    a, b, d = log_p + log_w, log_q + log_w, nu.log_ratio(log_p, log_q)
    overflow = jnp.maximum(a, b) > jnp.log(jnp.finfo(d.dtype).max) - 12.0  # room for a factor d, for 1 / weight
    return *(jnp.where(overflow, 0.0, x) for x in (a, b, d)), overflow & (d != 0.0)


def total(term: Term, nodes: Nodes, *params: ArrayLike) -> Scalar:
    nodes, *params = checks.operands(nodes, *params)
    return jnp.sum(term(nodes.log_p, nodes.log_q, jnp.broadcast_to(nodes.log_w, nodes.log_p.shape), *params))


def _kl_value(a, b, d):
    return jnp.where(d == jnp.inf, jnp.where(a > -jnp.inf, jnp.inf, 0.0), f_terms.kl(a, b, d))


def _swap_partials(partials):
    return lambda a, b, d, *params: partials(b, a, -d, *params)[::-1]


def _kl_partials(a, b, d):
    p = jnp.exp(a)
    return p * nu.finite(d), jnp.exp(b) - p


_kl = with_partials(_kl_value, _kl_partials)
_reverse_kl = with_partials(f_terms.swapped(_kl_value), _swap_partials(_kl_partials))


@measured_on(Nodes, infinite=lambda places: places.log())
def kl(nodes: Nodes) -> Scalar:
    """How many nats the model q loses on data of p: KL(p‖q) = ∫ p log(p/q) ≥ 0 (Kullback, Leibler 1951).

    p is the target (the data), q the model: to minimise it is maximum likelihood. 0 only for p = q; +inf where q = 0 <
    p.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.kl(dj.pmf(p, q))), 3)
        0.144
    """
    return total(_kl, nodes)


@measured_on(Nodes, infinite=lambda places: places.exchanged().log())
def reverse_kl(nodes: Nodes) -> Scalar:
    """KL with p and q exchanged, KL(q‖p) = ∫ q log(q/p) ≥ 0, in nats (Kullback, Leibler 1951).

    A model fitted by it avoids what is unlikely under p, and may leave modes of p out. +inf where p = 0 < q.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.reverse_kl(dj.pmf(p, q))), 3)
        0.131
    """
    return total(_reverse_kl, nodes)


def _jeffreys_value(a, b, d):
    one_sided = jnp.isinf(d) & (jnp.maximum(a, b) > -jnp.inf)
    return jnp.where(one_sided, jnp.inf, f_terms.jeffreys(a, b, d))


def _jeffreys_partials(a, b, d):
    p, q, d = jnp.exp(a), jnp.exp(b), nu.finite(d)
    return p * d + p - q, q - p - q * d


_jeffreys = with_partials(_jeffreys_value, _jeffreys_partials)


@measured_on(Nodes, infinite=lambda places: either(places.log(), places.exchanged().log()))
def jeffreys(nodes: Nodes) -> Scalar:
    """KL both ways, KL(p‖q) + KL(q‖p) = ∫ (p − q) log(p/q) ≥ 0, in nats (Jeffreys 1946).

    Symmetric. +inf where one of the two is 0 and the other is not.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.jeffreys(dj.pmf(p, q))), 3)
        0.275
    """
    return total(_jeffreys, nodes)


def _log_ratios_to_mixture(d, weight):
    """log(p/m) and log(q/m) for m = w p + (1−w) q, from the smaller of the two exponentials; finite."""
    d = nu.held(d)
    of_larger = jnp.where(d >= 0.0, weight, 1.0 - weight)
    of_smaller = jnp.where(d >= 0.0, 1.0 - weight, weight)
    # log of of_larger + of_smaller e^(−|d|), the mixture over the larger density
    loss = of_smaller * jnp.expm1(-jnp.abs(d))
    near = loss > -0.5
    total = of_larger + of_smaller * jnp.exp(-jnp.abs(d))
    alone = total == 0.0  # the larger has no weight and the smaller underflows: the mixture is the smaller
    by_logarithm = -jnp.log(jnp.where(near | alone, 1.0, total))
    nearest = jnp.where(near, -jnp.log1p(jnp.where(near, loss, 0.0)), jnp.where(alone, jnp.abs(d), by_logarithm))
    # The smaller density over a mixture that hardly differs from it: nearest − |d| would cancel.
    short = jnp.minimum(jnp.abs(d), 40.0)
    gain = of_larger * jnp.expm1(short)
    alike = (jnp.abs(d) < 40.0) & (gain < 1.0)
    farthest = jnp.where(alike, -jnp.log1p(jnp.where(alike, gain, 0.0)), nearest - jnp.abs(d))
    return jnp.where(d >= 0.0, nearest, farthest), jnp.where(d >= 0.0, farthest, nearest)


def _js_value(a, b, d, weight):
    u, v = _log_ratios_to_mixture(d, weight)
    log_m = jnp.where(d >= 0.0, a - u, b - v)
    u, v = jnp.where(a == -jnp.inf, -jnp.inf, u), jnp.where(b == -jnp.inf, -jnp.inf, v)
    return _share(weight, _kl_value(a, log_m, u)) + _share(1.0 - weight, _kl_value(b, log_m, v))


def _share(weight, part):
    """weight · part, 0 where an infinite part has no weight."""
    none = (weight == 0.0) & jnp.isinf(part)
    return weight * jnp.where(none, 0.0, part)


def _js_partials(a, b, d, weight):
    u, v = _log_ratios_to_mixture(d, weight)
    return weight * jnp.exp(a) * u, (1.0 - weight) * jnp.exp(b) * v


def _halfway_value(a, b, d):
    """At w = ½ the term is m (t tanh t − log cosh t), t = d/2: even powers alone where p ≈ q."""
    near, excess = nu.log_cosh_excess(0.5 * d)
    u, v = nu.logs_over_mean(d)
    p, q = jnp.exp(a), jnp.exp(b)
    return 0.5 * jnp.where(near, (p + q) * excess, p * nu.finite(u) + q * nu.finite(v))


def _halfway_partials(a, b, d):
    u, v = nu.logs_over_mean(d)
    return 0.5 * jnp.exp(a) * nu.finite(u), 0.5 * jnp.exp(b) * nu.finite(v)


_skewed = with_partials(_js_value, _js_partials, bounded=True)
_halfway = with_partials(_halfway_value, _halfway_partials, bounded=True)


@measured_on(Nodes)
def jensen_shannon(nodes: Nodes, *, weight: ArrayLike = 0.5) -> Scalar:
    """How far p and q are from their mixture, on average: w KL(p‖m) + (1−w) KL(q‖m), m = w p + (1−w) q, in nats.

    In [0, −w log w − (1−w) log(1−w)], at most log 2, finite for any supports (Lin 1991; other weights: Huszár 2015).
    weight: w in [0, 1]; symmetric at ½. The value divided by w tends to KL(p‖q) as w → 0, divided by 1−w to KL(q‖p) as
    w → 1. Raises ValueError for a weight outside [0, 1].

    Examples:
        >>> p, q = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.0, 1.0]))
        >>> round(float(dj.jensen_shannon(dj.pmf(p, q))), 3)
        0.693
    """
    weight = checks.parameter(weight, "weight", 0.0, 1.0)
    if isinstance(weight, float) and weight == 0.5:  # in half of the time
        return total(_halfway, nodes)
    return total(_skewed, nodes, weight)


_squared_hellinger = with_partials(f_terms.squared_hellinger, f_terms.squared_hellinger_slopes, bounded=True)


@measured_on(Nodes)
def squared_hellinger(nodes: Nodes) -> Scalar:
    """One minus the overlap of the roots of p and q: 1 − ∫ √(p q) = ½ ∫ (√p − √q)², in [0, 1] (Hellinger 1909).

    Symmetric; 1 where p and q have nothing in common. Its root is a metric.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.squared_hellinger(dj.pmf(p, q))), 4)
        0.0341
    """
    return total(_squared_hellinger, nodes)


def _pearson_partials(a, b, d):
    p, squares = jnp.exp(a), nu.bounded_exp(a + nu.finite(d))
    return 2.0 * (squares - p), jnp.exp(b) - squares


_pearson_chi2 = with_partials(f_terms.pearson_chi2, _pearson_partials)
_neyman_chi2 = with_partials(f_terms.swapped(f_terms.pearson_chi2), _swap_partials(_pearson_partials))


@measured_on(Nodes, infinite=lambda places: places.power(2.0, -1.0), orders=lambda: (2.0,))
def pearson_chi2(nodes: Nodes) -> Scalar:
    """The mean squared relative error of p as seen from q: ∫ (p − q)² / q ≥ 0 (Pearson 1900).

    +inf where q = 0 < p, or where it exceeds the dtype. To fit with it from far away, minimise ``renyi(alpha=2)`` =
    log(1 + χ²) instead: same optimum, no overflow.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.pearson_chi2(dj.pmf(p, q))), 4)
        0.3333
    """
    return total(_pearson_chi2, nodes)


@measured_on(Nodes, infinite=lambda places: places.power(-1.0, 2.0), orders=lambda: (-1.0,))
def neyman_chi2(nodes: Nodes) -> Scalar:
    """Pearson's χ² divergence with p and q exchanged: ∫ (p − q)² / p ≥ 0 (Neyman 1949).

    +inf where p = 0 < q, or where it exceeds the dtype.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.neyman_chi2(dj.pmf(p, q))), 3)
        0.25
    """
    return total(_neyman_chi2, nodes)


_triangular = with_partials(f_terms.triangular, f_terms.triangular_slopes, bounded=True)


@measured_on(Nodes)
def triangular(nodes: Nodes) -> Scalar:
    """A symmetric χ² divergence with a bound: ∫ (p − q)² / (p + q), in [0, 2] (Le Cam 1986; Topsøe 2000).

    2 where p and q have nothing in common. Its root is a metric.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.triangular(dj.pmf(p, q))), 4)
        0.1333
    """
    return total(_triangular, nodes)


_total_variation = with_partials(f_terms.total_variation, f_terms.total_variation_slopes, bounded=True)


@measured_on(Nodes, kinked=True)
def total_variation(nodes: Nodes) -> Scalar:
    """The most by which p and q differ on any event: ½ ∫ |p − q|, in [0, 1] (Jordan 1881). A metric.

    Its gradient at p = q is taken as 0. It has a kink wherever p = q: nodes should be laid there, as ``dj.quadrature``
    does.

    Examples:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.total_variation(dj.pmf(p, q))), 3)
        0.25
    """
    return total(_total_variation, nodes)
