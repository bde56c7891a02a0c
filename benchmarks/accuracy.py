"""Accuracy of a model on a folder of pairs, and agreement of its masks on transformed copies.

    python benchmarks/accuracy.py ../shared/data/tem
    python benchmarks/accuracy.py FOLDER MODEL --guises --alone

FOLDER holds x.png with its mask x_mask.png, and perhaps axons x_axon.png (any format). Scale and
polarity are found as by find_myelin.py, for the folder as one run, or with --alone for each image
by itself. One row per image: the scale, whether its myelin was found dark, Dice of myelin and
axons, F1 of fibers (IoU of 0.5 and more), and the difference of the means of diameter, thickness
and g-ratio and of density in %. With --guises also the Dice of the mask against the mask of the
same image inverted, enlarged 2 and 3 times, and shrunk 2 times, each segmented without any hint.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images, training_pairs
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import compare, measure_columns, overlap
from myelin.measure.fibers import measure_fibers
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.segment.scale_groups import decide
from myelin.segment.tiles import segment

GUISES = {"inverted": -1, "x2": 2, "x3": 3, "/2": 0.5}


def disguised(image, factor):
    """Return the image inverted (-1), enlarged or shrunk."""
    if factor == -1:
        return 255 - image
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


def guise_dice(image, mask, find):
    """Return the Dice of a mask against those of the image's guises, brought back to its size."""
    found = []
    for factor in GUISES.values():
        other = find(disguised(image, factor)).astype(np.float32)
        size = mask.shape[::-1]
        how = cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR
        found.append(overlap(cv2.resize(other, size, interpolation=how) > 0.5, mask)[0])
    return found


def accuracy(name, image, predicted, reference, axon):
    """Return the numbers of one image's row."""
    true = measure_fibers(reference, 1.0, axon, image)
    found = measure_fibers(predicted, 1.0, None, image)
    row = compare(name, true, found, (reference, predicted), "px").row
    columns = [*measure_columns("px").values(), "fiber_density_per_megapixel"]
    differences = [row[f"{column}_difference_percent"] for column in columns]
    numbers = [row["myelin_dice"], row["axon_dice"], row["f1"], *differences]
    return [np.nan if number is None else number for number in numbers]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--axons", type=Path, help="folder of x_axon files (default: FOLDER)")
    parser.add_argument("--images", default="", help="only names that contain this")
    parser.add_argument("--alone", action="store_true", help="each image as a run of its own")
    parser.add_argument("--guises", action="store_true")
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = open_engine(weights, settings)

    def find(image, choice=None):
        choice = choice or decide(engine, settings, [image])[0]
        return segment(engine, settings, image, choice) >= settings.threshold

    axons = list_images(args.axons or args.folder)
    pairs = [pair for pair in training_pairs(args.folder)[0] if args.images in pair[0].stem]
    images = [read_image(path) for path, _ in pairs]
    runs = [[image] for image in images] if args.alone else [images]
    choices = [choice for run in runs for choice in decide(engine, settings, run)]
    print(f"{'image':20s} scale dark   myelin axon  F1   | diameter thickness g density % | guises")
    rows = []
    for (path, mask_path), image, choice in zip(pairs, images, choices, strict=True):
        axon = axons.get(f"{path.stem}_axon")
        predicted, mask = find(image, choice), read_mask(mask_path)
        row = accuracy(path.stem, image, predicted, mask, axon and read_mask(axon))
        row += guise_dice(image, predicted, find) if args.guises else []
        rows.append(row)
        print(f"{path.stem:20s} {choice.scale:5.2f} {choice.dark!s:5s} ", text(row), flush=True)
    print(f"{'mean':20s} {'':11s} ", text(np.nanmean(rows, axis=0)))


def text(row):
    """Return a row's numbers as text."""
    parts = (f"{value:.3f}" for value in row[:3]), (f"{value:+.1f}" for value in row[3:7])
    return " | ".join(" ".join(part) for part in (*parts, (f"{value:.3f}" for value in row[7:])))


if __name__ == "__main__":
    main()
