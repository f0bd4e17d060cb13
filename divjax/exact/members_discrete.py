"""Discrete distributions as members of their families; importing this module registers them."""

import distrax
import jax
import jax.numpy as jnp
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax.exact import families as fam
from divjax.exact.family import Member, Square, repeated
from divjax.exact.members import full, register

tfd = tfp.distributions


@register(tfd.Poisson)
def _poisson(dist):
    if dist.rate is not None:
        return Member(fam.POISSON, "Poisson", fam.Rate(*full(dist, dist.rate), None))
    return Member(fam.POISSON, "Poisson", fam.Rate(None, *full(dist, dist.log_rate)))


@register(tfd.Geometric)
def _geometric(dist):
    if dist.probs is None:
        return Member(fam.GEOMETRIC, "Geometric", fam.Chance(logit=full(dist, dist.logits)[0]))
    return Member(fam.GEOMETRIC, "Geometric", fam.Chance(success=full(dist, dist.probs)[0]))


@register(tfd.NegativeBinomial)
def _negative_binomial(dist):
    # TensorFlow Probability counts successes before total_count failures: its success is our failure
    if dist.probs is None:
        count, logit = full(dist, dist.total_count, -dist.logits)
        chance = fam.Chance(logit=logit)
    else:
        count, failure = full(dist, dist.total_count, dist.probs)
        chance = fam.Chance(failure=failure)
    return Member(repeated(fam.GEOMETRIC), "NegativeBinomial", (count, chance), frame=dist.total_count)


def _given(dist) -> tuple[Array | None, Array | None]:
    """(probs, logits) as the user gave them; distrax answers for both and keeps what was given in private."""
    if isinstance(dist, distrax.Distribution) and hasattr(dist, "_probs"):
        return dist._probs, dist._logits
    return dist.probs, dist.logits


def _pmf(dist) -> fam.Pmf:
    probs, logits = _given(dist)
    given = probs is not None
    (leaf,) = full(dist, probs if given else logits, core=1)
    return _leaf_pmf(leaf, given=given)


def _binary_pmf(dist) -> fam.Pmf:
    probs, logits = _given(dist)
    given = probs is not None
    (leaf,) = full(dist, probs if given else logits)
    other = 1.0 - leaf if given else jnp.zeros_like(leaf)
    pmf = _leaf_pmf(jnp.stack([other, leaf], axis=-1), given=given)
    if not given:
        return pmf
    rest = (1.0 - other) - leaf  # of 1 − p, exactly
    return pmf._replace(rest=jnp.stack([rest, jnp.zeros_like(leaf)], axis=-1))


def _leaf_pmf(leaf: Array, *, given: bool) -> fam.Pmf:
    power = jnp.ones_like(leaf[..., 0])
    return fam.Pmf(leaf, None, power) if given else fam.Pmf(None, leaf, power)


def _squared_pmf(pmf: fam.Pmf) -> fam.Pmf:
    return pmf._replace(power=2.0 * pmf.power)


def _pmf_log_norm(pmf: fam.Pmf) -> Array:
    if pmf.logits is None:
        return jnp.log(jnp.sum(pmf.probs**2)) - 2.0 * jnp.log(jnp.sum(pmf.probs))
    logsumexp = jax.scipy.special.logsumexp
    return logsumexp(2.0 * pmf.logits) - 2.0 * logsumexp(pmf.logits)


def _pmf_member(tag: str, pmf: fam.Pmf) -> Member:
    return Member(fam.CATEGORICAL, tag, pmf, square=Square(_squared_pmf, _pmf_log_norm))


@register(distrax.Bernoulli, tfd.Bernoulli)
def _bernoulli(dist):
    return _pmf_member("Bernoulli", _binary_pmf(dist))


@register(distrax.Categorical, tfd.Categorical)
def _categorical(dist):
    return _pmf_member("Categorical", _pmf(dist))


@register(distrax.OneHotCategorical, tfd.OneHotCategorical)
def _one_hot(dist):
    return _pmf_member("OneHotCategorical", _pmf(dist))


@register(tfd.Binomial)
def _binomial(dist):
    (count,) = full(dist, dist.total_count)
    return Member(repeated(fam.CATEGORICAL), "Binomial", (count, _binary_pmf(dist)), frame=dist.total_count)


@register(distrax.Multinomial, tfd.Multinomial)
def _multinomial(dist):
    (count,) = full(dist, dist.total_count)
    return Member(repeated(fam.CATEGORICAL), "Multinomial", (count, _pmf(dist)), frame=dist.total_count)
