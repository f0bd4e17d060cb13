"""The main job as one writes it without divjax: JAX's compiled gradients, and scipy's BFGS for one fit after the other.

    python benchmarks/scipy_loop.py [--repeats 1]

Runs, in turn and each in a fresh process, imports and compilation included: this loop of 19,008 fits (9 divergences, 33
separations, 64 seeds, on 512 fixed nodes; no figures, no table), ``divjax sweep`` with no options and an empty cache of
programs, and the same with the programs kept. Prints how many times faster than the loop. Exit code 1 where a target
is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

SEPARATIONS, SEEDS, NODES = 33, 64, 512
TARGETS = {"cold": 6.0, "warm": 10.0}


def losses() -> dict:
    """(parameters, target) -> value; a target is its log-density and distribution function at the nodes, and its
    quantiles at the levels."""
    import jax.numpy as jnp
    import numpy as np
    from jax.scipy.special import ndtr, ndtri

    x = np.linspace(-40.0, 56.0, NODES, dtype=np.float32)
    step, levels = x[1] - x[0], (np.arange(NODES, dtype=np.float32) + 0.5) / NODES
    log_2 = np.log(2.0)

    def on_nodes(term):
        def loss(theta, target):
            z = (x - theta[0]) * jnp.exp(-theta[1])
            log_q = -0.5 * z * z - theta[1] - 0.5 * np.log(2.0 * np.pi)
            return step * jnp.sum(term(target[0], log_q, jnp.exp(target[0]), jnp.exp(log_q)))

        return loss

    def jensen_shannon(log_p, log_q, p, q):
        log_m = jnp.logaddexp(log_p, log_q) - log_2
        return 0.5 * (p * (log_p - log_m) + q * (log_q - log_m))

    terms = {
        "kl": lambda log_p, log_q, p, q: p * (log_p - log_q),
        "reverse_kl": lambda log_p, log_q, p, q: q * (log_q - log_p),
        "jeffreys": lambda log_p, log_q, p, q: (p - q) * (log_p - log_q),
        "jensen_shannon": jensen_shannon,
        "squared_hellinger": lambda log_p, log_q, p, q: (jnp.exp(0.5 * log_p) - jnp.exp(0.5 * log_q)) ** 2,
        "pearson_chi2": lambda log_p, log_q, p, q: jnp.exp(2.0 * log_q - log_p) - 2.0 * q + p,
        "triangular": lambda log_p, log_q, p, q: (p - q) ** 2 / (p + q + 1e-30),
    }
    return {name: on_nodes(term) for name, term in terms.items()} | {
        "wasserstein_2": lambda theta, target: jnp.mean(
            (theta[0] + jnp.exp(theta[1]) * ndtri(levels) - target[2]) ** 2
        ),
        "energy": lambda theta, target: (
            2.0 * step * jnp.sum((ndtr((x - theta[0]) * jnp.exp(-theta[1])) - target[1]) ** 2)
        ),
    }


def loop() -> None:
    import jax
    import numpy as np
    from scipy.optimize import minimize
    from scipy.stats import norm

    x, levels = np.linspace(-40.0, 56.0, NODES), (np.arange(NODES) + 0.5) / NODES
    targets, random = [], np.random.default_rng(0)
    for separation in np.linspace(0.0, 16.0, SEPARATIONS):
        log_p = np.logaddexp(norm.logpdf(x), norm.logpdf(x, separation)) - np.log(2.0)
        cdf = 0.5 * (norm.cdf(x) + norm.cdf(x, separation))
        targets.append(tuple(a.astype(np.float32) for a in (log_p, cdf, np.interp(levels, cdf, x))))
    for loss in losses().values():
        both = jax.jit(jax.value_and_grad(loss))

        def objective(theta, target, both=both):
            value, gradient = both(theta.astype(np.float32), target)
            return float(value), np.asarray(gradient, np.float64)

        for target in targets:
            for _ in range(SEEDS):
                start = np.array([random.uniform(-4.0, 20.0), random.uniform(-1.0, 2.0)])
                minimize(objective, start, args=(target,), jac=True, method="BFGS", options={"gtol": 1e-4})


def seconds(command: list[str], **environment: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | environment)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        loop()
        return 0
    taken = {"loop": [], "cold": [], "warm": []}
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            sweep = [sys.executable, "-m", "divjax", "sweep", "--quiet", "--out"]
            taken["loop"].append(seconds([sys.executable, __file__, "--loop"]))
            taken["cold"].append(seconds([*sweep, f"{folder}/cold"], XDG_CACHE_HOME=folder))
            taken["warm"].append(seconds([*sweep, f"{folder}/warm"], XDG_CACHE_HOME=folder))
    loop_seconds = statistics.median(taken.pop("loop"))
    print(f"scipy's loop        {loop_seconds:6.1f} s")
    missed = False
    for name, found in taken.items():
        times = loop_seconds / statistics.median(found)
        missed |= times < TARGETS[name]
        print(
            f"divjax sweep, {name}  {statistics.median(found):6.1f} s = {times:4.1f} times faster (≥ {TARGETS[name]:g})"
        )
    return missed


if __name__ == "__main__":
    sys.exit(main())
