"""Is what a model generates realistic? Regions of the data distribution and the mass a model puts outside."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import numerics as nu
from divjax.discretize import panels
from divjax.discretize.quadrature import default_refine, log_density, univariate

CROSSINGS = 8  # ends of intervals that a region may have


def region_level(p: Any, *, mass: ArrayLike = 0.99) -> Float[Array, ""]:
    """log c such that {x: p(x) ≥ c} is the smallest region holding ``mass`` of p (highest-density region).

    p: an unbatched one-dimensional distribution. Found by secant steps on the mass above the level, with the ends
    of the region's intervals as ends of panels (Hyndman 1996 for the definition).
    """
    shape = univariate(p, "p")
    grid, refine = panels.lay(shape), default_refine(shape.center.dtype)
    placed = panels.nodes(grid, refine)
    log_p = log_density(p, shape, placed.x)

    def missing(level):
        cut = panels.split(grid, placed, lambda x: log_density(p, shape, x) - level, log_p - level, CROSSINGS)
        density = log_density(p, shape, cut.x)
        return jnp.sum(jnp.where(density < level, jnp.exp(density + cut.log_w), 0.0)) - (1.0 - mass)

    # The first guess: the level at which nodes, from the least dense on, have gathered 1 − mass.
    order = jnp.argsort(log_p.ravel())
    gathered = jnp.cumsum(jnp.exp(log_p + placed.log_w).ravel()[order])
    guess = log_p.ravel()[order][jnp.argmax(gathered >= (1.0 - mass))]

    def secant(_, state):
        level, previous, at_previous = state
        at_level = missing(level)
        rise, run = at_level - at_previous, level - previous
        flat = jnp.abs(rise) <= jnp.finfo(level.dtype).eps
        step = jnp.where(flat, 0.0, -at_level * run / jnp.where(flat, 1.0, rise))
        return level + jnp.clip(step, -0.5, 0.5), level, at_level

    start = guess - 0.05
    level, _, _ = jax.lax.fori_loop(0, 6, secant, (guess, start, missing(start)))
    return jax.lax.stop_gradient(level)


def unrealistic_rate(p: Any, q: Any, *, mass: ArrayLike = 0.99, level: ArrayLike | None = None) -> Float[Array, ""]:
    """The mass that q puts outside the smallest region holding ``mass`` of p, in [0, 1].

    1 − mass for q = p. p is the data, q the model: the share of q's samples that look like no observation. For the
    post's Gaussian N(8, 65) and ½N(0,1) + ½N(16,1) it is 0.69. ``level``: that of ``region_level(p)``, if known.
    """
    shape_p, shape_q = univariate(p, "p"), univariate(q, "q")
    level = region_level(p, mass=mass) if level is None else level
    grid = panels.lay(shape_p, shape_q)
    placed = panels.nodes(grid, default_refine(grid.left.dtype))

    def gap(x):
        return jnp.maximum(log_density(p, shape_p, x), jnp.finfo(x.dtype).min) - level

    cut = panels.split(grid, placed, gap, gap(jax.lax.stop_gradient(placed.x)), CROSSINGS)
    log_mass = log_density(q, shape_q, cut.x) + cut.log_w
    outside = jnp.where(gap(cut.x) < 0.0, log_mass, -jnp.inf)
    return jnp.clip(jnp.exp(nu.logsumexp(outside) - nu.logsumexp(log_mass)), 0.0, 1.0)
