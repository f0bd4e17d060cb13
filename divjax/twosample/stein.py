"""Goodness of fit of one sample to a distribution of which only the score ∇log q is known."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.divergences.kernel.kernels import Kernel, as_kernel, imq, median_distance
from divjax.divergences.kernel.ksd import stein_forms
from divjax.divergences.reading import two_unweighted
from divjax.twosample.result import TestResult, against_null


def stein_test(
    key: Array,
    x: Float[Array, "n d"],
    score: Callable[[Array], Array] | Float[Array, "n d"],
    *,
    kernel: Kernel | None = None,
    num_draws: int = 999,
) -> TestResult:
    """Test by the kernel Stein discrepancy ``stein`` and a wild bootstrap (Chwialkowski, Strathmann, Gretton 2016).

    score: ∇log q as a function of one point [d], mapped over the points, or its values there [n, d]. The null is that
    the independent draws x are from q: Σ ε_i ε_j u(x_i, x_j) / n² with random signs ε has then, for large n, the
    distribution of the statistic. kernel: smooth; None is ``imq`` with the median distance of x. n ≥ 2. Time n²
    num_draws.

    Examples:
        >>> x = jax.random.normal(jax.random.key(0), (40, 1))
        >>> round(float(dj.twosample.stein_test(jax.random.key(1), x + 5.0, lambda x: -x, num_draws=99).p_value), 3)
        0.01
    """
    if callable(score):
        points = jnp.asarray(x)
        score = jax.vmap(score)(points)
    x, score = two_unweighted(x, score, names=("x", "score"), least=2)
    return _stein_test(key, x, score, None if kernel is None else as_kernel(kernel), num_draws)


@functools.partial(jax.jit, static_argnums=4)
def _stein_test(key, x, score, kernel, num_draws):
    if num_draws < 1:
        raise ValueError(f"Expected num_draws >= 1; got {num_draws}.")
    n = x.shape[0]
    kernel = imq(median_distance(x)) if kernel is None else kernel
    signs = jnp.concatenate([jnp.ones((n, 1), x.dtype), jax.random.rademacher(key, (n, num_draws), x.dtype)], axis=1)
    return against_null(stein_forms(kernel, x, score, signs / n))
