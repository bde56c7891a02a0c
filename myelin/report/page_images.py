"""Image data of `report.html`: a picture of each image, and the outlines of its fibers.

In large studies the pictures are smaller than the images, so that browsers can open the page.
"""

import base64

import cv2
import numpy as np

from myelin.measure.fibers import Fibers
from myelin.measure.nerve import line_around
from myelin.pixels.labels import LabelImage, row_bands
from myelin.pixels.outlines import Polygon, trace
from myelin.report.axes import NERVE_RGB, background

# Of all pictures together, about 60 MB of page: 100 images of 1040 x 1392 pixels have their full
# size, 2,000 images 320 x 240 each.
MAX_PIXELS = 150_000_000
MAX_SIDE = 4096
JPEG_QUALITY = 80


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
    data URI), `fibers` (SVG paths of sheath and axon), `boxes` (x, y, width, height of each fiber)
    and `outside` (SVG path), all in pixels of the picture.
    """
    rows, cols = myelin.shape
    zoom = min(1, MAX_SIDE / max(rows, cols), (MAX_PIXELS / images / (rows * cols)) ** 0.5)
    width, height = max(1, round(cols * zoom)), max(1, round(rows * zoom))
    grey = background(myelin if image is None else image)
    if (height, width) != myelin.shape:
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    if nerve is not None:
        grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        grey[line_around(sample(nerve, width, height).astype(np.uint8))] = NERVE_RGB[::-1]
    _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    labels = sample(fibers.labels, width, height)
    outlines, axons = trace(labels), trace(sample(fibers.axons, width, height))
    boxes = np.zeros((len(fibers) + 1, 4), int)
    found = LabelImage.from_array(labels).boxes()
    boxes[: len(found)] = found[:, :4]
    shape = {"width": width, "height": height, "boxes": boxes[1:].tolist(), "outside": ""}
    if outside is not None:
        beyond = sample(outside, width, height) & (labels == 0)
        shape["outside"] = svg_path(trace(beyond).get(1, []))
    return shape | {
        "picture": data_uri("image/jpeg", jpeg.tobytes()),
        "fibers": [
            svg_path(outlines.get(number, []) + axons.get(number, []))
            for number in range(1, len(fibers) + 1)
        ],
    }


def data_uri(media_type: str, content: bytes) -> str:
    """Return the address of embedded content."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def svg_path(polygons: list[Polygon]) -> str:
    """Return rings of horizontal and vertical edges as an SVG path.

    >>> svg_path([[np.array([[3, 0], [3, 2], [0, 2], [0, 0]])]])
    'M3 0v2h-3v-2z'
    """
    parts = []
    for ring in (ring for polygon in polygons for ring in polygon):
        steps = np.diff(ring, axis=0).tolist()
        lines = "".join(f"h{dx}" if dx else f"v{dy}" for dx, dy in steps)
        parts.append(f"M{ring[0, 0]} {ring[0, 1]}{lines}z")
    return "".join(parts)


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
