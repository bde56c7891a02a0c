"""Tell which regions of a myelin mask are axons.

Used by `fibers.py`; reads no file, knows no unit but the pixel.

The rules, and how often each decides wrongly on the nine hand-drawn SEM masks of 7,547 axons (as
drawn, and with every sheath one pixel thicker so that neighbours touch, as networks draw them):

axon                 a region without myelin (4-connected), enclosed by myelin or, where a fiber is
                     cut, by myelin and the edge of the image
gap between sheaths  a score of solidity, size, and the share of the sheath that is a neighbour's
                     too: 11 axons lost, 13 of 101 gaps kept; thickened 19 lost, 6 of 1,089 kept
infolded axon        less solid than 0.6, but in a sheath all its own: 1 found, 0 invented
pinhole              below 9 px only a sheath all its own makes an axon: 0 of 33 axons lost, 0 of
                     211 others kept; thickened 1 lost, 0 of 220 kept
vacuole              small, and within the sheath of a larger axon: 4 axons lost; thickened 14
part of a swollen    less than half as wide as its fiber, and it fills a notch in that of a larger
sheath               axon, or its fiber lies within that (`sheaths.join_swollen`): 0 axons lost, 7
                     of 13 others found; thickened 4 lost
hole in a sheath     less than 0.3 as wide as its fiber, and far from the middle of that
                     (`sheaths.find_holes`): 0 axons lost; thickened 2; of 46 drawn sheaths without
                     axon, segmented, 10 instead of 16 are taken for fibers
edge of the image    at most two sides, and no more of the edge than a cut axon has: 1 axon lost; 0
break in a ring      a round region with an opening of 1 or 2 px: 76 axons found, 1 invented;
                     thickened 10 found, 2 invented

Together: recall 0.996, precision 0.999, thickened too; two pixels thicker, when hardly any
background is left between small fibers, 0.990 and 0.996. With the image given, the same
within 0.001. The weights were fitted to these very masks; fitted without the image it judges, the
gap score is wrong in 25 instead of 22 of 7,528 regions, thickened in 42 instead of 37 of 8,603.
Not solved: sheaths drawn thinner than one pixel, breaks of 3 px and more, and a sheath without axon
that touches a fiber, whose myelin goes to that fiber.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.regions import (
    CROSS,
    crop,
    edge_pixels,
    label_regions,
    renumber,
    row_bands,
    sum_pixels,
    tissue_sides,
    touched_sides,
)
from myelin.runs import Runs, find_runs, hull_areas

# Smallest axon: 4 px is the smallest that occurs more than once in hand-drawn masks.
SMALLEST_AXON_PX = 4
# Below this a region's outline says nothing, and only a sheath of its own makes it an axon.
MIN_SHAPE_PX = 9
MAX_SHARED_OF_OWN = 0.1
# score = solidity + log(area / median area) / 15 - shared sheath / 4, axon from 0.67 on: a logistic
# regression on nine hand-drawn SEM masks, as drawn, with touching sheaths and with noise.
SIZE_WEIGHT = 1 / 15
MAX_LOG_SIZE = 3
SHARED_WEIGHT = 0.25
# The same regression's weight of the image: how many standard deviations a region is from the
# axons' brightness towards the background's. Little, as axon and background look alike in most.
IMAGE_WEIGHT = 0.007
MAX_DEVIATIONS = 3
MIN_SCORE = 0.67
# Shapes that come into question at all; the rest counts as background when sheaths are weighed.
MIN_SOLIDITY = 0.6
# The same in a sheath all its own: an infolding makes a crescent of its axon.
MIN_SOLIDITY_OWN = 0.3
# A vacuole: this much smaller than the axon beside it, at this part of its sheath's thickness.
VACUOLE_AREA = 0.25
VACUOLE_DEPTH = 0.57
VACUOLE_SHARED = 0.35
# Edge pixels over the root of the area: 2.3 for a quarter disc, 2.9 the most in hand-drawn masks.
MAX_EDGE = 3.2
# Open rings: least pixels and filling of the box after erosion, least solidity, most of the outline
# that is open, and most of it that is a sheath which has an axon already.
BREAK_CORE_PX = 2
BREAK_BOX = 0.4
BREAK_SOLIDITY = 0.8
BREAK_OPEN = 0.25
BREAK_TAKEN = 0.1
# A ring that shares its sheath must be rounder and more nearly closed.
BREAK_SOLIDITY_SHARED = 0.9
BREAK_NARROW = 0.08

SQUARE = np.ones((3, 3), np.uint8)
# A scan's sheaths are weighed in bands that see so many rows beyond: far more than any is thick.
REACH_PX = 128


@dataclass
class SortedRegions:
    """The regions without myelin, sorted into axons and others.

    Attributes
    ----------
    axons : int32 array, (rows, cols)
        Numbers 1 to n of the axons, see `fibers.find_axons`.
    runs : runs.Runs
        Those of the axons.
    others : runs.Runs
        Those of the other regions, numbered 1 to m; axons may have numbers here too.
    boxes : int64 array, (m + 1, 5)
        Boxes of these, see `label_regions`; area 0 for axons and for what belongs to a fiber.
    space : bool array, (rows, cols), optional
        Space between drawn axons and their sheaths.
    """

    axons: np.ndarray
    runs: Runs
    others: Runs
    boxes: np.ndarray
    space: np.ndarray | None = None

    def reject(self, axons):
        """Take axons, bool (n + 1,), for holes in a sheath; the others are numbered anew."""
        numbers = (np.cumsum(~axons, dtype=np.int32) - 1) * ~axons
        holes = self.runs.of(axons)
        index, length = self.others.at(holes.row, holes.first), holes.last - holes.first + 1
        areas = np.bincount(index, weights=length, minlength=len(self.boxes)).astype(np.int64)
        # An axon in an open ring has the number of what lies outside, which has an area.
        self.boxes[:, 4] = np.where(self.boxes[:, 4] > 0, self.boxes[:, 4], areas)
        renumber(self.axons, numbers)
        self.runs = self.runs.renumbered(numbers)


def sort_regions(myelin, image=None, tissue=None):
    """Sort the regions without myelin into axons and others.

    Parameters
    ----------
    myelin, image
        As in `fibers.find_axons`.
    tissue : bool array, (rows, cols), optional
        As in `frame.Frame`: its outline is an edge of the image too, and the rest is no region.

    Returns
    -------
    SortedRegions
    """
    labels, boxes = label_regions(~myelin if tissue is None else ~myelin & tissue, 4)
    areas = boxes[:, 4]
    edge = edge_pixels(labels, len(areas) - 1, tissue) / np.sqrt(np.maximum(areas, 1))
    sides = touched_sides(boxes, myelin.shape)
    if tissue is not None:
        sides = tissue_sides(labels, len(areas) - 1, tissue)
    possible = (areas >= SMALLEST_AXON_PX) & (sides <= 2)
    possible &= edge <= MAX_EDGE
    hulls = np.full(len(areas), np.inf)
    runs = find_runs(labels)
    hulls[possible] = hull_areas(runs.of(possible))
    solid = areas / hulls
    candidates = solid >= MIN_SOLIDITY
    accepted = candidates
    if (solid >= MIN_SOLIDITY_OWN).any():
        accepted = accept(labels, areas, solid, candidates, sides == 0, image, tissue)
    renumber(labels, np.cumsum(accepted, dtype=np.int32) * accepted)  # they are the axons now
    close_breaks(myelin, labels, tissue)
    boxes[accepted, 4] = 0
    return SortedRegions(labels, find_runs(labels), runs, boxes)


def accept(labels, areas, solid, candidates, inside, image, tissue=None):
    """Tell axons from gaps, pinholes and vacuoles; return bool (n + 1,). See the module's table."""
    count = len(areas) - 1
    near, far, thickness = sheath_contacts(
        labels, (areas >= 3) & (np.arange(count + 1) > 0), tissue
    )
    contacts = np.maximum(np.bincount(near, minlength=count + 1), 1)

    def shared(others):
        return np.bincount(near, weights=others[far], minlength=count + 1) / contacts

    sized = candidates & (areas >= MIN_SHAPE_PX)
    known = sized if sized.any() else candidates
    median = np.median(areas[known]) if known.any() else 1
    scores = solid + SIZE_WEIGHT * np.clip(
        np.log(np.maximum(areas, 1) / median), -MAX_LOG_SIZE, MAX_LOG_SIZE
    )
    scores -= IMAGE_WEIGHT * image_deviation(labels, areas, solid, candidates, image)
    # A gap counts as a neighbour only until it is known for one, hence two rounds.
    probable = candidates & (scores - SHARED_WEIGHT * shared(candidates) >= MIN_SCORE)
    part = shared(probable)
    accepted = candidates & (scores - SHARED_WEIGHT * part >= MIN_SCORE)
    # A sheath all its own makes a region an axon whatever its shape, and alone makes a tiny one so.
    own = part < MAX_SHARED_OF_OWN
    accepted &= (areas >= MIN_SHAPE_PX) | own
    accepted |= (solid >= MIN_SOLIDITY_OWN) & own & inside & (areas >= MIN_SHAPE_PX)

    # Depth in the sheath of a larger neighbour: 1 and more outside it, 0 at its axon.
    typical = np.bincount(near, weights=thickness, minlength=count + 1) / contacts
    larger = accepted[far] & (areas[near] < VACUOLE_AREA * areas[far])
    depth = np.full(count + 1, np.inf)
    np.minimum.at(depth, near[larger], (thickness / typical[far])[larger])
    return accepted & ~((depth < VACUOLE_DEPTH) & (part > VACUOLE_SHARED))


def sheath_contacts(labels, kept, tissue=None):
    """List where the zone nearest to one region meets that of another, in the middle of a sheath.

    Parameters
    ----------
    labels : int array, (rows, cols)
        Numbers of regions; 0 is myelin.
    kept : bool array, (n + 1,)
        The rest is taken for myelin.
    tissue : bool array, (rows, cols), optional
        Contacts outside it are none.

    Returns
    -------
    near, far : int32 arrays, (contacts,)
        Both regions, once per pair of pixels that meet, in both orders.
    thickness : float32 array, (contacts,)
        Distance between the two regions there, px.
    """
    bands = row_bands(labels.shape, 8 * REACH_PX)  # few, as what is beyond is worked out twice
    parts = [contacts_of_rows(labels, kept, rows, tissue) for rows in bands]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def contacts_of_rows(labels, kept, rows, tissue=None):
    """Return as `sheath_contacts` where the upper or left pixel of a pair is in some rows."""
    seen = slice(max(rows.start - REACH_PX, 0), rows.stop + REACH_PX)
    regions = np.where(kept[labels[seen]], labels[seen], 0)
    distance, nearest = cv2.distanceTransformWithLabels(
        (regions == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(regions)
    owner = np.zeros(len(inside) + 1, np.int32)
    owner[nearest.ravel()[inside]] = regions.ravel()[inside]
    width = regions.shape[1]
    # One row more, which the last one meets.
    zone, distance = (
        part[rows.start - seen.start : rows.stop - seen.start + 1].ravel()
        for part in (owner[nearest], distance)
    )
    pairs, last = [], (rows.stop - rows.start) * width
    for step in (1, width):
        one = np.flatnonzero(zone[:-step] != zone[step:])
        one = one[one < last]
        if step == 1:
            one = one[one % width != width - 1]  # the next pixel in memory begins a new row
        if tissue is not None:
            part = tissue[rows.start : rows.stop + 1].ravel()
            one = one[part[one] & part[one + step]]
        between = distance[one] + distance[one + step]
        pairs.append((zone[one], zone[one + step], between))
        pairs.append((zone[one + step], zone[one], between))
    return tuple(np.concatenate(column) for column in zip(*pairs, strict=True))


def image_deviation(labels, areas, solid, candidates, image):
    """Return how far each region's brightness is from the axons' towards the background's.

    Returns
    -------
    float array, (n + 1,)
        In robust standard deviations of the surest axons; 0 where there is nothing to compare.
    """
    sure = candidates & (solid > 0.9)
    background = ~candidates & (areas >= MIN_SHAPE_PX)
    if image is None or sure.sum() < 10 or not background.any():
        return np.zeros(len(areas))
    sums = sum_pixels(labels, len(areas) - 1, image)
    mean = sums / np.maximum(areas, 1)
    middle = np.median(mean[sure])
    spread = 1.4826 * np.median(np.abs(mean[sure] - middle))
    outside = np.average(mean[background], weights=areas[background])
    deviation = np.sign(outside - middle) * (mean - middle) / max(spread, 1)
    return np.clip(deviation, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def close_breaks(myelin, axons, tissue=None):
    """Find axons in rings with a break of one or two pixels.

    Eroding the background by one pixel parts what lies in such a ring from what lies outside.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : int32 array, (rows, cols)
        The axons found already, 1 to n; those in open rings are added as n + 1 and so on.
    tissue : bool array, (rows, cols), optional
    """
    count = axons.max()
    free = axons == 0
    free &= ~myelin
    # Like the edge of the image, that of the tissue does not wear away what lies along it.
    core = cv2.erode(free.view(np.uint8), SQUARE, borderValue=1) > 0
    if tissue is not None:
        core &= tissue
        free &= tissue
    boxes = label_regions(core, 4)[1]
    sheath_count, sheaths = cv2.connectedComponents(myelin.view(np.uint8), connectivity=8)
    taken = np.zeros(sheath_count, bool)
    taken[sheaths[cv2.dilate((axons > 0).view(np.uint8), SQUARE) > 0]] = True
    # An axon's core fills its box; this passes over the long stretches of background cheaply.
    round_enough = boxes[:, 4] >= BREAK_BOX * boxes[:, 2] * boxes[:, 3]
    round_enough &= (boxes[:, 4] >= BREAK_CORE_PX) & (touched_sides(boxes, myelin.shape) <= 2)
    for index in np.flatnonzero(round_enough):
        view = crop(boxes[index], 3, myelin.shape)
        region = cv2.dilate(core_in_box(core, boxes[index], view), SQUARE) & free[view]
        rim = cv2.dilate(region, CROSS) > region
        wall, opening = sheaths[view][rim & myelin[view]], np.count_nonzero(rim & free[view])
        # Without an opening it is a region that was judged before.
        if opening == 0 or opening > BREAK_OPEN * (opening + len(wall)):
            continue
        own = np.count_nonzero(taken[wall]) <= BREAK_TAKEN * len(wall)
        area = np.count_nonzero(region)
        narrow = opening <= BREAK_NARROW * (opening + len(wall)) and area > MIN_SHAPE_PX + 6
        if not own and not narrow:
            continue
        least = BREAK_SOLIDITY if own else BREAK_SOLIDITY_SHARED
        if area >= least * hull_areas(find_runs(region))[0]:
            count += 1
            axons[view][region > 0] = count
            taken[wall] = True


def core_in_box(core, box, view):
    """Return the one region of `core` that has a box, in a view of the image, uint8.

    Two cannot have one box: each would reach from side to side and from top to bottom of it, and
    so cross the other.
    """
    inside = crop(box, 0, core.shape)
    parts, boxes = label_regions(core[inside], 4)
    (index,) = np.flatnonzero((boxes[:, 2:] == box[2:]).all(axis=1))
    margins = [
        (inner.start - outer.start, outer.stop - inner.stop)
        for inner, outer in zip(inside, view, strict=True)
    ]
    return np.pad((parts == index).view(np.uint8), margins)
