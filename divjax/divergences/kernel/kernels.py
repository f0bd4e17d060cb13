"""Radial kernels: functions of the squared distance s = ‖x − y‖², with k(0) = 1, positive definite in every dimension.

Each is made by a function of its parameters, which may be traced: ``rbf(bandwidth)``. An array of bandwidths [k] is
the sum of the k kernels, then k(0) = k. Any other function of s will do as a kernel: elementwise, differentiable at 0.

All four are mixtures over scales of Gaussians, so that their spectral measures (Bochner 1932; Rahimi, Recht 2007) are
Gaussians with a random scale: ``rbf_frequencies`` and its like draw from them, for ``mmd2_features``.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences.kernel import pairwise
from divjax.divergences.reading import Sample, weighted
from divjax.measures import Points
from divjax.numerics import calls as _calls
from divjax.numerics.calls import said

Kernel = Callable[[Array], Array]
Draw = Callable[[Array, int, int], Float[Array, "num d"]]


def _parameters(**values):
    """Positive numbers, or arrays of them, as arrays [k]; those that are traced are not looked at."""
    for name, value in values.items():
        _check_positive(value, name)
    return jnp.broadcast_arrays(*map(jnp.atleast_1d, checks.floating(*map(jnp.asarray, values.values()))))


def _check_positive(value, name):
    if not checks.is_known(value):
        return
    array = np.asarray(value) if isinstance(value, int | float | list | tuple) or hasattr(value, "dtype") else None
    if array is None or array.dtype.kind not in "iuf":
        given = repr(value) if isinstance(value, str) else type(value).__name__
        median = " Measure one: dj.kernels.median_distance(x, y)." if name == "bandwidth" else ""
        raise TypeError(f"Expected a number > 0 as {name}; got {given}.{median or ' Pass a float.'}")
    if not np.all(array > 0.0):
        raise ValueError(f"Expected {name} > 0; got {array.min():g}. Choose a positive one.")


def _total(profile, squares, *parameters):
    """Σ_k profile(s, parameters_k) for parameters [k], one after the other: s may be a large tile."""
    parameters = [p.astype(squares.dtype) for p in parameters]
    return sum(profile(squares, *(p[k] for p in parameters)) for k in range(parameters[0].shape[0]))


def _inverse(scale):
    """1 / scale, held where its square would overflow: s = 0 is not to become NaN at a tiny bandwidth."""
    return 1.0 / jnp.maximum(scale, 1e3 * jnp.finfo(scale.dtype).tiny ** 0.5)


def _rbf(bandwidth, squares):
    return _total(lambda s, h: jnp.exp(-s * (0.5 * _inverse(h) ** 2)), squares, bandwidth)


def _laplace(bandwidth, squares):
    return _total(lambda s, h: jnp.exp(-nu.safe_sqrt(s) * _inverse(h)), squares, bandwidth)


def _power(scale, exponent, squares):
    return _total(lambda s, c, b: jnp.exp(-b * jnp.log1p(s * _inverse(c) ** 2)), squares, scale, exponent)


def _sum(kernels, squares):
    return sum(kernel(squares) for kernel in kernels)


__getattr__ = _calls.meant(__name__, {"gaussian": "rbf", "squared_exponential": "rbf", "inverse_multiquadric": "imq"})
__dir__ = _calls.own(__name__)


@said
def rbf(bandwidth: ArrayLike) -> Kernel:
    """Gaussian kernel exp(−s / (2 h²)), h the bandwidth > 0, a scalar or [k] for a sum.

    Examples:
        >>> round(float(dj.kernels.rbf(1.0)(jnp.asarray(4.0))), 3)
        0.135
    """
    return Partial(_rbf, *_parameters(bandwidth=bandwidth))


@said
def rbf_bandwidths(kernel: Kernel) -> Float[Array, " k"] | None:
    """The bandwidths of a kernel made by ``rbf``; None for any other.

    Examples:
        >>> dj.kernels.rbf_bandwidths(dj.kernels.rbf(2.0))
        Array([2.], dtype=float32)
    """
    return kernel.args[0] if isinstance(kernel, Partial) and kernel.func is _rbf else None


@said
def laplace(bandwidth: ArrayLike) -> Kernel:
    """Laplace kernel exp(−√s / h). Its kink at s = 0 has gradient 0; ``stein`` needs a smoother one.

    Examples:
        >>> round(float(dj.kernels.laplace(1.0)(jnp.asarray(4.0))), 3)
        0.135
    """
    return Partial(_laplace, *_parameters(bandwidth=bandwidth))


@said
def imq(scale: ArrayLike, *, exponent: ArrayLike = 0.5) -> Kernel:
    """Inverse multiquadric (1 + s / c²)^(−b), 0 < b < 1 for ``stein`` to see weak convergence (Gorham, Mackey 2017).

    Examples:
        >>> round(float(dj.kernels.imq(1.0)(jnp.asarray(3.0))), 3)
        0.5
    """
    return Partial(_power, *_parameters(scale=scale, exponent=exponent))


@said
def rational_quadratic(bandwidth: ArrayLike, *, alpha: ArrayLike = 1.0) -> Kernel:
    """Rational quadratic (1 + s / (2 a h²))^(−a), a > 0: Gaussian kernels of all bandwidths; a → ∞ is ``rbf``.

    Examples:
        >>> round(float(dj.kernels.rational_quadratic(1.0)(jnp.asarray(2.0))), 3)
        0.5
    """
    bandwidth, alpha = _parameters(bandwidth=bandwidth, alpha=alpha)
    return Partial(_power, bandwidth * nu.safe_sqrt(2.0 * alpha), alpha)


@said
def total(*kernels: Kernel) -> Kernel:
    """The sum of kernels, of different kinds perhaps.

    Examples:
        >>> float(dj.kernels.total(dj.kernels.rbf(1.0), dj.kernels.imq(1.0))(jnp.asarray(0.0)))
        2.0
    """
    return Partial(_sum, tuple(map(as_kernel, kernels)))


@said
def as_kernel(kernel: Kernel) -> Kernel:
    """A function of s as a pytree of what it closes over, so that gradients and vmap reach bandwidths in there.

    Examples:
        >>> float(dj.kernels.as_kernel(lambda s: 1.0 / (1.0 + s))(jnp.ones((1, 1)))[0, 0])
        0.5
    """
    if isinstance(kernel, Partial):
        return kernel
    if any(kernel is each for each in (rbf, laplace, imq, rational_quadratic)):
        made_by = f"dj.kernels.{kernel.__name__}"
        raise TypeError(f"Expected a kernel; got {made_by}, which makes one. Write {made_by}(1.0), with its bandwidth.")
    if not callable(kernel):
        raise TypeError(
            f"Expected kernel as a function of the squared distance; got {type(kernel).__name__}. Use e.g. "
            "dj.kernels.rbf(1.0)."
        )
    function, closed_over = jax.closure_convert(kernel, jnp.zeros((1, 1)))
    if not closed_over:
        return Partial(kernel)  # the same function again is the same program
    return Partial(lambda constants, squares: function(squares, *constants), closed_over)


@said
def rbf_frequencies(bandwidth: ArrayLike) -> Draw:
    """Frequencies of ``rbf``: N(0, I / h²).

    Examples:
        >>> dj.kernels.rbf_frequencies(1.0)(jax.random.key(0), 64, 3).shape
        (64, 3)
    """
    return lambda key, num, d: jax.random.normal(key, (num, d)) / bandwidth


@said
def laplace_frequencies(bandwidth: ArrayLike) -> Draw:
    """Frequencies of ``laplace``: multivariate Cauchy with scale 1 / h.

    Examples:
        >>> dj.kernels.laplace_frequencies(1.0)(jax.random.key(0), 64, 3).shape
        (64, 3)
    """

    def draw(key, num, d):
        above, below = jax.random.split(key)
        return jax.random.normal(above, (num, d)) / (jnp.abs(jax.random.normal(below, (num, 1))) * bandwidth)

    return draw


@said
def imq_frequencies(scale: ArrayLike, *, exponent: ArrayLike = 0.5) -> Draw:
    """Frequencies of ``imq``: √(2 τ) N(0, I) / c with τ from a Gamma of shape b.

    Examples:
        >>> dj.kernels.imq_frequencies(1.0)(jax.random.key(0), 64, 3).shape
        (64, 3)
    """

    def draw(key, num, d):
        first, second = jax.random.split(key)
        return jax.random.normal(first, (num, d)) * jnp.sqrt(2.0 * jax.random.gamma(second, exponent, (num, 1))) / scale

    return draw


@said
def rational_quadratic_frequencies(bandwidth: ArrayLike, *, alpha: ArrayLike = 1.0) -> Draw:
    """Frequencies of ``rational_quadratic``, which is ``imq`` with c² = 2 a h² and b = a.

    Examples:
        >>> dj.kernels.rational_quadratic_frequencies(1.0)(jax.random.key(0), 64, 3).shape
        (64, 3)
    """
    return imq_frequencies(bandwidth * jnp.sqrt(2.0 * jnp.asarray(alpha)), exponent=alpha)


@said
def median_distance(*samples: Sample, num_points: int = 512) -> Float[Array, ""]:
    """Median of ‖z − z'‖ over pairs of the pooled samples: the usual bandwidth (Gretton et al. 2012).

    Of ``num_points`` points at most, chosen by systematic resampling (so that weights and masks count), each sample
    having the same share of the total weight. Constant under differentiation. Where half of the pairs coincide it is
    the median of those that do not, so that it always has the unit of the data; 1 where all of them do.

    Examples:
        >>> float(dj.kernels.median_distance(jnp.array([0.0, 1.0, 3.0])))
        2.0
    """
    samples = tuple(each if isinstance(each, Points) else checks.points(each, "x") for each in samples)
    return _median_distance(samples, num_points)


@functools.partial(jax.jit, static_argnums=1)
def _median_distance(samples, num):
    parts = [weighted(sample, f"samples[{k}]") for k, sample in enumerate(samples)]
    points = jnp.concatenate(pairwise.centre(*parts))
    levels = jnp.cumsum(jnp.concatenate([w for _, w in parts]))
    num = min(num, points.shape[0])
    middle = (jnp.arange(num) + 0.5) / num * levels[-1]
    chosen = jax.lax.stop_gradient(points)[jnp.searchsorted(levels, middle, side="left")]
    if num == 1:
        return jnp.ones((), points.dtype)
    unit = nu.power_of_two(jnp.max(jnp.abs(chosen)))
    chosen = chosen / unit
    squares = jnp.sort(pairwise.squared_distances(chosen, chosen, same=True)[np.triu_indices(num, 1)])
    last, coincide = squares.shape[0] - 1, jnp.sum(squares == 0.0)
    median = unit * nu.safe_sqrt(squares[jnp.where(coincide > last // 2, (coincide + last) // 2, last // 2)])
    return jnp.where(median == 0.0, 1.0, median)
