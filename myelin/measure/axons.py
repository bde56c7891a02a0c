"""Tell which regions of a myelin mask are axons.

The rules, and how often each decides wrongly on nine hand-drawn SEM masks with 7,547 axons (as
drawn, and with every sheath one pixel thicker so that neighbours touch, as in masks of networks):

axon                 a region without myelin (4-connected), enclosed by myelin or, if the fiber is
                     cut, by myelin and the edge of the image
gap between sheaths  a score of solidity, size, and the part of its sheath that it shares with
                     neighbours: 11 axons lost, 13 of 101 gaps kept; thickened 19 lost, 6 of 1,089
                     kept
infolded axon        less solid than 0.6, but with a sheath of its own: 1 found, 0 invented
pinhole              below 9 px, only a sheath of its own makes an axon: 0 of 33 axons lost, 0 of
                     211 others kept; thickened 1 lost, 0 of 220 kept
vacuole              small, and within the sheath of a larger axon: 4 axons lost; thickened 14
part of a swollen    less than half as wide as its fiber, and it fills a notch in that of a larger
sheath               axon, or its fiber lies within that (`sheaths.join_swollen`): 0 axons lost, 7
                     of 13 others found; thickened 4 lost
hole in a sheath     less than 0.3 as wide as its fiber, and far from the middle of that
                     (`sheaths.find_holes`): 0 axons lost; thickened 2; of 46 drawn sheaths without
                     axon, segmented, 10 instead of 16 are taken for fibers
edge of the image    touches at most two sides, and has no more edge than a cut axon: 1 axon lost; 0
break in a ring      a round region with an opening of 1 or 2 px: 76 axons found, 1 invented;
                     thickened 10 found, 2 invented

Together: recall 0.996, precision 0.999, thickened too. With sheaths two pixels thicker, which leave
hardly any background between small fibers: 0.990 and 0.996. With the image given, the same within
0.001. The weights were fitted to these masks; fitted without the image that it judges, the gap
score is wrong in 25 instead of 22 of 7,528 regions, thickened in 42 instead of 37 of 8,603.

Not solved: sheaths drawn thinner than one pixel, breaks of 3 px and more, and a sheath without axon
that touches a fiber: its myelin goes to that fiber.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.pixels.components import label_regions
from myelin.pixels.hulls import Hulls
from myelin.pixels.labels import LabelImage, mask_without, row_bands
from myelin.pixels.regions import (
    CROSS,
    SQUARE,
    crop,
    edge_pixels,
    tissue_sides,
    touched_sides,
    touching,
)

# Smallest axon: 4 px is the smallest that occurs more than once in hand-drawn masks.
SMALLEST_AXON_PX = 4
# Smaller regions have no meaningful outline; only a sheath of their own makes them axons.
MIN_SHAPE_PX = 9
# Smaller regions count as myelin when sheaths are compared.
MIN_CONTACT_PX = 3
# score = solidity + log(area / median area) / 15 - shared part of the sheath / 4, at least 0.67 for
# an axon: a logistic regression on nine hand-drawn SEM masks, as drawn, with touching sheaths and
# with noise.
SIZE_WEIGHT = 1 / 15
MAX_LOG_SIZE = 3
SHARED_WEIGHT = 0.25
# Weight of the image in the same regression: how many standard deviations a region differs from the
# axons' brightness towards the background's. Small, because in most images both look alike.
IMAGE_WEIGHT = 0.007
MAX_DEVIATIONS = 3
SURE_SOLIDITY = 0.9  # candidates above this give the axons' brightness, if there are enough
MIN_SURE_AXONS = 10
MIN_SCORE = 0.67
# Regions less solid are background: they do not count as neighbours in sheaths.
MIN_SOLIDITY = 0.6
# The same for a region with a sheath of its own: an infolding makes its axon a crescent.
MIN_SOLIDITY_OWN = 0.3
MAX_SHARED_OF_OWN = 0.1  # part of the sheath that may be shared by an axon with its own
# A vacuole: at most this part of the area of the axon beside it, at less than this part of its
# sheath's thickness from it, with at least this part of its own sheath shared.
VACUOLE_AREA = 0.25
VACUOLE_DEPTH = 0.57
VACUOLE_SHARED = 0.35
# Edge pixels over the root of the area: 2.3 for a quarter disc, 2.9 the most in hand-drawn masks.
MAX_EDGE = 3.2
# Axons in open rings. Their core (the region after erosion): least pixels, and least part of its
# box, which passes over long stretches of background cheaply.
BREAK_CORE_PX = 2
BREAK_BOX = 0.4
# Largest open part of the outline, least solidity, and largest part of the outline that belongs to
# a sheath with an axon ...
BREAK_OPEN = 0.25
BREAK_SOLIDITY = 0.8
BREAK_TAKEN = 0.1
# ... or, if more of it does, limits for a ring that is rounder, more nearly closed, and larger.
BREAK_SOLIDITY_SHARED = 0.9
BREAK_OPEN_SHARED = 0.08
BREAK_SHARED_PX = MIN_SHAPE_PX + 6

# Rows that bands of a scan overlap when sheaths are compared: far more than the thickest sheath.
OVERLAP_PX = 128


@dataclass
class SortedRegions:
    """The regions without myelin, sorted into axons and others.

    Attributes
    ----------
    axons : LabelImage
        Axons 1 to n, see `fibers.find_fibers`.
    others : LabelImage
        Other regions 1 to m; axons may have numbers here too.
    boxes : int64 array, (m + 1, 5)
        Boxes of these, see `components.label_regions`; area 0 for axons and parts of fibers.
    owner : int array, (m + 1,)
        The fiber of each other region that is known to lie within one, otherwise 0.
    beside_axon : bool array, (m + 1,)
        Regions between a drawn axon and its sheath.
    space : bool array, (rows, cols), optional
        Space between drawn axons and their sheaths.
    """

    axons: LabelImage
    others: LabelImage
    boxes: np.ndarray
    owner: np.ndarray
    beside_axon: np.ndarray
    space: np.ndarray | None = None

    def reject(self, rejected: np.ndarray) -> None:
        """Move the axons that are True in `rejected`, bool (n + 1,), to the other regions."""
        holes = self.axons.keep(rejected)
        index, length = self.others.at(holes.row, holes.first), holes.last - holes.first + 1
        areas = np.bincount(index, weights=length, minlength=len(self.boxes)).astype(np.int64)
        # An axon in an open ring has the number of what lies outside, which has an area.
        self.boxes[:, 4] = np.where(self.boxes[:, 4] > 0, self.boxes[:, 4], areas)
        numbers = np.cumsum(~rejected) - 1
        self.axons = self.axons.renumbered(np.where(rejected, 0, numbers))


@dataclass
class Contacts:
    """Where the zone nearest to one region meets that of another, in the middle of a sheath.

    Each pair of regions occurs in both orders, and once for each band of a scan.

    Attributes
    ----------
    near, far : int64 arrays, (contacts,)
        The two regions.
    length : int64 array, (contacts,)
        Pairs of pixels at which the zones meet.
    thickness_sum, thickness_min : float64 arrays, (contacts,)
        Sum and minimum, over these pairs, of the distance from one region to the other, px.
    count : int
        Highest number of a region.
    """

    near: np.ndarray
    far: np.ndarray
    length: np.ndarray
    thickness_sum: np.ndarray
    thickness_min: np.ndarray
    count: int

    def shared_part(self, others: np.ndarray) -> np.ndarray:
        """Return which part of each region's sheath is shared with `others`, bool (n + 1,)."""
        return self._sum(self.length * others[self.far]) / self._lengths()

    def mean_thickness(self) -> np.ndarray:
        """Return the mean distance from each region to its neighbours, px, float (n + 1,)."""
        return self._sum(self.thickness_sum) / self._lengths()

    def _lengths(self) -> np.ndarray:
        return np.maximum(self._sum(self.length), 1)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.near, weights=values, minlength=self.count + 1)


def sort_regions(
    myelin: np.ndarray, image: np.ndarray | None = None, tissue: np.ndarray | None = None
) -> SortedRegions:
    """Sort the regions without myelin into axons and others.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    image : uint8 array, (rows, cols), optional
        Helps to tell gaps from axons.
    tissue : bool array, (rows, cols), optional
        As in `frame.Frame`: its outline counts as an edge of the image, the rest as no region.
    """
    regions, boxes = label_regions(~myelin if tissue is None else ~myelin & tissue, 4)
    areas = boxes[:, 4]
    highest = len(areas) - 1
    edge = edge_pixels(regions, highest, tissue) / np.sqrt(np.maximum(areas, 1))
    if tissue is None:
        sides = touched_sides(boxes, myelin.shape)
    else:
        sides = tissue_sides(regions, highest, tissue)
    possible = (areas >= SMALLEST_AXON_PX) & (sides <= 2) & (edge <= MAX_EDGE)
    hulls = np.full(len(areas), np.inf)
    hulls[possible] = Hulls(regions.keep(possible)).areas()
    accepted = accept(regions, areas, areas / hulls, sides == 0, image, tissue)
    axons = regions.renumbered(np.cumsum(accepted) * accepted)
    boxes[accepted, 4] = 0
    axons = close_breaks(myelin, axons, tissue)
    owner = np.zeros(len(boxes), int)
    return SortedRegions(axons, regions, boxes, owner, owner > 0)


def accept(
    regions: LabelImage,
    areas: np.ndarray,
    solidity: np.ndarray,
    inside: np.ndarray,
    image: np.ndarray | None,
    tissue: np.ndarray | None,
) -> np.ndarray:
    """Return which regions are axons, bool (n + 1,), by the rules in the module's docstring.

    `inside` are the regions that do not touch the edge, bool (n + 1,); the solidity of regions that
    cannot be axons is 0.
    """
    if not (solidity >= MIN_SOLIDITY_OWN).any():
        return np.zeros(len(areas), bool)
    candidates = solidity >= MIN_SOLIDITY
    large = areas >= MIN_SHAPE_PX
    contacts = sheath_contacts(regions.keep(areas >= MIN_CONTACT_PX), len(areas) - 1, tissue)
    score = solidity + SIZE_WEIGHT * relative_size(areas, candidates, large)
    score -= IMAGE_WEIGHT * image_deviation(regions, areas, solidity, image)
    # Gaps must not count as neighbours; a first round with all candidates excludes most of them.
    shared = contacts.shared_part(candidates)
    probable = candidates & (score - SHARED_WEIGHT * shared >= MIN_SCORE)
    shared = contacts.shared_part(probable)
    no_gap = candidates & (score - SHARED_WEIGHT * shared >= MIN_SCORE)
    own_sheath = shared < MAX_SHARED_OF_OWN
    no_pinhole = large | own_sheath
    infolded = (solidity >= MIN_SOLIDITY_OWN) & own_sheath & inside & large
    accepted = (no_gap & no_pinhole) | infolded
    return accepted & ~find_vacuoles(accepted, areas, shared, contacts)


def relative_size(areas: np.ndarray, candidates: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Return the logarithm of each region's area over the candidates' median, float (n + 1,)."""
    typical = candidates & large if (candidates & large).any() else candidates
    median = np.median(areas[typical]) if typical.any() else 1
    return np.clip(np.log(np.maximum(areas, 1) / median), -MAX_LOG_SIZE, MAX_LOG_SIZE)


def image_deviation(
    regions: LabelImage, areas: np.ndarray, solidity: np.ndarray, image: np.ndarray | None
) -> np.ndarray:
    """Return how far each region's brightness is from the axons' towards the background's.

    float array, (n + 1,), in robust standard deviations of the surest axons; 0 if there is nothing
    to compare.
    """
    sure = solidity > SURE_SOLIDITY
    background = (solidity < MIN_SOLIDITY) & (areas >= MIN_SHAPE_PX)
    if image is None or sure.sum() < MIN_SURE_AXONS or not background.any():
        return np.zeros(len(areas))
    mean = np.append(0, regions.sums(image, len(areas) - 1)) / np.maximum(areas, 1)
    middle = np.median(mean[sure])
    spread = 1.4826 * np.median(np.abs(mean[sure] - middle))
    outside = np.average(mean[background], weights=areas[background])
    deviation = np.sign(outside - middle) * (mean - middle) / max(spread, 1)
    return np.clip(deviation, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def find_vacuoles(
    accepted: np.ndarray, areas: np.ndarray, shared: np.ndarray, contacts: Contacts
) -> np.ndarray:
    """Find small regions in the sheath of a larger accepted axon, bool (n + 1,)."""
    near, far = contacts.near, contacts.far
    larger = accepted[far] & (areas[near] < VACUOLE_AREA * areas[far])
    # Depth in the larger axon's sheath: 0 at that axon, 1 and more outside the sheath.
    depth = np.full(len(areas), np.inf)
    relative = contacts.thickness_min[larger] / contacts.mean_thickness()[far[larger]]
    np.minimum.at(depth, near[larger], relative)
    return (depth < VACUOLE_DEPTH) & (shared > VACUOLE_SHARED)


def sheath_contacts(regions: LabelImage, count: int, tissue: np.ndarray | None = None) -> Contacts:
    """Return the contacts of regions, with numbers up to `count`, that lie in the tissue."""
    bands = row_bands(regions.shape, 8 * OVERLAP_PX)  # few, because the overlap is computed twice
    parts = [contacts_of_rows(regions, rows, tissue) for rows in bands]
    low, high, *measures = (np.concatenate(column) for column in zip(*parts, strict=True))
    both_orders = np.append(low, high), np.append(high, low)
    return Contacts(*both_orders, *(np.append(values, values) for values in measures), count)


def contacts_of_rows(
    regions: LabelImage, rows: slice, tissue: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Return the contacts whose upper or left pixel lies in some rows, as from `sum_contacts`."""
    seen = slice(max(rows.start - OVERLAP_PX, 0), rows.stop + OVERLAP_PX)
    numbers = regions[seen]
    distance, nearest = cv2.distanceTransformWithLabels(
        (numbers == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(numbers > 0)  # faster than of integers
    owner = np.zeros(len(inside) + 1, np.int32)
    owner[nearest.ravel()[inside]] = numbers.ravel()[inside]
    width = numbers.shape[1]
    # One row more: the last row has contacts with it.
    own = slice(rows.start - seen.start, rows.stop - seen.start + 1)
    zone, distance = owner[nearest][own].ravel(), distance[own].ravel()
    last = (rows.stop - rows.start) * width
    pairs = []
    for step in (1, width):
        pixel = np.flatnonzero(zone[:-step] != zone[step:])
        pixel = pixel[pixel < last]
        if step == 1:
            pixel = pixel[pixel % width != width - 1]  # the next pixel in memory begins a new row
        if tissue is not None:
            part = tissue[rows.start : rows.stop + 1].ravel()
            pixel = pixel[part[pixel] & part[pixel + step]]
        pairs.append((zone[pixel], zone[pixel + step], distance[pixel] + distance[pixel + step]))
    return sum_contacts(*(np.concatenate(column) for column in zip(*pairs, strict=True)))


def sum_contacts(
    one: np.ndarray, other: np.ndarray, thickness: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return each pair of regions once: low, high, length, thickness_sum, thickness_min."""
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other)
    base = high.max(initial=0) + 1
    key, pair = np.unique(low * base + high, return_inverse=True)
    minima = np.full(len(key), np.inf)
    np.minimum.at(minima, pair, thickness)
    return *np.divmod(key, base), np.bincount(pair), np.bincount(pair, thickness), minima


def close_breaks(
    myelin: np.ndarray, axons: LabelImage, tissue: np.ndarray | None = None
) -> LabelImage:
    """Return the axons with those in rings that have a break of one or two pixels.

    Eroding the background by one pixel separates the inside of such a ring from the outside. The
    axons found have the numbers after those of `axons`, 1 to n.
    """
    background = mask_without(~myelin, axons)
    # Neither the edge of the image nor that of the tissue erodes what lies along it.
    core = cv2.erode(background.view(np.uint8), SQUARE, borderValue=1).view(bool)
    if tissue is not None:
        core &= tissue
        background &= tissue
    cores, boxes = label_regions(core, 4)
    del core
    sheaths, _ = label_regions(myelin, 8)
    has_axon = touching(sheaths, axons, SQUARE)
    compact = (boxes[:, 4] >= BREAK_CORE_PX) & (touched_sides(boxes, myelin.shape) <= 2)
    compact &= boxes[:, 4] >= BREAK_BOX * boxes[:, 2] * boxes[:, 3]
    places = []
    for index in np.flatnonzero(compact):
        window = crop(boxes[index], 3, myelin.shape)
        outside = background[window]
        region = cv2.dilate((cores[window] == index).view(np.uint8), SQUARE) & outside
        rim = cv2.dilate(region, CROSS) > region
        wall = sheaths[window][rim & myelin[window]]
        taken_px = np.count_nonzero(has_axon[wall])
        if is_open_ring(region, np.count_nonzero(rim & outside), len(wall), taken_px):
            rows, cols = np.nonzero(region)
            places.append((rows + window[0].start) * myelin.shape[1] + cols + window[1].start)
            has_axon[wall] = True
    return axons.with_pixels(places, axons.count + 1 + np.arange(len(places)))


def is_open_ring(region: np.ndarray, open_px: int, wall_px: int, taken_px: int) -> bool:
    """Return whether a region, uint8 (rows, cols), is an axon in a ring with a small break.

    Around it are `open_px` pixels of background and `wall_px` of myelin, `taken_px` of which belong
    to a sheath that has an axon.
    """
    outline_px = open_px + wall_px
    # A closed ring was judged before.
    if open_px == 0 or open_px > BREAK_OPEN * outline_px:
        return False
    area = np.count_nonzero(region)
    min_solidity = BREAK_SOLIDITY
    if taken_px > BREAK_TAKEN * wall_px:
        if open_px > BREAK_OPEN_SHARED * outline_px or area <= BREAK_SHARED_PX:
            return False
        min_solidity = BREAK_SOLIDITY_SHARED
    return area >= min_solidity * Hulls(LabelImage.from_array(region)).areas()[0]
