"""Number the connected regions of a mask, in bands of rows."""

import cv2
import numpy as np

from myelin.pixels.labels import LabelImage, find_runs, row_bands


def label_regions(mask: np.ndarray, connectivity: int) -> tuple[LabelImage, np.ndarray]:
    """Number the connected regions of a mask.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    connectivity : 4 or 8

    Returns
    -------
    labels : LabelImage
        1 to n in the order of OpenCV, about that of their first pixels.
    boxes : int64 array, (n + 1, 5)
        As from `LabelImage.boxes`.
    """
    parts, pairs = [], []
    above, count = np.zeros(mask.shape[1], np.int32), np.int32(0)
    for rows in row_bands(mask.shape):
        found, array = cv2.connectedComponents(
            np.ascontiguousarray(mask[rows]).view(np.uint8), connectivity=connectivity
        )
        number, *place = find_runs(array, rows.start)
        parts.append((number + count, *place))
        first, last = (np.where(row > 0, row + count, 0) for row in (array[0], array[-1]))
        pairs.append(touching_pairs(above, first, connectivity))
        above = last
        count += np.int32(found - 1)
    labels = LabelImage.from_runs(parts, mask.shape)
    if len(parts) > 1:
        labels = labels.renumbered(joined_numbers(np.concatenate(pairs, axis=1), count + 1))
    return labels, labels.boxes()


def touching_pairs(above: np.ndarray, below: np.ndarray, connectivity: int) -> np.ndarray:
    """Return which regions of a row touch which of the next row, int64 (2, pairs)."""
    width, pairs = len(above), []
    for step in (0,) if connectivity == 4 else (-1, 0, 1):
        one = above[max(-step, 0) : width - max(step, 0)]
        other = below[max(step, 0) : width - max(-step, 0)]
        both = (one > 0) & (other > 0)
        pairs.append(np.stack([one[both], other[both]]))
    return np.unique(np.concatenate(pairs, axis=1).astype(np.int64), axis=1)


def joined_numbers(pairs: np.ndarray, count: int) -> np.ndarray:
    """Return new numbers, int64 (count,), in which connected regions have the same one."""
    from scipy.sparse import coo_array  # late: only scans need it, and its import is slow
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    # Number the components in the order of their first regions.
    _, first, component = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[component]
