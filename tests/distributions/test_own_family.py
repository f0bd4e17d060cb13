"""A family of one's own is one record: Moyal's, which the library does not have, against scipy's quadrature."""

import itertools
from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats as st
from jax.scipy.special import erf, erfc
from jaxtyping import Array, Float
from scipy.optimize import brentq

import divjax as dj
from divjax.distributions import Family, register, resolve
from divjax.distributions.family import EXPONENTIAL, LINE, smooth
from divjax.distributions.source import source


class Parameters(NamedTuple):
    loc: Float[Array, ""]
    scale: Float[Array, ""]


def log_prob(params, x):
    z = (x - params.loc) / params.scale
    return -0.5 * (z + jnp.exp(-jnp.maximum(z, -60.0)) + jnp.log(2.0 * jnp.pi)) - jnp.log(params.scale)


def tails(params, x):
    root = jnp.exp(-0.5 * jnp.maximum((x - params.loc) / params.scale, -60.0)) / jnp.sqrt(2.0)
    return erfc(root), erf(root)


MOYAL = Family(
    name="Moyal",
    parameters=Parameters,
    log_prob=log_prob,
    support=lambda params: LINE,
    profile=lambda params: smooth(params.loc + params.scale, 1.5 * params.scale, EXPONENTIAL),
    tails=tails,
)


class Landau:
    """What a user may have already: a class of no library."""

    def __init__(self, mode, width):
        self.mode, self.width = mode, width


register(Landau, lambda law: MOYAL(law.mode, law.width))
P, Q = st.moyal(0.3, 0.8), st.norm(1.0, 1.5)
ENDS = (-6.0, -2.5, -1.0, 0.0, 1.0, 3.0, 8.0, 25.0, 80.0)


def moyal_log_pdf(x, loc=0.3, scale=0.8):
    """scipy's own is the logarithm of a density that underflows."""
    z = (x - loc) / scale
    return -0.5 * (z + np.exp(-z) + np.log(2.0 * np.pi)) - np.log(scale)


def integral(f, ends=ENDS):
    return sum(scipy.integrate.quad(f, a, b, epsabs=1e-12, limit=200)[0] for a, b in itertools.pairwise(ends))


def textbook():
    p, q = P.pdf, Q.pdf
    m = lambda x: 0.5 * (p(x) + q(x))  # noqa: E731
    log_p, log_q, left = moyal_log_pdf, Q.logpdf, (-15.0, *ENDS[:-1], 60.0)
    kl = integral(lambda x: p(x) * (log_p(x) - log_q(x)))
    js = 0.5 * integral(lambda x: p(x) * (log_p(x) - np.log(m(x))) + q(x) * (log_q(x) - np.log(m(x))), left)
    levels = np.concatenate([[1e-13, 1e-9, 1e-6, 1e-3], np.linspace(0.05, 0.95, 10), 1 - 10.0 ** -np.arange(3, 15, 2)])
    w2 = integral(lambda u: (P.ppf(u) - Q.ppf(u)) ** 2, levels)
    energy = 2.0 * integral(lambda x: (P.cdf(x) - Q.cdf(x)) ** 2, (-15.0, *ENDS))
    low, high = region()
    return {
        "kl": kl,
        "jensen_shannon": js,
        "wasserstein": w2,
        "energy": energy,
        "outside": 1 - Q.cdf(high) + Q.cdf(low),
    }


def region(mass=0.99):
    """Both ends of the smallest interval with so much of p: of equal density."""

    def other(low):
        return brentq(lambda x: moyal_log_pdf(x) - moyal_log_pdf(low), 0.3, 200.0)

    low = brentq(lambda a: P.cdf(other(a)) - P.cdf(a) - mass, -2.5, 0.2)
    return low, other(low)


@pytest.fixture(scope="module")
def measured():
    with jax.enable_x64(True):  # noqa: FBT003

        @jax.jit
        def all_of(theta):
            p, q = MOYAL(*theta), distrax.Normal(jnp.asarray(1.0), jnp.asarray(1.5))
            nodes = dj.quadrature(p, q)
            return {
                "kl": dj.kl(nodes),
                "jensen_shannon": dj.jensen_shannon(nodes),
                "wasserstein": dj.wasserstein(dj.coupling(p, q), order=2) ** 2,
                "energy": dj.energy(dj.cdfs(p, q)),
                "outside": dj.diagnostics.unrealistic_rate(p, q),
            }

        theta = jnp.asarray([0.3, 0.8])
        return all_of(theta), jax.jit(jax.jacfwd(all_of))(theta)


def test_values(measured):
    values, _ = measured
    truth = textbook()
    for name, value in values.items():
        assert float(value) == pytest.approx(truth[name], rel=1e-6, abs=1e-7), name


def test_the_gradient_of_kl(measured):
    """By central differences of the textbook integral."""
    _, slopes = measured

    def kl(theta):
        log_p = lambda x: moyal_log_pdf(x, *theta)  # noqa: E731
        return integral(lambda x: np.exp(log_p(x)) * (log_p(x) - Q.logpdf(x)))

    at, step = np.array([0.3, 0.8]), 1e-4
    expected = [(kl(at + d) - kl(at - d)) / (2 * step) for d in step * np.eye(2)]
    np.testing.assert_allclose(slopes["kl"], expected, rtol=1e-6)


def test_reverse_kl():
    """p falls like exp(−e^(−z)/2) on the left, so that most of the integral lies where p has nothing."""
    ends = (-18.0, -10.0, -5.0, *ENDS[:-1], 40.0)
    truth = integral(lambda x: Q.pdf(x) * (Q.logpdf(x) - moyal_log_pdf(x)), ends)
    value = jax.jit(lambda: dj.reverse_kl(MOYAL(0.3, 0.8), distrax.Normal(1.0, 1.5)))()
    assert float(value) == pytest.approx(truth, rel=1e-4)


def test_draws_follow_the_law():
    drawn = source(MOYAL(0.3, 0.8))
    z = jax.random.normal(jax.random.key(0), (4096, 1))
    x = jax.jit(lambda z: drawn.image(jax.random.key(1), jnp.zeros(4096, int), z))(z)
    assert st.kstest(np.asarray(x, np.float64), P.cdf).pvalue > 1e-3


def test_a_class_of_ones_own_is_registered_in_one_call():
    density = resolve(Landau(0.3, 0.8))
    assert density.family is MOYAL
    assert float(density.params.scale) == pytest.approx(0.8)


class Plain:
    """An object of one's own, which JAX cannot look into."""

    def __init__(self, loc):
        self.loc = loc

    def mean(self):
        return self.loc

    def stddev(self):
        return 1.0

    def log_prob(self, x):
        return -0.5 * (x - self.loc) ** 2 - 0.5 * jnp.log(2.0 * jnp.pi)


def test_the_gradient_of_an_object_that_hides_what_is_traced():
    gradient = jax.grad(lambda loc: dj.kl(Plain(loc), distrax.Normal(1.0, 2.0)))(0.0)
    np.testing.assert_allclose(gradient, -0.25, rtol=1e-5)
