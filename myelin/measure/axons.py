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

from myelin.pixels.hulls import hull_areas
from myelin.pixels.regions import (
    CROSS,
    beside,
    crop,
    edge_pixels,
    mask_without,
    row_bands,
    sum_pixels,
    tissue_sides,
    touched_sides,
)
from myelin.pixels.runs import Runs, Windows, find_runs, label_runs, merge, runs_of_pixels

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
    axons : runs.Runs
        Numbers 1 to n of the axons, see `fibers.find_axons`.
    others : runs.Runs
        Numbers 1 to m of the other regions; axons may have numbers here too.
    boxes : int64 array, (m + 1, 5)
        Boxes of these, see `label_regions`; area 0 for axons and for what belongs to a fiber.
    space : bool array, (rows, cols), optional
        Space between drawn axons and their sheaths.
    """

    axons: Runs
    others: Runs
    boxes: np.ndarray
    space: np.ndarray | None = None

    def reject(self, axons):
        """Take axons, bool (n + 1,), for holes in a sheath; the others are numbered anew."""
        numbers = (np.cumsum(~axons, dtype=np.int32) - 1) * ~axons
        holes = self.axons.of(axons)
        index, length = self.others.at(holes.row, holes.first), holes.last - holes.first + 1
        areas = np.bincount(index, weights=length, minlength=len(self.boxes)).astype(np.int64)
        # An axon in an open ring has the number of what lies outside, which has an area.
        self.boxes[:, 4] = np.where(self.boxes[:, 4] > 0, self.boxes[:, 4], areas)
        self.axons = self.axons.renumbered(numbers)


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
    regions, boxes = label_runs(~myelin if tissue is None else ~myelin & tissue, 4)
    areas = boxes[:, 4]
    edge = edge_pixels(regions, len(areas) - 1, tissue) / np.sqrt(np.maximum(areas, 1))
    sides = touched_sides(boxes, myelin.shape)
    if tissue is not None:
        sides = tissue_sides(regions, len(areas) - 1, tissue)
    possible = (areas >= SMALLEST_AXON_PX) & (sides <= 2)
    possible &= edge <= MAX_EDGE
    hulls = np.full(len(areas), np.inf)
    hulls[possible] = hull_areas(regions.of(possible))
    solid = areas / hulls
    candidates = solid >= MIN_SOLIDITY
    accepted = candidates
    if (solid >= MIN_SOLIDITY_OWN).any():
        accepted = accept(regions, areas, solid, candidates, sides == 0, image, tissue)
    axons = regions.renumbered(np.cumsum(accepted) * accepted)
    boxes[accepted, 4] = 0
    return SortedRegions(close_breaks(myelin, axons, tissue), regions, boxes)


def accept(regions, areas, solid, candidates, inside, image, tissue=None):
    """Tell axons from gaps, pinholes and vacuoles; return bool (n + 1,). See the module's table."""
    count = len(areas) - 1
    near, far, times, total, least = sheath_contacts(regions, areas >= 3, tissue)
    contacts = np.maximum(np.bincount(near, weights=times, minlength=count + 1), 1)

    def shared(others):
        return np.bincount(near, weights=times * others[far], minlength=count + 1) / contacts

    sized = candidates & (areas >= MIN_SHAPE_PX)
    known = sized if sized.any() else candidates
    median = np.median(areas[known]) if known.any() else 1
    scores = solid + SIZE_WEIGHT * np.clip(
        np.log(np.maximum(areas, 1) / median), -MAX_LOG_SIZE, MAX_LOG_SIZE
    )
    scores -= IMAGE_WEIGHT * image_deviation(regions, areas, solid, candidates, image)
    # A gap counts as a neighbour only until it is known for one, hence two rounds.
    probable = candidates & (scores - SHARED_WEIGHT * shared(candidates) >= MIN_SCORE)
    part = shared(probable)
    accepted = candidates & (scores - SHARED_WEIGHT * part >= MIN_SCORE)
    # A sheath all its own makes a region an axon whatever its shape, and alone makes a tiny one so.
    own = part < MAX_SHARED_OF_OWN
    accepted &= (areas >= MIN_SHAPE_PX) | own
    accepted |= (solid >= MIN_SOLIDITY_OWN) & own & inside & (areas >= MIN_SHAPE_PX)

    # Depth in the sheath of a larger neighbour: 1 and more outside it, 0 at its axon.
    typical = np.bincount(near, weights=total, minlength=count + 1) / contacts
    larger = accepted[far] & (areas[near] < VACUOLE_AREA * areas[far])
    depth = np.full(count + 1, np.inf)
    np.minimum.at(depth, near[larger], (least / typical[far])[larger])
    return accepted & ~((depth < VACUOLE_DEPTH) & (part > VACUOLE_SHARED))


def sheath_contacts(regions, kept, tissue=None):
    """List where the zone nearest to one region meets that of another, in the middle of a sheath.

    Parameters
    ----------
    regions : runs.Runs
        Numbers of regions; 0 is myelin.
    kept : bool array, (n + 1,)
        The rest is taken for myelin.
    tissue : bool array, (rows, cols), optional
        Contacts outside it are none.

    Returns
    -------
    near, far : int64 arrays, (contacts,)
        Two regions, in both orders; those of a scan more than once.
    times : int64 array, (contacts,)
        How many pairs of pixels meet.
    total, least : float64 arrays, (contacts,)
        The sum and the least of the distances between the two regions there, px.
    """
    kept = regions.of(kept)
    bands = row_bands(regions.shape, 8 * REACH_PX)  # few, as what is beyond is worked out twice
    parts = [contacts_of_rows(kept, rows, tissue) for rows in bands]
    low, high, *found = (np.concatenate(column) for column in zip(*parts, strict=True))
    pairs = np.append(low, high), np.append(high, low)
    return *pairs, *(np.append(column, column) for column in found)


def contacts_of_rows(regions, rows, tissue=None):
    """Return the contacts whose upper or left pixel is in some rows, each in one order."""
    seen = slice(max(rows.start - REACH_PX, 0), rows.stop + REACH_PX)
    numbers = regions[seen]
    distance, nearest = cv2.distanceTransformWithLabels(
        (numbers == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(numbers)
    owner = np.zeros(len(inside) + 1, np.int32)
    owner[nearest.ravel()[inside]] = numbers.ravel()[inside]
    width = numbers.shape[1]
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
        pairs.append((zone[one], zone[one + step], distance[one] + distance[one + step]))
    return gather(*(np.concatenate(column) for column in zip(*pairs, strict=True)))


def gather(one, other, distance):
    """Return each two of regions once, how often they come, and sum and least of the distances."""
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other)
    base = high.max(initial=0) + 1
    key = low * base + high
    order = np.argsort(key)
    key, distance = key[order], distance[order].astype(np.float64)
    begin = np.flatnonzero(np.diff(key, prepend=-1))
    low, high = np.divmod(key[begin], base)
    times = np.diff(begin, append=len(key))
    if not len(key):
        return low, high, times, distance, distance
    return low, high, times, np.add.reduceat(distance, begin), np.minimum.reduceat(distance, begin)


def image_deviation(regions, areas, solid, candidates, image):
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
    sums = sum_pixels(regions, len(areas) - 1, image)
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
    axons : runs.Runs
        The axons found already, 1 to n.
    tissue : bool array, (rows, cols), optional

    Returns
    -------
    runs.Runs
        With those in open rings, from n + 1 on.
    """
    count = axons.number.max(initial=0)
    free = mask_without(~myelin, axons)
    # Like the edge of the image, that of the tissue does not wear away what lies along it.
    core = cv2.erode(free.view(np.uint8), SQUARE, borderValue=1).view(bool)
    if tissue is not None:
        core &= tissue
        free &= tissue
    cores, boxes = label_runs(core, 4)
    sheaths, sheath_boxes = label_runs(myelin, 8)
    taken = np.zeros(len(sheath_boxes), bool)
    taken[beside(sheaths, axons, SQUARE)] = True
    # An axon's core fills its box; this passes over the long stretches of background cheaply.
    round_enough = boxes[:, 4] >= BREAK_BOX * boxes[:, 2] * boxes[:, 3]
    round_enough &= (boxes[:, 4] >= BREAK_CORE_PX) & (touched_sides(boxes, myelin.shape) <= 2)
    cores, sheaths = Windows(cores), Windows(sheaths)
    places, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for index in np.flatnonzero(round_enough):
        view = crop(boxes[index], 3, myelin.shape)
        region = cv2.dilate((cores[view] == index).view(np.uint8), SQUARE) & free[view]
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
            row, column = np.nonzero(region)
            places.append((row + view[0].start) * myelin.shape[1] + column + view[1].start)
            numbers.append(np.full(area, count))
            taken[wall] = True
    added = runs_of_pixels(np.concatenate(places), np.concatenate(numbers), myelin.shape)
    return merge(axons, added)
