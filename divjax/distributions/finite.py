"""Families on finitely many values."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.counts import (
    LONGEST,
    both,
    known,
    log_binomial,
    log_chance,
    log_share,
    on_integers,
    two_deviances,
)
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.family import Member, Square, repeated
from divjax.distributions.family import UNIT, Family
from divjax.numerics.factorials import deviance, factorial_excess
from divjax.numerics.incomplete import betainc


def up_to(count: Array) -> np.ndarray | None:
    """0, 1, ..., count; None where it is not known."""
    values = known(lambda count: (count,), count)
    if values is None or not np.all(values[0] < LONGEST):
        return None
    return np.arange(int(np.max(values[0])) + 1)


# --- Bernoulli and binomial --------------------------------------------------------------------------------


class BernoulliParameters(NamedTuple):
    """The probability of 1, or its logit; the other is None."""

    probs: Float[Array, ""] | None = None
    logits: Float[Array, ""] | None = None


class BinomialParameters(NamedTuple):
    """Successes among ``count`` tries, by their probability or its logit; the other is None."""

    count: Float[Array, ""]
    probs: Float[Array, ""] | None = None
    logits: Float[Array, ""] | None = None


def _of_one(params: BernoulliParameters | BinomialParameters) -> gaps.Chance:
    return gaps.Chance(success=params.probs, logit=params.logits)


def two_masses(params: BernoulliParameters | BinomialParameters) -> gaps.Pmf:
    """(1 − p, p) as an exponential family takes it, with what rounding took from 1 − p."""
    if params.probs is None:
        logits = jnp.stack([jnp.zeros_like(params.logits), params.logits], axis=-1)
        return gaps.Pmf(None, logits, jnp.ones_like(params.logits))
    p = params.probs
    other = 1.0 - p
    rest = (1.0 - other) - p
    rest = jnp.stack([rest, jnp.zeros_like(p)], axis=-1)
    return gaps.Pmf(jnp.stack([other, p], axis=-1), None, jnp.ones_like(p), rest)


def _pmf_log_norm(pmf: gaps.Pmf) -> Array:
    if pmf.logits is None:
        return jnp.log(jnp.sum(pmf.probs**2)) - 2.0 * jnp.log(jnp.sum(pmf.probs))
    logsumexp = jax.scipy.special.logsumexp
    return logsumexp(2.0 * pmf.logits) - 2.0 * logsumexp(pmf.logits)


def pmf_member(tag: str, pmf: gaps.Pmf) -> Member:
    """A probability mass function as the member of an exponential family."""
    square = Square(lambda theta: theta._replace(power=2.0 * theta.power), _pmf_log_norm)
    return Member(gaps.CATEGORICAL, tag, pmf, square=square)


def _bernoulli_log_prob(params: BernoulliParameters, x: Array) -> Array:
    log_s, log_f = log_chance(_of_one(params))
    return jnp.where(x > 0.5, log_s, log_f)


def _bernoulli_tails(params: BernoulliParameters, x: Array) -> tuple[Array, Array]:
    p, other = both(_of_one(params))
    return jnp.where(x < 1.0, other, 1.0), jnp.where(x < 1.0, p, 0.0)


def _bernoulli_draw(key: Array, params: BernoulliParameters, shape: tuple[int, ...]) -> Array:
    p, _ = both(_of_one(params))
    return jax.random.bernoulli(key, p, shape + p.shape).astype(jnp.int32)


BERNOULLI = Family(
    name="Bernoulli",
    parameters=BernoulliParameters,
    chances=("probs",),
    log_prob=on_integers(_bernoulli_log_prob, high=lambda params: 1.0),
    support=lambda params: UNIT,
    tails=_bernoulli_tails,
    draw=_bernoulli_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: np.arange(2),
    member=lambda params: pmf_member("Bernoulli", two_masses(params)),
)


def _binomial_log_prob(params: BinomialParameters, x: Array) -> Array:
    return log_binomial(x, params.count - x, *log_chance(_of_one(params)))


def _binomial_tails(params: BinomialParameters, x: Array) -> tuple[Array, Array]:
    inside = x < params.count
    x = jnp.where(inside, jnp.maximum(jnp.floor(x), 0.0), 0.0)
    rest = jnp.where(inside, params.count - x, 1.0)
    x, rest, p, other = jnp.broadcast_arrays(x, rest, *both(_of_one(params)))
    below, above = betainc(rest, x + 1.0, other), betainc(x + 1.0, rest, p)
    return jnp.where(inside, below, 1.0), jnp.where(inside, above, 0.0)


def _binomial_draw(key: Array, params: BinomialParameters, shape: tuple[int, ...]) -> Array:
    p, _ = both(_of_one(params))
    return jax.random.binomial(key, params.count, p, shape + p.shape, p.dtype)


BINOMIAL = Family(
    name="Binomial",
    parameters=BinomialParameters,
    chances=("probs",),
    log_prob=on_integers(_binomial_log_prob, high=lambda params: params.count),
    support=lambda params: (0.0, params.count),
    tails=_binomial_tails,
    draw=_binomial_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: up_to(params.count),
    member=lambda params: Member(
        repeated(gaps.CATEGORICAL), "Binomial", (params.count, two_masses(params)), frame=params.count
    ),
)


# --- Beta-binomial -----------------------------------------------------------------------------------------


class BetaBinomialParameters(NamedTuple):
    """Successes among ``count`` tries, whose probability is a beta variable."""

    count: Float[Array, ""]
    concentration1: Float[Array, ""]
    concentration0: Float[Array, ""]


def _log_beta_rest(a: Array, b: Array) -> Array:
    """log B(a, b) − a log(a/(a + b)) − b log(b/(a + b))."""
    excess = factorial_excess(a) + factorial_excess(b) - factorial_excess(a + b)
    return excess + jnp.log(a + b) - jnp.log(a) - jnp.log(b)


def _beta_binomial_log_prob(params: BetaBinomialParameters, x: Array) -> Array:
    """By Bayes: the binomial at the posterior's mean, and what the prior and the posterior lack of its height there."""
    count, a, b = params
    y = count - x
    log_s, log_f = log_share(x + a, y + b), log_share(y + b, x + a)
    rest = _log_beta_rest(x + a, y + b) - _log_beta_rest(a, b)
    return log_binomial(x, y, log_s, log_f) + rest - two_deviances(a, b, log_s, log_f)


def _beta_binomial_draw(key: Array, params: BetaBinomialParameters, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.split(key)
    count, a, b = params
    p = jax.random.beta(first, a, b, shape + a.shape, a.dtype)
    return jax.random.binomial(second, count, p, shape + a.shape, a.dtype)


BETA_BINOMIAL = Family(
    name="BetaBinomial",
    parameters=BetaBinomialParameters,
    log_prob=on_integers(_beta_binomial_log_prob, high=lambda params: params.count),
    support=lambda params: (0.0, params.count),
    draw=_beta_binomial_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: up_to(params.count),
)


# --- Discrete uniform --------------------------------------------------------------------------------------


class Integers(NamedTuple):
    """low, low + 1, ..., high."""

    low: Float[Array, ""]
    high: Float[Array, ""]


def _num(params: Integers) -> Array:
    return params.high - params.low + 1.0


def _uniform_tails(params: Integers, x: Array) -> tuple[Array, Array]:
    x = jnp.clip(jnp.floor(x), params.low - 1.0, params.high)
    return (x - params.low + 1.0) / _num(params), (params.high - x) / _num(params)


def _uniform_draw(key: Array, params: Integers, shape: tuple[int, ...]) -> Array:
    low, high = (jnp.asarray(end, jnp.int32) for end in params)
    return jax.random.randint(key, shape + low.shape, low, high + 1)


def _uniform_grid(params: Integers) -> np.ndarray | None:
    values = known(tuple, params)
    if values is None or np.max(values[1]) - np.min(values[0]) >= LONGEST:
        return None
    return np.arange(int(np.min(values[0])), int(np.max(values[1])) + 1)


def _uniform_member(params: Integers) -> Member:
    """Of counts as of lengths: a common support has its share of the integers."""
    square = Square(lambda theta: theta, lambda theta: -jnp.log(theta.high - theta.low))
    return Member(gaps.UNIFORM, "DiscreteUniform", gaps.Interval(params.low, params.high + 1.0), square=square)


DISCRETE_UNIFORM = Family(
    name="DiscreteUniform",
    parameters=Integers,
    log_prob=on_integers(
        lambda params, x: -jnp.log(_num(params)), lambda params: params.low, lambda params: params.high
    ),
    support=tuple,
    tails=_uniform_tails,
    draw=_uniform_draw,
    pathwise=False,
    discrete=True,
    grid=_uniform_grid,
    member=_uniform_member,
)


# --- Categorical and multinomial ---------------------------------------------------------------------------


class PmfParameters(NamedTuple):
    """Probabilities or their logarithms, [..., k]; the other is None. Neither need be normalised."""

    probs: Float[Array, "*b k"] | None = None
    logits: Float[Array, "*b k"] | None = None


class MultinomialParameters(NamedTuple):
    """How often each value came up in ``count`` draws."""

    count: Float[Array, ""]
    probs: Float[Array, "*b k"] | None = None
    logits: Float[Array, "*b k"] | None = None


def _given(params: PmfParameters | MultinomialParameters) -> Array:
    return params.probs if params.logits is None else params.logits


def _log_masses(params: PmfParameters | MultinomialParameters) -> Array:
    """Normalised, [..., k]; −inf with derivative 0 where a probability is 0."""
    if params.logits is not None:
        return jax.nn.log_softmax(params.logits)
    return nu.safe_log(params.probs) - jnp.log(jnp.sum(params.probs, axis=-1, keepdims=True))


def _masses(params: PmfParameters | MultinomialParameters) -> Array:
    if params.logits is not None:
        return jax.nn.softmax(params.logits)
    return params.probs / jnp.sum(params.probs, axis=-1, keepdims=True)


def _pmf(params: PmfParameters | MultinomialParameters) -> gaps.Pmf:
    return gaps.Pmf(params.probs, params.logits, jnp.ones_like(_given(params)[..., 0]))


def _categorical_log_prob(params: PmfParameters, x: Array) -> Array:
    log_p = _log_masses(params)
    inside = (x >= 0) & (x < log_p.shape[-1]) & (x == jnp.floor(x))
    index = jnp.where(inside, x, 0).astype(jnp.int32)
    if log_p.ndim == 1:
        return jnp.where(inside, log_p[index], -jnp.inf)
    lead = index.ndim + 1 - log_p.ndim
    log_p = log_p.reshape((1,) * lead + log_p.shape)
    return jnp.where(inside, jnp.take_along_axis(log_p, index[..., None], axis=-1)[..., 0], -jnp.inf)


def _categorical_tails(params: PmfParameters, x: Array) -> tuple[Array, Array]:
    p, place = _masses(params), jnp.arange(_given(params).shape[-1])
    below = place <= jnp.asarray(x)[..., None]
    return jnp.sum(jnp.where(below, p, 0.0), axis=-1), jnp.sum(jnp.where(below, 0.0, p), axis=-1)


def _categorical_draw(key: Array, params: PmfParameters, shape: tuple[int, ...]) -> Array:
    log_p = _log_masses(params)
    return jax.random.categorical(key, log_p, shape=shape + log_p.shape[:-1])


CATEGORICAL = Family(
    name="Categorical",
    parameters=PmfParameters,
    core=(1, 1),
    log_prob=_categorical_log_prob,
    support=lambda params: (0.0, _given(params).shape[-1] - 1.0),
    tails=_categorical_tails,
    draw=_categorical_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: np.arange(_given(params).shape[-1]),
    member=lambda params: pmf_member(f"Categorical of {_given(params).shape[-1]}", _pmf(params)),
)


def _one_hot_log_prob(params: PmfParameters, x: Array) -> Array:
    log_p = _log_masses(params)
    on = x == 1
    inside = jnp.all(on | (x == 0), axis=-1) & (jnp.sum(on, axis=-1) == 1)
    return jnp.where(inside, jnp.sum(jnp.where(on, log_p, 0.0), axis=-1), -jnp.inf)


def _one_hot_draw(key: Array, params: PmfParameters, shape: tuple[int, ...]) -> Array:
    return jax.nn.one_hot(_categorical_draw(key, params, shape), _given(params).shape[-1], dtype=jnp.int32)


ONE_HOT = Family(
    name="OneHotCategorical",
    parameters=PmfParameters,
    core=(1, 1),
    event=lambda params: _given(params).shape[-1:],
    log_prob=_one_hot_log_prob,
    support=lambda params: UNIT,
    draw=_one_hot_draw,
    pathwise=False,
    discrete=True,
    grid=lambda params: np.eye(_given(params).shape[-1], dtype=int),
    member=lambda params: pmf_member("OneHotCategorical", _pmf(params)),
)


def _multinomial_log_prob(params: MultinomialParameters, x: Array) -> Array:
    log_p = _log_masses(params)
    count = params.count[..., None]
    x = jnp.asarray(x, log_p.dtype)
    inside = jnp.all((x >= 0.0) & (x == jnp.floor(x)), axis=-1) & (jnp.sum(x, axis=-1) == params.count)
    x = jnp.where(inside[..., None], x, 0.0)
    safe = jnp.where(x > 0.0, x, 1.0)
    each = factorial_excess(x) + deviance(x, count * jnp.exp(log_p), log_p - jnp.log(safe / count))
    return jnp.where(inside, factorial_excess(params.count) - jnp.sum(each, axis=-1), -jnp.inf)


def _multinomial_draw(key: Array, params: MultinomialParameters, shape: tuple[int, ...]) -> Array:
    p = _masses(params)
    return jax.random.multinomial(key, params.count, p, shape=shape + p.shape, dtype=p.dtype)


MULTINOMIAL = Family(
    name="Multinomial",
    parameters=MultinomialParameters,
    core=(0, 1, 1),
    event=lambda params: _given(params).shape[-1:],
    log_prob=_multinomial_log_prob,
    support=lambda params: (0.0, params.count),
    draw=_multinomial_draw,
    pathwise=False,
    discrete=True,
    member=lambda params: Member(
        repeated(gaps.CATEGORICAL), "Multinomial", (params.count, _pmf(params)), frame=params.count
    ),
)
