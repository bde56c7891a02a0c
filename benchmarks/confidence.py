"""Compare definitions of confidence: how well each separates wrong fibers from correct ones.

    python benchmarks/confidence.py [PREDS] [REFERENCE]      (default: preds raw/test)

PREDS is the output folder of find_myelin.py; REFERENCE holds, for the same ids, hand-drawn masks
x_mask.*, axon masks x_axon.* if there are any, and the images x.*. A fiber is wrong if it matches
none of the reference at IoU 0.5. It prints the AUC, the chance that a wrong fiber has a lower value
than a correct one (0.5: no information): over all fibers, over those that touch no border, the mean
of the images, and each image. Nothing is fitted. Then, for the one in use, the fraction of wrong
fibers by confidence.
"""

import argparse
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.mask_set import find_masks, images_of, open_masks
from myelin.folders.naming import PREDS, RAW_TEST
from myelin.folders.reader import Reader
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import match_fibers
from myelin.measure.fibers import measure_fibers

IN_USE = "sheath x axon (in use)"
SECTORS = 16
SURE, UNSURE = 0.9, 0.1  # probabilities between which a pixel is unstable
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def candidates(fibers, probability):
    """Return {definition: its value for each fiber, (n,)}; larger is surer."""
    count, p = len(fibers), probability / 255
    labels, axons = fibers.labels.to_array(), fibers.axons.to_array()
    sheaths = np.where(axons > 0, 0, labels)
    # The fibers' surroundings, 1 px wide; without what belongs to a neighbour.
    grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    ring = np.where(labels > 0, 0, grown)
    around = np.maximum(labels, ring)

    def total(values, where):
        return np.bincount(where.ravel(), values.ravel(), minlength=count + 1)[1:]

    def mean(values, where):
        pixels = np.bincount(where.ravel(), minlength=count + 1)[1:]
        return np.where(pixels > 0, total(values, where) / np.maximum(pixels, 1), 1)

    decided, in_sheath = abs(2 * p - 1), sheaths > 0
    sheath, axon, outside = mean(p, sheaths), mean(1 - p, axons), mean(1 - p, ring)
    stable = total((p >= SURE) & in_sheath, around) / total((p >= UNSURE) | in_sheath, around)
    return {
        IN_USE: fibers.columns["confidence"],
        "sheath |2p-1|": mean(decided, sheaths),
        "fiber |2p-1|": mean(decided, labels),
        "axon 1-p": axon,
        "sheath x ring outside": sheath * outside,
        "sheath x axon x ring": sheath * axon * outside,
        "lesser of sheath, axon": np.minimum(sheath, axon),
        "weakest quarter": weakest_quarter(fibers, p, sheaths),
        f"stable {UNSURE} to {SURE}": stable,
        "fiber area": total(np.ones_like(p), labels),
    }


def weakest_quarter(fibers, p, sheaths):
    """Return the lower quartile of mean p over `SECTORS` sectors of each sheath, (n,)."""
    rows, cols = np.nonzero(sheaths)
    index = sheaths[rows, cols] - 1
    angle = np.arctan2(
        rows - fibers.columns["y_px"][index], cols - fibers.columns["x_px"][index]
    ) / (2 * np.pi)
    key = index * SECTORS + (angle % 1 * SECTORS).astype(int) % SECTORS
    pixels = np.bincount(key, minlength=len(fibers) * SECTORS)
    sums = np.bincount(key, p[rows, cols], minlength=len(fibers) * SECTORS)
    with np.errstate(invalid="ignore"):
        means = (sums / pixels).reshape(-1, SECTORS)  # NaN where the border cuts a sector off
    return np.nanquantile(means, 0.25, axis=1)


def separation(values, wrong):
    """Return the AUC, ties counted half; NaN where no fiber or every fiber is wrong."""
    right, values = np.sort(values[~wrong]), values[wrong]
    if not len(right) or not len(values):
        return np.nan
    below = np.searchsorted(right, values, "left") + np.searchsorted(right, values, "right")
    return 1 - below.mean() / 2 / len(right)


def rate(probability, mask, reference, image):
    """Return for each fiber of an image whether it is wrong, whether it is whole, candidates."""
    axon = None if reference[1] is None else read_mask(reference[1])
    true = measure_fibers(read_mask(reference[0]), 1, axon)
    grey = None if image is None else read_image(image)
    probability = read_image(probability)
    fibers = measure_fibers(read_mask(mask[0]), 1, image=grey, probability=probability)
    pairs, _ = match_fibers(true.labels, fibers.labels)
    wrong = np.ones(len(fibers), bool)
    wrong[pairs[:, 1] - 1] = False
    return wrong, fibers.whole, candidates(fibers, probability)


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preds", nargs="?", type=Path, default=PREDS)
    parser.add_argument("reference", nargs="?", type=Path, default=RAW_TEST)
    args = parser.parse_args()
    found = open_masks(args.preds, Reader())
    references = find_masks(args.reference, "draw some")
    images = images_of(references, args.reference)
    rated = {
        name: rate(path, found.masks[name], references[name], images.get(name))
        for name, path in found.probabilities.items()
        if name in references
    }
    if not rated:
        sys.exit(f"error: {args.preds}: no probability of the run in its run.json has a reference")
    for name, (wrong, _, _) in rated.items():
        print(f"{name}: {len(wrong)} fibers, {wrong.sum()} wrong")
    wrong, whole = (np.concatenate([one[k] for one in rated.values()]) for k in (0, 1))
    print(f"\n{'AUC':24s}   all  whole  mean | {' '.join(rated)}")
    for definition in next(iter(rated.values()))[2]:
        each = [separation(values[definition], bad) for bad, _, values in rated.values()]
        pooled = np.concatenate([values[definition] for _, _, values in rated.values()])
        inside = separation(pooled[whole], wrong[whole])
        row = (separation(pooled, wrong), inside, np.nanmean(each))
        print(f"{definition:24s}", "  ".join(f"{value:.3f}" for value in row), end=" | ")
        print(" ".join(f"{value:.2f}" for value in each))
    confidence = np.concatenate([values[IN_USE] for _, _, values in rated.values()])
    print("\nconfidence   fibers   wrong")
    for low, high in itertools.pairwise(EDGES):
        inside = (confidence >= low) & ((confidence < high) | (high == 1))
        if inside.any():
            print(f"{low} to {high}  {inside.sum():9}  {100 * wrong[inside].mean():5.1f} %")


if __name__ == "__main__":
    main()
