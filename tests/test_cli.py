"""The command line as a user meets it: real processes, real files."""

import hashlib
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import xarray
from scipy import stats
from sklearn.datasets import load_iris

from divjax.cli import main
from divjax.inputs.text import read_csv
from divjax.studies.sample.read import read_column
from divjax.sweeps import product, sweep
from divjax.training.iteration import Iteration

SWEEP = ["sweep", "--separations", "4,16", "--seeds", "3", "--divergences", "kl,reverse_kl"]


ENVIRONMENT = {"JAX_PLATFORMS": "cpu"}


def divjax(*arguments, cwd=None):
    environment = os.environ | ENVIRONMENT
    return subprocess.run(
        [sys.executable, "-m", "divjax", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=600,
        check=False,
    )


def here(*arguments):
    """The same in this process, where importing JAX once is enough."""
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error), pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return subprocess.CompletedProcess(arguments, stop.value.code or 0, out.getvalue(), error.getvalue())


def check_refused(run, *words):
    """One line on stderr, exit code 2, no traceback, nothing printed as a result."""
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "demo"
    return out, divjax(*SWEEP, "--out", out)


def content(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).rglob("*") if path.is_file()}


def test_sweep_prints_the_post_beside_ours_and_writes_table_and_figures(swept):
    out, run = swept
    assert run.returncode == 0, run.stderr
    assert "published in the post: μ = 8, σ = 8.06" in run.stdout
    assert "kl" in run.stdout
    assert "8.000  8.062" in run.stdout
    assert "68.9 %" in run.stdout
    assert "12 fits: 12 converged" in run.stdout
    for name in ("figure_1.png", "optima.png", "separation.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_store_has_the_named_variables_and_dimensions(swept):
    table = xarray.open_zarr(swept[0] / "sweep.zarr").load()
    assert table["loc"].dims == ("divergence", "separation", "seed")
    assert table["mode_mass"].dims == ("divergence", "separation", "seed", "mode")
    names = "loc scale value grad_norm steps status unrealistic_rate mode_mass basin"
    assert set(table.data_vars) == set(names.split())
    at = table.sel(divergence="kl", separation=16)
    np.testing.assert_allclose(at["loc"], 8.0, atol=1e-3)
    np.testing.assert_allclose(at["scale"], np.sqrt(65.0), atol=1e-3)
    assert set(np.unique(at["basin"])) == {-1}


def test_the_same_command_reads_what_is_there(swept):
    before = content(swept[0] / "sweep.zarr")
    again = divjax(*SWEEP, "--out", swept[0])
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[:6] == swept[1].stdout.splitlines()[:6]
    assert content(swept[0] / "sweep.zarr") == before


def test_another_configuration_is_refused_and_nothing_is_overwritten(swept):
    before = content(swept[0])
    check_refused(here(*SWEEP, "--weights", ".7,.3", "--out", swept[0]), "sweep.zarr", "config.weights")
    check_refused(here(*SWEEP[:3], "--seeds", "2", "--divergences", "kl", "--out", swept[0]), "sweep.zarr")
    assert content(swept[0]) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--divergences", "kl,jensen_shanon"), ("reverse_kl", "'jensen_shannon'", "'jensen_shanon'")),
        (("--seeds", "0"), ("from 1 to 10^8", "got 0")),
        (("--seeds", "many"), ("--seeds",)),
        (("--weights", ".5,.6"), ("sum to 1", "1.1")),
        (("--weights", "-.5,1.5"), ("≥ 0",)),
        (("--weights", "1"), ("two weights",)),
        (("--scales", "0,1"), ("scales > 0",)),
        (("--scales", "1,inf"), ("finite",)),
        (("--separations", "1,nan"), ("finite separations",)),
        (("--separations", "0:16"), ("START:STOP:COUNT",)),
        (("--separations", "4,4"), ("different separations",)),
        (("--wieghts", ".5,.5"), ("--wieghts",)),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_settings_are_one_line(arguments, words, tmp_path):
    check_refused(here("sweep", *arguments, "--out", tmp_path / "x"), *words)
    assert not (tmp_path / "x").exists()


def test_fit_does_not_draw_over_the_picture_of_other_data(tmp_path):
    """Of a file of the same name, say; the same data are drawn again."""
    for folder, last in (("a", 3.0), ("b", 4.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(f"x\n1.0\n2.0\n{last}\n")
    drawn = [here("fit", tmp_path / folder / "x.csv", "--divergences", "kl", "--out", tmp_path) for folder in "aab"]
    assert [run.returncode for run in drawn] == [0, 0, 2]
    assert "fit_x_x.png" in drawn[2].stderr
    assert "Name another --out" in drawn[2].stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["fit_x_x.png"]


def test_out_that_is_an_address_is_refused(tmp_path, monkeypatch):
    """Not made as a folder of that name."""
    monkeypatch.chdir(tmp_path)
    check_refused(here(*SWEEP, "--out", "s3://bucket/demo"), "folder of this machine")
    step = Iteration(lambda case: case["a"], lambda state, _: state, lambda _: True, lambda state, _: state)
    with pytest.raises(ValueError, match="folder of this machine"):
        sweep({"step": step}, product(a=[1.0]), store="s3://bucket/demo")
    assert not list(tmp_path.iterdir())


def test_a_platform_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "JAX_PLATFORMS", "cuda")
    check_refused(divjax("likelihood", "--out", tmp_path), "a device of JAX_PLATFORMS=cuda")


def test_out_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "x").write_text("mine")
    check_refused(here(*SWEEP, "--out", tmp_path / "x"), "folder")
    assert (tmp_path / "x").read_text() == "mine"


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """scikit-learn's bundled iris as the CSV that a user would have."""
    path = tmp_path_factory.mktemp("iris") / "iris.csv"
    data = load_iris()
    rows = [
        ",".join([*map(str, row), data.target_names[kind]]) for row, kind in zip(data.data, data.target, strict=True)
    ]
    path.write_text("\n".join([",".join([*data.feature_names, "species"]), *rows]) + "\n")
    return path, data.data[:, 2]


def test_fit_of_iris_petal_lengths(iris, tmp_path):
    path, x = iris
    run = divjax("fit", path, "--column", "petal length (cm)", "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    rows = {line.split()[0]: line.split() for line in run.stdout.splitlines() if line[:1] in "kwe" and "%" in line}
    loc, scale = float(rows["kl"][1]), float(rows["kl"][2])
    assert loc == pytest.approx(x.mean(), abs=1e-3)
    assert scale == pytest.approx(x.std(), abs=1e-3)
    assert float(rows["kl"][3]) == pytest.approx(-stats.norm.logpdf(x, x.mean(), x.std()).mean(), abs=1e-3)
    # The fit is densest where the flowers are sparse: fewer than the Gaussian itself has there.
    assert float(rows["kl"][4]) < 19.7 - 5
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_fit_reads_npy(tmp_path):
    x = np.random.default_rng(0).normal(1e6, 3.0, 500)
    np.save(tmp_path / "x.npy", x)
    run = here("fit", tmp_path / "x.npy", "--divergences", "kl")
    assert run.returncode == 0, run.stderr
    assert "1e+06" in run.stdout
    assert f"{x.std():.5g}" in run.stdout


def test_bad_files_are_one_line(tmp_path):
    def file(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    cases = [
        (file("words.csv", "a,b\nx,y\nz,w\n"), (), ("numbers", "a, b")),
        (file("nan.csv", "a\n1\nnan\n3\n4\n"), (), ("1 NaN", "Drop")),
        (file("gap.csv", "a\n1.5\n2,3\n"), (), ("cells",)),
        (file("one.csv", "a\n1\n"), (), ("2 rows", "got 1")),
        (file("same.csv", "a\n2\n2\n2\n"), (), ("different values",)),
        (file("empty.csv", ""), (), ("empty",)),
        (file("two.csv", "a,b\n1,2\n3,5\n"), (), ("--column", "a, b")),
        (file("two.csv", "a,b\n1,2\n3,5\n"), ("--column", "c"), ("'c'", "a, b")),
        (file("good.csv", "a\n1\n2\n4\n"), ("--divergences", "jensen_shannon"), ("density",)),
        (file("good.csv", "a\n1\n2\n4\n"), ("--divergences", "klx"), ("'kl'",)),
        (file("text.npy", "not an array"), (), (".npy",)),
        (file("x.txt", "1\n2\n"), (), (".csv.gz or .npy",)),
        (tmp_path / "none.csv", (), ("does not exist",)),
        (tmp_path, (), ("folder",)),
    ]
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    cases.append((tmp_path / "objects.npy", (), ("cannot be read",)))
    for path, arguments, words in cases:
        check_refused(here("fit", path, *arguments), *words)


def test_a_column_that_is_mostly_empty_is_no_column_to_fit(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("a,b,c\n1,,x\n2,,y\n4,3,z\n,5,w\n")
    name, x = read_column(path, None)
    assert name == "a"
    np.testing.assert_array_equal(x, [1.0, 2.0, 4.0, np.nan])
    assert read_csv(path).columns == ("a", "b")


def test_help_and_version():
    assert "sweep" in here("--help").stdout
    assert here("--version").stdout.strip() == "0.1.0"
    assert here().returncode == 0


def test_an_error_in_a_real_process_leaves_no_traceback():
    check_refused(divjax("sweep", "--divergences", "klx"), "'kl'")


@pytest.mark.parametrize(
    ("command", "picture"),
    [("sweep", "figure_1.png"), ("adversarial", "line.png"), ("digits", "digits.png"), ("topics", "topics.png")],
)
def test_a_picture_of_someone_else_is_not_overwritten(tmp_path, command, picture):
    (tmp_path / picture).write_bytes(b"mine")
    check_refused(here(command, "--out", tmp_path), picture, "Name another --out")
    assert content(tmp_path) == {tmp_path / picture: hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("huszar", "--weights", ""), "weights"), (("huszar", "--weights", "1.5"), "weights in"),
     (("huszar", "--separation", "-1"), "--separation"), (("huszar", "--separation", "nan"), "--separation"),
     (("huszar", "--seeds", "0"), "--seeds"), (("phase", "--family", "beta"), "family out of"),
     (("phase", "--orders", "1"), "--orders"), (("phase", "--separations", "3"), "two --separations"),
     (("adversarial", "--target", "ring", "--separations", "2"), "--target line alone"),
     (("remedy", "--seeds", "0"), "--seeds >= 1"), (("likelihood", "--seeds", "1"), "--seeds >= 2"),
     (("likelihood", "--separation", "nan"), "--separation"), (("topics", "--sizes", "1,x"), "sizes as numbers"),
     (("topics", "--sizes", "0"), "whole numbers from 1 to 24"), (("topics", "--sizes", "2,2"), "different sizes"),
     (("likelihood", "--separation", "0"), "between 0 and 1000"),
     (("digits", "--models", "diffusion"), "models out of fresh"),
     (("digits", "--steps", "-1"), "--steps >= 0")],
)  # fmt: skip
def test_studies_refuse_what_means_nothing(tmp_path, arguments, words):
    check_refused(here(*arguments, "--out", tmp_path / "out"), words)
    assert not (tmp_path / "out").exists()
