"""Transport between samples, side by side with numpy's sort, scipy, POT and ott-jax.

Run ``python benchmarks/samples_transport.py``. Prints target and measurement side by side and exits with 1 where a
target is missed; ``--out FOLDER`` keeps the results there. Each round times everything once, in turn, so that a busy
machine slows all alike; a ratio is the median over rounds of the ratio in the round, and what is set against it the
ratio of the smallest times. POT, torch and ott are timed where they are installed, each with its own value checked
against ours.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

import divjax as dj

SORTS = 2.5  # at most so many times numpy's two sorts
PEERS_LINE = 2.0  # at least so many times faster than a peer, on the line
PEERS_SLICED = 6.0  # and sliced
VALUE = 1e-5


@jax.jit
def wasserstein(x, y):
    return dj.wasserstein(dj.coupling(x, y))


@jax.jit
def energy(x, y):
    return dj.energy(dj.cdfs(x, y))


def ready(function, *arguments):
    return lambda: jax.block_until_ready(function(*arguments))


def line(num: int) -> dict:
    """Name to a function of nothing that does it once."""
    rng = np.random.default_rng(0)
    x, y = (z.astype(np.float32) for z in (rng.normal(size=num), 1.1 * rng.normal(size=num) + 0.2))
    device_x, device_y = jnp.asarray(x), jnp.asarray(y)
    run = {
        "two sorts by numpy": lambda: (np.sort(x), np.sort(y)),
        "wasserstein": ready(wasserstein, device_x, device_y),
        "energy": ready(energy, device_x, device_y),
        "wasserstein, unequal sizes": ready(wasserstein, device_x, device_y[: num // 2 + 1]),
        "wasserstein with gradient": ready(jax.jit(jax.value_and_grad(wasserstein, (0, 1))), device_x, device_y),
        "energy with gradient": ready(jax.jit(jax.value_and_grad(energy, (0, 1))), device_x, device_y),
        "wasserstein by scipy": lambda: scipy.stats.wasserstein_distance(x, y),
        "energy by scipy": lambda: scipy.stats.energy_distance(x, y) ** 2,
    }
    if ot := imported("ot"):
        run["wasserstein by POT"] = lambda: ot.wasserstein_1d(x, y)
        run["wasserstein by POT, emd2_1d"] = lambda: ot.emd2_1d(x, y, metric="euclidean")
    return run


def sliced(num: int, dim: int, directions: int) -> dict:
    """Sliced 2-Wasserstein cost with its gradient in x; every peer draws its own directions."""
    key = jax.random.key(0)
    one, two = jax.random.split(key)
    x, y = jax.random.normal(one, (num, dim)), 1.1 * jax.random.normal(two, (num, dim)) + 0.1
    ours = jax.jit(jax.value_and_grad(lambda x, y: dj.samples.sliced_cost(key, x, y, num_directions=directions)))
    run = {"sliced": ready(ours, x, y)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if tools := imported("ott.tools.sliced"):
            theirs = jax.jit(jax.value_and_grad(lambda x, y: tools.sliced_wasserstein(x, y, n_proj=directions)[0]))
            run["sliced by ott"] = ready(theirs, x, y)
    ot, torch = imported("ot"), imported("torch")
    if ot and torch:
        run["sliced by POT on torch"] = pot_sliced(ot, torch, x, y, directions)
    return run


def pot_sliced(ot, torch, x, y, directions):
    torch.set_num_threads(os.cpu_count() or 1)
    x, y = (torch.tensor(np.asarray(z), device=common.torch_device(torch)) for z in (x, y))
    x.requires_grad_()

    def step():
        x.grad = None
        value = ot.sliced_wasserstein_distance(x, y, n_projections=directions, seed=0) ** 2
        value.backward()
        return value.detach().cpu().numpy(), x.grad.cpu().numpy()

    return step


def imported(name):
    try:
        __import__(name)
    except ImportError:
        print(f"{name} is not installed: not timed")
        return None
    return sys.modules[name]


def print_times(title, seconds):
    print(title)
    for name, times in seconds.items():
        print(f"  {name:28s} smallest {times.min() * 1e3:9.2f} ms   median {np.median(times) * 1e3:9.2f} ms")


def judge_line(seconds, values) -> list[common.Row]:
    rows = []
    for name in ("wasserstein", "energy"):
        sorts = common.ratio(seconds, name, "two sorts by numpy")
        rows.append(common.Row(f"{name}: times numpy's two sorts", SORTS, sorts))
        for peer in (peer for peer in seconds if peer.startswith(f"{name} by")):
            ratio = common.ratio(seconds, peer, name)
            rows.append(common.Row(f"{name}: faster than {peer[len(name) + 4 :]}", PEERS_LINE, ratio, at_least=True))
        error = abs(float(values[name]) / float(values[f"{name} by scipy"]) - 1.0)
        rows.append(common.Row(f"{name}: relative error in float32", VALUE, error))
    return rows


def judge_sliced(seconds) -> list[common.Row]:
    return [
        common.Row(
            f"sliced: faster than {peer[10:]}", PEERS_SLICED, common.ratio(seconds, peer, "sliced"), at_least=True
        )
        for peer in seconds
        if peer != "sliced"
    ]


def report(args: argparse.Namespace) -> bool:
    run = line(args.num)
    values = {name: step() for name, step in run.items()}
    seconds = common.clock(run, args.rounds)
    print_times(f"On the line, n = {args.num}, {args.rounds} rounds", seconds)
    rows = judge_line(seconds, values)
    shape = [args.sliced_num, args.dim, args.directions]
    run = sliced(*shape)
    values = {name: round(float(step()[0]), 5) for name, step in run.items()}
    more = common.clock(run, args.sliced_rounds)
    print_times(f"Sliced with gradient, [n, d, directions] = {shape}, {args.sliced_rounds} rounds", more)
    print("  values, each of its own directions:", values)
    rows += judge_sliced(more)
    content = {
        "line": args.num,
        "sliced": shape,
        "rounds": [args.rounds, args.sliced_rounds],
        "smallest_seconds": {name: float(times.min()) for name, times in (seconds | more).items()},
        "median_seconds": {name: float(np.median(times)) for name, times in (seconds | more).items()},
    }
    common.save("samples-transport", rows, content, args.out)
    return common.show(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=10**6)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sliced-num", type=int, default=10**5)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--directions", type=int, default=128)
    parser.add_argument("--sliced-rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None)
    return 0 if report(parser.parse_args()) else 1


if __name__ == "__main__":
    sys.exit(main())
