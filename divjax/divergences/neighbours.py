"""Divergences estimated from samples by nearest neighbours: no density, no kernel, no bandwidth.

Distances are found block by block, so that no n × m matrix is held.
"""

import math

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
_SPARE = 8  # candidates beyond k, among which the fast distances may err


@kept
def neighbour_kl(x: Float[Array, "n d"], y: Float[Array, "m d"], *, k: int = 5) -> Float[Array, ""]:
    """KL(p‖q) in nats from samples x of p and y of q, by the distances to nearest neighbours (Wang, Kulkarni, Verdú
    2009).

    d/n Σ_i log(ν_k(x_i)/ρ_k(x_i)) + log(m/(n − 1)), with ρ_k the distance to the k-th nearest of the other x and ν_k to
    the k-th nearest of y. Consistent for every k: both densities are estimated with the same k, so that the bias ψ(k) −
    log k of either cancels; what is left is of the order of the density's change within the k-th neighbour's distance,
    (k/n)^(1/d), and grows with k and d. May be negative. Duplicates: see ``divergences.neighbour_distances``. Raises
    TypeError for ``Points``, ValueError for samples that are not [n, d], n > k, and [m, d], m ≥ k.

    Examples:
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 2000, 1))
        >>> round(float(dj.samples.neighbour_kl(x, y + 1.0)), 1)
        0.5
    """
    own, other, dim = _both_distances(x, y, k)
    return dim * jnp.mean(jnp.log(other) - jnp.log(own)) + jnp.log(y.shape[0] / (x.shape[0] - 1.0))


@kept
def neighbour_renyi(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, alpha: ArrayLike, k: int = 5
) -> Float[Array, ""]:
    """Rényi's divergence in nats from samples x of p and y of q, by the distances to nearest neighbours.

    log(B/n Σ_i ((n − 1) ρ_k^d / (m ν_k^d))^(1−a)) / (a − 1) for log ∫ p^a q^(1−a) / (a−1) (Póczos, Schneider 2011),
    with ρ_k and ν_k as in ``neighbour_kl`` and B = Γ(k)² / (Γ(k − a + 1) Γ(k + a − 1)), which takes away the asymptotic
    bias of the mean. For |a − 1| < k; a → 1 is ``neighbour_kl``. The logarithm of a mean is biased downwards (upwards
    for a < 1) like its variance over twice its square. inf for |a − 1| ≥ k. Errors as for ``neighbour_kl``.

    Examples:
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 2000, 1))
        >>> round(float(dj.samples.neighbour_renyi(x, y + 1.0, alpha=0.5)), 1)
        0.3
    """
    own, other, dim = _both_distances(x, y, k)
    gap = jnp.asarray(alpha, own.dtype) - 1.0
    valid = jnp.abs(gap) < k
    gap = jnp.where(valid, gap, 0.0)
    ratio = dim * (jnp.log(own) - jnp.log(other)) + jnp.log((x.shape[0] - 1.0) / y.shape[0])
    center = jnp.mean(ratio)
    mean = _log_mean_exp(-gap * (ratio - center)) + _log_correction(gap, k)
    # Both are of second order in the gap.
    value = jnp.where(gap == 0.0, 0.0, mean / jnp.where(gap == 0.0, 1.0, gap)) - center
    return jnp.where(valid, value, jnp.inf)


def _log_mean_exp(t):
    """log mean e^t of numbers whose mean is 0, without cancellation where they are small."""
    near = jnp.max(jnp.abs(t)) < 0.5
    small = jnp.log1p(jnp.mean(nu.exp_excess(jnp.where(near, t, 0.0))))
    return jnp.where(near, small, nu.logsumexp(jnp.where(near, 0.0, t)) - math.log(t.size))


def _log_correction(gap, k):
    """log Γ(k)² − log Γ(k − g) Γ(k + g) = Σ_{j ≥ k} log(1 − g²/j²) for |g| < k."""
    near = jnp.abs(gap) < 0.5
    square = jnp.where(near, gap, 0.0) ** 2
    series = jnp.zeros_like(gap)
    for power in range(16, 0, -1):
        series = square * (series - _zeta(2 * power, k) / power)
    far = jnp.where(near, 0.75, gap)
    return jnp.where(near, series, 2.0 * math.lgamma(k) - jax.lax.lgamma(k - far) - jax.lax.lgamma(k + far))


def _zeta(power: int, k: int) -> float:
    """Σ_{j ≥ k} j^(−power), by Euler and Maclaurin from j = k + 20 on."""
    end = k + 20.0
    tail = end ** (1 - power) / (power - 1) + 0.5 * end**-power + power * end ** (-power - 1) / 12.0
    tail -= power * (power + 1) * (power + 2) * end ** (-power - 3) / 720.0
    return sum(float(j) ** -power for j in range(k, k + 20)) + tail


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


def _both_distances(x, y, k):
    """k-th distances within x and from x to y, made positive, and the dimension."""
    x, y = _arrays(x, y)
    if x.shape[0] <= k or y.shape[0] < k:
        raise ValueError(
            f"Expected more than k = {k} points in x and as many in y; got {x.shape[0]} and {y.shape[0]}. "
            "Choose a smaller k, or give more points."
        )
    own = neighbour_distances(x, x, k=k, skip_self=True)[:, -1]
    other = neighbour_distances(x, y, k=k)[:, -1]
    # More than k equal points have distance 0, and no density: they count as apart by a rounding of the largest, or
    # like the closest that are apart. Distances that are not 0 are left alone, however far an outlier is.
    both = jax.lax.stop_gradient(jnp.concatenate([own, other]))
    closest = jnp.min(jnp.where(both > 0.0, both, jnp.inf))
    least = jnp.maximum(jnp.minimum(jnp.finfo(x.dtype).eps * jnp.max(both), closest), jnp.finfo(x.dtype).tiny)
    return jnp.where(own == 0.0, least, own), jnp.where(other == 0.0, least, other), x.shape[1]


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
