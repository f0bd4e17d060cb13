"""Maximum likelihood on the blog post's data, not in its limit: Monte-Carlo KL over the sample size, and the estimates.

The data are ½ N(0, 1) + ½ N(d, 1), the model is N(μ, σ²). Its likelihood is largest at the sample's own moments, which
tend to μ = d/2 and σ = √(1 + d²/4): 8 and 8.06 where d = 16. Its fourth moment is far from a Gaussian's, so that σ is
known better than Fisher's information says: Var(log σ̂) = (κ − 1) / (4n), with κ the kurtosis, and not 1 / (2n).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from divjax import models, targets
from divjax import numerics as nu
from divjax.discretize import quadrature
from divjax.training.likelihood import predicted_kl, sandwich

SEPARATION = 16.0
NUMS, SEEDS = (10, 32, 100, 316, 1000, 3162, 10_000, 31_623, 100_000), 400
SAMPLE, FITS = 1000, 4000
LEVEL, HALF_WIDTH = 0.95, 1.959964  # of an interval, and how many standard errors it reaches to each side
_CHUNK, _AT_ONCE = 1000, 200  # draws, and fits, that are in memory at a time


class Convergence(NamedTuple):
    """The error of the mean of log p/q over draws from p, over seeds: [m], one entry for each number of draws."""

    num: Int[np.ndarray, " m"]
    rms: Float[np.ndarray, " m"]
    rms_stderr: Float[np.ndarray, " m"]
    mean_abs: Float[np.ndarray, " m"]
    mean_abs_stderr: Float[np.ndarray, " m"]
    kl: float  # by quadrature
    constant: float  # sd_p(log p/q): the rms error is constant / √num, exactly
    slope: float  # of log rms over log num
    slope_stderr: float
    num_seeds: int


class Sampling(NamedTuple):
    """Maximum-likelihood estimates (loc, log scale) over s samples, and what is said of their covariance."""

    num: int  # points in a sample
    estimates: Float[np.ndarray, "s 2"]
    truth: Float[np.ndarray, " 2"]  # what they tend to: the parameters of least KL
    covariance: Float[np.ndarray, "2 2"]  # the sandwich, mean over the samples
    inverse_fisher: Float[np.ndarray, "2 2"]  # the same of A⁻¹ / n
    covered: Float[np.ndarray, " 2"]  # share of the sandwich's own 95 % intervals that hold the truth
    covered_fisher: Float[np.ndarray, " 2"]
    status: Int[np.ndarray, " s"]


def best_gaussian(separation: ArrayLike) -> dict[str, Array]:
    """The Gaussian of least KL(p‖q), which has the data's moments: loc d/2, scale √(1 + d²/4)."""
    separation = jnp.asarray(separation, jnp.result_type(float))
    return {"loc": 0.5 * separation, "log_scale": 0.5 * jnp.log1p(0.25 * separation**2)}


def gaussian_mle(x: Float[Array, " n"]) -> dict[str, Array]:
    """The Gaussian of largest likelihood: the sample's mean, and the root of its variance with divisor n."""
    return {"loc": jnp.mean(x), "log_scale": 0.5 * nu.safe_log(jnp.var(x))}


def convergence(
    key: PRNGKeyArray, nums: Sequence[int] = NUMS, num_seeds: int = SEEDS, *, separation: float = SEPARATION
) -> Convergence:
    """How fast the mean of log p/q over draws from p comes to KL(p‖q), q being the Gaussian of least KL.

    Independent draws for every number and seed, a thousand of them in memory per seed; one program for all. Raises
    ValueError for less than two numbers of draws or two seeds, or a number below 1.
    """
    nums = np.unique(np.asarray(nums, int))
    if nums.size < 2 or nums[0] < 1 or num_seeds < 2:
        raise ValueError(
            f"Expected two or more numbers of draws >= 1, and two seeds or more; got {nums.tolist()} and {num_seeds}. "
            f"The defaults are {NUMS} and {SEEDS}."
        )
    exact = _exact(separation)
    keys = jax.random.split(key, (nums.size, num_seeds))
    errors = [_errors(keys[i], num, separation, exact.value) for i, num in enumerate(nums)]
    errors = np.abs(np.asarray(errors, float))
    mean_square, of_square = _mean_of(errors**2)
    mean_abs, of_abs = _mean_of(errors)
    rms, rms_stderr = mean_square**0.5, 0.5 * of_square / mean_square**0.5
    slope = _slope(np.log(nums), np.log(rms), rms_stderr / rms)
    return Convergence(
        nums, rms, rms_stderr, mean_abs, of_abs, float(exact.value), float(exact.stderr), *slope, num_seeds
    )


def _pair(separation):
    return targets.two_modes(separation), models.normal(best_gaussian(separation))


@jax.jit
def _exact(separation):
    return predicted_kl(quadrature(*_pair(separation), crossings=0))


@jax.jit
def _errors(keys, num, separation, exact):
    """The mean over num draws of log p/q − KL for each key; num is traced, a chunk after the other."""
    p, q = _pair(separation)

    def one(key):
        def add(chunk, total):
            x = p.sample(seed=jax.random.fold_in(key, chunk), sample_shape=(_CHUNK,))
            terms = nu.log_ratio(p.log_prob(x), q.log_prob(x)) - exact
            return total + jnp.sum(jnp.where(chunk * _CHUNK + jnp.arange(_CHUNK) < num, terms, 0.0))

        return jax.lax.fori_loop(0, (num + _CHUNK - 1) // _CHUNK, add, jnp.zeros_like(exact)) / num

    return jax.vmap(one)(keys)


def _mean_of(values):
    return values.mean(1), values.std(1, ddof=1) / values.shape[1] ** 0.5


def _slope(x, y, stderr):
    """Of the line through (x, y) by least squares, y being known to stderr, and its standard error."""
    weight = 1.0 / stderr**2
    away = x - np.average(x, weights=weight)
    spread = np.sum(weight * away**2)
    return float(np.sum(weight * away * y) / spread), float(spread**-0.5)


def sampling(key: PRNGKeyArray, num: int = SAMPLE, num_fits: int = FITS, *, separation: float = SEPARATION) -> Sampling:
    """The maximum-likelihood Gaussian of ``num_fits`` samples of ``num`` points, each with its own sandwich.

    Raises ValueError for less than two points or two fits.
    """
    if num < 2 or num_fits < 2:
        raise ValueError(f"Expected two points and two fits or more; got {num} and {num_fits}. Use {SAMPLE}, {FITS}.")
    found = _fits(jax.random.split(key, num_fits), separation, num=num)
    estimates, covariance, inverse_fisher, status = (np.asarray(part) for part in found)
    truth = np.asarray(list(best_gaussian(separation).values()))
    gap = np.abs(estimates - truth)

    def covered(covariances):
        return np.mean(gap <= HALF_WIDTH * np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)), axis=0)

    return Sampling(
        num,
        estimates,
        truth,
        covariance.mean(0),
        inverse_fisher.mean(0),
        covered(covariance),
        covered(inverse_fisher),
        status,
    )


@partial(jax.jit, static_argnames="num")
def _fits(keys, separation, *, num):
    """(loc, log scale), both covariances and the status for the sample of each key."""
    p = targets.two_modes(separation)

    def one(key):
        x = p.sample(seed=key, sample_shape=(num,))
        params = gaussian_mle(x)
        known = sandwich(lambda params, point: models.normal(params).log_prob(point), params, x)
        return jnp.stack([params["loc"], params["log_scale"]]), known.covariance, known.inverse_fisher, known.status

    return jax.lax.map(one, keys, batch_size=_AT_ONCE)
