"""What streaming costs and saves: value and gradient of divergences of logits against their plain formulas.

Run ``python benchmarks/logits.py``. Prints target and measurement side by side and exits with 1 where a target is
missed; ``--out FOLDER`` keeps the results there. Each round times everything once, in turn, so that a busy machine
slows all alike; a ratio is the median over rounds of the ratio in the round. optax and torch are timed where they are
installed.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np

from divjax import logits

TARGETS = {"kl": 0.6, "jensen_shannon": 0.5}
MEMORY_TARGET = 0.05


def plain_kl(q, p):
    log_p, log_q = jax.nn.log_softmax(p), jax.nn.log_softmax(q)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1).mean()


def plain_jensen_shannon(q, p):
    log_p, log_q = jax.nn.log_softmax(p), jax.nn.log_softmax(q)
    log_m = jnp.logaddexp(log_p, log_q) - jnp.log(2.0)
    halves = jnp.exp(log_p) * (log_p - log_m) + jnp.exp(log_q) * (log_q - log_m)
    return 0.5 * jnp.sum(halves, -1).mean()


def optax_kl(q, p):
    import optax

    return optax.losses.kl_divergence_with_log_targets(jax.nn.log_softmax(q), jax.nn.log_softmax(p)).mean()


LOSSES = {
    "kl": lambda q, p: logits.kl(p, q).mean(),
    "plain kl": plain_kl,
    "optax kl": optax_kl,
    "jensen_shannon": lambda q, p: logits.jensen_shannon(p, q).mean(),
    "plain jensen_shannon": plain_jensen_shannon,
    "reverse_kl": lambda q, p: logits.reverse_kl(p, q).mean(),
    "alpha_divergence": lambda q, p: logits.alpha_divergence(p, q, alpha=0.3).mean(),
    "renyi": lambda q, p: logits.renyi(p, q, alpha=0.3).mean(),
    "total_variation": lambda q, p: logits.total_variation(p, q).mean(),
}


def inputs(tokens: int, vocabulary: int, dtype: str) -> tuple[jax.Array, jax.Array]:
    first, second = jax.random.split(jax.random.key(0))
    p = 3 * jax.random.normal(first, (tokens, vocabulary))
    q = p + jax.random.normal(second, (tokens, vocabulary))
    return q.astype(dtype), p.astype(dtype)


def torch_step(q: jax.Array, p: jax.Array):
    import torch
    from torch.nn import functional

    torch.set_num_threads(os.cpu_count() or 1)
    device = common.torch_device(torch)
    # Through float32: numpy has no bfloat16.
    q, p = (torch.tensor(np.asarray(x, np.float32)).to(device, getattr(torch, str(x.dtype))) for x in (q, p))
    q = q.requires_grad_()

    def step():
        q.grad = None
        log_q, log_p = functional.log_softmax(q, -1), functional.log_softmax(p, -1)
        functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean").backward()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def steps(q: jax.Array, p: jax.Array) -> tuple[dict, dict]:
    """Name to a function of nothing that does one step; name to the bytes XLA sets aside for it."""
    run, scratch = {}, {}
    for name, loss in LOSSES.items():
        compiled = jax.jit(jax.value_and_grad(loss)).lower(q, p).compile()
        run[name] = lambda compiled=compiled: jax.block_until_ready(compiled(q, p))
        scratch[name] = compiled.memory_analysis().temp_size_in_bytes
    try:
        run["torch kl"] = torch_step(q, p)
    except ImportError:
        print("torch is not installed: not timed")
    return run, scratch


def peak_growth(args: argparse.Namespace) -> float:
    """In a fresh process: bytes of resident memory one step adds beyond the inputs and one gradient."""
    q, p = inputs(args.tokens, args.vocabulary, args.dtype)
    step = jax.jit(jax.value_and_grad(LOSSES[args.peak]))
    # Compiled and run once on a few rows of nothing: the code and the thread pool are not the step's memory.
    jax.block_until_ready(step(q[:1] * 0, p[:1] * 0))
    compiled = step.lower(q, p).compile()
    before = resident()
    with Watch() as watch:
        jax.block_until_ready(compiled(q, p))
    return watch.peak - before - q.nbytes


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Watch:
    """The largest resident memory while inside, from the kernel's own high-water mark."""

    peak = 0

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        return self

    def __exit__(self, *_):
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
        self.peak = int(line.split()[1]) * 1024


def measured_elsewhere(args: argparse.Namespace, name: str) -> float:
    same = [f"--tokens={args.tokens}", f"--vocabulary={args.vocabulary}", f"--dtype={args.dtype}"]
    command = [sys.executable, __file__, *same, f"--peak={name}"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def report(args: argparse.Namespace) -> bool:
    q, p = inputs(args.tokens, args.vocabulary, args.dtype)
    run, scratch = steps(q, p)
    seconds = common.clock(run, args.rounds)
    print(f"[{args.tokens}, {args.vocabulary}] {args.dtype}, {args.rounds} rounds, milliseconds")
    for name, times in seconds.items():
        share = f"{scratch[name] / q.nbytes:8.1%} of an input set aside" if name in scratch else ""
        print(f"  {name:22s} smallest {times.min() * 1e3:8.2f}  median {np.median(times) * 1e3:8.2f}  {share}")
    rows = [
        common.Row(f"{name}: share of the plain formula's time", target, common.ratio(seconds, name, f"plain {name}"))
        for name, target in TARGETS.items()
    ]
    rows += [
        common.Row(f"{name}: memory set aside / one input", MEMORY_TARGET, scratch[name] / q.nbytes) for name in TARGETS
    ]
    if jax.default_backend() == "cpu" and Path("/proc/self/clear_refs").exists():
        grown = {name: measured_elsewhere(args, name) / q.nbytes for name in TARGETS}
        rows += [common.Row(f"{name}: resident growth / one input", MEMORY_TARGET, grown[name]) for name in TARGETS]
    content = {
        "shape": [args.tokens, args.vocabulary],
        "dtype": args.dtype,
        "rounds": args.rounds,
        "smallest_seconds": {name: float(times.min()) for name, times in seconds.items()},
        "median_seconds": {name: float(np.median(times)) for name, times in seconds.items()},
        "scratch_bytes": scratch,
    }
    common.save("logits" if args.dtype == "float32" else f"logits-{args.dtype}", rows, content, args.out)
    return common.show(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=128256)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--peak", default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_growth(args))
        return 0
    return 0 if report(args) else 1


if __name__ == "__main__":
    sys.exit(main())
