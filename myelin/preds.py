"""Segment the packed test images into `preds/`: the work of find_myelin.py, also after training."""

import collections
import contextlib
import dataclasses
import functools
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from myelin.bands import in_bands, segment_scan
from myelin.cli import PartlyDone, UserError, progress, quote
from myelin.disk import check_room
from myelin.engine import WORKERS, open_engine
from myelin.files import name_leftovers, replacing, sha256, times_written
from myelin.images import MAX_PIXELS, read_mask, write_image
from myelin.locking import holding
from myelin.model_file import read_model_file
from myelin.naming import NPYDATA, PREDS, RAW_TEST
from myelin.overlay import overlay, reduced
from myelin.ownership import RunRecord, pixel_hash
from myelin.packed import Stack, TestSet, load_test, packed_take
from myelin.packing import keep_up
from myelin.preprocessing import dataset_statistics
from myelin.quantization import read_scales
from myelin.run_report import name_corrected, report
from myelin.segmentation import segment
from myelin.sharing import decide
from myelin.take import take_text
from myelin.tree import open_images

PROBABILITIES = NPYDATA / "imgs_mask_test.npy"
# Most that a pixel takes in preds/: the probability, and the overlay's three colours.
BYTES_PER_PIXEL = 4


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may set for all images of a run.

    Attributes
    ----------
    myelin : "auto", "bright" or "dark"
    scale : float or None
        Magnification for the network; None finds it.
    pixel_size_um : float or None
        µm per pixel, for the tables; else each image's own, where it says so.
    threshold : float or None
        Probability from which a pixel is myelin; else the model's.
    engine, precision : str
        See `engine.open_engine`.
    force : bool
        Whether masks corrected by hand are replaced, after a copy.
    out : Path
        Where results go.
    """

    myelin: str = "auto"
    scale: float | None = None
    pixel_size_um: float | None = None
    threshold: float | None = None
    engine: str = "auto"
    precision: str = "auto"
    force: bool = False
    out: Path = PREDS

    def pixel_size(self, packed_um):
        """Return µm per pixel of an image, or None, and its source."""
        if self.pixel_size_um is not None:
            return self.pixel_size_um, "--pixel-size"
        return packed_um, "unknown" if packed_um is None else "the image's metadata"


def segment_test(model, options=Options()):
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
        facts = {"source": str(RAW_TEST), "take": take_text(packed_take("test"))}
        segment_images(load_test(), model, options, facts)


def segment_files(given, model, options=Options(), strict=False, take=None):
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
        facts = {"source": str(images.source), "given": list(map(str, given))}
        facts["take"] = take_text(images.take)
        segment_images(images, model, options, facts)
    if images.failed:
        raise PartlyDone(*images.failed)


def segment_images(test, model, options, facts):
    """Segment a `TestSet` or `tree.ImageFiles`; `facts` are for `run.json`."""
    check_room(room_needed(test, options.out), "make room on it or take fewer images")
    weights, stated, _ = read_model_file(model)
    model_sha256 = sha256(model)
    settings = with_statistics(stated, test)
    threshold = settings.threshold if options.threshold is None else options.threshold
    if options.scale and settings.frame == "resize":
        raise UserError(f"--scale: {model} sees every image at one size, leave it out")
    scales = read_scales(model, model_sha256) if options.precision == "auto" else None
    engine = open_engine(weights, settings, options.engine, options.precision, scales)

    choices = decide(engine, settings, test, options.myelin, options.scale)
    check_sizes(test, choices)

    before = times_written(options.out)
    record = RunRecord(
        options.out,
        test.ids,
        options.force,
        model=str(model),
        model_sha256=model_sha256,
        model_preprocessing=dataclasses.asdict(stated),
        threshold=threshold,
        engine=engine.name,
        **facts,
    )
    facts = [described(choice, settings, model, options) for choice in choices]
    segment_all(engine, settings, test, choices, threshold, options, facts, record)
    record.finish()
    users = {
        *record.kept,
        *(path for path in before if path.stem.removesuffix("_axon") in test.ids),
    }
    name_leftovers(options.out, {path: time for path, time in before.items() if path not in users})
    report(record.images, model, options.out)
    name_corrected(record)


def segment_all(engine, settings, test, choices, threshold, options, facts, record):
    """Segment and write the images one by one, each with its `facts` for run.json."""

    def found(index):
        if in_bands(test.shapes[index], settings):
            return None, None  # when it is its turn, as two at once would take twice the memory
        image = test[index]
        return image, segment(engine, settings, image, choices[index])

    # One image is read or written while the network sees another.
    with contextlib.ExitStack() as stack:
        probabilities, pool = NotKept(), stack.enter_context(ThreadPoolExecutor(WORKERS))
        if isinstance(test, TestSet):
            temporary = stack.enter_context(replacing(PROBABILITIES))
            probabilities = Stack(temporary, test.images.shape, np.float32)
        results = ahead(pool, found, range(len(test)), WORKERS)
        for index, name in enumerate(progress(test.ids, "segmenting")):
            image, probability = next(results)
            if image is None:
                image, choice = test[index], choices[index]
                keep = functools.partial(probabilities.put_rows, index)
                probability, mask = segment_scan(engine, settings, image, choice, threshold, keep)
            else:
                probabilities[index] = probability
                mask = probability >= threshold
                probability = np.rint(probability * 255).astype(np.uint8)
            size, source = options.pixel_size(test.pixel_sizes_um[index])
            fact = {
                "pixel_size_um": size,
                "pixel_size_source": source,
                "myelin_area_fraction": round(float(mask.mean()), 4),
                **facts[index],
            }
            write_result(record, name, image, probability, mask, fact)


class NotKept:
    """Stands for the `Stack` of probabilities where there is none, as images were not packed."""

    def __setitem__(self, index, image):
        pass

    def put_rows(self, index, first, rows):
        pass


def ahead(pool, call, items, count):
    """Yield the call's result for each item in order, computing `count` items ahead and no more."""
    futures = collections.deque()
    for item in items:
        futures.append(pool.submit(call, item))
        if len(futures) > count:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


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


def described(choice, settings, model, options):
    """Return what was decided for an image, for run.json."""
    return {
        "myelin": "dark" if choice.dark else settings.myelin,
        "network_scale": choice.scale,
        "scale_group": choice.group,
        "fiber_score": choice.score and round(choice.score, 3),
        "has_fibers": choice.has_fibers,
        "doubtful": choice.doubtful,
        "repeat": repeating_call(choice, settings, model, options),
    }


def repeating_call(choice, settings, model, options):
    """Return the call that gives an image the same mask, whatever else is in the folder."""
    words = ["python", "find_myelin.py", model]
    if settings.frame == "native" and choice.has_fibers:
        words += ["--myelin", "dark" if choice.dark else "bright", "--scale", f"{choice.scale:g}"]
    elif choice.dark:
        words += ["--myelin", "dark"]
    for option in ("threshold", "engine", "precision"):
        value = getattr(options, option)
        if value not in (None, "auto"):
            words += [f"--{option}", value]
    return quote(words)


def write_result(record, name, image, greys, mask, fact):
    """Write one image's probability, overlay and mask; the mask last, it says that all is there.

    Parameters
    ----------
    record : RunRecord
    name : str
    image : uint8 array, (rows, cols)
    greys : uint8 array, (rows, cols)
        Probability x 255.
    mask : bool array, (rows, cols)
    fact : dict
        For run.json.
    """
    write_image(record.folder / f"{name}_pred.png", greys)
    fact["image_sha256"] = pixel_hash(image)
    users = record.users_masks(name, fact["image_sha256"])
    standing = users_mask(users[0], mask) if users else mask
    write_image(record.folder / f"{name}_overlay.png", overlay(*reduced(image, standing)))
    record.put_mask(name, mask, users, **fact)


def users_mask(path, mask):
    """Return a mask corrected by hand, which will be measured; the model's where it is no mask."""
    try:
        corrected = read_mask(path)
    except UserError:
        return mask
    return corrected if corrected.shape == mask.shape else mask
