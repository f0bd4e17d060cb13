"""A divergence with its error: value, standard error, effective sample size, status."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from divjax import numerics as nu
from divjax import status
from divjax.discretize.panels import LOG_GAUSS_WEIGHTS, LOG_WEIGHTS
from divjax.measures import Nodes, Panels

_MIN_ESS = 10.0


class Estimate(NamedTuple):
    """A value and how wrong it may be."""

    value: Float[Array, ""]
    stderr: Float[Array, ""]  # standard error; for quadrature an error bound that errs on the large side
    ess: Float[Array, ""]  # Kish's effective number of nodes, the smaller of those that carry p and q
    status: Int[Array, ""]  # bits of divjax.status


def estimate(divergence: Callable[..., Array], nodes: Nodes | Panels, **params: ArrayLike) -> Estimate:
    """``divergence(*nodes, **params)`` with its error, from the nodes alone: no code per divergence.

    ``Panels`` (from ``quadrature``): the difference to the embedded 7-point Gauss rule, scaled as in QUADPACK
    (Piessens et al. 1983) because the 15-point rule is far better than that, plus what rounding of the log-densities
    can do. Other ``Nodes`` are taken for independent draws, weighted: the infinitesimal jackknife (Jaeckel 1972),
    √(n/(n−1) Σ (∂D/∂log w_i − mean)²).

    status: MASS_MISSED where the nodes miss more than 10⁻³ of p or q (quadrature), LOW_ESS below 10 effective nodes,
    NON_FINITE for a value that is not finite (its stderr is inf). jit, vmap and grad as usual.
    """
    value = divergence(*nodes, **params)
    ess = jnp.minimum(_kish(nodes.log_p + nodes.log_w), _kish(nodes.log_q + nodes.log_w))
    if isinstance(nodes, Panels):
        stderr = _nested_error(divergence, nodes, params, value) + _rounding(divergence, nodes, params)
        bits = jnp.where(_mass_missed(nodes), status.MASS_MISSED, status.OK)
    else:
        stderr = _jackknife(divergence, nodes, params)
        bits = jnp.where(ess < _MIN_ESS, status.LOW_ESS, status.OK)
    stderr = jnp.where(jnp.isfinite(value), stderr, jnp.inf)
    bits = bits | jnp.where(jnp.isfinite(value), status.OK, status.NON_FINITE)
    return Estimate(value, stderr, ess, bits.astype(jnp.int32))


def _kish(log_mass):
    return jnp.exp(2.0 * nu.logsumexp(log_mass) - nu.logsumexp(2.0 * log_mass))


def _mass_missed(nodes):
    def missed(log_density):
        return jnp.abs(jnp.exp(nu.logsumexp(log_density + nodes.log_w)) - 1.0) > 1e-3

    return missed(nodes.log_p) | missed(nodes.log_q)


def _nested_error(divergence, nodes, params, value):
    gauss = np.tile(LOG_GAUSS_WEIGHTS - LOG_WEIGHTS, nodes.log_w.shape[-1] // LOG_WEIGHTS.size)
    coarse = divergence(nodes.log_p, nodes.log_q, nodes.log_w + jnp.asarray(gauss, nodes.log_w.dtype), **params)
    gap, scale = jnp.abs(coarse - value), jnp.where(value == 0.0, 1.0, jnp.abs(value))
    relative = nu.finite(gap / scale)
    return scale * jnp.minimum(relative, (200.0 * relative) ** 1.5)


def _rounding(divergence, nodes, params):
    """Σ |∂D/∂log p_i| eps |log p_i|, and the same for q: every log-density off by a unit in its last place."""
    eps = jnp.finfo(nodes.log_p.dtype).eps
    by_p, by_q = jax.grad(lambda a, b: divergence(a, b, nodes.log_w, **params), argnums=(0, 1))(
        nodes.log_p, nodes.log_q
    )
    units_p, units_q = (1.0 + jnp.abs(nu.finite(log)) for log in (nodes.log_p, nodes.log_q))
    return eps * (jnp.sum(jnp.abs(by_p) * units_p) + jnp.sum(jnp.abs(by_q) * units_q))


def _jackknife(divergence, nodes, params):
    influence = jax.grad(lambda log_w: divergence(nodes.log_p, nodes.log_q, log_w, **params))(nodes.log_w)
    n = influence.size
    return jnp.sqrt(n / max(n - 1, 1) * jnp.sum((influence - jnp.mean(influence)) ** 2))
