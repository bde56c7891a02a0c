"""What `report.html` holds of each image: a picture, and which fiber each of its pixels belongs to.

Both are as large as the image, or smaller in large studies, so that the page stays one that a
browser opens.
"""

import base64

import cv2
import numpy as np

from myelin.pixels.regions import row_bands
from myelin.report.axes import ground

# Pixels of all pictures together: about 60 MB of page. 100 frames of 1040 x 1392 have their full
# size, 2,000 get 320 x 240 each.
ALL_PIXELS = 150_000_000
MAX_SIDE = 4096
JPEG_QUALITY = 80
NEAREST = cv2.INTER_NEAREST_EXACT


def shown_size(shape, images):
    """Return width and height of the picture of an image of `shape` in a study of `images`."""
    rows, cols = shape
    zoom = min(1, MAX_SIDE / max(shape), (ALL_PIXELS / images / (rows * cols)) ** 0.5)
    return max(1, round(cols * zoom)), max(1, round(rows * zoom))


def encode_picture(fibers, myelin, image, images, outside=None):
    """Return what the page needs to show an image.

    Parameters
    ----------
    fibers : fibers.Fibers
        All of them, those left out too.
    myelin : bool array, (rows, cols)
        Shown where there is no image.
    image : uint8 array, (rows, cols), or None
    images : int
        How many the page holds.
    outside : bool array, (rows, cols), optional
        What is no tissue.

    Returns
    -------
    dict
        JSON values: `width`, `height`, `picture`, a data URI, and `runs`, see `encode_runs`.
    """
    width, height = shown_size(myelin.shape, images)
    grey = ground(image, myelin)
    pixels = [fibers.labels, fibers.axons]
    pixels += [] if outside is None else [outside]
    if (height, width) != myelin.shape:
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    values = pixel_values(*(sample(part, width, height) for part in pixels))
    _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return {
        "width": width,
        "height": height,
        "picture": "data:image/jpeg;base64," + to_base64(jpeg.tobytes()),
        "runs": to_base64(encode_runs(values)),
    }


def sample(labels, width, height):
    """Return an image of numbers as one of another size, each pixel that of the nearest.

    Parameters
    ----------
    labels : int or bool array, or runs.Runs, (rows, cols)
    width, height : int

    Returns
    -------
    array, (height, width)
    """
    if (height, width) == labels.shape:
        return labels[:]
    places = (np.arange(length, dtype=np.int32)[None] for length in labels.shape)
    rows, cols = (
        cv2.resize(part, (length, 1), interpolation=NEAREST)[0]
        for part, length in zip(places, (height, width), strict=True)
    )
    parts = []
    for band in row_bands(labels.shape):
        inside = (rows >= band.start) & (rows < band.stop)
        parts.append(labels[band][rows[inside] - band.start][:, cols])
    return np.concatenate(parts)


def to_base64(content):
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode("ascii")


def pixel_values(labels, axons, outside=None):
    """Return twice the place of each pixel's fiber in the table, from 2, plus 1 on its axon.

    Parameters
    ----------
    labels, axons : int32 arrays, (rows, cols)
        As in `fibers.Fibers`.
    outside : array, (rows, cols), optional
        Not 0 where no tissue is.

    Returns
    -------
    int32 array, (rows, cols)
        Where no fiber is, 1 outside of the tissue and 0 in it.
    """
    values = 2 * labels + (axons > 0)
    return values if outside is None else np.where((values == 0) & (outside > 0), 1, values)


def encode_runs(values):
    """Return runs of equal pixels, row by row: value and length of each, as variable integers.

    An integer is written in bytes of 7 bits, the lowest first, with the 8th bit set in all but its
    last (LEB128). No run goes beyond its row.

    Parameters
    ----------
    values : int array, (rows, cols)

    Returns
    -------
    bytes
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
