"""Label images: the number of the region that each pixel belongs to, stored as run lengths.

A run is a stretch of pixels of one region in one row. A region of 700 pixels has about 30 runs, so
the label image of a scan takes a tenth of the memory of its pixels. Reads no file; all lengths are
in pixels.

    >>> labels = LabelImage.from_array(np.array([[0, 1, 1], [2, 2, 0]]))
    >>> labels.areas().tolist(), labels[:, 1:].tolist()
    ([2, 2], [[1, 1], [2, 0]])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

BAND_PX = 2**22  # pixels of a band of rows, see `row_bands`

RunColumns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # number, row, first, last


def row_bands(shape: tuple[int, int], min_rows: int = 1) -> Iterator[slice]:
    """Yield slices of rows that together cover an image, to keep only one band in memory.

    A small image is one band. Bands begin at even rows, because OpenCV numbers 8-connected regions
    by squares of 2 x 2 pixels. Only the last band has fewer than `min_rows` rows.
    """
    rows, cols = shape
    step = max(BAND_PX // max(cols, 1), min_rows)
    step += step % 2
    for row in range(0, rows, step):
        yield slice(row, min(row + step, rows))


def find_runs(array: np.ndarray, top: int = 0, left: int = 0) -> RunColumns:
    """Return the runs of an array of numbers that lies at a row and column of a larger image."""
    width, flat = max(array.shape[1], 1), array.ravel()
    changes = np.ones(len(flat) + 1, bool)
    np.not_equal(flat[1:], flat[:-1], out=changes[1:-1])
    changes[::width] = True  # the end of a row ends its last run
    places = np.flatnonzero(changes)
    numbers = flat[places[:-1]]
    begin, end = places[:-1][numbers != 0], places[1:][numbers != 0] - 1
    row = begin // width
    start = row * width - left
    runs = flat[begin], row + top, begin - start, end - start
    return tuple(column.astype(np.int32) for column in runs)


def join_touching(runs: RunColumns) -> RunColumns:
    """Return sorted runs in which adjacent runs of one region are one run."""
    number, row, first, last = runs
    continued = (number[1:] == number[:-1]) & (row[1:] == row[:-1]) & (first[1:] == last[:-1] + 1)
    if not continued.any():
        return runs
    begins, ends = np.append(True, ~continued), np.append(~continued, True)
    return number[begins], row[begins], first[begins], last[ends]


def position_within(lengths: np.ndarray) -> np.ndarray:
    """Return 0 to n - 1 for each length n, one after the other."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


@dataclass
class LabelImage:
    """A label image, stored as run lengths in the order of their pixels, row by row.

    Slices give arrays as those of an array do: `labels[rows]` and `labels[rows, cols]`, of slices
    with positive steps. Windows of some columns are fastest in the order of their first rows.

    Attributes
    ----------
    number : int array, (runs,)
        Region of each run; never 0, which is background.
    row, first, last : int32 arrays, (runs,)
        Its row, and its first and last column.
    shape : (int, int)
        Rows and columns of the image.
    """

    number: np.ndarray
    row: np.ndarray
    first: np.ndarray
    last: np.ndarray
    shape: tuple[int, int]
    _band: np.ndarray | None = field(default=None, init=False, repr=False)
    _band_top: int = field(default=0, init=False, repr=False)

    ndim = 2

    # ------------------------------------------------------------ from arrays and back

    @classmethod
    def from_array(cls, array: np.ndarray) -> LabelImage:
        """Return the label image of an int or bool array, (rows, cols); 0 is background."""
        bands = row_bands(array.shape)
        return cls.from_runs((find_runs(array[rows], rows.start) for rows in bands), array.shape)

    @classmethod
    def from_runs(cls, parts: Iterable[RunColumns], shape: tuple[int, int]) -> LabelImage:
        """Return the label image of runs that do not overlap, in any order."""
        number, row, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(row * np.int32(shape[1]) + first, kind="stable")
        return cls(*join_touching((number[order], row[order], first[order], last[order])), shape)

    @property
    def runs(self) -> RunColumns:
        return self.number, self.row, self.first, self.last

    def sorted_runs(self) -> RunColumns:
        """Return the runs region by region, each from its top."""
        order = np.argsort(self.number, kind="stable")
        return tuple(column[order] for column in self.runs)

    @property
    def dtype(self) -> np.dtype:
        return self.number.dtype

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def count(self) -> int:
        """The highest number; 0 without regions."""
        return int(self.number.max(initial=0))

    def to_array(self) -> np.ndarray:
        """Return the array of all pixels, (rows, cols)."""
        # The background before a run, the run, the background before the next, and so on.
        values = np.zeros(2 * len(self.row) + 1, self.dtype)
        ends = np.empty(len(values), np.int64)
        start = self.row.astype(np.int64) * self.shape[1]
        values[1::2] = self.number
        ends[:-1:2] = start + self.first
        ends[1::2] = start + self.last + 1
        ends[-1] = self.size
        return np.repeat(values, np.diff(ends, prepend=0)).reshape(self.shape)

    def to_mask(self) -> np.ndarray:
        """Return which pixels are in a region, bool (rows, cols)."""
        mask = np.empty(self.shape, bool)
        for rows in row_bands(self.shape):
            mask[rows] = self[rows] != 0
        return mask

    def __getitem__(self, window: slice | tuple[slice, slice]) -> np.ndarray:
        rows, cols = window if isinstance(window, tuple) else (window, slice(None))
        top, bottom, down = rows.indices(self.shape[0])
        band_rows = next(row_bands(self.shape)).stop
        if cols == slice(None) or down != 1 or bottom - top > band_rows:
            return self.cropped(rows, cols).to_array()
        # Decode a whole band: the next windows usually lie in it too.
        if self._band is None or not self._band_top <= top <= bottom <= self._band_top + len(
            self._band
        ):
            self._band_top, self._band = top, self[top : top + band_rows]
        return self._band[top - self._band_top : bottom - self._band_top, cols]

    def cropped(self, rows: slice, cols: slice) -> LabelImage:
        """Return the label image of a window."""
        top, bottom, down = rows.indices(self.shape[0])
        left, right, across = cols.indices(self.shape[1])
        shape = len(range(top, bottom, down)), len(range(left, right, across))
        inside = slice(*np.searchsorted(self.row, np.array([top, bottom], self.row.dtype)))
        number, row, first, last = (column[inside] for column in self.runs)
        row = row - top
        if shape != (bottom - top, self.shape[1]):
            # The first and the last column of the window that lie within each run.
            first = np.maximum(-((left - first) // across), 0)
            last = np.minimum((last - left) // across, shape[1] - 1)
            kept = (first <= last) & (row % down == 0)
            number, row, first, last = number[kept], row[kept] // down, first[kept], last[kept]
        return LabelImage(number, row, first, last, shape)

    # ------------------------------------------------------------ regions

    def areas(self, count: int | None = None) -> np.ndarray:
        """Return the pixels of each region 1 to `count` (default: the highest), int64 (count,)."""
        count = self.count if count is None else count
        lengths = self.last - self.first + 1
        areas = np.bincount(self.number, weights=lengths, minlength=count + 1)
        return areas[1:].astype(np.int64)

    def boxes(self) -> np.ndarray:
        """Return x, y, width, height and area of each region, int64 (highest number + 1, 5).

        Row 0, and the rows of numbers without a pixel, are 0.
        """
        left, top, right, bottom = np.zeros((4, self.count + 1), np.int64)
        number, row, first, last = (column.astype(np.int64) for column in self.runs)
        left[number] = first
        np.minimum.at(left, number, first)
        np.maximum.at(right, number, last)
        bottom[number] = row  # of several rows, the last one written stays
        top[number[::-1]] = row[::-1]
        areas = np.append(0, self.areas())
        exists = areas > 0
        return np.stack([left, top, right - left + exists, bottom - top + exists, areas], axis=1)

    def sums(self, weights: np.ndarray, count: int) -> np.ndarray:
        """Return the sum of `weights`, uint8 or bool (rows, cols), over each region 1 to `count`.

        float array, (count,)
        """
        sums = np.zeros(count + 1)
        for rows in row_bands(self.shape):
            number, total = self.over_runs(np.add, weights[rows], rows)
            sums += np.bincount(number, total, minlength=count + 1)
        return sums[1:]

    def over_runs(
        self, join: np.ufunc, values: np.ndarray, rows: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the runs in some rows, and `join` of the values on each run.

        `values` are uint8 or bool, (rows, cols); sums are int64.
        """
        number, row, first, last = self.cropped(rows, slice(None)).runs
        flat = np.append(values.ravel(), values.dtype.type(0))  # a run can end with the image
        place = row.astype(np.int64) * self.shape[1]
        bounds = np.stack([place + first, place + last + 1], axis=1).ravel()
        dtype = np.int64 if join is np.add else None
        # Every second stretch lies between two runs.
        return number, join.reduceat(flat, bounds, dtype=dtype)[::2] if len(bounds) else place

    def numbers_on(self, mask: np.ndarray) -> np.ndarray:
        """Return the numbers of the pixels of a mask, 0 included, (n,), from the top left."""
        return np.concatenate([self[rows][mask[rows]] for rows in row_bands(self.shape)])

    def at(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return the numbers of some pixels, (n,), 0 where there is no region."""
        if not len(self.number):
            return np.zeros(len(row), self.dtype)
        place = np.asarray(row * self.shape[1] + column, np.int32)
        run = np.searchsorted(self.row * self.shape[1] + self.first, place, "right") - 1
        inside = place <= self.row[run] * self.shape[1] + self.last[run]
        return self.number[run] * (inside & (run >= 0))

    def keep(self, wanted: np.ndarray) -> LabelImage:
        """Return the regions whose numbers are True in `wanted`, bool (numbers,)."""
        kept = wanted[self.number]
        return LabelImage(*(column[kept] for column in self.runs), self.shape)

    def renumbered(self, numbers: np.ndarray, dtype: type = np.int32) -> LabelImage:
        """Return the regions with new numbers, int (old numbers,); those that get 0 are left out.

        Regions that get the same number become one.
        """
        number = numbers[self.number].astype(dtype)
        kept = number != 0
        runs = (number[kept], *(column[kept] for column in self.runs[1:]))
        return LabelImage(*join_touching(runs), self.shape)

    def moved(self, window: tuple[slice, slice], shape: tuple[int, int]) -> LabelImage:
        """Return the label image of a larger image, of which this one is a window."""
        down, right = (np.int32(part.start) for part in window)
        runs = self.number, self.row + down, self.first + right, self.last + right
        return LabelImage(*runs, shape)

    def spliced(self, numbers: np.ndarray, added: LabelImage, rows: slice) -> LabelImage:
        """Return the regions `renumbered`, and those of another image of this shape beside them.

        Regions that are added or left out lie within `rows`.
        """
        first, last = np.searchsorted(self.row, np.array([rows.start, rows.stop], np.int32))
        number = numbers[self.number].astype(np.int32)
        columns = (number, *self.runs[1:])
        inner = [column[first:last][number[first:last] > 0] for column in columns]
        middle = LabelImage.from_runs([inner, added.runs], self.shape).runs
        parts = zip(columns, middle, strict=True)
        return LabelImage(
            *(np.concatenate([old[:first], new, old[last:]]) for old, new in parts), self.shape
        )

    def with_pixels(self, places: list[np.ndarray], numbers: list[int]) -> LabelImage:
        """Return the label image with more pixels, which had no number.

        `places` are row * cols + col of the pixels of each region, `numbers` the regions' numbers.
        A pixel that occurs twice gets the later number.
        """
        if not places:
            return self
        number = np.repeat(numbers, [len(part) for part in places])
        place, index = np.unique(np.concatenate(places)[::-1], return_index=True)
        row, column = np.divmod(place, self.shape[1])
        added = tuple(part.astype(np.int32) for part in (number[::-1][index], row, column, column))
        return LabelImage.from_runs([self.runs, added], self.shape)


def shared_pixels(one: LabelImage, other: LabelImage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pixels that each two regions of two label images share.

    Returns
    -------
    first, second : int64 arrays, (pairs,)
        A region of `one` and one of `other`, sorted.
    pixels : int64 array, (pairs,)
    """
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for rows in row_bands(one.shape):
        ones, others = one[rows], other[rows]
        both = (ones > 0) & (others > 0)
        key, count = np.unique(ones[both].astype(np.int64) << 32 | others[both], return_counts=True)
        keys.append(key)
        counts.append(count)
    keys, place = np.unique(np.concatenate(keys), return_inverse=True)
    pixels = np.bincount(place, weights=np.concatenate(counts), minlength=len(keys))
    return keys >> 32, keys & 0xFFFFFFFF, pixels.astype(np.int64)


def mask_without(mask: np.ndarray, labels: LabelImage) -> np.ndarray:
    """Return a mask, bool (rows, cols), without the pixels of all regions."""
    outside = labels.to_mask()
    np.logical_not(outside, out=outside)
    outside &= mask
    return outside
