"""What a richer model is worth: mixtures of Gaussians fitted to two modes, by EM on a sample and by gradients of KL.

One Gaussian is under-specified: which mode it finds, or neither, is the divergence's choice. Two components can be the
target, and every divergence has the same optimum; but the way there may end elsewhere. Counted here: how often each
optimiser gets there from a random start.
"""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from divjax import models, targets
from divjax.discretize import quadrature
from divjax.divergences import kl
from divjax.sweeps import product, sweep
from divjax.training import em, fit, newton
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

SEPARATIONS, COMPONENTS, SAMPLE = (3.0, 4.0, 6.0, 8.0, 16.0), (1, 2, 3), 2000
FLOOR = 1e-3  # of EM, on variances of 1
DESCENTS = {"adam": (optax.adam(0.05), 2000), "lbfgs": (optax.lbfgs(), 300), "newton": (newton(), 100)}
OPTIMIZERS = ("em", *DESCENTS)
# Kinds of an end, in this order: the first that applies.
LABELS = ("recovered", "merged", "one_mode", "other")
RECOVERED, MERGED, ONE_MODE, OTHER = range(4)
EXACT = 1e-3  # KL below which a fit to the target itself counts as recovered


def start(case: PyTree, *, num: int) -> dict[str, Array]:
    """Equal weights; means uniform from two below the lower mode to two above the upper one; scales between half a
    mode's and one and a half times the whole target's, their logarithms uniform. The same for every optimiser."""
    separation = case["separation"]
    wide = 1.5 * jnp.sqrt(1.0 + 0.25 * separation**2)
    keys = jax.random.split(jax.random.key(case["seed"]), num)
    each = jax.vmap(lambda key: models.random_normal(key, low=-2.0, high=separation + 2.0, narrow=0.5, wide=wide))(keys)
    return {"logits": jnp.zeros_like(each["loc"]), "locs": each["loc"], "log_scales": each["log_scale"]}


def sample(case: PyTree) -> Array:
    """The points that EM sees, of a key of their own."""
    key = jax.random.fold_in(jax.random.key(case["seed"]), SAMPLE)
    return targets.two_modes(case["separation"]).sample(seed=key, sample_shape=(SAMPLE,))


def to_target(params: dict[str, Array], case: PyTree) -> Array:
    """KL from the target to a mixture, by quadrature."""
    return kl(quadrature(targets.two_modes(case["separation"]), models.mixture(params), crossings=0))


def limit(num: int, optimizer: str) -> float:
    """The largest KL that counts as recovered: 1e-3, and for EM what its sample leaves open.

    2 n KL of the maximum likelihood is then χ² with as many degrees of freedom as parameters, m = 3 num − 1 (Wilks
    1938, for num = 2, where the target is one mixture only): its quantile at four standard deviations of a Gaussian,
    by m (1 − 2/(9 m) + 4 √(2/(9 m)))³ (Wilson, Hilferty 1931).
    """
    parameters = 3 * num - 1
    ninth = 2.0 / (9.0 * parameters)
    quantile = parameters * (1.0 - ninth + 4.0 * ninth**0.5) ** 3
    return max(EXACT, quantile / (2.0 * SAMPLE)) if optimizer == "em" else EXACT


def label(value: Array, params: dict[str, Array], case: PyTree, *, below: float) -> Array:
    """What kind of an end this is, an index into ``LABELS``.

    * recovered: the KL to the target is below the limit;
    * merged: a component of weight above 0.01 is wide, its scale nearer, by ratio, to that of the whole target than to
      that of a mode: it covers both, and the others, if any, share what is left. A single Gaussian ends here, and so
      does a fit at the saddle where the components are one, or where all but one have lost their weight: the gradient
      is 0 there, and the status OK;
    * one_mode: no component is wide, and all of weight above 0.01 are nearest to the same mode;
    * other: none of these, such as an optimum not reached yet.
    """
    separation = case["separation"]
    counts = jax.nn.softmax(params["logits"]) > 0.01
    wide = params["log_scales"] > 0.25 * jnp.log1p(0.25 * separation**2)
    upper = params["locs"] > 0.5 * separation
    same = jnp.all(upper | ~counts) | jnp.all(~upper | ~counts)
    kinds = [value < below, jnp.any(wide & counts), same]
    return jnp.select(kinds, [RECOVERED, MERGED, ONE_MODE], OTHER).astype(jnp.int32)


def iteration(optimizer: str, num: int) -> Iteration:
    """The fit of ``num`` components by one of ``OPTIMIZERS``, for cases with a ``separation`` and a ``seed``.

    Its result is the KL to the target, steps, status, the label, and the components by ascending mean, [3] each, NaN
    where there are fewer. Raises ValueError for another name, and for a num that is not 1, 2 or 3.
    """
    if optimizer not in OPTIMIZERS or num not in COMPONENTS:
        raise ValueError(f"Expected one of {OPTIMIZERS} and of {COMPONENTS} components; got {optimizer!r}, {num}.")

    def init(case):
        return start(case, num=num)

    if optimizer == "em":
        steps = em(init, floor=FLOOR, data=sample, max_steps=2000, tol=1e-6)
    else:
        descent, max_steps = DESCENTS[optimizer]
        steps = fit(to_target, init, descent, max_steps=max_steps, tol=1e-6)

    def result(state, case):
        ended = steps.result(state, case)
        params = ended.params
        value = to_target(params, case) if optimizer == "em" else ended.value
        order = jnp.argsort(params["locs"])
        columns = {
            "weights": jax.nn.softmax(params["logits"]),
            "locs": params["locs"],
            "scales": jnp.exp(params["log_scales"]),
        }
        return {
            "value": value,
            "steps": ended.steps,
            "status": ended.status,
            "label": label(value, params, case, below=limit(num, optimizer)),
        } | {name: _padded(column[order]) for name, column in columns.items()}

    return steps._replace(result=result)


def _padded(column):
    return jnp.pad(column, (0, max(COMPONENTS) - column.size), constant_values=jnp.nan)


def run_sweep(
    separations: Sequence[float] = SEPARATIONS,
    num_seeds: int = 64,
    *,
    components: Sequence[int] = COMPONENTS,
    optimizers: Sequence[str] = OPTIMIZERS,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Every optimiser × number of components × separation × seed, as a Dataset with these dimensions.

    The dimensions are ``optimizer``, ``components``, ``separation`` and ``seed``, and ``component`` for the last three
    variables of ``iteration``. Raises ValueError as that does.
    """
    pairs = [(optimizer, num) for optimizer in optimizers for num in components]
    table = sweep(
        {f"{optimizer}_{num}": iteration(optimizer, num) for optimizer, num in pairs},
        product(separation=np.asarray(separations, np.float32), seed=np.arange(num_seeds, dtype=np.int32)),
        store=store,
        progress=progress,
        dims=dict.fromkeys(("weights", "locs", "scales"), ("component",)),
        dim="fit",
        config={"sample": SAMPLE, "floor": FLOOR, "exact": EXACT},
    ).load()
    return by_fit(table)


def by_fit(table: "xarray.Dataset") -> "xarray.Dataset":
    """A stored sweep, whose fits are named ``em_2`` and so on, with ``optimizer`` and ``components`` as dimensions."""
    if "fit" not in table.dims:
        return table
    pairs = [(name.rpartition("_")[0], int(name.rpartition("_")[2])) for name in table["fit"].values.tolist()]
    optimizers, components = (list(dict.fromkeys(each)) for each in zip(*pairs, strict=True))
    index = {"optimizer": ("fit", [pair[0] for pair in pairs]), "components": ("fit", [pair[1] for pair in pairs])}
    unstacked = table.drop_vars("fit").assign_coords(index).set_index(fit=["optimizer", "components"]).unstack("fit")
    rows = unstacked.reindex(optimizer=optimizers, components=components)
    return rows.transpose("optimizer", "components", "separation", "seed", ...)


def shares(table: "xarray.Dataset") -> "xarray.DataArray":
    """The share of seeds that ended with each label, which sums to one along a new dimension ``label``."""
    import xarray

    kinds = [(table["label"] == index).mean("seed") for index in range(len(LABELS))]
    return xarray.concat(kinds, dim=xarray.DataArray(list(LABELS), dims="label", name="label"))
