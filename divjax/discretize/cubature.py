"""Quadrature in two and three dimensions: a trapezoidal rule around every component of both distributions.

∫ h dx = Σ_k π_k ∫ N(z; 0, I) (h/r)(x_k(z)) dz with r = (p + q)/2 = Σ_k π_k p_k, the sum over the components of p and q,
each the image x_k(z) of a standard normal z. Where p or q is large some component is, so h/r is smooth and bounded on
each; the trapezoidal rule then converges exponentially (Trefethen, Weideman 2014). Along every axis of a component's
frame the nodes crowd where the other components are, and on their scale: they are equidistant in
t(z) = Σ_j asinh((z − c_j)/s_j), an analytic map. Nodes and weights carry no gradient: the integral does not depend on
them, and ∂/∂θ of the sum at fixed nodes is the quadrature of the derivative (so that value and gradient agree to the
error of the rule, and a fit should ask for no more). Ends of supports that move with θ are refused when differentiated.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.discretize.compiled import compiled
from divjax.discretize.validity import with_fixed_ends
from divjax.distributions.density import log_prob
from divjax.distributions.family import Density
from divjax.distributions.gaussian import gaussian_mixture
from divjax.distributions.source import source
from divjax.measures import Nodes, Rule

_NODES = {2: 64, 3: 32}  # intervals of an axis; a multiple of 2, so that every second node is a rule too


@compiled
def cubature(p: Density, q: Density, *, refine: int | None = None) -> Nodes:
    """Nodes for every ∫ h(p(x), q(x)) dx in two or three dimensions, [k, m, …, m].

    p and q: Gaussians and mixtures of Gaussians of any covariance, and what else is a smooth image of normal variables
    (``Independent`` of families with closed quantiles, bijections of these). m = 65 in two dimensions and 33 in three,
    times ``refine`` (1 in float32, 3/2 in float64); k² m^d evaluations of a component. Relative errors are near 1e-7
    for two components in float32, and near 1e-5 for a score of them, unless refined; ``estimate`` says how large they
    are. Kinks and ends of supports are not nodes: there, as for total_variation, the error falls slowly.
    """
    dim = p.event_shape[0] if len(p.event_shape) == 1 else 0
    if not 1 <= dim <= 3:
        raise ValueError(
            f"Expected event_shape (1,), (2,) or (3,) for quadrature; got {p.event_shape}. Use "
            "dj.monte_carlo(key, p, q, num_draws=...), or dj.exact.bounds for the KL of Gaussian mixtures."
        )
    drawn = [source(dist) for dist in (p, q)]
    for dist, origin in zip((p, q), drawn, strict=True):
        if not origin.mapped or origin.dim != dim:
            raise TypeError(
                f"Expected a smooth image of {dim} normal variables for quadrature in {dim} dimensions; got "
                f"{dist.name}. Use dj.monte_carlo(key, p, q, num_draws=...)."
            )
    centers, scales = jax.lax.stop_gradient(_neighbours(p, q, [origin.log_w.size for origin in drawn], dim))
    z, log_dz = _grid(centers, scales, refine)
    first = 0
    x, log_share = [], []
    for origin in drawn:
        count = origin.log_w.size
        index = jnp.broadcast_to(jnp.arange(count).reshape((count,) + (1,) * dim), z[first : first + count].shape[:-1])
        x.append(origin.image(jax.random.key(0), index, z[first : first + count]))
        log_share.append(origin.log_w[index])
        first += count
    x, log_share = jax.lax.stop_gradient((jnp.concatenate(x), jnp.concatenate(log_share)))
    log_p, log_q = (with_fixed_ends(dist, log_prob(dist, x), "quadrature in more dimensions") for dist in (p, q))
    log_r = jax.lax.stop_gradient(jnp.logaddexp(log_p, log_q))
    log_normal = -0.5 * jnp.sum(z * z, axis=-1) - 0.5 * dim * math.log(2.0 * math.pi)
    return Nodes(log_p, log_q, log_share + log_normal + log_dz - log_r, Rule.CUBATURE)


def _neighbours(
    p: Density, q: Density, counts: list[int], dim: int
) -> tuple[Float[Array, "k d j"], Float[Array, "k d j"]]:
    """Centres and scales of all components along the axes of each component's frame; its own where they are unknown."""
    mixtures = [gaussian_mixture(dist) for dist in (p, q)]
    if any(mixture is None for mixture in mixtures):
        shape = (sum(counts), dim, 1)
        return jnp.zeros(shape), jnp.ones(shape)
    loc, tril = (jnp.concatenate([getattr(m, name) for m in mixtures]) for name in ("loc", "scale_tril"))
    shifts = loc[None, :] - loc[:, None]
    both = jnp.concatenate([jnp.broadcast_to(tril, (loc.shape[0], *tril.shape)), shifts[..., None]], axis=-1)
    solved = jax.scipy.linalg.solve_triangular(jnp.broadcast_to(tril[:, None], both[..., :-1].shape), both, lower=True)
    scales, centers = jnp.linalg.norm(solved[..., :-1], axis=-1), solved[..., -1]
    return jnp.swapaxes(centers, 1, 2), jnp.swapaxes(scales, 1, 2)


def _grid(centers, scales, refine):
    """z [k, m, …, m, d] and the log of each node's volume."""
    dim, dtype = centers.shape[1], centers.dtype
    double = dtype == jnp.float64
    intervals = _NODES[max(dim, 2)] * refine if refine else _NODES[max(dim, 2)] * (3 if double else 2) // 2
    end = 9.0 if double else 6.5  # beyond it a normal density is below rounding
    z, log_dz = _axis(centers[..., None], scales[..., None], jnp.linspace(0.0, 1.0, intervals + 1, dtype=dtype), end)
    shapes = [tuple(intervals + 1 if i == axis else 1 for i in range(dim)) for axis in range(dim)]
    axes = [z[:, axis].reshape((-1, *shapes[axis])) for axis in range(dim)]
    volume = sum(log_dz[:, axis].reshape((-1, *shapes[axis])) for axis in range(dim))
    return jnp.stack(jnp.broadcast_arrays(*axes), axis=-1), volume


def _axis(centers: Array, scales: Array, share: Float[Array, " m"], end: float) -> tuple[Array, Array]:
    """z on (−end, end), equidistant in t(z), [k, d, m], and log of the step. centers, scales: [k, d, j, 1]."""

    def level(z):
        return jnp.sum(jnp.arcsinh((z[..., None, :] - centers) / scales), axis=-2)

    low, high = (level(jnp.full((*centers.shape[:2], 1), sign * end, share.dtype)) for sign in (-1.0, 1.0))
    target = low + (high - low) * share

    def halve(_, bracket):
        below, above = bracket
        middle = 0.5 * (below + above)
        rising = level(middle) < target
        return jnp.where(rising, middle, below), jnp.where(rising, above, middle)

    bracket = (jnp.full(target.shape, -end, share.dtype), jnp.full(target.shape, end, share.dtype))
    below, above = jax.lax.fori_loop(0, jnp.finfo(share.dtype).nmant + 4, halve, bracket)
    z = 0.5 * (below + above)
    # dz = dt / t'(z): exact whatever the rounding of z, up to an analytic change of t.
    slope = jnp.sum(1.0 / jnp.sqrt((z[..., None, :] - centers) ** 2 + scales**2), axis=-2)
    return z, jnp.log((high - low) / (share.size - 1)) - jnp.log(slope)
