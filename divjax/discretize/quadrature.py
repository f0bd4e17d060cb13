"""Quadrature: two distributions in, nodes that follow the mass of both out. On the line here, else in ``cubature``."""

from typing import Any

import jax
import jax.numpy as jnp

from divjax import checks
from divjax import numerics as nu
from divjax.discretize import panels, validity
from divjax.discretize.compiled import compiled
from divjax.discretize.cubature import cubature
from divjax.distributions.density import log_prob, profile
from divjax.distributions.family import Density
from divjax.measures import Nodes, Points, Rule


def quadrature(p: Any, q: Any, *, crossings: int = 4, refine: int | None = None) -> Nodes:
    """Nodes for every ∫ h(p(x), q(x)) dx, from the distributions alone: no grid to choose.

    p, q: unbatched distributions of any known library in one, two or three dimensions, mixtures too; build them from
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
        checks.check_count(refine, "refine")
    p, q = validity.pair(p, q)
    if p.event_shape:
        return cubature(p, q, refine=refine)
    p, q = validity.univariate(p, "p"), validity.univariate(q, "q")
    return _on_line(p, q, crossings=crossings, refine=refine)


@compiled
def _on_line(p: Density, q: Density, *, crossings: int, refine: int | None) -> Nodes:
    grid = panels.lay(profile(p), profile(q))
    placed = panels.nodes(grid, default_refine(grid.left.dtype) if refine is None else refine)

    def log_densities(x):
        return log_prob(p, x), log_prob(q, x)

    if crossings:
        x = jax.lax.stop_gradient(placed.x)
        placed = panels.split(grid, placed, lambda x: _gap(*log_densities(x)), _gap(*log_densities(x)), crossings)
    # Flat before anything is evaluated: loops over rows of 15 are not vectorised.
    return Nodes(*log_densities(placed.x.ravel()), placed.log_w.ravel(), Rule.PANELS, crossings)


def points(p: Any, q: Any) -> Points:
    """Nodes on the line with weights w_i p(x_i): a weighted sample of p, laid where p or q have mass.

    For expectations under p of what needs the points themselves, such as scores. Raises as ``quadrature``.
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
