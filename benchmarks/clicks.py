"""Erase fibers from masks, click into each, and compare the axon that the window proposes.

    python benchmarks/clicks.py FOLDER MASKS [--without-run]

FOLDER holds images segmented by find_myelin.py (raw/test and preds/), MASKS their reference masks
<id>_mask.*, with axon masks <id>_axon.* where there are any. Prints the Dice of the axons. With
--without-run the probability of the run is not used, as if the model had missed every fiber.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from myelin.app.maps import Maps
from myelin.app.propose import propose
from myelin.folders.naming import list_images
from myelin.images.image import read_image, read_mask
from myelin.measure.fibers import find_fibers
from myelin.runtime.cli import UserError

MIN_AXON_PX = 30


def main() -> None:
    """Print one line per image and one of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--fibers", type=int, default=12, help="fibers of each image")
    parser.add_argument("--without-run", action="store_true")
    parser.add_argument("--model", default="bestmyelin.h5")
    args = parser.parse_args()
    masks = list_images(args.masks.resolve())
    os.chdir(args.folder)
    everything, seconds = [], []
    for name, path in list_images(Path("raw/test")).items():
        if f"{name}_mask" not in masks:
            continue
        axon = masks.get(f"{name}_axon")
        dices, times = clicks(name, path, masks[f"{name}_mask"], axon, args)
        everything += dices
        seconds += times
        print(f"{name:24} median {np.median(dices):.3f}  worst {np.round(sorted(dices)[:4], 2)}")
    values = np.array(everything)
    print(
        f"{len(values)} clicks: median Dice {np.median(values):.3f}, above 0.85: "
        f"{np.mean(values > 0.85):.0%}, above 0.7: {np.mean(values > 0.7):.0%}; median "
        f"{np.median(seconds):.2f} s, longest {max(seconds):.2f} s"
    )


def clicks(
    name: str, path: Path, mask_path: Path, axon_path: Path | None, args: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Return the Dice and the seconds of each click in an image."""
    image, mask = read_image(path), read_mask(mask_path)
    axon = read_mask(axon_path) if axon_path else None
    myelin = mask if axon is None else mask & ~axon
    found = find_fibers(myelin, axon, image)
    axons, labels = found.axons[:], found.labels[:]
    probability = None
    if not args.without_run:
        probability = read_image(f"preds/{name}_pred.png")
    maps = Maps(name, image, probability, args.model)
    boxes = found.axons.boxes()
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 4] >= MIN_AXON_PX)
    inside &= (boxes[:, 0] + boxes[:, 2] < mask.shape[1]) & (
        boxes[:, 1] + boxes[:, 3] < mask.shape[0]
    )
    numbers = np.flatnonzero(inside)
    chosen = np.random.default_rng(0).permutation(numbers)[: args.fibers]
    dices, times = [], []
    for number in chosen:
        own = axons == number
        depth = cv2.distanceTransform(np.pad(own, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        start = time.monotonic()
        try:
            rest = (axons > 0) & ~own
            one = propose(image.shape, rest, myelin & (labels != number), int(x), int(y), maps)
            drawn = np.zeros(image.shape, bool)
            drawn[one.window] = one.axon
            dices.append(float(2 * (drawn & own).sum() / (drawn.sum() + own.sum())))
        except UserError:
            dices.append(0.0)
        times.append(time.monotonic() - start)
    return dices, times


if __name__ == "__main__":
    main()
