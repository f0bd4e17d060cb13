"""One sweep at a time on one store: locks that die with their process.

Every process of a run holds its own file, ``INDEXofCOUNT.lock``, by ``flock``. The kernel drops the lock when the
process ends, however it ends, so what a killed sweep left never stands in the way. A sweep that meets another's lock is
refused, unless both are processes of one run: the same COUNT, another INDEX.

On network file systems: NFS (Linux 2.6.12 and later) and Lustre mounted with ``flock`` hold across hosts; Lustre with
``localflock`` holds within each host; where there are no locks at all the sweep warns and goes on. Nothing breaks then:
two sweeps of one configuration write the same files, each renamed into place whole. They only do the work twice.
"""

import errno
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from divjax.sweeps.processes import Member, began

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PATIENCE = 1.0  # seconds: processes of one run look at each other's locks while they start
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(folder: Path, member: Member) -> Iterator[None]:
    """Holds the lock of one process of a run. A clean end removes the file; any other leaves it, without its lock, so
    that the others see that they need not wait.

    Raises:
        FileExistsError: another sweep runs on this store.
    """
    path = folder / lock_name(member)
    descriptor = acquire(folder, member)
    done = False
    try:
        yield
        done = True
    finally:
        if done or member.count == 1:
            path.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)


def acquire(folder: Path, member: Member) -> int | None:
    """The locked file's descriptor; None where the file system has no locks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        descriptor, reason = attempt(folder, member)
        if reason is None:
            return descriptor
        if descriptor is not None:
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise FileExistsError(
                f"Expected {folder.parent} to be free; got another sweep that is running on it ({reason}). "
                "Wait for its end, or stop it: what it has finished is kept."
            )
        time.sleep(0.02)


def attempt(folder: Path, member: Member) -> tuple[int | None, str | None]:
    """-> (descriptor, who is in the way)."""
    path = folder / lock_name(member)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    got = flock(descriptor)
    if got is None:
        os.close(descriptor)
        warnings.warn(
            f"No file locks on {folder.parent}: nothing keeps a second sweep from doing the same work.", stacklevel=2
        )
        return None, None
    # A lock on a file that was removed meanwhile is a lock on nothing.
    if not got or not same_file(descriptor, path):
        return descriptor, path.stem
    os.utime(descriptor)
    for other in sorted(folder.glob("*.lock")):
        if other != path and not is_of_this_run(other, member) and not cleared(other) and count(other) != member.count:
            return descriptor, other.stem
    return descriptor, None


def is_of_this_run(path: Path, member: Member) -> bool:
    """Whether a process took the lock that had begun with this one. Killed since, it leaves the file to tell by."""
    with suppress(FileNotFoundError):
        return count(path) == member.count and path.stat().st_mtime >= began()
    return False


def is_held(path: Path) -> bool | None:
    """Whether a living process holds the lock; None where there are no locks to tell by. No file: not held."""
    with suppress(FileNotFoundError), tried(path) as got:
        return None if got is None else not got
    return False


def cleared(path: Path) -> bool:
    """Removes the file of a process that was killed, and says whether it was one. It is ours while it goes: who
    opened it meanwhile and locks it next finds that it is gone."""
    with suppress(FileNotFoundError), tried(path) as got:
        if got:
            path.unlink(missing_ok=True)
        return bool(got)
    return True


@contextmanager
def tried(path: Path) -> Iterator[bool | None]:
    """``flock`` of a file that is there, let go of on leaving.

    Raises:
        FileNotFoundError: it is not.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield flock(descriptor)
    finally:
        os.close(descriptor)


def flock(descriptor: int) -> bool | None:
    """Whether the lock was free and is ours now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def same_file(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def lock_name(member: Member) -> str:
    return f"{member.index}of{member.count}.lock"


def count(path: Path) -> int:
    return int(path.stem.partition("of")[2])
