"""Is what a model generates realistic? Regions of the data distribution and the mass a model puts outside."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax.discretize import panels
from divjax.discretize.validity import univariate
from divjax.distributions.density import is_law, log_prob, profile, tails


def region_level(p: Any, *, mass: ArrayLike = 0.99) -> Float[Array, ""]:
    """log c such that {x: p(x) ≥ c} is the smallest region holding ``mass`` of p (highest-density region).

    p: an unbatched one-dimensional distribution with a distribution function. Found by secant steps on the exact
    mass of the region, a union of intervals whose ends are roots of p(x) = c (Hyndman 1996 for the region).

    Examples:
        >>> round(float(dj.diagnostics.region_level(distrax.Normal(0.0, 1.0))), 2)
        -4.24
    """
    p = univariate(p, "p")
    shape = profile(p)
    grid, ends = panels.lay(shape), _most_ends(shape)
    placed = panels.nodes(grid)
    log_p = log_prob(p, placed.x)

    def missing(level):
        return _mass_outside(grid, placed, lambda x: log_prob(p, x) - level, log_p - level, p, ends) - (1.0 - mass)

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
    level = jax.lax.stop_gradient(level)
    # One step of Newton's: the level moves with p, so that the mass of the region stays what it is.
    _, slope = jax.lax.stop_gradient(jax.jvp(missing, (level,), (jnp.ones_like(level),)))
    return level - missing(level) / jnp.where(slope == 0.0, jnp.inf, slope)


def _most_ends(shape):
    """How many ends a region may have: two for every component, and some to spare."""
    return 4 + 2 * shape.center.size


def _mass_outside(grid, placed, gap, values, q, ends):
    """1 − the mass of q where gap > 0, from its distribution function at the ``ends`` of those intervals."""
    x, found, rising = panels.sign_changes(grid, placed, gap, values, ends)
    below = tails(q, _moving(gap, x, found))[0]
    inside = jnp.sum(jnp.where(found, jnp.where(rising, -below, below), 0.0)) + (values.ravel()[-1] > 0.0)
    return 1.0 - inside


def _moving(gap, x, found):
    """Ends of the region after a step of Newton's, so that they move with the parameters of gap; but not at a jump."""
    value, slope = jax.lax.stop_gradient(jax.jvp(gap, (x,), (jnp.ones_like(x),)))
    moves = found & (jnp.abs(value) < 1e-3) & jnp.isfinite(slope) & (slope != 0.0)
    return x - jnp.where(moves, gap(jnp.where(moves, x, x[0])) / jnp.where(moves, slope, 1.0), 0.0)


def unrealistic_rate(p: Any, q: Any, *, mass: ArrayLike = 0.99, level: ArrayLike | None = None) -> Float[Array, ""]:
    """The mass that q puts outside the smallest region holding ``mass`` of p, in [0, 1].

    1 − mass for q = p. p is the data, q the model: the share of q's samples that look like no observation. For the
    post's Gaussian N(8, 65) and ½N(0,1) + ½N(16,1) it is 0.69. ``level``: that of ``region_level(p)``, if known.

    Examples:
        >>> round(float(dj.diagnostics.unrealistic_rate(distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.0))), 3)
        0.01
    """
    p, q = univariate(p, "p"), univariate(q, "q")
    shape_p, shape_q = profile(p), profile(q)
    level = region_level(p, mass=mass) if level is None else level
    grid = panels.lay(shape_p, shape_q)
    placed = panels.nodes(grid)

    def gap(x):
        return jnp.maximum(log_prob(p, x), jnp.finfo(x.dtype).min) - level

    rate = jnp.clip(_mass_outside(grid, placed, gap, gap(placed.x), q, _most_ends(shape_p)), 0.0, 1.0)
    return jnp.where(is_law(p) & is_law(q), rate, jnp.nan)
