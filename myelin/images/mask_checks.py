"""Detect from the pixels of a mask that it is inverted, or is a label image."""

import functools
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

    Parameters
    ----------
    mask : bool array, (rows, cols)
    """
    if max(mask.mean(), border_fraction(mask)) <= 0.5:
        return False
    from myelin.pixels.regions import round_holes  # late: --help does without OpenCV

    black, white = round_holes(mask, MIN_REGION_PX), round_holes(~mask, MIN_REGION_PX)
    return len(white) >= max(MIN_ENCLOSED_REGIONS, len(black) + 1) and bool(
        white.sum() > 2 * black.sum()
    )


def border_fraction(mask: np.ndarray) -> float:
    """Return the fraction of an image's outermost pixels that are white."""
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()


def check_way_round(path: str | Path, mask: np.ndarray) -> None:
    """Raise a UserError if a mask that a person made is inverted, see `is_inverted`."""
    if is_inverted(mask):
        raise UserError(
            f"{path}: looks inverted: white regions are enclosed by black ones; myelin must be "
            "white (255) on black, invert it (in Fiji: Edit > Invert)"
        )


# ---------------------------------------------------------------- label images


def label_mask(path: Path, image: np.ndarray) -> np.ndarray | None:
    """Return the mask of all regions of a label image; None if it is not a label image.

    Parameters
    ----------
    path : Path
        `<id>_axon` and `<id>_nerve` may have filled regions, a myelin mask may not.
    image : array, (rows, cols), any dtype
        As stored: the number of a region, 0 elsewhere.

    Returns
    -------
    bool array, (rows, cols), or None

    Raises
    ------
    UserError
        The regions of a myelin mask are filled.
    """
    from skimage.measure import label

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
        note_labels(path, count)
        return apart(image)
    if hollow_fraction(regions, image) < 0.2:  # sheaths that the edge cuts are open
        raise UserError(
            f"{path}: a label image of {count_of(count, 'filled region')}, but axons are empty in "
            "a myelin mask, draw the myelin, or name it <id>_axon if these are axons"
        )
    note_labels(path, count)
    return image > 0


def hollow_fraction(regions: np.ndarray, image: np.ndarray) -> float:
    """Return the fraction of numbered regions that enclose empty pixels."""
    from scipy.ndimage import binary_fill_holes, find_objects

    places = find_objects(regions)
    chosen = np.unique(np.linspace(0, len(places) - 1, MAX_SAMPLED_REGIONS).astype(int))
    hollow = 0
    for number in chosen:
        filled = binary_fill_holes(regions[places[number]] == number + 1)
        empty = np.count_nonzero(filled & (image[places[number]] == 0))
        hollow += empty >= 0.1 * np.count_nonzero(filled)
    return hollow / len(chosen)


@functools.cache
def note_labels(path: Path, count: int) -> None:
    """Print once that a file is read as a label image."""
    print(f"note: {path}: a label image of {count_of(count, 'region')}, the mask is all of them")


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
