"""Compiled programs of commands, kept between runs: JAX's persistent compilation cache in the user's cache folder.

JAX writes its entries in place, so that a process which is killed while it writes would leave half of one for all that
follow. Here a run has a folder of its own, of links to what is kept, and what it adds is linked back, at once or not at
all, when it ends. Several runs may share a cache.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

LIMIT = 512 * 2**20  # bytes; what was not used for longest goes first
_ENTRIES = "*-cache"
_RUN = "run-"
_DAY = 86400.0


def default_folder() -> Path:
    """``divjax/programs`` in the user's cache folder, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "divjax" / "programs"


def keep_programs(folder: Path) -> None:
    """Programs that this process compiles are found in ``folder`` by the next. Nothing where it cannot be written."""
    import jax

    try:
        folder.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix=_RUN, dir=folder))
    except OSError:
        return
    known = {entry.name for entry in folder.glob(_ENTRIES) if _linked(entry, own / entry.name)}
    atexit.register(_give_back, own, folder, known)
    jax.config.update("jax_compilation_cache_dir", str(own))
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # else the folder is part of an entry's name
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _linked(source: Path, target: Path) -> bool:
    with contextlib.suppress(OSError):  # another run may have taken it away, or put the same there
        os.link(source, target)
        return True
    return False


def _give_back(own: Path, folder: Path, known: set[str]) -> None:
    for entry in own.glob(_ENTRIES):
        if entry.name not in known:
            _linked(entry, folder / entry.name)
    shutil.rmtree(own, ignore_errors=True)
    for left in folder.glob(f"{_RUN}*"):  # of a run that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)
    _prune(folder)


def _prune(folder: Path) -> None:
    """The youngest entries that fit into the limit stay."""
    with contextlib.suppress(OSError):
        entries = sorted(((entry, entry.stat()) for entry in folder.glob(_ENTRIES)), key=lambda pair: -pair[1].st_mtime)
        total = 0
        for entry, found in entries:
            total += found.st_size
            if total > LIMIT:
                entry.unlink(missing_ok=True)
