"""Dice of a model on pairs, as they are, inverted, and at three times finer and coarser pixels.

    python benchmarks/accuracy.py FOLDER [MODEL] [--pixel-size UM] [--window PX]

FOLDER holds pairs x.tif, x_mask.tif (any format). One row per image: myelin Dice as it is; the
inverted image with --myelin auto; the image shrunk and enlarged 3 times, first as it comes, then
with its pixel size given (needs --pixel-size or the image's metadata, and a model that knows its
own). Images are cut to their central window first, since enlarging makes nine times the pixels.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin import segmentation
from myelin.agreement import overlap
from myelin.engine import KerasEngine
from myelin.images import read_image, read_mask, read_record
from myelin.model_file import model_path, read_model_file
from myelin.naming import training_pairs
from myelin.pixel_size import check_pixel_size


def centre(array, size):
    """Cut a (rows, cols) array to its central size x size window."""
    top, left = (max(length - size, 0) // 2 for length in array.shape)
    return np.ascontiguousarray(array[top : top + size, left : left + size])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--pixel-size", type=check_pixel_size)
    parser.add_argument("--window", type=int, default=640)
    parser.add_argument("--images", default="", help="only stems that contain this")
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = KerasEngine(weights, settings.rows, settings.cols)

    def dice(one, other):
        return overlap(one, other)[0]

    def segment(image, size_um=None, factor=1.0):
        scale = segmentation.frame_scale(settings, size_um)
        if factor != 1:
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)
            scale = segmentation.frame_scale(settings, size_um and size_um / factor)
        return segmentation.probability(engine, settings, image, scale) >= settings.threshold

    print(f"{'image':20s} plain inverted | as it comes: 1/3 x3 | pixel size given: 1 1/3 x3")
    rows = []
    for image_path, mask_path in training_pairs(args.folder)[0]:
        if args.images not in image_path.stem:
            continue
        size_um = args.pixel_size or read_record(image_path).pixel_size()[0]
        image = centre(read_image(image_path), args.window)
        mask = centre(read_mask(mask_path), args.window)
        row = [dice(segment(image), mask)]
        dark = segmentation.myelin_is_dark(engine, settings, 255 - image, 1.0)
        row.append(dice(segment(image if dark else 255 - image), mask))
        for known in (None, size_um):
            if known:
                row.append(dice(segment(image, known), mask))
            for factor in (1 / 3, 3):
                size = tuple(round(n * factor) for n in mask.shape[::-1])
                coarse = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
                row.append(dice(segment(image, known, factor), coarse > 0.5))
        rows.append(row)
        print(f"{image_path.stem:20s}", " ".join(f"{value:.3f}" for value in row), flush=True)
    print(f"{'mean':20s}", " ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()
