"""Where the outlines of segmented masks run: against the images, and against reference masks.

    python benchmarks/outlines.py IMAGES MASKS [--reference DIR]

IMAGES holds x.tif, MASKS x_mask.tif (such as preds/), the reference x_mask.tif (any format each).
For each image it prints how far the outline lies outside the half height of the grey values between
sheath and surroundings, in pixels, the median and the two quartiles (negative: inside); and Dice
against the reference, over all pixels, and without those within one pixel of its outline.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.mask_set import find_masks
from myelin.folders.naming import list_images
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import overlap

REACH_PX = 3.0  # a sheath is at least 6 px wide where it counts
STEP_PX = 0.125
CONTRAST = 30  # grey levels between the two sides, below which an edge is ignored
MOST = 20_000  # points of an outline, enough for a median to 0.01 px


def outline_offsets(image, mask, bright):
    """Return how far the outline lies outside half height, at points along it, in pixels.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    mask : bool array, (rows, cols)
    bright : bool
        Whether myelin is brighter than its surroundings.

    Returns
    -------
    float array, (n,)
    """
    # Distance to the outline, which runs between pixels: negative inside.
    signed = np.where(mask, 0.5 - distance_transform_edt(mask), distance_transform_edt(~mask) - 0.5)
    normals = np.stack(np.gradient(gaussian_filter(signed, 1.0)))
    points = np.argwhere(np.abs(signed) < 1)
    points = points[(points >= 5).all(1) & (points < np.array(mask.shape) - 5).all(1)]
    points = points[np.random.default_rng(0).permutation(len(points))[:MOST]]
    normal = normals[:, *points.T]
    normal /= np.linalg.norm(normal, axis=0) + 1e-9
    start = points.T - signed[tuple(points.T)] * normal
    along = np.arange(-REACH_PX, REACH_PX + STEP_PX, STEP_PX)
    where = start[:, :, None] + normal[:, :, None] * along
    heights = map_coordinates(image.astype(np.float32), where, order=1, mode="nearest")
    heights = heights if bright else 255 - heights
    middle = len(along) // 2
    inside, outside = heights[:, :middle].max(1), heights[:, middle:].min(1)
    above = heights > (inside + outside)[:, None] / 2
    falls = above[:, :-1] & ~above[:, 1:]
    distance = np.where(falls, np.abs(along[:-1] + STEP_PX / 2), np.inf)
    nearest = distance.argmin(1)
    usable = (inside - outside > CONTRAST) & falls.any(1)
    return -(along[nearest] + STEP_PX / 2)[usable]


def dice_beside_outline(mask, reference):
    """Return Dice over all pixels, and without those beside the outline of the reference."""
    kernel = np.ones((3, 3), np.uint8)
    grown, shrunk = (
        change(reference.astype(np.uint8), kernel) > 0 for change in (cv2.dilate, cv2.erode)
    )
    sure = ~(grown & ~shrunk)
    return overlap(mask, reference)[0], overlap(mask & sure, reference & sure)[0]


def main():
    """Print one row per image, then the mean and least Dice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--reference", type=Path, metavar="DIR")
    args = parser.parse_args()
    images, masks = list_images(args.images), find_masks(args.masks)
    references = find_masks(args.reference) if args.reference else {}
    dice = []
    for name in sorted(set(images) & set(masks)):
        image, mask = read_image(images[name]), read_mask(masks[name][0])
        bright = image[mask].mean() > image[~mask].mean()
        offsets = outline_offsets(image, mask, bright)
        low, median, high = np.percentile(offsets, (25, 50, 75))
        row = f"{name:24} {median:+.2f} px ({low:+.2f} to {high:+.2f})"
        if name in references:
            dice.append(dice_beside_outline(mask, read_mask(references[name][0])))
            row += "  Dice {:.3f}, beside the outline {:.3f}".format(*dice[-1])
        print(row, flush=True)
    if dice:
        print("mean {:.3f}, {:.3f}".format(*np.mean(dice, 0)))
        print("least {:.3f}, {:.3f}".format(*np.min(dice, 0)))


if __name__ == "__main__":
    main()
