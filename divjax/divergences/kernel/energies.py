"""Energy distance between two samples in any dimension, 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ (Székely, Rizzo 2013).

It is the MMD² of the kernel −‖x − y‖: samples, weights, cost and differentiability as in
``divjax.divergences.kernel.mmd``, no bandwidth to choose. Not the root of it: scipy's is. In one dimension both forms
are exact in the time of a sort. At points that coincide the gradient of their distance is taken as 0. ``energy`` is
the same in one dimension from two distribution functions at shared nodes, for distributions that have them.
"""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from divjax import numerics as nu
from divjax.divergences.kernel import mmd
from divjax.divergences.reading import Sample, readable, two_weighted
from divjax.numerics.programs import kept
from divjax.sorting import ranked

Scalar = Float[Array, ""]


@kept
def energy_of_samples(x: Sample, y: Sample) -> Scalar:
    """The energy distance between two samples, 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ ≥ 0: what ``dj.energy(x, y)`` is of points
    [n, d].

    It is that between the two empirical distributions, a V-statistic, 0 only where they are equal. As an estimate
    between what they were drawn from it is too large by about E‖X−X'‖/n + E‖Y−Y'‖/m. +inf where one of the two has an
    infinite entry.

    Examples:
        >>> float(dj.energy(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]])))
        10.0
    """
    return _biased(*readable(x, y))


@kept
def energy_unbiased(x: Sample, y: Sample) -> Scalar:
    """``dj.energy`` of two samples without its bias: the pairs i = j left out, the U-statistic. n, m ≥ 2.

    May be negative; its mean is 0 for p = q.

    Examples:
        >>> x = jnp.array([0.0, 1.0])
        >>> float(dj.samples.energy_unbiased(x, x))
        -1.0
    """
    return _unbiased(*readable(x, y))


def _minus_root(squares):
    return -nu.safe_sqrt(squares)


@jax.jit
def _biased(x, y):
    points_x, w, points_y, v = two_weighted(x, y)
    if points_x.shape[1] == 1:
        return _on_the_line(points_x[:, 0], w, points_y[:, 0], v)[0]
    # Of a point at infinity the means of distances are infinite, and by its share in them their difference is +inf.
    far_x, far_y = (jnp.any(jnp.isinf(points)) for points in (points_x, points_y))
    infinite = (far_x != far_y) & ~jnp.any(jnp.isnan(points_x)) & ~jnp.any(jnp.isnan(points_y))
    return jnp.where(infinite, jnp.inf, mmd.biased(Partial(_minus_root), x, y))


@jax.jit
def _unbiased(x, y):
    points_x, w, points_y, v = two_weighted(x, y, least=2)
    if points_x.shape[1] > 1:
        return mmd.unbiased(Partial(_minus_root), x, y)
    value, xx, yy = _on_the_line(points_x[:, 0], w, points_y[:, 0], v)
    # Without the pairs i = i, which are 0, a mean grows by the factor 1 / (1 − Σ w²).
    parts = [part * nu.safe_ratio(jnp.sum(mass * mass), mmd.pairs_weight(mass)) for part, mass in ((xx, w), (yy, v))]
    return value - sum(parts)


def _on_the_line(x, w, y, v):
    """2 ∫ (F − G)² dt, 2 ∫ F (1 − F) dt and 2 ∫ G (1 − G) dt from the sorted points: no term is negative."""
    none_x, none_y = jnp.zeros_like(w), jnp.zeros_like(v)
    points, order = ranked(jnp.concatenate([x, y]))
    masses = (jnp.concatenate([w, none_y])[order], jnp.concatenate([none_x, v])[order])
    here = jax.lax.stop_gradient(points)
    # Zero, but its derivative is that of the points.
    moved = points - here
    cdfs = [jnp.cumsum(mass) for mass in masses]
    width = jnp.append(jnp.diff(here), 0.0)
    first, last = _ties(here)
    (f_below, f_above), (g_below, g_above) = (
        (cdf[first] - mass[first], cdf[last]) for cdf, mass in zip(cdfs, masses, strict=True)
    )
    # Point i is pulled by the mass below it less the mass above it, with neither of what is tied with it.
    pull = (f_below - g_below) + (f_above - g_above)
    between = 2.0 * jnp.sum((cdfs[0] - cdfs[1]) ** 2 * width) - 2.0 * jnp.sum((masses[0] - masses[1]) * pull * moved)

    def within(mass, cdf, below, above):
        rest = 2.0 * jnp.sum(cdf * (cdf[-1] - cdf) * width)
        return rest + 2.0 * jnp.sum(mass * (below + above - cdf[-1]) * moved)

    return between, within(masses[0], cdfs[0], f_below, f_above), within(masses[1], cdfs[1], g_below, g_above)


def _ties(points):
    """The first and the last index of the run of equal values that each of the sorted points is in."""
    index, new = jnp.arange(points.shape[0]), jnp.diff(points) != 0.0
    first = jax.lax.cummax(jnp.where(jnp.append(True, new), index, 0))
    last = jax.lax.cummin(jnp.where(jnp.append(new, True), index, points.shape[0] - 1), reverse=True)
    return first, last
