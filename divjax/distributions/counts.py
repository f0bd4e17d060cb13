"""Families on 0, 1, 2, ..., and what all on the integers share: a log-density is −inf at what is no integer."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammainc, gammaincc
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.decay import LEVEL, Decay, Ends
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member, repeated
from divjax.distributions.family import HALF_LINE, Family
from divjax.numerics.factorials import deviance, factorial_excess
from divjax.numerics.incomplete import betainc

LEFT_OUT = 1e-13  # what may be left out of a grid on either side
LONGEST = 2**20  # of a grid


# --- What all of them share --------------------------------------------------------------------------------


def on_integers(
    log_prob: Callable[[Any, Array], Array],
    low: Callable[[Any], Array | float] = lambda params: 0.0,
    high: Callable[[Any], Array | float] = lambda params: math.inf,
) -> Callable[[Any, Array], Array]:
    """The log-density of the integers from low to high by ``log_prob``, which sees no others; −inf elsewhere."""

    def held(params, x):
        x = jnp.asarray(x, jnp.result_type(*jax.tree.leaves(params)))
        inside = (x >= low(params)) & (x <= high(params)) & (x == jnp.floor(x)) & (x < jnp.inf)
        return jnp.where(inside, log_prob(params, jnp.where(inside, x, 0.0)), -jnp.inf)

    return held


def known(ask: Callable[[Any], Any], params: Any) -> list[np.ndarray] | None:
    """What ``ask`` of the parameters returns, in float64; None while tracing, but for a derivative without ``jit``."""
    peeled = [jax.lax.stop_gradient(x) if isinstance(x, jax.core.Tracer) else x for x in jax.tree.leaves(params)]
    if any(isinstance(leaf, jax.core.Tracer) for leaf in peeled):
        return None
    with jax.ensure_compile_time_eval():
        found = ask(jax.tree.structure(params).unflatten(peeled))
        return [np.asarray(value, np.float64) for value in found]


def window(rate: Callable[[np.ndarray], np.ndarray], mean: np.ndarray) -> np.ndarray | None:
    """The integers that P(X ≥ x), P(X ≤ x) ≤ e^(−rate(x)) (Chernoff) does not rule out, of every member of a batch.

    ``rate`` grows with the distance from the mean on either side. None where they are too many.
    """
    if not np.all(np.isfinite(mean)):
        return None
    low, high = np.zeros_like(mean), 2.0 * mean + 64.0
    with np.errstate(divide="ignore", invalid="ignore"):
        while np.any(short := (rate(high) < -math.log(LEFT_OUT)) & (high < 2.0 * LONGEST + 2.0 * mean)):
            high = np.where(short, 2.0 * high, high)
        above, below = _border(rate, mean, high), _border(rate, mean, low)
    first, last = np.min(np.floor(below)), np.max(np.ceil(above))
    return np.arange(int(first), int(last) + 1) if last - first < LONGEST else None


def _border(rate, inside, outside):
    """Where the rate passes what may be left out, by bisection; the outer end where it does nowhere."""
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        ruled_out = rate(middle) >= -math.log(LEFT_OUT)
        inside, outside = np.where(ruled_out, inside, middle), np.where(ruled_out, middle, outside)
    return outside


# --- Chances -----------------------------------------------------------------------------------------------


def log_chance(chance: gaps.Chance) -> tuple[Array, Array]:
    """log of the probabilities of success and of failure; −inf with derivative 0 where one is 0."""
    if chance.logit is not None:
        return -jax.nn.softplus(-chance.logit), -jax.nn.softplus(chance.logit)
    if chance.success is not None:
        return nu.safe_log(chance.success), _log1m(chance.success)
    return _log1m(chance.failure), nu.safe_log(chance.failure)


def _log1m(x: Array) -> Array:
    short = x < 1.0
    return jnp.where(short, jnp.log1p(-jnp.where(short, x, 0.0)), -jnp.inf)


def both(chance: gaps.Chance) -> tuple[Array, Array]:
    """The probabilities of success and of failure."""
    if chance.logit is not None:
        return jax.nn.sigmoid(chance.logit), jax.nn.sigmoid(-chance.logit)
    if chance.success is not None:
        return chance.success, 1.0 - chance.success
    return 1.0 - chance.failure, chance.failure


def log_share(x: Array, y: Array) -> Array:
    """log(x/(x + y)) for x > 0, y ≥ 0, to full precision for y ≪ x, and with a derivative for tiny x too."""
    n = x + y
    plain = (n > 1e-15) & (x > 1e-20 * n)  # where neither a quotient nor its derivative underflows
    most, least = plain & (y < x), plain & (y >= x)
    above = -jnp.log1p(jnp.where(most, y, 0.0) / jnp.where(most, x, 1.0))
    below = jnp.log(jnp.where(least, x, 1.0) / jnp.where(least, n, 1.0))
    return jnp.where(plain, above + below, jnp.log(x) - jnp.log(n))


def two_deviances(x: Array, y: Array, log_s: Array, log_f: Array) -> Array:
    """x log(x/(n s)) + y log(y/(n f)) ≥ 0 of n = x + y tries, for s + f = 1: nothing cancels."""
    n = x + y
    safe_x, safe_y = jnp.where(x > 0.0, x, 1.0), jnp.where(y > 0.0, y, 1.0)
    successes = deviance(x, n * jnp.exp(log_s), log_s - log_share(safe_x, y))
    return successes + deviance(y, n * jnp.exp(log_f), log_f - log_share(safe_y, x))


def log_binomial(x: Array, y: Array, log_s: Array, log_f: Array) -> Array:
    """log of C(x + y, x) s^x f^y, for real x, y ≥ 0 too."""
    choose = factorial_excess(x + y) - factorial_excess(x) - factorial_excess(y)
    return choose - two_deviances(x, y, log_s, log_f)


# --- Poisson -----------------------------------------------------------------------------------------------


def _rate(params: gaps.Rate) -> Array:
    return params.rate if params.log_rate is None else nu.bounded_exp(params.log_rate)


def _poisson_log_prob(params: gaps.Rate, x: Array) -> Array:
    safe = jnp.where(x > 0.0, x, 1.0)
    given = params.rate is not None
    log_ratio = nu.log_quotient(params.rate, safe) if given else params.log_rate - jnp.log(safe)
    return -factorial_excess(x) - deviance(x, _rate(params), log_ratio)


def _poisson_tails(params: gaps.Rate, x: Array) -> tuple[Array, Array]:
    next_ = jnp.maximum(jnp.floor(x), 0.0) + 1.0
    rate = jnp.broadcast_to(_rate(params), next_.shape)
    return gammaincc(next_, rate), gammainc(next_, rate)


def _poisson_grid(params: gaps.Rate) -> np.ndarray | None:
    values = known(lambda params: (_rate(params),), params)
    if values is None:
        return None
    (mean,) = values
    return window(lambda x: np.where(x > 0.0, x * np.log(x / mean), 0.0) - x + mean, mean)


POISSON = Family(
    name="Poisson",
    parameters=lambda rate=None, log_rate=None: gaps.Rate(rate, log_rate),
    log_prob=on_integers(_poisson_log_prob),
    support=lambda params: HALF_LINE,
    tails=_poisson_tails,
    draw=lambda key, params, shape: jax.random.poisson(key, _rate(params), shape + _rate(params).shape),
    pathwise=False,
    discrete=True,
    grid=_poisson_grid,
    member=lambda params: Member(gaps.POISSON, "Poisson", params),
    # Like e^(−x log x), whatever the rate: between a power of order 1 and all that are higher.
    decay=lambda params: (LEVEL, Decay(order=1.5)),
)


# --- Geometric and negative binomial -----------------------------------------------------------------------


class WaitingParameters(NamedTuple):
    """Failures before ``count`` successes; of the chance, as it was given, two are None."""

    count: Float[Array, ""]
    success: Float[Array, ""] | None = None
    failure: Float[Array, ""] | None = None
    logit: Float[Array, ""] | None = None


def _chance(params: WaitingParameters) -> gaps.Chance:
    return gaps.Chance(*params[1:])


def _geometric_log_prob(params: gaps.Chance, x: Array) -> Array:
    log_s, log_f = log_chance(params)
    some = x > 0.0
    return log_s + jnp.where(some, x * jnp.where(some, log_f, 0.0), 0.0)


def _geometric_tails(params: gaps.Chance, x: Array) -> tuple[Array, Array]:
    above = log_chance(params)[1] * (jnp.maximum(jnp.floor(x), 0.0) + 1.0)
    return -jnp.expm1(above), jnp.exp(above)


def _geometric_draw(key: Array, params: gaps.Chance, shape: tuple[int, ...]) -> Array:
    _, log_f = log_chance(params)
    return jnp.floor(jax.random.exponential(key, shape + log_f.shape, log_f.dtype) / -log_f)


def _failures_grid(count: Array | float, chance: gaps.Chance) -> np.ndarray | None:
    values = known(lambda params: (params[0], *both(params[1])), (count, chance))
    if values is None:
        return None
    r, s, f = values

    def rate(x):
        some = np.where(x > 0.0, x * np.log(x / (f * (x + r))), 0.0)
        return some + r * np.log(r / (s * (x + r)))

    with np.errstate(divide="ignore"):
        return window(rate, r * f / s)


def _failures_decay(count: Array | float, chance: gaps.Chance) -> Ends:
    """f^x x^(count − 1)"""
    return LEVEL, Decay(order=1.0, width=-1.0 / log_chance(chance)[1], power=1.0 - count)


GEOMETRIC = Family(
    name="Geometric",
    parameters=gaps.Chance,
    log_prob=on_integers(_geometric_log_prob),
    support=lambda params: HALF_LINE,
    tails=_geometric_tails,
    draw=_geometric_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: _failures_grid(1.0, params),
    member=lambda params: Member(gaps.GEOMETRIC, "Geometric", params),
    decay=lambda params: _failures_decay(1.0, params),
)


def _negative_binomial_log_prob(params: WaitingParameters, x: Array) -> Array:
    log_s, log_f = log_chance(_chance(params))
    return log_share(params.count, x) + log_binomial(params.count, x, log_s, log_f)


def _negative_binomial_tails(params: WaitingParameters, x: Array) -> tuple[Array, Array]:
    next_ = jnp.maximum(jnp.floor(x), 0.0) + 1.0
    s, f, count, next_ = jnp.broadcast_arrays(*both(_chance(params)), params.count, next_)
    return betainc(count, next_, s), betainc(next_, count, f)


def _negative_binomial_draw(key: Array, params: WaitingParameters, shape: tuple[int, ...]) -> Array:
    """A Poisson variable whose rate is a gamma variable."""
    first, second = jax.random.split(key)
    log_s, log_f = log_chance(_chance(params))
    gamma = jax.random.gamma(first, params.count, shape + params.count.shape, params.count.dtype)
    return jax.random.poisson(second, gamma * jnp.exp(log_f - log_s))


NEGATIVE_BINOMIAL = Family(
    name="NegativeBinomial",
    parameters=WaitingParameters,
    log_prob=on_integers(_negative_binomial_log_prob),
    support=lambda params: HALF_LINE,
    tails=_negative_binomial_tails,
    draw=_negative_binomial_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: _failures_grid(params.count, _chance(params)),
    member=lambda params: Member(
        repeated(gaps.GEOMETRIC), "NegativeBinomial", (params.count, _chance(params)), frame=params.count
    ),
    decay=lambda params: _failures_decay(params.count, _chance(params)),
)
