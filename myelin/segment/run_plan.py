"""Decide how each image of a run is segmented: its polarity, its scale, the record of its mask."""

import dataclasses

from myelin.folders.image_source import ImageSource, SourceImage
from myelin.images.image import MAX_PIXELS
from myelin.network.view import view_sha256
from myelin.runtime.cli import UserError, quote
from myelin.runtime.version import suite_version
from myelin.segment.image_job import Job, Outcome, RunContext, engine_of
from myelin.segment.scale_groups import Choice, decide


def plan_jobs(run: RunContext, source: ImageSource, finished: dict[str, Outcome]) -> list[Job]:
    """Return the images to segment; a group takes over the scale of its finished images.

    Raises
    ------
    UserError
        An image would be too large or too small for the network.
    """
    if len(finished) == len(source):
        return []
    options, known, jobs, errors = run.options, {}, [], []
    choices = decide(engine_of(run), run.settings, source, options.myelin, options.scale)
    for image, choice in zip(source.images, choices, strict=True):
        record = finished[image.name].record if image.name in finished else {}
        if record.get("has_fibers"):
            known.setdefault((choice.group, choice.dark), record["network_scale"])
    for image, choice in zip(source.images, choices, strict=True):
        if choice.has_fibers:
            scale = known.get((choice.group, choice.dark), choice.scale)
            choice = dataclasses.replace(choice, scale=scale)
            errors += misfit(image, scale)
        if image.name not in finished:
            jobs.append(Job(run, image, choice, record_of(image, choice, run)))
    if errors:
        raise UserError(*errors)
    return jobs


def misfit(image: SourceImage, scale: float) -> list[str]:
    """Return an error message if an image is too large or too small for the network at a scale."""
    rows, cols = image.shape
    if scale**2 * rows * cols <= MAX_PIXELS and min(rows, cols) * scale >= 1:
        return []
    return [
        f"{image.name}: {rows} x {cols} pixels at scale {scale:g} are too many or too few for the "
        "network, choose another --scale"
    ]


def record_of(image: SourceImage, choice: Choice, run: RunContext) -> dict:
    """Return the record of a mask, without the entries that depend on its pixels."""
    size, origin = run.options.pixel_size(image.pixel_size_um)
    return run.record | {
        "image_sha256": image.sha256,
        "pixel_size_um": size,
        "pixel_size_source": origin,
        "grey_limits": image.grey_limits,
        "myelin": "dark" if choice.dark else run.settings.myelin,
        "network_scale": choice.scale,
        "scale_group": choice.group,
        "fiber_score": choice.score and round(choice.score, 3),
        "has_fibers": choice.has_fibers,
        "doubtful": choice.doubtful,
        "view_sha256": None if choice.score is None else view_sha256(),
        "repeat": repeating_call(image, choice, run),
        "version": suite_version(),
    }


def repeating_call(image: SourceImage, choice: Choice, run: RunContext) -> str:
    """Return the call that gives an image the same mask, whatever other images there are."""
    words = ["python", "find_myelin.py", run.options.model, *image.options()]
    if run.settings.frame == "native" and choice.has_fibers:
        words += ["--myelin", "dark" if choice.dark else "bright", "--scale", f"{choice.scale:g}"]
    elif choice.dark:
        words += ["--myelin", "dark"]
    for option in ("threshold", "engine", "precision"):
        value = getattr(run.options, option)
        if value not in (None, "auto"):
            words += [f"--{option}", value]
    return quote(words)
