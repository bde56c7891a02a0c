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
    space = find_space(myelin, axons, sheathed, others, boxes)
    keep = sheathed & (axon_boxes[:, 4] >= SMALLEST_AXON_PX)
    return SortedRegions(axons.renumbered(np.cumsum(keep) * keep), others, boxes, space)


def cut_at_corners(axon: np.ndarray) -> np.ndarray:
    """Return an axon mask, bool (rows, cols), without contacts of two axons at a corner.

    The upper axon loses a pixel at each contact. Specks stay with the axon that they touch.
    """
    axons, boxes = label_regions(axon, 4)
    cut = axon.copy()
    for mirror in (slice(None), slice(None, None, -1)):
        a = axon[:, mirror]
        row, col = np.nonzero(a[:-1, :-1] & a[1:, 1:] & ~a[:-1, 1:] & ~a[1:, :-1])
        cols = np.arange(a.shape[1])[mirror]
        upper, lower = axons.at(row, cols[col]), axons.at(row + 1, cols[col + 1])
        large = np.minimum(boxes[upper, 4], boxes[lower, 4]) >= SMALLEST_AXON_PX
        apart = large & (upper != lower)
        cut[row[apart], cols[col[apart]]] = False
    return cut


def find_space(
    myelin: np.ndarray,
    axons: LabelImage,
    sheathed: np.ndarray,
    others: LabelImage,
    boxes: np.ndarray,
) -> np.ndarray:
    """Return the space between axons that were drawn too small and their sheaths.

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
    """
    space = np.zeros_like(myelin)
    loose = ~sheathed
    near_axon = touching(others, axons, CROSS)
    near_axon &= (boxes[:, 4] > 0) & (touched_sides(boxes, myelin.shape) == 0)
    for index in np.flatnonzero(near_axon):
        window = crop(boxes[index], 2, myelin.shape)
        region = (others[window] == index).view(np.uint8)
        rim = cv2.dilate(region, CROSS) > region
        around = axons[window][rim]
        owner = around.max()
        # Pieces within the window: two sheaths that meet elsewhere are two here.
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(
            myelin[window].view(np.uint8), connectivity=4
        )
        touched = np.bincount(pieces[rim & myelin[window]], minlength=len(stats)) > 0
        sheath_pieces = touched & (stats[:, cv2.CC_STAT_AREA] >= MIN_SHAPE_PX)
        one_axon = ((around == owner) | (around == 0)).all()
        along_axon = np.count_nonzero(around) >= MIN_ALONG_AXON * len(around)
        if sheath_pieces.sum() <= 1 and one_axon and (along_axon or loose[owner]):
            space[window][region > 0] = True
            boxes[index, 4] = 0
            sheathed[owner] |= touched.any()
    return space
