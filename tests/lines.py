"""One-dimensional distributions for JAX and for scipy, and textbook integrals of the latter by scipy's quad."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

tfd = tfp.distributions
LINE = (-np.inf, -60.0, -20.0, -5.0, 0.0, 5.0, 20.0, 60.0, np.inf)
HALF = (0.0, 1e-12, 1e-8, 1e-6, 1e-4, 1e-2, 1.0, 5.0, 20.0, 60.0, np.inf)
UNIT = (0.0, 1e-12, 1e-8, 1e-4, 1e-2, 0.5, 1 - 1e-2, 1 - 1e-4, 1 - 1e-8, 1.0)


class Mixture:
    def __init__(self, weights, parts):
        self.weights, self.parts = weights, parts

    def pdf(self, x):
        return sum(w * part.pdf(x) for w, part in zip(self.weights, self.parts, strict=True))

    def cdf(self, x):
        return sum(w * part.cdf(x) for w, part in zip(self.weights, self.parts, strict=True))


class Line(NamedTuple):
    build: Callable[[Any], Any]  # parameters [k] -> distribution
    params: tuple[float, ...]
    scipy: Callable[[Any], Any]
    ends: tuple[float, ...] = LINE
    moving: tuple[int, ...] = ()  # parameters at which the density is not smooth


def _two(t):
    return jnp.stack([t[2], 1 - t[2]])


def _const(t, *values):
    return tuple(jnp.asarray(value, t.dtype) for value in values)


LINES = {
    "normal": Line(lambda t: distrax.Normal(t[0], t[1]), (0.3, 1.4), lambda t: st.norm(t[0], t[1])),
    "laplace": Line(lambda t: distrax.Laplace(t[0], t[1]), (0.3, 0.8), lambda t: st.laplace(t[0], t[1]), moving=(0,)),
    "student": Line(lambda t: tfd.StudentT(t[0], t[1], t[2]), (3.0, 0.5, 1.2), lambda t: st.t(t[0], t[1], t[2])),
    "logistic": Line(lambda t: distrax.Logistic(t[0], t[1]), (0.3, 0.8), lambda t: st.logistic(t[0], t[1])),
    "gumbel": Line(lambda t: distrax.Gumbel(t[0], t[1]), (0.3, 0.8), lambda t: st.gumbel_r(t[0], t[1])),
    "cauchy": Line(lambda t: tfd.Cauchy(t[0], t[1]), (0.3, 0.8), lambda t: st.cauchy(t[0], t[1])),
    "uniform": Line(
        lambda t: distrax.Uniform(t[0], t[1]), (-1.2, 1.5), lambda t: st.uniform(t[0], t[1] - t[0]), moving=(0, 1)
    ),
    "mixture_distrax": Line(
        lambda t: distrax.MixtureSameFamily(
            distrax.Categorical(probs=_two(t)), distrax.Normal(t[:2], jnp.array([0.7, 1.1], t.dtype))
        ),
        (-1.0, 2.0, 0.3),
        lambda t: Mixture([t[2], 1 - t[2]], [st.norm(t[0], 0.7), st.norm(t[1], 1.1)]),
    ),
    "mixture_tfp": Line(
        lambda t: tfd.MixtureSameFamily(
            tfd.Categorical(probs=_two(t)), tfd.Laplace(t[:2], jnp.array([0.7, 1.1], t.dtype))
        ),
        (-1.0, 2.0, 0.3),
        lambda t: Mixture([t[2], 1 - t[2]], [st.laplace(t[0], 0.7), st.laplace(t[1], 1.1)]),
        moving=(0, 1),
    ),
    "mixture_of_two": Line(
        lambda t: distrax.MixtureOfTwo(
            t[2], distrax.Normal(t[0], *_const(t, 0.7)), distrax.Laplace(t[1], *_const(t, 1.1))
        ),
        (-1.0, 2.0, 0.3),
        lambda t: Mixture([t[2], 1 - t[2]], [st.norm(t[0], 0.7), st.laplace(t[1], 1.1)]),
        moving=(1,),
    ),
    "mixture_of_objects": Line(
        lambda t: tfd.Mixture(
            tfd.Categorical(probs=_two(t)),
            [tfd.Normal(t[0], *_const(t, 0.7)), tfd.StudentT(_const(t, 4.0)[0], t[1], _const(t, 1.1)[0])],
        ),
        (-1.0, 2.0, 0.3),
        lambda t: Mixture([t[2], 1 - t[2]], [st.norm(t[0], 0.7), st.t(4, t[1], 1.1)]),
    ),
    "gamma": Line(lambda t: distrax.Gamma(t[0], t[1]), (2.0, 1.3), lambda t: st.gamma(t[0], scale=1 / t[1]), HALF),
    "gamma_steep": Line(lambda t: tfd.Gamma(t[0], t[1]), (0.4, 1.3), lambda t: st.gamma(t[0], scale=1 / t[1]), HALF),
    "exponential": Line(lambda t: tfd.Exponential(t[0]), (1.3,), lambda t: st.expon(scale=1 / t[0]), HALF),
    "log_normal_tfp": Line(
        lambda t: tfd.LogNormal(t[0], t[1]), (0.2, 0.6), lambda t: st.lognorm(t[1], scale=np.exp(t[0])), HALF
    ),
    "log_normal_distrax": Line(
        lambda t: distrax.Transformed(distrax.Normal(t[0], t[1]), tfp.bijectors.Exp()),
        (0.2, 0.6),
        lambda t: st.lognorm(t[1], scale=np.exp(t[0])),
        HALF,
    ),
    "half_normal": Line(lambda t: tfd.HalfNormal(t[0]), (1.2,), lambda t: st.halfnorm(scale=t[0]), HALF),
    "beta": Line(lambda t: distrax.Beta(t[0], t[1]), (2.0, 3.0), lambda t: st.beta(t[0], t[1]), UNIT),
    "beta_steep": Line(lambda t: tfd.Beta(t[0], t[1]), (0.5, 0.7), lambda t: st.beta(t[0], t[1]), UNIT),
    "truncated_normal": Line(
        lambda t: tfd.TruncatedNormal(t[0], t[1], *_const(t, 0.0, 1.0)),
        (0.5, 0.4),
        lambda t: st.truncnorm(-t[0] / t[1], (1 - t[0]) / t[1], t[0], t[1]),
        UNIT,
    ),
}
BASES = {  # the other distribution, on the same support
    LINE: Line(lambda t: distrax.Normal(t[0], t[1]), (0.1, 1.1), lambda t: st.norm(t[0], t[1])),
    HALF: Line(lambda t: distrax.Gamma(t[0], t[1]), (2.5, 1.1), lambda t: st.gamma(t[0], scale=1 / t[1]), HALF),
    UNIT: Line(lambda t: distrax.Beta(t[0], t[1]), (2.5, 1.5), lambda t: st.beta(t[0], t[1]), UNIT),
}


def jensen_shannon(p, q, ends) -> float:
    """The textbook integral, between the given ends of smooth stretches."""

    def integrand(x):
        a, b = p.pdf(x), q.pdf(x)
        m = 0.5 * (a + b)
        if not 1e-290 < m < np.inf:
            return 0.0
        return 0.5 * ((a * np.log(a / m) if a > 0 else 0.0) + (b * np.log(b / m) if b > 0 else 0.0))

    pieces = itertools.pairwise(ends)
    return sum(scipy.integrate.quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=400)[0] for a, b in pieces)


def transport_cost(p, q, order) -> float:
    """∫ |P⁻¹ − Q⁻¹|^k du, the tails by u = e^(−s)."""
    middle = np.linspace(0.025, 0.975, 39)
    tails = [(-np.log(0.025), 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, 300.0)]
    body = lambda u: abs(p.ppf(u) - q.ppf(u)) ** order  # noqa: E731
    lower = lambda s: body(np.exp(-s)) * np.exp(-s)  # noqa: E731
    upper = lambda s: abs(p.isf(np.exp(-s)) - q.isf(np.exp(-s))) ** order * np.exp(-s)  # noqa: E731
    pieces = [(body, a, b) for a, b in itertools.pairwise(middle)]
    pieces += [(tail, a, b) for tail in (lower, upper) for a, b in tails]
    return sum(scipy.integrate.quad(f, a, b, epsabs=1e-13, limit=200)[0] for f, a, b in pieces)


def energy(p, q, ends) -> float:
    """2 ∫ (P − Q)² dx."""
    pieces = itertools.pairwise(ends)
    square = lambda x: 2 * (p.cdf(x) - q.cdf(x)) ** 2  # noqa: E731
    return sum(scipy.integrate.quad(square, a, b, epsabs=1e-13, epsrel=1e-12, limit=400)[0] for a, b in pieces)


def slopes(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Central differences of fourth order."""

    def slope(d):
        near, far = function(at + d) - function(at - d), function(at + 2 * d) - function(at - 2 * d)
        return (8 * near - far) / (12 * step)

    return np.array([slope(row) for row in step * np.eye(at.size)])
