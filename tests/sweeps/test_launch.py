"""Several processes on this machine, started as the command line does it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_sweep
import xarray

from divjax.sweeps import launch, lock
from divjax.sweeps.processes import Member, share

SCRIPT = Path(__file__).parent / "toy_sweep.py"


def launched(store, *arguments, **options):
    def command(address, index):
        return [
            sys.executable,
            "-W",
            "ignore",
            str(SCRIPT),
            str(store),
            *arguments,
            "--member",
            address,
            "2",
            str(index),
        ]

    return launch.launch(command, 2, store=store, total=toy_sweep.FITS, **options)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SCRIPT.parents[2]))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


@pytest.mark.slow
def test_two_processes_fill_one_store(tmp_path):
    store, calls = tmp_path / "toy.zarr", []
    code, said = launched(store, progress=lambda *call: calls.append(call))
    assert (code, said) == (0, "")
    assert calls[0] == (0, toy_sweep.FITS)
    assert calls[-1] == (toy_sweep.FITS, toy_sweep.FITS)
    assert calls == sorted(calls)
    xarray.testing.assert_identical(xarray.open_zarr(store).load(), toy_sweep.run())
    assert sorted(p.name for p in (store / "_sweep").iterdir()) == ["marks", "skeleton.json", "zarr.json"]


@pytest.mark.slow
def test_a_signal_is_handed_on_and_the_rest_is_run_by_one_process(tmp_path):
    store, sent = tmp_path / "toy.zarr", []

    def interrupt(done, _):
        if done > 4 and not sent:
            sent.append(done)
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    assert launched(store, "--pause", "0.05", progress=interrupt) == (143, "")
    assert signal.getsignal(signal.SIGTERM) == handler
    done = int(xarray.open_zarr(store)["params.root"].notnull().sum())
    assert sent[0] <= done < toy_sweep.FITS
    xarray.testing.assert_identical(toy_sweep.run(store).load(), toy_sweep.run())


@pytest.mark.slow
@pytest.mark.parametrize("index", ["0", "1"])
def test_a_death_before_the_start_ends_the_others(tmp_path, index):
    """Within seconds, where the distributed runtime would wait for it for minutes."""
    began = time.monotonic()
    code, said = launched(tmp_path / "toy.zarr", "--die", index)
    assert code > 0
    assert "no memory" in said
    assert time.monotonic() - began < 60
    assert not (tmp_path / "toy.zarr").exists()


@pytest.mark.slow
def test_processes_end_with_the_one_that_launched_them(tmp_path):
    """kill -9 of the launcher, which can hand nothing on: what was finished is kept, and nobody works on."""
    store, here = tmp_path / "toy.zarr", str(Path(__file__).parent)
    code = f"import sys, pathlib; sys.path.insert(0, {here!r}); import test_launch as t; "
    code += f"t.launched(pathlib.Path({str(store)!r}), '--pause', '0.2')"
    launcher = subprocess.Popen([sys.executable, "-c", code])
    while not list(store.glob("_sweep/marks/*.json")):
        assert launcher.poll() is None
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 30
    while any(lock.is_held(file) for file in (store / "_sweep").glob("*.lock")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = int(xarray.open_zarr(store)["params.root"].notnull().sum())
    assert 0 < done < toy_sweep.FITS


@pytest.mark.slow
def test_a_refusal_is_said_once(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code, said = launched(tmp_path)
    assert code == 1
    assert said.count("Expected") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_every_chunk_is_in_one_share():
    parts = [share((3, 5), Member(index, 4)) for index in range(4)]
    assert (sum(part.astype(int) for part in parts) == 1).all()
    assert sorted(int(part.sum()) for part in parts) == [3, 4, 4, 4]
    assert share((3, 5), Member(0, 1)).all()


def test_cores_are_divided_evenly():
    assert launch.divided([0, 1], 2) == [[0], [1]]
    assert launch.divided([2, 3, 5, 8, 9], 2) == [[2, 3], [5, 8]]
    assert launch.divided([4, 7], 3) == [[4], [7], [4]]
    assert launch.divided([], 2) == [[], []]


def test_without_a_cluster_it_is_said_what_to_give():
    code = "from divjax.sweeps import join; join()"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: Expected a cluster that JAX can ask (Slurm, Open MPI, Kubernetes, a TPU pod)" in done.stderr
