"""distreqx: its classes as records, its bijectors, which act on one point, as maps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax import numerics as nu
from divjax.distributions import finite, half_line, interval, real_line, vectors
from divjax.distributions.adapters import given, look_up, on_points, same_family
from divjax.distributions.family import Density
from divjax.distributions.products import product
from divjax.distributions.protocol import Wrapped, by_protocol, is_by_protocol, wrap
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection, transformed


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    return look_up(dist, kind, TABLE, served, base="AbstractDistribution")


def served(dist: Any) -> Density:
    """By its own methods, which take one point and one key."""
    return by_protocol(dist, log_prob=_log_prob, batch=_no_axes, draw=_draw, tails=_tails)


def _no_axes(dist):
    return ()


def _log_prob(dist, x):
    return on_points(dist.log_prob, len(dist.event_shape), 0)(x)


def _tails(dist, x):
    return jnp.vectorize(dist.cdf)(x), jnp.vectorize(dist.survival_function)(x)


def _draw(dist, key, shape):
    draws = jax.vmap(dist.sample)(jax.random.split(key, max(int(jnp.prod(jnp.asarray(shape))), 1)))
    return jnp.reshape(draws, shape + draws.shape[1:])


def _parts(bijector: Wrapped) -> list[Wrapped]:
    whole = bijector.unwrap()
    return [wrap(part) for part in reversed(getattr(whole, "bijectors", (whole,)))]


@functools.cache
def bijection(ndims: int) -> Bijection:
    """How to use bijectors on points of so many axes."""

    def forward(bijector: Wrapped, x: Array) -> Array:
        return on_points(bijector.unwrap().forward, ndims, ndims)(x)

    def inverse_and_log_det(bijector: Wrapped, y: Array) -> tuple[Array, Array]:
        return on_points(bijector.unwrap().inverse_and_log_det, ndims, ndims, 0)(y)

    return Bijection(
        forward=forward,
        inverse_and_log_det=inverse_and_log_det,
        chain=_parts,
        is_affine=lambda bijector: bool(bijector.unwrap().is_constant_jacobian),
    )


def _transformed(dist):
    base = resolve(dist.distribution)
    if base.batch_shape:
        return served(dist)
    return transformed(base, wrap(dist.bijector), bijection(len(base.event_shape)))


def _independent(dist):
    base = resolve(dist.distribution)
    return served(dist) if is_by_protocol(base) else product(base, len(base.batch_shape))


def _normal_of_matrix(dist):
    matrix = dist.scale.matrix
    return vectors.from_covariance(dist.loc, nu.matmul(matrix, jnp.swapaxes(matrix, -1, -2)))


def _normal_of_triangle(dist):
    if not dist.is_lower:
        return _normal_of_matrix(dist)
    return vectors.MULTIVARIATE_NORMAL(dist.loc, vectors.positive_diagonal(dist.scale_tri))


TABLE = {
    "Normal": lambda d: real_line.NORMAL(d.loc, d.scale),
    "Logistic": lambda d: real_line.LOGISTIC(d.loc, d.scale),
    "Gamma": lambda d: half_line.GAMMA(d.concentration, d.rate),
    "Beta": lambda d: interval.BETA(d.alpha, d.beta),
    "Uniform": lambda d: interval.UNIFORM(d.low, d.high),
    "Bernoulli": lambda d: finite.BERNOULLI(**given(d)),
    "Categorical": lambda d: finite.CATEGORICAL(**given(d)),
    "OneHotCategorical": lambda d: finite.ONE_HOT(**given(d)),
    "MultivariateNormalDiag": lambda d: vectors.multivariate_normal_diag(d.loc, jnp.abs(d.scale_diag)),
    "MultivariateNormalTri": _normal_of_triangle,
    "MultivariateNormalFullCovariance": lambda d: vectors.from_covariance(d.loc, d.covariance_matrix),
    "MultivariateNormalFromBijector": _normal_of_matrix,
    "MixtureSameFamily": lambda d: same_family(d, d.components_distribution, given(d.mixture_distribution), served),
    "Independent": _independent,
    "Transformed": _transformed,
}
