"""What a worker of a Dask cluster does for a run with `--dask`.

Before its first image it makes sure that what it computes is what the run would; the engine is then
kept. It writes probability and overlay of an image, and returns the mask to the run (`dask_team`).
"""

import asyncio
import collections
import functools
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from myelin import __version__
from myelin.network.engine import open_engine
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import Preprocessing
from myelin.network.quantization import read_scales
from myelin.runtime.cli import UserError
from myelin.runtime.files import sha256, versions
from myelin.runtime.lock import mark_of
from myelin.segment.segmenter import Segmenter, as_bits, use_threads

KEPT = 2  # engines in a process, and orders that it has checked: two runs may take turns
POLL_S = 0.05

checked = collections.deque(maxlen=KEPT)  # orders, as texts
engines = {}  # by what they are opened from, the latest last
opening = threading.Lock()
at_work = set()  # (folder, task) of the tasks that run now


@dataclass(frozen=True)
class Order:
    """What all images of a run share, and by what a worker knows that it sees what the run sees.

    Attributes
    ----------
    software : dict of str to str
        The versions that shape results, see `software`.
    folder, mark : str
        Where results go; what the lock there says.
    image_file, image_bytes : str, int
        One of the files that hold images; its size, see `size_of`.
    model, model_sha256 : str
    settings : preprocessing.Preprocessing
    engine, precision : str
        See `engine.open_engine`.
    engine_name : str
        What these gave in the run.
    """

    software: dict
    folder: str
    mark: str
    image_file: str
    image_bytes: int
    model: str
    model_sha256: str
    settings: Preprocessing
    engine: str
    precision: str
    engine_name: str


class Unwanted(Exception):
    """A task that nobody waits for any more."""


class WhileWanted:
    """An engine that ends a task which was cancelled, or whose run is gone.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
    worker : distributed.Worker
    key : str
        Of the task.
    """

    def __init__(self, engine, worker, key):
        self.engine, self.worker, self.key = engine, worker, key

    def predict(self, frame):
        """As the engine's."""
        task = self.worker.state.tasks.get(self.key)
        if task is None or task.state == "cancelled":
            raise Unwanted(self.key)
        return self.engine.predict(frame)


class Overlapping(Segmenter):
    """A Segmenter that lets its worker begin the next image while it writes this one."""

    def find(self, *job):
        """As a Segmenter's."""
        from distributed import secede

        found = super().find(*job)
        secede()
        return found


def work_on(order, setup, *job):
    """Segment an image, see `work.Segmenter`; the task that a run sends.

    Parameters
    ----------
    order : Order
    setup : work.Setup
        Its paths are absolute.
    *job
        As for `work.Segmenter`.

    Returns
    -------
    tuple or UserError
        See `work.as_bits`.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    at_work.add((order.folder, key))
    try:
        engine = WhileWanted(ready(order, worker.state.nthreads), worker, key)
        found = as_bits(Overlapping(setup, engine)(*job))
    finally:
        at_work.discard((order.folder, key))
    if isinstance(found, UserError):  # the run has read the image, so it may be of this machine
        return UserError(*(f"{text} (worker {worker.address})" for text in found.args))
    return found


async def probe(order, dask_worker):
    """Make a worker ready, or raise; its other tasks go on meanwhile."""
    await idle(order.folder)  # tasks of a run that was stopped
    await asyncio.to_thread(ready, order, dask_worker.state.nthreads)


async def idle(folder):
    """Wait until no task of this process writes into a folder any more."""
    while any(busy == folder for busy, _ in list(at_work)):
        await asyncio.sleep(POLL_S)


def ready(order, threads):
    """Return the engine that an order asks for, opened once for all runs with the same model.

    Raises
    ------
    UserError
        What this worker computes would not be what the run would.
    """
    key = order.model_sha256, order.engine, order.precision, threads
    with opening:
        if repr(order) not in checked:
            check(order)
            checked.append(repr(order))
        if key not in engines:
            while len(engines) >= KEPT:
                del engines[next(iter(engines))]
            engines[key] = open_as_ordered(order, threads)
        if engines[key].name != order.engine_name:
            raise UserError(
                f"computes with {engines[key].name}, the run with {order.engine_name}, take "
                "--engine and --precision that all have, such as --engine openvino --precision "
                "float32"
            )
        return engines[key]


def check(order):
    """Raise where software, folder, images or model are not those of the run."""
    ours = software()
    others = [
        f"{name} {ours.get(name, 'missing')} (the run: {version})"
        for name, version in order.software.items()
        if ours.get(name) != version
    ]
    if others:
        raise UserError(f"has another {', another '.join(others)}; install the same everywhere")
    remedy = "every worker must see it under the path that the run has"
    if mark_of(Path(order.folder)) != order.mark:
        raise UserError(f"does not see the folder {order.folder} as it is, {remedy}")
    if size_of(order.image_file) != order.image_bytes:
        raise UserError(f"does not see {order.image_file} as it is, {remedy}")
    if size_of(order.model) is None or sha256(order.model) != order.model_sha256:
        raise UserError(f"does not see the model {order.model} as it is, {remedy}")


def open_as_ordered(order, threads):
    """Return the engine of an order with so many threads."""
    use_threads(threads)
    weights = read_model_file(Path(order.model))[0]
    scales = read_scales(Path(order.model), order.model_sha256)
    scales = scales if order.precision == "auto" else None
    return open_engine(weights, order.settings, order.engine, order.precision, scales, threads)


@functools.cache
def software():
    """Return the versions that must be the same wherever images of a run are segmented.

    Returns
    -------
    dict of str to str
        Of this suite, with a hash of its source; of Dask; and `files.versions`.
    """
    from distributed import __version__ as of_dask

    root = Path(__file__).resolve().parents[1]
    source = hashlib.sha256()
    for path in [root.parent / "unet.py", *sorted(root.rglob("*.py"))]:
        source.update(path.read_bytes().replace(b"\r\n", b"\n"))
    suite = f"{__version__}, source {source.hexdigest()[:8]}"
    return {"version of this suite:": suite, "distributed": of_dask, **versions()}


def size_of(path):
    """Return the size of a file in bytes, 0 of a folder, None where there is none."""
    try:
        return 0 if os.path.isdir(path) else os.stat(path).st_size
    except OSError:
        return None
