"""Maximum mean discrepancy between two samples, MMD² = E k(X,X') + E k(Y,Y') − 2 E k(X,Y) (Gretton et al. 2012).

x and y are samples: an array [n, d] or [n], or ``Points`` with log-weights, which are normalised here (a mask is −inf).
They may differ in size. kernel: a function of the squared distance, ``rbf(1.0)`` or any other of ``divjax.kernels``.
The forms differ in bias and cost: ``mmd2`` is non-negative and biased upward by O(1/n), ``mmd2_unbiased`` may be
negative; both take n² time and n memory, value and gradient (``divjax.divergences.kernel.pairwise``). ``mmd2_block``,
``mmd2_linear`` and ``mmd2_features`` take less time and have more variance. All are differentiable in points,
log-weights and kernel parameters, in reverse mode.

In more than four dimensions squared distances are a matrix product, but of points that are near to each other, beside
how far they are from the mean, differences: what counts for a narrow bandwidth loses no digits, however far apart
groups of points are. Their gradient does: in float32 an error of 4e-4 of the largest entry where groups at ±R are R/250
wide, and of 4e-2 at R/25,000. Where squared distances overflow, beyond 1e19 in float32, values are NaN.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.kernel.kernels import Draw, Kernel, as_kernel
from divjax.divergences.kernel.pairwise import radial_sums, squared_distances
from divjax.divergences.reading import Sample, readable, two_weighted, weighted
from divjax.numerics.programs import kept

Scalar = Float[Array, ""]


@kept
def mmd2(x: Sample, y: Sample, *, kernel: Kernel) -> Scalar:
    """How far apart two samples are as a kernel sees them: E k(X,X') + E k(Y,Y') − 2 E k(X,Y) ≥ 0 (Gretton et al.
    2012).

    Σ w_i w_j k(x_i, x_j) + Σ v_i v_j k(y_i, y_j) − 2 Σ w_i v_j k(x_i, y_j), the V-statistic: MMD² between the two
    empirical distributions, 0 only where they are equal (for a characteristic kernel). As an estimate between what they
    were drawn from it is too large by about k(0) (1/n + 1/m).

    Examples:
        >>> x, y = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0])
        >>> round(float(dj.mmd2(x, y, kernel=dj.kernels.rbf(1.0))), 3)
        1.162
    """
    return biased(as_kernel(kernel), *readable(x, y))


@kept
def mmd2_unbiased(x: Sample, y: Sample, *, kernel: Kernel) -> Scalar:
    """``mmd2`` without its bias: the pairs i = j left out and the rest weighted to one, the U-statistic. n, m ≥ 2.

    Its expectation is MMD² for equal weights, 0 for p = q: it is negative about half of the time there. A sample whose
    weight is all on one point has no such pairs: the value is finite, but without meaning.

    Examples:
        >>> x, y = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0])
        >>> round(float(dj.samples.mmd2_unbiased(x, y, kernel=dj.kernels.rbf(1.0))), 3)
        0.769
    """
    return unbiased(as_kernel(kernel), *readable(x, y))


@jax.jit
def biased(kernel: Kernel, x: Sample, y: Sample) -> Scalar:
    """``mmd2`` for a kernel that is a pytree, positive definite or, like −√s, only conditionally so."""
    x, w, y, v = two_weighted(x, y)
    ((xx, xy), (_, yy)), _ = radial_sums(kernel, (x, w), (y, v))
    return xx + yy - 2.0 * xy


@jax.jit
def unbiased(kernel: Kernel, x: Sample, y: Sample) -> Scalar:
    """``mmd2_unbiased`` in the same way."""
    return _u_statistic(kernel, *two_weighted(x, y, least=2))


def _u_statistic(kernel, x, w, y, v):
    ((xx, xy), (_, yy)), shifted = radial_sums(kernel, (x, w), (y, v))
    at_zero = shifted(jnp.zeros((1, 1), x.dtype))[0, 0]
    return without_diagonal(xx, w, at_zero) + without_diagonal(yy, v, at_zero) - 2.0 * xy


def without_diagonal(total: Array, w: Array, diagonal: Array) -> Array:
    """Σ_{i≠j} w_i w_j k_ij / Σ_{i≠j} w_i w_j from the whole sum and k_ii, for weights that sum to one."""
    return nu.safe_ratio(total - jnp.sum(w * w * diagonal), pairs_weight(w))


def pairs_weight(w: Array) -> Float[Array, ""]:
    """Σ_{i≠j} w_i w_j, to full relative precision also where one weight is nearly all.

    1 − Σ w² is not: what one point leaves to the others is summed from theirs.
    """
    heaviest = jnp.arange(w.shape[0]) == jnp.argmax(w)
    rest = jnp.sum(jnp.where(heaviest, 0.0, w))
    return jnp.sum(w * jnp.where(heaviest, rest, jnp.sum(w) - w))


@kept
def mmd2_linear(x: Sample, y: Sample, *, kernel: Kernel) -> Scalar:
    """``mmd2`` in time n + m: unbiased, with more variance, from consecutive pairs (x_1, x_2), (x_3, x_4), …

    Each pair is used once; samples in random order (Gretton et al. 2012, lemma 14). Of unequal samples the cross terms
    use the first min(n, m) points. Weighted pairs count by the product of their weights; unbiased for equal ones. n, m
    ≥ 2.

    Examples:
        >>> x, y = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0])
        >>> round(float(dj.samples.mmd2_linear(x, y, kernel=dj.kernels.rbf(1.0))), 3)
        0.595
    """
    return _linear(as_kernel(kernel), *readable(x, y))


@jax.jit
def _linear(kernel, x, y):
    x, w, y, v = two_weighted(x, y, least=2)
    shared = 2 * (min(x.shape[0], y.shape[0]) // 2)

    def mean(a, w_a, b, w_b):
        value = kernel(jnp.sum((a - b) ** 2, axis=1)[:, None])[:, 0]
        return nu.safe_ratio(jnp.sum(w_a * w_b * value), jnp.sum(w_a * w_b))

    def odd_even(a, size):
        return a[0:size:2], a[1:size:2]

    def within(a, w_a):
        (one, two), (w_one, w_two) = odd_even(a, a.shape[0] // 2 * 2), odd_even(w_a, a.shape[0] // 2 * 2)
        return mean(one, w_one, two, w_two)

    (x_odd, x_even), (y_odd, y_even) = odd_even(x, shared), odd_even(y, shared)
    (w_odd, w_even), (v_odd, v_even) = odd_even(w, shared), odd_even(v, shared)
    across = mean(x_odd, w_odd, y_even, v_even) + mean(x_even, w_even, y_odd, v_odd)
    return within(x, w) + within(y, v) - across


@kept
def mmd2_block(x: Sample, y: Sample, *, kernel: Kernel, num_blocks: int) -> Scalar:
    """The mean of ``mmd2_unbiased`` over ``num_blocks`` blocks of consecutive points (Zaremba, Gretton, Blaschko 2013).

    Time (n + m)² / num_blocks. The n mod num_blocks last points are left out; samples in random order; weights are
    normalised within each block. A block has at least two points of each sample.

    Examples:
        >>> x, y = jnp.array([0.0, 1.0, 0.5, 1.5]), jnp.array([2.0, 3.0, 2.5, 3.5])
        >>> round(float(dj.samples.mmd2_block(x, y, kernel=dj.kernels.rbf(1.0), num_blocks=2)), 3)
        0.769
    """
    return _block_mean(as_kernel(kernel), *readable(x, y), num_blocks)


@functools.partial(jax.jit, static_argnums=3)
def _block_mean(kernel, x, y, num_blocks):
    x, w, y, v = two_weighted(x, y, least=2)
    most = min(x.shape[0], y.shape[0]) // 2
    if not 1 <= num_blocks <= most:
        raise ValueError(f"Expected 1 <= num_blocks <= {most}, blocks of two points or more; got {num_blocks}.")

    def cut(a):
        return a[: a.shape[0] // num_blocks * num_blocks].reshape(num_blocks, -1, *a.shape[1:])

    def value(block):
        x, w, y, v = block
        w, v = nu.safe_ratio(w, jnp.sum(w)), nu.safe_ratio(v, jnp.sum(v))
        return _u_statistic(kernel, x, w, y, v)

    return jnp.mean(jax.lax.map(value, tuple(map(cut, (x, w, y, v)))))


@kept
def witness(x: Sample, y: Sample, at: Float[Array, "m d"], *, kernel: Kernel) -> Float[Array, " m"]:
    """Where two samples differ, at points t: Σ w_i k(x_i, t) − Σ v_j k(y_j, t), [m].

    Positive where x has more mass, negative where y has. at: the points, [m, d]. It is the function that MMD maximises
    over the unit ball of the kernel's space, not normalised. Memory (n + m) times a few, also backward.

    Examples:
        >>> x, y = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0])
        >>> at = jnp.array([[0.0], [1.5], [3.0]])
        >>> [round(float(each), 2) + 0.0 for each in dj.samples.witness(x, y, at, kernel=dj.kernels.rbf(1.0))]
        [0.73, 0.0, -0.73]
    """
    return _witness(as_kernel(kernel), *readable(x, y, at))


@jax.jit
def _witness(kernel, x, y, at):
    x, w, y, v = two_weighted(x, y)
    at = weighted(at, "at")[0].astype(x.dtype)
    if at.shape[1] != x.shape[1]:
        raise ValueError(f"Expected points at of dimension {x.shape[1]}; got shape {list(at.shape)}.")
    points, signed = jnp.concatenate([x, y]), jnp.concatenate([w, -v])
    # About a tile of pairs in memory; backward it is made again.
    m = at.shape[0]
    rows = max(1, min(m, 2**20 // points.shape[0]))
    count = -(-m // rows)
    shift = jax.lax.stop_gradient(nu.matmul(jnp.abs(signed), points) / 2.0)
    points, at = points - shift, jnp.pad(at - shift, [(0, count * rows - m), (0, 0)])

    @jax.checkpoint
    def block(t):
        return nu.matmul(kernel(squared_distances(t, points, same=False)), signed)

    return jax.lax.map(block, at.reshape(count, rows, -1)).ravel()[:m]


@kept
def mmd2_features(key: Array, x: Sample, y: Sample, *, frequencies: Draw, num_features: int) -> Scalar:
    """``mmd2`` in time (n + m) num_features, by random Fourier features, ≥ 0 (Rahimi, Recht 2007).

    (1/K) Σ_k |E_p e^(i ω_k·x) − E_q e^(i ω_k·y)|², K = num_features, with ω from ``frequencies``, e.g.
    ``kernels.rbf_frequencies(1.0)``: its mean over keys is ``mmd2`` with that kernel, its relative standard deviation
    of order K^(−½). Raises ValueError for num_features below 1.

    Examples:
        >>> x, y = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0])
        >>> draw = dj.kernels.rbf_frequencies(1.0)
        >>> float(dj.samples.mmd2_features(jax.random.key(0), x, y, frequencies=draw, num_features=64)) > 0.5
        True
    """
    x, w, y, v = two_weighted(x, y)
    if num_features < 1:
        raise ValueError(f"Expected num_features >= 1; got {num_features}.")
    size = min(num_features, 64)
    omega = frequencies(checks.key(key), num_features, x.shape[1]).astype(x.dtype)
    # Padded frequencies are 0: both means are 1 there, and their difference 0.
    omega = jnp.pad(omega, [(0, -num_features % size), (0, 0)]).reshape(-1, size, x.shape[1])

    @jax.checkpoint
    def block(part):
        phase_x, phase_y = nu.matmul(x, part.T), nu.matmul(y, part.T)
        gaps = (nu.matmul(w, wave(phase_x)) - nu.matmul(v, wave(phase_y)) for wave in (jnp.cos, jnp.sin))
        return sum(jnp.sum(gap * gap) for gap in gaps)

    return jnp.sum(jax.lax.map(block, omega)) / num_features
