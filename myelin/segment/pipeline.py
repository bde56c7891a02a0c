"""Segment images into a folder: the work of find_myelin.py, also after training."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from myelin.folders.image_source import ImageSource, SourceImage
from myelin.folders.image_tree import open_images
from myelin.folders.mask_record import read_run
from myelin.folders.naming import NPYDATA, PREDS
from myelin.folders.ownership import users_masks
from myelin.folders.packed import (
    begin_probabilities,
    earlier_probabilities,
    finish_probabilities,
    load_test,
)
from myelin.folders.packing import repack_if_changed
from myelin.folders.stack import Stack
from myelin.images.image import MAX_PIXELS
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import Preprocessing, dataset_statistics
from myelin.network.view import view_sha256
from myelin.runtime.cli import PartlyDone, UserError, count_of, progress, quote
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, sha256, times_written
from myelin.runtime.lock import holding
from myelin.runtime.stopping import State
from myelin.runtime.version import suite_version
from myelin.segment.dask_workers import dask_cluster
from myelin.segment.image_job import Job, Outcome, RunContext, engine_of
from myelin.segment.run_options import DEFAULTS, Options
from myelin.segment.run_report import report, report_copies
from myelin.segment.run_summary import (
    Summary,
    add_missing_records,
    differences,
    finished_images,
    set_aside_outdated,
)
from myelin.segment.scale_groups import Choice, decide
from myelin.segment.workers import Workers, process_pool, threads

# Most that a pixel takes in the outputs: the probability, and the overlay's three colours.
BYTES_PER_PIXEL = 4


def segment_test(model: Path, options: Options = DEFAULTS) -> None:
    """Segment every image of `raw/test`, packed anew if the folder has changed.

    Raises
    ------
    UserError
        There are no images, no usable model or engine, or an image does not fit the scale.
    """
    repack_if_changed("test")
    with holding(options.out), holding(NPYDATA, "imgs_test.npy", shared=True):
        failed = segment_images(load_test(), model, options)
    if failed:
        raise PartlyDone(*failed)


def segment_files(
    given: list[str],
    model: Path,
    options: Options = DEFAULTS,
    strict: bool = False,
    take: dict[str, int] | None = None,
) -> None:
    """Segment files, folders and folder trees as they are.

    Parameters
    ----------
    given : list of str
    model : Path
    options : Options
    strict : bool
        Whether an image that cannot be read stops the run before it starts; else the image is named
        at the end and the others are segmented.
    take : dict of str to int, optional
        Which image of files that hold several, as from `plane_selection.parse_take`.

    Raises
    ------
    PartlyDone
        An image could not be read.
    UserError
        As `segment_test`, and see `image_tree.open_images`.
    """
    with holding(options.out):
        failed = segment_images(open_images(given, options.out, strict, take), model, options)
    if failed:
        raise PartlyDone(*failed)


def segment_if_packed(model: Path) -> None:
    """Segment the test images after training, as the original did, if there are any."""
    if (NPYDATA / "imgs_test.npy").exists():
        segment_test(model)


def segment_images(source: ImageSource, model: Path, options: Options) -> list[str]:
    """Segment the images of a source; return an error message for each that failed."""
    run, settings, facts = open_run(source, model, options)
    with open_workers(options, len(source)) as workers:
        before = times_written(options.out)
        earlier = read_run(options.out) or {"images": {}, "earlier": {}}
        array = earlier_probabilities(source.packed_shape) if options.resume else None
        finished = finished_part(source, settings, options, earlier, array)
        check_room(room_needed(source, options.out), "free some or take fewer images")
        choices = decide_scales(run, source, options, finished)
        summary = begin_summary(source, options, earlier, facts)
        run = dataclasses.replace(
            run,
            threads=workers.threads,
            summary_sha256=summary.save(complete=False),
            probabilities=begin_probabilities(source.packed_shape, array),
        )
        jobs = [
            Job(run, image, choice, settings | described(image, choice, run, options))
            for image, choice in zip(source.images, choices, strict=True)
            if image.name not in finished
        ]
        failed = segment_all(workers, jobs, summary, finished)
    finish_probabilities(run.probabilities)
    report_leftovers(summary, before, source)
    report(summary, model)
    return [*source.failed, *failed]


# ---------------------------------------------------------------- the steps


@contextlib.contextmanager
def open_workers(options: Options, count: int) -> Iterator[Workers]:
    """Yield what segments a number of images: threads, processes or a cluster."""
    processes = min(options.workers, count)
    if options.dask:
        opened = dask_cluster(options.dask)
    elif processes > 1:
        opened = process_pool(processes)
    else:
        opened = threads()
    with opened as workers:
        yield workers


def open_run(source: ImageSource, model: Path, options: Options) -> tuple[RunContext, dict, dict]:
    """Open the engine for a model.

    Returns
    -------
    run : RunContext
    settings : dict
        What the record of every mask of this run holds.
    facts : dict
        What `run.json` says of all images.
    """
    weights, stated, _ = read_model_file(model)
    settings = with_statistics(stated, source)
    if options.scale and settings.frame == "resize":
        raise UserError(f"--scale: {model} resizes every image to one size, leave it out")
    run = RunContext(
        model,
        sha256(model),
        dataclasses.replace(settings, training={}, provenance={}),
        settings.threshold if options.threshold is None else options.threshold,
        options.engine,
        options.precision,
        folder=options.out,
        force=options.force,
    )
    run = dataclasses.replace(run, engine_name=engine_of(run, weights).name)
    shared = {
        "model_sha256": run.model_sha256,
        "threshold": run.threshold,
        "options": options.given(),
    }
    if stated.normalize == "test set":
        shared["test_set"] = [settings.mean, settings.std]
    facts = {"model": str(model), "model_preprocessing": dataclasses.asdict(stated)}
    facts |= {"engine": run.engine_name, **shared, **source.origin}
    return run, shared, facts


def with_statistics(settings: Preprocessing, source: ImageSource) -> Preprocessing:
    """Return a model's settings; a file of 2018 gets the mean and deviation of the test images."""
    if settings.normalize != "test set":
        return settings
    mean, std = dataset_statistics(map(source.__getitem__, range(len(source))), settings)
    return dataclasses.replace(settings, normalize="dataset", mean=mean, std=std)


def finished_part(
    source: ImageSource, settings: dict, options: Options, earlier: dict, array: Stack | None
) -> dict[str, Outcome]:
    """Return the outcomes of the images that need not be segmented again, with `--resume`."""
    if not options.resume or "threshold" not in earlier:
        return {}
    if differs := differences(earlier, settings):
        if options.force:
            return {}
        raise UserError(
            f"{options.out}: --resume, but the run there differs in {', '.join(differs)}; repeat "
            "its call, or leave out --resume to begin anew"
        )
    finished = finished_images(options.out, source, settings, options.force, array)
    if finished:
        print(f"continuing: {len(finished)} of {count_of(len(source), 'image')} are finished")
    return finished


def decide_scales(
    run: RunContext, source: ImageSource, options: Options, finished: dict[str, Outcome]
) -> list[Choice]:
    """Return polarity and scale of every image; a group takes over those of its finished images."""
    if len(finished) == len(source):
        return [Choice(1.0, False)] * len(source)
    choices = decide(engine_of(run), run.settings, source, options.myelin, options.scale)
    known = {}
    for image, choice in zip(source.images, choices, strict=True):
        record = finished[image.name].record if image.name in finished else {}
        if record.get("has_fibers"):
            known.setdefault((choice.group, choice.dark), record["network_scale"])
    for index, choice in enumerate(choices):
        if choice.has_fibers and (choice.group, choice.dark) in known:
            scale = known[choice.group, choice.dark]
            choices[index] = dataclasses.replace(choice, scale=scale)
    check_sizes(source, choices)
    return choices


def check_sizes(source: ImageSource, choices: list[Choice]) -> None:
    """Raise a UserError if an image would be too large or too small for the network."""
    errors = []
    for image, choice in zip(source.images, choices, strict=True):
        rows, cols = image.shape
        fits = choice.scale**2 * rows * cols <= MAX_PIXELS and min(rows, cols) * choice.scale >= 1
        if choice.has_fibers and not fits:
            errors.append(
                f"{image.name}: {rows} x {cols} pixels at scale {choice.scale:g} are too many or "
                "too few for the network, choose another --scale"
            )
    if errors:
        raise UserError(*errors)


def begin_summary(source: ImageSource, options: Options, earlier: dict, facts: dict) -> Summary:
    """Return the summary of a run that begins, after the user's files of other images are moved."""
    add_missing_records(options.out, earlier)
    report_copies("the image has changed", set_aside_outdated(options.out, source, earlier))
    users = {
        name: fact
        for name, fact in earlier["images"].items()
        if name in source.names and users_masks(options.out, name)
    }
    return Summary(options.out, users, **facts)


def described(image: SourceImage, choice: Choice, run: RunContext, options: Options) -> dict:
    """Return what the record of a mask says of its image and of how it is segmented."""
    size, origin = options.pixel_size(image.pixel_size_um)
    return {
        "image_sha256": image.sha256,
        "pixel_size_um": size,
        "pixel_size_source": origin,
        "myelin": "dark" if choice.dark else run.settings.myelin,
        "network_scale": choice.scale,
        "scale_group": choice.group,
        "fiber_score": choice.score and round(choice.score, 3),
        "has_fibers": choice.has_fibers,
        "doubtful": choice.doubtful,
        "view_sha256": None if choice.score is None else view_sha256(),
        "repeat": repeating_call(image, choice, run, options),
        "version": suite_version(),
    }


def repeating_call(image: SourceImage, choice: Choice, run: RunContext, options: Options) -> str:
    """Return the call that gives an image the same mask, whatever other images there are."""
    words = ["python", "find_myelin.py", run.model, *image.options()]
    if run.settings.frame == "native" and choice.has_fibers:
        words += ["--myelin", "dark" if choice.dark else "bright", "--scale", f"{choice.scale:g}"]
    elif choice.dark:
        words += ["--myelin", "dark"]
    for option in ("threshold", "engine", "precision"):
        value = getattr(options, option)
        if value not in (None, "auto"):
            words += [f"--{option}", value]
    return quote(words)


def segment_all(
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


def report_leftovers(summary: Summary, before: dict[Path, int], source: ImageSource) -> None:
    """Name the files in the folder that are neither of this run nor the user's."""
    parts = ("mask", "pred", "overlay", "axon")
    own = {f"{name}_{part}" for name in [*source.names, *summary.images] for part in parts}
    name_leftovers(
        summary.folder, {path: time for path, time in before.items() if path.stem not in own}
    )


# ---------------------------------------------------------------- space on the disk


def room_needed(source: ImageSource, folder: Path = PREDS) -> dict[Path, int]:
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
