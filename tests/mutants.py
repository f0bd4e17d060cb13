"""Do the tests notice? Random small faults in the package, each against the test files that run its line.

``python tests/mutants.py FILE`` keeps in FILE which of ``--num`` mutants no test kills, and goes on where an earlier
run stopped. ``--tests REVISION`` takes the tests of another commit: the same mutants before and after a change of the
tests, ``--before FILE``, show whether it lost any of their power.

A mutant is the package with another operator, comparison, constant or branch in one place. Which test files run a
line is measured first, with coverage.py. ``--source divjax/exact --files tests/exact`` looks at a part alone.
"""

import argparse
import ast
import concurrent.futures
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coverage import Coverage

ROOT = Path(__file__).parent.parent
SWAPPED = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*",
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in", ast.And: "or", ast.Or: "and",
}  # fmt: skip
SELECT = ("where", "select")  # functions whose second and third arguments are branches
LIMIT = 900  # seconds that one mutant's tests may take


class Mutant(NamedTuple):
    """``path`` with the characters from ``start`` to ``end`` replaced."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {self.before}  ->  {self.after}"


def sites(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    text = path.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines()

    def at(line: int, column: int) -> int:  # the tree counts bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node in ast.walk(_without_annotations(ast.parse(text))):
        for first, last, after in _replacements(node, text, at):
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, first, last, text[first:last], after)


def _without_annotations(tree: ast.Module) -> ast.Module:
    """What is never computed, an annotation or a base class, has no mutants; nor has the wording of messages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = []
        for name in ("annotation", "returns", "type_params", "bases", "decorator_list"):
            if hasattr(node, name):
                setattr(node, name, [] if name in ("bases", "decorator_list", "type_params") else None)
    return tree


def _replacements(node: ast.AST, text: str, at) -> Iterator[tuple[int, int, str]]:
    def span(child):
        return at(child.lineno, child.col_offset), at(child.end_lineno, child.end_col_offset)

    def between(left, operator, right):  # brackets stay with the operands, the rest is the operator
        first, last = span(left)[1], span(right)[0]
        gap = text[first:last]
        sign = gap.strip(" ()\n")
        if gap.count(sign) == 1 and "#" not in gap:
            first += gap.index(sign)
            yield first, first + len(sign), SWAPPED[type(operator)]

    match node:
        case ast.BinOp() if type(node.op) in SWAPPED:
            yield from between(node.left, node.op, node.right)
        case ast.Compare():
            for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from between(left, operator, right)
        case ast.BoolOp():
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, node.op, right)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield *span(node), text[slice(*span(node.operand))]
        case ast.Constant(value=bool() | int() | float() as value):
            yield *span(node), str(not value) if isinstance(value, bool) else f"({value} + 1)"
        case ast.Call(func=ast.Attribute(attr=attr), args=[_, yes, no]) if attr in SELECT:
            first, last = span(yes)[0], span(no)[1]
            yield first, last, f"{text[slice(*span(no))]}, {text[slice(*span(yes))]}"


def chosen(source: str, num: int, seed: int) -> list[Mutant]:
    """``num`` mutants at random, files by the number of their places."""
    every = [mutant for path in sorted((ROOT / source).rglob("*.py")) for mutant in sites(path)]
    return random.Random(seed).sample(every, num)


def copy(folder: Path, revision: str | None) -> Path:
    """The project, with the tests of ``revision``, to be spoiled."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "site"))
    if revision is not None:
        shutil.rmtree(folder / "tests")
        archive = subprocess.run(["git", "archive", revision, "tests"], cwd=ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


def run_tests(folder: Path, *options: str, by: tuple[str, ...] = (), **changes: str) -> subprocess.CompletedProcess:
    """The fast ones in one process, where the package is that of ``folder``; ``by`` is what runs pytest."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | changes
    command = [sys.executable, *by, "-m", "pytest", "-q", "-n0", "-m", "not slow", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT)


def coverage_of(folder: Path, tests: str, workers: int) -> dict[str, dict]:
    """The seconds of each test file and, by file and line of the package, the test files that run it.

    Each in a process of its own, so that it traces all its programs itself.
    """
    settings = folder / "coverage.ini"
    settings.write_text(
        f"[run]\nsource = {folder}/divjax\ndata_file = {folder}/lines\n"
        "parallel = true\npatch = subprocess\ncontext = ${TEST_FILE}\n"
    )

    def seconds(path: str) -> float:
        start = time.perf_counter()
        run_tests(folder, path, by=("-m", "coverage", "run", f"--rcfile={settings}"), TEST_FILE=path)
        return time.perf_counter() - start

    files = sorted(str(path.relative_to(folder)) for path in (folder / tests).rglob("test_*.py"))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        times = dict(zip(files, pool.map(seconds, files), strict=True))
    return {"seconds": times, "lines": _lines(folder, settings)}


def _lines(folder: Path, settings: Path) -> dict[str, dict[str, list[str]]]:
    collected = Coverage(config_file=str(settings))
    collected.combine()
    data = collected.get_data()
    return {
        str(Path(path).relative_to(folder)): {str(line): files for line, files in data.contexts_by_lineno(path).items()}
        for path in data.measured_files()
    }


def outcome(mutant: Mutant, folder: Path, coverage: dict[str, dict]) -> dict:
    """Which test fails first, the files that run the mutant's line in the order of their times."""
    files = sorted(coverage["lines"].get(mutant.path, {}).get(str(mutant.line), []), key=coverage["seconds"].get)
    source, start = folder / mutant.path, time.perf_counter()
    text = source.read_text()
    source.write_text(text[: mutant.start] + mutant.after + text[mutant.end :])
    try:
        killed = _first_failure(run_tests(folder, "-x", *files)) if files else None
    except subprocess.TimeoutExpired:
        killed = f"no end within {LIMIT} s"
    finally:
        source.write_text(text)
    return {"mutant": str(mutant), "files": len(files), "killed": killed, "seconds": time.perf_counter() - start}


def _first_failure(done: subprocess.CompletedProcess) -> str | None:
    if done.returncode == 0:
        return None
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), lines[-1])


def survey(mutants: list[Mutant], tests: str, revision: str | None, workers: int, out: Path) -> list[dict]:
    """The outcome of each mutant, in ``out`` as soon as it is known."""
    state = json.loads(out.read_text()) if out.exists() else {"coverage": None, "outcomes": []}
    known = {result["mutant"] for result in state["outcomes"]}
    with tempfile.TemporaryDirectory() as scratch:
        folders = [copy(Path(scratch, str(worker)), revision) for worker in range(workers)]
        state["coverage"] = state["coverage"] or coverage_of(folders[0], tests, workers)
        free = queue.SimpleQueue()
        for folder in folders:
            free.put(folder)

        def judge(mutant: Mutant) -> None:
            folder = free.get()
            state["outcomes"].append(outcome(mutant, folder, state["coverage"]))
            free.put(folder)
            out.write_text(json.dumps(state, indent=1))
            print(*state["outcomes"][-1].values(), sep=" | ", flush=True)

        out.write_text(json.dumps(state, indent=1))
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(judge, [mutant for mutant in mutants if str(mutant) not in known]))
    return state["outcomes"]


def survivors(outcomes: list[dict]) -> set[str]:
    return {result["mutant"] for result in outcomes if not result["killed"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="FILE")
    parser.add_argument("--source", default="divjax", metavar="FOLDER")
    parser.add_argument("--files", default="tests", metavar="FOLDER")
    parser.add_argument("--num", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", metavar="REVISION")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--before", type=Path, metavar="FILE", help="an earlier outcome: fails where power was lost")
    asked = parser.parse_args()
    mutants = chosen(asked.source, asked.num, asked.seed)
    outcomes = survey(mutants, asked.files, asked.tests, asked.workers, asked.out)
    left = survivors(outcomes)
    print(f"{len(outcomes) - len(left)} of {len(outcomes)} killed; these survive:", *sorted(left), sep="\n")
    if asked.before is None:
        return 0
    lost = left - survivors(json.loads(asked.before.read_text())["outcomes"])
    print("Killed before, alive now:", *sorted(lost), sep="\n")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
