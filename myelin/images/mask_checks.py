"""Recognize from the pixels of a mask what it shows: myelin, axons too, labels, or a mistake."""

import itertools
from pathlib import Path

import numpy as np

from myelin.runtime.cli import UserError, count_of
from myelin.runtime.files import stem_of

MIN_REGION_PX = 20  # smaller regions count neither as axons nor as sheaths
MIN_ENCLOSED_REGIONS = 3  # of a mask that is inverted, or has filled regions instead of rings
MAX_DRAWN_VALUES = 16  # an image with more grey values was photographed, or has blended edges
MAX_SAMPLED_REGIONS = 50  # of a label image, checked for holes
# Maximum area of the axons in a mask of filled regions, relative to these: below 0.002 where the
# fibers of 19 hand-drawn masks are filled, above 2 where they are rings.
MAX_RELATIVE_AXONS = 0.05
# Minimum fraction of the white regions that one piece of black encloses if it is the background:
# all of them in those masks, at most a third where each is in a black sheath of its own.
MIN_ENCLOSED_FRACTION = 0.7

NO_RINGS = (
    " and no rings of myelin; if these are whole fibers, add their axons as <id>_axon; if they are "
    "axons, name this file <id>_axon and draw the myelin; if no fiber has an axon, add a black "
    "<id>_axon"
)


def is_inverted(mask: np.ndarray) -> bool:
    """Return whether myelin is black and all else white in a mask.

    Sheaths enclose axons, which are round and empty; in an inverted mask the enclosed regions are
    white. In 26 hand-drawn or synthetic masks, the enclosed black regions cover at least 10 times
    the area of the white ones, and myelin at most half of the image.
    """
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if max(mask.mean(), border.mean()) <= 0.5:
        return False
    black, white = hole_areas(mask), hole_areas(~mask)
    return len(white) >= max(MIN_ENCLOSED_REGIONS, len(black) + 1) and bool(
        white.sum() > 2 * black.sum()
    )


def hole_areas(mask: np.ndarray) -> np.ndarray:
    """Return the areas, px, of the round, empty regions that a bool mask encloses."""
    from myelin.pixels.regions import round_holes  # late: --help does without OpenCV

    return round_holes(mask, MIN_REGION_PX)


def check_rings(path: str | Path, mask: np.ndarray, axon: np.ndarray | None = None) -> None:
    """Raise a UserError if a myelin mask that a person made shows no sheaths.

    Such a mask has filled regions instead of rings, or is inverted. With an axon mask, both bool
    (rows, cols), regions may be filled.
    """
    if axon is not None:
        mask = mask & ~axon
    black, white = hole_areas(mask), hole_areas(~mask)
    inverted, many = is_inverted(mask), len(white) >= MIN_ENCLOSED_REGIONS
    if (
        axon is None
        and many
        and black.sum() < MAX_RELATIVE_AXONS * white.sum()
        and lie_in_one_piece(mask)
    ):
        other = "; if the mask is inverted, invert it (in Fiji: Edit > Invert)" if inverted else ""
        raise UserError(f"{path}: {count_of(len(white), 'filled region')}{NO_RINGS}{other}")
    if inverted:
        raise UserError(
            f"{path}: looks inverted: white regions are enclosed by black ones; myelin must be "
            "white (255) on black, invert it (in Fiji: Edit > Invert)"
        )


def lie_in_one_piece(mask: np.ndarray) -> bool:
    """Return whether one piece of black encloses most regions of a mask: then it is background."""
    import cv2

    black = (~mask).view(np.uint8)
    contours, tree = cv2.findContours(black, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    pieces = tree[0][:, 3][areas >= MIN_REGION_PX]  # -1 for the outlines of the pieces themselves
    counts = np.bincount(pieces[pieces >= 0])
    return bool(counts.max(initial=0) >= MIN_ENCLOSED_FRACTION * counts.sum())


def has_few_values(image: np.ndarray) -> bool:
    """Return whether an image, uint8 (rows, cols), has 2 to `MAX_DRAWN_VALUES` grey values."""
    return 2 <= np.count_nonzero(np.bincount(image.ravel())) <= MAX_DRAWN_VALUES


# ---------------------------------------------------------------- colours and transparency


def drawn_grey(stored: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Return the grey values of a mask with transparent pixels black and white paper black.

    Parameters
    ----------
    stored : array, (rows, cols) or (rows, cols, channels)
        Pixels as in the file.
    grey : uint8 array, (rows, cols)
        Their luminance. It is returned if nothing is transparent and the paper is not white.
    """
    if stored.ndim < 3 or stored.dtype.kind != "u":
        return grey
    if stored.shape[2] in (2, 4):
        drawn = stored[..., -1] > np.iinfo(stored.dtype).max / 2
        if drawn.any() and not drawn.all():
            values = grey[drawn]
            only_one = values.min() == values.max()
            return np.where(drawn, np.uint8(255) if only_one else grey, np.uint8(0))
    if stored.shape[2] >= 3:
        low, high = (np.unravel_index(pick(grey), grey.shape) for pick in (np.argmin, np.argmax))
        ink, paper = stored[low][:3], stored[high][:3]
        if paper.min() == np.iinfo(stored.dtype).max and ink.min() < ink.max():
            return 255 - grey  # drawn in colour on white
    return grey


def two_kinds(kinds: np.ndarray) -> tuple[int, int] | None:
    """Return which of three values is myelin and which is axon; None if they show something else.

    Myelin lies between axons and background, so it is the value that borders on both; axons are
    the round regions in it. If axons were drawn apart from their sheaths, a black background is in
    between, and myelin is the value that encloses the other.

    Parameters
    ----------
    kinds : uint8 array, (rows, cols)
        0, 1 and 2 by rising brightness.
    """
    contacts = np.zeros(4, int)  # of values 0 and 1, 0 and 2, 1 and 2 by their sum
    for one, other in ((kinds[1:], kinds[:-1]), (kinds[:, 1:], kinds[:, :-1])):
        contacts += np.bincount((one + other)[one != other], minlength=4)
    between = 2 - int(np.argmin(contacts[1:]))
    border = np.concatenate([kinds[0], kinds[-1], kinds[:, 0], kinds[:, -1]])
    if between or np.mean(border == 0) < 0.5:
        ends = [value for value in (0, 1, 2) if value != between]
        areas = [hole_areas(kinds != end).sum() for end in ends]
        return (between, ends[int(np.argmax(areas))]) if max(areas) > 0 else None
    for myelin, axon in ((1, 2), (2, 1)):
        if (fill_holes(kinds == myelin) & (kinds == axon)).sum() > (kinds == axon).sum() / 2:
            return myelin, axon
    return None


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Return a bool mask, (rows, cols), with its enclosed regions filled."""
    import cv2

    outside = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(outside, None, (0, 0), 2)
    return outside[1:-1, 1:-1] != 2


# ---------------------------------------------------------------- label images


def regions_of(image: np.ndarray) -> np.ndarray | None:
    """Return the regions of a label image (rows, cols) by number; None if it is no label image.

    It has 0, two other numbers or more, and most of these have a region of `MIN_REGION_PX`. In a
    photograph and where a drawing has blended edges, most numbers are in specks only.
    """
    from skimage.measure import label

    numbers = np.unique(image)
    if image.ndim != 2 or image.dtype.kind not in "ui" or len(numbers) < 3 or numbers[0] != 0:
        return None
    regions = label(image, connectivity=1)
    large = np.bincount(regions.ravel()) >= MIN_REGION_PX
    large[0] = False
    known = np.unique(image[large[regions]])
    return regions if len(known) > (len(numbers) - 1) / 2 else None


def label_mask(path: Path, image: np.ndarray, filled: bool = False) -> np.ndarray | None:
    """Return the bool mask of all regions of a label image; None if it is not a label image.

    The regions of `<id>_axon` may be filled, and with `filled` those of any file; otherwise filled
    regions are a UserError, as they are no myelin.
    """
    from skimage.measure import regionprops

    if (regions := regions_of(image)) is None:
        return None
    sizes = np.bincount(regions.ravel())[1:]
    if sizes.max() > 0.8 * sizes.sum():  # a mask with stray values
        return None
    if shows_axons(path):
        return apart(image)
    sampled = regionprops(regions)[:: -(-len(sizes) // MAX_SAMPLED_REGIONS)]
    empty = [np.sum(one.image_filled & (image[one.slice] == 0)) for one in sampled]
    hollow = np.mean([n >= 0.1 * one.area_filled for n, one in zip(empty, sampled, strict=True)])
    if hollow < 0.2 and not filled:  # sheaths that the edge cuts are open
        raise UserError(f"{path}: {count_of(len(sizes), 'filled region')}{NO_RINGS}")
    return image > 0


def shows_axons(path: Path) -> bool:
    """Return whether a file is an axon mask by its name: `x_axon`, `x_seg-axon`."""
    return stem_of(path).removesuffix("-manual").endswith(("_axon", "_seg-axon"))


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
