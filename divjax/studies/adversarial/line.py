"""A Gaussian generator against a critic on the line: the blog post's two modes, trained adversarially."""

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from divjax import diagnostics, models, targets
from divjax.divergences import critic
from divjax.studies.adversarial.methods import LINE, NON_SATURATING, Method, lookup, measure
from divjax.studies.adversarial.play import ended, losses_of, trained
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep
from divjax.training import Players, Start
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

BATCH, WIDTH, HELD_OUT, STEPS = 256, 32, 4096, 2000
SETTLED = 0.5  # standard deviations of a mode: a path that goes to and fro over more of them cycles
PATHS, BOUNDS = ("loc_path", "scale_path", "value_path"), ("bound_path", "bound_stderr_path")


class Starts(NamedTuple):
    """Where generators start, in units of the data's deviation: a mean within ``reach``, a scale between the others."""

    reach: float = 1.0
    narrow: float = 0.5
    wide: float = 1.5


def line_game(method: Method, *, steps: int = STEPS) -> Iteration:
    """The game of a method on ½ N(0, 1) + ½ N(separation, 1), for cases of a separation and a seed."""
    losses = losses_of(method, outputs, sample_p, sample_q)
    exact = measure(method.criterion)
    dual = critic.DUALS[method.dual] if method.dual else None
    return gaussian_game(losses, lambda p, q, _: exact(p, q), steps=steps, critic_steps=method.critic_steps, dual=dual)


def gaussian_game(
    losses: Players,
    criterion: Callable[[Any, Any, PyTree], Array],
    *,
    steps: int = STEPS,
    critic_steps: int = 1,
    dual: critic.Dual | None = None,
    starts: Starts | None = None,
) -> Iteration:
    """Any losses on ``outputs``, ``sample_p`` and ``sample_q`` of this module; criterion: its exact value, of
    p, q and the case.

    The generator is in units of the data's standard deviation, about the middle of the modes, and so is the critic's
    input. The result are its path, the exact criterion along it, the critic's bound on fresh samples where there is a
    dual, and ``diagnostics.stability``.
    """

    def evaluate(params, generator, key, case):
        q = _normal(generator, case)
        value = criterion(targets.two_modes(case["separation"]), q, case)
        row = {"loc_path": q.loc, "scale_path": q.scale, "value_path": value}
        return row if dual is None else row | _bound(dual, params, generator, key, case)

    played = trained(
        losses, partial(_start, starts or Starts()), evaluate, steps=steps, critic_steps=critic_steps, rate=5e-3, b1=0.5
    )

    def result(state, case):
        end = played.result(state, case)
        q, trace = _normal(end.average, case), end.trace
        path = jnp.stack([trace["loc_path"], trace["scale_path"]], axis=1)
        story = diagnostics.stability(path, tolerance=SETTLED, reach=10.0 * (1.0 + jnp.abs(case["separation"])))
        told = {name: value for name, value in ended(end, story).items() if not name.startswith("collapsed")}
        return trace | told | {"loc": q.loc, "scale": q.scale, "value": trace["value_path"][-1]}

    return played._replace(result=result)


def _unit(case):
    return targets.two_modes(case["separation"]).stddev(), 0.5 * case["separation"]


def _normal(generator, case):
    spread, middle = _unit(case)
    return models.normal(
        {"loc": middle + spread * generator["loc"], "log_scale": jnp.log(spread) + generator["log_scale"]}
    )


def outputs(params, x):
    return models.mlp(params, x)[..., 0]


def sample_p(key, case, num=BATCH):
    which, noise = jax.random.split(key)
    spread, middle = _unit(case)
    mode = case["separation"] * jax.random.bernoulli(which, 0.5, (num,))
    return ((mode + jax.random.normal(noise, (num,)) - middle) / spread)[:, None]


def sample_q(generator, key, case, num=BATCH):
    del case
    return (generator["loc"] + jnp.exp(generator["log_scale"]) * jax.random.normal(key, (num,)))[:, None]


def _start(starts, case):
    of_critic, of_start, of_game = jax.random.split(jax.random.key(case["seed"]), 3)
    generator = models.random_normal(
        of_start, low=-starts.reach, high=starts.reach, narrow=starts.narrow, wide=starts.wide
    )
    return Start(models.init_mlp(of_critic, (1, WIDTH, WIDTH, 1)), generator, of_game)


def _bound(dual, params, generator, key, case):
    of_p, of_q = jax.random.split(key)
    v_p = outputs(params, sample_p(of_p, case, HELD_OUT))
    v_q = outputs(params, sample_q(generator, of_q, case, HELD_OUT))
    bound = critic.held_out(v_p, v_q, dual=dual)
    return {"bound_path": bound.value, "bound_stderr_path": bound.stderr}


def run_line(
    separations: Sequence[float],
    num_seeds: int,
    methods: Sequence[str] = LINE,
    *,
    steps: int | None = None,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Every method × separation × seed on the two modes: a Dataset with these dimensions (``game``) and ``round``."""
    steps = steps or STEPS
    paths = PATHS + BOUNDS * any(lookup(name).dual for name in methods)
    return sweep(
        {name: line_game(lookup(name), steps=steps) for name in methods},
        product(separation=np.asarray(separations, np.float32), seed=np.arange(num_seeds, dtype=np.int32)),
        store=store,
        progress=progress,
        dim="game",
        chunk_size=64,
        dims={"mode_mass": ("mode",)} | dict.fromkeys(paths, ("round",)),
        config={"steps": steps},
        derive=two_modes.diagnose((0.5, 0.5), (1.0, 1.0)),
    )


def minimisers(
    separations: Sequence[float], methods: Sequence[str], *, store: str | PathLike | None = None
) -> dict[str, list[list[tuple[float, float]]]]:
    """What a perfect critic would lead to: for each criterion and separation the optima (loc, scale), best first."""
    criteria = list(dict.fromkeys(lookup(name).criterion for name in methods))
    of_difference = two_modes.gaussian_fit(lambda p, q, _: measure(NON_SATURATING)(p, q))
    own = {NON_SATURATING: of_difference} if NON_SATURATING in criteria else {}
    named = [name for name in criteria if name not in own]
    fits = two_modes.run_sweep(separations, 16, named, further=own, store=store).load()
    return {
        name: [
            [(best.loc, best.scale) for best in two_modes.optima(fits.isel(separation=i).sel(divergence=name))]
            for i in range(len(separations))
        ]
        for name in criteria
    }
