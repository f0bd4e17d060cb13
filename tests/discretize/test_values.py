"""Sums over the values of two discrete laws, which may diverge, or go on beyond the values that are listed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import status

tfd = tfp.distributions
COUNTS = tfd.NegativeBinomial(2.0, probs=0.7)  # (k + 1) .3² .7^k
VALUES = np.arange(400)


@pytest.mark.parametrize(
    "q",
    [tfd.Poisson(4.0), tfd.NegativeBinomial(3.0, probs=0.4), tfd.Geometric(probs=0.52)],  # .49^k k!/4^k, (.49/.4)^k, …
)
def test_a_sum_that_diverges_is_infinite(q):
    found = dj.estimate(dj.pearson_chi2, COUNTS, q)
    assert (float(found.value), float(found.stderr), int(found.status)) == (np.inf, 0.0, status.INFINITE)
    assert float(dj.renyi(COUNTS, q, alpha=2.0)) == np.inf
    assert int(dj.estimate(dj.kl, COUNTS, q).status) == status.OK


def test_a_closed_form_that_is_infinite_says_that_it_diverges():
    found = dj.estimate(dj.pearson_chi2, tfd.Geometric(probs=0.3), tfd.Geometric(probs=0.52))
    assert (float(found.value), int(found.status)) == (np.inf, status.INFINITE)


def test_inflated_counts_fall_like_those_without():
    inflated = tfd.ZeroInflated(tfd.Poisson(2.0), probs=0.3) if hasattr(tfd, "ZeroInflated") else None
    if inflated is None:
        pytest.skip("no such class here")
    assert int(dj.estimate(dj.neyman_chi2, inflated, tfd.Geometric(probs=0.5)).status) == status.INFINITE


@pytest.mark.parametrize(("failure", "flagged"), [(0.52, False), (0.50, True)])
def test_what_lies_beyond_the_listed_values_is_in_the_error(failure, flagged, x64):
    """Terms that fall like (.49/failure)^k, where values are listed as far as they have mass."""
    del x64
    q = tfd.Geometric(logits=jnp.log(jnp.asarray((1.0 - failure) / failure)))
    p = tfd.NegativeBinomial(jnp.asarray(2.0), probs=jnp.asarray(0.7))
    terms = ((VALUES + 1.0) * 0.3**2 * 0.7**VALUES) ** 2 / ((1.0 - failure) * failure**VALUES)
    found = dj.estimate(dj.pearson_chi2, p, q)
    assert bool(found.status & status.UNRESOLVED) == flagged
    assert abs(found.value - (np.sum(terms) - 1.0)) <= found.stderr


def test_mixtures_of_counts(x64):
    del x64
    rates = np.array([1.0, 4.0])
    p = np.mean([st.poisson.pmf(VALUES, rate) for rate in rates], axis=0)
    q = st.geom.pmf(VALUES + 1, 0.5)
    mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=jnp.array([0.5, 0.5])), tfd.Poisson(jnp.asarray(rates)))
    geometric = tfd.Geometric(logits=jnp.asarray(0.0))
    some = p > 0.0
    wanted = np.sum(p[some] * np.log(p[some] / q[some]))
    assert float(dj.kl(mixture, geometric)) == pytest.approx(wanted, rel=1e-10)
    assert float(dj.wasserstein(mixture, geometric)) == pytest.approx(np.sum(abs(np.cumsum(p - q))), rel=1e-10)

    def kl(rates):
        law = tfd.MixtureSameFamily(tfd.Categorical(probs=jnp.array([0.5, 0.5])), tfd.Poisson(rates))
        return dj.kl(law, geometric)

    step = 1e-6
    difference = (kl(jnp.array([1.0 + step, 4.0])) - kl(jnp.array([1.0 - step, 4.0]))) / (2.0 * step)
    assert float(jax.grad(kl)(jnp.asarray(rates))[0]) == pytest.approx(float(difference), rel=1e-6)
