"""Convex hulls of the regions of a label image."""

import cv2
import numpy as np

from myelin.pixels.labels import LabelImage, position_within


def convex_hulls(labels: LabelImage, edges: bool = False) -> dict[int, np.ndarray]:
    """Return {number: corners of the convex hull, int32 (corners, 1, 2)} of all regions.

    The hulls are those of the centres of pixels; with `edges`, of the midpoints of pixels' edges,
    in doubled coordinates, in which they are integers.
    """
    order = np.argsort(labels.number, kind="stable")
    ends = np.stack([labels.first, labels.row, labels.last, labels.row], axis=1)[order]
    if edges:  # the outer, the top and the bottom edge of the first and of the last pixel
        shifts = ([-1, 0, 1, 0], [0, -1, 0, -1], [0, 1, 0, 1])
        ends = np.hstack([2 * ends + shift for shift in shifts])
    numbers, start = np.unique(labels.number[order], return_index=True)
    parts = np.split(ends.astype(np.int32), start)[1:]  # nothing lies before the first region
    return {
        int(number): cv2.convexHull(part.reshape(-1, 2))
        for number, part in zip(numbers, parts, strict=True)
    }


def hull_areas(labels: LabelImage) -> np.ndarray:
    """Count the pixels of regions' convex hulls, as scikit-image's `regionprops` does.

    A pixel counts if its centre lies in the hull of the midpoints of the region's pixel edges.

    Returns
    -------
    float array, (regions that have a pixel,)
        In the order of their numbers.
    """
    hulls = convex_hulls(labels, edges=True)
    if not hulls:
        return np.zeros(0)
    lengths = np.array([len(hull) for hull in hulls.values()])
    corners = np.concatenate(list(hulls.values()))[:, 0].astype(np.int64)
    next_corner = np.arange(1, len(corners) + 1)
    next_corner[np.cumsum(lengths) - 1] -= lengths
    (x, y), (dx, dy) = corners.T, (corners[next_corner] - corners).T
    # Rows of pixel centres that each edge of a hull cuts; horizontal edges lie between rows.
    first = (np.minimum(y, y + dy) + 1) // 2
    crossed = np.maximum(y, y + dy) // 2 - first + 1
    edge = np.repeat(np.arange(len(corners)), crossed)
    row = first[edge] + position_within(crossed)
    column = (x[edge] + (2 * row - y[edge]) * dx[edge] / dy[edge]) / 2
    # The rows of all hulls lie in one long array, one hull after the other.
    top, height = labels.boxes()[list(hulls), 1::2].T
    start = np.cumsum(height) - height
    place = np.repeat(start - top, lengths)[edge] + row
    left, right = np.full(height.sum(), np.inf), np.full(height.sum(), -np.inf)
    np.minimum.at(left, place, column)
    np.maximum.at(right, place, column)
    return np.add.reduceat(np.floor(right + 1e-9) - np.ceil(left - 1e-9) + 1, start)
