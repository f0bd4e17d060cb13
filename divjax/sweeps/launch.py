"""Several processes of one sweep on this machine, for trial: each on its own cores, one bar over all of them."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from divjax.sweeps.filling import MARKS
from divjax.sweeps.marks import standing
from divjax.sweeps.progress import EXIT, handling, reporter
from divjax.sweeps.store import LEDGER
from divjax.sweeps.table import Tally
from divjax.sweeps.table import total as summed

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
POLL = 0.2  # seconds


def launch(
    command: Callable[[str, int], list[str]],
    count: int,
    *,
    store: Path,
    total: int,
    progress: bool | Callable[[int, int], Any] = False,
) -> tuple[int, str]:
    """Starts ``command(address, index)`` for each of ``count`` processes and waits for all; they fill ``store``.

    None is stopped because another has died. Ctrl-C and SIGTERM are handed on to all.

    -> (exit code: 0, the highest one, 128 plus its number for a signal; what they said on stderr, each line once)
    """
    with ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        address = f"127.0.0.1:{free_port()}"
        commands = [command(address, index) for index in range(count)]
        children = [
            start(*each, cores) for *each, cores in zip(commands, errors, divided(cores_here(), count), strict=True)
        ]
        came = stack.enter_context(handed_on(children))
        report = stack.enter_context(reporter(progress, total, tallied(store)))
        while None in [child.poll() for child in children]:
            report()
            time.sleep(POLL)
        report()
        said = [line for error in errors for line in lines(error)]
    codes = [child.returncode if child.returncode >= 0 else 128 - child.returncode for child in children]
    return (EXIT[came[0]], "") if came else (max(codes), "\n".join(dict.fromkeys(said)))


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
    child = subprocess.Popen(command, env=environment, stderr=error, start_new_session=True)
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
