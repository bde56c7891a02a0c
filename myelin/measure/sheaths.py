"""Give each axon its myelin: split touching sheaths, join swollen ones, count empty ones.

Used by `fibers.py`; reads no file, knows no unit but the pixel.
"""

import itertools

import cv2
import numpy as np

from myelin.measure.axons import MIN_SHAPE_PX, VACUOLE_AREA
from myelin.pixels.hulls import convex_hulls
from myelin.pixels.regions import crop, edge_pixels, enclosed, row_bands, sum_pixels, touched_sides
from myelin.pixels.runs import Windows, ellipses, find_runs, label_runs

# Of a cluster that is split in bands, so many rows beyond are seen, and so many heights of the
# tallest axon.
REACH_PX, REACH = 128, 4
# A part of a swollen sheath: largest g-ratio, and most that it adds to the convex hull, as a
# multiple of its area / g: the smaller g, the likelier a vacuole.
MAX_G_RATIO_PART = 0.5
PART_STANDS_OUT = 0.3
# A hole in a sheath without axon: largest g-ratio, and least distance from the middle of the fiber
# as a part of its radius.
MAX_G_RATIO_HOLE = 0.3
HOLE_AWAY = 0.45
# A sheath without axon counts as collapsed from this percentile of the fibers' myelin areas on.
COLLAPSED_PERCENTILE = 25
COLLAPSED_PX = 100  # the same where an image has no fiber to compare with


def split_fibers(myelin, axons):
    """Give every axon its myelin; sheaths that touch are split by a watershed from the axons.

    The watershed (Vincent and Soille, IEEE PAMI 13:583-598, 1991) floods the distance to the
    nearest axon minus that to the outline of the cluster: a pixel goes to the nearest axon, but a
    waist in the outline draws the border to itself. No pixel is lost to a line between fibers.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : runs.Runs
        Numbers 1 to n.

    Returns
    -------
    fibers : int32 array, (rows, cols)
        The number of an axon on it and on its myelin; 0 on background and on myelin that is not
        connected (4-neighbours) with any axon.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin that are not, see `label_regions`.
    """
    mask = myelin.copy()
    for rows in row_bands(mask.shape):
        mask[rows] |= axons[rows] > 0
    clusters, boxes = label_runs(mask, 4)
    owner = np.zeros(len(boxes), np.int32)
    cluster = clusters.at(axons.row, axons.first)
    owner[cluster] = axons.number  # the last one written stays
    several = sorted(set(cluster[owner[cluster] != axons.number].tolist()))
    pieces = boxes[(owner == 0) & (boxes[:, 4] > 0)]
    # Until its turn, a cluster of several fibers has its own number with the sign changed.
    owner[several] = -np.array(several, np.int32)
    clusters, fibers = clusters.renumbered(owner), np.empty(mask.shape, np.int32)
    del mask
    for rows in row_bands(fibers.shape):
        fibers[rows] = clusters[rows]
    reach = max(REACH_PX, REACH * tallest(axons))
    axons = Windows(axons)
    for index in several:
        split_cluster(fibers, axons, index, crop(boxes[index], 1, myelin.shape), reach)
    return fibers, pieces


def tallest(runs):
    """Return the rows of the tallest region of `runs.Runs`, 0 without any."""
    high, low = np.zeros((2, runs.number.max(initial=0) + 1), np.int64)
    high[runs.number[::-1]], low[runs.number] = runs.row[::-1], runs.row  # the last written stays
    return int((low - high).max(initial=-1)) + 1


def split_cluster(fibers, axons, index, view, reach):
    """Give each pixel of a cluster to an axon in it, in place.

    In a dense nerve all fibers are one cluster, and the watershed takes 30 bytes a pixel: it is
    flooded in bands of rows, which see `reach` rows more. What is further off decides nothing where
    there are axons between; myelin that has none within reach is no fiber's.

    Parameters
    ----------
    fibers : int32 array, (rows, cols)
        -`index` on the cluster.
    axons : runs.Windows
    index : int
    view : (slice, slice)
        Around the cluster.
    reach : int
    """
    fibers, (first, cols) = fibers[view], view
    done = None
    for rows in row_bands(fibers.shape, 2 * reach):
        seen = slice(max(rows.start - reach, 0), min(rows.stop + reach, len(fibers)))
        mask = fibers[seen] == -index
        if done is not None:  # not before the rows were seen from below
            np.copyto(*done[:2], where=done[2])
        markers = axons[first.start + seen.start : first.start + seen.stop, cols] * mask
        inner = cv2.distanceTransform((markers == 0).view(np.uint8), cv2.DIST_L2, 5)
        outer = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
        own = slice(rows.start - seen.start, rows.stop - seen.start)
        heights = inner - outer + places(seen, fibers.shape[1])
        done = fibers[rows], watershed(heights, markers, mask)[own].copy(), mask[own]
    np.copyto(*done[:2], where=done[2])


def places(rows, width):
    """Return what makes heights differ that are equal, by their place, float64 (rows, width).

    Of equal ones the watershed takes any, another in a band than in the whole. Distances, which are
    multiples of 2^-16, keep their order.
    """
    down, across = np.arange(rows.start, rows.stop)[:, None], np.arange(width)
    return (down % 1024 * 1024 + across % 1024) * 2.0**-38


def watershed(heights, markers, mask):
    """Return what `skimage.segmentation.watershed` does, without its slow import.

    The compiled part alone needs no SciPy, whose import takes as long as measuring 4,000 fibers.
    It is no public function: another release may have it elsewhere or differently, and then the
    public one does the work.

    Parameters
    ----------
    heights : float array, (rows, cols)
    markers : int32 array, (rows, cols)
        0 outside `mask`.
    mask : bool array, (rows, cols)

    Returns
    -------
    int32 array, (rows, cols)
    """
    heights, mask = np.pad(heights.astype(np.float64), 1), np.pad(mask, 1)
    labels, width = np.pad(markers, 1), mask.shape[1]
    try:
        from skimage.segmentation._watershed_cy import watershed_raveled

        watershed_raveled(
            heights.ravel(),
            np.flatnonzero(labels),
            np.array([-width, -1, 1, width], np.intp),
            mask.ravel().view(np.int8),
            np.array([width, 1], np.intp),
            0,
            labels.ravel(),  # changed in place
            False,
        )
    except (ImportError, TypeError, ValueError):
        from skimage.segmentation import watershed as public

        labels = public(heights, np.pad(markers, 1), mask=mask)
    return labels[1:-1, 1:-1]


def find_holes(fibers, axons, tissue=None):
    """Find the axons that are none, but holes in a sheath that lost its axon or lies beside it.

    They are small, and far from the middle of what would be their fiber.

    Parameters
    ----------
    fibers : int32 array, (rows, cols)
        Numbers 1 to n, see `split_fibers`.
    axons : runs.Runs
    tissue : bool array, (rows, cols), optional
        Its outline cuts fibers, as the edge of the image does.

    Returns
    -------
    bool array, (n + 1,)
    """
    axon_px = axons.areas(fibers.max())
    fiber_px = sum_pixels(fibers, len(axon_px))
    small = np.append(0, axon_px) < MAX_G_RATIO_HOLE**2 * fiber_px
    small[0] = False
    # A cut fiber has its axon at one side.
    small &= edge_pixels(fibers, len(axon_px), tissue) == 0
    if small.any():
        numbers = np.cumsum(small) * small
        hole = ellipses(axons.renumbered(numbers), axon_px[small[1:]])
        fiber = ellipses(find_runs(fibers).renumbered(numbers), fiber_px[small])
        away = np.hypot(hole.x - fiber.x, hole.y - fiber.y)
        small[small] = away > HOLE_AWAY * np.sqrt(fiber_px[small] / np.pi)
    return small


def join_swollen(axons, fibers):
    """Find the fibers that are parts of a larger one: vacuoles in its swollen sheath.

    The split between such a part and the rest cuts a notch into the outline, which the part fills;
    a fiber beside another stands out and makes the convex hull of both larger than itself.

    Parameters
    ----------
    axons : runs.Runs
    fibers : int32 array, (rows, cols)
        Numbers 1 to n, see `split_fibers`.

    Returns
    -------
    int array, (n + 1,)
        The number of the fiber that each is a part of; its own for most.
    """
    count = fibers.max()
    axon_px, fiber_px = np.append(0, axons.areas(count)), sum_pixels(fibers, count)
    part_of = np.arange(len(axon_px))
    touching, exposed = neighbours(fibers)
    small = (axon_px < MAX_G_RATIO_PART**2 * fiber_px) | surrounded(touching, exposed)
    small[0] = False
    pairs, beside = [(near, far) for near, far in touching if small[near]], {}
    for near, far in pairs:
        beside.setdefault(near, []).append(far)
    wanted = np.zeros(count + 1, bool)
    wanted[[number for pair in pairs for number in pair]] = True
    hulls = convex_hulls(find_runs(fibers).of(wanted)) if pairs else {}
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


def neighbours(fibers):
    """Tell which fibers touch.

    Parameters
    ----------
    fibers : int32 array, (rows, cols)
        Numbers 1 to n.

    Returns
    -------
    touching : list of (int, int)
        Each pair in both orders, sorted.
    exposed : bool array, (n + 1,)
        Which touch the background or the edge of the image.
    """
    count = int(fibers.max())
    exposed = edge_pixels(fibers, count) > 0
    parts = (fibers[rows.start : rows.stop + 1] for rows in row_bands(fibers.shape))
    beside = (((part[:, 1:], part[:, :-1]), (part[1:], part[:-1])) for part in parts)
    pairs = set()
    for one, other in itertools.chain.from_iterable(beside):
        differs = one != other
        one, other = one[differs], other[differs]
        exposed[one[other == 0]] = exposed[other[one == 0]] = True
        both = (one > 0) & (other > 0)
        found = np.unique(one[both] * np.int64(count + 1) + other[both])
        pairs.update(zip(*(part.tolist() for part in np.divmod(found, count + 1)), strict=True))
    return sorted(pairs | {pair[::-1] for pair in pairs}), exposed


def surrounded(touching, exposed):
    """Tell from `neighbours` which fibers lie within one other, bool (n + 1,)."""
    near = np.array([near for near, _ in touching], int)
    return (np.bincount(near, minlength=len(exposed)) == 1) & ~exposed


def fill_vacuoles(holes, boxes, axon_px, fibers):
    """Add to each fiber the holes that its sheath alone encloses: pinholes, vacuoles and clefts.

    Without this a spongy sheath would make its fiber smaller. A hole above a quarter of the axon
    stays out.

    Parameters
    ----------
    holes : runs.Runs
        Numbers of the regions that are neither myelin nor axon, and perhaps of others.
    boxes : int64 array, (m + 1, 5)
        Their boxes, see `label_regions`; area 0 for the others.
    axon_px : int array, (n,)
        Areas of the axons.
    fibers : int32 array, (rows, cols)
        Changed in place.
    """
    limits = VACUOLE_AREA * axon_px
    for index, region, around in enclosed(Windows(holes), boxes, fibers, limits.max(initial=0)):
        fiber = around[0]
        own = fiber > 0 and (around == fiber).all() and boxes[index, 4] <= limits[fiber - 1]
        # The axon of an open ring lies in a hole too.
        if own and ((fibers[region] == 0) | (fibers[region] == fiber)).all():
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
