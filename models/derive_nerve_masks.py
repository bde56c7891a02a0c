"""Derive masks for the light-microscope images of 2018, which have no hand-drawn ones.

    python data.py
    python find_myelin.py earlier.h5
    python models/derive_nerve_masks.py

Call it in a folder with the images in raw/test; it writes nerve_<id>.tif and nerve_<id>_mask.tif to
raw/train. The masks in preds/ must come from an earlier model than the one to train (here
`git show 787f0a9:models/bestmyelin.h5`). They tell where the sheaths are; their outlines come from
the image: between the segmentation without its rim and the rest without a rim, a watershed of the
image's gradient puts them at the steepest edge, at half height between the two grey values.

Nothing was corrected by hand. All 19 masks were checked as overlays. Still wrong: a vessel in 5554
(column 1190, row 940), and edges of a neighbouring tile in 5512, 5554, 5556 and 5598.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage.segmentation import watershed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import PREDS, RAW_TEST, RAW_TRAIN, test_images
from myelin.images.image import read_image, read_mask, write_image
from myelin.runtime.cli import Parser, progress

RIM_PX = 2.5  # either side of the segmentation's outline, where the edge is searched
SIGMA_PX = 1.0  # of the gradient: less follows the grain, more rounds thin sheaths
MIN_REGION_PX = 25  # smaller regions of myelin or of background are removed
LEFT_OUT = {"5627"}  # too much perineurium that could be taken for sheaths


def derive(image: np.ndarray, myelin: np.ndarray) -> np.ndarray:
    """Return the mask, bool (rows, cols), of a uint8 image from a segmentation, bool."""
    inside, outside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (myelin, ~myelin)
    )
    certain = np.where(core(inside), 1, np.where(core(outside), 2, 0))
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SIGMA_PX)
    steepness = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    found = watershed(steepness, certain) == 1
    found[small(found)] = False
    found[small(~found)] = True
    return found


def small(mask: np.ndarray) -> np.ndarray:
    """Return the connected regions of a mask that have fewer than MIN_REGION_PX pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    few = stats[:, cv2.CC_STAT_AREA] < MIN_REGION_PX
    few[0] = False
    return few[labels]


def core(depth: np.ndarray) -> np.ndarray:
    """Return the pixels deeper than the rim, and the ridges of thinner parts, else lost."""
    ridge = (depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 1)
    return (depth > RIM_PX) | ridge


def main() -> None:
    """Write the pairs."""
    Parser(__doc__).parse_args()
    for path in progress(test_images(RAW_TEST).values(), "deriving"):
        if path.stem in LEFT_OUT:
            continue
        image = read_image(path)
        myelin = derive(image, read_mask(PREDS / f"{path.stem}_mask.tif") > 0)
        write_image(RAW_TRAIN / f"nerve_{path.stem}.tif", image)
        write_image(RAW_TRAIN / f"nerve_{path.stem}_mask.tif", myelin * np.uint8(255))


if __name__ == "__main__":
    main()
