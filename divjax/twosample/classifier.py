"""A classifier as a test: two samples differ where someone who has seen half of each can tell the other halves apart.

Lopez-Paz, Oquab 2017. The classifier is ridge regression of the label on the coordinates and on random Fourier
features of them, all frequencies' scales mixed; its penalty is the one with the least leave-one-out error on the
training half. On the other half points are ranked by its output.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax import checks
from divjax.divergences.kernel.kernels import median_distance, rational_quadratic_frequencies
from divjax.divergences.reading import broken, two_unweighted
from divjax.numerics import linalg, matmul
from divjax.numerics.calls import said
from divjax.twosample.result import TestResult, against_null, relabellings

_LINEAR = 128  # coordinates, or random projections of more
_WAVES = 128  # frequencies, a cosine and a sine each
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # times the mean squared norm of the features


@said
def classifier_test(key: Array, x: Float[Array, "n d"], y: Float[Array, "m d"], *, num_draws: int = 999) -> TestResult:
    """Whether two samples differ, by a classifier that has seen half of each and has to tell the other halves apart.

    The statistic is the area under the ROC curve on the held-out halves, ½ where no point can be told: the chance that
    a held-out x is ranked before a held-out y (ties count half). Unlike the accuracy it does not depend on n : m. Its
    null is that of the held-out labels permuted, ``num_draws`` times, which is exact, whatever the classifier has
    learnt. Halves, frequencies and permutations are random. n, m ≥ 2. Time (n + m) (d + 256)² and (n + m) num_draws.
    Raises ValueError for samples of unequal dimension, TypeError for ``Points``.

    Examples:
        >>> x = jax.random.normal(jax.random.key(0), (40, 2))
        >>> float(dj.twosample.classifier_test(jax.random.key(1), x, x + 5.0, num_draws=99).p_value) < 0.05
        True
    """
    return _classifier_test(checks.key(key), *two_unweighted(x, y, names=("x", "y"), least=2), num_draws)


@functools.partial(jax.jit, static_argnums=3)
def _classifier_test(key, x, y, num):
    key_x, key_y, key_features, key = jax.random.split(key, 4)
    x, y = jax.random.permutation(key_x, x), jax.random.permutation(key_y, y)
    (x_seen, x_held), (y_seen, y_held) = ((a[: a.shape[0] // 2], a[a.shape[0] // 2 :]) for a in (x, y))
    seen, held = jnp.concatenate([x_seen, y_seen]), jnp.concatenate([x_held, y_held])
    is_x = jnp.arange(seen.shape[0]) < x_seen.shape[0]
    # Both classes have the same say, at whatever sizes.
    label = jnp.where(is_x, 1.0 / x_seen.shape[0], -1.0 / y_seen.shape[0]).astype(x.dtype) * (seen.shape[0] / 2)
    output = _ridge(*_features(key_features, seen, held), label)
    n, m = x_held.shape[0], y_held.shape[0]
    rank_sums = matmul(_ranks(output) - 0.5 * (n + m + 1), relabellings(key, n, m, num, x.dtype))
    # NaN has a rank too.
    return against_null(0.5 + rank_sums / (n * m) + broken(x, y))


def _features(key, seen, held):
    """Features of the training and of the held-out points, standardised and centred by the training points."""
    key_linear, key_frequencies = jax.random.split(key)
    # From one of the points on: the mean of points far from the origin has an error that their differences have not.
    origin = seen[0]
    seen, held = seen - origin, held - origin
    mean = jnp.mean(seen, axis=0)
    scale = jnp.sqrt(jnp.mean((seen - mean) ** 2, axis=0))
    # A column that is constant in training but for rounding says nothing.
    scale = jnp.where(scale > 2.0 * jnp.finfo(seen.dtype).eps * jnp.abs(origin), scale, jnp.inf)
    d = seen.shape[1]

    def coordinates(x):
        return (x - mean) / scale

    standard = coordinates(seen)
    omega = rational_quadratic_frequencies(median_distance(standard))(key_frequencies, _WAVES, d).astype(seen.dtype)
    mix = jax.random.normal(key_linear, (d, _LINEAR), seen.dtype) / d**0.5 if d > _LINEAR else None

    def expand(z):
        phase = matmul(z, omega.T)
        linear = z if mix is None else matmul(z, mix)
        waves = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1) * (linear.shape[1] / _WAVES) ** 0.5
        return jnp.concatenate([linear, waves], axis=1)

    seen, held = expand(standard), expand(coordinates(held))
    middle = jnp.mean(seen, axis=0)
    return seen - middle, held - middle


def _ridge(seen, held, label) -> Float[Array, " m"]:
    """The regression's output at the held-out points, with the penalty of least leave-one-out error."""
    left, singular, right = linalg.svd(seen)
    squares, along = singular**2, matmul(left.T, label)
    largest = jnp.maximum(jnp.sum(squares) / seen.shape[0], jnp.finfo(seen.dtype).tiny)

    def error(penalty):
        kept = squares / (squares + penalty)
        leverage = matmul(left**2, kept) + 1.0 / seen.shape[0]
        residual = label - jnp.mean(label) - matmul(left, kept * along)
        return jnp.mean((residual / jnp.maximum(1.0 - leverage, 1e-3)) ** 2)

    penalties = jnp.asarray(_PENALTIES, seen.dtype) * largest
    penalty = penalties[jnp.argmin(jax.lax.map(error, penalties))]
    return matmul(held, matmul(right.T, singular / (squares + penalty) * along))


def _ranks(values):
    """Ranks from 1 on; tied values have the mean of theirs."""
    ordered = jnp.sort(values)
    return 0.5 * (jnp.searchsorted(ordered, values, side="left") + jnp.searchsorted(ordered, values, side="right") + 1)
