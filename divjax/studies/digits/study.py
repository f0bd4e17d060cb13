"""Four generators of one data set, judged alike: scikit-learn's 1,797 images of handwritten digits, 8 × 8.

Each seed splits the images anew, into those that are trained on, real ones to compare with, and fresh ones that are
compared in a generator's place: what they have is what a perfect generator would have. All are judged as images of 17
grey levels.
"""

from collections.abc import Sequence
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from divjax import diagnostics
from divjax.divergences.neighbours import nearest
from divjax.studies.adversarial.play import ROUNDS
from divjax.studies.digits.models import MODELS, Images, quantised
from divjax.sweeps import product, sweep
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

FRESH = "fresh"  # real images in a generator's place
TRAIN, COMPARED = 997, 400
CLASSES, SIDE = 10, 8
ALL = (FRESH, *MODELS)
_SPLIT, _DRAWN = 1000, 1001  # far from the counts of a split, whose i-th key is that of fold_in(key, i)


class Split(NamedTuple):
    """Images [n, 64] of grey levels from 0 to 16, apart from each other."""

    train: Images
    labels: Int[Array, " n"]  # of those
    real: Images
    fresh: Images


@cache
def _bundled() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("Expected scikit-learn, which has the digits; it is not installed. pip install it.") from None
    data = load_digits()
    return data.data.astype(np.float32), data.target.astype(np.int32)


def _key(seed, use):
    return jax.random.fold_in(jax.random.key(seed), use)


def split(seed: Int[Array, ""]) -> Split:
    """997 images to train on, 400 real ones and 400 fresh ones, in an order that the seed draws."""
    images, labels = (jax.lax.optimization_barrier(jnp.asarray(part)) for part in _bundled())
    order = jax.random.permutation(_key(seed, _SPLIT), len(images))
    images, labels = images[order], labels[order]
    return Split(images[:TRAIN], labels[:TRAIN], images[TRAIN:-COMPARED], images[-COMPARED:])


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The same names; ValueError for one that is not of ``ALL``, or none."""
    if unknown := [name for name in names if name not in ALL]:
        raise ValueError(f"Expected models out of {', '.join(ALL)}; got {', '.join(map(repr, unknown))}.")
    if not names:
        raise ValueError(f"Expected models out of {', '.join(ALL)}; got none.")
    return tuple(names)


def trained(name: str, *, steps: int | None = None) -> Iteration:
    """The training of one of ``MODELS``, or of none for ``FRESH``, for cases of a ``seed``.

    Its result: ``images`` [400, 64] that it generates, ``log_likelihood`` [rounds], the mean over the real images held
    out, of their levels' log-probability, nats per image: a lower bound on it by noise below the levels, and by
    importance weights for the autoencoder; NaN for what has none. Raises ValueError for another name.
    """
    checked([name])
    if name == FRESH:
        return _untrained()
    options = {} if steps is None else {"steps": steps}
    model = MODELS[name](lambda case: split(case["seed"]).train, lambda case: split(case["seed"]).real, **options)

    def result(state, case):
        end = model.iteration.result(state, case)
        drawn = quantised(model.sample(_key(case["seed"], _DRAWN), end.average, COMPARED))
        return {"images": drawn, "log_likelihood": end.trace, "steps": end.steps, "status": end.status}

    return model.iteration._replace(result=result)


def _untrained():
    """Real images where a generator's would be: no step, the same result."""

    def result(state, case):
        nothing = jnp.full(ROUNDS, jnp.nan)
        return {"images": split(case["seed"]).fresh, "log_likelihood": nothing, "steps": state, "status": state}

    zero = jnp.zeros((), jnp.int32)
    return Iteration(lambda case: zero, lambda state, case: state, lambda state: state == 0, result, healthy=None)


def judge(end: PyTree, case: PyTree) -> dict[str, Array]:
    """What is said of the generated images of a fit, for ``derive`` of a sweep.

    ``unrealistic``: outside the region that holds 99 % of the real; ``precision``, ``recall``, ``density``,
    ``coverage``: among real images; ``copied``: memorised; ``sharpness``: ``sharpness`` of the generated over that of
    the real; ``classes`` [10]: shares by the nearest image that was trained on.
    """
    data, generated = split(case["seed"]), end["images"]
    precision, recall = diagnostics.precision_recall(data.real, generated)
    density, coverage = diagnostics.density_coverage(data.real, generated)
    label = data.labels[nearest(generated, data.train, k=1)[:, 0]]
    return {
        "unrealistic": diagnostics.unrealistic_rate_of_samples(data.real, generated),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "copied": diagnostics.memorisation_rate(data.train, generated),
        "sharpness": sharpness(generated) / sharpness(data.real),
        "classes": jnp.mean(label[:, None] == jnp.arange(CLASSES), axis=0),
    }


def sharpness(images: Images) -> Float[Array, ""]:
    """The root mean square of the discrete Laplacian, four times a pixel less its four neighbours, inside the image.

    Its variance is the usual measure of focus (Pech-Pacheco et al. 2000). Blur lowers it; noise raises it, too.
    """
    x = images.reshape(-1, SIDE, SIDE)
    inner = 4.0 * x[:, 1:-1, 1:-1] - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - x[:, 1:-1, 2:]
    return jnp.sqrt(jnp.mean(inner**2))


def run(
    num_seeds: int = 8,
    names: Sequence[str] = ALL,
    *,
    steps: int | None = None,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Every model × seed: the results of ``trained`` and of ``judge``, dimensions ``model`` and ``seed`` first.

    steps: of all, in place of each model's own. Raises ValueError for an unknown model, and without scikit-learn.
    """
    _bundled()
    return sweep(
        {name: trained(name, steps=steps) for name in checked(names)},
        product(seed=np.arange(num_seeds, dtype=np.int32)),
        store=store,
        progress=progress,
        dim="model",
        derive=judge,
        chunk_size=8,
        dims={"images": ("image", "pixel"), "log_likelihood": ("round",), "classes": ("digit",)},
        config={"steps": steps or 0},
    )
