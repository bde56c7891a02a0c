"""Segment the packed test images into `preds/`: the work of find_myelin.py, also after training."""

import collections
import dataclasses
import functools
import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from myelin.bands import in_bands, segment_scan
from myelin.cli import UserError, progress, quote
from myelin.disk import check_room
from myelin.engine import WORKERS, open_engine
from myelin.files import name_leftovers, replacing, sha256, times_written
from myelin.images import MAX_PIXELS, read_mask, write_image
from myelin.locking import holding
from myelin.model_file import read_model_file
from myelin.naming import NPYDATA, PREDS
from myelin.ownership import MODELS_OWN, REPLACED, RunRecord, pixel_hash
from myelin.packed import Stack, load_test, packed_take
from myelin.packing import keep_up
from myelin.preprocessing import dataset_statistics
from myelin.quantization import read_scales
from myelin.segmentation import segment
from myelin.sharing import decide
from myelin.take import take_text

OVERLAY_RGB = (230, 159, 0)  # orange of Okabe and Ito's colour-blind-safe palette
PROBABILITIES = NPYDATA / "imgs_mask_test.npy"
# Most that a pixel takes in preds/: the probability, and the overlay's three colours.
BYTES_PER_PIXEL = 4
MAX_OVERLAY_PX = 2**26  # 8192 x 8192; overlays of larger images are made smaller by a whole factor


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
    """

    myelin: str = "auto"
    scale: float | None = None
    pixel_size_um: float | None = None
    threshold: float | None = None
    engine: str = "auto"
    precision: str = "auto"
    force: bool = False

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
    with holding(PREDS), holding(NPYDATA, "imgs_test.npy", shared=True):
        segment_packed(load_test(), model, options)


def segment_packed(test, model, options):
    """Segment a `TestSet` as `segment_test` does."""
    check_room(room_needed(test), "make room on it or pack fewer images")
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

    before = times_written(PREDS)
    record = RunRecord(
        PREDS,
        test.ids,
        options.force,
        take=take_text(packed_take("test")),
        model=str(model),
        model_sha256=model_sha256,
        model_preprocessing=dataclasses.asdict(stated),
        threshold=threshold,
        engine=engine.name,
    )
    facts = [described(choice, settings, model, options) for choice in choices]
    segment_all(engine, settings, test, choices, threshold, options, facts, record)
    record.finish()
    users = {
        *record.kept,
        *(path for path in before if path.stem.removesuffix("_axon") in test.ids),
    }
    name_leftovers(PREDS, {path: time for path, time in before.items() if path not in users})
    report(record.images, model)
    name_corrected(record)


def segment_all(engine, settings, test, choices, threshold, options, facts, record):
    """Segment and write the images one by one, each with its `facts` for run.json."""

    def found(index):
        if in_bands(test.shapes[index], settings):
            return None, None  # when it is its turn, as two at once would take twice the memory
        image = test[index]
        return image, segment(engine, settings, image, choices[index])

    # One image is read or written while the network sees another.
    with replacing(PROBABILITIES) as temporary, ThreadPoolExecutor(WORKERS) as pool:
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


def room_needed(test):
    """Return the bytes that a run will write, {folder: int}."""
    frames = 4 * math.prod(test.images.shape)
    return {NPYDATA: frames, PREDS: BYTES_PER_PIXEL * int(np.prod(test.shapes, axis=1).sum())}


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


def report(facts, model):
    """Say how the images were segmented, and which are doubtful or show no fibers."""
    ways = {}
    for name, fact in facts.items():
        if fact["has_fibers"]:
            ways.setdefault((fact["myelin"], fact["network_scale"]), []).append(name)
    shown = ", ".join(
        f"{len(names)} at scale {scale:g} ({'myelin ' * (myelin != 'as it is')}{myelin})"
        for (myelin, scale), names in ways.items()
    )
    print(f"segmented {len(facts)} images with {model}: {shown or 'none'}; see {PREDS}/")
    doubted = [name for name, fact in facts.items() if fact["doubtful"]]
    if doubted:
        print(f"note: look closely at {', '.join(doubted)}: the network is less sure there")
    empty = [name for name, fact in facts.items() if not fact["has_fibers"]]
    if empty:
        print(
            f"note: no fibers found at any scale in {', '.join(empty)}; "
            "--myelin and --scale segment them all the same"
        )


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
    write_image(PREDS / f"{name}_pred.png", greys)
    fact["image_sha256"] = pixel_hash(image)
    users = record.users_masks(name, fact["image_sha256"])
    standing = users_mask(users[0], mask) if users else mask
    write_image(PREDS / f"{name}_overlay.png", overlay(*reduced(image, standing)))
    record.put_mask(name, mask, users, **fact)


def users_mask(path, mask):
    """Return a mask corrected by hand, which will be measured; the model's where it is no mask."""
    try:
        corrected = read_mask(path)
    except UserError:
        return mask
    return corrected if corrected.shape == mask.shape else mask


def name_corrected(record):
    """Say which masks the user has corrected, and what became of them."""
    if record.kept:
        print(
            f"kept, corrected by hand: {', '.join(path.name for path in record.kept)}; the model's "
            f"are in {PREDS / MODELS_OWN}/, --force replaces yours after a copy"
        )
    for why, paths in (("--force", record.replaced), ("the image has changed", record.outdated)):
        if paths:
            names = ", ".join(path.name for path in paths)
            print(f"replaced, corrected by hand ({why}): yours are in {PREDS / REPLACED}/: {names}")


def reduced(image, mask):
    """Return an image and its mask as they are, a scan's at a size that any program can show."""
    step = math.ceil(math.sqrt(image.size / MAX_OVERLAY_PX))
    if step == 1:
        return image, mask
    size = image.shape[1] // step, image.shape[0] // step
    parts = (
        cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        for part in (image, mask.view(np.uint8))
    )
    image, share = parts
    return image, share > 0


def overlay(image, mask):
    """Return the image with its myelin tinted and outlined, uint8 RGB (rows, cols, 3)."""
    greys = np.arange(256)[:, None]
    tinted = np.rint(0.65 * greys + 0.35 * np.array(OVERLAY_RGB)).astype(np.uint8)
    mask = mask.astype(np.uint8)
    canvas = cv2.merge([image] * 3)
    cv2.copyTo(cv2.applyColorMap(image, tinted[:, None]), mask, canvas)
    outline = mask - cv2.erode(mask, np.ones((3, 3), np.uint8))
    canvas[outline > 0] = OVERLAY_RGB
    return canvas
