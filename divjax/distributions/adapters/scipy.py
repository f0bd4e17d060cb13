"""scipy.stats: frozen distributions as records; any other by a call of scipy itself, whose parameters are constants."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from divjax.distributions import (
    counts,
    finite,
    half_line,
    heavy_tails,
    interval,
    lifetimes,
    real_line,
    skewed,
    truncated,
)
from divjax.distributions.family import Density
from divjax.distributions.protocol import by_protocol
from divjax.distributions.transformed import Bijection, transformed


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for what is not frozen."""
    make = _KINDS.get(kind.__name__)
    return None if make is None else make(dist)


def _parsed(dist):
    """Shapes, loc and scale; the distribution function that a law of one's own has may be what it has alone."""
    shapes, loc, scale = dist.dist._parse_args(*dist.args, **dist.kwds)
    is_own = not type(dist.dist).__module__.startswith("scipy.")
    return ("" if is_own else dist.dist.name), shapes, loc, scale


def _continuous(dist):
    name, shapes, loc, scale = _parsed(dist)
    if name in LOCATED:
        return LOCATED[name](*shapes, loc, scale)
    if name in STANDARD:
        standard = STANDARD[name](*shapes)
        return standard if _is(loc, 0.0) and _is(scale, 1.0) else affine(standard, loc, scale)
    if name in SCALED and _is(loc, 0.0):
        return SCALED[name](*shapes, scale)
    if name in SCALED:
        return affine(SCALED[name](*shapes, scale), loc, 1.0)
    return served(dist)


def _discrete(dist):
    name, shapes, loc, _ = _parsed(dist)
    record = DISCRETE.get(name)
    start = 1.0 if name == "geom" else 0.0  # scipy counts the success too
    return served_discrete(dist) if record is None or not _is(loc, -start) else record(*shapes)


def _is(value, number):
    return bool(np.all(np.asarray(value) == number))


def affine(base: Density, loc: Any, scale: Any) -> Density:
    """The density of loc + scale · x."""
    loc, scale = (jnp.broadcast_to(jnp.asarray(of, float), jnp.broadcast_shapes(np.shape(loc), np.shape(scale),
                  base.batch_shape)) for of in (loc, scale))  # fmt: skip
    return transformed(base, (loc, scale), AFFINE)


AFFINE = Bijection(
    forward=lambda map_, x: map_[0] + map_[1] * x,
    inverse_and_log_det=lambda map_, y: ((y - map_[0]) / map_[1], -jnp.log(map_[1])),
    is_affine=lambda map_: True,
)

# Of shapes, loc and scale.
LOCATED = {
    "norm": real_line.NORMAL,
    "laplace": real_line.LAPLACE,
    "logistic": real_line.LOGISTIC,
    "gumbel_r": real_line.GUMBEL,
    "cauchy": real_line.CAUCHY,
    "t": real_line.STUDENT_T,
    "hypsecant": skewed.SOFT_LAPLACE,
    "gennorm": lambda power, loc, scale: skewed.GENERALIZED_NORMAL(loc, scale, power),
    "johnsonsu": lambda a, b, loc, scale: skewed.JOHNSON_SU(a, b, loc, scale),
    "uniform": lambda loc, scale: interval.UNIFORM(loc, loc + scale),
    "triang": lambda c, loc, scale: interval.TRIANGULAR(loc, loc + scale, loc + c * scale),
    "halfcauchy": heavy_tails.HALF_CAUCHY,
    "levy": heavy_tails.LEVY,
    "genpareto": lambda c, loc, scale: heavy_tails.GENERALIZED_PARETO(loc, scale, c),
    "truncnorm": lambda a, b, loc, scale: truncated.TRUNCATED_NORMAL(loc, scale, loc + a * scale, loc + b * scale),
}
# Of shapes and scale, at loc = 0.
SCALED = {
    "expon": lambda scale: half_line.EXPONENTIAL_LAW(1.0 / scale),
    "gamma": lambda a, scale: half_line.GAMMA(a, 1.0 / scale),
    "chi2": lambda df, scale: half_line.GAMMA(0.5 * df, 0.5 / scale),
    "invgamma": half_line.INVERSE_GAMMA,
    "invgauss": lambda mu, scale: lifetimes.INVERSE_GAUSSIAN(mu * scale, scale),
    "lognorm": lambda s, scale: lifetimes.LOG_NORMAL(np.log(scale), s),
    "halfnorm": half_line.HALF_NORMAL,
    "weibull_min": lifetimes.WEIBULL,
    "gompertz": lambda c, scale: lifetimes.GOMPERTZ(c, 1.0 / scale),
    "pareto": heavy_tails.PARETO,
    "lomax": heavy_tails.LOMAX,
    "fisk": lambda c, scale: heavy_tails.LOG_LOGISTIC(np.log(scale), 1.0 / c),
    "invweibull": heavy_tails.FRECHET,
    "loguniform": lambda a, b, scale: interval.LOG_UNIFORM(a * scale, b * scale),
}
# Of shapes, at loc = 0 and scale = 1.
STANDARD = {
    "beta": interval.BETA,
    "arcsine": lambda: interval.BETA(0.5, 0.5),
    "chi": half_line.CHI,
    "loggamma": lambda c: skewed.EXP_GAMMA(c, 1.0),
}
DISCRETE = {
    "poisson": lambda mu: counts.POISSON(rate=mu),
    "geom": lambda p: counts.GEOMETRIC(success=p),
    "nbinom": lambda n, p: counts.NEGATIVE_BINOMIAL(n, success=p),
    "binom": lambda n, p: finite.BINOMIAL(n, probs=p),
    "bernoulli": lambda p: finite.BERNOULLI(probs=p),
    "betabinom": lambda n, a, b: finite.BETA_BINOMIAL(n, a, b),
    "randint": lambda low, high: finite.DISCRETE_UNIFORM(low, high - 1),
}


# --- By scipy itself ---------------------------------------------------------------------------------------


def served(dist: Any) -> Density:
    """By its own methods, called outside of the compiled program: no derivative in x is had of them."""
    return by_protocol(
        dist,
        name=dist.dist.name,
        log_prob=functools.partial(_called, "logpdf"),
        event=_nothing,
        batch=_batch,
        draw=None,
        moments=_moments,
        tails=_tails,
        support=_ends,
    )


def served_discrete(dist: Any) -> Density:
    """The same of a law of integers."""
    return served(dist)
