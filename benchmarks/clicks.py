"""Erase fibers from masks, click into each, and compare the axon that the window proposes.

    python benchmarks/clicks.py FOLDER MASKS [--without-run] [--missed] [--click models/click.h5]

FOLDER holds images segmented by find_myelin.py (raw/test and preds/), MASKS their reference masks
<id>_mask.*, with axon masks <id>_axon.* where there are any. Prints the Dice of the axons. With
--without-run the probability of the run is not used, as if the model had missed every fiber. With
--missed only fibers are clicked that the run did miss: those without a partner at an IoU of 0.5.
A falsely found axon at such a click counts as deleted before.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from myelin.app.propose import propose
from myelin.folders.mask_record import read_run
from myelin.folders.naming import PREDS, list_images
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import match_fibers
from myelin.measure.fibers import find_fibers
from myelin.network.click import CLICK, ClickModel
from myelin.runtime.cli import UserError

MIN_AXON_PX = 30


def main() -> None:
    """Print one line per image and one of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--fibers", type=int, default=12, help="fibers of each image")
    parser.add_argument("--without-run", action="store_true")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--click", type=Path, default=CLICK)
    args = parser.parse_args()
    masks = list_images(args.masks.resolve())
    start = time.monotonic(), time.process_time()
    model = ClickModel(args.click)
    print(f"opened in {time.monotonic() - start[0]:.2f} s ({time.process_time() - start[1]:.2f} s)")
    os.chdir(args.folder)
    everything, seconds = [], []
    for name, path in list_images(Path("raw/test")).items():
        if f"{name}_mask" not in masks:
            continue
        axon = masks.get(f"{name}_axon")
        dices, times = clicks(name, path, masks[f"{name}_mask"], axon, args, model)
        everything += dices
        seconds += times
        print(f"{name:24} {len(dices)} clicks, worst {np.round(sorted(dices)[:4], 2)}")
    values = np.array(everything)
    wall, cpu = np.median(seconds, axis=0)
    print(
        f"{len(values)} clicks: median Dice {np.median(values):.3f}, above 0.85: "
        f"{np.mean(values > 0.85):.0%}, above 0.7: {np.mean(values > 0.7):.0%}, refused: "
        f"{np.mean(values == 0):.0%}; median {wall:.2f} s, of the processors {cpu:.2f} s"
    )


def clicks(
    name: str,
    path: Path,
    mask_path: Path,
    axon_path: Path | None,
    args: argparse.Namespace,
    model: ClickModel,
) -> tuple[list[float], list[tuple[float, float]]]:
    """Return the Dice and the seconds of each click in an image."""
    image, mask = read_image(path), read_mask(mask_path) > 0
    axon = read_mask(axon_path) > 0 if axon_path else None
    found = find_fibers(mask if axon is None else mask & ~axon, axon, image)
    mask_now = read_mask(PREDS / f"{name}_mask.tif") > 0
    segmented = find_fibers(mask_now, None, image)
    axons, labels = found.axons[:], found.labels[:]
    boxes = found.axons.boxes()
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 4] >= MIN_AXON_PX)
    inside &= boxes[:, 0] + boxes[:, 2] < mask.shape[1]
    inside &= boxes[:, 1] + boxes[:, 3] < mask.shape[0]
    if args.missed:
        inside[match_fibers(found.labels, segmented.labels)[0][:, 0]] = False
    threshold, probability = (read_run(PREDS) or {}).get("threshold") or 0.5, None
    if not args.without_run:
        probability = read_image(PREDS / f"{name}_pred.png")
    dices, times = [], []
    for number in np.random.default_rng(0).permutation(np.flatnonzero(inside))[: args.fibers]:
        own = axons == number
        depth = cv2.distanceTransform(np.pad(own, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
        others, left = (axons > 0) & ~own, (labels > 0) & (labels != number) & (axons == 0)
        if args.missed:
            others = segmented.axons[:]
            others, left = (others > 0) & (others != others[y, x]), mask_now
        start = time.monotonic(), time.process_time()
        try:
            one = propose(image, others, left, x, y, probability, threshold, model)
            drawn = np.zeros(image.shape, bool)
            drawn[one.window] = one.axon
            dices.append(float(2 * (drawn & own).sum() / (drawn.sum() + own.sum())))
        except UserError:
            dices.append(0.0)
        times.append((time.monotonic() - start[0], time.process_time() - start[1]))
    return dices, times


if __name__ == "__main__":
    main()
