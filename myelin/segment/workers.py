"""Several processes that segment images of one run, each with an engine of its own: `--workers N`.

The process that was started is one of them, and it alone writes masks and `run.json`. What comes
out does not depend on who computed it, so the files are those of one process.
"""

import contextlib
import functools
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from multiprocessing.connection import wait

from myelin.network.engine import WORKERS, open_engine
from myelin.runtime.cli import UserError, new_bar, shown
from myelin.runtime.stopping import leave_to_parent, spawn_ignoring_sigint, temporary_files
from myelin.segment.segmenter import Segmenter, as_bits, from_bits, use_threads

GRACE_S = 5  # for a process to end before it is killed


class Team:
    """Processes that do the work of a `work.Segmenter`, which may be called by many threads.

    Parameters
    ----------
    count : int
        Of processes, with the one that this is called in.
    segmenter : work.Segmenter
        What this process works with.
    opening : tuple
        The arguments of `engine.open_engine` in the others.

    Attributes
    ----------
    width : int
        How many calls keep it busy.
    """

    def __init__(self, count, segmenter, opening):
        self.width = count * WORKERS
        self.free, self.lines, self.processes = queue.SimpleQueue(), [], []
        context = multiprocessing.get_context("spawn")  # a fork would copy threads of the engine
        for _ in range(count - 1):
            pairs = [context.Pipe() for _ in range(WORKERS)]
            theirs = [end for _, end in pairs]
            process = context.Process(target=serve, args=(theirs,), daemon=True)
            with spawn_ignoring_sigint():
                process.start()
            for end in theirs:
                end.close()  # so that a line ends with its process
            self.processes.append(process)
            self.lines += [end for end, _ in pairs]
        # When all have started, as each takes it after its imports. Given at the start, it would be
        # cut off by Ctrl-C, and the process would say so.
        for line in self.lines[::WORKERS]:
            with lost_said():
                line.send((segmenter.setup, opening, threads_beside(count - 1)[0]))
        asks = [functools.partial(ask_on, line) for line in self.lines]
        # Each process in turn, as each takes one scan at a time. This one is first: it is ready at
        # once, the others in a second or two.
        for turn in range(WORKERS):
            for ask in [segmenter, *asks[turn::WORKERS]]:
                self.free.put(ask)

    def __call__(self, *job):
        """Have an image segmented, see `work.Segmenter`."""
        ask = self.free.get()
        try:
            return ask(*job)
        finally:
            self.free.put(ask)  # after an error too, or other calls would wait without an end

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.processes if kind else ():
            process.terminate()
        for line in () if kind else self.lines:
            line.close()
        for process in self.processes:
            process.join(GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()


def ask_on(line, *job):
    """Have an image segmented by the process at the end of a line, see `work.Segmenter`."""
    bar = None
    try:
        with lost_said():
            line.send(job)
            while isinstance(found := line.recv(), dict):
                bar = new_bar(**found) if bar is None else bar
                bar.update(found["initial"] - bar.n)
    finally:
        if bar is not None:
            bar.close()
    if isinstance(found, BaseException) and not isinstance(found, UserError):
        raise found
    return from_bits(found)


@contextlib.contextmanager
def lost_said():
    """Say it where a line has lost its process."""
    try:
        yield
    except (EOFError, OSError):
        raise UserError(
            "--workers: one of the processes has ended, perhaps for lack of memory, take fewer "
            "and go on with --resume"
        ) from None


def processors():
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_beside(others):
    """Return the threads of this process' engine for large and for small frames, None for all.

    Small frames find the scale, before the others begin.
    """
    return (max(1, processors() // (others + 1)), processors()) if others > 0 else (None, None)


# ---------------------------------------------------------------- in the other process


def serve(lines):
    """Open the engine that the first of some lines asks for, and answer on all until they end."""
    leave_to_parent()
    signal.signal(signal.SIGTERM, end_now)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        setup, opening, threads = lines[0].recv()
    except (EOFError, OSError):
        return
    use_threads(threads)
    segmenter = Segmenter(setup, open_engine(*opening, threads=threads))
    hands = [threading.Thread(target=answer, args=(line, segmenter)) for line in lines]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()


def answer(line, segmenter):
    """Do what comes on a line; a mask goes back as bits, and before it how far a scan is."""
    shown.bar = functools.partial(TellingBar, line)
    while True:
        try:
            job = line.recv()
        except (EOFError, OSError):
            return
        try:
            found = as_bits(segmenter(*job))
        except BaseException as error:  # for the run to say what it is
            found = portable(error)
        line.send(found)


def portable(error):
    """Return an exception that comes whole through a line, which not all of libraries do."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


class TellingBar:
    """A progress bar that the run's own process shows, told of on a line."""

    def __init__(self, line, **facts):
        self.line, self.facts = line, facts
        self.update(0)

    def update(self, count=1):
        """Say what the bar is to show."""
        self.facts["initial"] += count
        self.line.send(self.facts)

    def close(self):
        """Nothing: the bar ends with the image."""


def end_with_parent():
    """End this process when the run's is gone, so that nothing is written after it."""
    wait([multiprocessing.parent_process().sentinel])
    end_now()


def end_now(*_):
    """Remove temporary files and end, without a word."""
    for path in list(temporary_files):
        path.unlink(missing_ok=True)
    os._exit(0)
