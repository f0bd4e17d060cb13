"""The documentation: every program in it runs and says what its comments say, every public name is in it, it builds."""

import ast
import doctest
import functools
import http.server
import importlib
import importlib.util
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import tokenize
import types
from pathlib import Path

import distrax
import jax
import numpy as np
import optax
import pytest

import divjax as dj
from tests.flags import QUICK
from tests.test_names import PUBLIC

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {"readme": ROOT / "README.md", "home": DOCS / "index.md"} | {
    page.stem: page for page in (DOCS / "howto").glob("*.md") if page.stem != "index"
}
# Libraries that are not among those of the tests: a program that imports one runs where it is installed.
OTHERS = {"distreqx", "efax", "flowjax", "numpyro"}
# Eight seconds or more each, nearly all of it compilation.
SLOW = {
    "adversarial", "batches", "error-bars", "gradient-estimators", "home", "libraries", "many-fits",
    "mixture-gradients", "mixtures", "mode-dropping", "orders", "own-distribution", "readme", "rich-models", "sinkhorn",
}  # fmt: skip
PACKAGES = (
    "distributions", "divergences", "discretize", "exact", "logits", "models", "training", "sweeps", "diagnostics",
    "twosample", "plots", "divergences.samples",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


# --- Programs --------------------------------------------------------------------------------------------------


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def comments(program):
    """The comment that ends a line, by its number."""
    tokens = tokenize.generate_tokens(io.StringIO(program).readline)
    return {token.start[0]: token.string[1:].strip() for token in tokens if token.type == tokenize.COMMENT}


def promised(comment):
    """The value that a comment begins with, and how exact it is: ``1.394``, ``[0.1, -2.0]: words``; None if none."""
    text = re.match(r"""(?:True|False|-?inf|-?\d[\d.e-]*|[\[({].*[\])}]|'[^']*')(?=$|[:;])""", comment)
    if text is None:
        return None
    decimals = [len(digits) for digits in re.findall(r"\.(\d+)", text[0])]
    exponents = [int(power) for power in re.findall(r"\de(-?\d+)", text[0])]
    value = float(text[0]) if "inf" in text[0] else ast.literal_eval(text[0])
    return value, 0.6 * 10.0 ** (min(exponents, default=0) - max(decimals, default=0))


def agrees(value, expected, tolerance):
    if isinstance(expected, (dict, str)):
        return value == expected
    if isinstance(expected, bool):
        return bool(value) is expected
    value = np.asarray(value)
    return value.shape == np.shape(expected) and np.allclose(value, expected, rtol=0.0, atol=tolerance)


def run(program, names):
    """Runs it, statement by statement; the values of expressions are those in the comments behind them."""
    behind, checked = comments(program), 0
    for node in ast.parse(program).body:
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), "<docs>", "exec"), names)
            continue
        value = eval(compile(ast.Expression(node.value), "<docs>", "eval"), names)
        if (said := promised(behind.get(node.end_lineno, ""))) is not None:
            checked += 1
            assert agrees(value, *said), f"{ast.unparse(node)} is {value}, not {said[0]}"
    return checked


def can_run(program):
    """Whether the libraries that it imports are installed; one that is none of the others is always wanted."""
    imported = set(re.findall(r"(?m)^(?:import|from) (\w+)", program)) & OTHERS
    return all(importlib.util.find_spec(library) for library in imported)


def check(name):
    names = {"__name__": name}
    programs = [program for program in blocks(PAGES[name]) if can_run(program)]
    assert sum([run(program, names) for program in programs]) >= 1, "nothing was compared"


def test_the_first_program_of_the_readme_is_short_and_runs():
    program = blocks(PAGES["readme"])[0]
    assert len(program.splitlines()) <= 10
    assert "dj.kl(p, q)" in program
    assert run(program, {}) == 3


@pytest.mark.parametrize("name", sorted(PAGES.keys() - SLOW))
def test_the_programs_run_and_give_what_they_say(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW))
def test_the_longer_programs_run_and_give_what_they_say(name):
    """Each in a process of its own, that compiles without LLVM's optimisations."""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {QUICK}", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, name]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", sorted(PAGES))
def test_programs_fit_the_page(name):
    assert all(len(line) <= 110 for program in blocks(PAGES[name]) for line in program.splitlines())


def test_a_wrong_comment_is_found():
    assert run("1 / 3  # 0.333: a third\n", {}) == 1
    assert run("[0.5, 2.0]  # [0.5, 2.0]\n'a'  # 'a'\n1 < 2  # True\n2  # words only", {}) == 3
    for wrong in ("1 / 3  # 0.334", "[0.5]  # [0.5, 2.0]", "1 > 2  # True", "float('inf')  # 3.0", "1e-3  # 2e-3"):
        with pytest.raises(AssertionError):
            run(wrong, {})


# --- Names -----------------------------------------------------------------------------------------------------


def resolve(path):
    """The object at a dotted path. Of a module and a function of one name it is the module, as for griffe."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[cut:], found)
    raise ModuleNotFoundError(path)


def exported(package):
    """The public names of a package: what its ``__init__`` imports as itself."""
    tree = ast.parse(Path(package.__file__).read_text())
    names = [alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {alias.name for alias in names if alias.name == alias.asname and not alias.name.startswith("_")}


DIRECTIVES = {
    path: page.name for page in (DOCS / "api").glob("*.md") for path in re.findall(r"(?m)^::: (\S+)", page.read_text())
}


def test_the_api_pages_name_what_there_is():
    missing = []
    for path in DIRECTIVES:
        try:
            resolve(path)
        except (AttributeError, ModuleNotFoundError):
            missing.append(f"{DIRECTIVES[path]}: {path}")
    assert not missing


def test_a_function_in_a_module_of_its_name_is_named_in_full():
    """``divjax.fit`` would be rendered as the module ``divjax.training.fit``."""
    for path in DIRECTIVES:
        value = resolve(path)
        if getattr(value, "__module__", "").endswith(f".{getattr(value, '__name__', '')}"):
            assert path == f"{value.__module__}.{value.__name__}"


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_every_public_name_is_on_an_api_page(package):
    package = importlib.import_module(f"divjax.{package}".rstrip("."))
    # Of a divergence the page has the function of a measure, which ``divjax.door`` wraps.
    there = {id(inspect.unwrap(resolve(path))) for path in DIRECTIVES}
    missing = []
    for name in sorted(exported(package)):
        value = getattr(package, name)
        if isinstance(value, types.ModuleType):
            found = any(f".{name}." in path for path in DIRECTIVES)
        else:
            # Constants are in the text.
            found = id(inspect.unwrap(value)) in there or not (callable(value) or inspect.isclass(value))
        if not found:
            missing.append(name)
    assert not missing, f"add '::: {package.__name__}.{missing[0]}' to a page of docs/api"


def test_described_parameters_are_in_the_signature():
    """``max_steps, tol: ...`` describes two; the check of the site's builder knows no such thing."""
    described = {}
    for path in DIRECTIVES:
        text = inspect.getdoc(resolve(path)) or ""
        if inspect.isfunction(resolve(path)) and (section := re.search(r"(?ms)^Args:\n(.*?)(?=^\S|\Z)", text)):
            described[path] = re.findall(r"(?m)^(\w[\w, ]*):", textwrap.dedent(section[1]))
    assert {"divjax.training.fit.fit", "divjax.sweep"} <= set(described)
    for path, names in described.items():
        assert set(", ".join(names).split(", ")) <= set(inspect.signature(resolve(path)).parameters), path


def test_the_page_of_measurements_is_that_of_the_results():
    """``python benchmarks/page.py`` makes it so."""
    spec = importlib.util.spec_from_file_location("page", ROOT / "benchmarks" / "page.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = (DOCS / "measured.md").read_text()
    assert page.page(text) == text
    assert text.count("| NVIDIA H100") >= 1


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages
    listed = re.findall(r"\((\S+)\.md\)", (DOCS / "howto" / "index.md").read_text())
    assert set(listed) == {page.stem for page in (DOCS / "howto").glob("*.md")} - {"index"}


def test_every_picture_is_in_the_gallery():
    gallery = (DOCS / "gallery.md").read_text()
    assert {picture.name for picture in (DOCS / "images").iterdir()} <= set(re.findall(r"images/(\S+?)\)", gallery))


# --- Examples --------------------------------------------------------------------------------------------------

# Rooms whose functions have examples, every one of them: all but the figures, and the studies and their comparison.
SHOWN = {
    "catalog", "diagnostics", "discretize", "distributions", "divergences", "door", "estimation", "exact", "logits",
    "measures", "models", "status", "sweeps", "targets", "training", "twosample", "variational",
}  # fmt: skip


@functools.cache
def examples():
    """The examples of every public function, and of the classes on the API pages, by name: None where there is none."""
    finder = doctest.DocTestFinder(recurse=False)
    names = {"dj": dj, "jax": jax, "jnp": jax.numpy, "distrax": distrax, "optax": optax}
    described = [resolve(path) for path in DIRECTIVES if path.split(".")[1] not in ("studies", "compare", "plots")]
    described = [value for value in described if inspect.isfunction(value) or inspect.isclass(value)]
    found = {}
    for value in map(inspect.unwrap, [*PUBLIC.values(), *described]):
        name = f"{value.__module__}.{value.__qualname__}"
        if name.startswith("divjax.") and name not in found:
            found[name] = next(iter(finder.find(value, name, globs=dict(names))), None)
    return found


def room(name):
    """The package or module below divjax that a function is in: ``exact``, ``door``, ``divergences.kernel``."""
    package = name.split(".")[1:-2] or name.split(".")[1:-1]
    return ".".join(package)


def shown():
    """The names that have examples, by the room they are in."""
    found = {}
    for name, test in examples().items():
        if test and test.examples:
            found.setdefault(room(name), []).append(name)
    return found


@pytest.mark.parametrize("name", sorted(shown()))
def test_the_examples_in_docstrings_run(name):
    """Those of a room in one process: small arrays, closed forms, nothing that takes long to compile."""
    runner, told = doctest.DocTestRunner(verbose=False), []
    for function in shown()[name]:
        runner.run(examples()[function], out=told.append, clear_globs=False)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(told)


def test_every_public_function_has_an_example():
    there = {name for names in shown().values() for name in names}
    missing = [name for name in examples() if name.split(".")[1] in SHOWN and name not in there]
    assert [name for name in missing if inspect.isfunction(resolve(name))] == []
    assert {name.split(".")[1] for name in there} >= SHOWN
    assert sum(len(test.examples) for test in examples().values() if test) > 200


def test_a_wrong_example_is_found():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1


# --- The site --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors."""
    missing = [
        name for name in ("mkdocs", "material", "mkdocstrings_handlers") if importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (pip install divjax[docs])")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr, built.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_without_warnings(site):
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert pages <= {page.relative_to(site) for page in site.rglob("*.html")}


@pytest.mark.slow
def test_the_site_needs_no_other_host(site):
    """Links lead elsewhere; what a page loads is its own."""
    for page in site.rglob("*.html"):
        text = page.read_text()
        loads = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"?([^\s\">]+)", text)
        loads += [href for tag in re.findall(r"<link\b[^>]*>", text) for href in re.findall(r'href="?([^\s">]+)', tag)]
        assert not [url for url in loads if re.match(r"(https?:)?//", url)], page


@pytest.mark.slow
def test_every_object_is_under_its_heading(site):
    """A function as a function, not as the module of that name."""
    for path, page in DIRECTIVES.items():
        if isinstance(resolve(path), types.ModuleType):
            continue
        text = (site / "api" / page.replace(".md", ".html")).read_text()
        assert re.search(rf'doc-(function|class|attribute)">\s*<h\d id="{re.escape(path)}" class="doc', text), path


@pytest.fixture
def served(site):
    """The address of the site on this machine."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


PROBE = """<script>
  const wrong = [];
  console.error = console.warn = (...what) => wrong.push(what.join(" "));
  addEventListener("error", e => wrong.push(e.message || "not loaded: " + (e.target.src || e.target.href)), true);
  addEventListener("unhandledrejection", e => wrong.push(String(e.reason)));
  addEventListener("load", () => setTimeout(() => {
    const probe = document.createElement("pre"), images = [...document.querySelectorAll("article img")];
    probe.id = "probe";
    probe.textContent = JSON.stringify({
      wrong, title: document.title, heading: document.querySelector("h1").firstChild.textContent,
      nav: [...document.querySelectorAll("nav a")].map(a => a.textContent.trim()),
      decoded: images.every(i => i.complete && i.naturalWidth > 300), images: images.length,
      elsewhere: performance.getEntriesByType("resource").map(e => e.name)
        .filter(name => new URL(name).origin !== location.origin),
      wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      code: document.querySelectorAll("article .highlight").length,
    });
    document.body.append(probe);
  }, 1500));
</script>"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "title", "width", "code"),
    [
        ("index.html", "divjax", 1300, 1),
        ("howto/mixtures.html", "A divergence between Gaussian mixtures", 1300, 3),
        ("howto/mixtures.html", "A divergence between Gaussian mixtures", 420, 3),
        ("catalogue.html", "The catalogue", 1300, 0),
        ("gallery.html", "Gallery", 1300, 0),
        ("api/divergences.html", "Divergences of densities", 1300, 20),
    ],
)
def test_a_page_in_a_browser(site, served, tmp_path, page, title, width, code):
    """No error on the console, title, navigation and pictures there, nothing loaded from elsewhere."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no chromium or chrome is installed")
    probed = site / page.replace(".html", f".probed{width}.html")
    probed.write_text((site / page).read_text().replace("<head>", f"<head>{PROBE}", 1))
    shown = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path}", f"--window-size={width},900", "--virtual-time-budget=8000",
         "--dump-dom", f"{served}/{probed.relative_to(site)}"],
        capture_output=True, text=True, timeout=240, check=False, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    probed.unlink()
    text = re.search(r'<pre id="probe">(.*?)</pre>', shown.stdout, re.DOTALL)[1]
    found = json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert found["wrong"] == []
    assert found["elsewhere"] == []
    assert "divjax" in found["title"]
    assert title in found["heading"]
    assert {"Home", "How-to", "Catalogue", "Gallery", "Clusters", "API reference"} <= set(found["nav"])
    assert found["decoded"]
    assert found["images"] >= (page in ("index.html", "gallery.html"))
    assert not found["wide"]
    assert found["code"] >= code


if __name__ == "__main__":
    check(sys.argv[1])
