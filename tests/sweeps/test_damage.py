"""What lies in a store is what was computed, or it is computed again: damage, second sweeps, full disks."""

import os
import resource
import shutil
import subprocess

import numpy as np
import pytest
import toy_sweep
import xarray
from toy_iterations import Traces, newton

from divjax.sweeps import lock, marks, sweep
from divjax.sweeps.processes import Member
from divjax.sweeps.table import Tally

OPTIONS = {"chunk_size": 8}  # 2 × 4 chunks


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "toy.zarr"
    toy_sweep.run(path, **OPTIONS)
    return path


@pytest.fixture
def store(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "toy.zarr")


@pytest.fixture(scope="module")
def memory():
    return toy_sweep.run(**OPTIONS)


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def empty(file):
    file.write_bytes(b"")


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def lose(file):
    file.unlink()


@pytest.mark.parametrize("damage", [cut, empty, flip, lose])
@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("params.root/c/1/2/0", 8),
        ("_sweep/marks/0.1.json", 8),
        ("seed/c/0", 0),
        ("steps/zarr.json", 0),
        ("zarr.json", 0),
    ],
)
def test_damage_is_found_and_only_that_chunk_is_run_again(store, memory, damage, file, fits):
    damage(store / file)
    calls = []
    table = toy_sweep.run(store, progress=lambda *call: calls.append(call), **OPTIONS).load()
    xarray.testing.assert_identical(table, memory)
    assert calls == [(64 - fits, 64), (64, 64)][: 2 if fits else 1]
    xarray.testing.assert_identical(xarray.open_zarr(store).load(), memory)
    assert sorted(p.name for p in (store / "_sweep").iterdir()) == ["marks", "skeleton.json", "zarr.json"]


@pytest.mark.parametrize("damage", [cut, flip])
def test_plain_readers_refuse_a_damaged_chunk(store, damage):
    damage(store / "params.root/c/1/2/0")
    with pytest.raises((ValueError, RuntimeError), match=r"checksum|size|ecompress|zstd"):
        xarray.open_zarr(store).load()


def test_a_damaged_description_is_refused(store):
    flip(store / "_sweep" / "zarr.json")
    with pytest.raises(FileExistsError, match="a whole ledger"):
        toy_sweep.run(store, **OPTIONS)


def test_damage_while_the_sweep_runs_is_not_returned(tmp_path):
    path = tmp_path / "toy.zarr"

    def spoil(done, _):
        if done == 16:
            flip(path / "params.root/c/0/0/0")

    with pytest.raises(OSError, match=r"1 less: they do not read back as written. Start the same sweep again"):
        toy_sweep.run(path, progress=spoil, **OPTIONS)
    assert len(list((path / "_sweep/marks").iterdir())) == 8


def test_a_mark_is_read_whole_or_not_at_all():
    mark = marks.Mark({"x/c/0": (12, 7)}, Tally(4, 3, 1))
    data = marks.encode(mark)
    assert marks.decode(data) == mark
    for end in range(len(data)):
        assert marks.decode(data[:end]) is None
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        assert marks.decode(bytes(altered)) is None


def test_a_store_that_must_be_new(store, tmp_path):
    traces = Traces()
    with pytest.raises(FileExistsError, match="resume=True"):
        sweep({"newton": newton(traces)}, toy_sweep.CASES, store=store, resume=False)
    assert traces.count == 0
    toy_sweep.run(tmp_path / "new.zarr", resume=False, **OPTIONS)


def test_a_finished_store_is_read_without_the_right_to_write(store, memory):
    for folder, _, files in os.walk(store):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    before = {p: p.stat().st_mtime_ns for p in store.rglob("*")}
    xarray.testing.assert_identical(toy_sweep.run(store, **OPTIONS).load(), memory)
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*")} == before
    for folder, _, _ in os.walk(store):
        os.chmod(folder, 0o755)


def test_the_second_sweep_on_a_store_is_refused(tmp_path):
    path, messages = tmp_path / "toy.zarr", []

    def second(done, _):
        if done == 8:
            with pytest.raises(FileExistsError) as refused:
                toy_sweep.run(path, **OPTIONS)
            messages.append(str(refused.value))

    toy_sweep.run(path, progress=second, **OPTIONS)
    assert len(messages) == 1
    assert "another sweep that is running on it" in messages[0]
    assert "\n" not in messages[0]


def test_who_may_run_beside_whom(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.05)
    with lock.locked(tmp_path, Member(0, 2)):
        for other in (Member(0, 2), Member(0, 1), Member(1, 3)):
            with pytest.raises(FileExistsError, match="0of2"), lock.locked(tmp_path, other):
                pass
        with lock.locked(tmp_path, Member(1, 2)):
            assert lock.is_held(tmp_path / "1of2.lock")
    (tmp_path / "2of3.lock").touch()  # of a process that was killed
    with lock.locked(tmp_path, Member(0, 1)):
        assert [p.name for p in tmp_path.iterdir()] == ["0of1.lock"]
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks_it_says_so(tmp_path, monkeypatch, memory):
    monkeypatch.setattr(lock, "fcntl", None)
    with pytest.warns(UserWarning, match="No file locks"):
        table = toy_sweep.run(tmp_path / "toy.zarr", **OPTIONS)
    xarray.testing.assert_identical(table.load(), memory)


def check_full(path, memory, run):
    """One line, what is there can be read, and the rest follows when there is room."""
    with pytest.raises(OSError, match=r"Expected room for .* make room and start the same sweep again") as full:
        run()
    assert "\n" not in str(full.value)
    part = xarray.open_zarr(path).load()
    done = part["params.root"].notnull()
    for name in part.data_vars:
        np.testing.assert_array_equal(part[name].where(done), memory[name].where(done))
    return int(done.sum())


def test_a_full_disk(tmp_path, memory):
    disk, path = tmp_path / "disk", tmp_path / "disk" / "toy.zarr"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        done = check_full(path, memory, lambda: toy_sweep.run(path, **OPTIONS))
        assert 0 < done < 64
        check_full(path, memory, lambda: toy_sweep.run(path, **OPTIONS))
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        xarray.testing.assert_identical(toy_sweep.run(path, **OPTIONS).load(), memory)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_files_that_may_not_grow(tmp_path, memory):
    path, before = tmp_path / "toy.zarr", resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(done, _):
        if done == 16:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))

    try:
        with pytest.raises(OSError, match="Expected room for"):
            toy_sweep.run(path, progress=limit, **OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert int(xarray.open_zarr(path)["params.root"].notnull().sum()) == 16
    xarray.testing.assert_identical(toy_sweep.run(path, **OPTIONS).load(), memory)


@pytest.mark.parametrize("later", [True, False])
def test_one_killed_before_this_one_began_with_the_store_is_known_by_its_file(tmp_path, monkeypatch, later):
    """Else it would be waited for as one that has yet to begin. The file of an earlier run goes."""
    dead = tmp_path / lock.lock_name(Member(1, 2))
    dead.touch()
    monkeypatch.setattr(lock, "began", lambda: dead.stat().st_mtime + (-1.0 if later else 1.0))
    with lock.locked(tmp_path, Member(0, 2)):
        assert dead.exists() is later
