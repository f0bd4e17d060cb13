"""``python -m divjax sweep``, killed, interrupted and in two processes: the same table in the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray

ROOT = Path(__file__).parents[2]
SWEEP = ["sweep", "--separations", "4,16", "--seeds", "3", "--divergences", "kl,reverse_kl,pearson_chi2"]

pytestmark = pytest.mark.slow


def start(out, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "divjax", *SWEEP, "--out", out, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, *codes):
    output, error = process.communicate(timeout=300)
    assert process.returncode in codes, error
    return output, error


def until_marked(out, process, num):
    while len(list((out / "sweep.zarr" / "_sweep" / "marks").glob("*.json"))) < num:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    end(start(out), 0)
    return xarray.open_zarr(out / "sweep.zarr").load()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped_and_started_again(tmp_path, undisturbed, number):
    process = start(tmp_path)
    until_marked(tmp_path, process, 1)
    process.send_signal(number)
    _, error = end(process, {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}[number])
    if number != signal.SIGKILL:
        assert "the same command goes on from there" in error
        assert "Traceback" not in error
    end(start(tmp_path), 0)
    xarray.testing.assert_identical(xarray.open_zarr(tmp_path / "sweep.zarr").load(), undisturbed)


def test_two_processes_are_the_same_table_printed_once(tmp_path, undisturbed):
    output, error = end(start(tmp_path, "--processes", 2), 0)
    assert error == ""
    assert output.count("18 fits:") == 1
    xarray.testing.assert_identical(xarray.open_zarr(tmp_path / "sweep.zarr").load(), undisturbed)
    assert (tmp_path / "optima.png").exists()


def test_one_of_the_two_is_killed_and_one_process_runs_the_rest(tmp_path, undisturbed):
    process = start(tmp_path, "--processes", 2)
    until_marked(tmp_path, process, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)  # of chunks 0 and 2
    _, error = end(process, 137)
    assert "another process ended early" in error
    assert len(error.splitlines()) == 1
    end(start(tmp_path), 0)
    xarray.testing.assert_identical(xarray.open_zarr(tmp_path / "sweep.zarr").load(), undisturbed)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--processes", 0], "--processes of at least 1"),
        (["--processes", 2, "--distributed", "auto"], "and 1 with --distributed"),
        (["--distributed", "node0/2/0"], "ADDRESS:PORT/COUNT/INDEX"),
        (["--distributed", "node0:1/2/2"], "INDEX from 0 to COUNT"),
        (["--distributed", "auto"], "Expected a cluster that JAX can ask"),
    ],
)
def test_refusals(tmp_path, arguments, words):
    output, error = end(start(tmp_path, *arguments), 2)
    assert words in error
    assert len(error.splitlines()) == 1
    assert output == ""
