"""Outlines of regions along the edges of their pixels, and regions from outlines.

Points are x, y from the outer corner of the top left pixel, as in ImageJ and QuPath: the centre of
the first pixel is 0.5, 0.5.

    >>> import numpy as np
    >>> region = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> polygons = trace(region)[1]
    >>> [ring.tolist() for ring in polygons[0]]
    [[[3, 0], [3, 3], [0, 3], [0, 0]], [[2, 2], [2, 1], [1, 1], [1, 2]]]
    >>> fill(polygons[0], region.shape).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8]
"""

import itertools
from collections.abc import Sequence

import numpy as np

from myelin.pixels.labels import position_within

# Rings may cross rows this many times per pixel of the image; those of `trace` do twice at most.
MAX_CROSSINGS = 8

Polygon = list[np.ndarray]  # its outer ring, then its holes

# ---------------------------------------------------------------- from pixels to outlines


def trace(labels: np.ndarray) -> dict[int, list[Polygon]]:
    """Return the outlines of all regions of a label image.

    Parameters
    ----------
    labels : int array, (rows, cols)
        0 is background.

    Returns
    -------
    dict of int to list of list of int array, (corners, 2)
        For each number its polygons, one per 4-connected part; a polygon is its outer ring, then
        its holes. No ring repeats its first corner at the end, and none meets itself: where pixels
        touch only at a corner, two rings of a polygon touch in that point, which OGC Simple
        Features allow. Outer rings run clockwise on the screen, holes the other way.
    """
    from skimage.measure import label  # late: its import takes a fifth of a second

    parts = np.pad(label(labels, background=0, connectivity=1), 1)
    polygons = {}
    for part, ring in rings_around(parts):
        polygon = polygons.setdefault(part, [])
        polygon.insert(0 if signed_area(ring) > 0 else len(polygon), ring)  # outer or hole
    number_of = np.zeros(parts.max() + 1, np.int64)
    number_of[parts[1:-1, 1:-1]] = labels
    regions = {}
    for part in sorted(polygons):
        regions.setdefault(int(number_of[part]), []).append(polygons[part])
    return dict(sorted(regions.items()))


def rings_around(parts: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return the rings around 4-connected parts, each with the number of its part.

    Rings consist of edges between a pixel of the part and one outside, walked with the part to the
    right. The edges of a pixel have the sides 0 to 3, clockwise from the top; edge 4 * pixel + side
    is one side of one pixel. From the top edge of pixel P to the right:

        L A     the part holds neither A nor B    right turn: the right edge of P comes next
        P B     it holds B alone                  straight on: the top edge of B
                it holds B and A                  left turn: the left edge of A
                it holds A alone                  right turn, at a corner where the ring touches
                                                  itself or another one

    Parameters
    ----------
    parts : int array, (rows + 2, cols + 2)
        Numbers of the parts, with a margin of 0.
    """
    width, flat = parts.shape[1], parts.ravel()
    inside = np.flatnonzero(flat)
    columns = []
    for side, (outward, ahead) in enumerate(((-width, 1), (1, width), (width, -1), (-1, -width))):
        pixel = inside[flat[inside + outward] != flat[inside]]
        own = flat[pixel]
        has_ahead = flat[pixel + ahead] == own
        has_diagonal = flat[pixel + ahead + outward] == own
        right, left = ~has_ahead, has_ahead & has_diagonal
        next_pixel = np.select([right, left], [pixel, pixel + ahead + outward], pixel + ahead)
        next_edge = 4 * next_pixel + (side + right - left) % 4
        columns.append((4 * pixel + side, next_edge, right | left, right & has_diagonal))
    edges, following, turns, touches = map(np.concatenate, zip(*columns, strict=True))
    order = np.argsort(edges, kind="stable")  # four sorted parts, which it merges
    walk, ends = cycles(order[np.searchsorted(edges[order], following)].tolist())
    pixels, sides = np.divmod(edges[walk], 4)
    corners, numbers = end_corners(pixels, sides, width), flat[pixels]
    turns, touches = turns[walk], touches[walk]
    rings = []
    for start, stop in itertools.pairwise([0, *ends]):
        ring = corners[start:stop][turns[start:stop]]
        pieces = split_at_touches(ring) if touches[start:stop].any() else [ring]
        rings += [(int(numbers[start]), piece) for piece in pieces]
    return rings


def end_corners(pixels: np.ndarray, sides: np.ndarray, width: int) -> np.ndarray:
    """Return x and y of the corners at which edges of `rings_around` end, int32 (edges, 2).

    The pixel itself has its top left corner at (column - 1, row - 1), as the margin takes one.
    """
    to_right, down = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])  # ends of sides 0 to 3
    rows, cols = np.divmod(pixels, width)
    return np.stack([cols - 1 + to_right[sides], rows - 1 + down[sides]], axis=1).astype(np.int32)


def cycles(following: list[int]) -> tuple[np.ndarray, list[int]]:
    """Return a permutation's items cycle by cycle, and where each cycle ends in that list."""
    walk, ends, seen = [], [], bytearray(len(following))
    for item in range(len(following)):
        if seen[item]:
            continue
        while not seen[item]:
            seen[item] = 1
            walk.append(item)
            item = following[item]
        ends.append(len(walk))
    return np.array(walk, np.int64), ends


def split_at_touches(ring: np.ndarray) -> list[np.ndarray]:
    """Return the simple rings of a ring that meets itself in corners."""
    pieces, path, place = [], [], {}
    for corner in map(tuple, ring.tolist()):
        if corner in place:
            start = place[corner]
            pieces.append(path[start:])
            for gone in path[start + 1 :]:
                del place[gone]
            del path[start + 1 :]
        else:
            place[corner] = len(path)
            path.append(corner)
    return [without_straight(np.array(piece, np.int32)) for piece in [*pieces, path]]


def without_straight(ring: np.ndarray) -> np.ndarray:
    """Return a ring without the corners at which it goes straight on."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def signed_area(ring: np.ndarray) -> float:
    """Return the area within a ring, px²; negative if it runs anticlockwise on the screen."""
    x, y = ring.T.astype(np.float64)
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


# ---------------------------------------------------------------- from outlines to pixels


def fill(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centre lies within rings, by the even-odd rule.

    Parameters
    ----------
    rings : sequence of array, (points, 2)
        x and y; the last point is joined to the first.
    shape : (int, int)
        Rows and columns of the image, at which regions are cut off.

    Returns
    -------
    int64 array, (n,)
        row * cols + col of the pixels, ascending.

    Raises
    ------
    ValueError
        The rings cross the rows far more often than the image has pixels.
    """
    rings = [np.asarray(ring, np.float64) for ring in rings]
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # An edge cuts the rows whose centre it crosses; each end belongs to the edge below it.
    low, high = (
        np.clip(np.ceil(extreme(start[:, 1], end[:, 1]) - 0.5), 0, shape[0]).astype(np.int64)
        for extreme in (np.minimum, np.maximum)
    )
    crossed = high - low
    if crossed.sum() > MAX_CROSSINGS * (shape[0] * shape[1] + 1):
        raise ValueError("goes up and down far more often than the image has pixels")
    edge = np.repeat(np.arange(len(start)), crossed)
    row = low[edge] + position_within(crossed)
    (x, y), (dx, dy) = start[edge].T, (end - start)[edge].T
    cut = x + (row + 0.5 - y) * dx / dy
    column = np.clip(np.ceil(cut - 0.5), 0, shape[1]).astype(np.int64)
    order = np.lexsort((column, row))
    # Within a row, pixels from every odd cut to the next one are inside.
    first, last, row = column[order][::2], column[order][1::2], row[order][::2]
    return np.repeat(row * shape[1] + first, last - first) + position_within(last - first)


def paint(
    regions: list[np.ndarray], shape: tuple[int, int]
) -> tuple[np.ndarray, dict[tuple[int, int], int]]:
    """Return a label image in which region i has the number i + 1, and which regions overlap.

    Parameters
    ----------
    regions : list of int array
        Pixels of each region, as from `fill`.
    shape : (int, int)

    Returns
    -------
    labels : int32 array, (rows, cols)
        A pixel of several regions has the number of the first.
    overlaps : dict of (int, int) to int
        Shared pixels of each pair of overlapping regions, by their indices; the first keeps them.
    """
    labels = np.zeros(shape[0] * shape[1], np.int32)
    for number in range(len(regions), 0, -1):
        labels[regions[number - 1]] = number
    overlaps = {}
    for index, region in enumerate(regions):
        others, counts = np.unique(labels[region], return_counts=True)
        for other, count in zip(others.tolist(), counts.tolist(), strict=True):
            if other != index + 1:
                overlaps[other - 1, index] = count
    return labels.reshape(shape), overlaps
