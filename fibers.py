"""Find axons and fibers in myelin masks: which region is an axon, and whose is which myelin.

Used by `morphometry.py` and `evaluate.py`; reads no file, knows no unit but the pixel.

    >>> import numpy as np
    >>> rows, cols = np.mgrid[:60, :60]
    >>> radius = np.hypot(rows - 30, cols - 30)
    >>> axons = find_axons((radius < 20) & (radius >= 12))
    >>> int(axons.max()), bool(((axons == 1) == (radius < 12)).all())
    (1, True)

The rules, and how often each decides wrongly on the nine hand-drawn SEM masks of 7,547 axons (as
drawn, and with every sheath one pixel thicker so that neighbours touch, as networks draw them):

axon                 a region without myelin (4-connected), enclosed by myelin or, where a fiber is
                     cut, by myelin and the edge of the image
gap between sheaths  a score of solidity, size, and the share of the sheath that is a neighbour's
                     too: 11 axons lost, 13 of 101 gaps kept; thickened 19 lost, 6 of 1,089 kept
pinhole              below 9 px only a sheath all its own makes an axon: 0 of 33 axons lost, 0 of
                     211 others kept; thickened 1 lost, 0 of 220 kept
vacuole              small, and within the sheath of a larger axon: 4 axons lost; thickened 14
part of a swollen    less than half as wide as its fiber, and it fills a notch in that of a larger
sheath               axon: 0 axons lost, 7 of 13 others found; thickened 4 lost
edge of the image    at most two sides, and no more of the edge than a cut axon has: 1 axon lost; 0
break in a ring      a round region with an opening of 1 or 2 px: 76 axons found, 1 invented;
                     thickened 10 found, 2 invented

Together: recall 0.996, precision 0.999, thickened too; two pixels thicker, when hardly any
background is left between small fibers, 0.990 and 0.996. With the picture given, the same
within 0.001. The weights were fitted to these very masks; fitted without the image it judges, the
gap score is wrong in 25 instead of 22 of 7,528 regions, thickened in 42 instead of 37 of 8,603.
Not solved: sheaths drawn thinner than one pixel, breaks of 3 px and more, and a sheath without axon
that touches a fiber, whose myelin goes to that fiber.
"""

import itertools

import cv2
import numpy as np

# Smallest axon: 4 px is the smallest that occurs more than once in hand-drawn masks.
MIN_AXON_PX = 4
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
# A vacuole: this much smaller than the axon beside it, at this part of its sheath's thickness.
VACUOLE_AREA = 0.25
VACUOLE_DEPTH = 0.57
VACUOLE_SHARED = 0.35
# A part of a swollen sheath: largest g-ratio, and most that it adds to the convex hull, as a
# multiple of its area / g: the smaller g, the likelier a vacuole.
MAX_G_RATIO_PART = 0.5
PART_STANDS_OUT = 0.3
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


def hull_areas(labels, wanted):
    """Count the pixels of regions' convex hulls, as scikit-image's `regionprops` does.

    Parameters
    ----------
    labels : int array, (rows, cols)
        Every number from 1 to n occurs.
    wanted : bool array, (n + 1,)
        Regions to do it for; the first entry, background, is False.

    Returns
    -------
    float array, (number of wanted regions,)
        Pixels whose centre lies in the hull of the region's pixel-edge midpoints.
    """
    count = np.count_nonzero(wanted)
    if count == 0:
        return np.zeros(0)
    # Only the ends of each run of pixels in a row can be corners. Coordinates are doubled, so
    # that the midpoints of pixel edges are integers.
    first = labels != 0
    last = first.copy()
    differs = labels[:, 1:] != labels[:, :-1]
    first[:, 1:] &= differs
    last[:, :-1] &= differs
    places, owners = [], []
    numbers = (np.cumsum(wanted) * wanted).astype(np.int32)
    for ends in (first, last):
        place = np.flatnonzero(ends)
        owner = numbers[labels.ravel()[place]]
        places.append(place[owner > 0])
        owners.append(owner[owner > 0])
    sides = np.repeat([-1, 1], [len(place) for place in places])
    ys, xs = np.divmod(np.concatenate(places), labels.shape[1])
    owners = np.concatenate(owners)
    order = np.argsort(owners, kind="stable")
    xs, ys, sides = 2 * xs[order], 2 * ys[order], sides[order]
    points = np.empty((len(order), 3, 2), np.int32)
    points[:, 0] = np.stack([xs + sides, ys], axis=1)
    points[:, 1] = np.stack([xs, ys - 1], axis=1)
    points[:, 2] = np.stack([xs, ys + 1], axis=1)
    bounds = np.searchsorted(owners[order], np.arange(1, count + 2))
    hulls = [
        cv2.convexHull(points[a:b].reshape(-1, 2))[:, 0] for a, b in itertools.pairwise(bounds)
    ]

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


def convex_hulls(labels, numbers):
    """Return {number: corners of the convex hull of its pixels' centres} of some regions."""
    wanted = np.zeros(labels.max() + 1, bool)
    wanted[numbers] = True
    place = np.flatnonzero(wanted[labels]) if numbers else np.zeros(0, int)
    place = place[np.argsort(labels.ravel()[place], kind="stable")]
    points = np.stack([place % labels.shape[1], place // labels.shape[1]], axis=1).astype(np.int32)
    found, first = np.unique(labels.ravel()[place], return_index=True)
    parts = zip(found.tolist(), np.split(points, first[1:]), strict=False)
    return {number: cv2.convexHull(part) for number, part in parts}


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
    inside = np.flatnonzero(regions)
    owner = np.zeros(len(inside) + 1, np.int32)
    owner[nearest.ravel()[inside]] = regions.ravel()[inside]
    zone, distance, width = owner[nearest].ravel(), distance.ravel(), regions.shape[1]
    pairs = []
    for step in (1, width):
        one = np.flatnonzero(zone[:-step] != zone[step:])
        if step == 1:
            one = one[one % width != width - 1]  # the next pixel in memory begins a new row
        between = distance[one] + distance[one + step]
        pairs.append((zone[one], zone[one + step], between))
        pairs.append((zone[one + step], zone[one], between))
    return tuple(np.concatenate(column) for column in zip(*pairs, strict=True))


def edge_pixels(labels, count):
    """Return how many pixels of each region 0 to `count` lie on the edge of the image."""
    rows, cols = labels.shape
    edge = [labels[0], labels[-1] if rows > 1 else [], labels[1:-1, 0]]
    edge.append(labels[1:-1, -1] if cols > 1 else [])
    return np.bincount(np.concatenate(edge).astype(np.int64), minlength=count + 1)


def touched_sides(boxes, shape):
    """Return how many sides of the image each box touches, (n,)."""
    x, y, width, height = boxes[:, :4].T
    return (x == 0).astype(int) + (y == 0) + (x + width == shape[1]) + (y + height == shape[0])


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
        1 to n in the order of the axons' first pixels, from the top left, those in open rings
        last; 0 elsewhere.
    """
    return find_fibers(myelin, image)[0]


def find_fibers(myelin, image=None):
    """Find the axons of a myelin mask and the myelin of each.

    Parameters
    ----------
    myelin, image
        As in `find_axons`.

    Returns
    -------
    axons, hulls, others, boxes
        As from `sort_regions`.
    fibers, pieces
        As from `split_fibers`.
    """
    axons, hulls, others, boxes = sort_regions(myelin, image)
    fibers, pieces = split_fibers(myelin, axons)
    whole = join_swollen(axons, fibers)
    kept = whole == np.arange(len(whole))
    if not kept.all():
        numbers = np.cumsum(kept, dtype=np.int32) - 1
        axons, fibers = (numbers * kept)[axons], numbers[whole][fibers]
    return axons, hulls[kept[1:]], others, boxes, fibers, pieces


def join_swollen(axons, fibers):
    """Find the fibers that are parts of a larger one: vacuoles in its swollen sheath.

    The split between such a part and the rest cuts a notch into the outline, which the part fills;
    a fiber beside another stands out and makes the convex hull of both larger than itself.

    Parameters
    ----------
    axons, fibers : int32 arrays, (rows, cols)
        Numbers 1 to n, see `split_fibers`.

    Returns
    -------
    int array, (n + 1,)
        The number of the fiber that each is a part of; its own for most.
    """
    axon_px, fiber_px = np.bincount(axons.ravel()), np.bincount(fibers.ravel())
    part_of = np.arange(len(axon_px))
    small = axon_px < MAX_G_RATIO_PART**2 * fiber_px
    small[0] = False
    place, width, flat = np.flatnonzero(small[fibers]), fibers.shape[1], fibers.ravel()
    pairs = set()
    for step, inside in (
        (-1, place % width > 0),
        (1, place % width < width - 1),
        (-width, place >= width),
        (width, place < fibers.size - width),
    ):
        near, far = flat[place[inside]], flat[place[inside] + step]
        other = (far > 0) & (far != near)
        pairs.update(zip(near[other].tolist(), far[other].tolist(), strict=True))
    pairs, beside = sorted(pairs), {}
    for near, far in pairs:
        beside.setdefault(near, []).append(far)
    hulls = convex_hulls(fibers, [number for pair in pairs for number in pair])
    room = PART_STANDS_OUT * fiber_px * np.sqrt(fiber_px / np.maximum(axon_px, 1))  # area / g
    joined = True
    while joined:
        joined = False
        for near, far in pairs:
            far = part_of[far]
            free = [
                part
                for part in (near, *beside[near])
                if part_of[part] == part != far
                and small[part]
                and axon_px[part] < VACUOLE_AREA * axon_px[far]
            ]
            # Alone, or together with the parts beside it.
            for parts in (free[:1], free) if near in free else ():
                both = cv2.convexHull(np.concatenate([hulls[i] for i in (far, *parts)]))
                if cv2.contourArea(both) - cv2.contourArea(hulls[far]) < room[parts].sum():
                    part_of[np.isin(part_of, parts)] = far
                    hulls[far], joined = both, True
                    break
    return part_of


def sort_regions(myelin, image=None):
    """Sort the regions without myelin into axons and others.

    Parameters
    ----------
    myelin, image
        As in `find_axons`.

    Returns
    -------
    axons : int32 array, (rows, cols)
        As from `find_axons`.
    hulls : float array, (n,)
        The axons' `hull_areas`.
    others : int32 array, (rows, cols)
        Numbers of all regions, axons too.
    boxes : int64 array, (m + 1, 5)
        Boxes of the regions, see `label_regions`, those of axons with area 0.
    """
    labels, boxes = label_regions(~myelin, 4)
    areas = boxes[:, 4]
    edge = edge_pixels(labels, len(areas) - 1) / np.sqrt(np.maximum(areas, 1))
    sides = touched_sides(boxes, myelin.shape)
    possible = (areas >= MIN_AXON_PX) & (sides <= 2)
    possible &= edge <= MAX_EDGE
    hulls = np.full(len(areas), np.inf)
    hulls[possible] = hull_areas(labels, possible)
    solid = areas / hulls
    candidates = solid >= MIN_SOLIDITY
    accepted = candidates
    if candidates.any():
        accepted = accept(labels, areas, solid, candidates, sides == 0, image)
    axons = (np.cumsum(accepted, dtype=np.int32) * accepted)[labels]
    hulls = np.concatenate([hulls[accepted], close_breaks(myelin, axons)])
    boxes[accepted, 4] = 0
    return axons, hulls, labels, boxes


def accept(labels, areas, solid, candidates, inside, image):
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
    # A sheath all its own makes a region an axon whatever its shape, and alone makes a tiny one so.
    own = part < MAX_SHARED_OF_OWN
    accepted &= (areas >= MIN_SHAPE_PX) | own
    accepted |= candidates & own & inside & (areas >= MIN_SHAPE_PX)

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
    myelin : bool array, (rows, cols)
    axons : int32 array, (rows, cols)
        The axons found already, 1 to n; those in open rings are added as n + 1 and so on.

    Returns
    -------
    list of float
        `hull_areas` of the axons added.
    """
    count, hulls = axons.max(), []
    free = ~(myelin | (axons > 0))
    cores, boxes = label_regions(cv2.erode(free.view(np.uint8), SQUARE, borderValue=1) > 0, 4)
    sheath_count, sheaths = cv2.connectedComponents(myelin.view(np.uint8), connectivity=8)
    taken = np.zeros(sheath_count, bool)
    taken[sheaths[cv2.dilate((axons > 0).view(np.uint8), SQUARE) > 0]] = True
    # An axon's core fills its box; this passes over the long stretches of background cheaply.
    round_enough = boxes[:, 4] >= BREAK_BOX * boxes[:, 2] * boxes[:, 3]
    round_enough &= (boxes[:, 4] >= BREAK_CORE_PX) & (touched_sides(boxes, myelin.shape) <= 2)
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
        hull = hull_areas(region.astype(np.int32), np.array([False, True]))[0]
        if area >= least * hull:
            count += 1
            hulls.append(hull)
            axons[view][region > 0] = count
            taken[wall] = True
    return hulls


def split_fibers(myelin, axons):
    """Give every axon its myelin; sheaths that touch are split by a watershed from the axons.

    The watershed (Vincent and Soille, IEEE PAMI 13:583-598, 1991) floods the distance to the
    nearest axon minus that to the outline of the cluster: a pixel goes to the nearest axon, but a
    waist in the outline draws the border to itself. No pixel is lost to a line between fibers.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : int32 array, (rows, cols)
        Axon numbers 1 to n.

    Returns
    -------
    fibers : int32 array, (rows, cols)
        The number of an axon on it and on its myelin; 0 on background and on myelin that is not
        connected (4-neighbours) with any axon.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin that are not, see `label_regions`.
    """
    clusters, boxes = label_regions(myelin | (axons > 0), 4)
    inside = np.flatnonzero(axons)
    owner = np.zeros(len(boxes), np.int32)
    cluster, axon = clusters.ravel()[inside], axons.ravel()[inside]
    owner[cluster] = axon  # the last one written stays
    several = np.unique(cluster[owner[cluster] != axon])
    fibers = owner[clusters]
    if len(several):
        from skimage.segmentation import watershed  # late: its import takes half a second
    for index in several:
        view = crop(boxes[index], 1, myelin.shape)
        mask = clusters[view] == index
        markers = np.where(mask, axons[view], 0)
        inner = cv2.distanceTransform((markers == 0).view(np.uint8), cv2.DIST_L2, 5)
        outer = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
        fibers[view][mask] = watershed(inner - outer, markers, mask=mask)[mask]
    return fibers, boxes[(owner == 0) & (boxes[:, 4] > 0)]


def enclosed(holes, boxes, labels, largest):
    """Yield small regions that do not touch the edge of the image, with the labels around them.

    Parameters
    ----------
    holes : int32 array, (rows, cols)
    boxes : int64 array, (m + 1, 5)
        Their boxes, see `label_regions`; those with area 0 are passed over.
    labels : int32 array, (rows, cols)
    largest : int
        Largest area, px.

    Yields
    ------
    index : int
    region : tuple of int arrays
        Rows and columns of the region's pixels.
    around : int32 array, (k,)
        Labels of its neighbours (4-neighbours).
    """
    wanted = (boxes[:, 4] > 0) & (boxes[:, 4] <= largest) & (touched_sides(boxes, holes.shape) == 0)
    for index in np.flatnonzero(wanted):
        view = crop(boxes[index], 1, holes.shape)
        hole = (holes[view] == index).view(np.uint8)
        ys, xs = np.nonzero(hole)
        around = labels[view][cv2.dilate(hole, CROSS) > hole]
        yield index, (ys + view[0].start, xs + view[1].start), around


def fill_vacuoles(holes, boxes, axon_px, fibers):
    """Add to each fiber the holes that its sheath alone encloses: pinholes, vacuoles and clefts.

    Without this a spongy sheath would make its fiber smaller. A hole above a quarter of the axon
    stays out.

    Parameters
    ----------
    holes : int32 array, (rows, cols)
        Numbers of the regions that are neither myelin nor axon, and perhaps of others.
    boxes : int64 array, (m + 1, 5)
        Their boxes, see `label_regions`; area 0 for the others.
    axon_px : int array, (n,)
        Areas of the axons.
    fibers : int32 array, (rows, cols)
        Changed in place.
    """
    limits = VACUOLE_AREA * axon_px
    for index, region, around in enclosed(holes, boxes, fibers, limits.max(initial=0)):
        fiber = around[0]
        if fiber > 0 and (around == fiber).all() and boxes[index, 4] <= limits[fiber - 1]:
            fibers[region] = fiber


def count_collapsed(pieces, sheath_areas, shape):
    """Count the sheaths without an axon that have the myelin of a small fiber or more.

    Smaller pieces are taken for specks, and those at the edge of the image for fibers whose axon
    lies outside it.

    Parameters
    ----------
    pieces : int array, (m, 5)
        Boxes of the connected pieces of myelin without an axon, see `label_regions`.
    sheath_areas : array, (n,)
        Myelin of the fibers that have an axon, px.
    shape : tuple
        Rows and columns of the image.
    """
    least = COLLAPSED_PX
    if len(sheath_areas):
        least = max(np.percentile(sheath_areas, COLLAPSED_PERCENTILE), MIN_SHAPE_PX)
    return int(np.count_nonzero((touched_sides(pieces, shape) == 0) & (pieces[:, 4] >= least)))
