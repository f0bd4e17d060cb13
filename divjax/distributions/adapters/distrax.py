"""distrax: its classes as records, its bijectors as maps.

Its properties broadcast to a batch shape that is none any more inside ``jax.vmap``: what they broadcast is read.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from divjax import numerics as nu
from divjax.distributions import circle, finite, half_line, interval, real_line, vectors
from divjax.distributions.adapters import (
    batch_of_log_prob,
    different_families,
    given,
    image,
    independent,
    look_up,
    same_family,
)
from divjax.distributions.family import Density
from divjax.distributions.protocol import by_protocol
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import Bijection

# Whose own samples are differentiable in all parameters; distrax does not say so itself.
_PATHWISE = {"Gamma", "Beta", "Dirichlet", "Normal", "Laplace", "Logistic", "Gumbel", "Uniform", "LogStddevNormal"}


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not known."""
    return look_up(dist, kind, TABLE, served)


def served(dist: Any) -> Density:
    """By its own methods."""
    is_float = jnp.issubdtype(dist.dtype, jnp.floating)
    pathwise = bool(is_float) and _is_pathwise(dist)
    return by_protocol(dist, batch=batch_of_log_prob, pathwise=pathwise, discrete=not is_float)


def _is_pathwise(dist):
    names = {kind.__name__ for kind in type(dist).__mro__}
    if names & {"Independent", "Transformed"}:
        return _is_pathwise(dist.distribution)
    return bool(names & _PATHWISE)


def _inverse_and_log_det(bijector: Any, y: Array) -> tuple[Array, Array]:
    return bijector.inverse_and_log_det(y)


BIJECTION = Bijection(
    forward=lambda bijector, x: bijector.forward(x),
    inverse_and_log_det=_inverse_and_log_det,
    chain=lambda bijector: list(reversed(getattr(bijector, "bijectors", (bijector,)))),
    is_affine=lambda bijector: bool(getattr(bijector, "is_constant_jacobian", False)),
)


def _mixture_of_two(dist):
    probs = jnp.stack([dist._prob_a, 1.0 - jnp.asarray(dist._prob_a)], axis=-1)
    return different_families([dist._component_a, dist._component_b], {"probs": probs})


def _transformed(dist):
    bijector = dist._bijector
    return image(dist, resolve(dist._distribution), bijector, BIJECTION, bijector.event_ndims_in, served)


def _normal_of_triangle(dist):
    factor = dist._scale_tri
    if not dist._is_lower:
        return _normal_of_map(dist)
    return vectors.MULTIVARIATE_NORMAL(dist._loc, vectors.positive_diagonal(factor))


def _normal_of_map(dist):
    matrix = dist._scale.matrix
    return vectors.from_covariance(dist._loc, nu.matmul(matrix, jnp.swapaxes(matrix, -1, -2)))


TABLE = {
    "Normal": lambda d: real_line.NORMAL(d._loc, d._scale),
    "Laplace": lambda d: real_line.LAPLACE(d._loc, d._scale),
    "Logistic": lambda d: real_line.LOGISTIC(d._loc, d._scale),
    "Gumbel": lambda d: real_line.GUMBEL(d._loc, d._scale),
    "Gamma": lambda d: half_line.GAMMA(d._concentration, d._rate),
    "Beta": lambda d: interval.BETA(d._alpha, d._beta),
    "Uniform": lambda d: interval.UNIFORM(d._low, d._high),
    "VonMises": lambda d: circle.VON_MISES(d._loc, d._concentration),
    "Bernoulli": lambda d: finite.BERNOULLI(**given(d)),
    "Categorical": lambda d: finite.CATEGORICAL(**given(d)),
    "OneHotCategorical": lambda d: finite.ONE_HOT(**given(d)),
    "Multinomial": lambda d: finite.MULTINOMIAL(d._total_count, **given(d)),
    "Dirichlet": lambda d: vectors.DIRICHLET(d._concentration),
    "MultivariateNormalDiag": lambda d: vectors.multivariate_normal_diag(d._loc, jnp.abs(d._scale_diag)),
    "MultivariateNormalTri": _normal_of_triangle,
    "MultivariateNormalFromBijector": _normal_of_map,
    "MixtureSameFamily": lambda d: same_family(d, d._components_distribution, given(d._mixture_distribution), served),
    "MixtureOfTwo": _mixture_of_two,
    "Independent": lambda d: independent(d, d._distribution, d._reinterpreted_batch_ndims, served),
    "Transformed": _transformed,
    # The object of TFP that it was made of, which is no attribute of it.
    "DistributionFromTFP": lambda d: resolve(d.__getattr__("log_prob").__self__),
}
