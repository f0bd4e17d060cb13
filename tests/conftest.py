import gc
import os
from pathlib import Path

import jax
import pytest

SLOW = Path(__file__).with_name("slow_tests.txt")
MAPS, MOST = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
# Most of the tests' time goes into compiling. The slow ones run as a user's program does; the others, which compile
# much and compute little, without LLVM's optimisations.
QUICK = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"


def pytest_configure(config):
    if config.option.markexpr == "not slow":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()


def pytest_collection_modifyitems(items):
    """Marks as slow what slow_tests.txt lists, a node id a line: mostly single cases of a parametrised test."""
    slow = set(SLOW.read_text().splitlines())
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def x64():
    with jax.enable_x64(True):  # noqa: FBT003
        yield


@pytest.fixture(autouse=True)
def _room_for_programs():
    """Drop the compiled programs before there are too many of them for one process.

    Each is loaded into pages of its own, three mappings or more, until its function is collected. Where the process
    has as many mappings as Linux allows, 65530 unless told otherwise, LLVM's allocations fail and the next compilation
    is a segmentation fault. What is still wanted is compiled again: hence only at half of what is allowed.
    """
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > int(MOST.read_text()) // 2:
        jax.clear_caches()
        gc.collect()
