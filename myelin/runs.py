"""Numbered regions as runs of pixels in rows: areas, moments and convex hulls from few numbers.

Reads no file, knows no unit but the pixel. A region of 700 pixels is 30 runs, and what is a sum
over pixels has a closed form over a run.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.regions import row_bands


@dataclass
class Runs:
    """The runs of an image: as many pixels of one number side by side as there are.

    In the order of their pixels, row by row; all int64 arrays, (runs,).

    Attributes
    ----------
    number : int64 array
        The region's, 1 and up.
    row, first, last : int64 arrays
        Its row, and its first and last column.
    """

    number: np.ndarray
    row: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def areas(self, count):
        """Return the pixels of each region 1 to `count`, int64 (count,)."""
        lengths = self.last - self.first + 1
        found = np.bincount(self.number, weights=lengths, minlength=count + 1)
        return found[1:].astype(np.int64)

    def at(self, row, column):
        """Return the numbers of the runs that have some pixels, int64 (n,); each must be in one."""
        width = self.last.max(initial=0) + 1
        place = np.searchsorted(self.row * width + self.first, row * width + column, "right") - 1
        return self.number[place]

    def paint(self, shape):
        """Return the image of these numbers, int32 (rows, cols); 0 elsewhere."""
        labels, lengths = np.zeros(shape, np.int32), self.last - self.first + 1
        steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        start = self.row * shape[1] + self.first
        labels.ravel()[np.repeat(start, lengths) + steps] = np.repeat(self.number, lengths)
        return labels

    def of(self, wanted):
        """Return the runs of the regions that are True in `wanted`, bool (numbers,)."""
        kept = wanted[self.number]
        return Runs(self.number[kept], self.row[kept], self.first[kept], self.last[kept])

    def renumbered(self, numbers):
        """Return the runs with other numbers, int (old numbers,); those that become 0 are left out.

        Regions that get the same number must not touch.
        """
        runs = self.of(numbers > 0)
        return Runs(numbers[runs.number].astype(np.int64), runs.row, runs.first, runs.last)


def find_runs(labels):
    """Return the `Runs` of an image of numbers, int (rows, cols); 0 is no region."""
    parts = [runs_of_rows(labels, rows) for rows in row_bands(labels.shape)]
    return Runs(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def runs_of_rows(labels, rows):
    """Return number, row, first and last column of the runs in some rows, a slice."""
    part = labels[rows]
    begins = part != 0
    ends = begins.copy()
    differs = part[:, 1:] != part[:, :-1]
    begins[:, 1:] &= differs
    ends[:, :-1] &= differs
    begin, end = np.flatnonzero(begins), np.flatnonzero(ends)
    row = begin // labels.shape[1]
    start = row * labels.shape[1]
    number = part.ravel()[begin].astype(np.int64)
    return number, row + rows.start, begin - start, end - start


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


def ellipses(runs, areas):
    """Return centre and axes of each region 1 to n, from its moments of second order.

    Parameters
    ----------
    runs : Runs
    areas : int array, (n,)

    Returns
    -------
    Ellipses
    """
    owner, length = runs.number - 1, runs.last - runs.first + 1

    def mean(sums):
        return np.bincount(owner, weights=sums, minlength=len(areas)) / areas

    doubled = runs.first + runs.last
    x, y = mean(length * doubled / 2), mean(length * runs.row)
    # From the centroid, so that nothing cancels; a run of n pixels has n (n² - 1) / 12 of its own.
    dx, dy = doubled / 2 - x[owner], runs.row - y[owner]
    xx = mean(length * (dx * dx + (length * length - 1) / 12))
    yy, xy = mean(length * dy * dy), mean(length * dx * dy)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    minor, major = 4 * np.sqrt(np.maximum(middle - half, 0)), 4 * np.sqrt(middle + half)
    return Ellipses(x, y, minor, major)


# ---------------------------------------------------------------- convex hulls


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
    runs : Runs

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
    owner, row = runs.number[order], runs.row[order]
    ends = np.append(True, (np.diff(owner) != 0) | (np.diff(row) != 0))  # one run per row
    if side > 0:
        ends = np.append(ends[1:], True)
    column = (runs.first if side < 0 else runs.last)[order][ends]
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
