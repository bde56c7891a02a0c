"""Give each axon its myelin: split touching sheaths, join swollen ones, count empty ones."""

from __future__ import annotations

import cv2
import numpy as np

from myelin.measure.axons import MIN_SHAPE_PX, VACUOLE_AREA, SortedRegions
from myelin.pixels.components import label_regions
from myelin.pixels.hulls import convex_hulls
from myelin.pixels.labels import LabelImage, RunColumns, find_runs, row_bands
from myelin.pixels.regions import CROSS, crop, edge_pixels, ellipses, touched_sides

# Bands of a cluster that is split overlap by this many rows, and at least by this many heights of
# the tallest axon.
OVERLAP_PX = 128
OVERLAP_AXONS = 4
# A part of a swollen sheath: largest g-ratio, and most that it may add to the convex hull of the
# whole, as a multiple of its area / g: the smaller g, the likelier a vacuole.
MAX_G_RATIO_PART = 0.5
MAX_HULL_GROWTH = 0.3
# A hole in a sheath without axon: largest g-ratio, and least distance from the middle of the fiber
# as a part of its radius.
MAX_G_RATIO_HOLE = 0.3
MIN_OFF_CENTRE = 0.45
# Spaces within fibers: compact and elongated holes in the sheath, space between axon and sheath,
# holes in an island of myelin within the axon.
VACUOLE, CLEFT, PERIAXONAL, IN_AXON = range(4)
# Least roundness of a vacuole, 4 area / (π major axis²); clefts are over twice as long as wide.
MIN_ROUNDNESS = 0.5
# A sheath without axon counts as collapsed if its area reaches this percentile of the fibers'
# myelin areas, or, in an image without fibers, this area.
COLLAPSED_PERCENTILE = 25
COLLAPSED_PX = 100


def split_fibers(myelin: np.ndarray, axons: LabelImage) -> tuple[LabelImage, np.ndarray]:
    """Give every axon its myelin; sheaths that touch are split by a watershed from the axons.

    The watershed (Vincent and Soille, IEEE PAMI 13:583-598, 1991) floods the distance to the
    nearest axon minus that to the outline of the cluster: a pixel goes to the nearest axon, but a
    waist in the outline attracts the border. No pixel is lost to a line between fibers.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : LabelImage
        Numbers 1 to n.

    Returns
    -------
    fibers : LabelImage
        The number of an axon on it and on its myelin.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin that are not connected (4-neighbours) with any axon, see
        `components.label_regions`.
    """
    mask = axons.to_mask()
    mask |= myelin
    clusters, boxes = label_regions(mask, 4)
    del mask
    owner = np.zeros(len(boxes), np.int32)
    cluster = clusters.at(axons.row, axons.first)
    owner[cluster] = axons.number  # of several axons the last one written stays
    shared = np.unique(cluster[owner[cluster] != axons.number])
    pieces = boxes[(owner == 0) & (boxes[:, 4] > 0)]
    owner[shared] = 0
    parts = [clusters.renumbered(owner).runs]
    overlap = max(OVERLAP_PX, OVERLAP_AXONS * axons.boxes()[:, 3].max())
    for index in shared:
        window = crop(boxes[index], 1, myelin.shape)
        parts += split_cluster(clusters, index, window, axons, overlap)
    return LabelImage.from_runs(parts, myelin.shape), pieces


def split_cluster(
    clusters: LabelImage,
    index: int,
    window: tuple[slice, slice],
    axons: LabelImage,
    overlap: int,
) -> list[RunColumns]:
    """Return the runs of the fibers of a cluster, the region `index` in a window.

    In a dense nerve all fibers are one cluster, and the watershed takes 30 bytes a pixel, so it
    floods bands of rows with `overlap` more rows on both sides. What lies further away has no
    effect if there are axons in between; myelin without an axon within reach belongs to no fiber.
    """
    (top, bottom, _), cols = window[0].indices(clusters.shape[0]), window[1]
    parts = []
    for rows in row_bands((bottom - top, cols.stop - cols.start), 2 * overlap):
        first, last = top + rows.start, top + rows.stop
        seen = slice(max(first - overlap, top), min(last + overlap, bottom))
        mask = clusters[seen, cols] == index
        fibers = flood(mask, axons[seen, cols] * mask)
        parts.append(find_runs(fibers[first - seen.start : last - seen.start], first, cols.start))
    return parts


def flood(mask: np.ndarray, axons: np.ndarray) -> np.ndarray:
    """Return the fibers in the mask of a cluster, int32 (rows, cols), from its axons' numbers.

    Among equal heights the watershed takes any, in a part of a cluster another than in the whole,
    so equal heights are raised in the order of their pixels. Distances, which are multiples of
    2^-16, keep their order.
    """
    from skimage.segmentation import watershed  # late: its import takes half a second

    to_axon = cv2.distanceTransform((axons == 0).view(np.uint8), cv2.DIST_L2, 5)
    to_outline = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
    order = np.arange(mask.size).reshape(mask.shape)
    return watershed(to_axon - to_outline + order * 2.0**-42, axons, mask=mask)


def find_holes(
    fibers: LabelImage, axons: LabelImage, tissue: np.ndarray | None = None
) -> np.ndarray:
    """Find false axons: holes in a sheath whose real axon is missing or out of plane.

    They are small, and far from the middle of what would be their fiber. The outline of `tissue`
    cuts fibers, as the edge of the image does.

    Returns
    -------
    bool array, (n + 1,)
    """
    count = axons.count
    axon_px, fiber_px = axons.areas(count), fibers.areas(count)
    small = axon_px < MAX_G_RATIO_HOLE**2 * fiber_px
    # A cut fiber has its axon at one side.
    small &= edge_pixels(fibers, count, tissue)[1:] == 0
    holes = np.append(False, small)
    if small.any():
        numbers = np.cumsum(holes) * holes
        x, y, *_ = ellipses(axons.renumbered(numbers), axon_px[small])
        middle_x, middle_y, *_ = ellipses(fibers.renumbered(numbers), fiber_px[small])
        off_centre = np.hypot(x - middle_x, y - middle_y)
        holes[holes] = off_centre > MIN_OFF_CENTRE * np.sqrt(fiber_px[small] / np.pi)
    return holes


def join_swollen(axons: LabelImage, fibers: LabelImage) -> np.ndarray:
    """Find the fibers that are parts of a larger one: vacuoles in its swollen sheath.

    The split between such a part and the rest cuts a notch into the outline, which the part fills;
    a separate fiber stands out and makes the convex hull of both larger than the fiber itself.

    Returns
    -------
    int array, (n + 1,)
        The number of the fiber that each is a part of; for most, their own.
    """
    count = axons.count
    axon_px, fiber_px = (np.append(0, labels.areas(count)) for labels in (axons, fibers))
    pairs, exposed = neighbours(fibers, count)
    small = axon_px < MAX_G_RATIO_PART**2 * fiber_px
    small |= (np.bincount(pairs[:, 0], minlength=count + 1) == 1) & ~exposed  # lies in another one
    small[0] = False
    pairs = pairs[small[pairs[:, 0]]]
    in_pairs = np.zeros(count + 1, bool)
    in_pairs[pairs.ravel()] = True
    hulls = convex_hulls(fibers.keep(in_pairs))
    max_growth = MAX_HULL_GROWTH * fiber_px * np.sqrt(fiber_px / np.maximum(axon_px, 1))  # area / g
    beside = {}
    for near, far in pairs.tolist():
        beside.setdefault(near, []).append(far)
    part_of = np.arange(count + 1)

    def can_join(part: int, whole: int) -> bool:
        alone = part_of[part] == part != whole
        return alone and small[part] and axon_px[part] < VACUOLE_AREA * axon_px[whole]

    def join(parts: list[int], whole: int) -> bool:
        """Join parts to a fiber if they fill a notch in it; return whether they do."""
        both = cv2.convexHull(np.concatenate([hulls[number] for number in (whole, *parts)]))
        growth = cv2.contourArea(both) - cv2.contourArea(hulls[whole])
        fills = growth < max_growth[parts].sum()
        if fills:
            part_of[np.isin(part_of, parts)] = whole
            hulls[whole] = both
        return fills

    changed = True
    while changed:  # a joined fiber changes the hulls of its neighbours' neighbours
        changed = False
        for near, far in pairs.tolist():
            whole = part_of[far]
            if can_join(near, whole):
                parts = [near, *(part for part in beside[near] if can_join(part, whole))]
                # Alone, or else together with the parts beside it.
                changed |= join([near], whole) or join(parts, whole)
    return part_of


def neighbours(fibers: LabelImage, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find which fibers 1 to `count` touch.

    Returns
    -------
    pairs : int64 array, (pairs, 2)
        Each pair in both orders, sorted.
    exposed : bool array, (count + 1,)
        Fibers that touch the background or the edge of the image.
    """
    exposed = edge_pixels(fibers, count) > 0
    keys = [np.zeros(0, np.int64)]
    for rows in row_bands(fibers.shape):
        part = fibers[rows.start : rows.stop + 1]
        for one, other in ((part[:, 1:], part[:, :-1]), (part[1:], part[:-1])):
            differs = one != other
            one, other = one[differs], other[differs]
            exposed[one[other == 0]] = exposed[other[one == 0]] = True
            both = (one > 0) & (other > 0)
            one, other = one[both].astype(np.int64), other[both].astype(np.int64)
            keys += [np.unique(one * (count + 1) + other), np.unique(other * (count + 1) + one)]
    pairs = np.divmod(np.unique(np.concatenate(keys)), count + 1)
    return np.stack(pairs, axis=1), exposed


def fill_vacuoles(
    holes: LabelImage, boxes: np.ndarray, axon_px: np.ndarray, fibers: LabelImage
) -> tuple[LabelImage, np.ndarray, np.ndarray]:
    """Fill the holes that one sheath encloses: pinholes, vacuoles and clefts.

    Without this a spongy sheath would make its fiber smaller. A hole above a quarter of the axon
    stays out, and one larger than all axons is not looked for.

    Parameters
    ----------
    holes : LabelImage
        Regions that are neither myelin nor axon.
    boxes : int64 array, (m + 1, 5)
        Their boxes; regions with area 0 are ignored.
    axon_px : int array, (n,)
        Areas of the axons.
    fibers : LabelImage

    Returns
    -------
    fibers : LabelImage
    owner : int array, (m + 1,)
        The fiber that encloses each hole, filled or not, 0 if there is none.
    """
    areas, owner = boxes[:, 4], np.zeros(len(boxes), int)
    possible = (areas > 0) & (areas <= axon_px.max(initial=0))
    holes = holes.keep(possible)
    places, numbers = [], []
    for index in np.flatnonzero(possible & (touched_sides(boxes, fibers.shape) == 0)):
        window = crop(boxes[index], 1, fibers.shape)
        hole = (holes[window] == index).view(np.uint8)
        here = fibers[window]
        inside, around = here[hole > 0], here[cv2.dilate(hole, CROSS) > hole]
        fiber = around[0]
        # A hole can hold the axon of an open ring, its own fiber's or another's.
        if fiber and (around == fiber).all() and ((inside == 0) | (inside == fiber)).all():
            owner[index] = fiber
            if areas[index] <= VACUOLE_AREA * axon_px[fiber - 1]:
                rows, cols = np.nonzero((hole > 0) & (here == 0))
                places.append((rows + window[0].start) * fibers.shape[1] + cols + window[1].start)
                numbers.append(fiber)
    return fibers.with_pixels(places, numbers), owner


def measure_spaces(found: SortedRegions, owner: np.ndarray, axons: LabelImage) -> np.ndarray:
    """Return the areas of the spaces within fibers, px, float (n, 6).

    They are those of the four kinds, then those in the fibers' areas, and those too large for that.

    Parameters
    ----------
    found : SortedRegions
    owner : int array, (m + 1,)
        The fiber of each of its other regions as from `fill_vacuoles`, where it has none itself.
    axons : LabelImage
        Axons 1 to n.
    """
    owner = np.where(found.owner > 0, found.owner, owner)
    regions = found.others.keep(owner > 0)
    numbers, run = np.unique(regions.number, return_index=True)
    fiber, beside_axon = owner[numbers], found.beside_axon[numbers]
    places = np.zeros(len(owner), int)
    places[numbers] = np.arange(1, len(numbers) + 1)
    regions = regions.renumbered(places)
    areas = regions.areas(len(numbers))
    filled = (found.owner[numbers] > 0) | (areas <= VACUOLE_AREA * axons.areas()[fiber - 1])
    *_, major = ellipses(regions, areas)
    long = 4 * areas < MIN_ROUNDNESS * np.pi * major**2
    kind = np.where(long, CLEFT, VACUOLE)
    kind[beside_axon] = PERIAXONAL
    boxes, around = regions.boxes()[1:], axons.boxes()[fiber]
    within = (boxes[:, :2] > around[:, :2]).all(axis=1) & ~beside_axon
    within &= (boxes[:, :2] + boxes[:, 2:4] < around[:, :2] + around[:, 2:4]).all(axis=1)
    for index in np.flatnonzero(within):
        window = crop(around[index], 1, axons.shape)
        outside = (axons[window] != fiber[index]).view(np.uint8)
        _, parts = cv2.connectedComponents(outside, connectivity=8)
        row, column = regions.row[run[index]], regions.first[run[index]]
        part = parts[row - window[0].start, column - window[1].start]
        if not any((side == part).any() for side in (parts[[0, -1]], parts[:, [0, -1]])):
            kind[index] = IN_AXON
    spaces_px = np.zeros((axons.count, 6))
    np.add.at(spaces_px, (fiber - 1, kind), areas)
    np.add.at(spaces_px, (fiber - 1, np.where(filled, 4, 5)), areas)
    return spaces_px


def count_collapsed(pieces: np.ndarray, sheath_areas: np.ndarray, shape: tuple[int, int]) -> int:
    """Count the sheaths without an axon that have at least as much myelin as a small fiber.

    Smaller pieces count as specks, and pieces at the edge of the image as fibers whose axon lies
    outside it.

    Parameters
    ----------
    pieces : int array, (m, 5)
        Boxes of the connected pieces of myelin without an axon.
    sheath_areas : int array, (n,)
        Myelin of the fibers that have an axon, px.
    shape : (int, int)
    """
    min_px = COLLAPSED_PX
    if len(sheath_areas):
        min_px = max(np.percentile(sheath_areas, COLLAPSED_PERCENTILE), MIN_SHAPE_PX)
    return int(np.count_nonzero((touched_sides(pieces, shape) == 0) & (pieces[:, 4] >= min_px)))
