import copy
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path

import jax
import pytest

from tests.flags import PLAIN

MAPS, MOST = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
# Files whose slow tests compute more than they compile: for them a program is optimised as a user's is.
COMPUTING = {
    "test_adversarial", "test_compare", "test_digits", "test_em", "test_honesty", "test_huszar", "test_kernel",
    "test_lanes", "test_phase", "test_post_models", "test_remedy", "test_twosample",
}  # fmt: skip
NEXT_COUNT = [0.0]
GENERATORS = {}  # of the test modules, as their imports left them
# JAX's cache of compiled programs: one is read in milliseconds, so those quickly compiled are worth keeping too.
CACHE = "jax_compilation_cache_dir"
KEPT = {"jax_persistent_cache_min_compile_time_secs": 0.05, "jax_persistent_cache_min_entry_size_bytes": 0}


def pytest_configure(config):
    # Tracing makes millions of objects that stay; to look through them for garbage as often as usual is a tenth of it.
    gc.set_threshold(200_000, 50, 50)
    _share_programs(config)
    if "not slow" in config.option.markexpr or "not exhaustive" in config.option.markexpr:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {PLAIN}".strip()
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # of the processes that tests start
        jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003


def _share_programs(config):
    """One cache of compiled programs for all workers of a run and the processes that tests start.

    It is thrown away with the run, unless the caller's environment names one. The workers inherit the environment, so
    that for them it does.
    """
    if CACHE.upper() not in os.environ:
        os.environ[CACHE.upper()] = folder = tempfile.mkdtemp(prefix="divjax-programs-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    jax.config.update(CACHE, os.environ[CACHE.upper()])
    for name, value in KEPT.items():
        os.environ.setdefault(name.upper(), str(value))
        jax.config.update(name, type(value)(os.environ[name.upper()]))


@pytest.fixture(autouse=True)
def _optimised(request):
    """What computes for long is optimised; for the rest, as ``pytest_configure`` has it."""
    quick = jax.config.read("jax_disable_most_optimizations")
    if request.path.stem in COMPUTING and request.node.get_closest_marker("slow") is not None:
        jax.config.update("jax_disable_most_optimizations", False)  # noqa: FBT003
    yield
    jax.config.update("jax_disable_most_optimizations", quick)


@pytest.fixture(autouse=True)
def _own_sample(request):
    """A test draws the same numbers from its module's generator whatever ran before it."""
    if hasattr(request.module, "RNG"):
        first = GENERATORS.setdefault(request.module.__name__, copy.deepcopy(request.module.RNG))
        request.module.RNG = copy.deepcopy(first)


@pytest.fixture
def x64():
    with jax.enable_x64(True):  # noqa: FBT003
        yield


@pytest.fixture(autouse=True)
def _room_for_programs():
    """Drop the compiled programs before there are too many of them for one process.

    Each is loaded into pages of its own, three mappings or more, until its function is collected. Where the process
    has as many mappings as Linux allows, 65530 unless told otherwise, LLVM's allocations fail and the next compilation
    is a segmentation fault. What is still wanted is compiled again: hence only at half of what is allowed. Counting
    takes some milliseconds: once a second is enough.
    """
    yield
    if not MAPS.exists() or time.monotonic() < NEXT_COUNT[0]:
        return
    NEXT_COUNT[0] = time.monotonic() + 1.0
    if MAPS.read_bytes().count(b"\n") > int(MOST.read_text()) // 2:
        jax.clear_caches()
        gc.collect()
