"""The workers of a Dask cluster: `--dask ADDRESS`.

A job is sent as bytes that the worker unpickles, so that the scheduler does not need this suite.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import importlib
import logging
import pickle
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from myelin.network.engine import MAX_CONCURRENT_CALLS
from myelin.runtime.cli import UserError
from myelin.segment.image_job import Job, Outcome, check_summary, segment_image
from myelin.segment.workers import Workers

START = "python -m dask worker {} in the folder of this suite"
CONNECT_S = 10  # for a scheduler to answer


def address(text: str) -> str:
    """argparse type: the address of a scheduler, such as tcp://host:8786."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(text if "://" in text else f"tcp://{text}")
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            return f"{parts.scheme}://{parts.netloc}"
    raise argparse.ArgumentTypeError(
        f"{text!r} is not an address, use the one that the scheduler prints, such as "
        "tcp://host:8786"
    )


class DaskWorkers(Workers):
    """The workers of a cluster."""

    def __init__(self, where: str, client: object) -> None:
        ahead = MAX_CONCURRENT_CALLS * len(client.nthreads())
        super().__init__(client.get_executor(pure=False), ahead)
        self.where = where
        self.client = client
        self.checks_without_workers = 0

    def submit(self, job: Job) -> concurrent.futures.Future:
        task = pickle.dumps(RemoteCall(source_hash(), pickle.dumps(absolute(job))))
        return self.executor.submit(pickle.loads, task)

    def check(self) -> None:
        self.checks_without_workers += 1
        if self.client.nthreads():
            self.checks_without_workers = 0
        if self.client.status != "running":
            raise self.explain(concurrent.futures.CancelledError())
        if self.checks_without_workers > 1:
            raise UserError(
                f"--dask {self.where}: all workers are gone, start some with "
                f"{START.format(self.where)} and continue with --resume"
            )

    def explain(self, error: BaseException) -> BaseException:
        if isinstance(error, concurrent.futures.CancelledError):
            what = "the scheduler is gone, start it again and continue with --resume"
        elif type(error).__name__ == "KilledWorker":
            what = (
                "one image repeatedly crashed its worker, possibly out of memory, start fewer "
                "workers on a computer and continue with --resume"
            )
        elif isinstance(error, ModuleNotFoundError | AttributeError):
            what = f"a worker lacks code ({error}), start it with {START.format(self.where)}"
        else:
            return error
        return UserError(f"--dask {self.where}: {what}")


@contextlib.contextmanager
def dask_cluster(where: str) -> Iterator[DaskWorkers]:
    """Yield the workers of the cluster at an address.

    Raises
    ------
    UserError
        Dask is not installed, no scheduler answers, or it has no workers.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise UserError("--dask: not installed, run pip install 'dask[distributed]'") from None
    for name in ("distributed", "tornado"):  # one error line says enough
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    client = connect(distributed, where)
    try:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            start = START.format(where)
            raise UserError(f"--dask {where}: no workers, start some with {start}") from None
        yield DaskWorkers(where, client)
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.close(CONNECT_S)


def connect(distributed: object, where: str) -> object:
    """Return a client of a scheduler."""
    found = []

    def run() -> None:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions: the workers compare the code
            found.append(distributed.Client(where, timeout=CONNECT_S, set_as_default=False))

    # In a thread: the library waits without limit for a server that accepts but never answers.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(CONNECT_S + 1)
    if found:
        return found[0]
    raise UserError(
        f"--dask {where}: no scheduler answers there, check the address, and start one with "
        "python -m dask scheduler"
    )


def absolute(job: Job) -> Job:
    """Return a job whose paths do not depend on the current folder."""
    run, options = job.run, job.run.options
    options = dataclasses.replace(
        options, model=options.model.absolute(), out=options.out.absolute()
    )
    array = run.probabilities and run.probabilities.absolute()
    run = dataclasses.replace(run, options=options, probabilities=array)
    image = dataclasses.replace(job.image, path=job.image.path.absolute())
    return dataclasses.replace(job, run=run, image=image)


# ---------------------------------------------------------------- in the worker


class RemoteCall:
    """A call of `segment_remotely` that happens where this is unpickled."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple:
        return segment_remotely, self.arguments


def segment_remotely(source: str, pickled: bytes) -> Outcome:
    """Segment an image in a worker of a cluster.

    Parameters
    ----------
    source : str
        `source_hash` of the run.
    pickled : bytes
        The `Job`.

    Raises
    ------
    UserError
        This worker has other code, or does not see the files of the run.
    """
    from distributed import get_worker

    worker = get_worker()
    try:
        if source != source_hash():
            raise UserError("has another version of this suite, install that of the run")
        job = pickle.loads(pickled)
        job = dataclasses.replace(
            job, run=dataclasses.replace(job.run, threads=worker.state.nthreads)
        )
        for path in (job.run.options.model, job.image.path):
            if not path.exists():
                raise UserError(f"does not see {path}, every worker must see it under this path")
        check_summary(job.run)
        outcome = segment_image(job)
    except UserError as mistake:
        texts = (f"--dask: worker {worker.address}: {text}" for text in mistake.args)
        raise UserError(*texts) from None
    outcome.failed = [f"{text} (worker {worker.address})" for text in outcome.failed]
    return outcome


@functools.cache
def source_hash() -> str:
    """Return the SHA-256 of the package's source code."""
    root = Path(__file__).resolve().parents[2]
    source = hashlib.sha256()
    for path in [root / "unet.py", *sorted((root / "myelin").rglob("*.py"))]:
        source.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return source.hexdigest()
