"""Whether a generator's samples are realistic: two samples in, discrepancies, tests, checks and a verdict out.

The verdict is a list out of

* ``unrealistic``: more generated rows lie where no data are than real rows that were held out do (``checks``).
* ``mode_dropping``: some part of the real rows gets less than half of its share of generated rows; or the generated
  rows are realistic, and leave more of the held-out real rows without a neighbour than as many real rows would. Of a
  generator with unrealistic rows the realistic ones are judged, and a tenth takes the place of the half: mass that has
  been spread, as by a Gaussian over two modes, has not been dropped.
* ``memorised``: more generated rows are copies of training rows (of real rows, where no training rows are given) than
  real rows are of others.
* ``indistinguishable``: none of these, and no two-sample test tells the samples apart.

"More" is a p-value below alpha over the number of tests (Bonferroni), so that a generator that draws from the
distribution of the data is called anything but ``indistinguishable`` with probability at most alpha. The list is empty
where a test tells the samples apart and no check says in what way.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from divjax import diagnostics, twosample
from divjax.compare import checks, measured, scaling
from divjax.compare.checks import Check
from divjax.compare.kept import Kept, packed, unpacked
from divjax.compare.measured import Discrepancy

TESTS = {
    "mmd": (twosample.mmd_test, "permutation test of MMD², Gaussian kernel, median distance"),
    "energy": (twosample.energy_test, "permutation test of the energy distance"),
    "classifier": (
        twosample.classifier_test,
        "area under a classifier's ROC curve on rows held out, ½ for equal distributions",
    ),
}
FINDINGS = {  # check -> what its rate is of, and what the rate beside it is of
    "missing": ("of the real rows are in {}", "by chance"),  # the words of the check
    "uncovered": ("of the real rows have no generated row among their neighbours", "with as many real rows instead"),
    "unrealistic": (
        "of the generated rows lie farther from the data than 99 % of the real rows do",
        "of real rows held out",
    ),
    "memorised": ("of the generated rows are copies of training rows, or nearly", "of real rows"),
}
CHECKS = tuple(FINDINGS)
MEANS = {
    "missing": "mode_dropping",
    "uncovered": "mode_dropping",
    "unrealistic": "unrealistic",
    "memorised": "memorised",
}
PERMUTATIONS = (999, 9999)
LEAST_ROWS = 20  # of either sample, for the checks
ERRORS = (
    "Standard errors are of drawing both samples anew: the jackknife over 10 groups of rows for the discrepancies; for "
    "precision, recall, density and coverage from 10 random splits of both samples into halves, and for the shares "
    "among them no less than that of a share of as many independent rows."
)
AT_ONCE, LONGEST = 2, "checks"  # steps
NEIGHBOURS = 5  # of precision, recall, density and coverage
LARGEST_MISS = 0.01  # what is missing below this share is no mode


class Test(NamedTuple):
    """A two-sample test."""

    name: str
    statistic: float
    p_value: float
    words: str


class Fidelity(NamedTuple):
    """A measure of the generated rows and of real rows held out, each with its standard error."""

    generated: float
    stderr: float
    real: float
    real_stderr: float


class Evidence(NamedTuple):
    """What the pictures show: rows in shared units (``scaling.Scaled``), in random order, and what each is."""

    real: np.ndarray  # [n, d]
    generated: np.ndarray  # [m, d]
    train: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    far: np.ndarray  # [m] distance to the data of the generated rows; above 1 unrealistic
    nearest: np.ndarray  # [m] the nearest real row
    copied: np.ndarray  # [m] whether a generated row is a copy
    source: np.ndarray  # [m] of which training row
    missed: np.ndarray  # real rows of cells with less than half of their share, [k, d]


class Comparison(NamedTuple):
    """Everything that ``compare`` found. ``fidelity``: name -> of the generated, and of real rows held out."""

    rows: tuple[int, int]
    columns: tuple[str, ...]
    discrepancies: tuple[Discrepancy, ...]
    tests: tuple[Test, ...]
    fidelity: dict[str, Fidelity]
    checks: tuple[Check, ...]
    threshold: float  # alpha over the number of tests
    verdict: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    evidence: Evidence


Progress = Callable[[list[str]], Iterator[str]]


def compare(
    seed: int,
    x: np.ndarray,
    y: np.ndarray,
    *,
    train: np.ndarray | None = None,
    columns: tuple[str, ...] = (),
    alpha: float = 0.01,
    image: tuple[int, ...] | None = None,
    progress: Progress = iter,
    kept: Kept | None = None,
    fast: bool = False,
) -> Comparison:
    """Whether the generated rows y [m, d] are like the real rows x [n, d]: finite, two or more; same seed, same result.

    train: the rows that the generator was trained on, where x are others. image: the shape of a row, if it is
    one. progress: called with the names of the steps, gives them one after the other (tqdm is one). kept: the steps
    that need not be taken again, of a comparison of the same rows and settings. fast: of the discrepancies, ``FAST``.
    """
    rng, key, kept = np.random.default_rng(seed), jax.random.key(seed), kept or Kept()
    columns = columns or tuple(map(str, range(x.shape[1])))
    notes, rows = observations(x, y, train, columns, image), (len(x), len(y))
    if train is not None and train.shape == x.shape and np.array_equal(train, x):
        train = None
    scaled = scaling.scale_samples(x, y, train, image=image is not None)
    x, y = (scaling.subsample(rng, z, checks.TRAIN_ROWS) for z in scaled[:2])
    t = x if train is None else scaling.subsample(rng, scaled.train, checks.TRAIN_ROWS)
    count = len(TESTS) + (len(CHECKS) if min(len(x), len(y)) >= LEAST_ROWS else 0)
    threshold = alpha / count
    num = PERMUTATIONS[0] if 1.0 / threshold < PERMUTATIONS[0] else PERMUTATIONS[1]
    shared = measured.common(jax.random.fold_in(key, 0), x, y)
    table = {name: how for name, how in measured.measures(x.shape[1]).items() if not fast or name in measured.FAST}
    some, enough = (x[: checks.ROWS], y[: checks.ROWS]), len(x) >= LEAST_ROWS <= len(y)
    own = [jax.random.fold_in(key, i) for i in range(1, len(TESTS) + 2)]
    steps = {name: (measured.measure, name, how, shared, x, y) for name, how in table.items()}
    steps |= {name: (_test, name, own[i], *some, num) for i, name in enumerate(TESTS)}
    if enough:
        steps[LONGEST] = (_judged, rng, own[-1], x, some[1], t, train is None, num, threshold)
    taken = _taken(steps, kept, progress)
    found = tuple(Discrepancy(**{**taken[name], "rows": tuple(taken[name]["rows"])}) for name in table)
    tests = tuple(Test(**taken[name]) for name in TESTS)
    one = taken.get(LONGEST, {"fidelity": {}, "checks": ()})
    fidelity = {name: Fidelity(*four) for name, four in one["fidelity"].items()}
    judged = tuple(Check(*each) for each in one["checks"])
    evidence = _evidence(x, some[1], t, one["shown"]) if enough else _no_evidence(x, y, t)
    evidence = evidence._replace(center=scaled.center, scale=scaled.scale)
    verdict, reasons = decide(tests, judged, threshold)
    notes = (*notes, *_subsampling(*rows, rows[0] if train is None else len(train), found))
    notes = (*notes, ERRORS) if judged else notes
    return Comparison(rows, columns, found, tests, fidelity, judged, threshold, verdict, reasons, notes, evidence)


def _taken(steps: dict[str, tuple], kept: Kept, progress: Progress) -> dict[str, Any]:
    """What is found in each step. Two are under way at once: most of a step is compiling, which takes one core."""
    ahead = ThreadPoolExecutor(AT_ONCE)
    try:
        order = sorted(steps, key=lambda name: name != LONGEST)  # that one first
        begun = {name: ahead.submit(*steps[name]) for name in order if name not in kept.steps}
        return {name: kept.once(name, lambda name=name: begun[name].result()) for name in progress(list(steps))}
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _judged(rng, key, x, y, train, train_is_real, num, threshold):
    """Fidelity, the checks and what the pictures show of them, as they are kept."""
    fidelity = _fidelity(key, x, y)
    judged, shown = _checks(rng, x, y, train, train_is_real, num, threshold)
    shown = {name: packed(np.asarray(array)) for name, array in shown.items()}
    return {"fidelity": fidelity, "checks": judged, "shown": shown}


def decide(
    tests: tuple[Test, ...], judged: tuple[Check, ...], threshold: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(verdict, reasons in words) by the rules at the head of this file."""
    significant = {check.name: check for check in judged if check.p_value < threshold}
    if "missing" in significant and significant["missing"].rate < LARGEST_MISS:
        del significant["missing"]
    if "unrealistic" in significant and "missing" not in significant:
        # Rows that are nowhere near the data leave the data uncovered: that is no mode dropped.
        significant.pop("uncovered", None)
    verdict = [MEANS[name] for name in FINDINGS if name in significant]
    reasons = [_finding(significant[name]) for name in FINDINGS if name in significant]
    if rejecting := [test for test in tests if test.p_value < threshold]:
        which = ", ".join(f"{test.name} (p = {test.p_value:.2g})" for test in rejecting)
        reasons.append(f"Told apart by {len(rejecting)} of {len(tests)} two-sample tests: {which}.")
    if not rejecting and not verdict:
        verdict.append("indistinguishable")
        least = min(entry.p_value for entry in (*tests, *judged))
        reasons.append(
            f"Indistinguishable: none of {len(tests)} two-sample tests and {len(judged)} checks finds a difference; "
            f"the least p-value is {least:.2g}, and one below {threshold:.2g} would have been a finding."
        )
    if rejecting and not verdict:
        reasons.append("The samples differ, but no check finds rows that are unrealistic, missing or copied.")
    if not judged:
        reasons.append(f"Fewer than {LEAST_ROWS} rows: realism, coverage and memorisation are not judged.")
    return tuple(dict.fromkeys(verdict)), tuple(reasons)


def _finding(check):
    words, otherwise = FINDINGS[check.name]
    title = MEANS[check.name].replace("_", " ").capitalize()
    p = "< 1e-6" if check.p_value < 1e-6 else f"= {check.p_value:.2g}"
    return (
        f"{title}: {percent(check.rate)} {words.format(check.words)} ({percent(check.real_rate)} {otherwise}; p {p})."
    )


def percent(rate: float) -> str:
    return f"{100 * rate:.1f} %" if 0.0 < rate < 0.0995 else f"{100 * rate:.0f} %"


def _test(name, key, x, y, num):
    function, words = TESTS[name]
    try:
        found = function(key, jnp.asarray(x), jnp.asarray(y), num_draws=num)
    except ValueError:
        return Test(name, math.nan, 1.0, "too few rows")
    return Test(name, *map(_shortest, (found.statistic, found.p_value)), words)


def _shortest(value):
    """A float with no more digits than tell it from its neighbours in its own precision: 0.001, not 0.0010000000475."""
    return float(str(np.asarray(value)))


def _parts(x):
    """Reference and held-out rows of the real ones, at most ``checks.ROWS`` of each."""
    return tuple(half[: checks.ROWS] for half in scaling.halves(x))


def _fidelity(key, x, y):
    """Precision, recall, density and coverage of the generated rows, and of real rows held out, for one reference.

    Recall and coverage grow with the number of rows that are judged: both sides have as many. Standard errors are of
    both samples, from random halves of them; and shares have at least the error of so many independent rows.
    """
    reference, held_out = map(jnp.asarray, _parts(x))
    num = min(len(held_out), len(y))
    found = []
    for z in (jnp.asarray(y[:num]), held_out[:num]):
        values = _named(_four(reference, z))
        errors = dict.fromkeys(values, math.nan)
        if num // 2 > NEIGHBOURS:
            errors = _named(diagnostics.split_stderr(key, _four, reference, z))
        for name in set(values) - {"density"}:
            errors[name] = float(np.maximum(errors[name], diagnostics.rate_stderr(values[name], num)))
        found.append((values, errors))
    (ours, errors), (real, real_errors) = found
    return {name: Fidelity(ours[name], errors[name], real[name], real_errors[name]) for name in ours}


def _four(x, y):
    return (
        diagnostics.precision_recall(x, y, k=NEIGHBOURS),
        diagnostics.density_coverage(x, y, k=NEIGHBOURS),
    )


def _named(pair):
    return {name: float(value) for values in pair for name, value in values._asdict().items()}


def _checks(rng, x, y, train, train_is_real, num, threshold):
    reference, held_out = _parts(x)
    unrealistic, far, far_real = checks.distance_to_data(reference, held_out, y)
    judged, part = (held_out, y), checks.HALF
    if unrealistic.p_value < threshold:
        # Relabelling remains exact among those that pass the same test against the reference rows.
        near, part = (held_out[far_real <= 1.0], y[far <= 1.0]), checks.TENTH
        judged = near if min(map(len, near)) >= LEAST_ROWS else judged
    missing, missed = checks.missing_mass(reference, *judged, rng, num, part=part)
    uncovered = checks.covered(reference, held_out, y, rng, num)
    memorised, copied, source = checks.copies(train, None if train_is_real else x[: checks.ROWS], y)
    _, nearest = checks.distances(y, x)
    shown = {"far": far, "nearest": nearest[:, 0], "copied": copied, "source": source, "missed": judged[0][missed]}
    return (unrealistic, missing, uncovered, memorised), shown


def _evidence(x, y, train, shown):
    return Evidence(x, y, train, None, None, **{name: unpacked(array) for name, array in shown.items()})


def _no_evidence(x, y, train):
    none = np.zeros(len(y))
    return Evidence(x, y, train, None, None, none, none.astype(int), none > 1.0, none.astype(int), x[:0])


def observations(x, y, train, columns, image) -> tuple[str, ...]:
    """What a reader should know of the input."""
    notes = []
    if x.shape == y.shape and np.array_equal(x, y):
        notes.append("The two files are identical: they hold the same rows in the same order.")
    elif x.shape == y.shape and np.array_equal(_sorted(x), _sorted(y)):
        notes.append("The two files are identical up to the order of the rows.")
    for what, rows in (("real", x), ("generated", y)):
        if len(constant := scaling.constant_columns(rows)):
            names = scaling.listed([columns[i] for i in constant])
            notes.append(f"Constant in the {what} rows: {len(constant)} of {rows.shape[1]} columns ({names}).")
        if repeated := len(rows) - len(np.unique(rows, axis=0)):
            notes.append(f"{repeated} of the {len(rows)} {what} rows repeat another one.")
    if train is not None and train.shape == x.shape and np.array_equal(train, x):
        notes.append("The training rows are the real rows.")
    elif train is not None:
        known = set(map(bytes, np.ascontiguousarray(train)))
        if shared := sum(bytes(row) in known for row in np.ascontiguousarray(x)):
            notes.append(
                f"{shared} of the {len(x)} real rows are training rows too: memorisation is judged against them."
            )
    unit = "one unit, their root mean standard deviation" if image else "standard deviations of the real rows"
    notes.append(f"All distances are in {unit}{', for all pixels' if image else ', column by column'}.")
    return tuple(notes)


def _sorted(x):
    return x[np.lexsort(x.T)]


def _subsampling(real, generated, train, discrepancies):
    """How many rows were used, where not all were: measures take the rows of whole samples, checks halves of them."""
    notes, whole = [], (real, generated)
    if any(found.rows != whole for found in discrepancies):
        notes.append("Of large samples random rows are used: how many of each, the discrepancies say themselves.")
    if max(whole) > checks.ROWS:
        notes.append(f"Two-sample tests use {paired(*(min(n, checks.ROWS) for n in whole))} rows (real × generated).")
    if real // 2 > checks.ROWS or generated > checks.ROWS:
        half, judged = min(real // 2, checks.ROWS), min(generated, checks.ROWS)
        notes.append(
            f"Checks and fidelity judge {judged:,} generated and {half:,} held-out real rows by {half:,} other real "
            "ones."
        )
    if train > checks.TRAIN_ROWS:
        notes.append(f"Copies are looked for among {checks.TRAIN_ROWS:,} of the {train:,} training rows.")
    return notes


def paired(n: int, m: int) -> str:
    """How many rows of either sample, real × generated."""
    return f"{n:,} × {m:,}"
