"""Segment a scan from top to bottom in bands of rows, so that only a band is held in float32.

The same numbers as in one piece, within rounding: each band is resampled from the rows that it
needs with the weights that OpenCV uses for the whole.
"""

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from myelin.network.preprocessing import Preprocessing, network_greys, replace_greys
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import Engine, padding, predict_bands
from unet import STRIDE

# Images with more pixels are segmented in bands; 4096 x 4096 pixels in float32 take 64 MiB.
MAX_WHOLE_PX = 2**24
BLOCK_ROWS = 64  # rows resampled at a time
NEGLIGIBLE = 1e-3  # weight of a row in a mean that OpenCV leaves out

Bands = Iterator[tuple[int, np.ndarray]]  # first row and float32 (n, cols), from top to bottom


def in_bands(shape: tuple[int, int], settings: Preprocessing) -> bool:
    """Return whether an image of (rows, cols) is segmented in bands."""
    return settings.frame == "native" and shape[0] * shape[1] > MAX_WHOLE_PX


def segment_bands(
    engine: Engine, settings: Preprocessing, image: np.ndarray, choice: Choice
) -> Bands:
    """Yield the probability of myelin, 0..1, in bands; see `tiles.segment`."""
    if not choice.has_fibers:
        for first in range(0, len(image), BLOCK_ROWS):
            yield first, np.zeros(image[first : first + BLOCK_ROWS].shape, np.float32)
        return
    greys = network_greys(image, settings, choice.dark)
    size = tuple(max(round(length * choice.scale), 1) for length in image.shape)
    (_, below), (_, right) = padding(size)
    mode = "symmetric" if min(size) >= STRIDE else "edge"

    def frame_rows(first: int, last: int) -> np.ndarray:
        """Return rows of the padded network input."""
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


def segment_scan(
    engine: Engine,
    settings: Preprocessing,
    image: np.ndarray,
    choice: Choice,
    threshold: float,
    keep: Callable[[int, np.ndarray], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's probability x 255, uint8, and its mask, bool; both (rows, cols).

    `keep` is called with what `segment_bands` yields.
    """
    greys, mask = np.empty(image.shape, np.uint8), np.empty(image.shape, bool)
    for first, found in segment_bands(engine, settings, image, choice):
        keep(first, found)
        rows = slice(first, first + len(found))
        mask[rows] = found >= threshold
        greys[rows] = np.rint(found * 255)
    return greys, mask


def magnified_rows(
    image: np.ndarray, greys: np.ndarray, size: tuple[int, int], first: int, last: int, areas: bool
) -> np.ndarray:
    """Return rows of an image resized to `size`, float32 (last - first, cols).

    `greys` are the 256 network inputs; `areas` takes means of areas, else values are interpolated.
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


def row_weights(rows: int, size: int, first: int, last: int, areas: bool) -> tuple[int, np.ndarray]:
    """Return which rows, with which weights, make rows `first` to `last` of a resized image.

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


def resized(bands: Iterable, size: tuple[int, int], shape: tuple[int, int]) -> Bands:
    """Yield bands of an image resized from one (rows, cols) to another, interpolated."""
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
