"""The sweep engine: converged fits a second, beside scipy, Adam and a kernel written by hand; and its overheads.

    python benchmarks/sweep.py [--quick] [--out FOLDER]

A fit is a Gaussian under a divergence to ½ N(0,1) + ½ N(d,1), 33 separations d in 0 ... 16 × 64 random starts; it has
converged if (μ, σ) lies within 1e-3 of an optimum known from elsewhere (tests/reference). Prints target and measurement
side by side, each ratio from one run, the best of several repeats; --out keeps them; exit
code 1 where a target is missed. --quick: fewer repeats, no million of fits, under a minute.
"""

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from main_job import convergence, known_minima
from scipy.optimize import minimize

import divjax as dj
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import engine
from divjax.sweeps.cases import canonical, take
from divjax.sweeps.table import describe, in_memory
from divjax.training.iteration import Iteration, run

NAMES = ("kl", "reverse_kl", "jensen_shannon")
SEPARATIONS, SEEDS = np.linspace(0.0, 16.0, 33, dtype=np.float32), 64
FITS = SEPARATIONS.size * SEEDS
# Targets: converged fits a second, and how many times those of scipy and Adam.
RATE, OVER_SCIPY, OVER_ADAM, SHARE = 30_000.0, 20.0, 50.0, 0.5
ADAM_STEPS, NODES = 2000, 512
X = np.linspace(-40.0, 56.0, NODES, dtype=np.float32)  # nodes of the baselines: fixed, equal, enough for σ ≥ ½


def cases(seeds: int = SEEDS):
    return dj.sweeps.product(separation=SEPARATIONS, seed=np.arange(seeds, dtype=np.int32))


def best(function, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def engine_run(iterations: dict[str, Iteration], grid):
    """(seconds to compile, a function that fills a table in memory, without compiling)."""
    grid = canonical(grid)
    chunk = engine.chunk_shape(grid.shape, engine.default_chunk())
    programs = [engine.program(each, grid, int(np.prod(chunk))) for each in iterations.values()]
    start = time.perf_counter()
    compiled = [program.compile() for program in programs]
    seconds = time.perf_counter() - start
    ready = [program._replace(compile=lambda c=c: c) for program, c in zip(programs, compiled, strict=True)]
    results = dict(zip(iterations, (each.result for each in programs), strict=True))
    table = describe(grid, chunk, results, "divergence", {})

    def fill():
        with in_memory(table) as sink, engine.compilers() as begin:
            engine.fill(table, grid, ready, begin, sink, lambda: None, lambda: False)
            return sink.finish()

    return seconds, fill


def nodes_loss(name: str):
    """The divergence on the fixed nodes, as the baselines see it."""
    divergence = getattr(dj, name)

    def loss(theta, log_p):
        log_q = dj.models.normal({"loc": theta[0], "log_scale": theta[1]}).log_prob(X)
        return divergence(dj.pmf(log_p, log_q, log_w=jnp.log(X[1] - X[0])))

    return loss


def starts() -> tuple[np.ndarray, np.ndarray]:
    """The engine's own: [FITS, 2] parameters, and [FITS, NODES] log-densities of the targets."""
    some = take(canonical(cases()), np.arange(FITS))
    first = jax.vmap(two_modes.iteration("kl").init)(some).params
    log_p = jax.vmap(lambda d: dj.targets.two_modes(d).log_prob(X))(some["separation"])
    return np.stack([first["loc"], first["log_scale"]], 1), np.asarray(log_p)


def scipy_rate(name: str, num: int) -> float:
    """BFGS with gradients from JAX's compiled function, one fit after the other."""
    first, log_p = starts()
    both = jax.jit(jax.value_and_grad(nodes_loss(name)))
    both(first[0], log_p[0])

    def objective(theta, log_p):
        value, gradient = both(theta.astype(np.float32), log_p)
        return float(value), np.asarray(gradient, np.float64)

    some = np.random.default_rng(0).choice(FITS, num, replace=False)
    start = time.perf_counter()
    for i in some:
        minimize(
            objective, first[i].astype(np.float64), args=(log_p[i],), jac=True, method="BFGS", options={"gtol": 1e-4}
        )
    return num / (time.perf_counter() - start)


def adam_rate(name: str, repeats: int) -> float:
    """jit(vmap) of 2,000 steps of optax.adam; fits whose gradient ends below 1e-4 count."""
    first, log_p = starts()
    adam, loss = optax.adam(5e-2), nodes_loss(name)

    @jax.jit
    @jax.vmap
    def fit(theta, log_p):
        def step(carry, _):
            theta, state = carry
            updates, state = adam.update(jax.grad(loss)(theta, log_p), state)
            return (optax.apply_updates(theta, updates), state), None

        (theta, _), _ = jax.lax.scan(step, (theta, adam.init(theta)), length=ADAM_STEPS)
        return jnp.max(jnp.abs(jax.grad(loss)(theta, log_p))) < 1e-4

    converged = int(np.sum(fit(first, log_p)))
    return converged / best(lambda: jax.block_until_ready(fit(first, log_p)), repeats)


def hand_written(repeats: int, steps: int = 8) -> float | None:
    """Seconds of a node and step of limit.c for jensen_shannon; None without a compiler, or beside a GPU."""
    if jax.default_backend() != "cpu":
        return None
    first, log_p = starts()
    log_p = np.ascontiguousarray(np.maximum(log_p[::SEEDS], -1e4), np.float32)
    p, of = np.exp(log_p), np.repeat(np.arange(SEPARATIONS.size, dtype=np.int32), SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/limit.so"
        flags = "-O3 -march=native -ffast-math -fopenmp -shared -fPIC"
        source = Path(__file__).with_name("limit.c")
        try:
            subprocess.run(["cc", *flags.split(), str(source), "-o", library, "-lm"], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        newton = ctypes.CDLL(library).newton
        pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)  # noqa: E731
        value, width = np.zeros(FITS, np.float32), ctypes.c_float(X[1] - X[0])

        def once():
            theta = np.array(first, np.float32)
            arrays = map(pointer, (X, p, log_p, of))
            newton(*arrays, NODES, width, FITS, steps, pointer(theta), pointer(value))

        return best(once, repeats) / (FITS * steps * NODES)


def retirement(repeats: int) -> float:
    """jit(vmap(run)) / engine, on steps that take the same time and numbers of them with mean 10, some near 100."""
    counts = np.minimum(np.random.default_rng(0).geometric(0.1, 4096), 1000).astype(np.int32)
    work = lambda x: jax.lax.fori_loop(0, 200, lambda _, x: jnp.cos(x), x)  # noqa: E731
    loop = Iteration(
        lambda case: (case["n"], jnp.float32(0)),
        lambda s, case: (s[0] - 1, work(s[1])),
        lambda s: s[0] <= 0,
        lambda s, case: s[1],
    )
    _, fill = engine_run({"loop": loop}, dj.sweeps.product(n=counts))
    plain = jax.jit(jax.vmap(lambda n: run(loop, {"n": n})))
    fill(), jax.block_until_ready(plain(counts))
    return best(lambda: jax.block_until_ready(plain(counts)), repeats) / best(fill, repeats)


def overhead(repeats: int, lanes: int = 10**6) -> float:
    """Microseconds a lane of an iteration of one addition."""
    trivial = Iteration(
        lambda case: (jnp.int32(0), case["x"]),
        lambda s, case: (s[0] + 1, s[1] + 1.0),
        lambda s: s[0] >= 1,
        lambda s, case: s[1],
    )
    _, fill = engine_run({"trivial": trivial}, dj.sweeps.product(x=np.arange(lanes, dtype=np.float32)))
    return 1e6 * best(fill, repeats) / lanes


MILLION = """
import resource, numpy as np, divjax as dj
from divjax.studies.two_modes import study as two_modes
table = dj.sweep({"reverse_kl": two_modes.iteration("reverse_kl")},
                 dj.sweeps.product(separation=np.linspace(0, 16, 33, dtype=np.float32),
                                   seed=np.arange(32768, dtype=np.int32)),
                 store=STORE, chunk_size=32768)
assert table["loc"].size == 1081344
print(float((table["status"] == 0).mean()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def million() -> tuple[float, float, float]:
    """(seconds, GiB at most, share with status 0) of 1,081,344 fits into a store, in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        program = MILLION.replace("STORE", repr(f"{folder}/million.zarr"))
        out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        share, memory = map(float, out.stdout.split())
        return time.perf_counter() - start, memory, share


def compile_seconds(cache: str | None) -> float:
    """Of the nine programs of ``divjax sweep``, in a process of its own."""
    program = f"""
import sys, jax
sys.path.insert(0, {str(Path(__file__).parent)!r})
if {cache!r}:
    jax.config.update("jax_compilation_cache_dir", {cache!r})
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
import sweep
from divjax.studies.two_modes import study as two_modes
print(sweep.engine_run({{n: two_modes.iteration(n) for n in two_modes.DIVERGENCES}}, sweep.cases())[0])"""
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(out.stdout)


def rates(repeats: int, num_scipy: int) -> tuple[list[common.Row], dict]:
    rows, record, known = [], {}, known_minima("gaussian_fits.json", "additional_minima.json")
    for name in NAMES:
        _, fill = engine_run({name: two_modes.iteration(name)}, cases())
        table = fill()
        converged, _ = convergence(table, known)
        seconds, steps = best(fill, repeats), float(table["steps"].mean())
        rate, scipy, adam = converged * FITS / seconds, scipy_rate(name, num_scipy), adam_rate(name, 1)
        record[name] = {"fits/s": rate, "scipy": scipy, "adam": adam, "converged": converged, "steps": steps}
        print(
            f"  {name:16s} {rate:8.0f} fits/s ({100 * converged:.1f} % converged, {steps:.1f} steps on average); "
            f"scipy {scipy:.0f}, Adam {adam:.0f}",
            flush=True,
        )
        rows += [
            common.Row(f"{name}: converged fits a second", RATE, rate, at_least=True),
            common.Row(f"{name}: times scipy's", OVER_SCIPY, rate / scipy, at_least=True),
            common.Row(f"{name}: times Adam's", OVER_ADAM, rate / adam, at_least=True),
        ]
        if name == "jensen_shannon" and (limit := hand_written(repeats)) is not None:
            ours = seconds / (FITS * steps * NODES)
            record["limit"] = {"hand-written, ns": 1e9 * limit, "ours, ns": 1e9 * ours}
            rows.append(
                common.Row("jensen_shannon: share of the hand-written kernel", SHARE, limit / ours, at_least=True)
            )
    return rows, record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    repeats = 3 if args.quick else 7
    rows, record = rates(repeats, 30 if args.quick else 200)
    rows.append(
        common.Row("retirement: times jit(vmap(run)), steps of mean 10", 1.0, retirement(repeats), at_least=True)
    )
    rows.append(common.Row("overhead of a trivial iteration, µs a lane", 1.0, overhead(2 if args.quick else 5)))
    if not args.quick:
        rows.append(common.Row("compiling nine divergences, s", 15.0, compile_seconds(None)))
        with tempfile.TemporaryDirectory() as cache:
            compile_seconds(cache)
            rows.append(common.Row("the same from JAX's cache, s", 3.0, compile_seconds(cache)))
        seconds, memory, share = million()
        record["million"] = {"seconds": seconds, "GiB": memory, "status 0": share}
        print(f"  1,081,344 fits of reverse_kl: {seconds:.0f} s, {100 * share:.2f} % with status 0")
        rows.append(common.Row("1,081,344 fits: GiB at most", 1.5, memory))
    met = common.show(rows)
    common.save("sweep" + "-quick" * args.quick, rows, {"measurements": record, "dtype": "float32"}, args.out)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
