"""Gradient estimators that are right for one divergence alone, and so are functions of their own.

p and q as in ``monte_carlo``; q's draws must be differentiable. p may be unnormalised: a constant added to its log_prob
is subtracted from every value. Mixtures have the gradient of their weights by its score. All raise ValueError for
batched distributions, unequal event shapes and a q whose draws have no derivative, TypeError for what is no
distribution.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from divjax import checks
from divjax import numerics as nu
from divjax.discretize import designs, sampling, validity
from divjax.distributions.density import log_prob_of_draws
from divjax.distributions.family import Density
from divjax.distributions.source import outline, source
from divjax.numerics import calls as _calls
from divjax.numerics.calls import said
from divjax.numerics.programs import kept

__dir__ = _calls.own(__name__)

Scalar = Float[Array, ""]


@said
def reverse_kl_stl(
    key: PRNGKeyArray, p: Any, q: Any, *, num_draws: int, design: Callable[..., Array] = designs.independent
) -> Scalar:
    """KL(q‖p) in nats by draws of q, with a gradient that is exactly 0 for every draw at p = q: sticking the landing.

    The mean of log q − log p over ``num_draws`` draws. The gradient follows the draws and leaves out the explicit ∂ log
    q/∂θ, whose mean is 0 (Roeder, Wu, Duvenaud 2017); the plain form's is 0 at p = q on average only. Right for the
    reverse KL and nothing else: there are no such nodes. The value is unbiased and may be negative. design: as for
    ``monte_carlo``.

    Examples:
        >>> p = distrax.Normal(0.0, 1.0)
        >>> stl = dj.variational.reverse_kl_stl
        >>> loss = lambda loc: stl(jax.random.key(0), p, distrax.Normal(loc, 1.0), num_draws=64)
        >>> round(float(jax.grad(loss)(0.0)), 3)
        0.0
    """
    p, q = _checked(p, q, num_draws=num_draws)
    sampling.check_design(q, outline(q), design)
    return _stl(key, p, q, num_draws, design)


@kept
def _stl(key, p, q, num_draws, design):
    x, log_share, _ = sampling.draw(key, q, source(q), num_draws, design)
    return jnp.mean(_shared(jnp.exp(log_share), _along_path(q, x) - log_prob_of_draws(p, x)))


@said
def iwae(key: PRNGKeyArray, p: Any, q: Any, *, num_groups: int, num_particles: int) -> Scalar:
    """The negative importance-weighted bound in nats, −E log 1/K Σ_k p(x_k)/q(x_k) over draws of q (Burda et al. 2016).

    The mean over ``num_groups`` groups of K = ``num_particles`` draws. KL(q‖p) at K = 1, falling to 0 (to −log ∫p for
    an unnormalised p) as K grows, so that q is free to be wider than the optimum of KL(q‖p). Pathwise gradient; its
    signal-to-noise ratio falls like K^-½ (Rainforth et al. 2018): ``dreg`` has the same value and a better one.

    Examples:
        >>> p, q = distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.0)
        >>> float(dj.variational.iwae(jax.random.key(0), p, q, num_groups=8, num_particles=4))
        -0.0
    """
    return _iwae(key, *_checked(p, q, num_groups=num_groups, num_particles=num_particles), num_groups, num_particles)


@kept
def _iwae(key, p, q, num_groups, num_particles):
    x, share = _groups(key, q, source(q), num_groups, num_particles)
    return -jnp.mean(_shared(share, _log_mean(log_prob_of_draws(p, x) - log_prob_of_draws(q, x))))


@said
def dreg(key: PRNGKeyArray, p: Any, q: Any, *, num_groups: int, num_particles: int) -> Scalar:
    """``iwae`` with the doubly reparameterised gradient (Tucker et al. 2019): Σ_k w̃_k² ∂ log(p/q)/∂x ∂x/∂θ for q.

    Its signal-to-noise ratio grows with K. For parameters of p it is the gradient of ``iwae``. Right for this bound
    alone (and, at K = 1, for the reverse KL): for other divergences use ``monte_carlo``. Raises ValueError for a q that
    is a mixture, whose weights no draw moves with: use ``iwae``.

    Examples:
        >>> p, q = distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.0)
        >>> float(dj.variational.dreg(jax.random.key(0), p, q, num_groups=8, num_particles=4))
        -0.0
    """
    p, q = _checked(p, q, num_groups=num_groups, num_particles=num_particles)
    if outline(q).log_w.size > 1:
        raise ValueError(f"Expected q without components for dreg; got {q.name}. Use dj.variational.iwae.")
    return _dreg(key, p, q, num_groups, num_particles)


@kept
def _dreg(key, p, q, num_groups, num_particles):
    x, _ = _groups(key, q, source(q), num_groups, num_particles)
    fixed = jax.lax.stop_gradient(x)
    log_ratio = jax.lax.stop_gradient(log_prob_of_draws(p, fixed) - log_prob_of_draws(q, fixed))
    weights = jnp.exp(log_ratio - nu.finite(jax.vmap(nu.logsumexp)(log_ratio))[:, None])
    # The weight of a draw multiplies its derivative once more.
    x = fixed + weights.reshape(weights.shape + (1,) * (x.ndim - 2)) * (x - fixed)
    return -jnp.mean(_log_mean(log_prob_of_draws(p, x) - _along_path(q, x)))


def _checked(p, q, **counts) -> tuple[Density, Density]:
    p, q = validity.pair(p, q)
    for name, count in counts.items():
        checks.check_count(count, name)
    validity.check_pathwise(q, outline(q), (p,), "dj.monte_carlo with gradient='score'")
    return p, q


def _along_path(dist, x):
    """log q(x), whose derivative is the one along x: at fixed parameters."""
    fixed = jax.lax.stop_gradient(x)
    explicit = log_prob_of_draws(dist, fixed)
    return log_prob_of_draws(dist, x) - (explicit - jax.lax.stop_gradient(explicit))


def _shared(share, terms):
    """share · terms, an infinite term being a constant."""
    infinite = jax.lax.stop_gradient(jnp.where(jnp.isinf(terms), terms, 0.0))
    return share * nu.finite(terms) + infinite


def _groups(key, q, origin, num_groups, num_particles):
    """Independent draws x [num_groups, num_particles, *event] and the share of every group, 1, with its weights'
    derivative."""

    def design(key, num_draws, dim):
        return designs.uniform(key, (num_draws // num_particles, num_particles, 1, dim))

    x, log_share, _ = sampling.draw(key, q, origin, num_groups * num_particles, design)
    return x.reshape(num_groups, num_particles, *x.shape[1:]), jnp.exp(
        jnp.sum(log_share.reshape(num_groups, num_particles), axis=1)
    )


def _log_mean(log_weights):
    return jax.vmap(nu.logsumexp)(log_weights) - math.log(log_weights.shape[-1])
