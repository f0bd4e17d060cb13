"""A Gaussian fitted to one's own sample, by maximum likelihood and by sample discrepancies."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax import catalog, models
from divjax.discretize import cdfs, coupling
from divjax.training import fit, newton
from divjax.training.iteration import run

DIVERGENCES = ("kl", "wasserstein_2", "energy")


class SampleFit(NamedTuple):
    """A Gaussian fitted to a sample, in the units of the data."""

    loc: float
    scale: float
    value: float  # nats for kl (the mean negative log-likelihood), the units of the data for the others
    near: float  # share of the sample within scale/4 of loc; the Gaussian itself has 0.1974 there
    steps: int
    status: int


def fit_sample(x: Sequence[float], divergences: Sequence[str] = DIVERGENCES) -> dict[str, SampleFit]:
    """The best Gaussian for the sample x [n] under each divergence that needs nothing but samples of the data.

    ``kl`` is maximum likelihood: KL(sample‖model) up to the sample's entropy. ``wasserstein_<k>``, ``energy`` and
    ``cramer`` are exact between the sample's steps and the model. Everything is fitted to the standardised sample.

    Raises ValueError for fewer than two different values, for NaN or infinity, and for a divergence that needs the
    density of the data.
    """
    x = check_sample(np.asarray(x, float))
    losses = {name: _loss(name) for name in divergences}
    with np.errstate(over="ignore", invalid="ignore"):
        center, spread = x.mean(), x.std()
    if not (np.isfinite(center) and np.isfinite(spread) and spread > 0.0):
        raise ValueError(
            f"Expected numbers whose variance a float can hold; got values up to {np.abs(x).max():g}. Rescale them."
        )
    standard = jnp.asarray((x - center) / spread, jnp.result_type(float))
    start = {"loc": jnp.asarray(0.3), "log_scale": jnp.asarray(0.3)}
    fits = {}
    for name, (loss, measure, is_distance) in losses.items():
        steps = fit(loss, start, newton(), max_steps=100, tol=1e-6)
        found = jax.jit(lambda case, steps=steps: run(steps, case))(standard)
        value = float(measure(found.params, standard))
        loc, scale = float(found.params["loc"]), float(jnp.exp(found.params["log_scale"]))
        near = float(np.mean(np.abs((x - center) / spread - loc) <= scale / 4))
        value = value * spread if is_distance else value + float(np.log(spread))
        fits[name] = SampleFit(center + spread * loc, spread * scale, value, near, int(found.steps), int(found.status))
    return fits


def check_sample(x: np.ndarray) -> np.ndarray:
    """x, if a Gaussian can be fitted to it."""
    if bad := int(np.sum(~np.isfinite(x))):
        raise ValueError(f"Expected finite numbers; got {bad} NaN or infinite values among {x.size}. Drop those rows.")
    if x.size < 2:
        raise ValueError(f"Expected at least 2 rows; got {x.size}. A Gaussian needs two different values.")
    if np.all(x == x.flat[0]):
        raise ValueError(f"Expected at least two different values; got {x.size} times {x.flat[0]:g}: its scale is 0.")
    return x


def _loss(name):
    """(loss(params, sample), measure, whether the value has the units of the data)."""
    entry = catalog.lookup(name)
    if name == "kl":

        def negative_log_likelihood(params: dict[str, Array], x: Array) -> Array:
            return -jnp.mean(models.normal(params).log_prob(x))

        return negative_log_likelihood, negative_log_likelihood, False
    if entry.discretize not in (coupling, cdfs):
        raise ValueError(
            f"Expected a divergence that a sample suffices for: kl, wasserstein_<order>, energy, cramer; got {name!r}, "
            "which needs the density of the data. Use divjax sweep for targets with a density."
        )
    return (
        lambda params, x: entry.loss(x, models.normal(params)),
        lambda params, x: entry.measure(x, models.normal(params)),
        True,
    )
