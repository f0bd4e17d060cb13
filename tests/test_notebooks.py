"""The notebooks: as committed they have run and name no machine; in fast mode they run, and their asserts hold."""

import ast
import os
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.flags import QUICK

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|root|home|usr|opt|var|mnt)/")
LARGEST, ALL = 10**6, 3 * 10**6  # bytes
LINES, DEF = 15, 8

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def program(cell):
    """Without the lines that are IPython's own."""
    return "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))


def shows(cell):
    """Whether a cell prints or displays, in full mode and not in a function."""
    tree = ast.parse(program(cell))
    calls = [node for part in tree.body if not isinstance(part, ast.FunctionDef) for node in ast.walk(part)]
    names = {node.func.id for node in calls if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return bool(names & {"print", "display"})


def written(output):
    """All text in an output."""
    data = output.get("data", {}).items()
    return output.get("text", "") + "".join(str(text) for kind, text in data if "image" not in kind)


def test_there_are_notebooks_and_they_are_small():
    sizes = [path.stat().st_size for path in NOTEBOOKS]
    assert len(NOTEBOOKS) >= 5
    assert max(sizes) < LARGEST
    assert sum(sizes) < ALL


@every
def test_it_is_committed_as_it_ran(path):
    notebook, cells = read(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [cell.source for cell in cells if shows(cell) and not cell.outputs]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}


@every
def test_it_names_no_machine(path):
    notebook, cells = read(path)
    texts = [cell.source for cell in notebook.cells] + [written(output) for cell in cells for output in cell.outputs]
    assert not [text for text in texts if MACHINE.search(text) or "Warning" in text]


@every
def test_its_cells_are_short(path):
    """What takes more is missing in the package."""
    for cell in read(path)[1]:
        lines = program(cell).splitlines()
        # Imports are no logic.
        assert len([line for line in lines if line and not line.startswith(("import ", "from "))]) <= LINES, cell.source
        for node in ast.walk(ast.parse(program(cell))):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < DEF, node.name


@every
def test_it_has_a_fast_mode_and_ends_in_asserts(path):
    cells = read(path)[1]
    assert 'FAST = "DIVJAX_FAST" in os.environ' in cells[0].source
    assert "assert " in cells[-1].source


@every
def test_it_is_in_the_documentation(path):
    assert path.name in (ROOT / "docs" / "notebooks.md").read_text()
    assert path.name in (ROOT / "README.md").read_text()


@pytest.mark.slow
@every
def test_it_runs_in_fast_mode(path, tmp_path, monkeypatch):
    """In a kernel of its own, that compiles without LLVM's optimisations. No warning, and no file left behind."""
    notebook, _ = read(path)
    monkeypatch.setenv("DIVJAX_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {QUICK}")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output.text for output in outputs if output.get("name") == "stderr" and "Warning" in output.text]
    assert not list(tmp_path.iterdir())
