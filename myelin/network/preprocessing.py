"""Turn an image into the input of a network."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from unet import DEFAULT_SIZE


@dataclasses.dataclass
class Preprocessing:
    """How images are prepared for a network, kept in its model file as JSON.

    Files of 2018 lack the statistics of their training set: `normalize` is then "test set".
    """

    frame: str = "resize"  # or "native": every image keeps its own size
    rows: int | None = DEFAULT_SIZE  # size of the network input, for "resize"
    cols: int | None = DEFAULT_SIZE
    myelin: str = "as it is"  # or "bright": images with dark myelin are inverted
    normalize: str = "dataset"  # or "image", "test set": whose mean and deviation are used
    mean: float | None = None  # grey values, for "dataset"
    std: float | None = None
    pixel_size_um: float | None = None  # µm per pixel of the training images, if known
    fiber_px: float | None = None  # typical fiber width in training, pixels of the network input
    threshold: float = 0.5  # probability from which a pixel is myelin
    training: dict = dataclasses.field(default_factory=dict)  # options of the training
    provenance: dict = dataclasses.field(default_factory=dict)  # how the file was made

    def earlier_runs(self) -> list:
        """Return the provenance of this model, then of those that it came from."""
        provenance = dict(self.provenance)
        earlier = provenance.pop("earlier", [])
        return [provenance, *earlier]


def resize(image: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Resize uint8 or float32 (rows, cols) bilinearly, half-pixel centres; keep the dtype."""
    if image.shape == (rows, cols):
        return image
    import cv2

    resized = cv2.resize(image.astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    return np.rint(resized).astype(np.uint8) if image.dtype == np.uint8 else resized


def magnify(frame: np.ndarray, scale: float) -> np.ndarray:
    """Resample float32 (rows, cols) by a factor, to at least one pixel."""
    if scale == 1:
        return frame
    import cv2

    size = tuple(max(round(length * scale), 1) for length in frame.shape[::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # means of areas do not alias
    return cv2.resize(frame, size, interpolation=method)


def histogram(image: np.ndarray) -> np.ndarray:
    """Return how many pixels of a uint8 image have each of the 256 grey values, int64 (256,)."""
    # In parts, since bincount converts its input to 64-bit integers.
    step = max(2**20 // max(image.shape[1], 1), 1)
    parts = (image[row : row + step].ravel() for row in range(0, len(image), step))
    return sum((np.bincount(part, minlength=256) for part in parts), np.zeros(256, np.int64))


def image_statistics(counts: np.ndarray, curve: np.ndarray | None = None) -> tuple[float, float]:
    """Return mean and standard deviation (at least 1) of an image's content.

    Pixels of exactly 0 and 255 are left out (unless all are): black or white margins and saturated
    spots do not belong to the tissue.

    Parameters
    ----------
    counts : int array, (256,)
        The image's histogram.
    curve : float array, (256,), optional
        New value of each grey value, such as by a gamma curve.
    """
    inner = np.where([0, *[1] * 254, 0], counts, 0)
    weights = inner if inner.any() else counts
    values = np.arange(256) if curve is None else curve
    mean = np.average(values, weights=weights)
    return mean, max(np.sqrt(np.average((values - mean) ** 2, weights=weights)), 1.0)


def dataset_statistics(
    images: Iterable[np.ndarray], settings: Preprocessing
) -> tuple[float, float]:
    """Return mean and standard deviation over uint8 images at network size, as in 2018."""
    count = 0
    total = squares = 0.0
    for image in images:
        if settings.frame == "resize":
            image = resize(image, settings.rows, settings.cols)
        image = image.astype(np.float64)
        count += image.size
        total += image.sum()
        squares += (image**2).sum()
    mean = total / count
    return mean, max(math.sqrt(max(squares / count - mean**2, 0)), 1.0)


def normalize(image: np.ndarray, settings: Preprocessing, dark: bool = False) -> np.ndarray:
    """Return a uint8 image (rows, cols) as the network's float32 input, inverted if dark."""
    return replace_greys(image, network_greys(image, settings, dark))


def network_greys(image: np.ndarray, settings: Preprocessing, dark: bool = False) -> np.ndarray:
    """Return the network's input value for each grey value of an image, float32 (256,)."""
    mean = settings.mean
    std = settings.std
    if settings.normalize == "image":
        counts = histogram(image)
        mean, std = image_statistics(counts[::-1] if dark else counts)
    greys = (np.arange(256, dtype=np.float32) - np.float32(mean)) / np.float32(std)
    return greys[::-1].copy() if dark else greys


def replace_greys(image: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """Return an image (rows, cols) with each of its 256 grey values replaced, float32."""
    import cv2

    return cv2.LUT(image, greys)
