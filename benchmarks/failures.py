"""Show where masks fail: for each image the place that differs most from a reference mask.

    python benchmarks/failures.py failures.png IMAGES MASKS REFERENCE

IMAGES holds x.tif, MASKS and REFERENCE x_mask.tif (any format each). A panel per image, worst Dice
first: on the left the window with most wrong pixels, not counting those within a pixel of the
reference's outline; on the right the same with missing myelin in blue and surplus myelin in
orange. The window is 12 fibers wide.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib.figure import Figure

from myelin.folders.mask_set import find_masks
from myelin.folders.naming import list_images
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import overlap
from myelin.measure.fiber_width import FIBER_PX, fiber_width

WINDOW_FIBERS = 12
MISSING_RGB, EXTRA_RGB = (0, 114, 178), (230, 159, 0)  # Okabe and Ito's palette
COLUMNS = 3


def worst_window(mask, reference, side):
    """Return the square with most wrong pixels, as slices, pixels beside the outline left out."""
    kernel = np.ones((3, 3), np.uint8)
    near = cv2.morphologyEx(reference.astype(np.uint8), cv2.MORPH_GRADIENT, kernel) > 0
    wrong = ((mask != reference) & ~near).astype(np.float32)
    sums = cv2.boxFilter(wrong, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    row, col = np.unravel_index(sums.argmax(), sums.shape)
    starts = (
        min(max(0, at - side // 2), max(0, length - side))
        for at, length in zip((row, col), mask.shape, strict=True)
    )
    return tuple(slice(start, start + side) for start in starts)


def painted(image, mask, reference):
    """Return the image twice, beside each other: unchanged, and with wrong pixels in colour."""
    plain = cv2.merge([image] * 3)
    coloured = plain.copy()
    for wrong, colour in ((reference & ~mask, MISSING_RGB), (mask & ~reference, EXTRA_RGB)):
        coloured[wrong] = (0.4 * coloured[wrong] + 0.6 * np.array(colour)).astype(np.uint8)
    return np.hstack([plain, coloured])


def main():
    """Draw the panels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="PNG file to write")
    for folder in ("images", "masks", "reference"):
        parser.add_argument(folder, type=Path)
    args = parser.parse_args()
    images = list_images(args.images)
    masks, references = find_masks(args.masks), find_masks(args.reference)
    panels = []
    for name in sorted(set(images) & set(masks) & set(references)):
        image = read_image(images[name])
        mask, reference = read_mask(masks[name][0]), read_mask(references[name][0])
        side = min(*image.shape, round(WINDOW_FIBERS * (fiber_width(reference) or FIBER_PX)))
        where = worst_window(mask, reference, side)
        dice = overlap(mask, reference)[0]
        panels.append((dice, name, painted(image[where], mask[where], reference[where])))
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(6 * COLUMNS, 3.3 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (dice, name, panel) in zip(grid, sorted(panels, key=lambda p: p[0]), strict=False):
        axes.imshow(panel)
        axes.set_title(f"{name}: Dice {dice:.3f}", fontsize=10)
    figure.savefig(args.out, dpi=100)


if __name__ == "__main__":
    main()
