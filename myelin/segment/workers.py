"""Where the images of a run are segmented: threads, processes (`--workers`) or a Dask cluster."""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool

import cv2

from myelin.network.engine import MAX_CONCURRENT_CALLS
from myelin.runtime.cli import UserError
from myelin.runtime.stopping import leave_to_parent, spawn_ignoring_sigint
from myelin.segment.image_job import Job, Outcome, segment_image

CHECK_S = 15  # between two checks that the workers are alive


class Workers:
    """The threads of this process, which overlap reading and writing with the network.

    Attributes
    ----------
    executor : concurrent.futures.Executor
    ahead : int
        Images given to the executor at a time.
    threads : int or None
        Threads of each engine; None for all processors.
    """

    threads: int | None = None

    def __init__(self, executor: concurrent.futures.Executor, ahead: int) -> None:
        self.executor, self.ahead = executor, ahead

    def submit(self, job: Job) -> concurrent.futures.Future:
        """Have an image segmented; see `image_job.segment_image`."""
        return self.executor.submit(segment_image, job)

    def explain(self, error: BaseException) -> BaseException:
        """Return the error to raise for an error in a job."""
        return error

    def check(self) -> None:
        """Raise a UserError if no worker is left."""

    def outcomes(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield the outcomes of some jobs in the order in which they end."""
        running, jobs = set(), iter(jobs)
        try:
            while True:
                for job in itertools.islice(jobs, self.ahead + 1 - len(running)):
                    running.add(self.submit(job))
                if not running:
                    return
                done, running = concurrent.futures.wait(
                    running, CHECK_S, return_when=concurrent.futures.FIRST_COMPLETED
                )
                if not done:
                    self.check()
                # Finished images first, so that they count if another one stops the run.
                for future in sorted(done, key=lambda f: f.cancelled() or bool(f.exception())):
                    yield self.outcome(future)
        finally:
            for future in running:
                future.cancel()

    def outcome(self, future: concurrent.futures.Future) -> Outcome:
        """Return the outcome of a job that has ended."""
        try:
            return future.result()
        except (Exception, concurrent.futures.CancelledError) as error:
            explained = self.explain(error)
            if explained is error:
                raise
            raise explained from None


@contextlib.contextmanager
def threads() -> Iterator[Workers]:
    """Yield the threads of this process."""
    with concurrent.futures.ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as executor:
        yield Workers(executor, MAX_CONCURRENT_CALLS)


# ---------------------------------------------------------------- processes


class Processes(Workers):
    """Processes of this computer, each with its share of the processors."""

    def submit(self, job: Job) -> concurrent.futures.Future:
        # The engine of this process stays, though it is not used: OpenVINO's stack for signals goes
        # with it, and the next Ctrl-C would crash.
        with spawn_ignoring_sigint():  # a submit may start a process
            return super().submit(job)

    def explain(self, error: BaseException) -> BaseException:
        if isinstance(error, BrokenProcessPool):
            return UserError(
                "--workers: a worker process died, possibly out of memory, use fewer --workers "
                "and --resume"
            )
        return error


@contextlib.contextmanager
def process_pool(count: int) -> Iterator[Processes]:
    """Yield a number of processes, which end with the block at the latest."""
    threads = max(1, processors() // count)
    executor = concurrent.futures.ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),  # a fork would copy threads of the engine
        start_worker,
        (threads,),
    )
    workers = Processes(executor, 2 * count)
    workers.threads = threads
    try:
        yield workers
    finally:
        executor.shutdown(cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_worker(threads: int) -> None:
    """Prepare a worker process: it leaves signals to its parent, and ends if that has died."""
    leave_to_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["TQDM_DISABLE"] = "1"  # progress bars of several processes would overlap
    for part in ("INTRAOP", "INTEROP"):
        os.environ[f"TF_NUM_{part}_THREADS"] = str(threads)
    cv2.setNumThreads(threads)


def end_with_parent() -> None:
    """Wait for the parent process to end, then end this one."""
    multiprocessing.parent_process().join()
    os._exit(1)
