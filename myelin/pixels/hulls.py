"""Convex hulls of numbered regions, from their runs of pixels.

Reads no file, knows no unit but the pixel.
"""

import cv2
import numpy as np


def convex_hulls(runs):
    """Return {number: corners of the convex hull of its pixels' centres} of all regions."""
    order = np.argsort(runs.number, kind="stable")
    ends = [np.stack([column, runs.row], axis=1)[order] for column in (runs.first, runs.last)]
    points = np.stack(ends, axis=1).reshape(-1, 2).astype(np.int32)
    found, first = np.unique(runs.number[order], return_index=True)
    parts = zip(found.tolist(), np.split(points, 2 * first[1:]), strict=False)
    return {number: cv2.convexHull(part) for number, part in parts}


def hull_areas(runs):
    """Count the pixels of regions' convex hulls, as scikit-image's `regionprops` does.

    Parameters
    ----------
    runs : runs.Runs

    Returns
    -------
    float array, (regions that have a run,)
        Pixels whose centre lies in the hull of the region's pixel-edge midpoints, by rising number.
    """
    if not len(runs.number):
        return np.zeros(0)
    sides = [hull_side(runs, side) for side in (-1, 1)]
    cuts = [cut_rows(*side) for side in sides]
    # All rows of all hulls lie in one long array, one hull after the other.
    owner, y = sides[0][0], sides[0][2]
    change = np.flatnonzero(np.diff(owner)) + 1
    begin, end = np.append(0, change), np.append(change, len(owner)) - 1
    highest, lowest = (y[begin] + 1) // 2, y[end] // 2
    heights = lowest - highest + 1
    offset = np.cumsum(heights) - heights
    index = np.zeros(owner.max() + 1, np.int64)
    index[owner[begin]] = np.arange(len(begin))
    left, right = np.full(heights.sum(), np.inf), np.full(heights.sum(), -np.inf)
    for (whose, row, cut), bound, extreme in zip(
        cuts, (left, right), (np.minimum, np.maximum), strict=True
    ):
        extreme.at(bound, offset[index[whose]] + row - highest[index[whose]], cut)
    widths = np.floor(right + 1e-9) - np.ceil(left - 1e-9) + 1
    return np.add.reduceat(widths, offset)


def hull_side(runs, side):
    """Return the left (-1) or right (1) corners of the regions' hulls, from top to bottom.

    Returns
    -------
    owner, x, y : int64 arrays, (corners,)
        The region's number, and its corner in doubled coordinates: so the midpoints of pixel edges
        are integers.
    """
    order = np.argsort(runs.number, kind="stable")
    owner, row = runs.number[order].astype(np.int64), runs.row[order].astype(np.int64)
    ends = np.append(True, (np.diff(owner) != 0) | (np.diff(row) != 0))  # one run per row
    if side > 0:
        ends = np.append(ends[1:], True)
    column = (runs.first if side < 0 else runs.last)[order][ends].astype(np.int64)
    owner = np.repeat(owner[ends], 3)
    # Mirrored where left, so that the largest is outermost.
    x = (side * 2 * column[:, None] + [0, 1, 0]).ravel()
    y = (2 * row[ends][:, None] + [-1, 0, 1]).ravel()
    again = np.flatnonzero((owner[1:] == owner[:-1]) & (y[1:] == y[:-1])) + 1
    x[again - 1] = np.maximum(x[again - 1], x[again])
    owner, x, y = (np.delete(values, again) for values in (owner, x, y))
    while True:
        # A corner lies outside the line between its neighbours; the ends are corners.
        kept = np.ones(len(x), bool)
        before = (x[1:-1] - x[:-2]) * (y[2:] - y[1:-1])
        after = (x[2:] - x[1:-1]) * (y[1:-1] - y[:-2])
        kept[1:-1] = (before > after) | (owner[1:-1] != owner[:-2]) | (owner[1:-1] != owner[2:])
        if kept.all():
            return owner, side * x, y
        owner, x, y = owner[kept], x[kept], y[kept]


def cut_rows(owner, x, y):
    """Cut the lines between the corners of one side of hulls by the rows of pixel centres.

    Parameters
    ----------
    owner, x, y : as from `hull_side`

    Returns
    -------
    owner, row : int64 arrays, (cuts,)
    cut : float array, (cuts,)
        Column; not doubled.
    """
    line = np.flatnonzero(owner[1:] == owner[:-1])
    top = (y[line] + 1) // 2
    crossed = y[line + 1] // 2 - top + 1
    row = np.repeat(top - np.cumsum(crossed) + crossed, crossed) + np.arange(crossed.sum())
    line = np.repeat(line, crossed)
    slope = (x[line + 1] - x[line]) / (y[line + 1] - y[line])
    return owner[line], row, (x[line] + (2 * row - y[line]) * slope) / 2
