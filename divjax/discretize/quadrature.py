"""Quadrature: two distributions in, nodes that follow the mass of both out.

On the line by ``panels``. In two and three dimensions by a trapezoidal rule around every component of both:
∫ h dx = Σ_k π_k ∫ N(z; 0, I) (h/r)(x_k(z)) dz with r = (p + q)/2 = Σ_k π_k p_k, the sum over the components of p and q,
each the image x_k(z) of a standard normal z. Where p or q is large some component is, so h/r is smooth and bounded on
each; the trapezoidal rule then converges exponentially (Trefethen, Weideman 2014). Along every axis of a component's
frame the nodes crowd where the other components are, and on their scale: they are equidistant in
t(z) = Σ_j asinh((z − c_j)/s_j), an analytic map. Nodes and weights carry no gradient: the integral does not depend on
them, and ∂/∂θ of the sum at fixed nodes is the quadrature of the derivative (so that value and gradient agree to the
error of the rule, and a fit should ask for no more). Ends of supports that move with θ are refused when differentiated.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.discretize import panels, validity
from divjax.discretize.compiled import compiled
from divjax.distributions.decay import if_known
from divjax.distributions.density import centred, log_prob, profile
from divjax.distributions.family import GAUSSIAN, Density, Profile, smooth
from divjax.distributions.gaussian import gaussian_mixture
from divjax.distributions.products import coordinates
from divjax.distributions.source import source, to_normal
from divjax.measures import Nodes, Points, Rule
from divjax.numerics import linalg
from divjax.numerics.calls import said

_BENDS = 8  # of a mixture that get knots: components of more are close to each other
_PAIRS = 8  # of components whose product is looked for
_BEYOND = 40.0  # no node is as far out
_NODES = {2: 64, 3: 32}  # intervals of an axis; a multiple of 2, so that every second node is a rule too


@said
def quadrature(
    p: Any, q: Any, *, crossings: int = 0, orders: Sequence[ArrayLike] = (), refine: int | None = None
) -> Nodes:
    """Nodes for every ∫ h(p(x), q(x)) dx, from the distributions alone: no grid to choose.

    p, q: unbatched distributions of any known library in one, two or three dimensions, mixtures too; build them from
    parameter arrays inside the function that is vmapped or differentiated. On the line the panels of the rule follow
    the components' centres and scales, the kinks and the ends of the supports of both, as they move with the
    parameters. In two and three dimensions they are a grid around every component of both: errors near 1e-7 for two
    smooth components in float32, but only a few digits where the integrand has kinks.

    crossings: how many points with p = q become ends of panels, for integrands with kinks there: 4, say, for
    ``total_variation``, which warns of nodes that were laid without. Smooth integrands need none. orders: the α whose
    ∫ p^α q^(1−α) is to be found where it is far from the mass of both, as for α > 1 or α < 0: ``(2.0,)`` for
    ``pearson_chi2``, say; only on the whole line. ``dj.renyi(p, q, alpha=...)`` asks for its own. refine: every panel
    is cut into so many; by default 1 in float32 and 3 in float64, for errors at the level of rounding and near 1e-11.
    In more dimensions: so many times the intervals of an axis.

    Returns ``Nodes`` of the rule PANELS, [n], or CUBATURE: give them to any divergence on nodes, ``kl(nodes)``.
    Raises ValueError for batched distributions and for more than three dimensions, TypeError for one whose mass it
    cannot locate.

    Examples:
        >>> nodes = dj.quadrature(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))
        >>> round(float(dj.kl(nodes)), 3), round(float(dj.jeffreys(nodes)), 3)
        (0.5, 1.0)
    """
    if refine is not None:
        checks.check_count(refine, "refine")
    p, q = validity.pair(p, q)
    if p.event_shape:
        return cubature(p, q, refine=refine)
    p, q = validity.univariate(p, "p"), validity.univariate(q, "q")
    return _on_line(p, q, crossings=crossings, orders=tuple(orders), refine=refine)


@compiled
def _on_line(p: Density, q: Density, *, crossings: int, orders: tuple[ArrayLike, ...], refine: int | None) -> Nodes:
    p, q = centred(p, q)

    def log_densities(x):
        return log_prob(p, x), log_prob(q, x)

    shapes = profile(p), profile(q)
    bends = [at for at in map(panels.gaps, shapes) if 0 < at.size <= _BENDS]
    far = (shape for order in orders for shape in _far(*shapes, log_densities, order))
    grid = panels.lay(*shapes, *far, bends=bends)
    placed = panels.nodes(grid, default_refine(grid.left.dtype) if refine is None else refine)

    if crossings:
        x = jax.lax.stop_gradient(placed.x)
        placed = panels.split(grid, placed, lambda x: _gap(*log_densities(x)), _gap(*log_densities(x)), crossings)
    # Flat before anything is evaluated: loops over rows of 15 are not vectorised.
    return Nodes(*log_densities(placed.x.ravel()), placed.log_w.ravel(), Rule.PANELS, crossings, if_known(p, q))


def _far(p: Profile, q: Profile, log_densities: Callable, order: ArrayLike) -> list[Profile]:
    """Where p^α q^(1−α) has its mass, which for other α than those in [0, 1] is not between p and q.

    Of two components that fall like normals it is like a normal again: of the precision α/s² + (1−α)/t², where that is
    positive, and else infinite. Of many pairs those that count most.
    """
    if any(end is not None for shape in (p, q) for end in (shape.low, shape.high)):
        return []
    center, scale = jax.lax.stop_gradient(_product(p, q, order))
    log_p, log_q = jax.lax.stop_gradient(log_densities(center))
    share = order * nu.finite(log_p) + (1.0 - order) * nu.finite(log_q) + jnp.log(scale)
    kept = jax.lax.top_k(jax.lax.stop_gradient(share), min(_PAIRS, center.size))[1]
    return [smooth(center[kept], scale[kept], GAUSSIAN)]


def _product(p: Profile, q: Profile, order: ArrayLike) -> tuple[Array, Array]:
    """Centres and scales of all pairs of components; those of p where the product has none."""
    ratio = (q.scale / p.scale[:, None]) ** 2
    precision = order * ratio + (1.0 - order)  # in units of that of q
    some = (precision > 0.0) & (precision < jnp.inf)
    safe = jnp.where(some, precision, 1.0)
    center = q.center + order * ratio / safe * (p.center[:, None] - q.center)
    scale = q.scale / jnp.sqrt(safe)
    some = some & jnp.isfinite(center)
    found = jnp.where(some, center, p.center[:, None]), jnp.where(some, scale, p.scale[:, None])
    return tuple(jnp.ravel(each) for each in found)


def points(p: Any, q: Any) -> Points:
    """Nodes on the line with weights w_i p(x_i): a weighted sample of p, laid where p or q have mass.

    For expectations under p of what needs the points themselves, such as scores. Raises as ``quadrature``.

    Examples:
        >>> sample = dj.discretize.points(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))
        >>> round(float(jnp.sum(jnp.exp(sample.log_w) * sample.x**2)), 3)
        2.0
    """
    p, q = validity.univariate(p, "p"), validity.univariate(q, "q")
    return _points(p, q)


@compiled
def _points(p: Density, q: Density) -> Points:
    grid = panels.lay(profile(p), profile(q))
    placed = panels.nodes(grid, default_refine(grid.left.dtype))
    x = placed.x.ravel()
    return Points(x, placed.log_w.ravel() + log_prob(p, x))


def _gap(log_p, log_q):
    return nu.finite(jnp.clip(nu.log_ratio(log_p, log_q), -1.0, 1.0))


def default_refine(dtype: jnp.dtype) -> int:
    """Stretches per panel that take smooth integrands to rounding in float32, to 1e-10 in float64."""
    # Three and not two: between equal widths p = q half way between two knots. A kink on an end loses a derivative.
    return 3 if dtype == jnp.float64 else 1


@compiled
def cubature(p: Density, q: Density, *, refine: int | None = None) -> Nodes:
    """Nodes for every ∫ h(p(x), q(x)) dx in two or three dimensions, [k, m, …, m].

    p and q: Gaussians and mixtures of Gaussians of any covariance, and what else is a smooth image of normal variables
    (``Independent`` of families with closed quantiles, bijections of these). m = 65 in two dimensions and 33 in three,
    times ``refine`` (1 in float32, 3/2 in float64); k² m^d evaluations of a component. Relative errors are near 1e-7
    for two components in float32, and near 1e-5 for a score of them, unless refined; ``estimate`` says how large they
    are. Nodes crowd at the kinks of the densities of two products (of Laplaces, say); at others, as
    of total_variation, and at ends of supports the error falls slowly.
    """
    dim = p.event_shape[0] if len(p.event_shape) == 1 else 0
    if not 1 <= dim <= 3:
        raise ValueError(
            f"Expected event_shape (1,), (2,) or (3,) for quadrature; got {p.event_shape}. Use "
            "dj.monte_carlo(key, p, q, num_draws=...), or dj.bounds for the KL of Gaussian mixtures."
        )
    drawn = [source(dist) for dist in (p, q)]
    for dist, origin in zip((p, q), drawn, strict=True):
        if not origin.mapped or origin.dim != dim:
            raise TypeError(
                f"Expected a smooth image of {dim} normal variables for quadrature in {dim} dimensions; got "
                f"{dist.name}. Use dj.monte_carlo(key, p, q, num_draws=...)."
            )
    centers, scales = jax.lax.stop_gradient(_neighbours(p, q, [origin.log_w.size for origin in drawn], dim))
    z, log_dz = _grid(centers, scales, jax.lax.stop_gradient(_kinks(p, q, centers.shape[:2])), refine)
    first = 0
    x, log_share = [], []
    for origin in drawn:
        count = origin.log_w.size
        index = jnp.broadcast_to(jnp.arange(count).reshape((count,) + (1,) * dim), z[first : first + count].shape[:-1])
        x.append(origin.image(jax.random.key(0), index, z[first : first + count]))
        log_share.append(origin.log_w[index])
        first += count
    x, log_share = jax.lax.stop_gradient((jnp.concatenate(x), jnp.concatenate(log_share)))
    what = "quadrature in more dimensions"
    log_p, log_q = (validity.with_fixed_ends(dist, log_prob(dist, x), what) for dist in (p, q))
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
    solved = linalg.solve_triangular(tril[:, None], both)
    scales, centers = jnp.linalg.norm(solved[..., :-1], axis=-1), solved[..., -1]
    return jnp.swapaxes(centers, 1, 2), jnp.swapaxes(scales, 1, 2)


def _kinks(p: Density, q: Density, shape: tuple[int, ...]) -> Float[Array, "k d j"]:
    """Where along the axes of each of two products the densities of both are not smooth."""
    sides = [coordinates(dist) for dist in (p, q)]
    if any(side is None for side in sides):
        return jnp.zeros((*shape, 0))
    x = jnp.concatenate([jax.vmap(lambda each: profile(each).kinks)(side) for side in sides], axis=-1)
    z = jnp.stack([jax.vmap(to_normal)(side, x) for side in sides])
    return jnp.clip(z, -_BEYOND, _BEYOND)


def _grid(centers, scales, kinks, refine):
    """z [k, m, …, m, d] and the log of each node's volume."""
    dim, dtype = centers.shape[1], centers.dtype
    double = dtype == jnp.float64
    intervals = _NODES[max(dim, 2)] * refine if refine else _NODES[max(dim, 2)] * (3 if double else 2) // 2
    end = 9.0 if double else 6.5  # beyond it a normal density is below rounding
    share = jnp.linspace(0.0, 1.0, intervals + 1, dtype=dtype)
    z, log_dz = _axis(centers[..., None], scales[..., None], kinks[..., None], share, end)
    shapes = [tuple(intervals + 1 if i == axis else 1 for i in range(dim)) for axis in range(dim)]
    axes = [z[:, axis].reshape((-1, *shapes[axis])) for axis in range(dim)]
    volume = sum(log_dz[:, axis].reshape((-1, *shapes[axis])) for axis in range(dim))
    return jnp.stack(jnp.broadcast_arrays(*axes), axis=-1), volume


def _axis(centers: Array, scales: Array, kinks: Array, share: Float[Array, " m"], end: float) -> tuple[Array, Array]:
    """z on (−end, end), equidistant in t(z), [k, d, m], and log of the step. centers, scales, kinks: [k, d, j, 1].

    Next to a kink z − c is like (t − t(c))⁵: what a jump of the integrand's derivative there costs falls like m⁻⁶.
    """

    def level(z):
        z = z[..., None, :]
        smooth = jnp.sum(jnp.arcsinh((z - centers) / scales), axis=-2)
        crowded = jnp.sum(3.0 * jnp.sign(z - kinks) * jnp.abs(z - kinks) ** 0.2, axis=-2) if kinks.size else 0.0
        return smooth + crowded

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
    # dz = dt / t'(z): exact whatever the rounding of z, up to an analytic change of t. On a kink it is 0.
    at = z[..., None, :]
    slope = jnp.sum(1.0 / jnp.sqrt((at - centers) ** 2 + scales**2), axis=-2)
    slope = slope + jnp.sum(0.6 * jnp.abs(at - kinks) ** -0.8, axis=-2) if kinks.size else slope
    return z, jnp.log((high - low) / (share.size - 1)) - jnp.log(slope)
