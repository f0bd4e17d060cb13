"""Quadrature: two distributions in, nodes that follow the mass of both out. On the line here, else in ``cubature``."""

from typing import Any

import jax
import jax.numpy as jnp

from divjax import numerics as nu
from divjax import operands as op
from divjax.discretize import panels
from divjax.discretize.compiled import compiled
from divjax.discretize.cubature import cubature
from divjax.discretize.density import log_density
from divjax.discretize.families import Profile, profile
from divjax.discretize.validity import is_discrete
from divjax.measures import Nodes, Rule


@compiled
def quadrature(p: Any, q: Any, *, crossings: int = 4, refine: int | None = None) -> Nodes:
    """Nodes for every ∫ h(p(x), q(x)) dx, from the distributions alone: no grid to choose.

    p, q: unbatched distrax or TFP distributions in one, two or three dimensions, mixtures too; build them from
    parameter arrays inside the function that is vmapped or differentiated. On the line the panels of the rule follow
    the components' centres and scales, the kinks and the ends of the supports of both, as they move with the
    parameters. In two and three dimensions: see ``divjax.discretize.cubature``.

    crossings: how many points with p = q become ends of panels (for total_variation, whose integrand has its kinks
    there); 0 saves 15 to 30 % where no integrand has kinks. refine: every panel is cut into so many; by default 1 in
    float32 and 3 in float64, for errors at the level of rounding and near 1e-11. In more dimensions: so many times
    the intervals of an axis.

    Returns ``Nodes`` of the rule PANELS, [n], or CUBATURE: give them to any divergence on nodes, ``kl(nodes)``.
    Raises ValueError for batched distributions and for more than three dimensions, TypeError for one whose mass it
    cannot locate.
    """
    if refine is not None:
        op.check_count(refine, "refine")
    if all(hasattr(dist, "log_prob") and not isinstance(dist, type) and tuple(dist.event_shape) for dist in (p, q)):
        return cubature(p, q, refine=refine)
    shape_p, shape_q = (univariate(dist, name) for dist, name in ((p, "p"), (q, "q")))
    grid = panels.lay(shape_p, shape_q)
    placed = panels.nodes(grid, default_refine(grid.left.dtype) if refine is None else refine)

    def log_densities(x):
        return log_density(p, shape_p, x), log_density(q, shape_q, x)

    if crossings:
        x = jax.lax.stop_gradient(placed.x)
        placed = panels.split(grid, placed, lambda x: _gap(*log_densities(x)), _gap(*log_densities(x)), crossings)
    # Flat before anything is evaluated: loops over rows of 15 are not vectorised.
    return Nodes(*log_densities(placed.x.ravel()), placed.log_w.ravel(), Rule.PANELS, crossings)


def _gap(log_p, log_q):
    return nu.finite(jnp.clip(nu.log_ratio(log_p, log_q), -1.0, 1.0))


def default_refine(dtype: jnp.dtype) -> int:
    """Stretches per panel that take smooth integrands to rounding in float32, to 1e-10 in float64."""
    # Three and not two: between equal widths p = q half way between two knots. A kink on an end loses a derivative.
    return 3 if dtype == jnp.float64 else 1


def univariate(dist: Any, name: str = "the distribution") -> Profile:
    """The profile of one unbatched distribution on the line; ValueError where it is not that."""
    if not hasattr(dist, "log_prob"):
        raise TypeError(f"Expected {name} to be a distrax or TFP distribution; got {type(dist).__name__}.")
    if isinstance(dist, type):
        raise TypeError(f"Expected {name} to be a distribution; got the class {dist.__name__}. Build one of it.")
    if is_discrete(dist):
        raise TypeError(
            f"Expected {name} to be continuous; got {type(dist).__name__}. Measure on the log-probabilities of all "
            "values, kl(pmf(log_p, log_q)), or use dj.exact or dj.monte_carlo(..., gradient='score')."
        )
    event, batch = tuple(dist.event_shape), tuple(dist.batch_shape)
    if event != ():
        raise ValueError(
            f"Expected {name} to be one-dimensional with event_shape (); got event_shape {event}. "
            "In more dimensions use dj.quadrature or dj.monte_carlo with both p and q."
        )
    if batch != ():
        raise ValueError(
            f"Expected {name} to be unbatched; got batch_shape {batch}. Use jax.vmap over its parameters and build "
            "the distribution inside the mapped function."
        )
    return profile(dist)
