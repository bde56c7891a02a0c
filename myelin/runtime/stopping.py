"""End a command on Ctrl-C or SIGTERM with one line and an exit code, without temporary files.

The package imports this first, so that a signal during the imports of a command ends it at once.
While `main` runs, within `interruptible`, the first signal raises KeyboardInterrupt, so that locks
and files are given back, and the second ends the process at once.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

TITLES = {"SIGINT": "Ctrl-C", "SIGBREAK": "Ctrl-Break"}
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]

temporary_files: set[Path] = set()  # removed when a signal ends the process at once


class State:
    """The signal that stops this process, and what its stop line adds if it can be resumed."""

    signal: int | None = None
    go_on = ""


def stop_line(number: int) -> str:
    """Return the line that is printed when a signal stops a command."""
    name = signal.Signals(number).name
    return f"stopped by {TITLES.get(name, name)}; what was finished is kept{State.go_on}"


def end_now(number: int, _frame: object = None) -> None:
    """Remove the temporary files, print the stop line, and exit without running other code."""
    for path in list(temporary_files):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        os.write(2, f"{stop_line(number)}\n".encode())
    os._exit(128 + number)


def interrupt(number: int, _frame: object) -> None:
    """Raise KeyboardInterrupt; the next signal ends the process."""
    if State.signal:
        end_now(number)
    State.signal = number
    # The traceback of an interrupt that was lost in a library's callback is of no use to a user.
    sys.unraisablehook = threading.excepthook = lambda _: None
    raise KeyboardInterrupt


def install(handler: object) -> dict:
    """Handle the signals that would end this process; return {signal: its handler before}."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ending = (signal.SIG_DFL, signal.default_int_handler, end_now)  # an ignored one stays ignored
    taken = {number: old for number, old in before.items() if old in ending}
    for number in taken:
        signal.signal(number, handler)
    return taken


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal raise KeyboardInterrupt while a block runs; restore the handlers."""
    State.signal = None
    State.go_on = ""
    before = install(interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_to_parent() -> None:
    """Ignore the signals of a terminal in a worker process; its parent terminates it."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def spawn_ignoring_sigint() -> Iterator[None]:
    """Let the processes that a block starts ignore Ctrl-C from birth; here it waits until the end.

    On POSIX they inherit that it is blocked. Another thread may receive it, so it is also held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # first: its start would unblock Ctrl-C
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


def is_command(name: str = "__main__") -> bool:
    """Return whether a command of this suite is running, not somebody's own Python.

    `name` is "__mp_main__" in a process that `multiprocessing` has started.
    """
    main = getattr(sys.modules.get(name), "__file__", None)
    return bool(main) and Path(main).resolve().parent == Path(__file__).resolve().parents[2]


if is_command():
    install(end_now)
elif is_command("__mp_main__"):
    leave_to_parent()
