"""Every family against mpmath integrals, in both precisions, far apart and nearly equal."""

import functools
import json
from pathlib import Path
from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jaxtyping import Array
from tensorflow_probability.substrates import jax as tfp

from divjax import exact
from divjax.distributions import Family, register
from divjax.distributions.counts import POISSON
from tests.exact.cases import CASES, ORDERS
from tests.marks import cases

tfd = tfp.distributions

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())


@functools.cache
def measured(name, dtype):
    """All divergences of all pairs of a case, in one program."""
    case = CASES[name]

    def one(pair):
        p, q = list(pair[0]), list(pair[1])
        # equality of traced parameters is seen only if they are one object
        q = [p[i] if i in case.shared else q[i] for i in range(len(q))]
        p, q = case.build(p), case.build(q)
        out = {"kl": exact.kl(p, q)}
        alphas = jax.vmap(lambda a: exact.alpha_divergence(p, q, alpha=a))(jnp.asarray(ORDERS, dtype))
        out |= {f"alpha {a}": v for a, v in zip(ORDERS, alphas, strict=True)}
        if case.square:
            out |= {"l2": exact.l2(p, q), "cauchy_schwarz": exact.cauchy_schwarz(p, q)}
        return out

    return list(map(jax.jit(one), [jnp.asarray(pair, dtype) for pair in case.pairs]))


# one of each kind in float32 too; the rest of them is slow
FEW = ("normal", "gamma", "laplace", "categorical", "beta", "geometric")
FURTHER = (
    "bernoulli_logits", "chi2", "exponential", "generalized_normal", "gumbel", "half_normal", "inverse_gamma",
    "kumaraswamy", "negative_binomial",
)  # fmt: skip
SINGLE = cases(CASES, slow=CASES.keys() - set(FEW), exhaustive=FURTHER)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("x64")
def test_against_mpmath(name):
    check(name, "float64", 1e-12)


@pytest.mark.parametrize("name", SINGLE)
def test_against_mpmath_in_float32(name):
    check(name, "float32", 1e-5)


def check(name, dtype, rtol):
    for got, expected in zip(measured(name, dtype), REFERENCE[name], strict=True):
        for key, value in expected.items():
            np.testing.assert_allclose(float(got[key]), float(value), rtol=rtol, err_msg=f"{name} {key}")


def test_nearly_equal_normals_in_float32():
    """KL(N(0,1)‖N(1e-5,1)) = 5e-11, which a difference of log-partitions in float32 calls 0."""
    case = CASES["normal"]
    p, q = case.build(jnp.array([0.0, 1.0])), case.build(jnp.array([1e-5, 1.0]))
    np.testing.assert_allclose(exact.kl(p, q), 5e-11, rtol=1e-4)


def test_a_family_of_ones_own():
    """From its log-partition alone: A = exp is Poisson."""
    family = exact.from_log_partition(jnp.exp, jnp.isfinite)

    class Counts(NamedTuple):
        log_rate: Array

    record = Family(
        name="Counts",
        parameters=Counts,
        log_prob=lambda params, x: x * params.log_rate - jnp.exp(params.log_rate) - jax.lax.lgamma(x + 1.0),
        discrete=True,
        member=lambda params: exact.Member(family, "Counts", params.log_rate),
    )
    got = exact.kl(record(jnp.log(2.5)), record(jnp.log(0.75)))
    np.testing.assert_allclose(got, 2.5 * np.log(2.5 / 0.75) - 1.75, rtol=1e-5)


def test_an_object_of_ones_own():
    """A class of one's own is registered as a member of a known family."""

    class Counter:
        def __init__(self, rate):
            self.rate = rate

    register(Counter, lambda counter: POISSON(counter.rate))
    np.testing.assert_allclose(
        exact.kl(Counter(2.5), tfd.Poisson(0.75)), exact.kl(POISSON(2.5), POISSON(0.75)), rtol=1e-6
    )


# --- Far units and sharp peaks, in single precision --------------------------------------------------------


def _von_mises(loc, kappa, other, rate):
    """KL, squared Hellinger and Rényi of order 2 by mpmath at 40 digits."""
    mp.mp.dps = 40
    kappa, rate, turn = mp.mpf(kappa), mp.mpf(rate), mp.mpf(loc) - mp.mpf(other)
    log_i0 = lambda k: mp.log(mp.besseli(0, k))  # noqa: E731

    def renyi(a):
        middle = mp.sqrt((a * kappa) ** 2 + ((1 - a) * rate) ** 2 + 2 * a * (1 - a) * kappa * rate * mp.cos(turn))
        return (log_i0(middle) - a * log_i0(kappa) - (1 - a) * log_i0(rate)) / (a - 1)

    mean = mp.besseli(1, kappa) / mp.besseli(0, kappa)
    kl = mean * (kappa - rate * mp.cos(turn)) - log_i0(kappa) + log_i0(rate)
    return [float(x) for x in (kl, -mp.expm1(-renyi(mp.mpf(0.5)) / 2), renyi(mp.mpf(2)))]


def test_sharp_von_mises_laws_lose_no_digit():
    """Along one direction, across it, past the uniform law, and so near that their difference is rounding."""

    @jax.jit
    def f(x):
        p, q = distrax.VonMises(x[0], x[1]), distrax.VonMises(x[2], x[3])
        return jnp.stack([exact.kl(p, q), exact.squared_hellinger(p, q), exact.renyi(p, q, alpha=2.0)])

    for case in ((0, 1e6, 0, 2e6), (0, 1e6, 0, 1000100), (0, 1e6, 0.001, 1e6), (0, 5, 1, 1e6), (0, 1e6, 3, 5e5),
                 (0, 1e6, 0, 0), (0.3, 0.5, 1, 2)):  # fmt: skip
        case = np.float32(case)
        np.testing.assert_allclose(f(case), _von_mises(*map(float, case)), rtol=2e-6, err_msg=str(case))


@pytest.mark.parametrize("law", [distrax.Normal, lambda m, s: distrax.MultivariateNormalTri(m[None], s[None, None])],
                         ids=["Normal", "MultivariateNormal"])  # fmt: skip
def test_scales_whose_squares_no_float_holds(law):
    """Values and slopes of laws of any unit: by the formulas in double precision."""

    @jax.jit
    def f(x):
        p, q = law(x[0], x[1]), law(x[2], x[3])
        pair = lambda x: exact.bhattacharyya(law(x[0], x[1]), law(x[2], x[3]))  # noqa: E731
        return jnp.stack([exact.kl(p, q), exact.bhattacharyya(p, q), exact.wasserstein2(p, q)]), jax.grad(pair)(x)

    for s, t in ((1e-15, 1e15), (1e-25, 1e-24), (1e30, 1e31), (1e-19, 1e19), (1.0, 1e20)):
        ratio = s / t
        right = -np.log(ratio) + ratio**2 / 2 - 0.5, 0.5 * np.log((ratio + 1 / ratio) / 2), t - s
        value, slope = f(np.float32([0.0, s, 0.0, t]))
        np.testing.assert_allclose(value, right, rtol=1e-5)
        change = (s**2 - t**2) / (s**2 + t**2) / 2
        if law is distrax.Normal or ratio > 1e-6:  # of matrices that are further apart it is NaN
            np.testing.assert_allclose(slope, [0.0, change / s, 0.0, -change / t], rtol=1e-5)
