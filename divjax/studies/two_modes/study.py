"""The blog post at scale: a Gaussian fitted to two modes under every divergence, over separations and seeds."""

import functools
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from divjax import catalog, diagnostics, models, targets
from divjax.discretize import quadrature
from divjax.status import OK
from divjax.sweeps import product, sweep
from divjax.training import fit, newton
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

DIVERGENCES = (
    "kl",
    "reverse_kl",
    "jeffreys",
    "jensen_shannon",
    "squared_hellinger",
    "pearson_chi2",
    "triangular",
    "wasserstein_2",
    "energy",
)
# Measured on the same nodes, without a parameter.
SHARING = ("kl", "reverse_kl", "jeffreys", "jensen_shannon", "squared_hellinger", "pearson_chi2", "triangular")
MAX_STEPS = 100
# Gradient of a smooth divergence in (loc, log scale): curvatures go down to 1.6e-3 where jensen_shannon is fitted to
# modes 16 apart, and 1e-3 in the parameters is asked for. Below it float32 has its rounding, and Newton stalls there.
TOLERANCE = 3e-7


def iteration(name: str, *, weights: Sequence[float] = (0.5, 0.5), scales: Sequence[float] = (1.0, 1.0)) -> Iteration:
    """The fit of a Gaussian under one divergence of the catalogue, for cases with a ``separation`` and a ``seed``."""
    weights, scales = tuple(map(float, weights)), tuple(map(float, scales))
    if name in SHARING:
        return _shared_fit(weights, scales)._replace(constants={"divergence": np.int32(SHARING.index(name))})
    return _fit(name, weights, scales)


@functools.lru_cache(maxsize=32)
def _fit(name, weights, scales):
    entry = catalog.lookup(name)
    measure = lambda p, q, _, loss: entry.of_loss(p, q, loss)  # noqa: E731
    return gaussian_fit(lambda p, q, _: entry.loss(p, q), measure, weights=weights, scales=scales)


@functools.lru_cache(maxsize=32)
def _shared_fit(weights, scales):
    """The fit under any of SHARING, by the number ``divergence``: nodes and densities, of which most of a program is
    made, are compiled once for all. Also where one alone is asked for, so that a result owes nothing to its company."""
    entries = [catalog.lookup(name) for name in SHARING]
    losses = [entry.objective or entry.function for entry in entries]

    def loss(p, q, case):
        return jax.lax.switch(case["divergence"], losses, quadrature(p, q))

    def measure(p, q, case, loss):
        return jax.lax.switch(case["divergence"], [functools.partial(entry.of_loss, p, q, loss) for entry in entries])

    return gaussian_fit(loss, measure, weights=weights, scales=scales)


def gaussian_fit(
    loss: Callable[[Any, Any, PyTree], Array],
    measure: Callable[[Any, Any, PyTree, Array], Array] | None = None,
    *,
    model: Callable[[PyTree, PyTree], Any] = lambda params, _: models.normal(params),
    start: Callable[[PyTree, PyTree], PyTree] = lambda params, _: params,
    weights: Sequence[float] = (0.5, 0.5),
    scales: Sequence[float] = (1.0, 1.0),
) -> Iteration:
    """The fit of a Gaussian q to two modes p by ``loss(p, q, case)``, a case having a separation, a seed, and what the
    loss wants to know besides. model: q of the parameters ``loc`` and ``log_scale`` and the case; start: what to
    begin with in place of a random start, of that and the case.

    It starts at a random place of the target's range and at a scale between half the narrower mode's and one and a
    half times the whole target's. Its result are the variables of the sweep; ``measure(p, q, case, loss)``: the value
    to tell, if it is not the loss.
    """
    weights, scales = np.asarray(weights, float), np.asarray(scales, float)

    def target(case):
        return targets.two_modes(case["separation"], weights=weights, scales=scales)

    def init(case):
        p, reach = target(case), 2.0 * scales.max()
        low, high = jnp.minimum(case["separation"], 0.0) - reach, jnp.maximum(case["separation"], 0.0) + reach
        key = jax.random.key(case["seed"])
        drawn = models.random_normal(key, low=low, high=high, narrow=0.5 * scales.min(), wide=1.5 * p.stddev())
        return start(drawn, case)

    def objective(params, case):
        return loss(target(case), model(params, case), case)

    steps = fit(objective, init, newton(), max_steps=MAX_STEPS, tol=TOLERANCE)

    def result(state, case):
        fitted = steps.result(state, case)
        q = model(fitted.params, case)
        return {
            "loc": q.loc,
            "scale": q.scale,
            # Measured anew only where something else was minimised: one program less to compile.
            "value": fitted.value if measure is None else measure(target(case), q, case, fitted.value),
            "grad_norm": fitted.grad_norm,
            "steps": fitted.steps,
            "status": fitted.status,
        }

    return steps._replace(result=result)


@functools.lru_cache(maxsize=32)
def diagnose(weights: tuple[float, ...], scales: tuple[float, ...]) -> Callable[[PyTree, PyTree], dict[str, Array]]:
    """What the fitted Gaussian does to its samples: the same program for every divergence."""

    def diagnose(result, case):
        p = targets.two_modes(case["separation"], weights=np.asarray(weights), scales=np.asarray(scales))
        q = distrax.Normal(result["loc"], result["scale"])
        modes = jnp.stack([jnp.zeros_like(case["separation"]), case["separation"]])
        rate = diagnostics.unrealistic_rate(p, q)
        return {
            "unrealistic_rate": rate,
            "mode_mass": diagnostics.mode_mass(q, modes),
            "basin": diagnostics.basin(p, q, modes, rate=rate),
        }

    return diagnose


def run_sweep(
    separations: Sequence[float],
    num_seeds: int,
    divergences: Sequence[str] = DIVERGENCES,
    *,
    weights: Sequence[float] = (0.5, 0.5),
    scales: Sequence[float] = (1.0, 1.0),
    further: Mapping[str, Iteration] | None = None,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Every divergence × separation × seed, as a Dataset with these dimensions, and ``mode`` for mode_mass.

    further: fits by criteria of one's own, made by ``gaussian_fit``.
    """
    iterations = {name: iteration(name, weights=weights, scales=scales) for name in divergences} | dict(further or {})
    cases = product(separation=np.asarray(separations, np.float32), seed=np.arange(num_seeds, dtype=np.int32))
    config = {"weights": list(map(float, weights)), "scales": list(map(float, scales)), "tolerance": TOLERANCE}
    return sweep(
        iterations,
        cases,
        store=store,
        progress=progress,
        dims={"mode_mass": ("mode",)},
        config=config,
        derive=diagnose(tuple(map(float, weights)), tuple(map(float, scales))),
    )


class Optimum(NamedTuple):
    """One of the distinct optima that a divergence's seeds ended in."""

    loc: float
    scale: float
    value: float
    share: float  # of all seeds
    unrealistic_rate: float
    mode_mass: tuple[float, ...]
    basin: int


def optima(fits: "xarray.Dataset", *, tolerance: float = 0.02) -> list[Optimum]:
    """The distinct optima of fits along ``seed``, best first. Fits that did not converge are left out.

    Two fits are one optimum if loc and scale agree to ``tolerance`` times the larger scale.
    """
    table = {name: np.asarray(fits[name].values) for name in fits.data_vars}
    ok = (table["status"] == OK) & np.isfinite(table["value"])
    left, found = ok, []
    while left.any():
        best = np.flatnonzero(left)[np.argmin(table["value"][left])]
        radius = tolerance * table["scale"][best]
        near = left.copy()
        for name in ("loc", "scale"):
            near &= np.abs(table[name] - table[name][best]) < radius
        near[best] = True
        left = left & ~near
        middle = {name: np.median(column[near], axis=0) for name, column in table.items()}
        found.append(
            Optimum(
                *(float(middle[name]) for name in ("loc", "scale", "value")),
                np.count_nonzero(near) / ok.size,
                float(middle["unrealistic_rate"]),
                tuple(map(float, middle["mode_mass"])),
                int(table["basin"][best]),
            )
        )
    return found
