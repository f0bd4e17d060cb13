"""What is known of distributions is in one room: read from the source."""

import ast
import re
from pathlib import Path

import distrax
import jax.numpy as jnp
import pytest

import divjax as dj
from divjax import distributions
from divjax.distributions import family as records
from divjax.distributions.adapters import distrax as adapter

PACKAGE = Path(__file__).parents[2] / "divjax"
LIBRARIES = {"distrax", "tensorflow_probability", "numpyro", "distreqx", "flowjax", "efax", "scipy"}
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
# These build distributions for the user, of distrax's classes.
BUILDERS = ("models", "targets.py", "studies")


def imported(source):
    """Outside libraries that a source imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_no_library_of_distributions_is_imported_outside_of_what_builds_them():
    others = {str(path): source for path, source in SOURCES.items() if path.parts[0] not in BUILDERS}
    found = {path: LIBRARIES & set(imported(source)) for path, source in others.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_nobody_asks_for_a_class_of_a_library():
    """By isinstance: what arrives behind the door is a Density."""
    found = {}
    for path, source in SOURCES.items():
        if path.parts[0] in BUILDERS:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
                asked = ast.unparse(node.args[1])
                if re.search(r"\b(distrax|tfd|tfp|numpyro|flowjax)\b", asked):
                    found.setdefault(str(path), []).append(node.lineno)
    assert found == {}


def defined_families():
    """name of the record -> the file that makes it."""
    found = {}
    for path, source in SOURCES.items():
        if path.parts[0] == "distributions":
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                    called = ast.unparse(node.value.func)
                    if called in ("Family", "dataclasses.replace", "replace") or called.startswith("pushed"):
                        found[ast.unparse(node.targets[0])] = path
    return found


def test_a_family_is_named_in_its_own_file_in_the_files_beside_it_and_in_adapters():
    """Closed forms ask the record for what they need, never which family it is."""
    families = defined_families()
    assert {"NORMAL", "GAMMA", "BETA", "MIXTURE", "POISSON", "DIRICHLET"} <= set(families)
    found = {}
    for path, source in SOURCES.items():
        if path.parts[0] in ("distributions", *BUILDERS):
            continue
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in nodes for alias in node.names if "distributions." in (node.module or "")}
        if used := names & (set(families) - {"MIXTURE"}):
            found[str(path)] = used
    assert found == {}


def test_every_distribution_is_resolved_once(monkeypatch):
    """Whatever its route: what is passed on is a Density."""
    seen = []

    def counted(dist, kind, original=adapter.to_density):
        seen.append(dist)
        return original(dist, kind)

    monkeypatch.setattr(adapter, "to_density", counted)
    p, q = distrax.Normal(0.3, 1.0), distrax.Laplace(0.0, 1.0)
    divergences = (dj.kl, dj.jensen_shannon, dj.wasserstein, dj.energy)
    for call in (*divergences, dj.quadrature, dj.coupling, dj.cdfs, dj.diagnostics.unrealistic_rate):
        seen.clear()
        call(p, q)
        assert len(seen) == 2, call


@pytest.mark.parametrize(
    "value",
    [3.0, "N(0, 1)", None, distrax.Normal, jnp.zeros(3), [1.0, 2.0], {"loc": 0.0}, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_distribution_is_refused_in_one_line(value):
    with pytest.raises(TypeError, match=r"Expected q to be a distribution; got .*") as raised:
        distributions.resolve(value, "q")
    assert "\n" not in str(raised.value).split("\n-----")[0]


def test_a_record_says_what_it_does_not_know():
    nameless = records.Family(name="Bare", parameters=lambda: (), log_prob=lambda params, x: -x * x)
    with pytest.raises(TypeError, match=r"whose mass can be located; got Bare"):
        dj.quadrature(records.Density(nameless, ()), distrax.Normal(0.0, 1.0))
