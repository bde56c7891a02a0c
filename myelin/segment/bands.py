"""Segment a scan from top to bottom in bands of rows, so that only a band is held in float32.

The same numbers as in one piece, within rounding: each band is resampled from the rows that it
needs with the weights that OpenCV uses for the whole.
"""

import cv2
import numpy as np

from myelin.network.preprocessing import network_greys, replace_greys
from myelin.segment.tiles import padding, predict_bands
from unet import STRIDE

# Images above this go in bands: 4096 x 4096, of which one in float32 is 64 MiB.
MAX_WHOLE_PX = 2**24
BLOCK_ROWS = 64  # resampled at a time: their weights are few
NEGLIGIBLE = 1e-3  # of a row's weight in a mean, which OpenCV leaves out


def in_bands(shape, settings):
    """Whether an image of so many (rows, cols) is segmented in bands."""
    return settings.frame == "native" and shape[0] * shape[1] > MAX_WHOLE_PX


def segment_bands(engine, settings, image, choice):
    """Yield the probability of myelin from top to bottom.

    Parameters
    ----------
    engine, settings, choice
        As for `segmentation.segment`; of a network that takes frames of any size.
    image : uint8 array, (rows, cols)

    Yields
    ------
    first : int
        Row of the image where the band begins.
    probability : float32 array, (n, cols), 0..1
    """
    if not choice.has_fibers:
        for first in range(0, len(image), BLOCK_ROWS):
            yield first, np.zeros(image[first : first + BLOCK_ROWS].shape, np.float32)
        return
    greys = network_greys(image, settings, choice.dark)
    size = tuple(max(round(length * choice.scale), 1) for length in image.shape)
    (_, below), (_, right) = padding(size)
    mode = "symmetric" if min(size) >= STRIDE else "edge"

    def frame_rows(first, last):
        """Return rows of the padded frame that the network sees."""
        end = min(last, size[0])
        rows = magnified_rows(image, greys, size, first, end, choice.scale < 1)
        return np.pad(rows, ((0, last - end), (0, right)), mode=mode)

    shape = size[0] + below, size[1] + right
    bands = (
        (first, found[: size[0] - first, : size[1]])
        for first, found in predict_bands(engine, frame_rows, shape)
    )
    for first, found in bands if size == image.shape else resized(bands, size, image.shape):
        yield first, np.clip(found, 0, 1)


def segment_scan(engine, settings, image, choice, threshold, keep):
    """Segment an image in bands.

    Parameters
    ----------
    engine, settings, image, choice
        As for `segment_bands`.
    threshold : float
        Probability from which a pixel is myelin.
    keep : function
        Called with what `segment_bands` yields.

    Returns
    -------
    greys : uint8 array, (rows, cols)
        Probability of myelin x 255.
    mask : bool array, (rows, cols)
    """
    greys, mask = np.empty(image.shape, np.uint8), np.empty(image.shape, bool)
    for first, found in segment_bands(engine, settings, image, choice):
        keep(first, found)
        rows = slice(first, first + len(found))
        mask[rows] = found >= threshold
        greys[rows] = np.rint(found * 255)
    return greys, mask


def magnified_rows(image, greys, size, first, last, areas):
    """Return rows of an image at network size, float32 (last - first, cols).

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    greys : float32 array, (256,)
    size : (int, int)
        Of the whole at network size.
    first, last : int
    areas : bool
        Whether means of areas are taken, or values interpolated.
    """
    if size == image.shape:
        return replace_greys(np.ascontiguousarray(image[first:last]), greys)
    found = np.empty((last - first, size[1]), np.float32)
    how = cv2.INTER_AREA if areas else cv2.INTER_LINEAR
    for row in range(first, last, BLOCK_ROWS):
        end = min(row + BLOCK_ROWS, last)
        start, weights = row_weights(len(image), size[0], row, end, areas)
        part = np.ascontiguousarray(image[start : start + weights.shape[1]])
        part = cv2.resize(replace_greys(part, greys), (size[1], len(part)), interpolation=how)
        found[row - first : end - first] = weights @ part
    return found


def row_weights(rows, size, first, last, areas):
    """Return how much of which rows makes rows `first` to `last` of an image resized to `size`.

    Returns
    -------
    start : int
        The first row that is needed.
    weights : float32 array, (last - first, rows needed)
    """
    step = rows / size
    if areas:
        edges = np.arange(first, last + 1) * step
        start, stop = int(edges[0]), min(int(np.ceil(edges[-1] - NEGLIGIBLE)), rows)
        at = np.arange(start, stop)
        weights = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
        weights = np.where(weights > NEGLIGIBLE, weights, 0) / step
    else:
        centres = np.clip((np.arange(first, last) + 0.5) * step - 0.5, 0, rows - 1)
        start, stop = int(centres[0]), min(int(centres[-1]) + 2, rows)
        weights = np.maximum(1 - np.abs(centres[:, None] - np.arange(start, stop)), 0)
    return start, weights.astype(np.float32)


def resized(bands, size, shape):
    """Yield bands of an image of one size as those of another, interpolated.

    Parameters
    ----------
    bands : iterable of (int, float32 array)
        First row and rows, from top to bottom without a gap.
    size, shape : (int, int)
        Of the whole, as it is and as it becomes.
    """
    rows, cols = shape
    kept, above, done = np.empty((0, cols), np.float32), 0, 0  # rows from `above` on
    for first, found in bands:
        kept = np.concatenate([kept, cv2.resize(found, (cols, len(found)))])
        known = first + len(found)
        # A row needs the one before its centre and the one after.
        ready = rows if known == size[0] else int(max((known - 0.5) * rows / size[0] - 0.5, 0))
        while done < ready:
            end = min(done + BLOCK_ROWS, ready)
            start, weights = row_weights(size[0], rows, done, end, areas=False)
            yield done, weights @ kept[start - above : start - above + weights.shape[1]]
            done = end
        start = min(max(int((done + 0.5) * size[0] / rows - 0.5), above), known)
        kept, above = kept[start - above :], start
