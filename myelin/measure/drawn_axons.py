"""Take the axons from an axon mask, and find the space between them and their sheaths."""

import cv2
import numpy as np

from myelin.measure.axons import MIN_SHAPE_PX, SMALLEST_AXON_PX, SortedRegions
from myelin.pixels.components import label_regions
from myelin.pixels.labels import LabelImage
from myelin.pixels.regions import CROSS, crop, touched_sides, touching

# Minimum fraction of a space's outline along its axon: at most 0.14 in gaps that an axon touches
# through a hole in its sheath, at least 0.33 in the spaces of hand-drawn masks.
MIN_ALONG_AXON = 0.25


def drawn_axons(axon: np.ndarray, myelin: np.ndarray) -> SortedRegions:
    """Take the axons from an axon mask, and sort the rest; both masks are bool, (rows, cols).

    Specks and axons without a sheath are left out.
    """
    axon = cut_at_corners(axon)
    axons, axon_boxes = label_regions(axon, 8)
    others, boxes = label_regions(~(myelin | axon), 4)
    sheathed = touching(axons, myelin, CROSS)
    sheathed[0] = False
    space, owner, beside_axon = find_space(myelin, axons, sheathed, others, boxes)
    keep = sheathed & (axon_boxes[:, 4] >= SMALLEST_AXON_PX)
    numbers = np.cumsum(keep) * keep
    axons = axons.renumbered(numbers)
    return SortedRegions(axons, others, boxes, numbers[owner], beside_axon, space)


def cut_at_corners(axon: np.ndarray) -> np.ndarray:
    """Return an axon mask, bool (rows, cols), without contacts of two axons at a corner.

    The upper axon loses a pixel at each contact. Specks stay with the axon that they touch.
    """
    axons, boxes = label_regions(axon, 4)
    cut = axon.copy()
    above_left, above, left, here = axon[:-1, :-1], axon[:-1, 1:], axon[1:, :-1], axon[1:, 1:]
    contacts = (above_left & here) > (above | left), (above & left) > (above_left | here)
    for side, contact in enumerate(contacts):
        row, col = np.divmod(np.flatnonzero(contact), contact.shape[1])
        upper, lower = axons.at(row, col + side), axons.at(row + 1, col + 1 - side)
        large = np.minimum(boxes[upper, 4], boxes[lower, 4]) >= SMALLEST_AXON_PX
        apart = large & (upper != lower)
        cut[row[apart], col[apart] + side] = False
    return cut


def find_space(
    myelin: np.ndarray,
    axons: LabelImage,
    sheathed: np.ndarray,
    others: LabelImage,
    boxes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the space between axons that were drawn too small and their sheaths.

    It belongs to the fiber. A space is an enclosed region beside one axon and otherwise myelin.
    Gaps between sheaths are excluded in two ways: the myelin around a space is one piece, and if
    its axon also touches its sheath, the axon is a good part of the outline, more than a hole in
    the sheath beside a gap.

    Parameters
    ----------
    sheathed : bool array, (n + 1,)
        Axons that touch myelin; those that only space separates from it are added in place.
    boxes : int64 array, (m + 1, 5)
        Boxes of `others`, the regions that are neither; the area becomes 0 for space.

    Returns
    -------
    space : bool array, (rows, cols)
    owner : int array, (m + 1,)
        The axon within each space, 0 for other regions.
    beside_axon : bool array, (m + 1,)
        Regions that touch an axon, but not holes within an axon.
    """
    space, owner = np.zeros_like(myelin), np.zeros(len(boxes), int)
    loose = ~sheathed
    beside_axon = touching(others, axons, CROSS)
    beside_axon &= (boxes[:, 4] > 0) & (touched_sides(boxes, myelin.shape) == 0)
    for index in np.flatnonzero(beside_axon):
        window = crop(boxes[index], 2, myelin.shape)
        region = (others[window] == index).view(np.uint8)
        rim = cv2.dilate(region, CROSS) > region
        around = axons[window][rim]
        number = around.max()
        # Pieces within the window: two sheaths that meet elsewhere are two here.
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(
            myelin[window].view(np.uint8), connectivity=4
        )
        touched = np.bincount(pieces[rim & myelin[window]], minlength=len(stats)) > 0
        sheath_pieces = touched & (stats[:, cv2.CC_STAT_AREA] >= MIN_SHAPE_PX)
        one_axon = ((around == number) | (around == 0)).all()
        along_axon = np.count_nonzero(around) >= MIN_ALONG_AXON * len(around)
        if sheath_pieces.sum() <= 1 and one_axon and (along_axon or loose[number]):
            space[window][region > 0] = True
            boxes[index, 4], owner[index] = 0, number
            beside_axon[index] = touched.any()
            sheathed[number] |= touched.any()
    return space, owner, beside_axon
