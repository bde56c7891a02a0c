"""Numbered regions as runs of pixels in rows: areas and moments from few numbers.

Reads no file, knows no unit but the pixel. A region of 700 pixels is 30 runs, and what is a sum
over pixels has a closed form over a run.
"""

from dataclasses import dataclass

import numpy as np

from myelin.pixels.regions import label_regions, row_bands


@dataclass
class Runs:
    """An image of numbers, kept as runs: as many pixels of one number side by side as there are.

    In the order of their pixels, row by row; all int32 arrays, (runs,). Of a scan, that is a tenth
    of what the pixels take. As of an array, `runs[rows]` and `runs[rows, cols]` are windows, of
    slices whose steps are not negative, and `runs[:]` is the whole.

    Attributes
    ----------
    number : array
        The region's, not 0, which is no region; windows have its dtype.
    row, first, last : arrays
        Its row, and its first and last column.
    shape : (int, int)
        Rows and columns of the image.
    """

    number: np.ndarray
    row: np.ndarray
    first: np.ndarray
    last: np.ndarray
    shape: tuple

    ndim = 2

    @property
    def dtype(self):
        return self.number.dtype

    @property
    def size(self):
        return self.shape[0] * self.shape[1]

    def __getitem__(self, window):
        rows, cols = window if isinstance(window, tuple) else (window, slice(None))
        top, bottom, down = rows.indices(self.shape[0])
        left, right, across = cols.indices(self.shape[1])
        height, width = len(range(top, bottom, down)), len(range(left, right, across))
        part = slice(*np.searchsorted(self.row, np.array([top, bottom], self.row.dtype)))
        number, row = self.number[part], self.row[part] - top
        first, last = self.first[part] - left, self.last[part] - left
        if (height, width) != (bottom - top, self.shape[1]):
            first, last = np.maximum(-(-first // across), 0), np.minimum(last // across, width - 1)
            inside = np.flatnonzero((first <= last) & (row % down == 0))
            number, row, first, last = (
                values[inside] for values in (number, row // down, first, last)
            )
        # The pixels are what lies before a run, and the run, in turns.
        values, ends = np.zeros(2 * len(row) + 1, self.dtype), np.empty(2 * len(row) + 1, np.int64)
        values[1::2] = number
        ends[:-1:2] = row * width + first
        ends[1::2] = ends[:-1:2] + (last - first + 1)
        ends[-1] = height * width
        return np.repeat(values, np.diff(ends, prepend=0)).reshape(height, width)

    def areas(self, count):
        """Return the pixels of each region 1 to `count`, int64 (count,)."""
        lengths = self.last - self.first + 1
        found = np.bincount(self.number, weights=lengths, minlength=count + 1)
        return found[1:].astype(np.int64)

    def at(self, row, column):
        """Return the numbers of some pixels, int arrays (n,); 0 where no run is."""
        if not len(self.number):
            return np.zeros(len(row), self.dtype)
        place = np.asarray(row * self.shape[1] + column, np.int32)
        run = np.searchsorted(self.row * self.shape[1] + self.first, place, "right") - 1
        inside = place <= self.row[run] * self.shape[1] + self.last[run]
        return self.number[run] * (inside & (run >= 0))

    def pixels(self, number):
        """Return rows and columns of the pixels of a region."""
        row, first, last = (part[self.number == number] for part in self.places)
        length = last - first + 1
        step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        return np.repeat(row, length), np.repeat(first, length) + step

    def of(self, wanted):
        """Return the runs of the regions that are True in `wanted`, bool (numbers,)."""
        kept = wanted[self.number]
        return Runs(self.number[kept], *(part[kept] for part in self.places), self.shape)

    def renumbered(self, numbers):
        """Return the runs with other numbers, int (old numbers,); those that become 0 are left out.

        Regions that get the same number must not touch.
        """
        runs = self.of(numbers != 0)
        return Runs(numbers[runs.number].astype(np.int32), *runs.places, self.shape)

    @property
    def places(self):
        """Row, first and last column of each."""
        return self.row, self.first, self.last


class Windows:
    """Windows of `Runs` in the order of their first rows, of which a band is made at a time.

    A window of a few columns passes over all runs in its rows, which in a scan are many; only one
    that is higher than a band does so.
    """

    def __init__(self, runs):
        self.runs, self.top, self.band = runs, 0, runs[:0]
        self.height = next(row_bands(runs.shape)).stop

    def __getitem__(self, view):
        (top, bottom, _), cols = view[0].indices(self.runs.shape[0]), view[1]
        if bottom - top > self.height:
            return self.runs[view]
        if top < self.top or bottom > self.top + len(self.band):
            self.top, self.band = top, self.runs[top : top + self.height]
        return self.band[top - self.top : bottom - self.top, cols]


def find_runs(labels):
    """Return the `Runs` of an image of numbers, int (rows, cols); 0 is no region."""
    parts = [runs_of_rows(labels[rows], rows.start) for rows in row_bands(labels.shape)]
    return join_bands(parts, labels.shape)


def join_bands(parts, shape):
    """Return the `Runs` of bands, each as from `runs_of_rows`, from top to bottom."""
    return Runs(*(np.concatenate(part) for part in zip(*parts, strict=True)), shape)


def runs_of_rows(labels, top):
    """Return number, row, first and last column of the runs of rows that begin with row `top`."""
    begins = labels != 0
    ends = begins.copy()
    differs = labels[:, 1:] != labels[:, :-1]
    begins[:, 1:] &= differs
    ends[:, :-1] &= differs
    begin, end = np.flatnonzero(begins), np.flatnonzero(ends)
    row = begin // labels.shape[1]
    start = row * labels.shape[1]
    found = labels.ravel()[begin], row + top, begin - start, end - start
    return tuple(values.astype(np.int32) for values in found)


def runs_of_pixels(place, number, shape):
    """Return the `Runs` of some pixels.

    Parameters
    ----------
    place : int array, (n,)
        row * cols + col of each; of a place that comes twice, the later number counts.
    number : int array, (n,)
    shape : (int, int)
    """
    place, index = np.unique(place[::-1], return_index=True)
    number, (row, column) = number[::-1][index], np.divmod(place, shape[1])
    parted = (np.diff(place) > 1) | (np.diff(number) != 0) | (np.diff(row) > 0)
    begin, end = np.append(True, parted), np.append(parted, True)
    if not len(place):
        begin = end = np.zeros(0, bool)
    found = number[begin], row[begin], column[begin], column[end]
    return Runs(*(values.astype(np.int32) for values in found), shape)


def paint_over(below, above):
    """Return the `Runs` of an image with those of another over it."""
    parts = []
    for rows in row_bands(below.shape):
        painted = above[rows]
        parts.append(runs_of_rows(np.where(painted != 0, painted, below[rows]), rows.start))
    return join_bands(parts, below.shape)


def merge(one, other):
    """Return the `Runs` of two images, of which no pixel is in both."""
    parts = [
        np.concatenate(pair)
        for pair in zip((one.number, *one.places), (other.number, *other.places), strict=True)
    ]
    order = np.argsort(parts[1] * one.shape[1] + parts[2])
    return Runs(*(part[order] for part in parts), one.shape)


# ---------------------------------------------------------------- connected regions


def label_runs(mask, connectivity):
    """Do as `regions.label_regions`, in bands of rows; `Runs` take the place of the image."""
    parts, boxes, pairs, above = [], [np.zeros((1, 5), np.int64)], [], None
    before = 0
    for rows in row_bands(mask.shape):
        labels, found = label_regions(mask[rows], connectivity)
        number, *places = runs_of_rows(labels, rows.start)
        parts.append((number + np.int32(before), *places))
        found[:, 1] += rows.start
        boxes.append(found[1:])
        first, last = (row + np.int32(before) * (row > 0) for row in (labels[0], labels[-1]))
        if above is not None:
            pairs.append(meeting(above, first, connectivity))
        above, before = last, before + len(found) - 1
    runs, boxes = join_bands(parts, mask.shape), np.concatenate(boxes)
    if not pairs:
        return runs, boxes
    least = join_pairs(np.concatenate(pairs, axis=1), len(boxes))
    numbers = (np.cumsum(least == np.arange(len(least)), dtype=np.int32) - 1)[least]
    return runs.renumbered(numbers), join_boxes(boxes, numbers)


def meeting(above, below, connectivity):
    """Return which regions of a row and of the next are connected, int64 (2, pairs)."""
    steps = (0,) if connectivity == 4 else (-1, 0, 1)
    width, pairs = len(above), []
    for step in steps:
        one = above[max(-step, 0) : width - max(step, 0)]
        other = below[max(step, 0) : width - max(-step, 0)]
        both = (one > 0) & (other > 0)
        pairs.append(np.stack([one[both], other[both]]))
    return np.unique(np.concatenate(pairs, axis=1).astype(np.int64), axis=1)


def join_pairs(pairs, count):
    """Return the least number of those that each is connected with, int64 (count,).

    Parameters
    ----------
    pairs : int array, (2, n)
        Numbers below `count`.
    count : int
    """
    least = np.arange(count)
    while True:
        one, other = least[pairs]
        apart = one != other
        if not apart.any():
            return least
        np.minimum.at(least, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while (least[least] != least).any():
            least = least[least]


def join_boxes(boxes, numbers):
    """Return the boxes of regions that are joined: those that get the same of the `numbers`."""
    count = numbers.max(initial=0) + 1
    first = np.full((count, 2), np.iinfo(np.int64).max)
    last, areas = np.zeros((count, 2), np.int64), np.zeros(count, np.int64)
    np.minimum.at(first, numbers, boxes[:, :2])
    np.maximum.at(last, numbers, boxes[:, :2] + boxes[:, 2:4])
    np.add.at(areas, numbers, boxes[:, 4])
    return np.concatenate([first, last - first, areas[:, None]], axis=1)


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
    owner = runs.number - 1
    row, first, last = (part.astype(np.int64) for part in runs.places)
    length = last - first + 1

    def mean(sums):
        return np.bincount(owner, weights=sums, minlength=len(areas)) / areas

    doubled = first + last
    x, y = mean(length * doubled / 2), mean(length * row)
    # From the centroid, so that nothing cancels; a run of n pixels has n (n² - 1) / 12 of its own.
    dx, dy = doubled / 2 - x[owner], row - y[owner]
    xx = mean(length * (dx * dx + (length * length - 1) / 12))
    yy, xy = mean(length * dy * dy), mean(length * dx * dy)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    minor, major = 4 * np.sqrt(np.maximum(middle - half, 0)), 4 * np.sqrt(middle + half)
    return Ellipses(x, y, minor, major)
