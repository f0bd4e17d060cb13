"""Divergences on the line: coupled points, or distribution functions at shared nodes, in, scalar out.

The coupling is the monotone one, which is optimal for every order.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.measured import measured_on
from divjax.measures import Cdfs, Coupling, Rule

ROUNDING = 8.0  # of a quantile of order 1, in units of eps


def _has_kink(*, order: ArrayLike = 1.0) -> bool | None:
    """Of |x − y|^k, k ≥ 1: at k = 1 alone."""
    return float(checks.parameter(order, "order", 1.0)) == 1.0 if checks.is_known(order) else None


def _moment_infinite(tails, *, order=1.0):
    """A tail y^−a has a k-th moment for a > k + 1, and where two differ so has their distance."""
    return tails.heavy(order + 1.0)


@measured_on(Coupling, kinked=_has_kink, infinite=_moment_infinite)
def wasserstein(coupling: Coupling, *, order: ArrayLike = 1.0) -> Float[Array, ""]:
    """How far the mass of p has to be moved to become q: (∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du)^(1/k), in the units of x (Villani
    2003).

    order: k ≥ 1, else ValueError. A metric, finite where both have k moments, whatever the supports; of two
    laws it is +inf where tails that have none differ. Its gradient at x
    = y is taken as 0. To minimise it, ``divergences.transport_cost`` is smoother.

    Examples:
        >>> x = jnp.array([0.0, 1.0, 4.0])
        >>> round(float(dj.wasserstein(x, x + 2.0)), 3)
        2.0
    """
    order = checks.parameter(order, "order", 1.0)
    coupling, order = checks.operands(coupling, order)
    # A power of a distance may overflow or vanish where the distance itself does not. In the unit of the largest term's
    # root the sum is between 1 and the number of nodes, of which some lie far out with next to no weight.
    largest = jnp.max(jnp.exp(coupling.log_w / order) * nu.finite(jnp.abs(coupling.x - coupling.y)))
    unit = nu.power_of_two(jax.lax.stop_gradient(largest))
    scaled = replace(coupling, x=coupling.x / unit, y=coupling.y / unit)
    return unit * nu.safe_root(transport_cost(scaled, order=order), order)


@measured_on(Coupling, kinked=_has_kink, infinite=_moment_infinite)
def transport_cost(coupling: Coupling, *, order: ArrayLike = 1.0) -> Float[Array, ""]:
    """The k-th power of ``wasserstein``: ∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^k du, k ≥ 1, smoother to minimise.

    For k = 2 it is a quadratic form in the location and the scale of q: one Newton step minimises it.

    Examples:
        >>> x = jnp.array([0.0, 1.0, 4.0])
        >>> round(float(dj.divergences.transport_cost(dj.coupling(x, x + 2.0), order=2.0)), 3)
        4.0
    """
    order = checks.parameter(order, "order", 1.0)
    coupling, order = checks.operands(coupling, order)
    gap, weight = coupling.x - coupling.y, _exp(coupling.log_w)
    if coupling.rule is Rule.PANELS:  # of laws: the sign of what is rounding is noise
        gap = jnp.where(jnp.abs(gap) <= _rounding(coupling), gap - jax.lax.stop_gradient(gap), gap)
    distance = jnp.abs(gap)
    # A node of weight 0 may sit where a heavy tail has taken the distance to infinity, or its power out of the dtype.
    nothing = (distance == 0.0) | (weight == 0.0)  # of a NaN that is false: it stays
    return jnp.sum(jnp.where(nothing, 0.0, weight * jnp.where(nothing, 1.0, distance) ** order))


def merged(coupling: Coupling) -> Coupling:
    """The pairs of quantiles that are taken for one, as far apart as rounding may hide, and all others at 0."""
    far = _rounding(coupling)
    gap = jnp.where(jnp.abs(coupling.x - coupling.y) <= far, far, 0.0)
    return replace(coupling, x=gap, y=jnp.zeros_like(gap), rule=Rule.PMF)


def _exp(x: Array) -> Array:
    """e^x, and NaN of NaN: in a loop with other operations XLA's own, in single precision, may be a number there."""
    return jnp.where(jnp.isnan(x), jnp.nan, jnp.exp(x))


def _rounding(coupling: Coupling) -> Array:
    """How far apart two quantiles may come out that are one."""
    x, y, weight = jnp.abs(coupling.x), jnp.abs(coupling.y), jnp.exp(coupling.log_w)
    typical = jnp.sum(jnp.where(jnp.isfinite(x) & (weight > 0.0), weight * x, 0.0))
    far = ROUNDING * jnp.finfo(x.dtype).eps * jnp.maximum(jnp.maximum(x, y), typical)
    return jax.lax.stop_gradient(jnp.where(jnp.isfinite(far), far, 0.0))


@measured_on(Cdfs, infinite=lambda tails: tails.heavy(1.5))
def cramer(cdfs: Cdfs) -> Float[Array, ""]:
    """The squared distance of the distribution functions, ∫ (P − Q)² dx ≥ 0, in the units of x (Cramér 1928).

    Finite wherever both means are, whatever the supports. Its root is a metric.

    Examples:
        >>> round(float(dj.cramer(jnp.array([0.0]), jnp.array([3.0]))), 3)
        3.0
    """
    (cdfs,) = checks.operands(cdfs)
    root = jnp.where(cdfs.log_w == -jnp.inf, 0.0, _exp(0.5 * cdfs.log_w) * (cdfs.cdf_p - cdfs.cdf_q))
    return jnp.sum(root * root)


@measured_on(Cdfs, infinite=lambda tails: tails.heavy(1.5))
def energy(cdfs: Cdfs) -> Float[Array, ""]:
    """How much farther apart a draw of p and one of q are than two draws of the same: 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ ≥ 0.

    In the units of x (Székely, Rizzo 2013). On the line it is 2 ∫ (P − Q)² dx, twice ``cramer``, on the same nodes. Of
    two samples [n, d] and [m, d] in any dimension it is that between the two empirical distributions.

    Examples:
        >>> round(float(dj.energy(jnp.array([0.0]), jnp.array([3.0]))), 3)
        6.0
        >>> float(dj.energy(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]])))
        10.0
    """
    return 2.0 * cramer(cdfs)
