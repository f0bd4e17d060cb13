"""Several processes of one sweep on this machine, for trial: each on its own cores, one bar over all of them."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from divjax.sweeps.filling import MARKS
from divjax.sweeps.lock import lock_name
from divjax.sweeps.marks import standing
from divjax.sweeps.processes import Member
from divjax.sweeps.progress import EXIT, handling, reporter
from divjax.sweeps.store import LEDGER
from divjax.sweeps.table import Tally
from divjax.sweeps.table import total as summed

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
POLL, PATIENCE = 0.2, 3.0  # seconds: between looks; for a process that was asked to end
LAUNCHED = "DIVJAX_LAUNCHED"  # in the environment of what is started here


def launch(
    command: Callable[[str, int], list[str]],
    count: int,
    *,
    store: Path,
    total: int,
    progress: bool | Callable[[int, int], Any] = False,
) -> tuple[int, str]:
    """Starts ``command(address, index)`` for each of ``count`` processes and waits for all; they fill ``store``.

    Where one dies before it has taken its lock the others are ended: they would wait for it for minutes. One that dies
    later leaves them its marks, and they go on. Ctrl-C, SIGTERM and SIGHUP are handed on to all, and the end of this
    process reaches them too.

    -> (exit code: 0, the highest one, 128 plus its number for a signal; what they said on stderr, each line once)
    """
    since = time.time()
    with ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        address = f"127.0.0.1:{free_port()}"
        commands = [command(address, index) for index in range(count)]
        children = [
            stack.enter_context(start(*each, cores))  # its end of the pipe is closed, then it is waited for
            for *each, cores in zip(commands, errors, divided(cores_here(), count), strict=True)
        ]
        came = stack.enter_context(handed_on(children))
        report = stack.enter_context(reporter(progress, total, tallied(store)))
        late = set(range(count))  # who has not begun
        failed = None
        while None in [child.poll() for child in children]:
            late = {index for index in late if not has_begun(store, Member(index, count), since)}
            if failed is None and (lost := [children[index] for index in late if children[index].returncode]):
                failed = lost[0].returncode
                end(children)
            report()
            time.sleep(POLL)
        report()
        said = [line for error in errors for line in lines(error)]
    codes = [code if code >= 0 else 128 - code for code in ([failed] if failed else [c.returncode for c in children])]
    return (EXIT[came[0]], "") if came else (max(codes), "\n".join(dict.fromkeys(said)))


def has_begun(store: Path, member: Member, since: float) -> bool:
    with suppress(FileNotFoundError):
        return (store / LEDGER / lock_name(member)).stat().st_mtime >= since
    return False


def end(children: list[subprocess.Popen]) -> None:
    """Asked to end, and after a while made to: what waits in the distributed runtime hears no signal."""
    living = [child for child in children if child.poll() is None]
    for child in living:
        child.terminate()
    for child in living:
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def end_with_parent() -> None:
    """Ends this process, as SIGTERM does, when the one that launched it is gone: its end of our stdin is closed."""
    if os.environ.pop(LAUNCHED, None):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def tallied(store: Path) -> Callable[[], Tally]:
    """A function that reads from the marks how far a store is."""
    found = {}

    def tally():
        found.update(standing(store, store / LEDGER / MARKS, known=found))
        return summed(mark.tally for mark in found.values())

    return tally


def start(command: list[str], error: IO[str], cores: list[int]) -> subprocess.Popen:
    """On these cores alone; with one thread where it is one. In its own session: the terminal's Ctrl-C is handed on by
    us, once."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | ({"XLA_FLAGS": f"{flags} {ONE_THREAD}".strip()} if len(cores) == 1 else {})
    environment[LAUNCHED] = "1"
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=error, start_new_session=True)
    if cores:
        os.sched_setaffinity(child.pid, cores)  # at once: its threads, which are still to come, inherit it
    return child


def cores_here() -> list[int]:
    """Where this process may run; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def divided(cores: list[int], count: int) -> list[list[int]]:
    """In equal parts; if there are more processes than cores, one for each, in turns."""
    each = len(cores) // count
    return [cores[i * each : (i + 1) * each] or cores[i % max(len(cores), 1) :][:1] for i in range(count)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def handed_on(children: list[subprocess.Popen]) -> Iterator[list[int]]:
    """The signals that came, each sent to every child."""
    came: list[int] = []

    def hand_on(number, _):
        came.append(number)
        for child in children:
            child.send_signal(number)

    with handling(hand_on):
        yield came


def lines(file: IO[str]) -> list[str]:
    file.seek(0)
    return file.read().splitlines()
