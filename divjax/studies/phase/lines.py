"""Where the best Gaussian on two modes changes its kind: lines in the plane of a divergence's order and the separation.

The target ½ N(0, 1) + ½ N(d, 1) is its own mirror image about d/2; an optimum is too, or it comes with its image.
*Covering* is the optimum that is its own image, its mean at d/2; *seeking* are those on either side. As the modes part

* ``seeking`` appears: from this d on it is a local minimum (a spinodal);
* ``switch``: from this d on it is the better one;
* ``covering`` vanishes: from this d on its own kind is no minimum (the other spinodal).

Where the three are one the change is continuous. Two ways, which share the divergence alone. ``by_fits``: bisection in
d on what Newton fits from either kind end in. ``by_roots``: the equations, a gradient and the smallest eigenvalue of a
Hessian that vanish, solved by Powell's hybrid method (scipy).

For orders below 0 a divergence may be finite up to a largest scale, and least there: at that wall the scale is no
unknown, and the Hessian is that in the mean alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.optimize import root

from divjax.models import normal
from divjax.status import OK
from divjax.studies.phase.study import Family, free_scale, log_scale
from divjax.targets import two_modes
from divjax.training import fit, newton
from divjax.training.iteration import run

Theta = Float[Array, "2"]  # the mean's offset from the middle of the modes, and the log of the scale
CLOSE, FAR, BISECTIONS = 0.25, 16.0, 18  # the separations that are searched, to 6e-5
ASIDE = 0.02  # how far a covering fit is pushed, to fall if it can
APART = 1e-3  # a mean further from the middle than this is no longer there
AT_WALL = 1e-3  # of the largest log scale
SOLVED = 1e-7  # of the equations
CONTINUOUS = 1e-3  # lines that are no further apart are one


class Lines(NamedTuple):
    """Separations by order, NaN where there is no such line between ``CLOSE`` and ``FAR``."""

    seeking: Float[np.ndarray, " n"]
    switch: Float[np.ndarray, " n"]
    covering: Float[np.ndarray, " n"]


class Found(NamedTuple):
    """Lines, and the optima at each of them: [n, 2] each, where they are minima."""

    lines: Lines
    middle: Lines  # of the covering kind
    side: Lines  # of the seeking kind


def value(family: Family, theta: Theta, d: Array, order: Array) -> Float[Array, ""]:
    """The divergence between the target and N(d/2 + theta₀, exp(theta₁)²)."""
    q = normal({"loc": 0.5 * d + theta[0], "log_scale": theta[1]})
    return family.loss(two_modes(d), q, {"separation": d, "order": order})


class Look(NamedTuple):
    """Both kinds of optimum at one separation, and whether each is a minimum of its own kind."""

    middle: Theta
    covers: Bool[Array, ""]
    side: Theta
    seeks: Bool[Array, ""]


def look(family: Family, d: Array, order: Array) -> Look:
    """Where fits end: of the scale alone with the mean in the middle, from there with the mean pushed aside, and from
    one mode."""
    bounds = family.bounds(order)

    def theta(free):
        return jnp.stack([free[0], log_scale(free[1], bounds)])

    def settle(start):  # so strictly that a slope of nearly nothing moves it on; it may stall at rounding instead
        return run(fit(lambda free, _: value(family, theta(free), d, order), start, newton(), max_steps=200, tol=1e-10))

    def of_scale(free, _):
        return value(family, theta(jnp.stack([jnp.zeros_like(free), free])), d, order)

    narrow = run(fit(of_scale, jnp.full_like(d, 0.1), newton(), max_steps=200, tol=1e-6))
    pushed = jnp.stack([jnp.full_like(d, ASIDE), narrow.params])
    # At one mode's own scale, or the nearest the order has; inwards, for a wall is finite between the modes only.
    on_mode = jnp.stack([-0.45 * d, free_scale(jnp.zeros_like(d), bounds)])
    ends = jax.lax.map(settle, jnp.stack([pushed, on_mode]))
    away = jnp.abs(ends.params[:, 0]) > APART
    middle = theta(jnp.stack([jnp.zeros_like(d), narrow.params]))
    ended = ends.grad_norm[1] < 1e-6
    return Look(middle, (narrow.status == OK) & ~away[0], theta(ends.params[1]), ended & away[1])


def by_fits(family: Family, orders: Float[np.ndarray, " n"]) -> Found:
    """Every line by bisection, in double precision."""

    def asked(d, order):
        """Whether d is beyond each of the three lines; and what is there."""
        seen = look(family, d, order)
        lower = value(family, seen.side, d, order) < value(family, seen.middle, d, order)
        return jnp.stack([seen.seeks, seen.seeks & (lower | ~seen.covers), ~seen.covers]), seen

    def lines(order):
        def halve(_, bracket):
            low, high, before, beyond = bracket
            half = 0.5 * (low + high)
            answers, seen = jax.lax.map(lambda d: asked(d, order), half)
            yes = jnp.diagonal(answers)
            pick = lambda flags: lambda new, old: jnp.where(flags.reshape(3, *(1,) * (new.ndim - 1)), new, old)  # noqa: E731
            before, beyond = (jax.tree.map(pick(flags), seen, old) for flags, old in ((~yes, before), (yes, beyond)))
            return jnp.where(yes, low, half), jnp.where(yes, half, high), before, beyond

        ends = jnp.full(3, CLOSE), jnp.full(3, FAR)
        nothing = Look(jnp.zeros((3, 2)), jnp.zeros(3, bool), jnp.zeros((3, 2)), jnp.zeros(3, bool))
        low, high, before, beyond = jax.lax.fori_loop(0, BISECTIONS, halve, (*ends, nothing, nothing))
        at = jnp.where((low > CLOSE) & (high < FAR), 0.5 * (low + high), jnp.nan)
        # What appears is looked up beyond its line, what vanishes before.
        middle, side = (
            jnp.stack([*getattr(beyond, name)[:2], getattr(before, name)[2]]) for name in ("middle", "side")
        )
        return Found(*(Lines(*rows) for rows in (at, middle, side)))

    with jax.enable_x64(True):  # noqa: FBT003
        orders = jnp.asarray(np.asarray(orders, float))
        # One after the other: loops side by side would all run until the slowest ends.
        return jax.tree.map(np.asarray, jax.jit(lambda orders: jax.lax.map(lines, orders))(orders))


def by_roots(family: Family, orders: Float[np.ndarray, " n"], near: Found) -> Lines:
    """Every line as a root of equations in d and the optima, from ``near``; NaN where they are not met to 1e-7.

    * covering: ∂D/∂s = 0 at the mean in the middle, and the Hessian's smallest eigenvalue there;
    * seeking: both derivatives, and the smallest eigenvalue;
    * switch: the derivatives at both optima, and the difference of their values; where the change is continuous, what
      covering has.
    """
    with jax.enable_x64(True):  # noqa: FBT003
        measure = jax.jit(_measured(family))
        rows = [
            _roots(measure, float(order), jax.tree.map(lambda leaf, i=i: leaf[i], near), _wall(family, float(order)))
            for i, order in enumerate(orders)
        ]
    return Lines(*map(np.array, zip(*rows, strict=True)))


def _measured(family):
    def measure(theta, d, order):
        of_theta = lambda theta: value(family, theta, d, order)  # noqa: E731
        return of_theta(theta), jax.grad(of_theta)(theta), jax.hessian(of_theta)(theta)

    return measure


def _wall(family, order):
    """The largest log scale of an order, ∞ if there is none."""
    return float(family.bounds(jnp.float64(order))[1])


def _roots(measure, order, near, wall):
    """The three lines of one order."""

    def measured(theta, d):
        """Value, the derivatives that vanish at an optimum, the smallest eigenvalue; at the wall in the mean alone."""
        held = theta[1] > wall - AT_WALL
        value, slope, curvature = measure(np.array([theta[0], min(theta[1], wall)]), d, order)
        slope, curvature = np.asarray(slope), np.asarray(curvature)
        if held:
            return value, np.array([slope[0], theta[1] - wall]), curvature[0, 0]
        return value, slope, np.linalg.eigvalsh(curvature)[0]

    def on_middle(z):
        _, slope, lowest = measured(np.array([0.0, z[1]]), z[0])
        return [slope[1], lowest]

    def on_side(z):
        _, slope, lowest = measured(z[1:], z[0])
        return [*slope, lowest]

    def on_both(z):
        (at_middle, of_middle, _), (aside, of_side, _) = measured(np.array([0.0, z[1]]), z[0]), measured(z[2:], z[0])
        return [of_middle[1], *of_side, aside - at_middle]

    vanishes = _root(on_middle, [near.lines.covering, near.middle.covering[1]])
    if abs(near.lines.seeking - near.lines.covering) < CONTINUOUS:
        return vanishes, vanishes, vanishes
    appears = _root(on_side, [near.lines.seeking, *near.side.seeking])
    switch = _root(on_both, [near.lines.switch, near.middle.switch[1], *near.side.switch])
    # The two optima being one solves the last equations at any d.
    ordered = not (switch < appears - CONTINUOUS or switch > vanishes + CONTINUOUS)
    return appears, switch if ordered else np.nan, vanishes


def _root(equations, start):
    if not np.isfinite(start).all():
        return np.nan
    for method in ("hybr", "lm"):  # the second where the first, near a line that is nearly flat, makes no progress
        found = root(equations, start, method=method, options={"xtol": 1e-12})
        if np.abs(found.fun).max() < SOLVED:
            return found.x[0]
    return np.nan


def best_known(by_roots: Lines, by_fits: Lines) -> Lines:
    """Roots, and where their equations were not met (next to the end of a jump, say) what the fits told."""
    return Lines(*(np.where(np.isnan(root), line, root) for root, line in zip(by_roots, by_fits, strict=True)))
