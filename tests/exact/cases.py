"""Pairs of distributions: how divjax gets them, and log-densities for mpmath. Parameters are exact floats."""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
from tensorflow_probability.substrates import jax as tfp

tfd = tfp.distributions
INF = mp.inf


class Case(NamedTuple):
    build: Callable  # parameters [m] -> distribution
    log_density: Callable  # mpmath parameters, x -> log-density
    points: Callable  # mpmath parameters -> break points of the support
    pairs: tuple  # ((parameters of p, of q), ...); the last pair is nearly equal
    discrete: bool = False
    square: bool = True  # is ∫ p q known?
    shared: tuple = ()  # positions of parameters that p and q must share


def _near(p, *steps):
    return tuple(p), tuple(a + s for a, s in zip(p, steps, strict=True))


def _exact(pairs):
    return tuple(tuple(tuple(float(np.float32(x)) for x in side) for side in pair) for pair in pairs)


def _line(t):
    """Break points about a location and a scale."""
    m, s = t[0], t[1]
    return [-INF, m - 20 * s, m - 5 * s, m, m + 5 * s, m + 20 * s, INF]


_half = lambda t: [0, mp.mpf("1e-6"), mp.mpf("1e-2"), mp.mpf("0.2"), 1, 4, 12, 40, 150, INF]  # noqa: E731
_unit = lambda t: [0, mp.mpf("1e-8"), mp.mpf("1e-3"), mp.mpf("0.1"), 0.5, 0.9, 0.999, 1]  # noqa: E731
_log = mp.log


def _normal(t, x):
    return -((x - t[0]) ** 2) / (2 * t[1] ** 2) - _log(t[1]) - _log(2 * mp.pi) / 2


def _gamma(t, x):
    return t[0] * _log(t[1]) - mp.loggamma(t[0]) + (t[0] - 1) * _log(x) - t[1] * x


def _beta(t, x):
    return (t[0] - 1) * _log(x) + (t[1] - 1) * mp.log1p(-x) - _log(mp.beta(t[0], t[1]))


def _gumbel(t, x):
    z = (x - t[0]) / t[1]
    return -z - mp.exp(-z) - _log(t[1])


def _weibull(t, x):
    k, s = t
    return _log(k / s) + (k - 1) * _log(x / s) - (x / s) ** k


def _inverse_gaussian(t, x):
    m, lam = t
    return _log(lam / (2 * mp.pi * x**3)) / 2 - lam * (x - m) ** 2 / (2 * m**2 * x)


def _generalized_normal(t, x):
    m, s, b = t
    return _log(b / (2 * s)) - mp.loggamma(1 / b) - (abs(x - m) / s) ** b


def _von_mises(t, x):
    return t[1] * mp.cos(x - t[0]) - _log(2 * mp.pi * mp.besseli(0, t[1]))


def _kumaraswamy(t, x):
    a, b = t
    return _log(a * b) + (a - 1) * _log(x) + (b - 1) * mp.log1p(-(x**a))


def _poisson(t, x):
    return x * _log(t[0]) - t[0] - mp.loggamma(x + 1)


def _choose(n, x):
    return mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)


_POSITIVE = ((2.25, 3.5), (0.75, 1.25)), ((0.8, 0.9), (3.0, 1.7)), _near((2.25, 3.5), 1e-5, -2e-5)
_SCALES = ((0.3, 1.2), (-0.5, 2.0)), ((4.0, 0.25), (3.0, 0.5)), _near((0.75, 1.25), 1e-5, 2e-5)

CASES = {
    "normal": Case(lambda t: distrax.Normal(*t), _normal, _line, _SCALES),
    "log_normal": Case(
        lambda t: tfd.LogNormal(*t),
        lambda t, x: _normal(t, _log(x)) - _log(x),
        lambda t: [0, *(mp.exp(y) for y in _line(t)[1:-1]), INF],
        (((0.3, 0.5), (-0.5, 0.75)), _near((0.75, 1.25), 1e-5, 2e-5)),
        square=False,
    ),
    "half_normal": Case(
        lambda t: tfd.HalfNormal(*t),
        lambda t, x: _normal((0, t[0]), x) + _log(2),
        _half,
        (((1.5,), (0.8,)), _near((1.5,), 1e-5)),
    ),
    "gamma": Case(lambda t: distrax.Gamma(*t), _gamma, _half, _POSITIVE),
    "exponential": Case(
        lambda t: tfd.Exponential(*t),
        lambda t, x: _log(t[0]) - t[0] * x,
        _half,
        (((2.5,), (0.4,)), _near((1.5,), 1e-5)),
    ),
    "chi2": Case(
        lambda t: tfd.Chi2(*t),
        lambda t, x: _gamma((t[0] / 2, mp.mpf(1) / 2), x),
        _half,
        (((3.0,), (6.5,)), _near((3.0,), 1e-5)),
    ),
    "inverse_gamma": Case(
        lambda t: tfd.InverseGamma(*t),
        lambda t, x: _gamma(t, 1 / x) - 2 * _log(x),
        lambda t: [0, 0.05, 0.2, 1, 5, 100, mp.mpf("1e4"), mp.mpf("1e8"), INF],
        (((2.25, 3.5), (1.5, 1.25)), _near((2.25, 3.5), 1e-5, -2e-5)),
        square=False,
    ),
    "beta": Case(lambda t: distrax.Beta(*t), _beta, _unit, _POSITIVE),
    "kumaraswamy": Case(
        lambda t: tfd.Kumaraswamy(*t),
        _kumaraswamy,
        _unit,
        (((2.0, 3.0), (2.0, 1.5)), _near((2.0, 3.0), 0.0, 1e-5)),
        square=False,
        shared=(0,),
    ),
    "inverse_gaussian": Case(
        lambda t: tfd.InverseGaussian(*t),
        _inverse_gaussian,
        lambda t: [0, 0.02, 0.1, 0.5, 1, 3, 10, 40, 200, INF],
        (((1.5, 2.0), (0.75, 4.0)), _near((1.5, 2.0), 1e-5, -2e-5)),
        square=False,
    ),
    "laplace": Case(
        lambda t: distrax.Laplace(*t),
        lambda t, x: -abs(x - t[0]) / t[1] - _log(2 * t[1]),
        _line,
        (((0.3, 1.2), (-0.5, 2.0)), ((1.0, 0.3), (1.0, 0.4)), ((3.0, 0.5), (-1.0, 0.5)), _SCALES[-1]),
    ),
    "gumbel": Case(
        lambda t: distrax.Gumbel(*t),
        _gumbel,
        lambda t: [
            t[0] - 8 * t[1],
            t[0] - 4 * t[1],
            t[0],
            t[0] + 5 * t[1],
            t[0] + 30 * t[1],
            t[0] + 120 * t[1],
        ],
        (((0.3, 1.25), (-0.5, 1.25)), _near((0.75, 1.25), 1e-5, 0.0)),
        square=False,
        shared=(1,),
    ),
    "weibull": Case(
        lambda t: tfd.Weibull(*t),
        _weibull,
        _half,
        (((1.5, 0.75), (1.5, 1.5)), _near((1.5, 0.75), 0.0, 1e-5)),
        square=False,
        shared=(0,),
    ),
    "generalized_normal": Case(
        lambda t: tfd.GeneralizedNormal(*t),
        _generalized_normal,
        _line,
        (((0.5, 1.5, 3.0), (0.5, 1.0, 3.0)), _near((0.5, 1.5, 3.0), 0.0, 1e-5, 0.0)),
        square=False,
        shared=(0, 2),
    ),
    "pareto": Case(
        lambda t: tfd.Pareto(*t),
        lambda t, x: _log(t[0] / t[1]) - (t[0] + 1) * _log(x / t[1]),
        lambda t: [t[1], 2 * t[1], 10 * t[1], 1000 * t[1], mp.mpf("1e8"), INF],
        (((2.5, 1.5), (3.5, 1.5)), _near((2.5, 1.5), 1e-5, 0.0)),
        square=False,
    ),
    "von_mises": Case(
        lambda t: distrax.VonMises(*t),
        _von_mises,
        lambda t: [-mp.pi, -2, -1, -0.5, 0, 0.5, 1, 2, mp.pi],
        (((0.3, 0.4), (-0.5, 2.0)), ((0.2, 30.0), (0.6, 5.0)), _near((0.75, 1.25), 1e-5, 2e-5)),
    ),
    "poisson": Case(
        lambda t: tfd.Poisson(*t),
        _poisson,
        lambda t: 120,
        (((2.5,), (0.75,)), _near((2.5,), 1e-5)),
        discrete=True,
        square=False,
    ),
    "geometric": Case(
        lambda t: tfd.Geometric(probs=t[0]),
        lambda t, x: _log(t[0]) + x * mp.log1p(-t[0]),
        lambda t: 1500,
        (((0.25,), (0.75,)), ((0.9,), (0.1,)), _near((0.25,), 1e-5)),
        discrete=True,
        square=False,
    ),
    "negative_binomial": Case(
        lambda t: tfd.NegativeBinomial(t[0], probs=t[1]),
        lambda t, x: _choose(x + t[0] - 1, x) + t[0] * mp.log1p(-t[1]) + x * _log(t[1]),
        lambda t: 4500,
        (((3.0, 0.25), (3.0, 0.75)), _near((3.0, 0.25), 0.0, 1e-5)),
        discrete=True,
        square=False,
        shared=(0,),
    ),
    "binomial": Case(
        lambda t: tfd.Binomial(t[0], probs=t[1]),
        lambda t, x: _choose(t[0], x) + x * _log(t[1]) + (t[0] - x) * mp.log1p(-t[1]),
        lambda t: 6,
        (((5.0, 0.25), (5.0, 0.75)), _near((5.0, 0.25), 0.0, 1e-5)),
        discrete=True,
        square=False,
        shared=(0,),
    ),
    "bernoulli_probs": Case(
        lambda t: distrax.Bernoulli(probs=t[0]),
        lambda t, x: _log(t[0]) if x else mp.log1p(-t[0]),
        lambda t: 2,
        (((0.25,), (0.75,)), ((0.999,), (0.001,)), _near((0.25,), 1e-5)),
        discrete=True,
    ),
    "bernoulli_logits": Case(
        lambda t: tfd.Bernoulli(logits=t[0]),
        lambda t, x: -mp.log1p(mp.exp(-t[0] if x else t[0])),
        lambda t: 2,
        (((0.25,), (2.5,)), ((-30.0,), (3.0,)), _near((0.25,), 1e-5)),
        discrete=True,
    ),
    "categorical": Case(
        lambda t: tfd.Categorical(logits=jnp.stack(list(t))),
        lambda t, x: t[x] - _log(mp.fsum(mp.exp(y) for y in t)),
        lambda t: 4,
        (
            ((0.25, 1.0, -2.0, 0.5), (1.5, 0.0, 0.0, -3.0)),
            ((30.0, 0.0, -20.0, 1.0), (0.0, 25.0, 3.0, 1.0)),
            _near((0.25, 1.0, -2.0, 0.5), 1e-5, -2e-5, 0.0, 3e-5),
        ),
        discrete=True,
    ),
    "one_hot_probs": Case(
        lambda t: tfd.OneHotCategorical(probs=jnp.stack(list(t))),
        lambda t, x: _log(t[x]),
        lambda t: 3,
        (((0.25, 0.5, 0.25), (0.125, 0.25, 0.625)),),
        discrete=True,
    ),
}
CASES = {name: case._replace(pairs=_exact(case.pairs)) for name, case in CASES.items()}
ORDERS = (-0.25, 0.3, 0.5, 2.0)
