"""flowjax: its distributions as records, and its flows, whose bijections act on one point, as maps."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax.distributions import half_line, interval, lifetimes, real_line, vectors
from divjax.distributions.adapters import look_up, on_points
from divjax.distributions.family import Density, Family
from divjax.distributions.mixtures import mixture
from divjax.distributions.products import product
from divjax.distributions.protocol import Wrapped, by_protocol, is_by_protocol, wrap
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection, transformed


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    if dist.cond_shape is not None:
        raise TypeError(
            f"Expected a distribution of one variable; got a conditional {type(dist).__name__}. Give it its condition: "
            "dj.distributions.register(...), or a class with a log_prob(x)."
        )
    return look_up(unwrapped(dist), kind, TABLE, served, base="AbstractDistribution")


def unwrapped(value: Any) -> Any:
    """The parameters themselves, where what is stored is what they are computed from."""
    return importlib.import_module("paramax").unwrap(value)


def served(dist: Any) -> Density:
    """By its own methods."""
    return by_protocol(dist, event=_shape, batch=_no_axes, draw=_draw, tails=None)


def _draw(dist, key, shape):
    return dist.sample(key, shape)


def _shape(dist):
    return dist.shape


def _no_axes(dist):
    return ()


def _of(family: Family, *names: str) -> Callable[[Any], Density]:
    """The product of independent variables of a family, along all axes that the distribution has."""
    return lambda dist: product(family(*(getattr(dist, name) for name in names)), len(dist.shape))


def _standard(family: Family) -> Callable[[Any], Density]:
    return lambda dist: product(family(jnp.zeros(dist.shape), jnp.ones(dist.shape)), len(dist.shape))


def _gamma(dist):
    return product(half_line.GAMMA(dist.base_dist.concentration, 1.0 / dist.bijection.scale), len(dist.shape))


def _log_normal(dist):
    return product(lifetimes.LOG_NORMAL(dist.base_dist.loc, dist.base_dist.scale), len(dist.shape))


def _normal(dist):
    factor = dist.bijection.triangular
    return vectors.MULTIVARIATE_NORMAL(dist.bijection.loc, vectors.positive_diagonal(factor))


def _mixture(dist):
    """Of components that are one object, whose arrays have their number in front."""
    group = jax.vmap(lambda wrapped: resolve(wrapped.unwrap()))(wrap(dist.dist))
    return served(dist) if is_by_protocol(group) else mixture([group], logits=dist.log_normalized_weights)


# --- Flows -------------------------------------------------------------------------------------------------


@functools.cache
def bijection(axes_in: int, axes_out: int) -> Bijection:
    """How to use bijections between points of so many axes."""

    def forward(map_: Wrapped, x: Array) -> Array:
        return on_points(unwrapped(map_.unwrap()).transform, axes_in, axes_out)(x)

    def inverse_and_log_det(map_: Wrapped, y: Array) -> tuple[Array, Array]:
        return on_points(unwrapped(map_.unwrap()).inverse_and_log_det, axes_out, axes_in, 0)(y)

    return Bijection(
        forward=forward,
        inverse_and_log_det=inverse_and_log_det,
        chain=lambda map_: [wrap(part) for part in getattr(map_.unwrap(), "bijections", (map_.unwrap(),))],
        is_affine=lambda map_: type(map_.unwrap()).__name__ in ("Affine", "Loc", "Scale"),
    )


def _transformed(dist):
    base = resolve(dist.base_dist)
    axes = len(dist.base_dist.shape), len(dist.shape)
    return transformed(base, wrap(dist.bijection), bijection(*axes), tuple(dist.shape))


TABLE = {
    "StandardNormal": _standard(real_line.NORMAL),
    "StandardUniform": lambda d: product(interval.UNIFORM(jnp.zeros(d.shape), jnp.ones(d.shape)), len(d.shape)),
    "StandardGumbel": _standard(real_line.GUMBEL),
    "StandardCauchy": _standard(real_line.CAUCHY),
    "StandardLaplace": _standard(real_line.LAPLACE),
    "StandardLogistic": _standard(real_line.LOGISTIC),
    "StandardExponential": lambda d: product(half_line.EXPONENTIAL_LAW(jnp.ones(d.shape)), len(d.shape)),
    "StandardStudentT": lambda d: product(real_line.STUDENT_T(d.df, 0.0, 1.0), len(d.shape)),
    "StandardGamma": lambda d: product(half_line.GAMMA(d.concentration, 1.0), len(d.shape)),
    "Normal": _of(real_line.NORMAL, "loc", "scale"),
    "Uniform": _of(interval.UNIFORM, "minval", "maxval"),
    "Gumbel": _of(real_line.GUMBEL, "loc", "scale"),
    "Cauchy": _of(real_line.CAUCHY, "loc", "scale"),
    "StudentT": _of(real_line.STUDENT_T, "df", "loc", "scale"),
    "Laplace": _of(real_line.LAPLACE, "loc", "scale"),
    "Logistic": _of(real_line.LOGISTIC, "loc", "scale"),
    "Exponential": _of(half_line.EXPONENTIAL_LAW, "rate"),
    "Gamma": _gamma,
    "Beta": _of(interval.BETA, "alpha", "beta"),
    "LogNormal": _log_normal,
    "MultivariateNormal": _normal,
    "VmapMixture": _mixture,
    "AbstractTransformed": _transformed,
}
