"""Divergences estimated from samples by nearest neighbours: no density, no kernel, no bandwidth.

Distances are found block by block, so that no n × m matrix is held.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.kernel.pairwise import squared_differences
from divjax.divergences.reading import broken, shape_remedy
from divjax.measures import Points
from divjax.numerics.programs import kept

_BLOCK = 1 << 22  # distances held at a time, and at least those of one point
_GROUP = 32
_DIRECT = 4  # up to so many coordinates differences are as fast as the matrix product
_CHANCE = 0.01  # of the points, whose neighbours may be tied by chance
_SPARE = 8  # candidates beyond k, among which the fast distances may err


@kept
def neighbour_kl(x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int = 5) -> Float[Array, ""]:
    """KL(p‖q) in nats from samples x of p and y of q, by the distances to nearest neighbours (Wang, Kulkarni, Verdú
    2009).

    d/n Σ_i log(ν_k(x_i)/ρ_k(x_i)) + log(m/(n − 1)), with ρ_k the distance to the k-th nearest of the other x and ν_k to
    the k-th nearest of y. Consistent for every k: both densities are estimated with the same k, so that the bias ψ(k) −
    log k of either cancels; what is left is of the order of the density's change within the k-th neighbour's distance,
    (k/n)^(1/d), and grows with k and d. May be negative.

    Ties, as of counts, rounded data and copies: where more than k points are as near as ρ_k or ν_k but for rounding (of
    more than 1 % of the x_i), or either is 0, those within the larger of the two are counted, l of x and c of y, and
    ψ(l) − ψ(c) takes the place of d log(ν_k/ρ_k) (their generalised estimator; for mixed data so Ross 2014). So laws on
    a lattice have their own KL; what would be +inf, since the copies are in x alone, is a finite number. The gradient
    of what is counted is 0. Raises TypeError for ``Points``, ValueError for samples that are not [n, d], n > k, and [m,
    d], m ≥ k.

    Examples:
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 2000, 1))
        >>> round(float(dj.samples.neighbour_kl(x, y + 1.0)), 1)
        0.5
    """
    found = _around(x, y, k)
    return jnp.log(y.shape[0] / (x.shape[0] - 1.0)) - jnp.mean(found.log_ratio)


@kept
def neighbour_renyi(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, alpha: ArrayLike, k: int = 5
) -> Float[Array, ""]:
    """Rényi's divergence in nats from samples x of p and y of q, by the distances to nearest neighbours.

    log(B/n Σ_i ((n − 1) ρ_k^d / (m ν_k^d))^(1−a)) / (a − 1) for log ∫ p^a q^(1−a) / (a−1) (Póczos, Schneider 2011),
    with ρ_k and ν_k as in ``neighbour_kl`` and B = Γ(k)² / (Γ(k − a + 1) Γ(k + a − 1)), which takes away the asymptotic
    bias of the mean; where ties are counted as there, B is Γ(l) Γ(c) / (Γ(l − a + 1) Γ(c + a − 1)) for the quotient of
    l/(n − 1) and c/m. For |a − 1| < k; a → 1 is ``neighbour_kl``. The logarithm of a mean is biased downwards (upwards
    for a < 1) like its variance over twice its square. inf for |a − 1| ≥ k. Errors as for ``neighbour_kl``.

    Examples:
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 2000, 1))
        >>> round(float(dj.samples.neighbour_renyi(x, y + 1.0, alpha=0.5)), 1)
        0.3
    """
    found = _around(x, y, k)
    gap = jnp.asarray(alpha, found.log_ratio.dtype) - 1.0
    valid = jnp.abs(gap) < k
    gap = jnp.where(valid, gap, 0.0)
    ratio = found.log_ratio + jnp.log((x.shape[0] - 1.0) / y.shape[0])
    center = jnp.mean(ratio)
    correction = _gamma_excess(found.own, gap) + _gamma_excess(found.other, -gap)
    mean = _log_mean_exp(correction - gap * (ratio - center))
    # Both are of second order in the gap.
    value = jnp.where(gap == 0.0, 0.0, mean / jnp.where(gap == 0.0, 1.0, gap)) - center
    return jnp.where(valid, value, jnp.inf)


def _log_mean_exp(t):
    """log mean e^t, without cancellation where all t are small."""
    mean = jnp.mean(t)
    t = t - mean
    near = jnp.max(jnp.abs(t)) < 0.5
    small = jnp.log1p(jnp.mean(nu.exp_excess(jnp.where(near, t, 0.0))))
    return mean + jnp.where(near, small, nu.logsumexp(jnp.where(near, 0.0, t)) - math.log(t.size))


def _gamma_excess(count, gap):
    """log Γ(n) − log Γ(n − g) − g ψ(n) for |g| < n, of the order of g²: by Stirling's series eight steps further on."""
    ahead = jnp.arange(8, dtype=count.dtype)
    step = gap / (count[..., None] + ahead)
    n = count + 8.0
    rest = n - gap
    series = gap / (2.0 * n) + gap / (12.0 * n) * (1.0 / n - 1.0 / rest)
    series = series - (1.0 / n**3 - 1.0 / rest**3) / 360.0 - gap / (120.0 * n**4)
    return jnp.sum(jnp.log1p(-step) + step, axis=-1) - (rest - 0.5) * jnp.log1p(-gap / n) - gap + series


def neighbour_distances(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int, skip_self: bool = False
) -> Float[Array, "n k"]:
    """Distances from every x_i to its k nearest y_j, ascending; with ``skip_self`` y is x, and j ≠ i.

    Differentiable in both. Equal points have distance 0, with gradient 0. All are NaN where there is one in y.

    Examples:
        >>> dj.divergences.neighbour_distances(jnp.array([[0.0], [5.0]]), jnp.array([[1.0], [4.0]]), k=1)
        Array([[1.],
               [1.]], dtype=float32)
    """
    x, y = _arrays(x, y)
    if not 1 <= k <= y.shape[0] - skip_self:
        raise ValueError(f"Expected 1 ≤ k ≤ {y.shape[0] - skip_self}, the number of neighbours; got {k}.")
    index = nearest(*jax.lax.stop_gradient((x, y)), k=k, skip_self=skip_self)
    difference = x[:, None, :] - y[index]
    return nu.safe_root(jnp.sum(difference * difference, axis=-1)) + broken(y)


def nearest(x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int, skip_self: bool = False) -> Int[Array, "n k"]:
    """Indices of the k nearest y_j of every x_i, nearest first.

    Squared distances are a matrix product, and of a few more than k of the least of those the best by differences.
    Blocks in which rounding could have hidden a neighbour are done again by differences: points that are close to each
    other by the measure of how far they are from the mean.
    """
    n, m = x.shape[0], y.shape[0]
    center = jnp.mean(y, axis=0)
    padded = jnp.pad(y, ((0, -m % _GROUP), (0, 0)))
    absent = jnp.where(jnp.arange(padded.shape[0]) < m, 0.0, jnp.inf).astype(x.dtype)
    centered = padded - center
    squares = jnp.sum(centered * centered, axis=1) + absent
    block = max(1, min(n, _BLOCK // m))
    rows = jnp.minimum(jnp.arange(-(-n // block) * block), n - 1).reshape(-1, block)
    wanted = min(k + _SPARE, m - skip_self)

    def best(row, score):
        """The k nearest, how far the last is, and the score that every point left out has at least."""
        if skip_self:
            score = score.at[jnp.arange(block), row].set(jnp.inf)
        candidates = _least(score, wanted)
        exact = jnp.sum((x[row][:, None, :] - y[candidates]) ** 2, axis=-1)
        far, place = jax.lax.top_k(-exact, k)
        last = jnp.max(jnp.take_along_axis(score, candidates, axis=1), axis=1)
        return jnp.take_along_axis(candidates, place, axis=1), -far[:, -1], last

    def by_differences(row):
        return best(row, squared_differences(x[row], padded) + absent)[0]

    def find(row):
        if x.shape[1] <= _DIRECT:
            return by_differences(row)
        moved = x[row] - center
        own = jnp.sum(moved * moved, axis=1)
        index, far, last = best(row, own[:, None] + squares - 2.0 * nu.matmul(moved, centered.T))
        if wanted == m - skip_self:
            return index
        rounding = (12.0 + 0.75 * x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps * (own + last)
        hidden = jnp.any(far > jnp.maximum(last - rounding, 0.0))
        return jax.lax.cond(hidden, by_differences, lambda _: index, row)

    return jax.lax.map(find, rows).reshape(-1, k)[:n]


def _least(score: Float[Array, "b m"], num: int) -> Int[Array, "b num"]:
    """Indices of the num least in each row: they are in the num groups whose least are the least."""
    groups = score.reshape(score.shape[0], -1, _GROUP)
    _, group = jax.lax.top_k(-jnp.min(groups, axis=2), min(num, groups.shape[1]))
    members = jnp.take_along_axis(groups, group[:, :, None], axis=1).reshape(score.shape[0], -1)
    _, place = jax.lax.top_k(-members, num)
    return jnp.take_along_axis(group, place // _GROUP, axis=1) * _GROUP + place % _GROUP


class _Around(NamedTuple):
    """Of each x_i: log P/Q of the mass that x and y have around it, but for log((n − 1)/m), and the counts."""

    log_ratio: Float[Array, " n"]
    own: Float[Array, " n"]
    other: Float[Array, " n"]


def _around(x, y, k):
    """By the distances of the k-th neighbours, or by counts where they are tied."""
    x, y = _arrays(x, y)
    if x.shape[0] <= k or y.shape[0] < k:
        raise ValueError(
            f"Expected more than k = {k} points in x and as many in y; got {x.shape[0]} and {y.shape[0]}. "
            "Choose a smaller k, or give more points."
        )
    # Nothing here has a unit, so take one in which no square overflows or vanishes.
    largest = jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(y)))
    unit = jax.lax.stop_gradient(nu.power_of_two(largest))
    x, y = x / unit, y / unit
    own, own_shared = _kth(x, x, k, skip_self=True)
    other, other_shared = _kth(x, y, k, skip_self=False)
    shared = own_shared | other_shared
    # By chance a few are equal but for rounding, of which nothing follows.
    tied = (own == 0.0) | (other == 0.0) | (shared & (jnp.mean(shared) > _CHANCE))
    still = jax.lax.stop_gradient((x, y, _reach(x, jnp.maximum(own, other))))
    counts = jax.lax.cond(jnp.any(tied), _counts, lambda *_: (jnp.ones_like(own),) * 2, *still)
    counts = [jnp.where(tied, count, k).astype(x.dtype) for count in counts]
    own, other = (jnp.where(tied, 1.0, distance) for distance in (own, other))
    by_distance = x.shape[1] * (jnp.log(own) - jnp.log(other))
    by_count = jax.lax.digamma(counts[0]) - jax.lax.digamma(counts[1])
    return _Around(by_distance - by_count + broken(x, y), *counts)


def _kth(x, y, k, *, skip_self):
    """The k-th distances from x to y, and which of them are those of the next point too."""
    near = neighbour_distances(x, y, k=min(k + 1, y.shape[0] - skip_self), skip_self=skip_self)
    kth = near[:, k - 1]
    return kth, (near[:, -1] <= _reach(x, kth)) & (near.shape[1] > k)


def _reach(x, distance):
    """A distance and the rounding of one: coordinates such as 0.1, 0.2, 0.3 are equally far apart."""
    size = nu.safe_root(jnp.sum(x * x, axis=1))
    return distance + 4.0 * jnp.finfo(x.dtype).eps * (size + distance)


def _counts(x, y, radii):
    """How many of the other x, and of y, are as near to each x_i as its radius."""
    n = x.shape[0]
    block = max(1, min(n, _BLOCK // max(n, y.shape[0])))
    rows = jnp.minimum(jnp.arange(-(-n // block) * block), n - 1).reshape(-1, block)

    def count(row):
        within = [squared_differences(x[row], z) <= radii[row][:, None] ** 2 for z in (x, y)]
        return tuple(jnp.sum(each, axis=1).astype(x.dtype) for each in within)

    own, other = (part.reshape(-1)[:n] for part in jax.lax.map(count, rows))
    return own - 1.0, other


def _arrays(x, y):
    if isinstance(x, Points) or isinstance(y, Points):
        raise TypeError("Expected samples [n, d] without weights; got Points. Resample by the weights first.")
    x, y = checks.floating(checks.points(x, "x"), checks.points(y, "y"))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Expected samples of shapes [n, d] and [m, d]; got {x.shape} and {y.shape}. "
            f"{shape_remedy(x, y, on_the_line='dj.wasserstein(x, y) or dj.energy(x, y)')}"
        )
    return x, y
