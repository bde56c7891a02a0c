"""Segment the packed test images into `preds/`."""

import dataclasses
import json

import cv2
import numpy as np

from myelin import engine, model_file, preprocessing
from myelin.cli import UserError, progress
from myelin.files import name_leftovers, replacing, sha256, start_run, write_run_json
from myelin.images import MAX_PIXELS, write_image
from myelin.naming import NPYDATA, PREDS, RAW_TEST, list_images, test_images
from myelin.packed import Stack, load_test
from myelin.pixel_size import read_pixel_size
from myelin.segmentation import frame_scale, myelin_is_dark, probability

OVERLAY_RGB = (230, 159, 0)  # orange of Okabe and Ito's colour-blind-safe palette


def overlay(image, mask):
    """Return the image with its myelin tinted and outlined, uint8 RGB (rows, cols, 3)."""
    greys = np.arange(256)[:, None]
    tinted = np.rint(0.65 * greys + 0.35 * np.array(OVERLAY_RGB)).astype(np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    canvas = np.repeat(image[..., None], 3, axis=2)
    canvas[mask] = tinted[image[mask]]
    canvas[mask & ~inner] = OVERLAY_RGB
    return canvas


def pixel_sizes(ids, shapes, settings, given):
    """Return {id: (µm per pixel or None, where from, magnification for the network)}.

    Raises
    ------
    UserError
        All images whose size cannot be used, at once.
    """
    files = list_images(RAW_TEST) if RAW_TEST.is_dir() else {}
    sizes, errors = {}, []
    for name, (rows, cols) in zip(ids, shapes, strict=True):
        size, source = given, "--pixel-size"
        try:
            if size is None:
                size, source = read_pixel_size(files[name]) if name in files else (None, "unknown")
        except UserError as mistake:
            if settings.frame == "native":  # frames of fixed size do not ask for it
                errors.extend(mistake.args)
            size, source = None, "unknown"
        scale = frame_scale(settings, size)
        if scale * scale * rows * cols > MAX_PIXELS or min(rows, cols) * scale < 1:
            errors.append(
                f"{name}: {size:g} µm per pixel ({source}), {scale:.3g} times the model's "
                f"{settings.pixel_size_um:g}, give the right one with --pixel-size"
            )
        sizes[name] = size, source, scale
    if errors:
        raise UserError(*errors)
    return sizes


def segment_test(model, myelin="auto", pixel_size_um=None, threshold=None):
    """Segment every packed test image into `preds/`.

    Parameters
    ----------
    model : path
    myelin : "auto", "bright" or "dark"
    pixel_size_um : float, optional
        µm per pixel of all images; else each image's own, where it says so.
    threshold : float, optional
        Probability from which a pixel is myelin; else the model's.
    """
    images, ids, shapes = load_test()
    network, settings, _ = model_file.load_model(model)
    stated, model_sha256 = settings, sha256(model)
    if settings.normalize == "test set":
        frames = (images.mapped(i)[:rows, :cols] for i, (rows, cols) in enumerate(shapes))
        mean, std = preprocessing.dataset_statistics(frames, settings)
        settings = dataclasses.replace(settings, normalize="dataset", mean=mean, std=std)
    threshold = settings.threshold if threshold is None else threshold
    sizes = pixel_sizes(ids, shapes, settings, pixel_size_um)
    if RAW_TEST.is_dir() and set(ids) != {path.stem for path in test_images(RAW_TEST)}:
        print(f"note: {RAW_TEST} has changed since it was packed, run python data.py to see that")
    before = start_run(PREDS)
    facts = {}
    with replacing(NPYDATA / "imgs_mask_test.npy") as temporary:
        probabilities = Stack(temporary, images.shape, np.float32)
        for index, name in enumerate(progress(ids, "segmenting")):
            rows, cols = shapes[index]
            image = np.array(images.mapped(index)[:rows, :cols])
            size, source, scale = sizes[name]
            dark = myelin == "dark"
            if myelin == "auto" and settings.myelin == "bright":
                dark = myelin_is_dark(network, settings, image, scale)
            found = probability(network, settings, 255 - image if dark else image, scale)
            probabilities[index] = found
            mask = found >= threshold
            write_image(PREDS / f"{name}_pred.png", np.rint(found * 255).astype(np.uint8))
            write_image(PREDS / f"{name}_mask.tif", mask.astype(np.uint8) * np.uint8(255), size)
            write_image(PREDS / f"{name}_overlay.png", overlay(image, mask))
            facts[name] = {
                "myelin": "dark" if dark else settings.myelin,
                "pixel_size_um": size,
                "pixel_size_source": source,
                "network_scale": round(scale, 4),
                "myelin_area_fraction": round(float(mask.mean()), 4),
            }
    write_run_json(
        PREDS,
        model=str(model),
        model_sha256=model_sha256,
        model_preprocessing=dataclasses.asdict(stated),
        threshold=threshold,
        engine=f"keras, {engine.keras_devices()[0]}",
        images=facts,
    )
    name_leftovers(PREDS, before)
    dark = sum(fact["myelin"] == "dark" for fact in facts.values())
    print(
        f"segmented {len(ids)} images with {model}, {dark} of them with dark myelin: see {PREDS}/"
    )


def segment_if_packed(model):
    """Segment the test images after training, as the original did, where there are any."""
    if (NPYDATA / "imgs_test.npy").exists():
        segment_test(model)


def segmented(folder, masks):
    """Return the masks that are of `find_myelin.py`'s last run, and that run's `run.json`.

    All masks, and None, where the folder has none.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        ids = set(masks if run is None else run.get("images", masks))
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}), run python find_myelin.py or remove it"
        ) from None
    skipped = [name for name in masks if name not in ids]
    if len(skipped) == len(masks):
        raise UserError(
            f"{folder}: no mask is of the run in its run.json, run python find_myelin.py or remove "
            "run.json to measure all"
        )
    if skipped:
        print(f"skipped, not of the last run in {folder}: {', '.join(skipped)}")
    return {name: paths for name, paths in masks.items() if name in ids}, run
