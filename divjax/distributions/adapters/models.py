"""The models of this library: classes of distrax and TFP with a log-density of their own, which records have too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from divjax.distributions import real_line
from divjax.distributions.adapters import distrax, look_up
from divjax.distributions.family import Density, Profile
from divjax.distributions.resolve import resolve
from divjax.distributions.transformed import TransformedParameters, transformed, with_profile

# Ends of panels beside a spline's own: where a standard normal has its mass, in units of its scale ...
_REACH = np.array([-8.0, -5.8, -4.0, -2.5, -1.2, 0.0, 1.2, 2.5, 4.0, 5.8, 8.0])
# ... and shares of a bin, denser towards its knots. Where the slope of a knot is s times that of the bin, s small, the
# density has a peak of mass s: it is resolved for s above 0.03.
_SHARES = np.array([1 / 32, 1 / 8, 0.35, 0.65, 7 / 8, 31 / 32])


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for a class that is not one of the models."""
    return look_up(dist, kind, TABLE, distrax.served)


def _spline_flow(dist):
    flow = transformed(resolve(dist.distribution), dist.bijector, distrax.BIJECTION)
    return with_profile(flow, _between_knots)


def _between_knots(flow: TransformedParameters) -> Profile:
    """Panels between the images of the spline's knots, several to a bin, and of those of the base."""
    ends = flow.map.bijectors[-1].x_pos
    inner = ends[:-1, None] + jnp.diff(ends)[:, None] * jnp.asarray(_SHARES, ends.dtype)
    forward = jax.vmap(flow.map.forward)
    image = jnp.sort(forward(jnp.concatenate([jnp.asarray(_REACH, ends.dtype), inner.ravel()])))
    scale = jnp.abs(image - image[image.size // 2])  # of the outermost: that of the tail beyond
    return Profile(image, scale, (0.0,), forward(ends), jnp.zeros((0,), image.dtype), None, None)


TABLE = {
    "Mixture": distrax.TABLE["MixtureSameFamily"],
    "HeldNormal": distrax.TABLE["Normal"],
    "StudentT": lambda d: real_line.STUDENT_T(d.df, d.loc, d.scale),
    "SplineFlow": _spline_flow,
}
