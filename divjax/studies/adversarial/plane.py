"""Networks against networks in the plane: the ring of 8 and the grid of 25 Gaussians, on which modes are counted."""

from collections.abc import Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from divjax import diagnostics, models
from divjax.studies.adversarial.methods import PLANE, Method, lookup
from divjax.studies.adversarial.play import ended, losses_of, trained
from divjax.sweeps import product, sweep
from divjax.training import Start
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

Modes = tuple[Float[np.ndarray, "k 2"], float]  # centres, the standard deviation of all
BATCH, HIDDEN = 128, (96, 96, 96)
COUNTED, KEPT = 2000, 256  # samples after each round: of which modes are counted, of which a picture is made
DIMS = {"modes_path": ("round",), "high_quality_path": ("round",), "samples_path": ("round", "sample", "xy")}


def ring(num: int = 8, radius: float = 2.0) -> Modes:
    """The ring of Metz et al. (2017)."""
    angle = 2.0 * np.pi * np.arange(num) / num
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.02


def grid(side: int = 5, spacing: float = 2.0) -> Modes:
    """The grid of Srivastava et al. (2017)."""
    line = spacing * (np.arange(side) - 0.5 * (side - 1))
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), 0.05


TARGETS = {"ring": ring, "grid": grid}
STEPS = {"ring": 4000, "grid": 12000}  # as many as R1 needs for nine of ten samples near a mode


def plane_game(method: Method, modes: Modes, *, steps: int) -> Iteration:
    """Networks of three hidden layers of 96 on equally likely Gaussian modes, for cases of a seed.

    The result are the modes captured and the share of high quality, as VEEGAN defines them (Srivastava et al. 2017),
    after every round, samples of each, and whether and when modes were lost.
    """
    centres, scale = jnp.asarray(modes[0], jnp.result_type(float)), modes[1]

    def sample_p(key, case):
        del case
        which, noise = jax.random.split(key)
        mode = jax.random.randint(which, (BATCH,), 0, len(centres))
        return centres[mode] + scale * jax.random.normal(noise, (BATCH, 2))

    def evaluate(params, generator, key, case):
        del params
        x = _sample_q(generator, key, case, COUNTED)
        found = diagnostics.modes_captured(x, centres, scale)
        return {"modes_path": found.modes, "high_quality_path": found.high_quality, "samples_path": x[:KEPT]}

    losses = losses_of(method, _outputs, sample_p, _sample_q)
    played = trained(losses, _start, evaluate, steps=steps, critic_steps=method.critic_steps, rate=3e-3, b1=0.0)

    def result(state, case):
        end = played.result(state, case)
        mean = jnp.mean(end.trace["samples_path"], axis=1)
        captured, reach = end.trace["modes_path"], 10.0 * jnp.max(jnp.abs(centres))
        story = diagnostics.stability(mean, tolerance=scale, reach=reach, modes=captured, known=len(centres))
        last = {"modes": captured[-1], "high_quality": end.trace["high_quality_path"][-1]}
        told = {name: value for name, value in ended(end, story).items() if name != "cycled"}  # a mean has noise
        return end.trace | told | last

    return played._replace(result=result)


_network = partial(models.mlp, activation=jax.nn.leaky_relu)


def _outputs(params, x):
    return _network(params, x)[..., 0]


def _sample_q(generator, key, case, num=BATCH):
    del case
    return _network(generator, jax.random.normal(key, (num, 2)))


def _start(case):
    of_critic, of_generator, of_game = jax.random.split(jax.random.key(case["seed"]), 3)
    gain = np.sqrt(2.0)
    critic = models.init_mlp(of_critic, (2, *HIDDEN, 1), gain=gain)
    return Start(critic, models.init_mlp(of_generator, (2, *HIDDEN, 2), gain=gain), of_game)


def run_plane(
    target: str,
    num_seeds: int,
    methods: Sequence[str] = PLANE,
    *,
    steps: int | None = None,
    store: str | PathLike | None = None,
    progress: Any = False,
) -> "xarray.Dataset":
    """Every method × seed on the ring or the grid: dimensions ``game``, ``seed``, ``round``, ``sample``, ``xy``.

    steps: of the generator; 4,000 on the ring and 12,000 on the grid by default.
    """
    modes, steps = TARGETS[target](), steps or STEPS[target]
    return sweep(
        {name: plane_game(lookup(name), modes, steps=steps) for name in methods},
        product(seed=np.arange(num_seeds, dtype=np.int32)),
        store=store,
        progress=progress,
        dim="game",
        chunk_size=16,
        dims=DIMS,
        config={"steps": steps, "target": target},
    )
