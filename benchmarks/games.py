"""Many GANs in one program, beside a loop over single ones.

    python benchmarks/games.py [--games N] [--steps N] [--rounds N] [--out FOLDER]

A GAN is a generator and a critic of two hidden layers of 64, batches of 256 from the ring of eight Gaussians, Adam for
both, non-saturating loss, one critic step for each generator step. Rates are training steps a second over all games: of
one program over all of them (the sweep engine's), of a Python loop over the jitted step of single ones, and of the same
loop in torch where it is installed. Prints target and measurement side by side;
--out keeps them; exit code 1 where a target is missed. A ratio is the median over rounds of the
ratio in the round.
"""

import argparse
import sys
import time
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sweep import engine_run

import divjax as dj
from divjax.studies.adversarial import plane as adversarial_plane

CENTRES, SCALE = adversarial_plane.ring()
BATCH, HIDDEN, NOISE, RATE = 256, (64, 64), 2, 1e-3
OVER_LOOP, OVER_TORCH, ON_GPU = 2.0, 5.0, 20.0


def iteration(rounds: int, steps: int) -> dj.training.Iteration:
    def sample_p(key, case):
        which, noise = jax.random.split(key)
        mode = jax.random.randint(which, (BATCH,), 0, len(CENTRES))
        return jnp.asarray(CENTRES, jnp.float32)[mode] + SCALE * jax.random.normal(noise, (BATCH, 2))

    def sample_q(generator, key, case):
        return dj.models.mlp(generator, jax.random.normal(key, (BATCH, NOISE)), activation=jax.nn.relu)

    def start(case):
        keys = jax.random.split(jax.random.key(case["seed"]), 3)
        critic, generator = (
            dj.models.init_mlp(key, (2, *HIDDEN, out)) for key, out in zip(keys[:2], (1, 2), strict=True)
        )
        return dj.training.Start(critic, generator, keys[2])

    losses = dj.training.adversarial_losses(
        dj.critic.non_saturating,
        lambda params, x: dj.models.mlp(params, x, activation=jax.nn.relu)[..., 0],
        sample_p,
        sample_q,
    )
    return dj.game(*losses, start, optax.adam(RATE), optax.adam(RATE), num_rounds=rounds, num_steps=steps)


def together(games: int, steps: int):
    """All games from their start through ``steps``, in the sweep engine's program, without compiling."""
    _, fill = engine_run({"game": iteration(1, steps)}, dj.sweeps.product(seed=np.arange(games, dtype=np.int32)))
    return fill


def one_by_one(games: int, steps: int):
    """The same step, jitted for a single game, called from Python."""
    played = iteration(steps, 1)
    step = jax.jit(played.step)
    cases = [{"seed": jnp.int32(i)} for i in range(games)]
    states = [played.init(case) for case in cases]

    def loop():
        for state, case in zip(states, cases, strict=True):
            for _ in range(steps):
                state = step(state, case)
            jax.block_until_ready(state)

    return loop


def in_torch(games: int, steps: int):
    """The same game in torch, eager, one after the other; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    from torch.nn.functional import softplus

    device = common.torch_device(torch)
    centres = torch.tensor(CENTRES, dtype=torch.float32, device=device)

    def network(out):
        layers = [
            torch.nn.Linear(2, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, out),
        ]
        return torch.nn.Sequential(*layers).to(device)

    players = [(network(1), network(2)) for _ in range(games)]
    made = [(c, g, torch.optim.Adam(c.parameters(), RATE), torch.optim.Adam(g.parameters(), RATE)) for c, g in players]

    def loop():
        for critic, generator, of_critic, of_generator in made:
            for _ in range(steps):
                mode = torch.randint(len(centres), (BATCH,), device=device)
                real = centres[mode] + SCALE * torch.randn(BATCH, 2, device=device)
                with torch.no_grad():
                    fake = generator(torch.randn(BATCH, NOISE, device=device))
                of_critic.zero_grad()
                (softplus(-critic(real)).mean() + softplus(critic(fake)).mean()).backward()
                of_critic.step()
                of_generator.zero_grad()
                softplus(-critic(generator(torch.randn(BATCH, NOISE, device=device)))).mean().backward()
                of_generator.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return loop


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    few = 16  # of single games: their rate does not depend on how many there are
    run = {"vmapped": together(args.games, args.steps), "loop": one_by_one(few, args.steps)}
    if (loop := in_torch(few, args.steps)) is not None:
        run["torch"] = loop
    start = time.perf_counter()
    seconds = common.clock(run, args.rounds)
    num = {"vmapped": args.games, "loop": few, "torch": few}
    rates = {name: num[name] * args.steps / values for name, values in seconds.items()}
    for name, values in rates.items():
        print(f"  {name:8s} {np.median(values):8.0f} training steps a second (median of {args.rounds})")
    over = {name: float(np.median(rates["vmapped"] / rates[name])) for name in rates}
    loop_target = OVER_LOOP if jax.default_backend() == "cpu" else ON_GPU
    rows = [common.Row("vmapped games: times the loop over single ones", loop_target, over["loop"], at_least=True)]
    if "torch" in over:
        rows.append(common.Row("vmapped games: times torch's loop", OVER_TORCH, over["torch"], at_least=True))
    met = common.show(rows)
    record = {"rates": {name: float(np.median(values)) for name, values in rates.items()}, "games": args.games}
    common.save("games", rows, {"measurements": record, "dtype": "float32"}, args.out)
    print(f"{time.perf_counter() - start:.0f} s")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
