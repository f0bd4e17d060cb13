"""Kernel discrepancies of samples: value and gradient against the plain formula, geomloss, and a bound on memory.

Run ``python benchmarks/samples_kernel.py``. Prints target and measurement side by side and exits with 1 where a target
is missed; ``--out FOLDER`` keeps the results there. A round times both sides of a ratio, in turn, so that a busy
machine slows both; a ratio is the median over rounds of the ratio in the round. geomloss (on torch) is timed where it
is installed. Memory is the peak of a fresh process above its inputs.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np

import divjax as dj

BANDWIDTH = 4.0
PLAIN_TARGET = 4.0
GEOMLOSS_TARGET = 10.0
MEMORY_TARGET = 2**30
FEW = 3  # rounds of what no narrow target hangs on


def plain_mmd2(x, y):
    def mean(a, b):
        squares = jnp.sum(a * a, 1)[:, None] + jnp.sum(b * b, 1)[None] - 2 * a @ b.T
        return jnp.exp(-jnp.maximum(squares, 0.0) / (2 * BANDWIDTH**2)).mean()

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


LOSSES = {
    "mmd2": lambda x, y: dj.mmd2(x, y, kernel=dj.kernels.rbf(BANDWIDTH)),
    "plain mmd2": plain_mmd2,
    "mmd2 laplace": lambda x, y: dj.mmd2(x, y, kernel=dj.kernels.laplace(BANDWIDTH)),
    "mmd2 imq": lambda x, y: dj.mmd2(x, y, kernel=dj.kernels.imq(BANDWIDTH)),
    "energy": dj.energy,
    "stein": lambda x, y: dj.stein(x, -x, kernel=dj.kernels.imq(1.0)) + 0.0 * y.sum(),
}
VALUES = {"mmd2, value alone": LOSSES["mmd2"], "plain mmd2, value alone": plain_mmd2}


def inputs(size: int, dim: int) -> tuple[jax.Array, jax.Array]:
    first, second = jax.random.split(jax.random.key(0))
    return jax.random.normal(first, (size, dim)), 0.2 + jax.random.normal(second, (size, dim))


def geomloss_step(x: jax.Array, y: jax.Array):
    """Half of MMD² with the kernel exp(−‖x−y‖²/(2 blur²)), forward and backward; None where it is not installed."""
    try:
        import torch
        from geomloss import SamplesLoss
    except ImportError:
        return None
    torch.set_num_threads(os.cpu_count() or 1)
    device = common.torch_device(torch)
    one, two = (torch.tensor(np.asarray(a), device=device, requires_grad=True) for a in (x, y))
    loss = SamplesLoss("gaussian", blur=BANDWIDTH, backend="tensorized")

    def step():
        one.grad = two.grad = None
        value = loss(one, two)
        value.backward()
        return 2 * value.item()

    return step


def steps(x: jax.Array, y: jax.Array) -> dict:
    run = {}
    for name, loss in {**LOSSES, **VALUES}.items():
        step = jax.jit(loss if name in VALUES else jax.value_and_grad(loss, (0, 1))).lower(x, y).compile()
        run[name] = lambda step=step: jax.block_until_ready(step(x, y))
    other = geomloss_step(x, y)
    if other is None:
        print("geomloss is not installed: not timed")
        return run
    # The same number, so that the same thing is timed.
    assert math.isclose(other(), float(run["mmd2"]()[0]), rel_tol=1e-3)
    return {**run, "geomloss mmd2": other}


def peak_growth(name: str, args: argparse.Namespace) -> tuple[float, float]:
    """In a fresh process: bytes of resident memory that value and gradient add to the inputs, and seconds."""
    x, y = inputs(args.large, args.dim)
    step = jax.jit(jax.value_and_grad(LOSSES[name], (0, 1)))
    jax.block_until_ready(step(x[:64], y[:64]))
    compiled = step.lower(x, y).compile()
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    start = time.perf_counter()
    value, grads = jax.block_until_ready(compiled(x, y))
    seconds = time.perf_counter() - start
    assert np.isfinite(value)
    assert all(np.isfinite(grad).all() for grad in grads)
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 - before, seconds


def measured_elsewhere(args: argparse.Namespace, name: str) -> tuple[float, float]:
    command = [sys.executable, __file__, f"--large={args.large}", f"--dim={args.dim}", f"--peak={name}"]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(words[0]), float(words[1])


def report(args: argparse.Namespace) -> bool:
    x, y = inputs(args.size, args.dim)
    run = steps(x, y)
    print(f"two samples [{args.size}, {args.dim}] float32, value and gradient, seconds")

    def clock(names, rounds):
        """The pair of a ratio in rounds of its own: as many as the machine's noise asks for, of a second each."""
        some = common.clock({name: run[name] for name in names}, rounds)
        for name, times in some.items():
            print(f"  {name:26s} smallest {times.min():8.3f}  median {np.median(times):8.3f}  of {rounds}")
        return some

    seconds = clock(("plain mmd2", "mmd2"), args.rounds)
    faster = common.ratio(seconds, "plain mmd2", "mmd2")
    rows = [common.Row("mmd2: times as fast as the plain formula", PLAIN_TARGET, faster, at_least=True)]
    if "geomloss mmd2" in run:
        beside = clock(("geomloss mmd2", "mmd2"), FEW)
        faster = common.ratio(beside, "geomloss mmd2", "mmd2")
        rows.append(common.Row("mmd2: times as fast as geomloss", GEOMLOSS_TARGET, faster, at_least=True))
        seconds = {**beside, **seconds}
    seconds |= clock([name for name in run if name not in seconds], FEW)
    if Path("/proc/self/clear_refs").exists() and jax.default_backend() == "cpu":
        for name in ("mmd2", "energy"):
            grown, taken = measured_elsewhere(args, name)
            print(f"  {name} at n = {args.large}: {taken:.1f} s once")
            rows.append(common.Row(f"{name}: GiB above the inputs, n = {args.large}", 1.0, grown / MEMORY_TARGET))
    content = {
        "shape": [args.size, args.dim],
        "large": args.large,
        "rounds": args.rounds,
        "smallest_seconds": {name: float(times.min()) for name, times in seconds.items()},
        "median_seconds": {name: float(np.median(times)) for name, times in seconds.items()},
    }
    common.save("samples-kernel", rows, content, args.out)
    return common.show(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--peak", default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(*peak_growth(args.peak, args))
        return 0
    return 0 if report(args) else 1


if __name__ == "__main__":
    sys.exit(main())
