"""Programs that commands keep: found by the next run, not harmed by one that is killed, bounded."""

import os
import signal
import subprocess
import sys

import jax

from divjax.cli import cache

PROGRAM = """
import os, signal, sys
from pathlib import Path
from divjax.cli.cache import keep_programs
keep_programs(Path(sys.argv[1]))
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.sin(x) @ x + float(sys.argv[2]))(jnp.ones((5, 5))).block_until_ready()
if len(sys.argv) > 3:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    return subprocess.run([sys.executable, "-c", PROGRAM, str(folder), *arguments], env=environment).returncode


def entries(folder):
    return {path.name: path.stat().st_ino for path in folder.glob("*-cache")}


def test_the_next_run_finds_what_was_compiled_and_a_killed_one_harms_nothing(tmp_path):
    assert run(tmp_path, "1") == 0
    first = entries(tmp_path)
    assert any(name.startswith("jit__lambda") for name in first)
    assert run(tmp_path, "2", "kill") == -signal.SIGKILL
    assert entries(tmp_path) == first
    assert run(tmp_path, "1") == 0  # nothing was compiled that was there
    assert entries(tmp_path) == first
    assert len(list(tmp_path.glob("run-*"))) == 1  # that of the killed one, until it is a day old


def test_the_oldest_go_where_there_are_too_many(tmp_path, monkeypatch):
    for age, name in enumerate("cba"):
        (tmp_path / f"{name}-cache").write_bytes(bytes(10))
        os.utime(tmp_path / f"{name}-cache", (1e9 - age, 1e9 - age))
    monkeypatch.setattr(cache, "LIMIT", 25)
    cache._prune(tmp_path)
    assert sorted(entries(tmp_path)) == ["b-cache", "c-cache"]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    before = jax.config.jax_compilation_cache_dir
    cache.keep_programs(tmp_path / "file" / "below")
    assert jax.config.jax_compilation_cache_dir == before
