"""Segment one image and write its outputs: the job of threads, processes and clusters."""

import contextlib
import functools
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.folders.image_source import SourceImage
from myelin.folders.mask_record import pixel_hash
from myelin.folders.ownership import files_of, models_own, set_aside, users_masks
from myelin.folders.stack import Stack
from myelin.images.image import read_mask, write_image
from myelin.images.overlay import write_overlay
from myelin.network.engine import open_engine
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import Preprocessing
from myelin.network.quantization import read_scales
from myelin.runtime.cli import UserError
from myelin.runtime.files import fsync_file, sha256
from myelin.segment.bands import in_bands, segment_scan
from myelin.segment.run_options import Options
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import Engine, segment

engines: dict[tuple, Engine] = {}  # the engine of this process
opening = threading.Lock()
one_scan = threading.Lock()  # two scans at once in a process would take twice the memory


@dataclass(frozen=True)
class RunContext:
    """The settings that all images of a run share; can be sent to another process.

    Attributes
    ----------
    options : Options
    settings : Preprocessing
        Settings of the model.
    record : dict
        Entries in the records of all masks: "model_sha256", "threshold" and "options".
    engine_name : str
        The engine that the options open; "" if not known yet.
    threads : int or None
        Threads of the engine; None for all processors.
    summary_sha256 : str
        Hash of the `run.json` with which the run began.
    probabilities : Path or None
        The `Stack` that takes the probabilities of packed images.
    """

    options: Options
    settings: Preprocessing
    record: dict
    engine_name: str = ""
    threads: int | None = None
    summary_sha256: str = ""
    probabilities: Path | None = None


@dataclass(frozen=True)
class Job:
    """One image of a run, its polarity and scale, and the record of its mask so far."""

    run: RunContext
    image: SourceImage
    choice: Choice
    record: dict


@dataclass
class Outcome:
    """The outcome of an image.

    Attributes
    ----------
    name : str
        The image's id.
    record : dict
        The record in its mask; empty if the image could not be segmented.
    failed : list of str
        Why it could not be segmented.
    kept : list of Path
        The user's masks that were kept, relative to the folder of the outputs.
    replaced : list of Path
        The copies of the user's files that were replaced, relative to that folder.
    """

    name: str
    record: dict = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)


def segment_image(job: Job) -> Outcome:
    """Segment an image and write its probability, overlay and, last, its mask.

    Raises
    ------
    UserError
        This process cannot open the engine of the run, or the run has ended.
    """
    engine = engine_of(job.run)
    scan = in_bands(job.image.shape, job.run.settings)
    with one_scan if scan else contextlib.nullcontext():
        try:
            image = job.image.read()
        except UserError as mistake:
            return Outcome(job.image.name, failed=list(mistake.args))
        if pixel_hash(image) != job.image.sha256:
            changed = f"{job.image.path}: {job.image.name} has changed since the run began"
            return Outcome(job.image.name, failed=[f"{changed}, start it again"])
        greys, mask = probability_and_mask(engine, job, image)
        check_summary(job.run)
        return write_outputs(job, image, greys, mask)


def engine_of(run: RunContext, weights: list[np.ndarray] | None = None) -> Engine:
    """Return the engine of a run, opened once in a process.

    Parameters
    ----------
    run : RunContext
    weights : list of float32 arrays, optional
        Weights of the model, if they have been read.

    Raises
    ------
    UserError
        The model has changed, or the engine would give other numbers than that of the run.
    """
    model, precision = run.options.model, run.options.precision
    hashed = run.record["model_sha256"]
    key = hashed, run.options.engine, precision, run.threads
    with opening:
        if key not in engines:
            engines.clear()
            if weights is None and sha256(model) != hashed:
                raise UserError(f"{model}: is not the model that the run began with")
            weights = read_model_file(model)[0] if weights is None else weights
            scales = read_scales(model, hashed) if precision == "auto" else None
            engines[key] = open_engine(
                weights, run.settings, run.options.engine, precision, scales, run.threads
            )
    if run.engine_name not in ("", engines[key].name):
        raise UserError(
            f"computes with {engines[key].name}, but the run with {run.engine_name}, choose an "
            "--engine and --precision that all have, such as --engine openvino --precision float32"
        )
    return engines[key]


def probability_and_mask(
    engine: Engine, job: Job, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's probability x 255 and its mask, uint8 and bool (rows, cols)."""
    run, threshold = job.run, job.run.record["threshold"]
    stack = run.probabilities and Stack(run.probabilities)
    if in_bands(image.shape, run.settings):
        keep = functools.partial(stack.put_rows, job.image.frame) if stack else lambda *_: None
        return segment_scan(engine, run.settings, image, job.choice, threshold, keep)
    probability = segment(engine, run.settings, image, job.choice)
    if stack:
        stack[job.image.frame] = probability
    return np.rint(probability * 255).astype(np.uint8), probability >= threshold


def check_summary(run: RunContext) -> None:
    """Raise a UserError if `run.json` is no longer that of this run.

    The run has ended then, or this computer sees another folder.
    """
    path = run.options.out / "run.json"
    if not path.exists() or sha256(path) != run.summary_sha256:
        raise UserError(
            f"{path}: is not that of this run; every worker must see the same folder under this "
            "path"
        )


def write_outputs(job: Job, image: np.ndarray, greys: np.ndarray, mask: np.ndarray) -> Outcome:
    """Write the outputs of an image; the mask is last, as its record says that all are there."""
    folder, name = job.run.options.out, job.image.name
    own, beside = folder / f"{name}_mask.tif", models_own(folder, name)
    users, replaced = users_masks(folder, name), []
    if users and job.run.options.force:
        replaced = [set_aside(path) for path in [*users, *files_of(folder, name, "_axon")]]
        users = []
    write_image(folder / f"{name}_pred.png", greys, fsync=True)
    shown = users_mask(users[0], mask) if users else mask
    write_overlay(folder / f"{name}_overlay.png", image, shown)
    models_overlay = beside.with_name(f"{beside.stem.removesuffix('_mask')}_overlay.png")
    if users:
        write_overlay(models_overlay, image, mask)
    if job.run.probabilities:
        fsync_file(job.run.probabilities)
    record = job.record | {
        "myelin_area_fraction": round(float(mask.mean()), 4),
        "mask_sha256": pixel_hash(mask),
    }
    pixels = mask.view(np.uint8) * np.uint8(255)
    write_image(
        beside if users else own, pixels, record["pixel_size_um"], fsync=True, record=record
    )
    if not users:
        beside.unlink(missing_ok=True)
        models_overlay.unlink(missing_ok=True)
    elif own not in users:  # the user's mask in another format counts; two would be ambiguous
        own.unlink(missing_ok=True)
    return Outcome(
        name,
        record,
        kept=[path.relative_to(folder) for path in users],
        replaced=[path.relative_to(folder) for path in replaced],
    )


def users_mask(path: Path, mask: np.ndarray) -> np.ndarray:
    """Return a mask edited by the user; the model's `mask` if the file is not one of this size."""
    try:
        corrected = read_mask(path)
    except UserError:
        return mask
    return corrected if corrected.shape == mask.shape else mask
