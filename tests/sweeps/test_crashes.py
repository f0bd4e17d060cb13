"""Real processes, really killed: what they leave is completed, and is then bitwise what an undisturbed sweep gives."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_sweep
import xarray

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def memory():
    return toy_sweep.run()


def start(store, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", HERE / "toy_sweep.py", store, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1]), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def marked(store):
    """The numbers of the chunks that are marked."""
    names = [path.stem.split(".") for path in (store / "_sweep" / "marks").glob("*.json")]
    return {int(i) * toy_sweep.CASES.size + int(block) for i, block in names}


def until(condition, process, timeout=120.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def end(process, expected):
    _, error = process.communicate(timeout=120)
    assert process.returncode == expected, error
    return error


def check_resumed(store, memory, known):
    """Nothing that was marked is run again, the rest is, and the table is the undisturbed one bit by bit."""
    calls = []
    table = toy_sweep.run(store, progress=lambda *call: calls.append(call)).load()
    assert calls[0] == (known, toy_sweep.FITS)
    assert len(calls) == toy_sweep.FITS - known + 1
    xarray.testing.assert_identical(table, memory)
    for name in memory.data_vars:
        assert table[name].values.tobytes() == memory[name].values.tobytes()
    left = sorted(p.name for p in (store / "_sweep").iterdir())
    assert known == toy_sweep.FITS or left == ["marks", "skeleton.json", "zarr.json"]  # what is finished is only read
    assert [p.name for p in store.parent.iterdir()] == [store.name]


def kill_and_resume(store, memory, count, delay):
    """kill -9 so long after the chunk with this number; 0 is before there is a store."""
    process = start(store)
    until((lambda: any(store.parent.iterdir())) if count == 0 else (lambda: len(marked(store)) >= count), process)
    time.sleep(delay)
    process.kill()
    end(process, -signal.SIGKILL)
    known = len(marked(store))
    if store.exists():
        part = xarray.open_zarr(store).load()
        there = part["params.root"].notnull()
        assert known <= int(there.sum()) <= known + 1  # a chunk may be there whose mark is not
        np.testing.assert_array_equal(part["params.root"].where(there), memory["params.root"].where(there))
    check_resumed(store, memory, known)
    return known


def test_killed_while_it_writes(tmp_path, memory):
    known = kill_and_resume(tmp_path / "toy.zarr", memory, 3, 0.01)
    assert 3 <= known < toy_sweep.FITS


@pytest.mark.slow
@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_killed_at_random_moments(tmp_path, memory, times):
    draw, known = random.Random(0), []
    for k in range(times):
        (tmp_path / str(k)).mkdir()
        count = draw.choice([0, 0, 1, 5, 20, 40, 55])
        known.append(kill_and_resume(tmp_path / str(k) / "toy.zarr", memory, count, draw.uniform(0.0, 0.05)))
    assert len(set(known)) > times // 4


@pytest.mark.slow
def test_killed_again_and_again(tmp_path, memory):
    store, draw = tmp_path / "toy.zarr", random.Random(1)
    for _ in range(6):
        before = len(marked(store))
        process = start(store)
        until(lambda before=before: len(marked(store)) > before, process)
        time.sleep(draw.uniform(0.0, 0.03))
        process.kill()
        end(process, -signal.SIGKILL)
    check_resumed(store, memory, len(marked(store)))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_signals_end_it_after_the_running_chunk(tmp_path, memory, number, code):
    store = tmp_path / "toy.zarr"
    process = start(store, "--pause", 0.05)
    until(lambda: len(marked(store)) > 1, process)
    process.send_signal(number)
    error = end(process, code)
    assert "Stopping after the running chunk" in error
    assert "the same sweep goes on from there" in error
    known = len(marked(store))
    assert known < toy_sweep.FITS
    assert int(xarray.open_zarr(store)["params.root"].notnull().sum()) == known
    check_resumed(store, memory, known)


@pytest.mark.slow
def test_read_and_refused_while_another_process_runs(tmp_path, memory):
    store = tmp_path / "toy.zarr"
    process = start(store, "--pause", 0.1)
    until(lambda: len(marked(store)) > 3, process)
    part = xarray.open_zarr(store).load()
    there = part["params.root"].notnull()
    assert 3 < int(there.sum()) < toy_sweep.FITS
    np.testing.assert_array_equal(part["params.root"].where(there), memory["params.root"].where(there))
    with pytest.raises(FileExistsError, match="another sweep that is running on it"):
        toy_sweep.run(store)
    assert process.poll() is None
    process.kill()
    end(process, -signal.SIGKILL)
    check_resumed(store, memory, len(marked(store)))


def start_both(store, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [start(store, *arguments, "--member", address, 2, index) for index in range(2)]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path, memory):
    store = tmp_path / "toy.zarr"
    for process in start_both(store):
        end(process, 0)
    check_resumed(store, memory, toy_sweep.FITS)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_processes_is_killed_and_the_other_finishes(tmp_path, memory, killed):
    store = tmp_path / "toy.zarr"
    both = start_both(store, "--pause", 0.02)
    until(lambda: sum(number % 2 == killed for number in marked(store)) > 2, both[killed])
    both[killed].kill()
    end(both[killed], -signal.SIGKILL)
    assert "another process ended early. Start the same sweep again: it runs just these." in end(both[1 - killed], 1)
    there = marked(store)
    assert {number for number in range(toy_sweep.FITS) if number % 2 != killed} <= there
    assert len(there) < toy_sweep.FITS
    if killed:
        check_resumed(store, memory, len(there))
    else:
        for process in start_both(store):
            end(process, 0)
        check_resumed(store, memory, toy_sweep.FITS)
