"""Derive the masks of the light-microscope images of 2018, of which no drawn ones exist.

    python data.py
    python find_myelin.py bestmyelin.h5
    python models/derive_nerve_masks.py

In a folder with the images in raw/test: reads them and preds/<id>_mask.tif, and writes pairs,
nerve_<id>.tif and nerve_<id>_mask.tif, to raw/train. The model must be an earlier one (the masks
here were made with `git show 787f0a9:models/bestmyelin.h5`). It says where the sheaths are; where
exactly their outlines run, the image does: between what is surely myelin (the segmentation without
its rim) and what surely is not (the rest without a rim) a watershed of the image's gradient puts
them at the steepest edge, which is at half height between the two grey values.

Nothing was corrected by hand. All 19 masks were looked at as overlays. What is still wrong in them:
a vessel between two fat cells of 5554 (at column 1190, row 940), and slivers of a neighbouring tile
along the edges of 5512, 5554, 5556 and 5598.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from skimage.segmentation import watershed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import PREDS, RAW_TEST, RAW_TRAIN, test_images
from myelin.images.image import read_image, read_mask, write_image
from myelin.runtime.cli import progress

RIM_PX = 2.5  # either side of the segmentation's outline: where the edge is looked for
SIGMA_PX = 1.0  # of the gradient: less follows the grain, more rounds thin sheaths
SPECK_PX = 25  # smaller regions of either kind are no part of a fiber
# Perineurium and other connective tissue that could be taken for sheaths is too much in these.
LEFT_OUT = {"5627"}


def derive(image, myelin):
    """Return the mask of an image whose myelin is bright, from a segmentation of it.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    myelin : bool array, (rows, cols)
        The segmentation.

    Returns
    -------
    bool array, (rows, cols)
    """
    inside = cv2.distanceTransform(myelin.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~myelin).astype(np.uint8), cv2.DIST_L2, 5)
    sure = np.where(core(inside), 1, np.where(core(outside), 2, 0))
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SIGMA_PX)
    steepness = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    found = watershed(steepness, sure) == 1
    found[small(found, SPECK_PX)] = False
    found[small(~found, SPECK_PX)] = True
    return found


def small(mask, limit_px):
    """Return the connected regions of a mask that have fewer pixels than a limit."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    few = stats[:, cv2.CC_STAT_AREA] < limit_px
    few[0] = False
    return few[labels]


def core(depth):
    """Return what is deeper than the rim, or on the ridge of what is thinner than two rims.

    Without the ridges thin sheaths and thin gaps would be lost.
    """
    ridge = (depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 1)
    return (depth > RIM_PX) | ridge


def main():
    """Write the pairs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preds", type=Path, default=PREDS, help="(default: preds)")
    args = parser.parse_args()
    for path in progress(test_images(RAW_TEST), "deriving"):
        name = path.stem
        if name in LEFT_OUT:
            continue
        image = read_image(path)
        myelin = derive(image, read_mask(args.preds / f"{name}_mask.tif") > 0)
        write_image(RAW_TRAIN / f"nerve_{name}.tif", image)
        write_image(RAW_TRAIN / f"nerve_{name}_mask.tif", myelin * np.uint8(255))


if __name__ == "__main__":
    main()
