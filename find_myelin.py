"""Segment the packed test images with a model.

    python data.py
    python find_myelin.py
    python find_myelin.py newmyelin.h5 --pixel-size 0.12

Writes, for every image of raw/test, preds/<id>_pred.png (myelin probability x 255),
preds/<id>_mask.tif (0/255) and preds/<id>_overlay.png, all at the size of the image; also
npydata/imgs_mask_test.npy (probabilities, float32) and preds/run.json (what made them).
"""

import dataclasses
import itertools

import cv2
import numpy as np

import unet
from data import Stack, load_test, test_images
from myelin.cli import (
    NPYDATA,
    PREDS,
    RAW_TEST,
    Parser,
    UserError,
    name_leftovers,
    number,
    progress,
    replacing,
    script,
    sha256,
    start_run,
    write_run_json,
)
from myelin.images import MAX_PIXELS, check_pixel_size, list_images, read_pixel_size, write_image
from unet import STRIDE

# Images are cut into tiles of this many pixels (plus halo) for the network: about 1.5 GB of memory.
TILE = 1024
# What a pixel's result depends on: two 3x3 convolutions and a pooling on each of four levels reach
# 2+1, 4+2, 8+4, 16+8 pixels, the bottom 32, the way up 16+8+4+2: 107, rounded up to whole strides.
HALO = 112
# Pixel sizes nearer to the model's than this factor are left as they are: its training varied more.
SCALE_TOLERANCE = 1.5
# --myelin auto tries both ways round on a window of this size, where the image varies most: at 512,
# one of nine images was taken wrongly by a model of 600 steps that had not seen the animal. An
# enclosed region looks like an axon if it has so many pixels, fills so much of its convex hull, and
# so little of it is myelin again.
POLARITY_WINDOW = 768
MIN_AXON_PX = 15
ROUND_SOLIDITY = 0.85
MAX_FILLED = 0.03
OVERLAY_RGB = (230, 159, 0)  # orange of Okabe and Ito's colour-blind-safe palette


def predict(network, frame):
    """Return the probability map of a normalised frame of any size, in tiles where it is large.

    Each tile sees a halo of its true surroundings, so tiles give what one piece would.

    Parameters
    ----------
    network : keras.Model
        From `unet.get_unet(None, None)`.
    frame : float32 array, (rows, cols)

    Returns
    -------
    float32 array, (rows, cols)
    """
    rows, cols = frame.shape
    padding = ((0, -rows % STRIDE), (0, -cols % STRIDE))
    frame = np.pad(frame, padding, mode="symmetric" if min(rows, cols) >= STRIDE else "edge")
    result = np.empty(frame.shape, np.float32)
    starts = (range(0, length, TILE) for length in frame.shape)
    for top, left in progress(list(itertools.product(*starts)), "huge image", "tile", delay_s=10):
        above, before = min(top, HALO), min(left, HALO)
        tile = frame[top - above : top + TILE + HALO, left - before : left + TILE + HALO]
        found = network.predict_on_batch(tile[None, ..., None])[0, ..., 0]
        part = np.s_[top : top + TILE, left : left + TILE]
        height, width = result[part].shape
        result[part] = found[above : above + height, before : before + width]
    return result[:rows, :cols]


def probability(network, settings, image, scale=1.0):
    """Return the myelin probability of one picture.

    Parameters
    ----------
    network : keras.Model
    settings : unet.Preprocessing
    image : uint8 array, (rows, cols)
        Myelin as the network knows it.
    scale : float
        Magnification that brings the picture to the network's pixel size ("native" frames only).

    Returns
    -------
    float32 array, (rows, cols), 0..1
    """
    rows, cols = image.shape
    if settings.frame == "resize":
        frame = unet.normalize(unet.resize(image, settings.rows, settings.cols), settings)
        found = network.predict_on_batch(frame[None, ..., None])[0, ..., 0]
        return np.clip(unet.resize(found, rows, cols), 0, 1)
    frame = unet.normalize(image, settings)
    if scale != 1:
        size = max(round(cols * scale), 1), max(round(rows * scale), 1)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        frame = cv2.resize(frame, size, interpolation=how)
    return np.clip(unet.resize(predict(network, frame), rows, cols), 0, 1)


def busiest_window(image, size):
    """Return the size x size window (or the whole, if smaller) in which grey values vary most."""
    ys, xs = (np.linspace(0, max(length - size, 0), 9, dtype=int) for length in image.shape)
    windows = [np.s_[y : y + size, x : x + size] for y in np.unique(ys) for x in np.unique(xs)]
    return max((image[window] for window in windows), key=np.std)


def axon_likeness(mask):
    """Return the area of round, empty regions that a mask encloses, over the area of the mask.

    Axons make it 0.25 to 0.7 with the bundled model. The wrong way round, sheaths can be enclosed
    and round too, but they hold the axon, which is then taken for myelin: 0.00 to 0.16.
    """
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(contour) for contour in contours]
    enclosed = 0.0
    for index, contour in enumerate(contours):
        child = tree[0][index][2]
        if not outline_is_hole(tree[0], index) or areas[index] < MIN_AXON_PX:
            continue
        filled = 0.0
        while child >= 0:
            filled, child = filled + areas[child], tree[0][child][0]
        hull = cv2.contourArea(cv2.convexHull(contour))
        if areas[index] > ROUND_SOLIDITY * hull and filled < MAX_FILLED * areas[index]:
            enclosed += areas[index]
    return enclosed / max(np.count_nonzero(mask), 1)


def outline_is_hole(tree, index):
    """Whether an outline of `cv2.RETR_TREE` lies at an odd depth: around a hole."""
    depth = 0
    while (index := tree[index][3]) >= 0:
        depth += 1
    return depth % 2 == 1


def myelin_is_dark(network, settings, image, scale):
    """Decide whether a picture's myelin is dark: which way round does the network see axons?"""
    window = np.ascontiguousarray(busiest_window(image, max(round(POLARITY_WINDOW / scale), 1)))
    bright, dark = (
        axon_likeness(probability(network, settings, one, scale) >= settings.threshold)
        for one in (window, 255 - window)
    )
    return dark > bright


def overlay(image, mask):
    """Return the picture with its myelin tinted and outlined, uint8 RGB (rows, cols, 3)."""
    greys = np.arange(256)[:, None]
    tinted = np.rint(0.65 * greys + 0.35 * np.array(OVERLAY_RGB)).astype(np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    picture = np.repeat(image[..., None], 3, axis=2)
    picture[mask] = tinted[image[mask]]
    picture[mask & ~inner] = OVERLAY_RGB
    return picture


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


def frame_scale(settings, pixel_size_um):
    """Return the magnification that brings a picture to the model's pixel size; 1 if unknown."""
    if settings.frame == "resize" or not settings.pixel_size_um or not pixel_size_um:
        return 1.0
    scale = pixel_size_um / settings.pixel_size_um
    return scale if max(scale, 1 / scale) > SCALE_TOLERANCE else 1.0


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
    network, settings, _ = unet.load_model(model)
    stated, model_sha256 = settings, sha256(model)
    if settings.normalize == "test set":
        frames = (images.mapped(i)[:rows, :cols] for i, (rows, cols) in enumerate(shapes))
        mean, std = unet.dataset_statistics(frames, settings)
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
        engine=f"keras, {unet.keras_devices()[0]}",
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


@script
def main(argv=None):
    """Segment `raw/test`."""
    parser = Parser(__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        default="bestmyelin.h5",
        help="model file, in models/ when a bare name (default: bestmyelin.h5)",
    )
    parser.add_argument(
        "--threshold",
        type=number(float, 0.001, 0.999),
        metavar="P",
        help="probability from which a pixel is myelin; lower makes sheaths thicker "
        "(default: the model's, 0.5)",
    )
    parser.add_argument(
        "--myelin",
        choices=["auto", "bright", "dark"],
        default="auto",
        help="whether myelin is brighter or darker than its surroundings; auto decides for each "
        "image, dark images are inverted for the network (default: auto)",
    )
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of all images; those that differ from the model's by more than a "
        f"factor of {SCALE_TOLERANCE:g} are resampled for the network (default: from each "
        "image's OME or ImageJ tags, else as it is)",
    )
    args = parser.parse_args(argv)
    model = unet.model_path(args.model, reading=True)
    unet.start_keras()
    segment_test(model, args.myelin, args.pixel_size, args.threshold)


if __name__ == "__main__":
    main()
