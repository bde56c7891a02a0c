"""What the pixels of a mask give away: that it is the wrong way round, or a label image."""

import functools
import itertools

import numpy as np

from myelin.runtime.cli import UserError

# Regions of fewer pixels count neither as axons nor as sheaths.
SMALLEST_PX = 20
FEWEST = 3  # enclosed regions, to tell anything from them
SAMPLE = 50  # regions of a label image to look at


def is_inverted(mask):
    """Whether myelin and all else have changed places in a mask.

    Sheaths enclose axons, which are round and empty; in an inverted mask it is white regions that
    are enclosed so. In 26 masks, drawn by hand or synthetic, the black ones cover at least 10 times
    the area of the white ones, and myelin at most half of the image.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    """
    if max(mask.mean(), border_fraction(mask)) <= 0.5:
        return False
    from myelin.pixels.regions import round_holes  # late: --help does without OpenCV

    black, white = round_holes(mask, SMALLEST_PX), round_holes(~mask, SMALLEST_PX)
    return len(white) >= max(FEWEST, len(black) + 1) and bool(white.sum() > 2 * black.sum())


def border_fraction(mask):
    """Return the fraction of an image's outermost pixels that are white."""
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()


def check_way_round(path, mask):
    """Raise where a mask that a person made is the wrong way round, see `is_inverted`."""
    if is_inverted(mask):
        raise UserError(
            f"{path}: the wrong way round, white regions lie enclosed in black ones as axons in "
            "myelin; myelin is white and all else black, invert it (in Fiji: Edit > Invert)"
        )


# ---------------------------------------------------------------- label images


def label_mask(path, image):
    """Return the mask that a label image stands for; None for what is no label image.

    Parameters
    ----------
    path : Path
        Its name tells `<id>_axon` and `<id>_nerve`, whose regions are filled, from myelin.
    image : array, (rows, cols), any dtype
        As stored: 0 where there is nothing, else the number of a region.

    Returns
    -------
    bool array, (rows, cols), or None

    Raises
    ------
    UserError
        The regions are filled, so that they are no sheaths.
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
            f"{path}: a label image of {count} filled regions, but a myelin mask leaves the axons "
            "open; draw the myelin, or call it <id>_axon if these are axons"
        )
    note_labels(path, count)
    return image > 0


def hollow_fraction(regions, image):
    """Return which fraction of numbered regions enclose empty image."""
    from scipy.ndimage import binary_fill_holes, find_objects

    places = find_objects(regions)
    chosen = np.unique(np.linspace(0, len(places) - 1, SAMPLE).astype(int))
    hollow = 0
    for number in chosen:
        filled = binary_fill_holes(regions[places[number]] == number + 1)
        empty = np.count_nonzero(filled & (image[places[number]] == 0))
        hollow += empty >= 0.1 * np.count_nonzero(filled)
    return hollow / len(chosen)


@functools.cache
def note_labels(path, count):
    """Say once that a file is taken as a label image."""
    print(f"note: {path}: a label image of {count} regions, all of them are taken for the mask")


def apart(labels):
    """Return where a label image is not 0, bool, with a pixel between regions that would touch.

    Of regions that touch, at a corner too, the one of the higher number loses the pixels: as a mask
    they stay two.
    """
    rows, cols = labels.shape
    padded = np.pad(labels, 1)
    touching = np.zeros((rows, cols), bool)
    for y, x in itertools.product(range(3), range(3)):
        near = padded[y : y + rows, x : x + cols]
        touching |= (near > 0) & (near < labels)
    return (labels > 0) & ~touching
