"""Permutation tests of two samples: the discrepancy between them against that between random halves of the pool.

Under the null the pooled points are exchangeable, so that every relabelling is as likely as the one observed and the
p-value is exact for every n, m and dimension. A discrepancy of V-statistic form is aᵀ K a with a = 1/n on one sample
and −1/m on the other: all ``num`` relabellings are columns of one matrix, and each tile of K is computed once.
"""

import functools

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.kernel.kernels import Kernel, as_kernel, median_distance, rbf
from divjax.divergences.kernel.pairwise import radial_forms
from divjax.divergences.reading import two_unweighted
from divjax.numerics.calls import said
from divjax.sorting import ranked
from divjax.twosample.result import TestResult, against_null, relabellings


@said
def mmd_test(
    key: Array, x: Float[Array, "n d"], y: Float[Array, "m d"], *, kernel: Kernel | None = None, num_draws: int = 999
) -> TestResult:
    """Permutation test with ``mmd2`` as the statistic (Gretton et al. 2012). n, m ≥ 2.

    x, y: arrays [n, d] and [m, d], or [n] and [m]. kernel: a function of the squared distance; None is ``rbf`` with the
    median distance of the pooled points, of 512 of them at random. Time (n + m)² num_draws, memory (n + m) num_draws.

    Examples:
        >>> x = jax.random.normal(jax.random.key(0), (40, 2))
        >>> round(float(dj.twosample.mmd_test(jax.random.key(1), x, x + 5.0, num_draws=99).p_value), 3)
        0.01
    """
    x, y = two_unweighted(x, y, names=("x", "y"), least=2)
    return _mmd_test(checks.key(key), x, y, None if kernel is None else as_kernel(kernel), num_draws)


@said
def energy_test(key: Array, x: Float[Array, "n d"], y: Float[Array, "m d"], *, num_draws: int = 999) -> TestResult:
    """Whether two samples differ, by their energy distance ``dj.energy`` and permutations (Székely, Rizzo 2004).

    No bandwidth to choose. Cost as that of ``mmd_test``; in one dimension (n + m) num_draws from one sort. n, m ≥ 2.
    Errors as for ``mmd_test``.

    Examples:
        >>> x = jax.random.normal(jax.random.key(0), (40,))
        >>> round(float(dj.twosample.energy_test(jax.random.key(1), x, x + 5.0, num_draws=99).p_value), 3)
        0.01
    """
    return _energy_test(checks.key(key), *two_unweighted(x, y, names=("x", "y"), least=2), num_draws)


@functools.partial(jax.jit, static_argnums=4)
def _mmd_test(key, x, y, kernel, num):
    key_median, key = jax.random.split(key)
    if kernel is None:
        # Shuffled, so that the choice of points does not know who is whose, and the p-value stays exact.
        kernel = rbf(median_distance(jax.random.permutation(key_median, jnp.concatenate([x, y]))))
    return _pooled(key, kernel, x, y, num)


@functools.partial(jax.jit, static_argnums=3)
def _energy_test(key, x, y, num):
    if x.shape[1] == 1:
        return _on_the_line(key, x[:, 0], y[:, 0], num)
    return _pooled(key, Partial(_minus_root), x, y, num)


def _minus_root(squares):
    return -nu.safe_sqrt(squares)


def _pooled(key, kernel, x, y, num):
    values, scale = radial_forms(kernel, jnp.concatenate([x, y]), _contrasts(key, x, y, num))
    return against_null(values, scale)


def _contrasts(key, x, y, num):
    """Columns a, 1/n where the label is x and −1/m where it is y."""
    labels = relabellings(key, x.shape[0], y.shape[0], num, x.dtype)
    return jnp.where(labels > 0.0, 1.0 / x.shape[0], -1.0 / y.shape[0])


def _on_the_line(key, x, y, num):
    """2 ∫ (F − G)² from the sorted pool: F − G is the running sum of a column."""
    points, order = ranked(jnp.concatenate([x, y]))
    steps = _contrasts(key, x, y, num)[order]
    width = jnp.append(jnp.diff(points), 0.0)

    def add(carry, point):
        gap, total = carry
        step, width = point
        gap = gap + step
        return (gap, total + 2.0 * gap * gap * width), None

    (_, values), _ = jax.lax.scan(add, (jnp.zeros_like(steps[0]), jnp.zeros_like(steps[0])), (steps, width))
    return against_null(values)
