"""Outlines of numbered regions along the edges of their pixels, and regions from outlines.

Points are x, y from the outer corner of the top left pixel, as ImageJ and QuPath count: the centre
of the first pixel is 0.5, 0.5. Knows no file format.

    >>> import numpy as np
    >>> region = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> polygons = trace(region)[1]
    >>> [ring.tolist() for ring in polygons[0]]
    [[[3, 0], [3, 3], [0, 3], [0, 0]], [[2, 2], [2, 1], [1, 1], [1, 2]]]
    >>> fill(polygons[0], region.shape).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8]
"""

import itertools

import numpy as np

# How often rings may cross rows, per pixel of the image: those of `trace` do twice at most.
MAX_CROSSINGS = 8

# ---------------------------------------------------------------- from pixels to outlines


def trace(labels):
    """Return the outlines of all regions of a label image.

    Parameters
    ----------
    labels : int array, (rows, cols)
        0 is background.

    Returns
    -------
    dict of int to list of list of int array, (corners, 2)
        For each number its polygons, one per 4-connected part; a polygon is its outer ring, then
        its holes. No ring is closed by repeating its first corner, and none meets itself: where
        pixels touch at a corner alone, two rings of a polygon touch in that point, which OGC
        Simple Features allow. Outer rings run clockwise on the screen, holes the other way.
    """
    from skimage.measure import label  # late: its import takes a fifth of a second

    parts = np.pad(label(labels, background=0, connectivity=1), 1)
    rings, owners = follow(parts)
    polygons = {}
    for ring, owner in zip(rings, owners, strict=True):
        polygon = polygons.setdefault(owner, [])
        polygon.insert(0 if is_outer(ring) else len(polygon), ring)
    found = {}
    first = np.unique(parts, return_index=True)
    for part, place in zip(*map(np.ndarray.tolist, first), strict=True):
        if part:
            row, col = divmod(place, parts.shape[1])
            found.setdefault(int(labels[row - 1, col - 1]), []).append(polygons[part])
    return dict(sorted(found.items()))


def follow(parts):
    """Return the rings around 4-connected parts, and whose each is.

    An edge of a pixel where its part ends is walked with the part to the right. What follows it is
    the next edge of the same pixel (a right turn), the same edge of the pixel ahead, or an edge of
    the pixel ahead and to the left (a left turn).

    Parameters
    ----------
    parts : int array, (rows + 2, cols + 2)
        Numbers of the parts, with a margin of 0.

    Returns
    -------
    rings : list of int array, (corners, 2)
    owners : list of int
    """
    width, flat = parts.shape[1], parts.ravel()
    inside = np.flatnonzero(flat)
    pixels, sides, following, turns, touches = [], [], [], [], []
    # Top edge to the right, right edge down, bottom edge to the left, left edge up.
    for side, (outward, ahead) in enumerate(((-width, 1), (1, width), (width, -1), (-1, -width))):
        pixel = inside[flat[inside + outward] != flat[inside]]
        own = flat[pixel]
        straight, left = flat[pixel + ahead] == own, flat[pixel + ahead + outward] == own
        right = ~straight
        left_turn = straight & left
        pixels.append(pixel)
        sides.append(np.full(len(pixel), side))
        target = np.where(right, pixel, pixel + ahead + np.where(left_turn, outward, 0))
        following.append(4 * target + (side + right - left_turn) % 4)
        turns.append(right | left_turn)
        touches.append(right & left)
    pixels, sides, following, turns, touches = map(
        np.concatenate, (pixels, sides, following, turns, touches)
    )
    edges = 4 * pixels + sides
    order = np.argsort(edges)
    following = order[np.searchsorted(edges[order], following)]
    walk, ends = cycles(following.tolist())
    walk = np.array(walk, np.int64)
    rows, cols = np.divmod(pixels[walk], width)
    # The corner at which an edge ends; the margin takes one from each.
    xs, ys = cols - (sides[walk] >= 2), rows - ((sides[walk] == 0) | (sides[walk] == 3))
    corners = np.stack([xs, ys], axis=1).astype(np.int32)
    rings, owners = [], []
    for start, stop in itertools.pairwise([0, *ends]):
        part = slice(start, stop)
        ring = corners[part][turns[walk[part]]]
        pieces = split_at_touches(ring) if touches[walk[part]].any() else [ring]
        rings += pieces
        owners += [int(flat[pixels[walk[start]]])] * len(pieces)
    return rings, owners


def cycles(following):
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
    return walk, ends


def split_at_touches(ring):
    """Return the rings that a ring is made of which meets itself in corners."""
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


def without_straight(ring):
    """Return a ring without the corners at which it goes straight on."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def signed_area(ring):
    """Return the area in a ring of points, px²; negative where it runs anticlockwise on screen."""
    x, y = ring.T.astype(np.float64)
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def is_outer(ring):
    """Return whether a ring of `trace` runs clockwise on the screen: around a region, no hole."""
    return signed_area(ring) > 0


# ---------------------------------------------------------------- from outlines to pixels


def fill(rings, shape):
    """Return the pixels whose centre lies within rings, by the even-odd rule.

    Parameters
    ----------
    rings : sequence of array, (points, 2)
        x and y; the last point is joined to the first.
    shape : (int, int)
        Rows and columns of the image; what lies outside it is cut off.

    Returns
    -------
    int64 array, (n,)
        Places of the pixels in the flat image, ascending.

    Raises
    ------
    ValueError
        The rings cross the rows far more often than the image has pixels.
    """
    start = np.concatenate([np.asarray(ring, np.float64) for ring in rings])
    end = np.concatenate([np.roll(np.asarray(ring, np.float64), -1, axis=0) for ring in rings])
    # An edge cuts the rows whose centre it crosses; each end belongs to the edge below it.
    low = np.clip(np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5), 0, shape[0]).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5), 0, shape[0]).astype(np.int64)
    crossed = high - low
    if crossed.sum() > MAX_CROSSINGS * (shape[0] * shape[1] + 1):
        raise ValueError("goes up and down far more often than the image has pixels")
    edge = np.repeat(np.arange(len(start)), crossed)
    row = low[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    (x, y), (dx, dy) = start[edge].T, (end - start)[edge].T
    cut = x + (row + 0.5 - y) * dx / dy if len(edge) else x
    column = np.clip(np.ceil(cut - 0.5), 0, shape[1]).astype(np.int64)
    order = np.lexsort((column, row))
    first, last, row = column[order][::2], column[order][1::2], row[order][::2]
    lengths = last - first
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(row * shape[1] + first, lengths) + offset


def paint(regions, shape):
    """Return a label image in which region i has the number i + 1, and what overlapped.

    Parameters
    ----------
    regions : list of int array
        Places of pixels in the flat image, as from `fill`.
    shape : (int, int)

    Returns
    -------
    labels : int32 array, (rows, cols)
        A pixel of several regions has the number of the first.
    overlaps : dict of (int, int) to int
        Pairs of indices of regions that overlap, the first of which keeps the pixels: how many.
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
