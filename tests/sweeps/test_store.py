"""Sweeps on disk: round trip, refusals, resumption."""

import fcntl
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import jax.numpy as jnp
import numpy as np
import pytest
import xarray
import zarr
from toy_iterations import Traces, descent, newton

from divjax.sweeps import marks, product, sweep
from divjax.training.iteration import Iteration

CASES = product(a=[1.0, 4.0, 9.0, 100.0, 2.0], seed=range(3))
BOTH = {"newton": newton(), "descent": descent()}
NAMES = ("a_first", "s", "tail", "value", "z_last")
OPTIONS = {"chunk_size": 6, "dims": {"params.powers": ("power",)}, "config": {"tolerance": 1e-6}}


def contents(path):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def memory():
    return sweep(BOTH, CASES, **OPTIONS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "deep" / "demo.zarr"
    sweep(BOTH, CASES, store=path, **OPTIONS)
    return path


def test_plain_open_zarr_gives_the_labelled_table(finished, memory):
    table = xarray.open_zarr(finished).load()
    xarray.testing.assert_identical(table, memory)
    assert table.steps.dtype == np.int32
    assert [p.name for p in finished.parent.iterdir()] == ["demo.zarr"]


def test_a_run_chunk_is_a_stored_chunk(finished):
    root = zarr.open_group(finished, mode="r", use_consolidated=False)
    assert root["params.powers"].chunks == (1, 2, 3, 3)
    names = [f"{i}.{block}.json" for i in range(2) for block in range(3)]
    assert sorted(p.name for p in (finished / "_sweep/marks").iterdir()) == names
    assert sorted(p.name for p in (finished / "_sweep").iterdir()) == ["marks", "skeleton.json", "zarr.json"]


def test_a_finished_sweep_is_returned_without_running_or_writing(finished, memory):
    before, calls = contents(finished), []
    again = sweep(BOTH, CASES, store=finished, progress=lambda *c: calls.append(c), **OPTIONS | {"chunk_size": 2})
    xarray.testing.assert_identical(again.load(), memory)
    assert calls == [(30, 30)]
    assert contents(finished) == before


def steeper():
    return descent()._replace(done=lambda state: state[1] >= 61)


OTHERS = {
    "axes.a": lambda p: sweep(BOTH, product(a=[1.0, 4.0, 9.0, 1.0, 2.0], seed=range(3)), store=p, **OPTIONS),
    "axes.seed": lambda p: sweep(BOTH, product(a=[1.0, 4.0, 9.0, 100.0, 2.0], seed=[0]), store=p, **OPTIONS),
    "config.tolerance": lambda p: sweep(BOTH, CASES, store=p, **OPTIONS | {"config": {"tolerance": 1e-7}}),
    "iterations": lambda p: sweep({"newton": newton()}, CASES, store=p, **OPTIONS),
    "other code ran for descent": lambda p: sweep(BOTH | {"descent": steeper()}, CASES, store=p, **OPTIONS),
}


@pytest.mark.parametrize("reason", OTHERS)
def test_another_sweep_is_refused_and_the_store_untouched(finished, reason):
    before = contents(finished)
    with pytest.raises(FileExistsError, match=reason) as error:
        OTHERS[reason](finished)
    assert "\n" not in str(error.value)
    assert contents(finished) == before
    assert [p.name for p in finished.parent.iterdir()] == ["demo.zarr"]


def test_foreign_contents_are_refused_before_anything_is_traced(tmp_path):
    traces = Traces()
    (tmp_path / "notes.txt").write_text("mine")
    foreign = tmp_path / "foreign.zarr"
    xarray.Dataset({"x": ("t", np.arange(3))}).to_zarr(foreign, zarr_format=3, consolidated=False)
    before = contents(tmp_path)
    for path in (tmp_path, tmp_path / "notes.txt", foreign):
        with pytest.raises(FileExistsError, match="Choose another path"):
            sweep({"newton": newton(traces)}, CASES, store=path)
    assert traces.count == 0
    assert contents(tmp_path) == before


def test_a_store_below_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="a file above it"):
        sweep({"descent": descent()}, CASES, store=tmp_path / "notes.txt" / "demo.zarr")


def test_an_empty_directory_is_used(tmp_path):
    table = sweep({"descent": descent()}, CASES, store=str(tmp_path))
    np.testing.assert_allclose(table.gap, 0, atol=1e-4)


@pytest.mark.parametrize("stop", [6, 15, 21])
def test_an_interrupted_sweep_is_completed_and_only_what_is_missing_is_run(tmp_path, memory, stop):
    class Stop(Exception):
        pass

    def interrupt(done, total):
        if done >= stop:
            raise Stop

    path = tmp_path / "demo.zarr"
    with pytest.raises(Stop):
        sweep(BOTH, CASES, store=path, progress=interrupt, **OPTIONS)
    part = xarray.open_zarr(path).load()
    there = np.isfinite(part["params.root"].values)
    assert there.sum() == stop
    np.testing.assert_array_equal(part.steps.values[0][~there[0]], -1)
    before, calls = contents(path), []
    # Another chunk size would give other programs: the store keeps its own.
    table = sweep(BOTH, CASES, store=path, progress=lambda *c: calls.append(c[0]), **OPTIONS | {"chunk_size": 15})
    assert calls == [c for c in (0, 6, 12, 15, 21, 27, 30) if c >= stop]
    xarray.testing.assert_identical(table.load(), memory)
    after = contents(path)
    assert all(after[file] == digest for file, digest in before.items())


def test_a_mark_is_written_after_its_data(tmp_path, monkeypatch):
    path, order = tmp_path / "demo.zarr", []
    put = marks.put

    def record(file, *rest):
        order.append(str(file.relative_to(path)))
        put(file, *rest)

    monkeypatch.setattr(marks, "put", record)
    sweep({"descent": descent()}, CASES, store=path, chunk_size=6)
    each = len(order) // 3
    for block in range(3):
        *files, mark = order[block * each : (block + 1) * each]
        assert {f"gap/c/0/{block}/0", f"params.root/c/0/{block}/0"} <= set(files)
        assert all(file.endswith(f"/c/0/{block}/0") for file in files)
        assert mark == f"_sweep/marks/0.{block}.json"


def test_dtypes_survive(tmp_path):
    def result(state, case):
        return {
            "flag": state > 2,
            "byte": state.astype(jnp.uint8),
            "half": state.astype(jnp.bfloat16) / 4,
            "wave": state * (1 + 2j),
            "none": jnp.zeros((0,)),
        }

    last = Iteration(lambda c: c["x"], lambda s, c: s, lambda s: jnp.array(1) > 0, result)
    cases = product(x=np.arange(4, dtype=np.int16))
    table = sweep({"last": last}, cases, store=tmp_path / "t.zarr", chunk_size=3).load()
    xarray.testing.assert_identical(table, sweep({"last": last}, cases))
    assert {name: str(v.dtype) for name, v in table.data_vars.items()} == {
        "byte": "uint8", "flag": "bool", "half": "float32", "none": "float32", "wave": "complex64",
        "quarantined": "bool",
    }  # fmt: skip
    np.testing.assert_array_equal(table.half[0], [0, 0.25, 0.5, 0.75])
    assert table.x.dtype == np.int16


def test_a_store_gives_the_coordinates_of_vectors_too(tmp_path):
    halved = Iteration(lambda c: c["w"], lambda s, c: s * 0.5, lambda s: jnp.all(s < 0.1), lambda s, c: s.sum())
    cases = product(w=[[1.0, 2.0], [3.0, 4.0]])
    in_memory, stored = (sweep({"m": halved}, cases, store=store) for store in (None, tmp_path / "w.zarr"))
    assert "w.value" in stored.coords
    xarray.testing.assert_identical(stored.load().drop_vars("divergence"), in_memory.drop_vars("divergence"))
    (tmp_path / "w.zarr/_sweep/zarr.json").write_text("{")
    with pytest.raises(FileExistsError, match="whole ledger"):
        sweep({"m": halved}, cases, store=tmp_path / "w.zarr")


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # what is ignored in one thread is not in another
def test_threads_that_create_one_store_have_drafts_of_their_own(tmp_path, memory):
    """Of one process number on one host, as in two containers: all go on with the store of the quickest, whole."""
    for attempt in range(5):
        path = tmp_path / f"{attempt}.zarr"
        together = threading.Barrier(4)

        def run(path=path, together=together):
            together.wait()
            with suppress(FileExistsError):  # another one is running on it
                sweep(BOTH, CASES, store=path, **OPTIONS)

        with ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(run) for _ in range(4)]:
                each.result()
        xarray.testing.assert_identical(sweep(BOTH, CASES, store=path, **OPTIONS).load(), memory)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{attempt}.zarr" for attempt in range(5)]


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    left, living, new = (tmp_path / f".sweep-{name}.draft" for name in ("left", "living", "new"))
    for folder in (left, living, new):
        folder.mkdir()
    for folder in (left, living):
        (folder / "alive.lock").touch()
    with open(living / "alive.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sweep(BOTH, CASES, store=tmp_path / "demo.zarr", **OPTIONS)
    assert sorted(p.name for p in tmp_path.iterdir()) == [living.name, new.name, "demo.zarr"]


def test_a_name_as_long_as_a_name_can_be(tmp_path, memory):
    path = tmp_path / ("n" * 250 + ".zarr")
    xarray.testing.assert_identical(sweep(BOTH, CASES, store=path, **OPTIONS).load(), memory)


def test_the_status_of_a_chunk_is_written_last(tmp_path, monkeypatch):
    """Who reads while a sweep runs, and finds it, has what it is the status of."""
    written, put = [], marks.put
    monkeypatch.setattr(
        marks, "put", lambda path, *rest: (put(path, *rest), written.append(path.relative_to(tmp_path)))
    )
    some = Iteration(
        lambda case: case["a"],
        lambda state, _: state,
        lambda _: True,
        lambda state, _: dict.fromkeys(NAMES, state) | {"status": 0},
    )
    sweep({"some": some}, product(a=[1.0, 2.0]), store=tmp_path / "s", chunk_size=1)
    names = [path.parts[1] for path in written]
    of_one = len(names) // 2
    for first in (names[:of_one], names[of_one:]):
        assert set(NAMES) < set(first[:-2])
        assert first[-2:] == ["status", "_sweep"]
