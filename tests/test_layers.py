"""Who may know whom: the imports of every module, read from the source, against the order in the design."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "divjax"

# module or subpackage -> what it may import of divjax; itself always
CORE = {"measures", "status", "numerics", "operands"}
LEAVES = CORE | {"divergences"}
ARRAYS = LEAVES | {"discretize", "exact"}
MODELS = ARRAYS | {"estimate", "models", "targets", "iteration"}
TRAINING = MODELS | {"training"}
LOOKING = TRAINING | {"diagnostics", "sweeps", "twosample", "likelihood", "variational"}
MAY = {
    "measures": set(),
    "status": set(),
    "numerics": set(),
    "operands": set(),
    "iteration": {"status"},
    "divergences": CORE,
    "discretize": LEAVES | {"exact"},
    "exact": LEAVES | {"discretize"},
    "pareto": CORE,
    "estimate": ARRAYS | {"pareto"},
    "variational": ARRAYS,
    "likelihood": LEAVES,
    "models": ARRAYS | {"estimate"},
    "targets": MODELS,
    "training": MODELS,
    "sweeps": {"iteration"},
    "diagnostics": TRAINING,
    "twosample": LEAVES,
    "logits": set(),
    "inputs": set(),
    "inputs_samples": {"inputs"},
    "studies": LOOKING | {"catalog"},
    "plots": LOOKING | {"studies"},
    "report": LOOKING | {"plots", "studies"},
    "report_games": LOOKING | {"plots", "report", "studies"},
    "report_models": LOOKING | {"plots", "report", "studies"},
    "report_compare": LOOKING | {"plots", "studies", "report"},
}
EVERYTHING = {"__init__", "catalog", "cli", "cli_studies", "compare_files", "__main__"}
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


def back_edges(part: str, source: str, package: tuple[str, ...]) -> set[str]:
    reached = {name.split(".")[0] for name in imports(source, package)} - {part}
    return set() if part in EVERYTHING else reached - MAY[part]


# Of every file, by its path in the package, the source: checked in one test each, which names all who offend.
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_no_back_edge():
    offenders = {}
    for path, source in SOURCES.items():
        part = path.parts[0].removesuffix(".py")
        known = part in MAY or part in EVERYTHING
        found = back_edges(part, source, ("divjax", *path.parts[:-1])) if known else "no place in the order"
        if found:
            offenders[str(path)] = found
    assert not offenders


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
    for low, high in (("divergences", "discretize"), ("models", "training"), ("iteration", "training")):
        assert high not in MAY[low]


def test_import_is_light():
    """Nothing heavier than what jax, optax and distrax have imported already."""
    code = (
        "import sys, jax, optax, distrax; before = set(sys.modules); import divjax;"
        "print(*sorted(set(sys.modules) - before))"
    )
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
        "distrax",
        "tensorflow_probability",
        "numpy",
        "wadler_lindig",
        "typing_extensions",
    )
    foreign = {name.split(".")[0] for name in added} - set(allowed) - set(sys.stdlib_module_names)
    assert not foreign, foreign


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
OTHERS = {"plots/compare.py", "plots/likelihood.py", "plots/sweeps.py", "studies/checks.py", "models/networks.py"}


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
