"""Convex hulls of the regions of a label image, their areas and smallest diameters."""

import cv2
import numpy as np

from myelin.pixels.labels import LabelImage, position_within


def convex_hulls(labels: LabelImage) -> dict[int, np.ndarray]:
    """Return {region: hull of its pixels' centres, int32 (corners, 1, 2)} of all regions."""
    number, row, first, last = labels.sorted_runs()
    ends = np.stack([first, row, last, row], axis=1)
    numbers, start = np.unique(number, return_index=True)
    parts = np.split(ends, start)[1:]  # nothing lies before the first region
    return {
        int(region): cv2.convexHull(part.reshape(-1, 2))
        for region, part in zip(numbers, parts, strict=True)
    }


class Hulls:
    """Convex hulls of the midpoints of pixels' edges, of all regions of a label image.

    Areas and diameters are float arrays, (regions that have a pixel,), in the order of the regions'
    numbers.
    """

    def __init__(self, labels: LabelImage) -> None:
        number, row, first, last = (part.astype(np.int64) for part in labels.sorted_runs())
        left, right = left_chain(number, row, first), left_chain(number, row, -last)
        # Down along the left chain and up along the right one, region by region.
        chains = np.concatenate([left, right[:, ::-1] * [[1], [1], [-1]]], axis=1)
        chains = chains[:, np.argsort(chains[0], kind="stable")]
        self.start = np.flatnonzero(np.diff(chains[0], prepend=0))
        self.lengths = np.diff(self.start, append=chains.shape[1])
        # Corners in doubled coordinates, in which they are integers, and the steps to the next one.
        next_corner = np.arange(1, chains.shape[1] + 1)
        next_corner[self.start + self.lengths - 1] = self.start
        self.corners, self.steps = chains[1:], chains[1:, next_corner] - chains[1:]

    def areas(self) -> np.ndarray:
        """Count the pixels whose centre lies in each hull, as scikit-image's `regionprops` does."""
        (y, x), (dy, dx) = self.corners, self.steps
        # Rows of pixel centres that each edge of a hull cuts; horizontal edges lie between rows.
        first = (np.minimum(y, y + dy) + 1) // 2
        crossed = np.maximum(y, y + dy) // 2 - first + 1
        edge = np.repeat(np.arange(len(y)), crossed)
        row = first[edge] + position_within(crossed)
        column = (x[edge] + (2 * row - y[edge]) * dx[edge] / dy[edge]) / 2
        # The rows of all hulls lie in one long array, one hull after the other.
        top = (y[self.start] + 1) // 2
        height = (np.maximum.reduceat(y, self.start) + 1) // 2 - top
        start = np.cumsum(height) - height
        place = np.repeat(start - top, self.lengths)[edge] + row
        left, right = np.full(height.sum(), np.inf), np.full(height.sum(), -np.inf)
        np.minimum.at(left, place, column)
        np.maximum.at(right, place, column)
        return np.add.reduceat(np.floor(right + 1e-9) - np.ceil(left - 1e-9) + 1, start)

    def min_feret(self) -> np.ndarray:
        """Return the smallest distance between parallel tangents of each hull, px.

        One of them lies along an edge, the other touches the corner at which the edges turn to the
        opposite direction (rotating calipers: Toussaint, Proc. IEEE MELECON 1983).
        """
        (y, x), (dy, dx) = self.corners, self.steps
        region = np.repeat(np.arange(len(self.start)), self.lengths)
        turn = np.arctan2(-dy, dx)  # ascends within a hull, from the top left corner
        ends = self.start + self.lengths
        turn[ends - 1] = np.pi  # along the top, where the length can be 0
        opposite = np.where(turn > 0, turn - np.pi, turn + np.pi)
        # The turns of different hulls are more than a whole turn apart.
        corner = np.searchsorted(7 * region + turn, 7 * region + opposite)
        corner = np.where(corner < ends[region], corner, self.start[region])
        distance = np.abs(dx * (y[corner] - y) - dy * (x[corner] - x))
        length = np.hypot(dx, dy)
        distance = np.divide(distance, length, out=np.full(len(x), np.inf), where=length > 0)
        return np.minimum.reduceat(distance, self.start) / 2


def left_chain(region: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the left corners of regions' hulls from their top, int64 (3, corners).

    Parameters
    ----------
    region, row, column : int64 arrays, (n,)
        Leftmost pixels of rows, region by region, from the top.

    Returns
    -------
    int64 array, (3, corners)
        Region, and y and x of the midpoint of a pixel's edge, in doubled coordinates.
    """
    kept = convex(region, row, column)
    region, row, column = region[kept], row[kept], column[kept]
    y = (2 * row[:, None] + [-1, 0, 1]).ravel()
    x = (2 * column[:, None] - [0, 1, 0]).ravel()
    region = np.repeat(region, 3)
    return np.stack([region, y, x])[:, convex(region, y, x)]


def convex(region: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return which of the points are left corners of a hull, int64 (corners,)."""
    kept, dropped = np.arange(len(x)), True
    while dropped:
        of, dy, dx = region[kept], np.diff(y[kept]), np.diff(x[kept])
        keep = np.ones(len(kept), bool)
        keep[1:-1] = (of[:-2] != of[2:]) | (dx[:-1] * dy[1:] < dx[1:] * dy[:-1])
        kept, dropped = kept[keep], not keep.all()
    return kept
