"""The workers of a Dask cluster as those of a run: `--dask ADDRESS`.

An image is a task. Workers write its probability and its overlay; masks and `run.json` are written
by the run alone, as ever. A scheduler unpickles what it is sent: so that it need not have this
suite, a task is bytes, and that a worker unpickles them is what runs it.
"""

import argparse
import contextlib
import dataclasses
import importlib
import logging
import os
import pickle
import re
import threading
import warnings
from concurrent.futures import CancelledError
from pathlib import Path
from urllib.parse import urlsplit

from myelin.folders.packed import TestSet
from myelin.network.engine import WORKERS
from myelin.runtime.cli import UserError, shortened_list
from myelin.runtime.lock import mark_of
from myelin.segment.dask_worker import Order, idle, probe, size_of, software, work_on
from myelin.segment.segmenter import from_bits

INSTALL = "pip install 'dask[distributed]>=2025.1'"
START = "python -m dask worker {} in the folder of this suite"
CONNECT_S = 10  # for a scheduler to answer
READY_S = 120  # for all workers to open their engines
LOST_S = 15  # a run ends when twice in this time there is no worker
GRACE_S = 10  # for tasks that were cancelled to end


def address(text):
    """argparse type: the address of a scheduler, such as tcp://host:8786."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(text if "://" in text else f"tcp://{text}")
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            return f"{parts.scheme}://{parts.netloc}"
    raise argparse.ArgumentTypeError(
        f"{text!r} is no address, take the one that the scheduler prints, such as tcp://host:8786"
    )


@contextlib.contextmanager
def joined(options, *facts):
    """Yield the cluster that a run asks for, whose workers have what it needs; else None.

    Parameters
    ----------
    options : run_options.Options
    *facts
        As for `ordered`.

    Raises
    ------
    UserError
        No scheduler or no worker, or a worker whose results might differ; see `dask_worker.check`.
    """
    if options.dask is None:
        yield None
        return
    client = connected(library(), options.dask)
    try:
        order = ordered(options, *facts)
        yield Cluster(options.dask, client, order, check_workers(client, options.dask, order))
    finally:
        with contextlib.suppress(Exception):  # what is lost by now is nobody's
            limited(GRACE_S, client.close)


@dataclasses.dataclass
class Cluster:
    """A cluster at work for a run.

    Attributes
    ----------
    address : str
    client : distributed.Client
    order : dask_worker.Order
    workers : int
        How many it had when the run began.
    """

    address: str
    client: object
    order: Order
    workers: int


def library():
    """Return distributed, imported, quiet: what it logs is said in one line instead."""
    try:
        found = importlib.import_module("distributed")
    except ImportError:
        raise UserError(
            f"--dask: needs distributed, which is not installed, run {INSTALL}"
        ) from None
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return found


def connected(distributed, where):
    """Return a client of a scheduler."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions, which are compared below
            client = limited(
                CONNECT_S,
                distributed.Client,
                where,
                timeout=CONNECT_S - 1,
                set_as_default=False,
                name="find_myelin",
            )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        said = "" if isinstance(error, OSError) else f" ({error})"
        raise UserError(
            f"--dask {where}: no scheduler answers there{said}, check the address, and start one "
            "with python -m dask scheduler"
        ) from None
    return client


def ordered(options, images, model, model_sha256, settings, engine_name):
    """Return the `dask_worker.Order` of a run; of settings and versions only what counts."""
    others = {"openvino"}
    if engine_name.startswith("openvino"):
        others = {"tensorflow", "torch", "jax", "keras"}
    packed = isinstance(images, TestSet)
    path = os.path.abspath(images.images.path if packed else images.paths[images.ids[0]])
    return Order(
        {name: version for name, version in software().items() if name not in others},
        os.path.abspath(options.out),
        mark_of(options.out),
        path,
        size_of(path),
        os.path.abspath(model),
        model_sha256,
        dataclasses.replace(settings, training={}, provenance={}),
        options.engine,
        options.precision,
        engine_name,
    )


def check_workers(client, where, order):
    """Make all workers ready and return how many there are, or raise what keeps one from it."""
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT_S)
    try:
        found = limited(READY_S, client.run, probe, order, on_error="return")
    except TimeoutError:
        raise UserError(f"--dask {where}: workers do not answer, start them again") from None
    if not found:
        raise UserError(f"--dask {where}: no workers, start some with {START.format(where)}")
    mistakes = {}
    for worker, error in found.items():
        if error is not None:
            mistakes.setdefault(reason(error, where), []).append(worker)
    if mistakes:
        raise UserError(
            *(f"--dask: worker {shortened_list(names)}: {text}" for text, names in mistakes.items())
        )
    return len(found)


def reason(error, where):
    """Return why a worker cannot take part, by the exception that it answers with."""
    lacks = re.search(r"No module named '(\w+)([\w.]*)", str(error))
    if isinstance(error, UserError):
        return " ".join(error.args)
    if lacks and lacks[1] == "myelin":
        state = "this version of this suite" if lacks[2] else "this suite"
        return f"does not have {state}, start it with {START.format(where)}"
    if lacks:
        return f"lacks the package {lacks[1]}, install requirements-light.txt there"
    return f"cannot take part ({type(error).__name__}: {error})"


class DaskTeam:
    """Workers that do the work of a `work.Segmenter`, which may be called by many threads.

    Parameters
    ----------
    cluster : Cluster
    setup : work.Setup

    Attributes
    ----------
    width : int
        How many calls keep them busy.
    """

    def __init__(self, cluster, setup):
        self.cluster, self.client = cluster, cluster.client
        stack = setup.probabilities and Path(os.path.abspath(setup.probabilities))
        self.setup = dataclasses.replace(
            setup, folder=Path(cluster.order.folder), probabilities=stack
        )
        self.width = WORKERS * cluster.workers
        self.futures, self.stopped = set(), False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if not kind:
            return
        self.stopped = True
        with contextlib.suppress(Exception):  # it is what stopped the run that is to be said
            self.client.cancel(list(self.futures))
            limited(GRACE_S, self.client.run, idle, self.cluster.order.folder)

    def __call__(self, index, choice, users):
        """Have an image segmented, see `work.Segmenter`."""
        setup = dataclasses.replace(self.setup, images=one_of(self.setup.images, index))
        users = users and Path(os.path.abspath(users))
        task = pickle.dumps(Call(work_on, self.cluster.order, setup, index, choice, users))
        try:
            future = self.client.submit(pickle.loads, task, pure=False)
        except Exception as error:
            raise self.gone() from error
        self.futures.add(future)
        try:
            if self.stopped:
                raise CancelledError
            return from_bits(self.result(future))
        finally:
            self.futures.discard(future)
            future.release()

    def result(self, future):
        """Wait for a task as long as there are workers."""
        where, missing = self.cluster.address, 0
        while True:
            try:
                return future.result(timeout=LOST_S)
            except TimeoutError:
                if future.status == "error":  # the task's own, such as of a network drive
                    raise self.said_of(future.exception()) from None
            except CancelledError:
                if self.stopped:
                    raise
                raise self.gone() from None
            except Exception as error:
                raise self.said_of(error) from None
            with contextlib.suppress(OSError):  # of a scheduler that is going
                missing = 0 if self.client.nthreads() else missing + 1
            if missing > 1:
                raise UserError(
                    f"--dask {where}: all workers are gone, start some with {START.format(where)} "
                    "and go on with --resume"
                )

    def gone(self):
        """Return the error of a scheduler that does not answer any more."""
        return UserError(
            f"--dask {self.cluster.address}: the scheduler is gone, start it again and go on with "
            "--resume"
        )

    def said_of(self, error):
        """Return the error to raise for one of a task."""
        if type(error).__name__ == "KilledWorker":
            return UserError(
                f"--dask {self.cluster.address}: workers died of one image, again and again, "
                "perhaps for lack of memory, start fewer on a machine and go on with --resume"
            )
        if isinstance(error, ModuleNotFoundError):
            return UserError(f"--dask: a worker {reason(error, self.cluster.address)}")
        return error


class Call:
    """A call that happens where this is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def one_of(images, index):
    """Return images of which one alone is known, under its own index and an absolute path."""
    name = images.ids[index]
    known = {"ids": {index: name}, "shapes": {index: images.shapes[index]}, "pixel_sizes_um": []}
    if isinstance(images, TestSet):
        stack = type(images.images)(os.path.abspath(images.images.path))
        return dataclasses.replace(images, images=stack, **known)
    paths = {name: Path(os.path.abspath(images.paths[name]))}
    source = Path(os.path.abspath(images.source))
    return dataclasses.replace(images, source=source, paths=paths, hashes=[], failed=[], **known)


def limited(seconds, call, *arguments, **named):
    """Return what a call returns, or raise TimeoutError: the library has waits without an end."""
    found = []

    def run():
        try:
            found.append((call(*arguments, **named), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    result, error = found[0]
    if error:
        raise error
    return result
