"""Segment images into a folder: the work of find_myelin.py, also after training."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from myelin.folders.fields import write_fields
from myelin.folders.image_source import ImageSource
from myelin.folders.image_tree import open_images
from myelin.folders.mask_record import read_run
from myelin.folders.naming import NPYDATA, PREDS, RAW_TEST
from myelin.folders.packed import (
    begin_probabilities,
    earlier_probabilities,
    finish_probabilities,
    load_test,
)
from myelin.folders.packing import repack_if_changed
from myelin.folders.pixel_sizes import warn_of_other_records
from myelin.folders.stack import Stack
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import dataset_statistics
from myelin.runtime.cli import PartlyDone, UserError, progress
from myelin.runtime.disk import check_room
from myelin.runtime.files import sha256, times_written
from myelin.runtime.lock import holding
from myelin.runtime.stopping import State
from myelin.segment.dask_workers import dask_cluster
from myelin.segment.image_job import Job, Outcome, RunContext, engine_of
from myelin.segment.run_options import Options
from myelin.segment.run_plan import plan_jobs
from myelin.segment.run_summary import Summary, begin_summary, finished_images
from myelin.segment.workers import Workers, process_pool, threads

# Maximum bytes per pixel in the outputs: the probability, and the overlay's three colours.
BYTES_PER_PIXEL = 4


def segment_images(options: Options) -> None:
    """Segment `raw/test`, packed again if it has changed, or the images that were given.

    Raises
    ------
    PartlyDone
        An image could not be read; the others are segmented.
    UserError
        There are no images, no usable model or engine, or an image does not fit the scale.
    """
    with open_source(options) as source:
        failed = segment_source(source, options)
    if failed:
        raise PartlyDone(*failed)


def segment_if_packed(model: Path) -> None:
    """Segment the test images after training, as the original did, if there are any."""
    if (NPYDATA / "imgs_test.npy").exists():
        segment_images(Options(model))


def segment_source(source: ImageSource, options: Options) -> list[str]:
    """Segment the images of a source; return an error message for each that failed."""
    with open_workers(options, len(source)) as workers:
        run, facts = open_run(source, options)
        needed = room_needed(source, options.out)
        check_room(needed, "free some space or take fewer images")
        before = times_written(options.out)
        earlier = read_run(options.out) or {"images": {}}
        array = earlier_probabilities(source.packed_shape) if options.resume else None
        finished = finished_images(run, source, earlier, array)
        jobs = plan_jobs(run, source, finished)
        sizes = [(one.name, options.pixel_size_um, one.pixel_size_um) for one in source.images]
        warn_of_other_records(filter(all, sizes))
        summary = begin_summary(run, source, earlier, facts)
        run = dataclasses.replace(
            run,
            threads=workers.threads,
            summary_sha256=summary.save(complete=False),
            probabilities=begin_probabilities(source.packed_shape, array),
        )
        jobs = [dataclasses.replace(job, run=run) for job in jobs]
        failed = segment_jobs(workers, jobs, summary, finished)
    finish_probabilities(run.probabilities)
    summary.report(source, before, len(finished))
    return [*source.failed, *failed]


# ---------------------------------------------------------------- the steps


@contextlib.contextmanager
def open_source(options: Options) -> Iterator[ImageSource]:
    """Yield the images of a run; no other run may write to its folders meanwhile."""
    if options.fields:
        with holding(options.out):
            scans = options.images or [str(RAW_TEST)]
            folder = write_fields(scans, options.out, options.fields, options.take)
            yield open_images([str(folder)], options.out, options.strict)
    elif options.images:
        with holding(options.out):
            yield open_images(options.images, options.out, options.strict, options.take)
    else:
        repack_if_changed("test")
        with holding(options.out), holding(NPYDATA, "imgs_test.npy", shared=True):
            yield load_test()


def open_run(source: ImageSource, options: Options) -> tuple[RunContext, dict]:
    """Open the engine for a model; return it and the entries of `run.json` about all images."""
    record = {"options": options.given()}
    weights, settings, _ = read_model_file(options.model)
    if options.scale and settings.frame == "resize":
        raise UserError(
            f"--scale: {options.model} resizes every image to one size, leave --scale out"
        )
    facts = {"model": str(options.model), "model_preprocessing": dataclasses.asdict(settings)}
    record["model_sha256"] = sha256(options.model)
    record["threshold"] = settings.threshold if options.threshold is None else options.threshold
    if settings.normalize == "test set":  # a file of 2018
        mean, std = dataset_statistics(iter(source), settings)
        settings = dataclasses.replace(settings, normalize="dataset", mean=mean, std=std)
        record["test_set"] = [mean, std]
    settings = dataclasses.replace(settings, training={}, provenance={})
    run = RunContext(options, settings, record)
    engine = engine_of(run, weights).name
    facts |= {"engine": engine, **record, **source.origin}
    return dataclasses.replace(run, engine_name=engine), facts


@contextlib.contextmanager
def open_workers(options: Options, count: int) -> Iterator[Workers]:
    """Yield the workers for a number of images: threads, processes or a cluster."""
    processes = min(options.workers, count)
    if options.dask:
        opened = dask_cluster(options.dask)
    elif processes > 1:
        opened = process_pool(processes)
    else:
        opened = threads()
    with opened as workers:
        yield workers


def segment_jobs(
    workers: Workers, jobs: list[Job], summary: Summary, finished: dict[str, Outcome]
) -> list[str]:
    """Have the images segmented and write the summary; return error messages of failed images."""
    failed, complete = {}, False
    State.go_on = ", --resume goes on"
    try:
        for outcome in finished.values():
            summary.add(outcome)
        for outcome in progress(workers.outcomes(jobs), "segmenting", total=len(jobs)):
            if outcome.record:
                summary.add(outcome)
            else:
                failed[outcome.name] = outcome.failed
        complete = True
    finally:
        State.go_on = "" if complete else State.go_on
        with contextlib.nullcontext() if complete else contextlib.suppress(OSError):
            summary.save(complete)
    return [text for job in jobs for text in failed.get(job.image.name, [])]


# ---------------------------------------------------------------- space on the disk


def room_needed(source: ImageSource, folder: Path) -> dict[Path, int]:
    """Return {folder: bytes} that a run will write at most."""
    pixels = sum(math.prod(image.shape) for image in source.images)
    needed = {folder: BYTES_PER_PIXEL * pixels}
    if source.packed_shape:
        needed[NPYDATA] = 4 * math.prod(source.packed_shape)
    return needed


def room_if_packed() -> dict[Path, int]:
    """Return {folder: bytes} that `segment_if_packed` will write at most."""
    path = NPYDATA / "imgs_test.npy"
    if not path.exists():
        return {}
    pixels = math.prod(Stack(path).shape)
    return {NPYDATA: 4 * pixels, PREDS: BYTES_PER_PIXEL * pixels}
