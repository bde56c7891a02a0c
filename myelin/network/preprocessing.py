"""What a network is given: how an image becomes its input."""

import dataclasses
import math

import numpy as np

from unet import DEFAULT_SIZE


@dataclasses.dataclass
class Preprocessing:
    """How images are prepared for a network, kept in its model file as JSON.

    Attributes
    ----------
    frame : "resize" or "native"
        Resize every image to rows x cols, or take it at its own size.
    rows, cols : int or None
        Frame size for "resize".
    myelin : "as it is" or "bright"
        Whether the network knows images as they are, or with dark myelin inverted.
    normalize : "dataset", "image" or "test set"
        Subtract `mean` and divide by `std` of the training set; or by those of the image itself;
        or by those of all test images (files of 2018, which do not say theirs).
    mean, std : float or None
        Grey values, for "dataset".
    pixel_size_um : float or None
        µm per pixel that the network was trained at, if known.
    fiber_px : float or None
        Typical width of a fiber in the network's pixels that it was trained at; None if unknown.
    threshold : float
        Probability from which a pixel is myelin.
    training : dict
        The training options, with which extra_training.py goes on.
    provenance : dict
        What made the file.
    """

    frame: str = "resize"
    rows: int | None = DEFAULT_SIZE
    cols: int | None = DEFAULT_SIZE
    myelin: str = "as it is"
    normalize: str = "dataset"
    mean: float | None = None
    std: float | None = None
    pixel_size_um: float | None = None
    fiber_px: float | None = None
    threshold: float = 0.5
    training: dict = dataclasses.field(default_factory=dict)
    provenance: dict = dataclasses.field(default_factory=dict)

    def earlier_runs(self):
        """Return the provenance of this model, then of those that it came from."""
        provenance = dict(self.provenance)
        earlier = provenance.pop("earlier", [])
        # A file may say anything.
        return [provenance, *(earlier if isinstance(earlier, list) else [])]


def resize(image, rows, cols):
    """Resize uint8 or float32 (rows, cols) bilinearly, half-pixel centres; keeps the dtype."""
    if image.shape == (rows, cols):
        return image
    import cv2

    resized = cv2.resize(image.astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    return np.rint(resized).astype(np.uint8) if image.dtype == np.uint8 else resized


def magnify(frame, scale):
    """Resample a float32 frame (rows, cols) by a factor, to one pixel at least."""
    if scale == 1:
        return frame
    import cv2

    size = tuple(max(round(length * scale), 1) for length in frame.shape[::-1])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # means of areas do not alias
    return cv2.resize(frame, size, interpolation=how)


def histogram(image):
    """Return how many pixels of a uint8 image have each of the 256 grey values."""
    # Row by row of a large image, as the values are counted as 64-bit numbers.
    step = max(2**20 // max(image.shape[1], 1), 1)
    parts = (image[row : row + step].ravel() for row in range(0, len(image), step))
    return sum((np.bincount(part, minlength=256) for part in parts), np.zeros(256, np.int64))


def image_statistics(counts, curve=None):
    """Return mean and standard deviation of a image's content from its histogram.

    Pixels of exactly 0 and 255 are left out (unless all are): black or white margins and saturated
    spots say nothing of the tissue's grey values.

    Parameters
    ----------
    counts : int array, (256,)
    curve : float array, (256,), optional
        What each grey value has become, such as by a gamma curve.
    """
    inner = np.where([0, *[1] * 254, 0], counts, 0)
    weights = inner if inner.any() else counts
    values = np.arange(256) if curve is None else curve
    mean = np.average(values, weights=weights)
    return mean, max(np.sqrt(np.average((values - mean) ** 2, weights=weights)), 1.0)


def dataset_statistics(images, settings):
    """Return mean and standard deviation over images at network size, as the original took them.

    Parameters
    ----------
    images : iterable of uint8 arrays, (rows, cols)
    settings : Preprocessing
    """
    count, total, squares = 0, 0.0, 0.0
    for image in images:
        if settings.frame == "resize":
            image = resize(image, settings.rows, settings.cols)
        image = image.astype(np.float64)
        count, total, squares = count + image.size, total + image.sum(), squares + (image**2).sum()
    mean = total / count
    return mean, max(math.sqrt(max(squares / count - mean**2, 0)), 1.0)


def normalize(image, settings, dark=False):
    """Return a uint8 image (rows, cols) as the network's float32 input, inverted where dark."""
    return replace_greys(image, network_greys(image, settings, dark))


def network_greys(image, settings, dark=False):
    """Return what each grey value of an image is for the network, float32 (256,)."""
    mean, std = settings.mean, settings.std
    if settings.normalize == "image":
        counts = histogram(image)
        mean, std = image_statistics(counts[::-1] if dark else counts)
    greys = (np.arange(256, dtype=np.float32) - np.float32(mean)) / np.float32(std)
    return greys[::-1].copy() if dark else greys


def replace_greys(image, greys):
    """Return an image (rows, cols) with each of its 256 grey values replaced, float32."""
    import cv2

    return cv2.LUT(image, greys)
