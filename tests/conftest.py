import gc
from pathlib import Path

import jax
import pytest

MAPS, MOST = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


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
