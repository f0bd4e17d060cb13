"""The check must bite: every deliberately wrong divergence has to fail it."""

import jax.numpy as jnp
import oracle
import pytest

import divjax as dj
from tests.marks import cases


def kl_term_by_term(nodes):
    weight = jnp.exp(nodes.log_p + nodes.log_w)
    return jnp.sum(jnp.where(weight > 0, weight * (nodes.log_p - nodes.log_q), 0.0))


def _scaled(divergence, factor):
    return lambda measure, **params: factor * divergence(measure, **params)


MUTANTS = {
    "kl with its arguments exchanged": ("kl", dj.reverse_kl),
    "kl without p": ("kl", lambda n: jnp.sum(jnp.exp(n.log_q + n.log_w) * jnp.abs(n.log_p - n.log_q))),
    "kl in bits": ("kl", _scaled(dj.kl, 1 / jnp.log(2.0))),
    "kl as its upper bound": ("kl", lambda n: jnp.log1p(dj.pearson_chi2(n))),
    "reverse kl forwards": ("reverse_kl", dj.kl),
    "jeffreys halved": ("jeffreys", _scaled(dj.jeffreys, 0.5)),
    "jensen_shannon without a half": ("jensen_shannon", _scaled(dj.jensen_shannon, 2.0)),
    "jensen_shannon with a biased weight": ("jensen_shannon", lambda n: dj.jensen_shannon(n, weight=0.501)),
    "jensen_shannon with its weights exchanged": (
        "jensen_shannon_0.1",
        lambda n, weight: dj.jensen_shannon(n, weight=1 - weight),
    ),
    "jensen_shannon per weight": (
        "jensen_shannon_0.1",
        lambda n, weight: dj.jensen_shannon(n, weight=weight) / weight,
    ),
    "alpha with its sign turned": ("alpha_0.25", lambda n, alpha: dj.alpha_divergence(n, alpha=-alpha)),
    "alpha in Amari's parameter": ("alpha_0.25", lambda n, alpha: dj.alpha_divergence(n, alpha=(1 - alpha) / 2)),
    "alpha exchanged": ("alpha_0.75", lambda n, alpha: dj.alpha_divergence(n, alpha=1 - alpha)),
    "tsallis for alpha": ("alpha_0.5", dj.tsallis),
    "renyi without its logarithm": ("renyi_0.5", dj.tsallis),
    "renyi unnormalised": ("renyi_0.75", lambda n, alpha: (1 - alpha) * dj.renyi(n, alpha=alpha)),
    "hellinger without its half": ("squared_hellinger", _scaled(dj.squared_hellinger, 2.0)),
    "hellinger as a root": ("squared_hellinger", lambda n: jnp.sqrt(dj.squared_hellinger(n))),
    "bhattacharyya as hellinger": ("bhattacharyya", dj.squared_hellinger),
    "triangular over m": ("triangular", _scaled(dj.triangular, 2.0)),
    "total_variation without its half": ("total_variation", _scaled(dj.total_variation, 2.0)),
    "pearson for neyman": ("neyman_chi2", dj.pearson_chi2),
    "l2 as a root": ("l2", lambda n: jnp.sqrt(dj.l2(n))),
    "cramer for energy": ("energy", dj.cramer),
    "cramer without squares": ("cramer", lambda n: jnp.sum(jnp.exp(n.log_w) * jnp.abs(n.cdf_p - n.cdf_q))),
    "wasserstein squared": ("wasserstein_1", lambda n, order: dj.divergences.transport_cost(n, order=2.0)),
    "wasserstein of order 1.001": ("wasserstein_1", lambda n, order: dj.wasserstein(n, order=1.001)),
    "a finite value for infinity": ("kl", lambda n: jnp.minimum(dj.kl(n), 1e6)),
    "a part in 10⁸ missing": ("jensen_shannon", _scaled(dj.jensen_shannon, 1 - 1e-8)),
    "weights ignored": ("squared_hellinger", lambda n: dj.squared_hellinger(dj.pmf(n.log_p, n.log_q))),
    "negative by rounding": ("kl", lambda n: dj.kl(n) - 1e-6),
}


def _table():
    return oracle.ON_NODES | oracle.ON_CDFS | oracle.ON_COUPLING


@pytest.mark.parametrize("mutant", cases(MUTANTS, slow=["wasserstein squared", "cramer for energy"]))
def test_a_wrong_divergence_is_caught(mutant):
    """And already by the pairs that compile quickly."""
    name, wrong = MUTANTS[mutant]
    only = oracle.QUICK_FLOAT32 if name in oracle.ON_NODES else oracle.QUICK
    with pytest.raises(AssertionError, match=r"expected inf|relative error|< 0"):
        oracle.check(name, wrong, _table()[name][1], only=only)


@pytest.mark.parametrize("name", ["kl", "energy", "wasserstein_1"])
def test_the_right_one_is_not(name):
    oracle.check(name, *_table()[name], only=oracle.QUICK)


def test_cancellation_is_caught():
    """The textbook sum of p log p/q passes in float64, and fails for nearly equal densities in float32."""
    assert oracle.errors("kl", kl_term_by_term, {}, x64=False, only=oracle.QUICK)[0] < 1e-5
    with pytest.raises(AssertionError, match=r"relative error|< 0"):
        oracle.check("kl", kl_term_by_term, {}, x64=False, only=oracle.QUICK)
