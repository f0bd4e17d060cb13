"""Huszár's generalised Jensen-Shannon divergence across its weight, from mode covering to mode seeking (2015).

JS_w(p, q) = w KL(p‖m) + (1 − w) KL(q‖m), m = w p + (1 − w) q. Divided by w (1 − w) it tends to KL(p‖q) as w → 0 and to
KL(q‖p) as w → 1. The best Gaussian on two modes, by quadrature and Newton, and by an adversarial game on samples.
"""

from collections.abc import Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array

from divjax.discretize import quadrature
from divjax.divergences import critic, jensen_shannon, measured_on
from divjax.measures import Nodes
from divjax.studies.adversarial.line import PATHS, Starts, gaussian_game, outputs, sample_p, sample_q
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep
from divjax.training import Players, adversarial_losses
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

WEIGHTS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
# Six deviations apart the best Gaussian covers at small weights and seeks at large ones.
SEPARATION, STEPS, EXACT_SEEDS = 6.0, 2000, 16
BETWEEN = 57  # weights of the exact fits, evenly spread in their logit


@measured_on(Nodes)
def normalised(nodes: Nodes, *, weight: Array | float) -> Array:
    """JS_w / (w (1 − w)), for 0 < w < 1: KL(p‖q) in the limit of 0, KL(q‖p) in that of 1."""
    return jensen_shannon(nodes, weight=weight) / (weight * (1.0 - weight))


def _measure(p, q, case):
    return normalised(quadrature(p, q, crossings=0), weight=case["weight"])


def exact_fit() -> Iteration:
    """The best Gaussian, by Newton's method on quadrature, for cases of a separation, a weight and a seed."""
    return two_modes.gaussian_fit(_measure)


def weighted_game(*, steps: int = STEPS) -> Iteration:
    """A Gaussian generator against a critic of the log-ratio, whose bound on JS_w is ``critic.tangent``."""

    def losses(case):
        objective = critic.ratio_gan(partial(normalised, weight=case["weight"]))
        return adversarial_losses(objective, outputs, sample_p, sample_q)

    of_case = Players(
        lambda params, generator, key, case: losses(case).critic(params, generator, key, case),
        lambda params, generator, key, case: losses(case).generator(params, generator, key, case),
    )
    # They start as the exact fits do: anywhere on the data, some narrow enough to see one mode.
    return gaussian_game(of_case, _measure, steps=steps, critic_steps=3, starts=Starts(1.6, 0.2, 1.5))


def checked(weights: Sequence[float]) -> np.ndarray:
    """Ascending, each once. Raises ValueError for a weight nearer to 0 or 1 than a thousandth."""
    if not len(weights):
        raise ValueError("Expected at least one weight; got none.")
    for weight in weights:
        if not 1e-3 <= weight <= 1.0 - 1e-3:
            raise ValueError(f"Expected weights in [0.001, 0.999]; got {weight:g}. Beyond lie kl and reverse_kl.")
    return np.unique(np.asarray(weights, np.float32))


def run(
    weights: Sequence[float] = WEIGHTS,
    num_seeds: int = 8,
    *,
    separation: float = SEPARATION,
    steps: int = STEPS,
    stores: tuple[str | PathLike, str | PathLike] | None = None,
    progress: Any = False,
) -> tuple["xarray.Dataset", "xarray.Dataset"]:
    """The exact fits and the games, each a Dataset with dimensions ``weight`` and ``seed``, and one separation.

    The exact fits are at the games' weights and at further ones between them.

    stores: where they are kept, the exact fits first. Raises ValueError for a weight that is not between 0 and 1.
    """
    at = checked(weights)

    def swept(name, iteration, at, seeds, store, **options):
        cases = product(
            separation=np.array([separation], np.float32),
            weight=at,
            seed=np.arange(seeds, dtype=np.int32),
        )
        derive = two_modes.diagnose((0.5, 0.5), (1.0, 1.0))
        fits = sweep({name: iteration}, cases, store=store, progress=progress, derive=derive, **options)
        return fits.load().isel(divergence=0, separation=0)

    of_exact, of_game = stores or (None, None)
    dims = dict.fromkeys(PATHS, ("round",)) | {"mode_mass": ("mode",)}
    ends = np.log(at[[0, -1]] / (1.0 - at[[0, -1]]))
    dense = 1.0 / (1.0 + np.exp(-np.linspace(*ends, BETWEEN)))
    dense = np.union1d(dense[1:-1].astype(np.float32), at)
    exact = swept("exact", exact_fit(), dense, EXACT_SEEDS, of_exact, dims={"mode_mass": ("mode",)})
    config = {"steps": steps}
    return exact, swept(
        "game", weighted_game(steps=steps), at, num_seeds, of_game, dims=dims, config=config, chunk_size=48
    )
