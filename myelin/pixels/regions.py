"""Measure the regions of a label image, all at once: edges, perimeters, ellipses, neighbours."""

from __future__ import annotations

import math

import cv2
import numpy as np

from myelin.pixels.labels import LabelImage, position_within, row_bands

# A hole of a mask looks like an axon if it fills this much of its convex hull, and if at most this
# much of it is filled with further regions.
MIN_ROUND_SOLIDITY = 0.85
MAX_FILLED = 0.03
# A region ends at a side of the tissue if at least this part of its pixels beside the margin do.
MIN_SIDE_PART = 0.1
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
SQUARE = np.ones((3, 3), np.uint8)

Window = tuple[slice, slice]  # rows and columns of an image

# ---------------------------------------------------------------- where regions lie


def crop(box: np.ndarray, margin: int, shape: tuple[int, int]) -> Window:
    """Return the window of a box (x, y, width, height, ...) with a margin, within the image."""
    x, y, width, height = (int(value) for value in box[:4])
    rows = slice(max(y - margin, 0), min(y + height + margin, shape[0]))
    return rows, slice(max(x - margin, 0), min(x + width + margin, shape[1]))


def edge_pixels(labels: LabelImage, count: int, tissue: np.ndarray | None = None) -> np.ndarray:
    """Return how many pixels of each region 1 to `count` lie on the edge of the image.

    With `tissue`, bool (rows, cols): how many lie at the edge of the tissue.
    """
    rows, cols = labels.shape
    if tissue is not None:
        inner = cv2.erode(tissue.view(np.uint8), CROSS, borderValue=0) > 0
        return np.bincount(labels.numbers_on(tissue & ~inner), minlength=count + 1)
    length = labels.last - labels.first + 1
    at_sides = np.minimum((labels.first == 0).astype(int) + (labels.last == cols - 1), length)
    on_edge = np.where((labels.row == 0) | (labels.row == rows - 1), length, at_sides)
    return np.bincount(labels.number, weights=on_edge, minlength=count + 1)


def touched_sides(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how many sides of the image each box touches, int (n,)."""
    x, y, width, height = boxes[:, :4].T
    return (x == 0).astype(int) + (y == 0) + (x + width == shape[1]) + (y + height == shape[0])


def tissue_sides(labels: LabelImage, count: int, tissue: np.ndarray) -> np.ndarray:
    """Return on how many of its four sides each region 0 to `count` ends with the tissue.

    Sides with few of its pixels do not count: at a round outline, such as the rim of an aperture,
    pixels face several sides. `tissue` is bool, (rows, cols).
    """
    padded = np.pad(tissue, 1)
    ends = []
    for beyond in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        ends.append(np.bincount(labels.numbers_on(tissue & ~beyond), minlength=count + 1))
    return np.sum(ends > MIN_SIDE_PART * np.sum(ends, axis=0), axis=0)


def touching(labels: LabelImage, others: LabelImage | np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return which regions 0 to n have a pixel in or next to other regions, bool (n + 1,).

    `others` may also be a mask, bool (rows, cols). `near`, `CROSS` or `SQUARE`, tells which pixels
    are next to the middle one.
    """
    found = np.zeros(labels.count + 1, bool)
    for rows in row_bands(labels.shape):
        above = min(rows.start, 1)
        seen = others[rows.start - above : rows.stop + 1] != 0
        grown = cv2.dilate(seen.view(np.uint8), near)[above:][: rows.stop - rows.start]
        number, met = labels.over_runs(np.maximum, grown, rows)
        found[number[met > 0]] = True
    return found


def round_holes(mask: np.ndarray, min_px: float) -> np.ndarray:
    """Return the areas, px, of the round, empty regions that a mask encloses: probable axons.

    In an inverted mask, sheaths can be enclosed and round too, but they are not empty: they hold
    the axon, which is then taken for myelin. Regions below `min_px` are left out.
    """
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    # OpenCV walks around holes the other way, which makes their signed areas positive.
    signed = np.array([cv2.contourArea(contour, oriented=True) for contour in contours])
    found = []
    for index in np.flatnonzero(signed >= min_px):
        _, _, child, _ = tree[0][index]  # next and previous on this level, first child, parent
        filled = 0.0
        while child >= 0:
            filled += abs(signed[child])
            child = tree[0][child][0]
        hull = cv2.contourArea(cv2.convexHull(contours[index]))
        if signed[index] > MIN_ROUND_SOLIDITY * hull and filled < MAX_FILLED * signed[index]:
            found.append(signed[index])
    return np.array(found)


# ---------------------------------------------------------------- measures of shape


def perimeters(labels: LabelImage, count: int) -> np.ndarray:
    """Return the perimeter of each region 1 to `count`, px, as `skimage.measure.perimeter` does.

    The border pixels are counted with weights for straight and diagonal steps (Benkrid and
    Crookes, Design and FPGA implementation of a perimeter estimator, 2000).
    """
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = math.sqrt(2)
    lengths[[13, 23]] = (1 + math.sqrt(2)) / 2
    parts = [border_codes(labels, rows) for rows in row_bands(labels.shape)]
    number, code = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.bincount(number, weights=lengths[code], minlength=count + 1)[1:]


def crofton_perimeters(labels: LabelImage, count: int) -> np.ndarray:
    """Return the perimeter of each region 1 to `count`, px, by the Cauchy-Crofton formula.

    It is proportional to how often lines of pixels in eight directions leave the region, counted in
    run lengths (Lehmann and Legland, Efficient N-dimensional surface estimation using Crofton
    formula and run-length encoding, Insight Journal 2012). A direction weighs as much as the
    angle between the bisectors to its neighbours, times the distance of its lines.
    """
    straight = math.atan(0.5)
    diagonal, steep = (math.pi / 4 - straight) / math.sqrt(2), math.pi / 8 / math.sqrt(5)
    # Steps to the pixels one and two rows further, and their weights.
    lines = {-2: steep, -1: diagonal, 0: straight, 1: diagonal, 2: steep}, {-1: steep, 1: steep}
    number, row, first, last = (column.astype(np.int64) for column in labels.sorted_runs())
    # A line leaves the region at every pixel without a pixel of the region one step further.
    exits = straight * np.bincount(number, minlength=count + 1)
    exits[1:] += labels.areas(count) * sum(sum(steps.values()) for steps in lines)
    # Groups of runs in one row of one region; those of the next row follow.
    key = number * (labels.shape[0] + 2) + row
    begins = np.diff(key, prepend=-1) != 0
    starts = np.append(np.flatnonzero(begins), [len(key)] * 3)
    keys, sizes = np.append(key[begins], [-1] * 3), np.append(np.diff(starts), 0)
    group = np.cumsum(begins)
    for down, steps in enumerate(lines, 1):
        below = np.where(keys[group] == key + down, sizes[group], 0)
        one = np.repeat(np.arange(len(key)), below)
        other = starts[group][one] + position_within(below)
        shared = np.zeros(len(one))
        for step, weight in steps.items():
            low = np.maximum(first[one] + step, first[other])
            high = np.minimum(last[one] + step, last[other])
            shared += weight * np.maximum(high - low + 1, 0)
        exits -= np.bincount(number[one], shared, minlength=count + 1)
        group += keys[group] == key + 1
    return exits[1:]


def border_codes(labels: LabelImage, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return number and code of each border pixel in some rows.

    A border pixel has a 4-neighbour of another number. Its code sums the weights of the border
    pixels of the same region around it, and 1 for itself:

        10  2 10
         2  1  2
        10  2 10
    """
    # Two rows more on each side: neighbours, and what makes these border pixels.
    above = min(rows.start, 2)
    part = np.pad(labels[rows.start - above : rows.stop + 2], 1)
    width, flat = part.shape[1], part.ravel()
    is_border = np.zeros(len(flat), bool)
    for step in (1, width):
        differs = flat[:-step] != flat[step:]
        is_border[:-step] |= differs
        is_border[step:] |= differs
    border = flat * is_border
    start = (above + 1) * width
    pixels = start + np.flatnonzero(is_border[start : start + (rows.stop - rows.start) * width])
    pixels = pixels[flat[pixels] > 0]
    number = flat[pixels]
    code = np.ones(len(pixels), np.int16)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down or right:
                weight = np.int16(10 if down and right else 2)
                code += weight * (border[pixels + down * width + right] == number)
    return number, code


def ellipses(labels: LabelImage, areas: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return ellipses with the same second moments as regions, like scikit-image's `regionprops`.

    Parameters
    ----------
    labels : LabelImage
        Numbers 1 to n.
    areas : int array, (n,)

    Returns
    -------
    x, y : float arrays, (n,)
        Centroids, px from the centre of the top left pixel.
    minor, major : float arrays, (n,)
        Full axes, px.
    """
    owner = labels.number - 1
    row, first, last = (part.astype(np.int64) for part in labels.runs[1:])
    length = last - first + 1

    def mean(sums: np.ndarray) -> np.ndarray:
        return np.bincount(owner, weights=sums, minlength=len(areas)) / areas

    doubled = first + last
    x, y = mean(length * doubled / 2), mean(length * row)
    # Moments about the centroid lose no digits; a run of n pixels has n (n² - 1) / 12 of its own.
    dx, dy = doubled / 2 - x[owner], row - y[owner]
    xx = mean(length * (dx * dx + (length * length - 1) / 12))
    yy = mean(length * dy * dy)
    xy = mean(length * dx * dy)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return x, y, 4 * np.sqrt(np.maximum(middle - half, 0)), 4 * np.sqrt(middle + half)
