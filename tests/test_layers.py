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
MODELS = ARRAYS | {"estimation", "models", "targets", "training.iteration"}
TRAINING = MODELS | {"training"}
LOOKING = TRAINING | {"diagnostics", "sweeps", "twosample", "variational"}
SHOWN = LOOKING | {"catalog", "plots", "tables", "inputs"}
MAY = {
    "measures": set(),
    "status": set(),
    "numerics": {"status"},
    "checks": {"measures", "numerics"},
    "sorting": set(),
    "divergences": CORE,
    "distributions": {"numerics"},
    "discretize": LEAVES | {"distributions"},
    "exact": LEAVES | {"distributions"},
    "estimation": ARRAYS,
    "door": ARRAYS | {"estimation", "catalog", "rows"},
    "variational": ARRAYS,
    "models": ARRAYS | {"estimation"},
    "targets": MODELS,
    "training": MODELS,
    "training.iteration": {"numerics"},
    "sweeps": {"training.iteration", "numerics"},
    "diagnostics": TRAINING,
    "twosample": LEAVES,
    "logits": {"numerics"},
    "inputs": set(),
    "tables": set(),
    "rows": {"status", "tables"},
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
SOURCES[Path("__init__.py")] = (PACKAGE / "__init__.pyi").read_text()  # by which names are found when asked for


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


def added_by(code: str) -> set[str]:
    """The modules that a statement imports beside those of jax and optax, in a process of its own."""
    code = f"import sys, jax, optax; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return set(out.stdout.split())


def test_names_are_imported_when_they_are_asked_for():
    assert {name.split(".")[0] for name in added_by("import divjax")} <= {"divjax", "lazy_loader", "ast", "__future__"}
    assert "divjax.sweeps" not in added_by("import divjax; divjax.kl")


def test_imports_compute_nothing():
    """No device is taken (a user may still set up jax.distributed), and an import within a trace keeps no tracer."""
    code = """
import divjax
def first(x):
    [getattr(divjax, name) for name in dir(divjax)]
    return x
jax.eval_shape(first, 1.0)
from jax._src import xla_bridge
assert not xla_bridge._backends
assert [name for module in list(sys.modules.values()) if getattr(module, "__name__", "").startswith("divjax")
        for name, value in vars(module).items() if isinstance(value, jax.Array)] == []"""
    assert added_by(code)


def test_import_is_light():
    """Nothing heavier than what jax and optax have imported already, and no library of distributions."""
    code = "import divjax; [getattr(divjax, n) for n in dir(divjax) if n not in ('models', 'plots', 'targets')]"
    added = {name for name in added_by(code) if not name.startswith("divjax")}
    heavy = [name for name in added if any(name == top or name.startswith(top + ".") for top in HEAVY)]
    assert not heavy
    allowed = (
        "jax",
        "jaxtyping",
        "lazy_loader",
        "optax",
        "numpy",
        "wadler_lindig",
        "typing_extensions",
    )
    foreign = {name.split(".")[0] for name in added} - set(allowed) - set(sys.stdlib_module_names)
    assert not foreign, foreign


def test_few_modules_stand_outside_a_folder():
    assert len(list(PACKAGE.glob("*.py"))) <= 12


# Modules that nobody imports by name: commands are mounted, adapters are looked up when an object of theirs arrives.
ENTERED = ("studies", "compare", "cli", "__main__", "command", "adapters")
ALONE, ROOMS = 10, 20  # at most so many modules with one user; and so many public rooms beside them


def importers(sources: dict[Path, str]) -> dict[Path, set[Path]]:
    """Of every module, the modules that import it or something of it; a package is its ``__init__``."""
    dotted = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in sources}
    found = {path: set() for path in sources}
    for path, source in sources.items():
        for name in imports(source, ("divjax", *path.parts[:-1])):
            parts = name.split(".")
            module = next((m for n in range(len(parts), 0, -1) if (m := ".".join(parts[:n])) in dotted), None)
            if module is not None and dotted[module] != path:
                found[dotted[module]].add(path)
    return found


def is_public_room(path: Path, importer: Path, sources: dict[Path, str]) -> bool:
    """Whether the importer is the face of a package that the module is in, and shows a function or class of it."""
    if importer.name != "__init__.py" or importer.parent not in path.parents:
        return False
    defined = {node.name for node in ast.parse(sources[path]).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    module = ".".join(("divjax", *path.with_suffix("").parts))
    shown = {
        alias.asname
        for node in ast.parse(sources[importer]).body
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }
    return bool({name for name in defined & shown if not name.startswith("_")})


def one_user(sources: dict[Path, str]) -> dict[Path, Path]:
    """Modules that only one other imports, with that one."""
    inside = {path for path in sources if path.name != "__init__.py"}
    inside = {path for path in inside if not set(path.with_suffix("").parts) & set(ENTERED)}
    return {path: min(found) for path, found in importers(sources).items() if path in inside and len(found) == 1}


def test_few_modules_have_one_user():
    """A module with one importer is merged into it unless it is an idea of its own: few are.

    A public room is counted apart: its one importer is the face of its package, the ``__init__``, which exports a
    function or class that the room defines, so that it is used by whoever calls that. Not counted are the rooms of a
    study, commands and adapters, which are entered by name.
    """
    found = one_user(SOURCES)
    inner = {path: user for path, user in found.items() if not is_public_room(path, user, SOURCES)}
    for modules, most in ((inner, ALONE), (found, ALONE + ROOMS)):
        assert len(modules) <= most, "\n".join(f"{path} <- {user}" for path, user in sorted(modules.items()))


def test_a_module_with_one_user_is_found():
    sources = {
        "__init__.py": "from divjax.room import f as f",
        "other.py": "def g():\n    from divjax.room import deep",
        "room/__init__.py": "from divjax.room.open import f as f\nfrom divjax.room.shut import g as g",
        "room/open.py": "from divjax.room import deep\ndef f(): ...",
        "room/shut.py": "from divjax.room.steps import h as g",
        "room/deep.py": "",
        "room/steps.py": "def h(): ...",
    }
    sources = {Path(path): source for path, source in sources.items()}
    found = {str(path): str(user) for path, user in one_user(sources).items()}
    face, shut = "room/__init__.py", "room/shut.py"
    assert found == {"room/open.py": face, shut: face, "room/steps.py": shut}
    assert is_public_room(Path("room/open.py"), Path(face), sources)
    assert not is_public_room(Path(shut), Path(face), sources)
    assert not is_public_room(Path("room/steps.py"), Path(shut), sources)


def of_others(path: Path, source: str, modules: set[str]) -> list[str]:
    """Private names of other modules of divjax that a module imports, or reaches through a module it has imported."""
    tree, package, found, known = ast.parse(source), ("divjax", *path.parts[:-1]), [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.partition(".")[0] == "divjax":
                found += [f"{module}.{alias.name}" for alias in node.names if is_private(alias.name)]
                known |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
            known |= {alias.name: alias.name for alias in node.names if not alias.asname}
    known = {name: dotted for name, dotted in known.items() if dotted.removeprefix("divjax.") in modules}
    reached = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)]
    return found + [ast.unparse(node) for node in reached if ast.unparse(node.value) in known]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}


def test_no_module_needs_the_private_names_of_another():
    found = {str(path): of_others(path, source, MODULES) for path, source in SOURCES.items()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from divjax.models.laws import _bin",
        "from .laws import _bin",
        "from divjax.models import laws\nx = laws._bin",
        "import divjax.models.laws\nx = divjax.models.laws._bin",
        "import divjax.models.laws as own\nx = own._bin",
    ],
)
def test_a_private_name_of_another_is_found(source):
    assert of_others(Path("models/flows.py"), source, MODULES)
    assert not of_others(Path("models/flows.py"), source.replace("_bin", "bin"), MODULES)


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
