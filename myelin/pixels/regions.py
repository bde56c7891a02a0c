"""Measure numbered regions of an image all at once, as `regionprops` does one by one.

Reads no file, knows no unit but the pixel.
"""

import math

import cv2
import numpy as np

# An enclosed region is round if it fills so much of its convex hull, and empty if so little of it
# is filled again.
ROUND_SOLIDITY = 0.85
MAX_FILLED = 0.03
LEAST_SIDE = 0.1
BAND_PX = 2**22  # of a band, see `row_bands`
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


def row_bands(shape, least=1):
    """Yield slices of rows that together are an image: what is worked out of one is held at once.

    Small images are one band; the others begin at even rows, as OpenCV numbers what is 8-connected
    by squares of 2 x 2 pixels.

    Parameters
    ----------
    shape : (int, int)
    least : int
        Fewest rows of a band, but for the last.
    """
    rows, cols = shape
    step = max(BAND_PX // max(cols, 1), least)
    step += step % 2
    for row in range(0, rows, step):
        yield slice(row, min(row + step, rows))


def sum_pixels(labels, count, weights=None):
    """Return how many pixels each region 0 to `count` has, or the sum of whole `weights` on them.

    Parameters
    ----------
    labels : int array or runs.Runs, (rows, cols)
    count : int
    weights : uint8 or bool array, (rows, cols), optional

    Returns
    -------
    int64 or float array, (count + 1,)
    """
    found = np.zeros(count + 1, np.int64 if weights is None else np.float64)
    for rows in row_bands(labels.shape):  # bincount takes 64-bit numbers of both
        part = None if weights is None else weights[rows].ravel()
        found += np.bincount(labels[rows].ravel(), part, minlength=count + 1)
    return found


def numbers_on(labels, mask):
    """Return the numbers of the pixels of a mask, (n,), from the top left.

    Parameters
    ----------
    labels : int array or runs.Runs, (rows, cols)
    mask : bool array, (rows, cols)
    """
    return np.concatenate([labels[rows][mask[rows]] for rows in row_bands(labels.shape)])


def beside(labels, regions, near):
    """Return the numbers of the pixels in and next to some regions, (n,), in any order.

    Parameters
    ----------
    labels, regions : int arrays or runs.Runs, (rows, cols)
    near : uint8 array
        What is next to a pixel, as for OpenCV's `dilate`, 3 x 3.
    """
    found = []
    for rows in row_bands(labels.shape):
        above = min(rows.start, 1)
        grown = cv2.dilate((regions[rows.start - above : rows.stop + 1] != 0).view(np.uint8), near)
        found.append(labels[rows][grown[above : above + rows.stop - rows.start] > 0])
    return np.concatenate(found)


def shared_pixels(one, other):
    """Count the pixels that each two regions of two images share.

    Parameters
    ----------
    one, other : int arrays or runs.Runs, (rows, cols)
        Numbers of regions; 0 is none.

    Returns
    -------
    first, second : int64 arrays, (pairs,)
        A region of `one` and one of `other`, sorted.
    pixels : int64 array, (pairs,)
    """
    pairs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for rows in row_bands(one.shape):
        part, beyond = one[rows], other[rows]
        both = (part > 0) & (beyond > 0)
        found = part[both].astype(np.int64) << 32 | beyond[both]
        for column, values in zip(pairs, np.unique(found, return_counts=True), strict=True):
            column.append(values)
    keys, pixels = map(np.concatenate, pairs)
    keys, place = np.unique(keys, return_inverse=True)
    pixels = np.bincount(place, weights=pixels, minlength=len(keys)).astype(np.int64)
    return keys >> 32, keys & 0xFFFFFFFF, pixels


def mask_without(mask, labels):
    """Return a mask without the pixels of some regions.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    labels : int array or runs.Runs, (rows, cols)
        The regions.
    """
    left = mask.copy()
    for rows in row_bands(mask.shape):
        left[rows] &= labels[rows] == 0
    return left


def renumber(labels, numbers):
    """Give regions other numbers, in place.

    Parameters
    ----------
    labels : int32 array, (rows, cols)
    numbers : int array, (old numbers,)
    """
    for rows in row_bands(labels.shape):
        labels[rows] = numbers[labels[rows]]


def crop(box, margin, shape):
    """Return the slices of a box (x, y, width, height, ...) with a margin, kept in the image."""
    x, y, width, height = box[:4]
    rows = slice(max(y - margin, 0), min(y + height + margin, shape[0]))
    return rows, slice(max(x - margin, 0), min(x + width + margin, shape[1]))


def edge_pixels(labels, count, tissue=None):
    """Return how many pixels of each region 0 to `count` lie on the edge of the image.

    Or beside what is no tissue, where that is given as bool array, (rows, cols).
    """
    rows, cols = labels.shape
    if tissue is not None:
        inner = cv2.erode(tissue.view(np.uint8), CROSS, borderValue=0) > 0
        return np.bincount(numbers_on(labels, tissue & ~inner), minlength=count + 1)
    edge = [
        labels[:1],
        labels[max(rows - 1, 1) :],
        labels[1:-1, :1],
        labels[1:-1, max(cols - 1, 1) :],
    ]
    return np.bincount(np.concatenate([part.ravel() for part in edge]), minlength=count + 1)


def touched_sides(boxes, shape):
    """Return how many sides of the image each box touches, (n,)."""
    x, y, width, height = boxes[:, :4].T
    return (x == 0).astype(int) + (y == 0) + (x + width == shape[1]) + (y + height == shape[0])


def tissue_sides(labels, count, tissue):
    """Return on how many of its four sides each region 0 to `count` ends with the tissue.

    A side that is less than a tenth of that end is none: where an outline is round, as the rim of
    an aperture, its pixels face to several.

    Parameters
    ----------
    labels : int array or runs.Runs, (rows, cols)
    count : int
    tissue : bool array, (rows, cols)
    """
    padded = np.pad(tissue, 1)
    ends = []
    for beyond in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        ends.append(np.bincount(numbers_on(labels, tissue & ~beyond), minlength=count + 1))
    return np.sum(ends > LEAST_SIDE * np.sum(ends, axis=0), axis=0)


def enclosed(holes, boxes, labels, largest):
    """Yield small regions that do not touch the edge of the image, with the labels around them.

    Parameters
    ----------
    holes : int32 array, (rows, cols), or runs.Windows
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
    wanted = (
        (boxes[:, 4] > 0) & (boxes[:, 4] <= largest) & (touched_sides(boxes, labels.shape) == 0)
    )
    for index in np.flatnonzero(wanted):
        view = crop(boxes[index], 1, labels.shape)
        hole = (holes[view] == index).view(np.uint8)
        ys, xs = np.nonzero(hole)
        around = labels[view][cv2.dilate(hole, CROSS) > hole]
        yield index, (ys + view[0].start, xs + view[1].start), around


def perimeters(labels, count):
    """Return the perimeter of each region 1 to n in px, as `skimage.measure.perimeter` does.

    The border pixels are counted with weights for straight and diagonal steps (Benkrid and
    Crookes, Design and FPGA implementation of a perimeter estimator, 2000).
    """
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = math.sqrt(2)
    lengths[[13, 23]] = (1 + math.sqrt(2)) / 2
    parts = [border_codes(labels, rows) for rows in row_bands(labels.shape)]
    own, code = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.bincount(own, weights=lengths[code], minlength=count + 1)[1:]


def border_codes(labels, rows):
    """Return the label of each border pixel in some rows, a slice, and how its neighbours lie."""
    above = min(rows.start, 2)  # whether a neighbour is on the border is seen from its neighbours
    part = np.pad(labels[rows.start - above : rows.stop + 2], 1)
    width, flat = part.shape[1], part.ravel()
    border = np.zeros(len(flat), bool)
    for step in (1, width):
        differs = flat[:-step] != flat[step:]
        border[:-step] |= differs
        border[step:] |= differs
    flat *= border
    first = (above + 1) * width
    places = np.flatnonzero(flat[first : first + (rows.stop - rows.start) * width]) + first
    own = flat[places]
    code = np.ones(len(places), np.int16)
    for weight, steps in (
        (2, (-1, 1, -width, width)),
        (10, (-width - 1, -width + 1, width - 1, width + 1)),
    ):
        for step in steps:
            code += np.int16(weight) * (flat[places + step] == own)
    return own, code


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
