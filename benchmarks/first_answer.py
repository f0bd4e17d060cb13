"""The first answer: what a public function costs in a fresh process, the first time and the second.

    python benchmarks/first_answer.py [--rows kl chernoff] [--repeats 3]

A unit u is what ``import jax, optax, distrax`` takes in a fresh process on this machine, measured in the same run; the
first answer is what comes on top of the imports, divjax's own among them. Every row runs in processes of its own,
without a compilation cache; medians. Exit code 1 where a row misses its target.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import NamedTuple

IMPORTS = "import jax, optax, distrax"


class Case(NamedTuple):
    """One line of code, timed twice, after its setup."""

    setup: str
    call: str
    first: float  # target in u
    second: float  # target in milliseconds


_PAIR = "p = targets.two_modes(6.0); q = distrax.Normal(3.0, 3.0)"
_DRAWS = f"{_PAIR}; nodes = dj.monte_carlo(jax.random.key(0), p, q, num_draws=4096)"
_FIT = (
    "from divjax import models, training; case = jnp.asarray(6.0); "
    "loss = lambda params, case: dj.kl(dj.quadrature(targets.two_modes(case), models.normal(params))); "
    "start = {'loc': jnp.asarray(1.0), 'log_scale': jnp.asarray(0.0)}; "
)
_SWEEP = (
    f"{_FIT}fit = dj.fit(lambda params, case: loss(params, case['separation']), start, training.newton()); "
    "cases = dj.sweeps.product(separation=jnp.linspace(0.0, 16.0, 33), seed=jnp.arange(64))"
)

CASES = {
    "kl": Case(_PAIR, "dj.divergences.kl(dj.quadrature(p, q))", 0.8, 1.0),
    "dj.kl": Case(_PAIR, "dj.kl(p, q)", 1.2, 3.0),
    "chernoff": Case(f"{_PAIR}; nodes = dj.quadrature(p, q)", "dj.chernoff(nodes)", 1.5, 3.0),
    "coupling": Case(_PAIR, "dj.coupling(p, q)", 0.8, 1.0),
    "cdfs": Case(_PAIR, "dj.cdfs(p, q)", 0.8, 1.0),
    "monte_carlo": Case(_PAIR, "dj.monte_carlo(jax.random.key(0), p, q, num_draws=4096)", 1.2, 3.0),
    "estimate": Case(_DRAWS, "dj.estimate(dj.kl, nodes)", 1.2, 3.0),
    "estimate_gradient": Case(
        f"{_PAIR}; key = jax.random.key(0); normal = lambda t: distrax.Normal(t[0], t[1]); "
        "draws = lambda t: dj.monte_carlo(key, p, normal(t), num_draws=4096)",
        "dj.estimate_gradient(dj.jensen_shannon, draws, jnp.array([3.0, 3.0]))",
        2.5,
        15.0,
    ),
    "exact.kl": Case("p, q = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 2.0)", "dj.exact.kl(p, q)", 0.3, 1.0),
    "bounds.kl": Case("p, q = targets.two_modes(6.0), targets.two_modes(4.0)", "dj.bounds.kl(p, q)", 1.5, 3.0),
    "unrealistic_rate": Case(_PAIR, "dj.diagnostics.unrealistic_rate(p, q)", 1.5, 2.0),
    "sliced_wasserstein": Case(
        "x = jax.random.normal(jax.random.key(0), (500, 4)); y = x + 1.0; key = jax.random.key(1)",
        "dj.sliced_wasserstein(key, x, y)",
        0.8,
        10.0,
    ),
    "run, Newton": Case(f"{_FIT}fit = dj.fit(loss, start, training.newton())", "dj.run(fit, case)", 2.0, 10.0),
    "run, Adam": Case(
        f"{_FIT}fit = dj.fit(loss, start, optax.adam(0.1), max_steps=100)", "dj.run(fit, case)", 2.0, 30.0
    ),
    "sweep of 2,112 fits": Case(_SWEEP, "dj.sweep({'kl': fit}, cases)", 3.0, 300.0),
}

_SCRIPT = """
import json, time
import jax, jax.numpy as jnp, optax, distrax
import divjax as dj
from divjax import door, targets  # modules are imported when they are asked for
{setup}
jax.block_until_ready(jax.tree.leaves({warm}))
seconds = []
for _ in range({calls}):
    start = time.perf_counter()
    jax.block_until_ready(jax.tree.leaves({call}))  # a table of a sweep has no leaves, and is complete
    seconds.append(time.perf_counter() - start)
print(json.dumps([seconds[0], min(seconds[1:])]))
"""


def _fresh(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return found.stdout


def unit(repeats: int) -> float:
    code = f"import time; start = time.perf_counter(); {IMPORTS}; print(time.perf_counter() - start)"
    _fresh(code)  # files into memory
    return statistics.median(float(_fresh(code)) for _ in range(repeats))


def measure(case: Case, repeats: int) -> tuple[float, float]:
    """Seconds of the first call and of the best of the next."""
    code = _SCRIPT.format(setup=case.setup, call=case.call, warm="jnp.ones(3) + 1.0", calls=6)
    times = [json.loads(_fresh(code)) for _ in range(repeats)]
    return statistics.median(first for first, _ in times), min(second for _, second in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    u = unit(options.repeats)
    print(f"u = {u:.2f} s ({IMPORTS})")
    missed = 0
    for name in options.rows:
        case = CASES[name]
        first, second = measure(case, options.repeats)
        met = first <= case.first * u and second <= case.second / 1e3
        missed += not met
        print(
            f"{name:22s} first {first:6.2f} s = {first / u:5.2f} u (≤ {case.first:g})   "
            f"second {second * 1e3:8.2f} ms (≤ {case.second:g})   {'ok' if met else 'MISSED'}",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
