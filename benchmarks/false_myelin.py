"""Measure how much of the area outside fibers a model segments as myelin.

    python benchmarks/false_myelin.py [MODEL] [--images DIR]

Synthetic images with perineurium, fat cells, black margins or a vessel: the share of the area
outside fibers, 5 px and more from any. With --images, the share of the black margins (3,000 and
more connected pixels of 0) of real images, and whether their myelin is found bright or dark.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images
from myelin.images.image import read_image
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.pixels.components import label_regions
from myelin.segment.scale_groups import Choice, decide
from myelin.segment.tiles import segment
from myelin.synthetic.nerve import SCENES, draw_nerve

SIDE, PIXEL_SIZE_UM, SEED, IMAGES = 640, 0.1, 99, 2
MARGIN_PX = 3000
AS_IT_IS = Choice(1.0, dark=False)


def outside_fibers(myelin):
    """Return where no fiber is within 5 px, bool (rows, cols)."""
    filled = myelin.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, -1)
    return cv2.dilate(filled, np.ones((11, 11), np.uint8)) == 0


def main():
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--images", type=Path)
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = open_engine(weights, settings)

    def find(image, choice):
        return segment(engine, settings, image, choice) >= settings.threshold

    for scene in SCENES:
        false = area = 0
        for index in range(1, IMAGES + 1):
            rng = np.random.default_rng([SEED, index])
            image, myelin, _ = draw_nerve(SIDE, SIDE, PIXEL_SIZE_UM, rng, scenes=(scene,))
            outside = outside_fibers(myelin)
            false += np.count_nonzero(find(image, AS_IT_IS) & outside)
            area += np.count_nonzero(outside)
        print(f"{scene:12s} {100 * false / area:.3f} % of {area:,} px outside fibers", flush=True)
    if not args.images:
        return
    false = area = bright = 0
    images = list_images(args.images).values()
    for path in images:
        image = read_image(path)
        choice = decide(engine, settings, [image])[0]
        bright += not choice.dark
        labels, boxes = label_regions(image == 0, 8)
        margin = (boxes[:, 4] >= MARGIN_PX)[labels.to_array()]
        false += np.count_nonzero(find(image, choice) & margin)
        area += np.count_nonzero(margin)
    print(f"black margins {100 * false / max(area, 1):.3f} % of {area:,} px")
    print(f"{len(images)} images: {bright} bright (inverted, the same are dark)")


if __name__ == "__main__":
    main()
