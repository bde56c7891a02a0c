"""Random crops of training pairs, which vary as laboratories' microscopes do.

image, mask = random_crop(pairs, 0, 256, settings, augment=True, rng=rng)
"""

import dataclasses
import math

import cv2
import numpy as np

from myelin.network.preprocessing import image_statistics

UPRIGHT_PROBABILITY = 0.5  # crops turned by right angles only, at their pair's scale, neither
# blurred nor noisy: interpolation takes from the others the grain of images as they come
SCALE = (0.6, 1.8)  # magnification around the pair's: what one scale in segmenting must hit
GAMMA = (0.6, 1.6)
CONTRAST = (0.75, 1.35)  # factor on the normalised image: margins and cells shift statistics
BRIGHTNESS = 0.3  # shift, in standard deviations of the image
SHADING = 0.2  # uneven illumination: gain varies by up to this over a crop
MAX_BLUR_PX = 1.5  # standard deviation of the Gaussian
AREA_SIGMA = 0.35  # of the Gaussian before shrinking, in pixels of the crop: like an area's mean
MAX_NOISE = 0.3  # standard deviation, in standard deviations of the image
MARGIN_PROBABILITY = 0.08  # crops that reach over the image's edge see a black or white margin


@dataclasses.dataclass
class View:
    """Where a crop lies in its image.

    Attributes
    ----------
    window : tuple of slice
        The part of the image that holds the crop.
    affine : float array, (2, 3)
        From the pixels of the crop to those of the window.
    scale : float
        Magnification, that of the pair included.
    upright : bool
        Turned by right angles only, at the scale of the pair.
    margin : bool
        The crop may reach over the image's edge, where it sees a margin.
    """

    window: tuple
    affine: np.ndarray
    scale: float
    upright: bool
    margin: bool


def random_crop(pairs, index, size, settings, augment, rng):
    """Return one random crop of a pair.

    Without `augment` the crop is cut as it is, at the scale of its pair. With it, one affine map
    turns, flips and scales; then grey values, illumination, sharpness and noise vary as between
    microscopes.

    Parameters
    ----------
    pairs : pairs.Pairs
    index : int
        Of the pair.
    size : int
        Rows and columns of the crop.
    settings : preprocessing.Preprocessing
    augment : bool
    rng : numpy.random.Generator

    Returns
    -------
    image : float32 array, (size, size)
        Normalised.
    mask : bool array, (size, size)
    """
    view = random_view(pairs.shapes[index], pairs.scales[index], size, augment, rng)
    image, mask = cut(pairs, index, size, view, rng)
    curve = np.arange(256.0)
    if augment:
        curve = 255 * (curve / 255) ** math.exp(rng.uniform(*np.log(GAMMA)))
    mean, std = settings.mean, settings.std
    if settings.normalize == "image":
        mean, std = image_statistics(pairs.histograms[index], curve)
    image = ((curve[image] - mean) / std).astype(np.float32)
    return (vary(image, view.upright, rng) if augment else image), mask


def random_view(shape, scale, size, augment, rng):
    """Choose a crop of size x size pixels in an image; return its `View`.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    scale : float
        Magnification of its pair; crops that are not upright vary around it.
    size : int
    augment : bool
    rng : numpy.random.Generator
    """
    upright = not augment or rng.random() < UPRIGHT_PROBABILITY
    angle, flip = 0.0, 1.0
    if augment:
        angle, flip = math.pi / 2 * rng.integers(4), rng.choice([-1.0, 1.0])
    if not upright:
        scale = scale * math.exp(rng.uniform(*np.log(SCALE)))
        angle = rng.uniform(0, 2 * math.pi)
    rows, cols = (int(n) for n in shape)
    reach = size / 2 / scale  # half the crop, in pixels of the image
    margin = augment and rng.random() < MARGIN_PROBABILITY
    inside = 0 if margin else reach
    y = rng.uniform(min(inside, rows / 2), max(rows - inside, rows / 2))
    x = rng.uniform(min(inside, cols / 2), max(cols - inside, cols / 2))
    if upright:
        y, x = round(y), round(x)  # whole pixels: at scale 1 nothing is interpolated
    half = math.ceil(reach * (1.5 if angle else 1)) + 2
    top, left = max(int(y) - half, 0), max(int(x) - half, 0)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    centre = (size - 1) / 2
    affine = np.array([[flip * cos, -sin, 0], [flip * sin, cos, 0]])
    affine[:, 2] = np.array([x - 0.5 - left, y - 0.5 - top]) - affine[:, :2] @ [centre, centre]
    window = np.s_[top : int(y) + half, left : int(x) + half]
    return View(window, affine, scale, upright, margin)


def cut(pairs, index, size, view, rng):
    """Return the crop of image (uint8) and mask (bool) that a view shows."""

    def warp(source, border, value=0):
        # From crop to image (WARP_INVERSE_MAP), so nothing is interpolated twice.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            source, view.affine, (size, size), flags=flags, borderMode=border, borderValue=value
        )

    border = cv2.BORDER_CONSTANT if view.margin else cv2.BORDER_REFLECT_101
    image, mask = pairs.image(index, view.window), pairs.mask(index, view.window)
    grey = 255 if view.margin and rng.random() < 0.3 else 0
    # Shrinking needs the area's mean; a linear sample of every second pixel would alias.
    if view.scale < 0.8:
        image, mask = (
            cv2.GaussianBlur(part, (0, 0), AREA_SIGMA / view.scale) for part in (image, mask)
        )
    return warp(image, border, grey), warp(mask, border) > 127


def vary(image, upright, rng):
    """Vary illumination, contrast and brightness; sharpness and noise only of what is not upright.

    Parameters
    ----------
    image : float32 array, (size, size)
        Normalised; changed in place.
    upright : bool
    rng : numpy.random.Generator
    """
    size = len(image)
    field = rng.uniform(-SHADING, SHADING, (3, 3)).astype(np.float32)
    image *= 1 + cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    if not upright and rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, MAX_BLUR_PX))
    image *= math.exp(rng.uniform(*np.log(CONTRAST)))
    image += rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    if not upright and rng.random() < 0.5:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        image += rng.uniform(0, MAX_NOISE) * noise
    return image
