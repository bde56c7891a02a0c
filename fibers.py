"""Find axons and fibers in myelin masks: which enclosed region is an axon, and whose is which myelin.

Used by `morphometry.py` and `evaluate.py`; reads no file, knows no unit but the pixel.

    >>> import numpy as np
    >>> rows, cols = np.mgrid[:60, :60]
    >>> radius = np.hypot(rows - 30, cols - 30)
    >>> axons = find_axons((radius < 20) & (radius >= 12))
    >>> int(axons.max()), bool(((axons == 1) == (radius < 12)).all())
    (1, True)

The rules, and how often each decides wrongly on nine hand-drawn SEM masks (7,540 axons of 3 px or
more, 408 other enclosed regions) / on the same masks with every sheath thickened by one pixel, so
that neighbours touch (7,541 axons, 1,570 other regions), as a network draws them:

=============================  ================================================================
axon                           region without myelin, 4-connected, enclosed by myelin and, where a
                               fiber is cut, by the edge of the image
gap between sheaths            solidity, size, and the share of its sheath that is also a
                               neighbour's; `gap_scores`
pinhole                        below 9 px a region needs a sheath all its own
vacuole in a sheath            small, and closer to a larger axon than that axon's sheath is thick
edge of the image              at most two sides of it, and no more of it than an axon cut there
break in a ring, up to 2 px    a round region that opens by a narrow gap into the outside, and
                               whose sheath holds no other axon; `close_breaks`
=============================  ================================================================
"""

import cv2
import numpy as np

# Smallest axon: 4 px is the smallest that occurs more than once in hand-drawn masks.
MIN_AXON_PX = 4
# Below this a region's outline says nothing, and only a sheath of its own makes it an axon.
MIN_SHAPE_PX = 9
MAX_PINHOLE_SHARED = 0.1
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
# A vacuole: this much smaller than the axon beside it, at this part of its sheath's thickness.
VACUOLE_AREA = 0.25
VACUOLE_DEPTH = 0.5
VACUOLE_SHARED = 0.35
# Edge pixels over the root of the area: 2.3 for a quarter disc, 2.9 the most in hand-drawn masks.
MAX_EDGE = 3.2
# Open rings: least solidity, most open part of the outline, least part of it that is one sheath.
BREAK_BOX = 0.4
BREAK_SOLIDITY = 0.8
BREAK_OPEN = 0.25
BREAK_ONE_SHEATH = 0.9
# A ring that shares its sheath must be rounder and more nearly closed.
BREAK_SOLIDITY_SHARED = 0.9
BREAK_NARROW = 0.08
# A sheath without axon counts as collapsed from this percentile of the fibers' myelin areas on.
COLLAPSED_PERCENTILE = 25
COLLAPSED_PX = 100  # the same where an image has no fiber to compare with

SQUARE = np.ones((3, 3), np.uint8)
NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def label_regions(mask, connectivity):
    """Number the connected regions of a mask.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    connectivity : 4 or 8

    Returns
    -------
    labels : int32 array, (rows, cols)
        1 to n in the order of their first pixels; 0 outside the mask.
    boxes : int64 array, (n + 1, 5)
        x, y, width, height and area of each; row 0 has area 0.
    """
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    boxes = boxes.astype(np.int64)
    boxes[0, 4] = 0
    return labels, boxes


def crop(box, margin, shape):
    """Return the slices of a box (x, y, width, height, ...) with a margin, kept in the image."""
    x, y, width, height = box[:4]
    rows = slice(max(y - margin, 0), min(y + height + margin, shape[0]))
    return rows, slice(max(x - margin, 0), min(x + width + margin, shape[1]))


def hull_areas(labels, count):
    """Count the pixels of each region's convex hull, as scikit-image's `regionprops` does.

    Parameters
    ----------
    labels : int array, (rows, cols)
        Every number from 1 to `count` occurs.
    count : int

    Returns
    -------
    float array, (count,)
        Pixels whose centre lies in the hull of the regions' pixel-edge midpoints.
    """
    if count == 0:
        return np.zeros(0)
    # Only the ends of each run of pixels in a row can be corners. Coordinates are doubled, so
    # that the midpoints of pixel edges are integers.
    first = labels != 0
    last = first.copy()
    differs = labels[:, 1:] != labels[:, :-1]
    first[:, 1:] &= differs
    last[:, :-1] &= differs
    points, owners = [], []
    for ends, side in ((first, -1), (last, 1)):
        ys, xs = np.nonzero(ends)
        for dx, dy in ((side, 0), (0, -1), (0, 1)):
            points.append(np.stack([2 * xs + dx, 2 * ys + dy], axis=1).astype(np.int32))
            owners.append(labels[ys, xs])
    owners = np.concatenate(owners)
    order = np.argsort(owners, kind="stable")
    points = np.concatenate(points)[order]
    bounds = np.searchsorted(owners[order], np.arange(1, count + 2))
    hulls = [cv2.convexHull(points[a:b])[:, 0] for a, b in zip(bounds[:-1], bounds[1:])]

    # Each hull edge is cut by the rows it crosses; each row counts from its left to its right cut.
    sizes = np.array([len(hull) for hull in hulls])
    start = np.concatenate(hulls).astype(np.int64)
    following = np.arange(1, len(start) + 1)
    following[np.cumsum(sizes) - 1] = np.cumsum(sizes) - sizes
    end = start[following]
    downward = (start[:, 1] <= end[:, 1])[:, None]
    upper, lower = np.where(downward, start, end), np.where(downward, end, start)
    top = (upper[:, 1] + 1) // 2
    crossed = np.where(upper[:, 1] < lower[:, 1], lower[:, 1] // 2 - top + 1, 0)
    edge = np.repeat(np.arange(len(start)), crossed)
    row = top[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    slope = (lower[edge, 0] - upper[edge, 0]) / (lower[edge, 1] - upper[edge, 1])
    cut = (upper[edge, 0] + (2 * row - upper[edge, 1]) * slope) / 2
    # All rows of all hulls lie in one long array, one hull after the other.
    owner = np.repeat(np.arange(count), sizes)[edge]
    highest, lowest = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    np.minimum.at(highest, owner, row)
    np.maximum.at(lowest, owner, row)
    heights = lowest - highest + 1
    place = (np.cumsum(heights) - heights)[owner] + row - highest[owner]
    left, right = np.full(heights.sum(), np.inf), np.full(heights.sum(), -np.inf)
    np.minimum.at(left, place, cut)
    np.maximum.at(right, place, cut)
    widths = np.floor(right + 1e-9) - np.ceil(left - 1e-9) + 1
    return np.add.reduceat(widths, np.cumsum(heights) - heights)


def solidity(labels, areas):
    """Return area over convex-hull area for regions 1 to n; `areas` is (n + 1,), result too."""
    return np.concatenate([[0.0], areas[1:] / hull_areas(labels, len(areas) - 1)])


def sheath_contacts(regions, count):
    """List where the zone nearest to one region meets that of another, in the middle of a sheath.

    Parameters
    ----------
    regions : int array, (rows, cols)
        Numbers 1 to `count`; 0 is myelin.
    count : int

    Returns
    -------
    near, far : int32 arrays, (contacts,)
        Both regions, once per pair of pixels that meet, in both orders.
    thickness : float32 array, (contacts,)
        Distance between the two regions there, px.
    """
    distance, nearest = cv2.distanceTransformWithLabels(
        (regions == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = regions > 0
    owner = np.zeros(np.count_nonzero(inside) + 1, np.int32)
    owner[nearest[inside]] = regions[inside]
    zone = owner[nearest]
    pairs = []
    for one, other in NEIGHBOURS:
        meet = zone[one] != zone[other]
        between = distance[one][meet] + distance[other][meet]
        pairs.append((zone[one][meet], zone[other][meet], between))
        pairs.append((zone[other][meet], zone[one][meet], between))
    return tuple(np.concatenate(column) for column in zip(*pairs))


def edge_pixels(labels, count):
    """Return how many pixels of each region 0 to `count` lie on the edge of the image."""
    rows, cols = labels.shape
    edge = [labels[0], labels[-1] if rows > 1 else [], labels[1:-1, 0]]
    edge.append(labels[1:-1, -1] if cols > 1 else [])
    return np.bincount(np.concatenate(edge).astype(np.int64), minlength=count + 1)


def touched_sides(boxes, shape):
    """Return how many sides of the image each box touches, (n,)."""
    x, y, width, height = boxes[:, :4].T
    return (
        (x == 0).astype(int) + (y == 0) + (x + width == shape[1]) + (y + height == shape[0])
    )


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
    sums = np.bincount(labels.ravel(), weights=image.ravel(), minlength=len(areas))
    mean = sums / np.maximum(areas, 1)
    middle = np.median(mean[sure])
    spread = 1.4826 * np.median(np.abs(mean[sure] - middle))
    outside = np.average(mean[background], weights=areas[background])
    deviation = np.sign(outside - middle) * (mean - middle) / max(spread, 1)
    return np.clip(deviation, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def find_axons(myelin, image=None):
    """Return the axons of a myelin mask: the regions enclosed by myelin that are no gaps.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    image : uint8 array, (rows, cols), optional
        The picture itself; it helps to tell gaps between sheaths from axons.

    Returns
    -------
    int32 array, (rows, cols)
        1 to n in the order of the axons' first pixels, from the top left; 0 elsewhere.
    """
    labels, boxes = label_regions(~myelin, 4)
    areas = boxes[:, 4]
    sides = touched_sides(boxes, myelin.shape)
    edge = edge_pixels(labels, len(areas) - 1) / np.sqrt(np.maximum(areas, 1))
    possible = (areas >= MIN_AXON_PX) & (sides <= 2) & (edge <= MAX_EDGE)
    solid = solidity(labels, areas)
    candidates = possible & (solid >= MIN_SOLIDITY)
    if candidates.any():
        accepted = accept(labels, areas, solid, candidates, image)
    else:
        accepted = candidates
    axons = accepted[labels]
    axons |= close_breaks(myelin, axons)
    return label_regions(axons, 4)[0]


def accept(labels, areas, solid, candidates, image):
    """Tell axons from gaps, pinholes and vacuoles; return bool (n + 1,). See the module's table."""
    count = len(areas) - 1
    near, far, thickness = sheath_contacts(np.where((areas >= 3)[labels], labels, 0), count)
    contacts = np.maximum(np.bincount(near, minlength=count + 1), 1)

    def shared(others):
        return np.bincount(near, weights=others[far], minlength=count + 1) / contacts

    sized = candidates & (areas >= MIN_SHAPE_PX)
    median = np.median(areas[sized if sized.any() else candidates])
    scores = solid + SIZE_WEIGHT * np.clip(
        np.log(np.maximum(areas, 1) / median), -MAX_LOG_SIZE, MAX_LOG_SIZE
    )
    scores -= IMAGE_WEIGHT * image_deviation(labels, areas, solid, candidates, image)
    # A gap counts as a neighbour only until it is known for one, hence two rounds.
    probable = candidates & (scores - SHARED_WEIGHT * shared(candidates) >= MIN_SCORE)
    part = shared(probable)
    accepted = candidates & (scores - SHARED_WEIGHT * part >= MIN_SCORE)
    accepted &= (areas >= MIN_SHAPE_PX) | (part < MAX_PINHOLE_SHARED)

    # Depth in the sheath of a larger neighbour: 1 and more outside it, 0 at its axon.
    typical = np.bincount(near, weights=thickness, minlength=count + 1) / contacts
    larger = accepted[far] & (areas[near] < VACUOLE_AREA * areas[far])
    depth = np.full(count + 1, np.inf)
    np.minimum.at(depth, near[larger], (thickness / typical[far])[larger])
    return accepted & ~((depth < VACUOLE_DEPTH) & (part > VACUOLE_SHARED))


def close_breaks(myelin, axons):
    """Find axons in rings with a break of one or two pixels.

    Eroding the background by one pixel parts what lies in such a ring from what lies outside.

    Parameters
    ----------
    myelin, axons : bool arrays, (rows, cols)
        `axons` are those found already.

    Returns
    -------
    bool array, (rows, cols)
        The axons in open rings, with no pixel next to one of `axons`.
    """
    found = np.zeros_like(myelin)
    free = ~(myelin | axons)
    cores, boxes = label_regions(cv2.erode(free.view(np.uint8), SQUARE, borderValue=1) > 0, 4)
    sheaths, sheath_boxes = label_regions(myelin, 8)
    taken = np.zeros(len(sheath_boxes), bool)
    taken[sheaths[cv2.dilate(axons.view(np.uint8), SQUARE) > 0]] = True
    # An axon's core fills its box; this passes over the long stretches of background cheaply.
    round_enough = boxes[:, 4] >= BREAK_BOX * boxes[:, 2] * boxes[:, 3]
    round_enough &= (boxes[:, 4] > 0) & (touched_sides(boxes, myelin.shape) <= 2)
    for index in np.flatnonzero(round_enough):
        view = crop(boxes[index], 3, myelin.shape)
        region = cv2.dilate((cores[view] == index).view(np.uint8), SQUARE) & free[view]
        rim = cv2.dilate(region, CROSS) > region
        wall, opening = sheaths[view][rim & myelin[view]], np.count_nonzero(rim & free[view])
        if opening > BREAK_OPEN * (opening + len(wall)) or not len(wall):
            continue
        touching = np.bincount(wall)
        sheath = touching.argmax()
        own = not taken[sheath] and touching[sheath] >= BREAK_ONE_SHEATH * len(wall)
        area = np.count_nonzero(region)
        narrow = opening <= BREAK_NARROW * (opening + len(wall)) and area > MIN_SHAPE_PX + 6
        if not own and not narrow:
            continue
        least = BREAK_SOLIDITY if own else BREAK_SOLIDITY_SHARED
        if area >= least * hull_areas(region.astype(np.int32), 1)[0]:
            found[view] |= region > 0
            taken[sheath] = True
    return found


def split_fibers(myelin, axons):
    """Give every axon its myelin; sheaths that touch are split by a watershed from the axons.

    The watershed floods the distance to the outline of the fibers' union, deepest first, so that
    it splits where a waist marks the border between two fibers (Vincent and Soille 1991). No
    pixel is lost to a line between them.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : int32 array, (rows, cols)
        Axon numbers 1 to n.

    Returns
    -------
    int32 array, (rows, cols)
        The number of an axon on it and on its myelin; 0 on background and on myelin that is not
        connected (4-neighbours) with any axon.
    """
    inside = axons > 0
    clusters, boxes = label_regions(myelin | inside, 4)
    owner = np.zeros(len(boxes), np.int32)
    cluster, axon = clusters[inside], axons[inside]
    owner[cluster] = axon  # the last one written stays
    several = np.unique(cluster[owner[cluster] != axon])
    fibers = owner[clusters]
    if len(several):
        from skimage.segmentation import watershed  # late: its import takes half a second
    for index in several:
        view = crop(boxes[index], 1, myelin.shape)
        mask = clusters[view] == index
        depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
        markers = np.where(mask, axons[view], 0)
        fibers[view][mask] = watershed(-depth, markers, mask=mask)[mask]
    return fibers


def fill_vacuoles(myelin, axons, fibers):
    """Add to each fiber the holes that its sheath alone encloses: pinholes, vacuoles and clefts.

    Without this a spongy sheath would make its fiber smaller. A hole above a quarter of the axon
    stays out.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons, fibers : int32 arrays, (rows, cols)
        `fibers` is changed in place.
    """
    holes, boxes = label_regions(~(myelin | (axons > 0)), 4)
    lowest = np.full(len(boxes), np.iinfo(np.int32).max, np.int32)
    highest = np.zeros(len(boxes), np.int32)
    for one, other in NEIGHBOURS:
        for here, there in ((one, other), (other, one)):
            beside = (holes[here] > 0) & (holes[there] == 0)
            hole, fiber = holes[here][beside], fibers[there][beside]
            np.minimum.at(lowest, hole, fiber)
            np.maximum.at(highest, hole, fiber)
    axon_areas = np.bincount(axons.ravel(), minlength=highest.max() + 1)
    single = (lowest == highest) & (highest > 0) & (touched_sides(boxes, myelin.shape) == 0)
    single &= boxes[:, 4] <= VACUOLE_AREA * axon_areas[highest]
    fibers += np.where(single, highest, 0)[holes]


def count_collapsed(myelin, axons, fibers):
    """Count the sheaths without an axon that have the myelin of a small fiber or more.

    Smaller pieces are taken for specks, and those at the edge of the image for fibers whose axon
    lies outside it.
    """
    _, boxes = label_regions(myelin & (fibers == 0), 8)
    least = COLLAPSED_PX
    if axons.any():
        sheaths = np.bincount(fibers.ravel())[1:] - np.bincount(axons.ravel())[1:]
        least = np.percentile(sheaths, COLLAPSED_PERCENTILE)
    inside = touched_sides(boxes, myelin.shape) == 0
    return int(np.count_nonzero(inside & (boxes[:, 4] >= max(least, MIN_SHAPE_PX))))
