"""Segment the packed test images into `preds/`: the work of find_myelin.py, also after training."""

import contextlib
import dataclasses
import itertools
import math
import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import numpy as np

from myelin.folders.image_tree import open_images
from myelin.folders.naming import NPYDATA, PREDS, RAW_TEST
from myelin.folders.ownership import pixel_hash
from myelin.folders.packed import Stack, TestSet, load_test, packed_take
from myelin.folders.packing import keep_up
from myelin.images.image import MAX_PIXELS
from myelin.images.plane_selection import take_text
from myelin.network.engine import open_engine
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import dataset_statistics
from myelin.network.quantization import read_scales
from myelin.runtime.cli import PartlyDone, UserError, progress
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, sha256, times_written
from myelin.runtime.lock import holding
from myelin.segment.dask_team import DaskTeam, joined
from myelin.segment.resume import choice_of, decisions, run_to_resume
from myelin.segment.run_options import DEFAULTS, described
from myelin.segment.run_record import RunRecord
from myelin.segment.run_report import name_corrected, report
from myelin.segment.scale_groups import decide
from myelin.segment.segmenter import Segmenter, Setup
from myelin.segment.workers import Team, threads_beside

PROBABILITIES = NPYDATA / "imgs_mask_test.npy"
UNFINISHED = NPYDATA / "imgs_mask_test.unfinished.npy"
# Most that a pixel takes in preds/: the probability, and the overlay's three colours.
BYTES_PER_PIXEL = 4


def segment_test(model, options=DEFAULTS):
    """Segment every test image.

    Parameters
    ----------
    model : Path
    options : Options

    Raises
    ------
    UserError
        No packed images, no usable model or engine, or a scale that an image does not fit.
    """
    keep_up("test")
    with holding(options.out), holding(NPYDATA, "imgs_test.npy", shared=True):
        origin = {"source": str(RAW_TEST), "take": take_text(packed_take("test"))}
        failed = segment_images(load_test(), model, options, origin)
    if failed:
        raise PartlyDone(*failed)


def segment_files(given, model, options=DEFAULTS, strict=False, take=None):
    """Segment files, folders and folder trees as they are.

    Parameters
    ----------
    given : list of str
    model, options
        As for `segment_test`.
    strict : bool
        Whether an image that cannot be read stops the run before it starts; else it is named at the
        end, and the others are done.
    take : dict of str to int, optional
        Which image of files that hold several, as from `take.parse_take`.

    Raises
    ------
    PartlyDone
        An image could not be read.
    UserError
        As `segment_test`, and see `tree.open_images`.
    """
    with holding(options.out):
        images = open_images(given, options.out, strict, take)
        origin = {"source": str(images.source), "given": list(map(str, given))}
        origin["take"] = take_text(images.take)
        failed = images.failed + segment_images(images, model, options, origin)
    if failed:
        raise PartlyDone(*failed)


def segment_images(test, model, options, origin):
    """Segment a `TestSet` or `tree.ImageFiles`; `origin` says in `run.json` where they are from."""
    weights, stated, _ = read_model_file(model)
    model_sha256 = sha256(model)
    settings = with_statistics(stated, test)
    threshold = settings.threshold if options.threshold is None else options.threshold
    if options.scale and settings.frame == "resize":
        raise UserError(f"--scale: {model} sees every image at one size, leave it out")
    scales = read_scales(model, model_sha256) if options.precision == "auto" else None
    opening = weights, settings, options.engine, options.precision, scales
    count = min(options.workers, len(test.ids))
    engine = open_engine(*opening, *threads_beside(count - 1))
    facts = {
        "model": str(model),
        "model_sha256": model_sha256,
        "model_preprocessing": dataclasses.asdict(stated),
        "threshold": threshold,
        "engine": engine.name,
        "options": options.shared(),
        **origin,
    }
    with joined(options, test, model, model_sha256, settings, engine.name) as cluster:
        run, decided = looked_at(engine, settings, test, model, options, facts)
        before = times_written(options.out)
        with keeping(test, run) as (stack, run):
            record = RunRecord(options.out, decided, options.force, run, **facts)
            if run:
                print(f"going on: {len(record.images)} of {len(decided)} images are done")
            setup = Setup(test, settings, threshold, options.out, stack and stack())
            work = Segmenter(setup, engine)
            if cluster and record.pending:
                del engine, work  # the memory is for the workers'
                work = DaskTeam(cluster, setup)
            elif (count := min(count, len(record.pending))) > 1:
                work = Team(count, work, opening)
            failed = segment_all(work, test.ids, record)
    record.finish()
    name_others(record, before, test.ids)
    report(record.images, model, options.out)
    name_corrected(record)
    return failed


def looked_at(engine, settings, test, model, options, facts):
    """Return the run to go on with, None where one is to begin, and what is decided of images."""
    known = known_of(test, options)
    run = run_to_resume(options.out, facts, known) if options.resume else None
    if run:
        return run, decisions(run)
    check_room(room_needed(test, options.out), "make room on it or take fewer images")
    choices = decide(engine, settings, test, options.myelin, options.scale)
    check_sizes(test, choices)
    return None, {
        name: known[name] | described(choice, settings, model, options, read_alone(test, name))
        for name, choice in zip(test.ids, choices, strict=True)
    }


def read_alone(test, name):
    """Return the words of a call that read one image alone; none where images are packed."""
    if isinstance(test, TestSet):
        return []
    return ["--images", test.paths[name], *(["--take", take_text(test.take)] if test.take else [])]


def known_of(test, options):
    """Return {id: fact} of what is known of images before anything is decided."""
    hashes = getattr(test, "hashes", None) or [
        pixel_hash(test[index]) for index in progress(range(len(test)), "checking")
    ]
    facts = {}
    for name, hashed, packed_um in zip(test.ids, hashes, test.pixel_sizes_um, strict=True):
        size, source = options.pixel_size(packed_um)
        facts[name] = {"pixel_size_um": size, "pixel_size_source": source, "image_sha256": hashed}
    return facts


@contextlib.contextmanager
def keeping(test, run):
    """Keep probabilities of packed images in an array that outlives a run which is stopped.

    Yields
    ------
    stack : function or None
        Returns the path of the array, made new where none is gone on with; to be called after
        `run.json` is written, so that it never speaks of another array.
    run : dict or None
        `run` where it can be gone on with.
    """
    if not isinstance(test, TestSet):
        yield None, run
        return
    shape = test.images.shape
    kept = run and next((path for path in (UNFINISHED, PROBABILITIES) if fits(path, shape)), None)
    if kept:
        os.replace(kept, UNFINISHED)
    else:
        UNFINISHED.unlink(missing_ok=True)
    yield lambda: UNFINISHED if kept else Stack(UNFINISHED, shape, np.float32).path, kept and run
    os.replace(UNFINISHED, PROBABILITIES)


def fits(path, shape):
    """Whether a file is an array of probabilities of images of a shape (N, rows, cols)."""
    try:
        stack = Stack(path)
    except UserError:
        return False
    return stack.shape == shape and stack.dtype == np.float32


def segment_all(work, ids, record):
    """Segment the images that a run has to do, and write their masks.

    Parameters
    ----------
    work : work.Segmenter, workers.Team or dask_team.DaskTeam
    ids : list of str
    record : RunRecord

    Returns
    -------
    list of str
        A text for each image that could not be read any more.
    """

    def job(index):
        """Look at the user's masks as late as can be."""
        fact = record.pending[ids[index]]
        users = record.users_masks(ids[index], fact["image_sha256"])
        return index, choice_of(fact), users[0] if users else None

    failed = {}
    todo = [index for index, name in enumerate(ids) if name in record.pending]
    # One image is read or written while the network sees another.
    with contextlib.ExitStack() as stack:
        stack.enter_context(record.closing())
        pool = stack.enter_context(ThreadPoolExecutor(work.width))
        stack.enter_context(work)
        results = as_done(pool, work, map(job, todo), work.width)
        stack.callback(results.close)
        for index, found in progress(results, "segmenting", total=len(todo)):
            fact = dict(record.pending[ids[index]])
            if isinstance(found, UserError):
                failed[index] = found.args
            elif found[0] != fact["image_sha256"]:
                failed[index] = [f"{ids[index]}: has changed since the run began, start it again"]
            else:
                users = record.users_masks(ids[index], fact["image_sha256"])
                share = round(float(found[1].mean()), 4)
                fact |= {"myelin_area_fraction": share}
                record.put_mask(ids[index], found[1], users, **fact)
    return [text for index in sorted(failed) for text in failed[index]]


def as_done(pool, call, jobs, count):
    """Yield the first argument of each call and its result, in the order in which they end.

    So that none waits for a slower one, such as a scan. `count` are ahead and no more.
    """
    running, jobs = {}, iter(jobs)
    try:
        while True:
            for job in itertools.islice(jobs, count + 1 - len(running)):
                running[pool.submit(call, *job)] = job[0]
            if not running:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in [future for future in running if future in done]:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


def name_others(record, before, ids):
    """Name the files in the folder that are neither of this run nor the user's."""
    kept, ids = set(record.kept), set(ids)
    others = {
        path: time
        for path, time in before.items()
        if path not in kept and path.stem.removesuffix("_axon") not in ids
    }
    done = {f"{name}_{part}" for name in record.images for part in ("mask", "pred", "overlay")}
    others = {path: time for path, time in others.items() if path.stem not in done}
    name_leftovers(record.folder, others)


def segment_if_packed(model):
    """Segment the test images after training, as the original did, where there are any."""
    if (NPYDATA / "imgs_test.npy").exists():
        segment_test(model)


def room_needed(test, folder=PREDS):
    """Return the bytes that a run will write, {folder: int}."""
    results = {folder: BYTES_PER_PIXEL * int(np.prod(test.shapes, axis=1).sum())}
    if isinstance(test, TestSet):
        return {NPYDATA: 4 * math.prod(test.images.shape)} | results
    return results


def room_if_packed():
    """Return the bytes that `segment_if_packed` will write, {folder: int}."""
    return room_needed(load_test()) if (NPYDATA / "imgs_test.npy").exists() else {}


def with_statistics(settings, test):
    """Return a model's settings, completed for a file of 2018 by the statistics of the test set."""
    if settings.normalize != "test set":
        return settings
    mean, std = dataset_statistics(map(test.__getitem__, range(len(test))), settings)
    return dataclasses.replace(settings, normalize="dataset", mean=mean, std=std)


def check_sizes(test, choices):
    """Raise where an image would be too large or too small for the network."""
    errors = []
    for name, (rows, cols), choice in zip(test.ids, test.shapes, choices, strict=True):
        fits = choice.scale**2 * rows * cols <= MAX_PIXELS and min(rows, cols) * choice.scale >= 1
        if choice.has_fibers and not fits:
            errors.append(
                f"{name}: {rows} x {cols} pixels at scale {choice.scale:g} are too many or too few "
                "for the network, choose another --scale"
            )
    if errors:
        raise UserError(*errors)
