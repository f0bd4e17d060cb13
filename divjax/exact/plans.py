"""Transport between mixtures of Gaussians along mixtures of Gaussians."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.distributions.exponential.multivariate import Gaussian, bures
from divjax.distributions.gaussian import GaussianMixture, gaussian_mixture
from divjax.divergences.transport.plan import optimal_plan, transport_value
from divjax.exact.pair import both, no_closed_form


class MixturePlan(NamedTuple):
    """``mixture_wasserstein2`` with the plan between components and their squared distances."""

    value: Float[Array, ""]
    coupling: Float[Array, "k l"]
    cost: Float[Array, "k l"]


def mixture_wasserstein2(p: Any, q: Any) -> Float[Array, ""]:
    """MW₂ = (min over π of Σ π_kl W₂²(N_k, N_l))^½, not squared, between mixtures of Gaussians (Delon, Desolneux 2020).

    The least cost of couplings that are mixtures of Gaussians themselves: ``wasserstein2`` ≤ MW₂ ≤ ``wasserstein2`` +
    √(2 Σ w_k tr Σ_k) + the same of q; equal to it between two Gaussians. A metric. The plan between the components is
    exact; the gradient holds it fixed (envelope theorem), and is 0 where MW₂ is.
    """
    return mixture_plan(p, q).value


def mixture_plan(p: Any, q: Any) -> MixturePlan:
    """``mixture_wasserstein2`` with its plan [k, l] and costs W₂²(N_k, N_l)."""
    p, q = both(p, q)
    one, two = gaussian_mixture(p), gaussian_mixture(q)
    if one is None or two is None:
        raise no_closed_form("mixture_wasserstein2", p, q)
    cost = _distances(one, two)
    a, b = (mixture.weight.astype(cost.dtype) for mixture in (one, two))
    value = nu.safe_sqrt(jnp.maximum(transport_value(cost, a, b), 0.0))
    return MixturePlan(value, optimal_plan(cost, a, b).coupling, cost)


def _distances(p: GaussianMixture, q: GaussianMixture) -> Float[Array, "k l"]:
    def distance(loc_p, factor_p, loc_q, factor_q):
        one = jnp.ones((), loc_p.dtype)
        return bures(Gaussian(loc_p, factor_p, one), Gaussian(loc_q, factor_q, one))

    to_all = jax.vmap(distance, (None, None, 0, 0))
    return jax.vmap(to_all, (0, 0, None, None))(p.loc, p.scale_tril, q.loc, q.scale_tril)
