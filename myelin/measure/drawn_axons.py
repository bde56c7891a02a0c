"""Take the axons from an axon mask, and find what belongs to their fibers.

Used by `fibers.py`; reads no file, knows no unit but the pixel.
"""

import cv2
import numpy as np

from myelin.measure.axons import MIN_SHAPE_PX, SMALLEST_AXON_PX, SortedRegions
from myelin.pixels.regions import CROSS, beside, crop, touched_sides
from myelin.pixels.runs import Windows, label_runs

# Least part of the outline of a space within a fiber that is its axon: at most 0.14 in gaps that an
# axon touches through a hole in its sheath, 0.33 and more in the spaces of hand-drawn masks.
SPACE_ALONG_AXON = 0.25


def drawn_axons(axon, myelin):
    """Take the axons from an axon mask, and sort the rest.

    Specks, and axons without a sheath, are left out: they are no fibers.

    Returns
    -------
    SortedRegions
    """
    axons, axon_boxes = label_runs(axon, 8)
    others, boxes = label_runs(~(myelin | axon), 4)
    sheathed = np.zeros(len(axon_boxes), bool)
    sheathed[beside(axons, myelin, CROSS)] = True
    sheathed[0] = False
    space = find_space(myelin, axons, sheathed, others, boxes)
    keep = sheathed & (axon_boxes[:, 4] >= SMALLEST_AXON_PX)
    return SortedRegions(axons.renumbered(np.cumsum(keep) * keep), others, boxes, space)


def find_space(myelin, axons, sheathed, others, boxes):
    """Find the space that an axon drawn too small leaves to its sheath: it belongs to the fiber.

    It is an enclosed region beside one axon and otherwise myelin, and never a gap between sheaths:
    the myelin around it is one piece, and where the axon reaches its sheath elsewhere, which a hole
    in the sheath beside a gap looks like, the axon is a good part of its outline.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : runs.Runs
        Numbers 1 to n of the drawn axons.
    sheathed : bool array, (n + 1,)
        Axons that touch myelin; those that space parts from it are added in place.
    others : runs.Runs
        Numbers 1 to m of the regions that are neither.
    boxes : int64 array, (m + 1, 5)
        Their boxes, see `label_regions`; area becomes 0 for space.

    Returns
    -------
    bool array, (rows, cols)
    """
    space, loose = np.zeros_like(myelin), ~sheathed
    near_axon = np.zeros(len(boxes), bool)
    near_axon[beside(others, axons, CROSS)] = True
    near_axon &= (boxes[:, 4] > 0) & (touched_sides(boxes, myelin.shape) == 0)
    others, axons = Windows(others), Windows(axons)
    for index in np.flatnonzero(near_axon):
        view = crop(boxes[index], 2, myelin.shape)
        region = (others[view] == index).view(np.uint8)
        rim = cv2.dilate(region, CROSS) > region
        around = axons[view][rim]
        owner = around.max()
        # Pieces within the view: two sheaths that meet elsewhere are two here.
        _, pieces, sizes, _ = cv2.connectedComponentsWithStats(
            myelin[view].view(np.uint8), connectivity=4
        )
        sheaths = np.bincount(pieces[rim & myelin[view]], minlength=len(sizes)) > 0
        one_piece = (sheaths & (sizes[:, cv2.CC_STAT_AREA] >= MIN_SHAPE_PX)).sum() <= 1
        along = np.count_nonzero(around) >= SPACE_ALONG_AXON * len(around)
        if one_piece and ((around == owner) | (around == 0)).all() and (along or loose[owner]):
            space[view][region > 0] = True
            boxes[index, 4] = 0
            sheathed[owner] |= sheaths.any()
    return space
