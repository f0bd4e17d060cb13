"""The Sinkhorn divergence, by ott-jax: weighted samples in, its value or its output out."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import numerics as nu
from divjax.divergences.kernel.pairwise import squared_differences
from divjax.divergences.transport.sliced import centred_samples, paired_samples
from divjax.measures import Points


def sinkhorn_divergence(
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    epsilon: ArrayLike | None = None,
    cost: Any = None,
    threshold: float = 1e-3,
    max_iterations: int = 2000,
) -> Float[Array, ""]:
    """Sinkhorn divergence T_ε(P, Q) − ½ T_ε(P, P) − ½ T_ε(Q, Q) ≥ 0 of entropic transport (Feydy et al. 2019).

    x, y: samples [n, d] or ``Points``. epsilon: the weight of the entropy, in the units of the cost; by default 5 %
    of the weighted standard deviation of the costs, without a gradient. cost: an ``ott.geometry.costs.CostFn``, by
    default ‖x − y‖². Iterates until the marginals are met within ``threshold`` in l1; whether they were is in
    ``sinkhorn_divergence_solve``. Gradients in points and weights by the envelope theorem, once: as exact as the
    potentials. Memory n m. Raises ValueError for unequal dimensions.
    """
    return sinkhorn_divergence_solve(
        x, y, epsilon=epsilon, cost=cost, threshold=threshold, max_iterations=max_iterations
    ).divergence


def sinkhorn_divergence_solve(
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    epsilon: ArrayLike | None = None,
    cost: Any = None,
    threshold: float = 1e-3,
    max_iterations: int = 2000,
) -> Any:
    """ott's ``SinkhornDivergenceOutput``: divergence, potentials, converged, n_iters and errors of the three parts."""
    # Of other costs it is not known that only differences count.
    (x, log_w_x), (y, log_w_y) = (centred_samples if cost is None else paired_samples)(x, y)
    a, b = _weights(x, log_w_x), _weights(y, log_w_y)
    epsilon = _default_epsilon(cost, x, y, a, b) if epsilon is None else epsilon
    _, output = _ott().sinkdiv(
        x,
        y,
        cost_fn=cost,
        epsilon=epsilon,
        a=a,
        b=b,
        solve_kwargs={"threshold": threshold, "max_iterations": max_iterations},
    )
    return output


def _ott():
    """ott's module, imported when first used: it takes a second."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
        from ott.tools import sinkhorn_divergence
    return sinkhorn_divergence


def _default_epsilon(cost, x, y, a, b):
    """5 % of the weighted standard deviation of the costs; of their mean where all are the same."""
    x, y, a, b = jax.lax.stop_gradient((x, y, a, b))
    costs = squared_differences(x, y) if cost is None else cost.all_pairs(x, y)
    mean = nu.matmul(a, costs, b)
    spread = nu.safe_sqrt(nu.matmul(a, (costs - mean) ** 2, b))
    spread = jnp.where(spread > 0.0, spread, jnp.where(mean > 0.0, mean, 1.0))
    return 0.05 * spread


def _weights(x, log_w):
    """The weights, a masked point's too small to move anything: at 0 the potentials are infinite."""
    if log_w is None:
        return jnp.full(x.shape[0], 1.0 / x.shape[0], x.dtype)
    return jnp.maximum(jnp.exp(log_w), jnp.finfo(x.dtype).tiny)
