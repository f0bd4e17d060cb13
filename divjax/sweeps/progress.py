"""What a sweep says while it runs, and how it stops when told to."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from divjax.sweeps.table import Tally

EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGHUP"):  # the terminal or the connection has gone; Windows has none
    EXIT[signal.SIGHUP] = 129


@contextmanager
def reporter(
    progress: Callable[[int, int], Any] | object, total: int, tally: Callable[[], Tally]
) -> Iterator[Callable[[], None]]:
    """A function to call when fits have finished: it moves a bar, calls the user's own, or does nothing."""
    if not progress:
        yield lambda: None
    elif callable(progress):
        yield lambda: progress(tally().fits, total)
    else:
        from tqdm import tqdm

        # Rate and time left follow from what this run does: what was there before is where the bar begins.
        with tqdm(total=total, initial=tally().fits, unit="fit", smoothing=0.1, disable=None) as bar:

            def move():
                now = tally()
                if now.converged or now.failed:
                    bar.set_postfix_str(f"{now.converged:,} converged, {now.failed:,} failed", refresh=False)
                bar.update(now.fits - bar.n)

            yield (lambda: None) if bar.disable else move


@contextmanager
def interruptible(store: Any) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C, SIGTERM or SIGHUP has come; then the sweep ends after the running chunk.

    A second one stops at once. Where there is no store nothing would be kept, and in other threads than the first
    Python has no signals to give: there they do what they did before.

    Raises:
        KeyboardInterrupt: on leaving, after Ctrl-C.
        SystemExit: on leaving, after SIGTERM, with code 143, and after SIGHUP, with 129.
    """
    if store is None or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []

    def note(number, _):
        came.append(number)
        restore()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would wait for the computation to return
        with suppress(RuntimeError):  # the signal came while stderr was being written to
            print("Stopping after the running chunk; once more to stop at once.", file=sys.stderr, flush=True)

    with handling(note) as restore:
        yield lambda: bool(came)
    if came:
        say = f"What was finished is kept in {store}; the same sweep goes on from there."
        if came[0] == signal.SIGINT:
            raise KeyboardInterrupt(say)
        print(say, file=sys.stderr, flush=True)
        raise SystemExit(EXIT[came[0]])


@contextmanager
def handling(handler: Callable[[int, Any], None]) -> Iterator[Callable[[], None]]:
    """``handler`` for Ctrl-C, SIGTERM and SIGHUP until the end, or until the function that this gives is called."""
    # Under nohup SIGHUP is ignored, and stays so.
    caught = [number for number in EXIT if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in caught}

    def restore():
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)

    try:
        yield restore
    finally:
        restore()
