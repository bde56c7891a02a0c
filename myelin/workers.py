"""Several processes that segment images of one run, each with an engine of its own: `--workers N`.

The run itself stays in the process that was started: it alone writes masks and `run.json`. What
comes out does not depend on who computed it, so the files are those of one process.
"""

import multiprocessing
import os
import queue
import signal
import threading
from multiprocessing.connection import wait

from myelin.cli import UserError
from myelin.engine import WORKERS, open_engine
from myelin.stopping import SIGNALS, temporary_files
from myelin.work import Segmenter, as_bits, from_bits, use_threads

GRACE_S = 5  # for a process to end before it is killed


class Team:
    """Processes that do the work of a `work.Segmenter`, which may be called by many threads.

    Parameters
    ----------
    count : int
    setup : work.Setup
    opening : tuple
        The arguments of `engine.open_engine`.

    Attributes
    ----------
    width : int
        How many calls keep it busy.
    """

    def __init__(self, count, setup, opening):
        self.width = count * WORKERS
        self.free, self.lines = queue.SimpleQueue(), []
        context = multiprocessing.get_context("spawn")  # a fork would copy threads of the engine
        threads = max(1, processors() // count)
        self.processes = []
        for _ in range(count):
            pairs = [context.Pipe() for _ in range(WORKERS)]
            theirs = [end for _, end in pairs]
            process = context.Process(target=serve, args=(theirs, setup, opening, threads))
            process.daemon = True
            process.start()
            for end in theirs:
                end.close()  # so that a line ends with its process
            self.processes.append(process)
            self.lines += [end for end, _ in pairs]
        for line in self.lines:
            self.free.put(line)

    def __call__(self, index, choice, users):
        """Have an image segmented, see `work.Segmenter`."""
        line = self.free.get()
        try:
            line.send((index, choice, users))
            found = line.recv()
        except (EOFError, OSError):
            raise UserError(
                "--workers: one of the processes has ended, perhaps for lack of memory, take fewer "
                "and go on with --resume"
            ) from None
        self.free.put(line)
        if isinstance(found, BaseException) and not isinstance(found, UserError):
            raise found
        return from_bits(found)

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


def processors():
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---------------------------------------------------------------- in the other process


def serve(lines, setup, opening, threads):
    """Open an engine and answer on some lines until they end."""
    for number in SIGNALS:  # the run says what stopped it, and ends this process
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_now)
    threading.Thread(target=end_with_parent, daemon=True).start()
    use_threads(threads)
    segmenter = Segmenter(setup, open_engine(*opening, threads=threads))
    hands = [threading.Thread(target=answer, args=(line, segmenter)) for line in lines]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()


def answer(line, segmenter):
    """Do what comes on a line; a mask goes back as bits."""
    while True:
        try:
            job = line.recv()
        except (EOFError, OSError):
            return
        try:
            found = as_bits(segmenter(*job))
        except BaseException as error:  # for the run to say what it is
            found = error
        line.send(found)


def end_with_parent():
    """End this process when the run's is gone, so that nothing is written after it."""
    wait([multiprocessing.parent_process().sentinel])
    end_now()


def end_now(*_):
    """Remove temporary files and end, without a word."""
    for path in list(temporary_files):
        path.unlink(missing_ok=True)
    os._exit(0)
