"""Detect from the pixels of a mask that it is inverted, or is a label image."""

import itertools
from pathlib import Path

import numpy as np

from myelin.runtime.cli import UserError, count_of

MIN_REGION_PX = 20  # smaller regions count neither as axons nor as sheaths
MIN_ENCLOSED_REGIONS = 3  # of an inverted mask
MAX_SAMPLED_REGIONS = 50  # of a label image, checked for holes


def is_inverted(mask: np.ndarray) -> bool:
    """Return whether myelin is black and all else white in a mask.

    Sheaths enclose axons, which are round and empty; in an inverted mask the enclosed regions are
    white. In 26 hand-drawn or synthetic masks, the enclosed black regions cover at least 10 times
    the area of the white ones, and myelin at most half of the image.
    """
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if max(mask.mean(), border.mean()) <= 0.5:
        return False
    from myelin.pixels.regions import round_holes  # late: --help does without OpenCV

    black, white = round_holes(mask, MIN_REGION_PX), round_holes(~mask, MIN_REGION_PX)
    return len(white) >= max(MIN_ENCLOSED_REGIONS, len(black) + 1) and bool(
        white.sum() > 2 * black.sum()
    )


def check_way_round(path: str | Path, mask: np.ndarray) -> None:
    """Raise a UserError if a mask that a person made is inverted, see `is_inverted`."""
    if is_inverted(mask):
        raise UserError(
            f"{path}: looks inverted: white regions are enclosed by black ones; myelin must be "
            "white (255) on black, invert it (in Fiji: Edit > Invert)"
        )


# ---------------------------------------------------------------- label images


def label_mask(path: Path, image: np.ndarray) -> np.ndarray | None:
    """Return the bool mask of all regions of a label image; None if it is not a label image.

    The regions of `<id>_axon` and `<id>_nerve` may be filled; in a myelin mask, filled regions are
    a UserError.
    """
    from skimage.measure import label, regionprops

    if image.ndim != 2 or image.dtype.kind not in "ui":
        return None
    numbers = np.unique(image)
    if len(numbers) < 3 or numbers[0] != 0:
        return None
    regions, count = label(image, connectivity=1, return_num=True)
    if count > 1.5 * (len(numbers) - 1) + 2:  # blended edges, or a photograph
        return None
    sizes = np.bincount(regions.ravel())[1:]
    if sizes.max() > 0.8 * sizes.sum():  # a mask with stray values
        return None
    if path.stem.endswith(("_axon", "_nerve")):
        return apart(image)
    sampled = regionprops(regions)[:: -(-count // MAX_SAMPLED_REGIONS)]
    empty = [np.sum(one.image_filled & (image[one.slice] == 0)) for one in sampled]
    hollow = np.mean([n >= 0.1 * one.area_filled for n, one in zip(empty, sampled, strict=True)])
    if hollow < 0.2:  # sheaths that the edge cuts are open
        raise UserError(
            f"{path}: a label image of {count_of(count, 'filled region')}, but axons are empty in "
            "a myelin mask, draw the myelin, or name it <id>_axon if these are axons"
        )
    return image > 0


def apart(labels: np.ndarray) -> np.ndarray:
    """Return the bool mask of a label image, with a gap of a pixel between touching regions.

    The region of the higher number loses the pixels, also at corners, so that the regions of the
    mask stay separate.
    """
    rows, cols = labels.shape
    padded = np.pad(labels, 1)
    touching = np.zeros((rows, cols), bool)
    for y, x in itertools.product(range(3), range(3)):
        near = padded[y : y + rows, x : x + cols]
        touching |= (near > 0) & (near < labels)
    return (labels > 0) & ~touching
