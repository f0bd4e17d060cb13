"""Who may know whom: the imports of every module, read from the source, against the order in the design."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "divjax"

# room (a module, a subpackage or a part of one) -> what it may import of divjax; itself always
CORE = {"measures", "status", "numerics", "checks", "sorting"}
LEAVES = CORE | {"divergences"}
ARRAYS = LEAVES | {"distributions", "discretize", "exact"}
MODELS = ARRAYS | {"estimate", "models", "targets", "training.iteration"}
TRAINING = MODELS | {"training"}
LOOKING = TRAINING | {"diagnostics", "sweeps", "twosample", "variational"}
SHOWN = LOOKING | {"catalog", "plots", "tables", "inputs"}
MAY = {
    "measures": set(),
    "status": set(),
    "numerics": set(),
    "checks": {"measures"},
    "sorting": set(),
    "divergences": CORE,
    "distributions": {"numerics"},
    "discretize": LEAVES | {"distributions"},
    "exact": LEAVES | {"distributions"},
    "estimate": ARRAYS,
    "door": ARRAYS | {"estimate", "catalog", "tables"},
    "variational": ARRAYS,
    "models": ARRAYS | {"estimate"},
    "targets": MODELS,
    "training": MODELS,
    "training.iteration": set(),
    "sweeps": {"training.iteration"},
    "diagnostics": TRAINING,
    "twosample": LEAVES,
    "logits": {"numerics"},
    "inputs": set(),
    "tables": set(),
    "plots": {"diagnostics", "tables"},
    "compare": SHOWN,
    "studies.two_modes": SHOWN,
    "studies.adversarial": SHOWN | {"studies.two_modes"},
    "studies.huszar": SHOWN | {"studies.two_modes", "studies.adversarial"},
    "studies.phase": SHOWN | {"studies.two_modes", "studies.huszar"},
    "studies.remedy": SHOWN,
    "studies.likelihood": SHOWN,
    "studies.topics": SHOWN,
    "studies.digits": SHOWN | {"studies.adversarial"},
    "studies.sample": SHOWN,
    "studies": set(),
}
EVERYTHING = {"__init__", "catalog", "cli", "__main__"}

# Inside a subject: what is found, how it is shown, how it is asked for. And the rooms that serve the latter two.
STAGE = {"plot": 1, "titles": 1, "table": 1, "page": 1, "read": 2, "command": 2}
SHOWS = {"plots": 1, "tables": 1, "inputs": 2}
HEAVY = ("matplotlib", "xarray", "zarr", "typer", "tqdm", "pandas", "sklearn", "ott", "mpmath", "scipy.stats")


def imports(source: str, package: tuple[str, ...]) -> set[str]:
    """Modules of divjax that a source imports, as dotted names below divjax; inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("divjax.") for name in found if name.startswith("divjax.")} | {
        "__init__" for name in found if name == "divjax"
    }


def room(name: str) -> str:
    """The room that a dotted name below divjax is in: the smallest that the order knows, else its first part."""
    parts = name.split(".")
    longer = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((part for part in longer if part in MAY), parts[0])


def back_edges(part: str, source: str, package: tuple[str, ...]) -> set[str]:
    reached = {room(name) for name in imports(source, package)} - {part}
    return set() if part in EVERYTHING else reached - MAY[part]


# Of every file, by its path in the package, the source: checked in one test each, which names all who offend.
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_no_back_edge():
    offenders = {}
    for path, source in SOURCES.items():
        part = room(".".join(path.with_suffix("").parts))
        known = part in MAY or part in EVERYTHING
        found = back_edges(part, source, ("divjax", *path.parts[:-1])) if known else "no place in the order"
        if found:
            offenders[str(path)] = found
    assert not offenders


def too_early(stem: str, source: str) -> set[str]:
    """What a module of a subject imports of a later stage: a study of its plot, a plot of its command."""
    stage = STAGE.get(stem, 0)
    return {
        name
        for name in imports(source, ())
        for first, *inside in [name.split(".")]
        if SHOWS.get(first, 0) > stage
        or (first in ("studies", "compare") and any(STAGE.get(part, 0) > stage for part in inside))
    }


def test_a_study_does_not_know_how_it_is_shown():
    subjects = {path: source for path, source in SOURCES.items() if path.parts[0] in ("studies", "compare")}
    found = {str(path): too_early(path.stem, source) for path, source in subjects.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_is_shown_too_early_is_found():
    assert too_early("study", "from divjax.plots import look")
    assert too_early("study", "from divjax.studies.phase import plot")
    assert too_early("plot", "from divjax.studies.phase.command import phase")
    assert not too_early("table", "from divjax.tables import table")


@pytest.mark.parametrize(
    "source",
    [
        "from divjax.discretize import quadrature",
        "import divjax.training.fit",
        "import divjax",
        "from divjax import sweeps",
        "def f():\n    from divjax.discretize.panels import lay",
        "from ..discretize import panels",
        "from .. import discretize as d",
    ],
)
def test_a_back_edge_is_found(source):
    assert back_edges("divergences", source, ("divjax", "divergences"))
    assert back_edges("sweeps", source.replace("sweeps", "plots"), ("divjax", "sweeps"))


def test_subpackages_do_not_import_each_other_in_circles():
    for low, high in (("divergences", "discretize"), ("models", "training"), ("training.iteration", "training")):
        assert high not in MAY[low]


def test_import_is_light():
    """Nothing heavier than what jax and optax have imported already, and no library of distributions."""
    code = "import sys, jax, optax; before = set(sys.modules); import divjax; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    added = {name for name in out.stdout.split() if not name.startswith("divjax")}
    heavy = [name for name in added if any(name == top or name.startswith(top + ".") for top in HEAVY)]
    assert not heavy
    allowed = (
        "jax",
        "jaxtyping",
        "optax",
        "numpy",
        "wadler_lindig",
        "typing_extensions",
    )
    foreign = {name.split(".")[0] for name in added} - set(allowed) - set(sys.stdlib_module_names)
    assert not foreign, foreign


def test_few_modules_stand_outside_a_folder():
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_files_and_functions_stay_small():
    """At most 400 lines in a file and 40 in the body of a function with those inside it, its docstring apart."""
    offenders = [str(path) for path, source in SOURCES.items() if source.count("\n") > 400]
    for path, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                if node.end_lineno - first.lineno >= 40:
                    offenders.append(f"{path}: {node.name}")
    assert not offenders


def rounded(node: ast.AST) -> bool:
    """Whether it is a product of arrays in the device's own precision: ``@`` or a function of jax.numpy."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    names = {f"jnp.{name}" for name in ("matmul", "dot", "vdot", "inner", "tensordot", "einsum")}
    return called in names and "precision" not in {each.arg for each in node.keywords}


# On the host, by numpy; and networks, where speed or digits is the user's to choose.
OTHERS = {
    "compare/checks.py",
    "compare/plot.py",
    "models/networks.py",
    "studies/likelihood/plot.py",
    "studies/two_modes/plot.py",
}


def test_products_of_arrays_are_in_full_precision():
    """The matrix units of GPUs and TPUs round float32 unless told otherwise; on a CPU no test sees it."""
    ours = {str(path): source for path, source in SOURCES.items() if str(path) not in OTHERS}
    found = {
        path: [node.lineno for node in ast.walk(ast.parse(source)) if rounded(node)] for path, source in ours.items()
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_rounded_product_is_found():
    source = "x = a @ b\ny = jnp.dot(a, b)\nz = jnp.einsum('ij->i', a, precision='highest')\nw = np.dot(a, b)"
    assert [node.lineno for node in ast.walk(ast.parse(source)) if rounded(node)] == [1, 2]
