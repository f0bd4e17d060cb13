"""Several processes on this machine, started as the command line does it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy_sweep
import xarray

from divjax.sweeps import launch
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
