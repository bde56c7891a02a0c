"""Measure numbered regions of an image all at once, as `regionprops` does one by one.

Used by `axons.py` and `fibers.py`; reads no file, knows no unit but the pixel.
"""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

# An enclosed region is round if it fills so much of its convex hull, and empty if so little of it
# is filled again.
ROUND_SOLIDITY = 0.85
MAX_FILLED = 0.03
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
    if not wanted.any():
        return np.zeros(0)
    return count_inside(hulls_of_midpoints(labels, wanted))


def hulls_of_midpoints(labels, wanted):
    """Return the convex hull of the pixel-edge midpoints of each wanted region, see `hull_areas`.

    Returns
    -------
    list of int32 arrays, (corners, 2)
        x and y, doubled: so the midpoints of pixel edges are integers.
    """
    # Only the ends of each run of pixels in a row can be corners.
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
    bounds = np.searchsorted(owners[order], np.arange(1, np.count_nonzero(wanted) + 2))
    return [cv2.convexHull(points[a:b].reshape(-1, 2))[:, 0] for a, b in itertools.pairwise(bounds)]


def count_inside(hulls):
    """Count the pixels whose centres lie in each hull of doubled coordinates, float (n,).

    Each edge of a hull is cut by the rows it crosses; each row counts from its left to its right
    cut.
    """
    count = len(hulls)
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


def perimeters(labels, count):
    """Return the perimeter of each region 1 to n in px, as `skimage.measure.perimeter` does.

    The border pixels are counted with weights for straight and diagonal steps (Benkrid and
    Crookes, Design and FPGA implementation of a perimeter estimator, 2000).
    """
    width, flat = labels.shape[1] + 2, np.pad(labels, 1).ravel()
    border = np.zeros(len(flat), bool)
    for step in (1, width):
        differs = flat[:-step] != flat[step:]
        border[:-step] |= differs
        border[step:] |= differs
    places = np.flatnonzero(border & (flat > 0))
    own = flat[places]
    code = np.ones(len(places), np.int64)
    for weight, steps in (
        (2, (-1, 1, -width, width)),
        (10, (-width - 1, -width + 1, width - 1, width + 1)),
    ):
        for step in steps:
            code += weight * ((flat[places + step] == own) & border[places + step])
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = math.sqrt(2)
    lengths[[13, 23]] = (1 + math.sqrt(2)) / 2
    return np.bincount(own, weights=lengths[code], minlength=count + 1)[1:]


@dataclass
class Ellipses:
    """Ellipses with the moments of regions, as scikit-image's `regionprops`; all (n,), px.

    Attributes
    ----------
    x, y : float arrays
        Centroid, from the centre of the top left pixel.
    minor, major : float arrays
        Full axes.
    """

    x: np.ndarray
    y: np.ndarray
    minor: np.ndarray
    major: np.ndarray


def ellipses(labels, areas):
    """Return centre and axes of each region 1 to n, from its moments of second order.

    Parameters
    ----------
    labels : int array, (rows, cols)
    areas : int array, (n,)

    Returns
    -------
    Ellipses
    """
    count = len(areas)
    places = np.flatnonzero(labels)
    ys, xs = np.divmod(places, labels.shape[1])
    owner = labels.ravel()[places] - 1

    def mean(values):
        return np.bincount(owner, weights=values, minlength=count) / areas

    x, y = mean(xs), mean(ys)
    dx, dy = xs - x[owner], ys - y[owner]
    xx, yy, xy = mean(dx * dx), mean(dy * dy), mean(dx * dy)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    minor, major = 4 * np.sqrt(np.maximum(middle - half, 0)), 4 * np.sqrt(middle + half)
    return Ellipses(x, y, minor, major)


def round_holes(mask, least_px):
    """Return the areas of the round, empty regions that a mask encloses: what looks like axons.

    The wrong way round, sheaths can be enclosed and round too, but they hold the axon, which is
    then taken for myelin.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    least_px : float
        Smaller ones do not count.

    Returns
    -------
    float array, (n,)
        px.
    """
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(contour) for contour in contours]
    found = []
    for index, contour in enumerate(contours):
        if areas[index] < least_px or not outline_is_hole(tree[0], index):
            continue
        child, filled = tree[0][index][2], 0.0
        while child >= 0:
            filled, child = filled + areas[child], tree[0][child][0]
        hull = cv2.contourArea(cv2.convexHull(contour))
        if areas[index] > ROUND_SOLIDITY * hull and filled < MAX_FILLED * areas[index]:
            found.append(areas[index])
    return np.array(found)


def outline_is_hole(tree, index):
    """Whether an outline of `cv2.RETR_TREE` lies at an odd depth: around a hole."""
    depth = 0
    while (index := tree[index][3]) >= 0:
        depth += 1
    return depth % 2 == 1
