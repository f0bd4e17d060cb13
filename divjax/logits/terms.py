"""The elementwise terms of the f-divergences on (log p, log q), and their slopes.

Every divergence here is S = Σ_v t(p_v, q_v) with t 1-homogeneous and the generator normalised to f(1) =
f'(1) = 0, so each term is ≥ 0 and nothing cancels when p ≈ q. A ``Term`` holds t and its two slopes

    slope_p = ∂t / ∂log p,      slope_q = ∂t / ∂log q      (slope_p + slope_q = t, by Euler's theorem).

All three take ``(log_p, log_q, log_ratio, *params)``. ``log_ratio`` is log p − log q, handed over separately
because who calls can often form it with less rounding than the difference of two rounded logarithms; it is 0
where both probabilities are 0, ``+inf`` where only q is 0 and ``-inf`` where only p is 0.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.polynomial import Polynomial, polyval

from divjax import numerics as nu
from divjax.numerics import f_terms

# Below this |log ratio| the Taylor series take over from differences of exponentials.
_NEAR = 0.5
# In place of infinity where it is multiplied by what may be 0.
_HUGE = 1e30


class Term(NamedTuple):
    """One divergence: its term, both slopes, and which slope sums to zero whatever p and q are.

    ``balanced_q`` says Σ slope_q = 0 for all pmfs, as Σ (q − p) = 0 for kl: one sum less to stream.
    """

    value: Callable[..., Array]
    slope_p: Callable[..., Array]
    slope_q: Callable[..., Array]
    balanced_p: bool = False
    balanced_q: bool = False


def _near(log_ratio: Array, reach: Array | float = 1.0) -> tuple[Array, Array]:
    """Where abs(log_ratio) · reach is small, and the ratio there (0 elsewhere: half of a double where)."""
    near = jnp.abs(log_ratio) * reach < _NEAR
    return near, jnp.where(near, log_ratio, 0.0)


def _times(density: Array, factor: Array) -> Array:
    """density · factor with 0 · inf = 0."""
    positive = density > 0
    return jnp.where(positive, density * jnp.where(positive, factor, 0.0), 0.0)


# Kullback-Leibler (1951): t = p log(p/q) − p + q.
# Infinite only where the density whose partner is 0 has not underflowed, as a masked entry of −1e9 has.


def _kl(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    infinite = (log_ratio == jnp.inf) & (jnp.exp(log_p) > 0.0)
    return jnp.where(infinite, jnp.inf, f_terms.kl(log_p, log_q, log_ratio))


def _kl_slope_p(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    return _times(jnp.exp(log_p), log_ratio)


def _kl_slope_q(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    return -nu.difference(log_p, log_q, log_ratio)


# Jeffreys (1946): t = (p − q) log(p/q).


def _jeffreys(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    infinite = jnp.isinf(log_ratio) & (jnp.exp(jnp.maximum(log_p, log_q)) > 0.0)
    return jnp.where(infinite, jnp.inf, f_terms.jeffreys(log_p, log_q, log_ratio))


def _jeffreys_slope_p(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    return _times(jnp.exp(log_p), log_ratio) + nu.difference(log_p, log_q, log_ratio)


def _jeffreys_slope_q(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    return -_times(jnp.exp(log_q), log_ratio) - nu.difference(log_p, log_q, log_ratio)


# Jensen-Shannon (Lin 1991), skewed: m = w p + (1 − w) q, t = −w p log(m/p) − (1 − w) q log(m/q). As t is m times
# the Kullback-Leibler divergence of two Bernoullis whose logits differ by r = log p/q, its Taylor series is
# m Σ_k≥2 κ_k r^k (k − 1)/k!, with the cumulants κ_k of Bernoulli(w).
# The term of ``divergences.jensen_shannon``, whose logarithms are exact for any w in [0, 1], takes 1.6 times as long.


@functools.cache
def _cumulant_polynomials(num: int) -> tuple[np.ndarray, ...]:
    """κ_2, ..., κ_(num+1) of Bernoulli(w), in powers of s = w (1 − w), over s for even k and s (1 − 2 w) for odd.

    From κ_(k+1) = s ∂κ_k/∂w: no cancellation near either end of w.
    """
    s, square = Polynomial([0.0, 1.0]), Polynomial([1.0, -4.0])  # (1 − 2 w)² = 1 − 4 s
    polynomials = [Polynomial([1.0])]
    for k in range(2, num + 1):
        kappa = s * polynomials[-1]
        polynomials.append(kappa.deriv() if k % 2 == 0 else square * kappa.deriv() - 2.0 * kappa)
    return tuple(p.coef for p in polynomials)


def _halfway_ratios(log_ratio: Array) -> tuple[Array, Array]:
    """(log m/p, log m/q) at w = ½: off by 1e-7, less than the last bit of the logits they came from.

    So log1p and expm1, which take half as long again, buy nothing.
    """
    below = jnp.log(0.5 + 0.5 * jnp.exp(-jnp.abs(log_ratio)))
    return below - jnp.minimum(log_ratio, 0.0), below + jnp.maximum(log_ratio, 0.0)


def _mixture_ratios(log_ratio: Array, weight: Array) -> tuple[Array, Array]:
    """(log m/p, log m/q), each to full relative accuracy also where the weight is close to 0 or 1.

    With l the weight of the larger density: log(m/smaller) = log1p(l (e^|r| − 1)) where l < ½, and else
    log(m/larger) = log1p((1 − l) (e^−|r| − 1)). The other is |r| away.
    """
    distance, above = jnp.abs(log_ratio), log_ratio > 0
    share, other = jnp.where(above, weight, 1.0 - weight), jnp.where(above, 1.0 - weight, weight)
    minor = share < 0.5
    # Short of overflow; where it binds, m is the larger density's share alone.
    reach = jnp.where(minor, jnp.minimum(distance, 80.0), 0.0)
    log = jnp.log1p(jnp.where(minor, share, other) * jnp.expm1(jnp.where(minor, reach, -distance)))
    larger, smaller = log - reach, log + (distance - reach)
    return jnp.where(above, larger, smaller), jnp.where(above, smaller, larger)


def _weight_and_ratios(log_ratio: Array, weight: tuple[Array, ...]) -> tuple[Array | float, Array, Array]:
    return (weight[0], *_mixture_ratios(log_ratio, weight[0])) if weight else (0.5, *_halfway_ratios(log_ratio))


def _bernoulli_series(r: Array, weight: tuple[Array, ...]) -> Array:
    """Σ_k≥2 κ_k r^k (k − 1)/k!, which at w = ½ has even powers only."""
    polynomials = _cumulant_polynomials(20 if r.dtype == jnp.float64 else 8)
    scaled = [(k - 1) / math.factorial(k) * p for k, p in enumerate(polynomials, 2)]
    if not weight:
        return 0.25 * r * r * nu.polynomial(r * r, [float(polyval(0.25, p)) for p in scaled[::2]])
    s, odd = weight[0] * (1.0 - weight[0]), 1.0 - 2.0 * weight[0]
    coefficients = [nu.polynomial(s, list(p)) * (odd if i % 2 else 1.0) for i, p in enumerate(scaled)]
    return s * r * r * nu.polynomial(r, coefficients)


def _jensen_shannon(log_p: Array, log_q: Array, log_ratio: Array, *weight: Array) -> Array:
    near, r = _near(log_ratio)
    w, to_p, to_q = _weight_and_ratios(log_ratio, weight)
    larger = jnp.exp(jnp.maximum(log_p, log_q))
    smaller = larger * jnp.exp(-jnp.abs(log_ratio))
    above = log_ratio > 0
    p, q = w * jnp.where(above, larger, smaller), (1.0 - w) * jnp.where(above, smaller, larger)
    # Infinite only where its density is 0.
    far = -p * jnp.minimum(to_p, _HUGE) - q * jnp.minimum(to_q, _HUGE)
    return jnp.where(near, (p + q) * _bernoulli_series(r, weight), far)


def _jensen_shannon_slope_p(log_p: Array, log_q: Array, log_ratio: Array, *weight: Array) -> Array:
    w, to_p, _ = _weight_and_ratios(log_ratio, weight)
    return -w * jnp.exp(log_p) * jnp.minimum(to_p, _HUGE)


def _jensen_shannon_slope_q(log_p: Array, log_q: Array, log_ratio: Array, *weight: Array) -> Array:
    w, _, to_q = _weight_and_ratios(log_ratio, weight)
    return (w - 1.0) * jnp.exp(log_q) * jnp.minimum(to_q, _HUGE)


# The alpha family (Amari; Minka 2005): t = (a p + (1 − a) q − p^a q^(1−a)) / (a (1 − a)).
# Its Taylor series in r = log p/q is q Σ_k≥2 r^k/k! (1 + a + … + a^(k−2)): smooth through a = 0 and a = 1.
# The sum of both slopes, which a gradient needs anyway; with that of ``divergences`` one takes a fifth longer.


def log_blend(log_p: Array, log_q: Array, alpha: Array) -> Array:
    """a log p + (1 − a) log q, with −1e30 for log 0: times 0 that is 0, and the slope in a stays finite."""
    return alpha * jnp.maximum(log_p, -_HUGE) + (1.0 - alpha) * jnp.maximum(log_q, -_HUGE)


def _alpha_slope(log_a: Array, blend: Array, log_ratio: Array, power: Array) -> Array:
    """(a − exp(blend)) / power, where exp(blend) = a exp(power · log_ratio); −a log_ratio at power = 0."""
    a = jnp.exp(log_a)
    near, x = _near(power * jnp.clip(log_ratio, -_HUGE, _HUGE))
    exprel = nu.exp_slope(x)
    far = (a - jnp.exp(blend)) / jnp.where(power == 0, 1.0, power)
    return jnp.where(near, -_times(a, log_ratio) * exprel, far)


def _alpha(log_p: Array, log_q: Array, log_ratio: Array, alpha: Array) -> Array:
    near, r = _near(log_ratio, jnp.maximum(1.0, jnp.maximum(jnp.abs(alpha), jnp.abs(1.0 - alpha))))
    series = jnp.exp(log_q) * nu.power_excess(alpha, r)
    # Outside [0, 1] the blend may overflow, and the slopes are then +inf and -inf.
    infinite = jnp.isposinf(jnp.exp(log_blend(log_p, log_q, alpha)))
    slopes = _alpha_slope_p(log_p, log_q, log_ratio, alpha) + _alpha_slope_q(log_p, log_q, log_ratio, alpha)
    return jnp.where(near, series, jnp.where(infinite, jnp.inf, jnp.maximum(slopes, 0.0)))


def _alpha_slope_p(log_p: Array, log_q: Array, log_ratio: Array, alpha: Array) -> Array:
    return _alpha_slope(log_p, log_blend(log_p, log_q, alpha), -log_ratio, 1.0 - alpha)


def _alpha_slope_q(log_p: Array, log_q: Array, log_ratio: Array, alpha: Array) -> Array:
    return _alpha_slope(log_q, log_blend(log_p, log_q, alpha), log_ratio, alpha)


# Pearson's chi-squared (1900): t = (p − q)² / q, with p²/q as one exponential.


def _growth(r: Array) -> Array:
    """p/q − 1 where p ≈ q. By its series: with expm1 value and gradient take 15 % longer (128 rows of 32,000)."""
    return r * nu.exp_slope(r)


def _pearson(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    return f_terms.pearson_chi2(log_p, log_q, log_ratio, excess=_growth)


def _square_over(log_p: Array, log_ratio: Array) -> Array:
    return jnp.exp(jnp.where(jnp.isneginf(log_p), -jnp.inf, log_p + jnp.where(jnp.isneginf(log_p), 0.0, log_ratio)))


def _pearson_slope_p(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    near, r = _near(log_ratio)
    p = jnp.exp(log_p)
    return 2.0 * jnp.where(near, p * r * nu.exp_slope(r), _square_over(log_p, log_ratio) - p)


def _pearson_slope_q(log_p: Array, log_q: Array, log_ratio: Array) -> Array:
    near, r = _near(log_ratio)
    q, growth = jnp.exp(log_q), _growth(r)
    return jnp.where(near, -q * growth * (growth + 2.0), q - _square_over(log_p, log_ratio))


def _apart(slopes: Callable[..., f_terms.Slopes]) -> tuple[Callable[..., Array], Callable[..., Array]]:
    return lambda *args: slopes(*args)[0], lambda *args: slopes(*args)[1]


def swap(term: Term) -> Term:
    """The term with p and q exchanged."""
    value, slope_p, slope_q = map(f_terms.swapped, term[:3])
    return Term(value, slope_q, slope_p, term.balanced_q, term.balanced_p)


KL = Term(_kl, _kl_slope_p, _kl_slope_q, balanced_q=True)
REVERSE_KL = swap(KL)
JEFFREYS = Term(_jeffreys, _jeffreys_slope_p, _jeffreys_slope_q)
# With no parameter w = ½, what everybody uses and the cheapest to get right; else w is the parameter.
JENSEN_SHANNON = Term(_jensen_shannon, _jensen_shannon_slope_p, _jensen_shannon_slope_q)
ALPHA = Term(_alpha, _alpha_slope_p, _alpha_slope_q)
SQUARED_HELLINGER = Term(f_terms.squared_hellinger, *_apart(f_terms.squared_hellinger_slopes))
PEARSON = Term(_pearson, _pearson_slope_p, _pearson_slope_q)
NEYMAN = swap(PEARSON)
TRIANGULAR = Term(f_terms.triangular, *_apart(f_terms.triangular_slopes))
TOTAL_VARIATION = Term(f_terms.total_variation, *_apart(f_terms.total_variation_slopes))


@functools.lru_cache(maxsize=128)
def generated(f: Callable[..., Float[Array, ""]]) -> Term:
    """The term of a user's generator ``f(ratio, *params)``, a scalar function, normalised by f(1) and f'(1).

    Written as q f(p/q) where p < q and as p f(p/q)/(p/q) where p > q, so that neither overflows before f
    does. The ratio is clipped where its square would leave the dtype's range: beyond that the value is the
    clipped ratio's.
    """

    def parts(log_p: Array, log_q: Array, log_ratio: Array, *params: Array) -> tuple[Array, Array, Array]:
        reach = 0.49 * jnp.log(jnp.finfo(log_ratio.dtype).max)
        ratio = jnp.exp(jnp.clip(log_ratio, -reach, reach))
        with_slope = lambda x: jax.value_and_grad(f)(x, *params)  # noqa: E731
        height, slope = jax.vmap(with_slope)(ratio.ravel())
        at_one, slope_at_one = with_slope(jnp.ones((), ratio.dtype))
        height = height.reshape(ratio.shape) - at_one - slope_at_one * (ratio - 1.0)
        above = log_ratio > 0
        larger = jnp.exp(jnp.where(above, log_p, log_q))
        scale = jnp.where(above, 1.0 / ratio, 1.0)
        return height * scale * larger, slope.reshape(ratio.shape) - slope_at_one, ratio * scale * larger

    def value(*args: Array) -> Array:
        return parts(*args)[0]

    def slope_p(*args: Array) -> Array:
        _, slope, p = parts(*args)
        return p * slope

    def slope_q(*args: Array) -> Array:
        total, slope, p = parts(*args)
        return total - p * slope

    return Term(value, slope_p, slope_q)


# Not a divergence: exp(a log p + (1 − a) log q − shift), the scaled integrand of the Rényi affinity.


def _blend(log_p: Array, log_q: Array, log_ratio: Array, alpha: Array, shift: Array) -> Array:
    return jnp.exp(log_blend(log_p, log_q, alpha) - shift)


BLEND = Term(_blend, lambda *args: args[3] * _blend(*args), lambda *args: (1.0 - args[3]) * _blend(*args))
