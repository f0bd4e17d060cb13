"""Is what a model generates realistic? Regions of the data distribution and the mass a model puts outside."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from divjax import checks
from divjax.discretize import panels
from divjax.discretize.validity import univariate
from divjax.distributions.density import is_law, log_prob, profile, tails
from divjax.distributions.family import Density
from divjax.numerics.implicit import implicit_roots
from divjax.numerics.programs import kept

_OF_SAMPLES = "draw samples [n, d] of both, for dj.diagnostics.unrealistic_rate_of_samples"
_STEPS = 8  # of the secant method


def region_level(p: Any, *, mass: ArrayLike = 0.99) -> Float[Array, ""]:
    """log c such that {x: p(x) ≥ c} is the smallest region holding ``mass`` of p (highest-density region).

    p: an unbatched one-dimensional distribution with a distribution function. Found by secant steps on the exact
    mass of the region, a union of intervals whose ends are roots of p(x) = c (Hyndman 1996 for the region).

    Examples:
        >>> round(float(dj.diagnostics.region_level(distrax.Normal(0.0, 1.0))), 2)
        -4.24
    """
    return _level(univariate(p, "p", _OF_SAMPLES), _checked(mass))


def unrealistic_rate(p: Any, q: Any, *, mass: ArrayLike = 0.99, level: ArrayLike | None = None) -> Float[Array, ""]:
    """The mass that q puts outside the smallest region holding ``mass`` of p, in [0, 1].

    1 − mass for q = p. p is the data, q the model: the share of q's samples that look like no observation. For the
    post's Gaussian N(8, 65) and ½N(0,1) + ½N(16,1) it is 0.69. ``level``: that of ``region_level(p)``, if known.

    Examples:
        >>> round(float(dj.diagnostics.unrealistic_rate(distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.0))), 3)
        0.01
    """
    for side, name in ((p, "p"), (q, "q")):
        if hasattr(side, "__array__"):
            raise TypeError(
                f"Expected {name} to be a distribution; got an array of shape {np.shape(side)}. Samples of both have "
                "dj.diagnostics.unrealistic_rate_of_samples(x, y)."
            )
    p, q = (univariate(side, name, _OF_SAMPLES) for side, name in ((p, "p"), (q, "q")))
    return _rate(p, q, _checked(mass), level)


def _checked(mass: ArrayLike) -> ArrayLike:
    return checks.parameter(mass, "mass", 0.0, 1.0, above=True, below=True)


@kept
def _level(p: Density, mass: ArrayLike) -> Float[Array, ""]:
    grid = panels.lay(profile(p))
    return jnp.where(is_law(p), _smallest(p, grid, panels.nodes(grid), mass)[0], jnp.nan)


@kept
def _rate(p: Density, q: Density, mass: ArrayLike, level: ArrayLike | None) -> Float[Array, ""]:
    grid = panels.lay(profile(p), profile(q))
    placed = panels.nodes(grid)
    if level is None:
        level, region = _smallest(p, grid, placed, mass)
    else:
        region = _regions(p, grid, placed)[1](jax.lax.stop_gradient(level))
    rate = jnp.clip(1.0 - _mass(q, _moving(p, level, region)), 0.0, 1.0)
    return jnp.where(is_law(p) & is_law(q) & ~jnp.isnan(level), rate, jnp.nan)


class _Region(NamedTuple):
    """Ends of the intervals on which log p is above a level."""

    x: Float[Array, " ends"]
    found: Bool[Array, " ends"]  # whether it is one
    rising: Bool[Array, " ends"]
    last: Bool[Array, ""]  # whether the outermost node on the right is inside


def _mass(q: Density, region: _Region) -> Float[Array, ""]:
    """The mass of q in a region, from its distribution function at the ends."""
    below = tails(q, region.x)[0]
    return jnp.sum(jnp.where(region.found, jnp.where(region.rising, -below, below), 0.0)) + region.last


def _log_prob(p: Density, x: Array) -> Array:
    """log p, finite where p is 0: a sign is looked for between its values."""
    return jnp.maximum(log_prob(p, x), jnp.finfo(x.dtype).min)


def _regions(p: Density, grid: panels.Grid, placed: panels.Placed) -> tuple[Array, Callable[[Array], _Region]]:
    """log p at the nodes, and the region above a level as a function of it."""
    ends = 4 + 2 * profile(p).center.size  # two for every component, and some to spare
    values = _log_prob(p, placed.x)

    def region(level):
        changes = panels.sign_changes(grid, placed, lambda x: _log_prob(p, x) - level, values - level, ends)
        return _Region(*changes, values.ravel()[-1] > level)

    return values, region


def _moving(p: Density, level: Array, region: _Region) -> _Region:
    """The region, its ends moving with the level and the parameters of p; or with an end of the support."""
    found = region.found
    # What is no end stands where another does, and any place has a derivative there.
    anywhere = jnp.where(found, region.x, region.x[jnp.argmax(found)])
    x = implicit_roots(lambda x: _log_prob(p, x) - level, region.x, found, anywhere, _is_zero)
    if (edges := profile(p).edges).size:  # where p jumps from 0 to above the level a region ends with the support
        jumps = found & (jnp.abs(_log_prob(p, region.x) - level) >= 1e-3)
        nearest = edges[jnp.argmin(jnp.abs(region.x[:, None] - jax.lax.stop_gradient(edges)), axis=1)]
        x = jnp.where(jax.lax.stop_gradient(jumps), nearest, x)
    return region._replace(x=x)


def _is_zero(value, slope):
    return jnp.abs(value) < 1e-3


def _gathering(log_p: Float[Array, " n"], masses: Float[Array, " n"], wanted: Float[Array, " k"]) -> Float[Array, " k"]:
    """The levels below which nodes gather so much mass, by bisection: a sort would cost more than all the rest."""
    high = jnp.max(log_p)
    low = jnp.maximum(high + 2.0 * jnp.log(jnp.finfo(log_p.dtype).tiny), jnp.min(log_p))  # below it nothing has a mass

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        enough = jnp.sum(jnp.where(log_p < middle[:, None], masses, 0.0), axis=1) >= wanted
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    # In a flat valley between two modes levels hardly differ.
    halvings = 24 if log_p.dtype == jnp.float32 else 34
    return jax.lax.fori_loop(0, halvings, halve, (jnp.broadcast_to(low, wanted.shape), jnp.full_like(wanted, high)))[1]


def _smallest(p: Density, grid: panels.Grid, placed: panels.Placed, mass: ArrayLike) -> tuple[Array, _Region]:
    """The level of the smallest region that holds ``mass`` of p, moving with p, and the region, by secant steps."""
    still = jax.tree.map(jax.lax.stop_gradient, p)
    log_p, region = _regions(still, grid, placed)
    masses = jnp.exp(log_p + placed.log_w).ravel()
    outside = 1.0 - jnp.asarray(mass, log_p.dtype)
    # The level is between those of the nodes around it, of which each may have more mass than all that is left out.
    around = jnp.stack([0.25 * outside, outside, 4.0 * outside + 2.0 * jnp.max(masses)])
    lowest, guess, highest = _gathering(log_p.ravel(), masses, around)

    def secant(step, state):
        level, previous, at_previous, low, high, best, least, _ = state
        found = region(level)
        at_level = mass - _mass(still, found)
        better = jnp.abs(at_level) < least
        best, least = jnp.where(better, level, best), jnp.where(better, jnp.abs(at_level), least)
        low, high = jnp.where(at_level < 0.0, level, low), jnp.where(at_level > 0.0, level, high)
        rise, run = at_level - at_previous, level - previous
        flat = jnp.abs(rise) <= jnp.finfo(level.dtype).eps
        following = jnp.where(flat, level, level - at_level * run / jnp.where(flat, 1.0, rise))
        following = jnp.where((following > low) & (following < high), following, 0.5 * (low + high))
        # The first step only measures, and so does the last: what it measures with is in the program but once. That is
        # the best level: one that is right to rounding may be left for the middle of a bracket with one far end.
        following = jnp.where(step == 0, guess, jnp.where(step >= _STEPS - 1, best, following))
        return following, level, at_level, low, high, best, least, found

    start = guess - 0.02 * (highest - lowest)
    blank = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), jax.eval_shape(region, start))
    none = jnp.full_like(start, jnp.inf)
    state = jax.lax.stop_gradient((start, start, jnp.zeros_like(start), lowest - 0.1, highest, guess, none, blank))
    level, *_, found = jax.lax.stop_gradient(jax.lax.fori_loop(0, _STEPS + 1, secant, state))

    def missing(level):
        return mass - _mass(p, _moving(p, level, found))

    return implicit_roots(missing, level, jnp.ones((), bool), level, _is_zero), found
