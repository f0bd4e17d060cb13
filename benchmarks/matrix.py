"""Every class of every library against every kind of divergence: is the value right, and its gradient?

    python benchmarks/matrix.py [--library numpyro] [--only Gamma] [--write]

p and q are two members of a class, close to each other. A cell is ✓ where, in double precision, the value is that of an
independent integration of the library's own log-density to 1e-8, compiled and mapped over, the gradient along a
direction that moves all parameters is that of central differences to 1e-5, and the value in single precision agrees to
1e-5.
``monte_carlo``: dj.estimate of kl on draws is within 4 of its standard errors. Classes are those of the tests of
adapters; a library that is not installed is left out. Cells are kept in build/matrix.json, so that a run goes on where
one was stopped, and computes again what failed; --fresh computes them again, --write makes docs/matrix.md of them.
"""

import argparse
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from matrix_truth import Law, Truth, truth  # noqa: E402

import divjax as dj  # noqa: E402
from divjax.discretize import validity  # noqa: E402
from divjax.distributions.density import profile, support  # noqa: E402
from divjax.distributions.resolve import resolve  # noqa: E402

STORE, PAGE = ROOT / "build" / "matrix.json", ROOT / "docs" / "matrix.md"
COLUMNS = ("kl", "jensen_shannon", "renyi", "wasserstein", "energy", "monte_carlo", "unrealistic_rate")
STEPS = 1e-3, 1e-5  # where curvature is high the former is too long, where nodes move the latter too short
TICK = "✓"


class Entry(NamedTuple):
    """A class: how to build a member from parameters, and two sets of them; which of them stay as they are."""

    build: Callable[..., Any]
    params: tuple[Any, Any]
    own: Callable[[Any, Any], Any]  # the library's log-density
    differentiable: bool = True
    counts: tuple[int, ...] = ()  # parameters that are whole numbers: nothing moves along them


# --- Two members of every class ----------------------------------------------------------------------------

# Where a little to the side of the first of the tests' parameters the supports would not match, or counts be none.
PAIRS = {
    "Uniform": ((0.0, 1.0), (-0.1, 1.3)),
    "DiscreteUniform": ((0.0, 3.0), (-1.0, 5.0)),
    "Triangular": ((0.0, 1.5, 0.5), (-0.1, 1.6, 0.6)),
    "Pareto": None,
}
# Whose own log-density has no gradient by its parameters: held constant by the library.
CONSTANT = ("flowjax/Uniform",)
COUNTED = {"BinomialProbs": (1,), "BinomialLogits": (1,), "BetaBinomial": (0, 2), "Binomial": (0,)}


def plain(name: str) -> str:
    """The class: a row's name may say more, as "Binomial of logits"."""
    return name.partition(" ")[0].rstrip(",")


def moved(name: str, params: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """The first set of parameters, and one that is a tenth of the way to the second."""
    pair = PAIRS.get(plain(name))
    if pair is not None:
        return tuple([np.asarray(value, float) for value in side] for side in pair)
    first = [np.asarray(of[0], float) for of in params]
    second = [np.asarray(of[1], float) for of in params]
    whole = [np.all(a == np.round(a)) and np.all(b == np.round(b)) and plain(name) in COUNTED and np.all(a > 3)
             for a, b in zip(first, second, strict=True)]  # fmt: skip
    return first, [a if fixed else a + 0.1 * (b - a) for a, b, fixed in zip(first, second, whole, strict=True)]


def entries(library: str) -> dict[str, Entry]:
    """The classes of a library, from the tests of its adapter."""
    from tests.distributions import test_adapters as first
    from tests.distributions import test_equinox_adapters as third
    from tests.distributions import test_more_adapters as second

    if library == "scipy":
        return {name: of_scipy(dist) for name, (dist, _) in second.SCIPY.items() if "multi" not in name}
    if library == "efax" and third.efax is not None:
        cases = {name: (getattr(third.efax, name), params) for name, (params, _) in third.EFAX.items()}
        return {name: Entry(build, moved(name, params), third.own_log_pdf) for name, (build, params) in cases.items()}
    tables = {"distrax": first.DISTRAX, "tfp": first.TFP, "numpyro": second.NUMPYRO, "flowjax": third.FLOWJAX,
              "distreqx": third.DISTREQX, "efax": {}}  # fmt: skip
    own = _of_points if library == "distreqx" else _log_prob
    return {
        name: Entry(
            case.build,
            moved(name, case.params),
            own,
            differentiable=f"{library}/{name}" not in CONSTANT,
            counts=COUNTED.get(plain(name), ()),
        )
        for name, case in tables[library].items()
    }


def _log_prob(dist, x):
    return dist.log_prob(x)


def _of_points(dist, x):
    return jax.vmap(dist.log_prob)(x)


def of_scipy(dist: Any) -> Entry:
    """A frozen law, and one of shapes and scale that are a little larger; its parameters are constants."""
    is_discrete = not hasattr(dist, "logpdf")
    name = dist.dist.name
    shapes, loc, scale = dist.dist._parse_args(*dist.args, **dist.kwds)
    whole = name in ("binom", "betabinom", "randint")
    other = [shape * (1.0 if whole and i == 0 else 1.05) for i, shape in enumerate(shapes)]
    if name == "randint":
        other = [-1, 7]

    def build(which):
        kept = {"loc": loc} if is_discrete else {"loc": loc, "scale": scale * (1.0 if which == 0.0 else 1.1)}
        return dist.dist(*(shapes if which == 0.0 else other), **kept)

    def own(law, x):
        return (law.logpmf if is_discrete else law.logpdf)(np.asarray(x))

    return Entry(build, ([0.0], [1.0]), own, differentiable=False)


# --- Cells -------------------------------------------------------------------------------------------------


def function(entry: Entry, column: str) -> Callable[[Any], Any]:
    """A column's divergence of all parameters: those of p, then those of q."""
    measure = dj.diagnostics.unrealistic_rate if column == "unrealistic_rate" else getattr(dj, column)
    number = len(entry.params[0])
    return lambda theta: measure(entry.build(*theta[:number]), entry.build(*theta[number:]))


def parameters(entry: Entry, dtype: Any) -> list[Any]:
    return [jnp.asarray(each, dtype) for side in entry.params for each in side]


def cell(entry: Entry, column: str, wanted: float, *, discrete: bool = False) -> str:
    """✓, or what is wrong. The values of discrete laws are listed while they are known: outside of jit and vmap."""
    value = function(entry, column)
    if not entry.differentiable:
        found = float(value(parameters(entry, jnp.float64)))
        return TICK if close(found, wanted, 1e-8) else f"value {found:.10g}, not {wanted:.10g}"
    flat, unravel = jax.flatten_util.ravel_pytree(parameters(entry, jnp.float64))
    moving = [
        jnp.full(np.shape(each), float(i not in entry.counts)) for side in entry.params for i, each in enumerate(side)
    ]
    direction = jnp.cos(1.0 + jnp.arange(flat.size)) * jax.flatten_util.ravel_pytree(moving)[0]
    steps = jnp.array([0.0, *(each * step for step in STEPS for each in (1.0, -1.0, 2.0, -2.0))])
    rows = flat + steps[:, None] * direction
    both = jax.value_and_grad(lambda row: value(unravel(row)))
    if discrete:
        values, slopes = (jnp.stack(each) for each in zip(*map(both, rows), strict=True))
    else:
        values, slopes = jax.jit(jax.vmap(both))(rows)
    found, *around = map(float, values)
    if not close(found, wanted, 1e-8):
        return f"value {found:.10g}, not {wanted:.10g}"
    slope = float(jnp.dot(slopes[0], direction))
    differences = [
        (8.0 * (up - down) - farther_up + farther_down) / (12.0 * step)
        for step, (up, down, farther_up, farther_down) in zip(STEPS, (around[:4], around[4:]), strict=True)
    ]
    # The second term: what rounding, and the error of nodes that move, make of a difference.
    if not any(abs(slope - each) <= 1e-5 * abs(each) + 1e-6 or not np.isfinite(each) for each in differences):
        return f"gradient {slope:.8g}, by differences {' and '.join(f'{each:.8g}' for each in differences)}"
    with jax.enable_x64(False):  # noqa: FBT003
        single = float((value if discrete else jax.jit(value))(parameters(entry, jnp.float32)))
    return TICK if close(single, wanted, 1e-5) else f"float32 value {single:.7g}, not {wanted:.7g}"


def close(found: float, wanted: float, tolerance: float) -> bool:
    return found == wanted or abs(found - wanted) <= tolerance * max(1.0, abs(wanted))


def by_draws(entry: Entry, wanted: float) -> str:
    """Whether Monte Carlo finds kl within 4 of the standard errors that it says it has."""
    number = len(entry.params[0])

    def estimated(theta):
        p, q = entry.build(*theta[:number]), entry.build(*theta[number:])
        return dj.estimate(dj.kl, dj.monte_carlo(jax.random.key(0), p, q, num_draws=4096, gradient="score"))

    found = (jax.jit(estimated) if entry.differentiable else estimated)(parameters(entry, jnp.float64))
    if not np.isfinite(wanted):
        return TICK if float(found.value) == wanted else f"{float(found.value):.5g}"
    off = abs(float(found.value) - wanted)
    return TICK if off <= 4.0 * float(found.stderr) + 1e-9 else f"{float(found.value):.5g} ± {float(found.stderr):.1g}"


# --- Rows --------------------------------------------------------------------------------------------------

REASONS = {
    "vector": "of points in several dimensions: transport, energy and regions are measured on the line",
    "discrete": "of masses: regions are of densities on the line",
    "none": "infinite for want of a mean, or not defined: of a flat density every region of one size is as small",
    "quadrature": "no nodes for this law in several dimensions: dj.monte_carlo",
    "reference": "the independent integration does not have mass 1",
    "plane": "on a plane of lower dimension: it has no density of as many coordinates",
}


def is_settled(text: str) -> bool:
    """Whether a cell need not be computed again: it is right, or does not apply."""
    return text == TICK or text.startswith("–")


def row(entry: Entry, known: dict[str, str]) -> dict[str, str]:
    """The cells of one class, in double precision, those that are known as they are."""
    with jax.enable_x64(True), warnings.catch_warnings():  # noqa: FBT003
        warnings.simplefilter("ignore")
        try:
            sides = [entry.build(*map(jnp.asarray, side)) for side in entry.params]
            records = [resolve(side) for side in sides]
            wanted = truth(*(law_of(entry, dist, record) for dist, record in zip(sides, records, strict=True)))
        except Exception as error:
            return dict.fromkeys(COLUMNS, shortened(error))
        return {column: known.get(column) or one(entry, column, wanted, records[0]) for column in COLUMNS}


def one(entry: Entry, column: str, wanted: Truth, record: Any) -> str:
    """A cell, or the error."""
    reason = not_applicable(column, wanted, record)
    if reason:
        return reason
    try:
        if column == "monte_carlo":
            return by_draws(entry, wanted["kl"])
        return cell(entry, column, wanted[column], discrete=validity.is_discrete(record))
    except Exception as error:
        if "Expected a smooth image of" in str(error):  # the remedy that it names is the next column
            return "– quadrature"
        return shortened(error)


def not_applicable(column: str, wanted: Truth, record: Any) -> str:
    """ "–" with a reason; "" where a column applies."""
    if isinstance(wanted, str):
        return f"– {wanted}"
    if record.event_shape and column in ("wasserstein", "energy", "unrealistic_rate"):
        return "– vector"
    if validity.is_discrete(record) and column == "unrealistic_rate":
        return "– discrete"
    return "– none" if wanted["kl" if column == "monte_carlo" else column] is None else ""


def law_of(entry: Entry, dist: Any, record: Any) -> Law:
    """What the integration needs: log-density, where to break the line, and the values of a discrete law."""
    ends, kinks, center, scale, grid = (-np.inf, np.inf), (), 0.0, 1.0, None
    discrete = validity.is_discrete(record)
    if not record.event_shape and not discrete:
        shape = profile(record)
        kinks = tuple(np.asarray(shape.kinks)) + tuple(np.asarray(shape.edges))
        lows, highs = support(record)
        ends = tuple(float(end) if not np.isnan(end) else side * np.inf for end, side in ((lows, -1), (highs, 1)))
        center, scale = float(np.median(shape.center)), float(np.median(np.abs(shape.scale)))
    if discrete and record.family.grid is not None:
        grid = record.family.grid(record.params)
        if np.issubdtype(getattr(dist, "dtype", int), np.floating):  # it takes counts as floats alone
            grid = np.asarray(grid, float)
    log_prob = jax.jit(lambda x: entry.own(dist, x)) if entry.differentiable else lambda x: entry.own(dist, x)
    shape = tuple(record.event_shape)
    return Law(lambda x: np.asarray(log_prob(x), float), shape, discrete, ends, kinks, center, scale, grid)


def shortened(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"


# --- The page ----------------------------------------------------------------------------------------------


def page(cells: dict[str, dict[str, str]]) -> str:
    """docs/matrix.md of the cells."""
    notes: dict[str, int] = {}

    def shown(text):
        if text == TICK:
            return text
        sign, reason = ("–", text[2:]) if text.startswith("– ") else ("✗", text)
        number = notes.setdefault(REASONS.get(reason, reason), len(notes) + 1)
        return f"{sign}<sup>{number}</sup>"

    lines = [
        "---",
        "hide: [navigation]",
        "---",
        "",
        "# Which class has which divergence",
        "",
        *PREFACE,
        "",
        count(cells),
        "",
    ]
    for library in LIBRARIES:
        rows = {name.partition("/")[2]: row for name, row in cells.items() if name.startswith(f"{library}/")}
        if rows:
            lines += [f"## {library}", "", f"| class | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
            lines += [f"| {name} | {' | '.join(shown(row[c]) for c in COLUMNS)} |" for name, row in rows.items()]
            lines.append("")
    return "\n".join(lines + [f"{number}. {reason}" for reason, number in notes.items()]) + "\n"


PREFACE = (
    "Two members of every class, close to each other, are measured by every route. A tick says: in double precision",
    "the value is that of an independent integration of the library's own log-density, to 1e-8, compiled and mapped",
    "over; along a direction that moves all parameters the gradient is that of central differences, to 1e-5; and the",
    "value in single precision agrees to 1e-5. Discrete laws are measured outside of jit, where values are known. Of",
    "scipy.stats, whose parameters are constants, only the value is asked for. A cross has its note below: what was",
    "found, and what was expected. `monte_carlo`: the KL divergence on 4096 draws is within 4 of the standard errors",
    "that `dj.estimate` gives.",
    "Made by `python benchmarks/matrix.py --write`.",
)


def count(cells: dict[str, dict[str, str]]) -> str:
    texts = [text for row in cells.values() for text in row.values()]
    ticks, left = texts.count(TICK), sum(text.startswith("–") for text in texts)
    return f"{len(cells)} classes: {ticks} ticks, {left} that do not apply, {len(texts) - ticks - left} that fail."


LIBRARIES = ("numpyro", "tfp", "distrax", "distreqx", "flowjax", "efax", "scipy")


def main() -> int:
    jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003  # most of the time is compiling
    if importlib.util.find_spec("numpyro"):  # which refuses parameters that are moved a little off a constraint
        importlib.import_module("numpyro").enable_validation(False)  # noqa: FBT003
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=LIBRARIES)
    parser.add_argument("--only", help="classes, separated by commas")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    store = STORE.with_suffix(f".{options.library}.json") if options.library else STORE
    store.parent.mkdir(exist_ok=True)
    cells = {}
    for path in sorted(STORE.parent.glob("matrix*.json"), key=lambda path: path.stat().st_mtime):  # the newest wins
        cells |= json.loads(path.read_text())
    mine = {}
    for library in [options.library] if options.library else LIBRARIES:
        for name, entry in entries(library).items():
            key = f"{library}/{name}"
            known = {} if options.fresh else {c: text for c, text in cells.get(key, {}).items() if is_settled(text)}
            if len(known) == len(COLUMNS) or (options.only and name not in options.only.split(",")):
                continue
            start = time.perf_counter()
            cells[key] = mine[key] = row(entry, known)
            before = json.loads(store.read_text()) if store.exists() else {}
            store.write_text(json.dumps(before | mine, indent=1))
            faults = {c: text for c, text in mine[key].items() if not is_settled(text)}
            print(f"{key:45s} {time.perf_counter() - start:6.1f} s  {faults or 'ok'}", flush=True)
    print(count(cells))
    if options.write:
        PAGE.write_text(page(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
