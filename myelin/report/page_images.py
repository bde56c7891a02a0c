"""Image data of `report.html`: a picture of each image, and the fiber that each pixel belongs to.

Both have the size of the image; in large studies they are smaller, so that browsers can open the
page.
"""

import base64

import cv2
import numpy as np

from myelin.measure.fibers import Fibers
from myelin.measure.nerve import line_around
from myelin.pixels.labels import LabelImage, row_bands
from myelin.report.axes import NERVE_RGB, background

# Of all pictures together, about 60 MB of page: 100 images of 1040 x 1392 pixels have their full
# size, 2,000 images 320 x 240 each.
MAX_PIXELS = 150_000_000
MAX_SIDE = 4096
JPEG_QUALITY = 80


def shown_size(shape: tuple[int, int], images: int) -> tuple[int, int]:
    """Return width and height of the picture of an image of `shape` among `images`."""
    rows, cols = shape
    zoom = min(1, MAX_SIDE / max(shape), (MAX_PIXELS / images / (rows * cols)) ** 0.5)
    return max(1, round(cols * zoom)), max(1, round(rows * zoom))


def encode_picture(
    fibers: Fibers,
    myelin: np.ndarray,
    image: np.ndarray | None,
    images: int,
    outside: np.ndarray | None = None,
    nerve: LabelImage | None = None,
) -> dict:
    """Return what the page needs to show one of its images: JSON values.

    The parameters are those of `html.Report.add`. The values are `width`, `height`, `picture` (a
    data URI) and `runs` (see `encode_runs`).
    """
    width, height = shown_size(myelin.shape, images)
    grey = background(myelin if image is None else image)
    pixels = [fibers.labels, fibers.axons]
    if outside is not None:
        pixels.append(outside)
    if (height, width) != myelin.shape:
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    if nerve is not None:
        grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        grey[line_around(sample(nerve, width, height).astype(np.uint8))] = NERVE_RGB[::-1]
    values = pixel_values(*(sample(part, width, height) for part in pixels))
    _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return {
        "width": width,
        "height": height,
        "picture": "data:image/jpeg;base64," + to_base64(jpeg.tobytes()),
        "runs": to_base64(encode_runs(values)),
    }


def sample(labels: np.ndarray | LabelImage, width: int, height: int) -> np.ndarray:
    """Return a label image resized to (height, width), each pixel from the nearest one."""
    if (height, width) == labels.shape:
        return labels[:]
    rows, cols = (
        cv2.resize(
            np.arange(old, dtype=np.int32)[None], (new, 1), interpolation=cv2.INTER_NEAREST_EXACT
        )[0]
        for old, new in zip(labels.shape, (height, width), strict=True)
    )
    parts = []
    for band in row_bands(labels.shape):
        inside = (rows >= band.start) & (rows < band.stop)
        parts.append(labels[band][rows[inside] - band.start][:, cols])
    return np.concatenate(parts)


def to_base64(content: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode("ascii")


def pixel_values(
    labels: np.ndarray, axons: np.ndarray, outside: np.ndarray | None = None
) -> np.ndarray:
    """Return an image of numbers that tell fiber and axon of each pixel, int32 (rows, cols).

    The number is 2 n on fiber n (counted from 1), 2 n + 1 on its axon, 1 outside the counting
    frame, otherwise 0. The parameters are label images as in `fibers.Fibers`, and a mask.
    """
    values = 2 * labels + (axons > 0)
    return values if outside is None else np.where((values == 0) & (outside > 0), 1, values)


def encode_runs(values: np.ndarray) -> bytes:
    """Return the run-length encoding of an int image: value and length of each run.

    Both are written in bytes of 7 bits, the lowest first, with the 8th bit set in all but the last
    (LEB128). No run extends beyond its row.
    """
    starts = np.ones(values.shape, bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    place = np.flatnonzero(starts)
    runs = np.stack([values.ravel()[place], np.diff(place, append=values.size)], axis=1).ravel()
    sizes = 1 + sum((runs >= 1 << bits).astype(int) for bits in range(7, 35, 7))
    ends = np.cumsum(sizes)
    coded = np.zeros(ends[-1], np.uint8)
    for byte in range(sizes.max()):
        has = sizes > byte
        more = sizes[has] > byte + 1
        coded[(ends - sizes)[has] + byte] = (runs[has] >> (7 * byte)) & 127 | more * 128
    return coded.tobytes()
