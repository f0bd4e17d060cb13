"""The phase diagram of mode seeking: what the best Gaussian on two modes does, by a divergence's order and separation.

A family of divergences runs from mode covering to mode seeking as its order changes. For each order and each separation
d of ½ N(0, 1) + ½ N(d, 1), fits from many starts tell which kinds of optimum there are (see ``lines``) and which
is the best one.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax.discretize import quadrature
from divjax.divergences import log_affinity
from divjax.models import normal
from divjax.status import OK, STALLED
from divjax.studies.huszar.generalised_js import normalised
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

APART = 0.03  # of the fit's own deviation: a mean further from the middle of the modes is no longer there
BESIDE = 0.015  # α this near to 0 and 1, where its formula is 0 / 0, loses too many digits of float32
NEITHER, COVERS, SEEKS, COVERS_OR_SEEKS, SEEKS_OR_COVERS = range(5)  # kinds of optimum; of two the better one first


class Family(NamedTuple):
    """Divergences by a real order."""

    loss: Callable[[Any, Any, Any], Array]  # of p, q and a case with an ``order``
    bounds: Callable[[Array], tuple[Array, Array]]  # log scales between which it is finite, ∓∞ where there is no bound
    orders: Callable[[int], Float[np.ndarray, " n"]]  # so many, over the range
    check: Callable[[float], bool]
    domain: str


def log_scale(free: Array, bounds: tuple[Array, Array]) -> Array:
    """Any real number to a log scale within bounds, of which one at most is finite."""
    low, high = bounds
    of_low, of_high = (jnp.where(jnp.isfinite(bound), bound, 0.0) for bound in bounds)
    bounded = jnp.where(jnp.isfinite(high), of_high - jax.nn.softplus(-free), of_low + jax.nn.softplus(free))
    return jnp.where(jnp.isfinite(low) | jnp.isfinite(high), bounded, free)


def free_scale(scale: Array, bounds: tuple[Array, Array]) -> Array:
    """The inverse of ``log_scale``; what is beyond a bound, or a thousandth from it, counts as a thousandth off."""
    low, high = bounds
    gap = jnp.where(jnp.isfinite(high), high - scale, jnp.where(jnp.isfinite(low), scale - low, 1.0))
    free = jnp.log(jnp.expm1(jnp.maximum(gap, 1e-3)))
    return jnp.where(jnp.isfinite(high), -free, jnp.where(jnp.isfinite(low), free, scale))


def _alpha(p, q, case):
    alpha = case["order"]
    return log_affinity(quadrature(p, q, crossings=0), alpha=alpha) / (alpha * (alpha - 1.0))


def _alpha_bounds(alpha):
    """∫ p^α q^(1−α) is finite for scales below √((α−1)/α) if α < 0, above it if α > 1, for all in between."""
    outside = alpha * (alpha - 1.0) > 0.0
    wall = 0.5 * jnp.log(jnp.where(outside, (alpha - 1.0) / jnp.where(outside, alpha, 1.0), 1.0))
    return jnp.where(alpha > 1.0, wall, -jnp.inf), jnp.where(alpha < 0.0, wall, jnp.inf)


def _beside_the_kls(num):
    """Evenly from −1 to 2, as if what is nearer to 0 and 1 than ``BESIDE`` were not there."""
    orders = np.linspace(-1.0, 2.0 - 4.0 * BESIDE, num)
    for limit in (0.0, 1.0):
        orders = np.where(orders > limit - BESIDE, orders + 2.0 * BESIDE, orders)
    return orders


def _jensen_shannon(p, q, case):
    return normalised(quadrature(p, q, crossings=0), weight=case["order"])


def _logit_spaced(num):
    return 1.0 / (1.0 + np.exp(-np.linspace(np.log(1 / 99), np.log(99), num)))


FAMILIES = {
    # log ∫ p^α q^(1−α) / (α (α−1)) (Liese, Vajda 1987): alpha_divergence, renyi and tsallis are monotone functions of
    # it where they are defined, and have the same optima. α = 1 is KL(p‖q), 0 is KL(q‖p), 2 is χ², −1 Neyman's.
    "alpha": Family(_alpha, _alpha_bounds, _beside_the_kls,
                    lambda a: -1.0 <= a <= 2.0 and min(abs(a), abs(a - 1.0)) >= BESIDE - 1e-6,
                    "[-1, 2], 0.015 from 0 and 1 (the KLs)"),
    # JS_w / (w (1−w)).
    "jensen_shannon": Family(_jensen_shannon, lambda _: (-jnp.inf, jnp.inf), _logit_spaced,
                             lambda w: 1e-3 <= w <= 1 - 1e-3, "[0.001, 0.999]"),
}  # fmt: skip


def lookup(name: str) -> Family:
    """Raises ValueError, with the names there are, for another one."""
    if name not in FAMILIES:
        raise ValueError(f"Expected a family out of {', '.join(FAMILIES)}; got {name!r}.")
    return FAMILIES[name]


def phase_fit(family: Family) -> Iteration:
    """The fit of a Gaussian under a family, for cases with a separation, an order and a seed.

    Seed 0 starts on a mode and 1 over both, each as wide as that is, so that no kind of optimum is missed by chance.
    """

    def model(params, case):
        return normal(params | {"log_scale": log_scale(params["log_scale"], family.bounds(case["order"]))})

    def start(drawn, case):
        d, first, second = case["separation"], case["seed"] == 0, case["seed"] == 1
        width = jnp.where(second, 0.5 * jnp.log1p(0.25 * d**2), 0.0)
        chosen = {
            "loc": jnp.where(second, 0.5 * d, 0.05 * d),
            "log_scale": free_scale(width, family.bounds(case["order"])),
        }
        return jax.tree.map(lambda given, random: jnp.where(first | second, given, random), chosen, drawn)

    return two_modes.gaussian_fit(family.loss, model=model, start=start)


def run(
    name: str,
    orders: Sequence[float] | None = None,
    separations: Sequence[float] = tuple(np.linspace(0.0, 10.0, 128)),
    num_seeds: int = 16,
    *,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Fits over order × separation × seed, a Dataset with these dimensions; 128 orders by default.

    Raises ValueError for an unknown family, orders outside its range and negative separations.
    """
    family = lookup(name)
    orders = family.orders(128) if orders is None else np.asarray(orders, float)
    if wrong := [float(order) for order in orders if not family.check(order)]:
        raise ValueError(f"Expected orders of {name} in {family.domain}; got {wrong[0]:g}.")
    if not min(separations) >= 0.0:
        raise ValueError(f"Expected separations >= 0; got {min(separations):g}. The mirror image is the same.")
    cases = product(
        order=orders.astype(np.float32),
        separation=np.asarray(separations, np.float32),
        seed=np.arange(num_seeds, dtype=np.int32),
    )
    fits = sweep({name: phase_fit(family)}, cases, store=store, progress=progress, dim="family")
    return fits.load().isel(family=0)


class Kinds(NamedTuple):
    """What there is at each order and separation."""

    kind: np.ndarray  # NEITHER ... SEEKS_OR_COVERS
    offset: np.ndarray  # of the best optimum's mean from the middle, in halves of the separation: 0 covers, 1 seeks
    scale: np.ndarray  # of the best optimum


def settled(fits: "xarray.Dataset") -> np.ndarray:
    """Fits at an optimum: converged, or stalled by float32's rounding where a gradient of 1e-4 is left or less."""
    status = fits["status"].values
    at_rounding = (status == STALLED) & (fits["grad_norm"].values < 1e-4)
    return ((status == OK) | at_rounding) & np.isfinite(fits["value"].values)


def kinds(fits: "xarray.Dataset") -> Kinds:
    """Reads fits of ``run``: [order, separation] each, ascending. Fits that have not ``settled`` are left out."""
    fits = fits.sortby(["order", "separation"]).transpose("order", "separation", "seed")
    d = fits["separation"].values[None, :, None]
    loc, scale, value = (fits[name].values.astype(float) for name in ("loc", "scale", "value"))
    good = settled(fits)
    aside = np.abs(loc - 0.5 * d) > APART * scale
    least = [np.min(np.where(good & of_kind, value, np.inf), axis=-1) for of_kind in (~aside, aside)]
    covers, seeks = np.isfinite(least)
    both = np.where(least[1] < least[0], SEEKS_OR_COVERS, COVERS_OR_SEEKS)
    kind = np.where(covers & seeks, both, np.where(covers, COVERS, np.where(seeks, SEEKS, NEITHER)))
    best = np.argmin(np.where(good, value, np.inf), axis=-1)[..., None]
    offset = np.take_along_axis(np.abs(loc - 0.5 * d), best, -1)[..., 0] / np.maximum(0.5 * d[..., 0], 1e-6)
    known = kind != NEITHER
    offset = np.where(kind == COVERS, 0.0, offset)  # also where there is nothing to tell apart
    return Kinds(
        kind, np.where(known, offset, np.nan), np.where(known, np.take_along_axis(scale, best, -1)[..., 0], np.nan)
    )
