"""Ctrl-C and SIGTERM at any moment: one line, an exit code that says so, no temporary files.

The package imports this first. Where a command of the suite is what runs, a signal during the
imports ends it at once; while its `main` runs, within `interruptible`, the first signal raises
KeyboardInterrupt, so that locks and files are given back, and what does not end by that is ended.
"""

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

# A step of the network may take some seconds; what is not over by then has lost the interrupt, as
# in a callback of a library.
PATIENCE_S = 15
NAMES = {"SIGINT": "Ctrl-C", "SIGBREAK": "Ctrl-Break"}
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]


temporary_files = set()  # to remove whatever happens


class State:
    """What this process has been told.

    Attributes
    ----------
    signal : int or None
        The signal that stops it.
    polite : bool
        Whether an exception can end it.
    go_on : str
        What is added to the line of a command that can go on, while it can.
    hold : bool
        Whether a signal waits until a process is started.
    held : int or None
        One that waits.
    """

    signal = None
    polite = False
    go_on = ""
    hold = False
    held = None


def stop_line(number):
    """Return what is said when a signal stops a command."""
    name = signal.Signals(number).name
    return f"stopped by {NAMES.get(name, name)}; what was finished is kept{State.go_on}"


def on_signal(number, _frame):
    """Stop: by an exception where one helps, at once where not, or when told again."""
    if State.hold:
        State.held = number
        return
    if not State.polite or State.signal:
        end_now(number)
    State.signal = number
    # Not a Thread: the main thread may hold the locks that starting one needs.
    _thread.start_new_thread(end_later, (number,))
    raise KeyboardInterrupt


def end_later(number):
    """End what has not ended in time."""
    time.sleep(PATIENCE_S)
    if State.polite or is_command():
        end_now(number)


def end_now(number):
    """Remove the temporary files, say so, and end without another line of Python."""
    for path in list(temporary_files):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        os.write(2, f"{stop_line(number)}\n".encode())
    os._exit(128 + number)


def install():
    """Take the signals that would end this process unheard; one that is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in SIGNALS}
    usual = (signal.SIG_DFL, signal.default_int_handler)
    taken = {number: handler for number, handler in before.items() if handler in usual}
    for number in taken:
        signal.signal(number, on_signal)
    return taken


@contextlib.contextmanager
def interruptible():
    """Let the first signal raise KeyboardInterrupt while a block runs; restore what was before.

    What a library or a thread prints of that exception is of no use to a user and left out.
    """
    before, State.polite, State.signal, State.go_on = install(), True, None, ""
    kept = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = unless_stopped(sys.unraisablehook)
    threading.excepthook = unless_stopped(threading.excepthook)
    try:
        yield
    finally:
        State.polite = False
        sys.unraisablehook, threading.excepthook = kept
        for number, handler in before.items():
            signal.signal(number, handler)


def unless_stopped(hook):
    """Return a hook for exceptions that says nothing once a signal has come."""
    return lambda *facts: None if State.signal else hook(*facts)


def leave_to_parent():
    """Ignore what stops the run that has started this process; the run terminates it."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def spawn_ignoring_sigint():
    """Let `multiprocessing` start processes that hear no Ctrl-C before they ignore it, on POSIX.

    What stops this process meanwhile waits, or what the new one is sent would be cut off.
    """
    State.hold = True
    try:
        with interrupts_blocked():
            yield
    finally:
        State.hold, number, State.held = False, State.held, None
        if number:
            on_signal(number, None)


@contextlib.contextmanager
def interrupts_blocked():
    """Start processes with SIGINT blocked, which they inherit; it may reach other threads here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # first: its start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_command(name="__main__"):
    """Whether what runs is a command of this suite, not somebody's Python.

    `name` is "__mp_main__" while a process that `multiprocessing` has started imports it.
    """
    main = getattr(sys.modules.get(name), "__file__", None)
    return bool(main) and Path(main).resolve().parent == Path(__file__).resolve().parents[2]


if is_command():
    install()
elif is_command("__mp_main__"):
    leave_to_parent()
