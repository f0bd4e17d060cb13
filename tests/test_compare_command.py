"""divjax compare: the command, its bad files, and its page in a real browser."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from divjax.compare import judge as compare
from divjax.compare import page, plot
from divjax.compare.read import finite_rows, read_samples
from tests.test_cli import here


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """Iris against the Gaussian that fits it best, as CSV files with columns in another order and one of words."""
    folder = tmp_path_factory.mktemp("iris")
    data = load_iris()
    rng = np.random.default_rng(0)
    names = [*data.feature_names, "species"]
    rows = [
        ",".join([*map(str, row), data.target_names[kind]]) for row, kind in zip(data.data, data.target, strict=True)
    ]
    (folder / "iris.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    fitted = rng.multivariate_normal(data.data.mean(axis=0), np.cov(data.data.T), 150)
    np.savetxt(folder / "fit.csv", fitted[:, ::-1], delimiter=",", header=",".join(names[3::-1]), comments="")
    run = here("compare", folder / "iris.csv", folder / "fit.csv", "--out", folder / "out", "--json", folder / "x.json")
    return folder, run


def test_the_same_command_draws_again_what_it_has_measured(iris, monkeypatch, tmp_path):
    """Bit by bit, and without measuring; what an interrupted one lacks is measured, and no more."""
    folder, run = iris
    shutil.copytree(folder / "out", tmp_path / "out")
    (tmp_path / "out/report.html").unlink()
    taken = []
    measure = compare.measured.measure
    monkeypatch.setattr(compare.measured, "measure", lambda name, *rest: taken.append(name) or measure(name, *rest))
    monkeypatch.setattr(compare, "_test", None)
    monkeypatch.setattr(compare, "_judged", None)
    again = ("compare", folder / "iris.csv", folder / "fit.csv", "--out", tmp_path / "out")
    kept = tmp_path / "out/measurements.json"
    for missing in ((), ("wasserstein",)):
        found = json.loads(kept.read_text())
        found["steps"] = {name: step for name, step in found["steps"].items() if name not in missing}
        kept.write_text(json.dumps(found))
        second = here(*again)
        assert second.returncode == 0, second.stderr
        assert taken == list(missing)
        assert second.stdout.split("Report:")[0].rsplit("\n", 1)[0] == run.stdout.split("Report:")[0].rsplit("\n", 1)[0]
        assert (tmp_path / "out/report.html").read_bytes() == (folder / "out/report.html").read_bytes()
        (tmp_path / "out/report.html").unlink()
    for text, words in (
        (kept.read_text()[:-20], "a damaged file"),
        ('{"comparison": "0", "steps": {}}', "another input"),
    ):
        kept.write_text(text)
        refused = here(*again)
        assert refused.returncode == 2
        assert words in refused.stderr
        assert kept.read_text() == text


@pytest.mark.slow
def test_ctrl_c_ends_a_comparison_at_once_and_leaves_what_is_whole(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("real", "generated"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((3000, 3), np.float32))
    arguments = ("compare", "real.npy", "generated.npy", "--out", "out", "--quiet")
    process = subprocess.Popen([sys.executable, "-m", "divjax", *arguments], cwd=tmp_path, stderr=subprocess.PIPE)
    kept = tmp_path / "out/measurements.json"
    while not kept.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"interrupted. What was finished is kept" in said
    assert "energy_distance" in json.loads(kept.read_text())["steps"]


def test_the_command_writes_text_json_and_a_page(iris):
    folder, run = iris
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "Verdict: " in run.stdout
    assert "left out, for not being numbers: species" in run.stdout
    found = json.loads((folder / "x.json").read_text())
    assert set(found["verdict"]) <= {"mode_dropping", "unrealistic", "memorised", "indistinguishable"}
    assert found["columns"] == load_iris().feature_names
    assert set(found["tests"]) == {"mmd", "energy", "classifier"}
    for entry in found["discrepancies"].values():
        assert entry["stderr"] >= 0.0
        assert entry["rows"] == [150, 150]
    for entry in found["fidelity"].values():
        assert 0.0 < entry["stderr"] < 0.3
        assert 0.0 < entry["real_stderr"] < 0.3
    assert run.stdout.count("std. error") == 3
    assert "Standard errors are of" in run.stdout
    page = (folder / "out" / "report.html").read_text()
    assert f"{found['fidelity']['recall']['generated']:.3f} ± {found['fidelity']['recall']['stderr']:.3f}" in page
    for name in found["discrepancies"]:
        assert name in run.stdout
    # The columns were put in the same order: marginals are those of the data, against scipy.
    x = load_iris().data
    y = np.loadtxt(folder / "fit.csv", delimiter=",", skiprows=1)[:, ::-1]
    worst = max(stats.wasserstein_distance(a / a.std(), b / a.std()) for a, b in zip(x.T, y.T, strict=True))
    assert found["discrepancies"]["wasserstein"]["value"] == pytest.approx(worst, rel=1e-4)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_else_and_says_what_its_pictures_show(iris):
    text = (iris[0] / "out" / "report.html").read_text()
    page = Page(text)
    sources = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert "{{" not in text
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) >= 4
    assert all(len(image["alt"]) > 40 for image in images)
    assert not any(tag == "script" for tag, _ in page.tags)


def test_nothing_is_overwritten(iris):
    folder, _ = iris
    before = (folder / "out" / "report.html").read_bytes()
    refused(here("compare", folder / "iris.csv", folder / "iris.csv", "--out", folder / "out"), "another report")
    files = folder / "iris.csv", folder / "fit.csv"
    refused(here("compare", *files, "--out", folder / "n", "--json", folder / "x.json"), "which exists")
    refused(here("compare", folder / "iris.csv", folder / "fit.csv", "--out", folder / "x.json"), "folder")
    assert (folder / "out" / "report.html").read_bytes() == before


def test_least_realistic_rows_of_one_column_are_on_a_line():
    x, far = np.arange(40.0)[:, None], np.linspace(0.0, 2.0, 40)
    none = np.zeros(40, int)
    e = compare.Evidence(x, x + 50.0, x, np.zeros(1), np.ones(1), far, none + 39, none > 0, none, x[:0])
    figure, words = plot.least_realistic(SimpleNamespace(evidence=e, columns=("height",)), None)
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["real", "nearest real", "generated"]
    assert ax.get_xlabel() == "height"
    assert "2.00 times" in words


def test_names_in_a_file_are_not_markup(iris, tmp_path):
    text = page._html_table(("a", "b", ""), [("<script>", "1", "& so")])
    assert "<script>" not in text
    assert "&amp; so" in text


def refused(run, *words):
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr, run.stderr


def bad_files(folder):
    """(name, content, words of the error)"""
    rng = np.random.default_rng(0)

    def save(name, array, **options):
        np.save(folder / name, array, **options)
        return folder / name

    def write(name, content):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    x = rng.normal(size=(30, 3))
    holes = x.copy()
    holes[[2, 5], 0] = np.nan, np.inf
    np.savez(folder / "two.npz", a=x, b=x)
    np.savez(folder / "objects.npz", a=np.array([{}], dtype=object))
    return [
        (save("dim.npy", x[:, :2]), ("3 columns", "got 3 columns", "2 in")),
        (save("one.npy", x[:1]), ("2 rows", "got 1")),
        (save("none.npy", x[:0]), ("empty",)),
        (save("holes.npy", holes), ("1 NaN and 1 infinite", "2 of the 30", "--drop-nan")),
        (save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True), ("never read",)),
        (save("words.npy", np.array(["a", "b"])), ("real numbers",)),
        (save("complex.npy", x + 1j), ("real numbers", "complex")),
        (save("deep.npy", np.zeros((2, 2, 2, 2, 2))), ("Reshape",)),
        (save("huge.npy", np.full((4, 3), 1e300) * np.array([1, -1, 1, -1])[:, None]), ("float",)),
        (write("pickle.npy", pickle.dumps(x)), ("pickle, which is never read",)),
        (write("cut.npy", (folder / "dim.npy").read_bytes()[:200]), ("cannot be read",)),
        (write("csv.npy", "1,2,3\n4,5,6\n"), ("table in text",)),
        (write("zip.npy", (folder / "two.npz").read_bytes()), (".npz archive",)),
        (write("npy.npz", (folder / "dim.npy").read_bytes()), (".npy file",)),
        (write("npy.csv", (folder / "dim.npy").read_bytes()), (".npy file",)),
        (write("cut.npz", (folder / "two.npz").read_bytes()[:300]), ("cannot be read",)),
        (write("text.parquet", "1,2,3\n"), ("table in text",)),
        (write("page.csv", "<html></html>"), ("HTML",)),
        (write("empty.csv", ""), ("empty",)),
        (write("blank.csv", "\n\n"), ("none",)),
        (write("head.csv", "a,b,c\n"), ("header",)),
        (write("ragged.csv", "a,b,c\n1,2,3\n1,2\n"), ("row 3",)),
        (write("twice.csv", "a,a,c\n1,2,3\n1,2,3\n"), ("twice",)),
        (write("semi.csv", "a;b;c\n1;2\n4;5;6\n"), ("cells",)),
        (write("letters.csv", "a,b\nx,y\nz,w\n"), ("column of numbers",)),
        (write("gap.csv", "a,b,c\n1,,3\n4,5,6\n"), ("1 NaN", "gap.csv")),
        (write("latin.csv", "é,b,c\n1,2,3\n".encode("latin-1")), ("cannot be read",)),
        (folder / "two.npz", ("a, b",)),
        (Path(f"{folder / 'two.npz'}:c"), ("'c'",)),
        (folder / "objects.npz", ("never read",)),
        (write("x.txt", "1,2,3\n"), (".parquet",)),
        (folder / "missing.npy", ("does not exist",)),
        (folder, ("folder",)),
    ]


def test_bad_files_are_one_line(tmp_path):
    real = tmp_path / "real.npy"
    np.save(real, np.random.default_rng(1).normal(size=(30, 3)))
    for path, words in bad_files(tmp_path):
        refused(here("compare", real, path, "--out", tmp_path / "out"), *words)
    for option, words in (
        (("--alpha", "0"), ("--alpha",)), (("--alpha", "nan"), ("--alpha",)), (("--image", "2x2"), ("--image", "3")),
        (("--seed", "-1"), ("--seed",)), (("--out", real), ("folder",)), (("--json", tmp_path), ("folder",)),
        (("--train", tmp_path / "dim.npy"), ("columns",)),
    ):  # fmt: skip
        arguments = option if option[0] == "--out" else (*option, "--out", tmp_path / "out")
        refused(here("compare", real, real, *arguments), *words)
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    for name in ("trap.npy", "trap.npz", "trap.csv", "trap.parquet"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        refused(here("compare", tmp_path / name, tmp_path / name), "pickle")
    np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    refused(here("compare", tmp_path / "objects.npy", tmp_path / "objects.npy"), "never read")
    assert not (tmp_path / "sprung").exists()


def test_rows_with_holes_are_dropped_and_counted(tmp_path):
    x = np.arange(12.0).reshape(4, 3)
    x[1, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    sample = read_samples(tmp_path / "x.npy")
    kept = finite_rows(sample, "x.npy", drop=True)
    np.testing.assert_array_equal(kept.x, x[[0, 2, 3]])
    assert "1 of 4 rows dropped" in kept.notes[0]


def test_all_formats_say_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez_compressed(tmp_path / "two.npz", x=x, y=2 * x)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "head.csv", x, delimiter=",", fmt="%.17g", header="a,b,c", comments="")
    for name in ("x.npy", "x.npz", "x.csv", "head.csv", "two.npz:x"):
        np.testing.assert_array_equal(read_samples(tmp_path / name).x, x)
    assert read_samples(tmp_path / "head.csv").columns == ("a", "b", "c")
    np.save(tmp_path / "images.npy", x.reshape(5, 4, 3))
    assert read_samples(tmp_path / "images.npy").shape == (4, 3)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")

    table = pyarrow.table({"a": [1.0, 2.0, None], "b": [1, 2, 3], "c": ["x", "y", "z"]})
    parquet.write_table(table, tmp_path / "x.parquet")
    sample = read_samples(tmp_path / "x.parquet")
    np.testing.assert_array_equal(sample.x, [[1, 1], [2, 2], [np.nan, 3]])
    assert sample.columns == ("a", "b")
    assert "c" in sample.notes[0]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:50])
    refused(here("compare", tmp_path / "cut.parquet", tmp_path / "cut.parquet"), "cannot be read")


def test_parquet_without_pyarrow_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(here("compare", tmp_path / "x.parquet", tmp_path / "x.parquet"), "divjax[parquet]")


@pytest.mark.slow
def test_odd_input_is_compared_and_said(tmp_path):
    """Identical files, constant columns, a single column, and as few rows as there can be."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=60), np.full(60, 3.0)])
    np.save(tmp_path / "x.npy", x)
    run = here("compare", tmp_path / "x.npy", tmp_path / "x.npy", "--out", tmp_path / "a")
    assert run.returncode == 0, run.stderr
    assert "identical" in run.stdout
    assert "Constant in the real rows: 1 of 2 columns" in run.stdout
    assert "Verdict: Memorisation" in run.stdout
    for n, m in ((2, 2), (25, 3)):
        np.save(tmp_path / f"{n}.npy", rng.normal(size=n))
        np.save(tmp_path / f"{n}-{m}.npy", rng.normal(size=m))
        outputs = "--out", tmp_path / f"o{n}", "--json", tmp_path / f"{n}.json"
        run = here("compare", tmp_path / f"{n}.npy", tmp_path / f"{n}-{m}.npy", *outputs)
        assert run.returncode == 0, run.stderr
        assert "not judged" in run.stdout
        json.loads((tmp_path / f"{n}.json").read_text())
    np.save(tmp_path / "same.npy", np.ones((30, 2)))
    assert here("compare", tmp_path / "same.npy", tmp_path / "same.npy", "--out", tmp_path / "s").returncode == 0


# --- A real browser -------------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def test_the_page_in_a_browser(iris, tmp_path):
    """Laid out by a real browser, off line: every picture is decoded, nothing overflows, both schemes are legible."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no chromium or chrome is installed")
    page = (iris[0] / "out" / "report.html").read_text()
    probe = """<script>addEventListener("load", () => {
      const images = [...document.images], root = document.documentElement;
      root.innerHTML = "<pre>" + JSON.stringify({
        images: images.length, decoded: images.filter(i => i.complete && i.naturalWidth > 300).length,
        shown: images.filter(i => i.getBoundingClientRect().width > 200).length,
        wide: root.scrollWidth > root.clientWidth, title: document.title,
        ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor,
        heading: document.querySelector("h1").textContent, rows: document.querySelectorAll("tbody tr").length,
        requests: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
      }) + "</pre>"; });</script></head>"""
    (tmp_path / "probe.html").write_text(page.replace("</head>", probe))
    for width, dark in ((1100, False), (390, True)):
        options = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
        run = subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={tmp_path / str(width)}", f"--window-size={width},900", "--virtual-time-budget=5000",
             *options, "--dump-dom", (tmp_path / "probe.html").as_uri()],
            capture_output=True, text=True, timeout=240, check=False,
            env=os.environ | {"HOME": str(tmp_path)},
        )  # fmt: skip
        found = json.loads(ET.fromstring(re.search(r"<pre>.*</pre>", run.stdout, re.DOTALL)[0]).text)
        assert found["images"] == found["decoded"] == found["shown"] >= 4
        assert not found["wide"]
        assert found["requests"] == 0
        assert found["rows"] >= 15
        assert found["heading"] in found["title"]
        assert contrast(found["ink"], found["paper"]) > 7


def contrast(*colors):
    """WCAG's contrast of two colours "rgb(r, g, b)"."""

    def luminance(color):
        part = np.array([int(c) for c in re.findall(r"\d+", color)[:3]]) / 255
        return np.where(part <= 0.03928, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    low, high = sorted(map(luminance, colors))
    return (high + 0.05) / (low + 0.05)
