"""Convex hulls of the regions of a label image."""

import cv2
import numpy as np

from myelin.pixels.labels import LabelImage

Corners = tuple[np.ndarray, np.ndarray, np.ndarray]  # region, x, y of each corner of hulls


def convex_hulls(labels: LabelImage) -> dict[int, np.ndarray]:
    """Return {number: corners of the convex hull of its pixels' centres} of all regions."""
    order = np.argsort(labels.number, kind="stable")
    ends = [np.stack([column, labels.row], axis=1)[order] for column in (labels.first, labels.last)]
    points = np.stack(ends, axis=1).reshape(-1, 2).astype(np.int32)
    numbers, start = np.unique(labels.number[order], return_index=True)
    parts = np.split(points, 2 * start[1:]) if len(numbers) else []
    return {int(number): cv2.convexHull(part) for number, part in zip(numbers, parts, strict=True)}


def hull_areas(labels: LabelImage) -> np.ndarray:
    """Count the pixels of regions' convex hulls, as scikit-image's `regionprops` does.

    A pixel counts if its centre lies in the hull of the midpoints of the region's pixel edges.

    Returns
    -------
    float array, (regions that have a pixel,)
        In the order of their numbers.
    """
    if not len(labels.number):
        return np.zeros(0)
    owner, y, x_left = outer_corners(labels, "left")
    cuts_left = cut_rows(owner, y, x_left)
    cuts_right = cut_rows(*outer_corners(labels, "right"))
    # The rows of all hulls lie in one long array, one hull after the other.
    change = np.flatnonzero(np.diff(owner)) + 1
    begin, end = np.append(0, change), np.append(change, len(owner)) - 1
    top, bottom = (y[begin] + 1) // 2, y[end] // 2
    heights = bottom - top + 1
    start = np.cumsum(heights) - heights
    row_of = np.zeros(owner.max() + 1, np.int64)  # where row 0 of the image would lie for a region
    row_of[owner[begin]] = start - top
    left, right = np.full(heights.sum(), np.inf), np.full(heights.sum(), -np.inf)
    whose, row, cut = cuts_left
    np.minimum.at(left, row_of[whose] + row, cut)
    whose, row, cut = cuts_right
    np.maximum.at(right, row_of[whose] + row, cut)
    widths = np.floor(right + 1e-9) - np.ceil(left - 1e-9) + 1
    return np.add.reduceat(widths, start)


def outer_corners(labels: LabelImage, side: str) -> Corners:
    """Return the corners of the regions' hulls on their left or right side, from top to bottom.

    The hull's points are the midpoints of the edges of the outermost pixel of each row, here on
    the left, in doubled coordinates, in which they are integers (pixel centres are even):

              x - 1   x
        y - 1         o---   top edge
        y       o            left edge
        y + 1         o---   bottom edge

    Returns
    -------
    owner, y, x : int64 arrays, (corners,)
        Region, and doubled row and column of each corner.
    """
    order = np.argsort(labels.number, kind="stable")
    owner, row = labels.number[order].astype(np.int64), labels.row[order].astype(np.int64)
    outermost = np.append(True, (np.diff(owner) != 0) | (np.diff(row) != 0))  # of a row's runs
    if side == "right":
        outermost = np.append(outermost[1:], True)
    column = (labels.first if side == "left" else labels.last)[order][outermost].astype(np.int64)
    outward = -1 if side == "left" else 1  # x is mirrored on the left: larger is further out
    owner = np.repeat(owner[outermost], 3)
    x = (outward * 2 * column[:, None] + [0, 1, 0]).ravel()
    y = (2 * row[outermost][:, None] + [-1, 0, 1]).ravel()
    # The bottom edge of a row is the top edge of the next: the outer of the two midpoints stays.
    again = np.flatnonzero((owner[1:] == owner[:-1]) & (y[1:] == y[:-1])) + 1
    x[again - 1] = np.maximum(x[again - 1], x[again])
    owner, y, x = (np.delete(values, again) for values in (owner, y, x))
    while True:
        # A corner lies outside the line between its neighbours; the first and last point stay.
        kept = np.ones(len(x), bool)
        before = (x[1:-1] - x[:-2]) * (y[2:] - y[1:-1])
        after = (x[2:] - x[1:-1]) * (y[1:-1] - y[:-2])
        kept[1:-1] = (before > after) | (owner[1:-1] != owner[:-2]) | (owner[1:-1] != owner[2:])
        if kept.all():
            return owner, y, outward * x
        owner, y, x = owner[kept], y[kept], x[kept]


def cut_rows(owner: np.ndarray, y: np.ndarray, x: np.ndarray) -> Corners:
    """Return where the lines between corners of `outer_corners` cut the rows of pixel centres.

    Returns
    -------
    owner, row : int64 arrays, (cuts,)
    column : float array, (cuts,)
        Not doubled.
    """
    line = np.flatnonzero(owner[1:] == owner[:-1])
    top = (y[line] + 1) // 2
    crossed = y[line + 1] // 2 - top + 1
    row = np.repeat(top - np.cumsum(crossed) + crossed, crossed) + np.arange(crossed.sum())
    line = np.repeat(line, crossed)
    slope = (x[line + 1] - x[line]) / (y[line + 1] - y[line])
    return owner[line], row, (x[line] + (2 * row - y[line]) * slope) / 2
