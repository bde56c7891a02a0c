"""Random crops of training pairs, which vary as microscopes of different laboratories do.

image, mask = random_crop(pairs, 0, 256, settings, augment=True, rng=rng)
"""

import dataclasses
import math

import cv2
import numpy as np

from myelin.network.preprocessing import Preprocessing, image_statistics
from myelin.train.pairs import Pairs

UPRIGHT_PROBABILITY = 0.4  # crops turned by right angles only, at their pair's scale, neither
# blurred nor noisy: in all others, interpolation removes the grain of real images
SCALE = (0.55, 2.0)  # relative to the pair's scale: covers the error of the scale in segmentation
GAMMA = (0.6, 1.6)
CONTRAST = (0.75, 1.35)  # factor on the normalised image: margins and cells shift statistics
MAX_BRIGHTNESS = 0.3  # shift, in standard deviations of the image
MAX_SHADING = 0.2  # uneven illumination: the gain varies by up to this over a crop
MAX_BLUR_PX = 1.5  # standard deviation of the Gaussian
AREA_SIGMA = 0.35  # of the Gaussian before shrinking, in pixels of the crop: like an area's mean
MAX_NOISE = 0.3  # standard deviation, in standard deviations of the image
MARGIN_PROBABILITY = 0.08  # crops that reach over the image's edge see a black or white margin


@dataclasses.dataclass
class CropPosition:
    """Where a crop lies in its image."""

    window: tuple[slice, slice]  # part of the image that holds the crop
    affine: np.ndarray  # (2, 3), from pixels of the crop to pixels of the window
    scale: float  # magnification, including the scale of the pair
    upright: bool  # turned by right angles only, at the scale of the pair
    margin: bool  # the crop may reach over the image's edge, where it sees a margin


def random_crop(
    pairs: Pairs,
    index: int,
    size: int,
    settings: Preprocessing,
    augment: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return one random crop of a pair: normalised float32 image and bool mask, (size, size).

    Without `augment` the crop is cut out at the scale of its pair. With it, one affine map turns,
    flips and scales; then grey values, illumination, sharpness and noise vary as between
    microscopes.
    """
    position = random_position(pairs.shapes[index], pairs.scales[index], size, augment, rng)
    image, mask = cut_out(pairs, index, size, position, rng)
    curve = np.arange(256.0)
    if augment:
        curve = 255 * (curve / 255) ** math.exp(rng.uniform(*np.log(GAMMA)))
    mean = settings.mean
    std = settings.std
    if settings.normalize == "image":
        mean, std = image_statistics(pairs.histograms[index], curve)
    image = ((curve[image] - mean) / std).astype(np.float32)
    return (vary(image, position.upright, rng) if augment else image), mask


def random_position(
    shape: tuple[int, int], scale: float, size: int, augment: bool, rng: np.random.Generator
) -> CropPosition:
    """Choose a crop of size x size pixels in an image of some shape and scale."""
    upright = not augment or rng.random() < UPRIGHT_PROBABILITY
    angle = 0.0
    flip = 1.0
    if augment:
        angle = math.pi / 2 * rng.integers(4)
        flip = rng.choice([-1.0, 1.0])
    if not upright:
        scale = scale * math.exp(rng.uniform(*np.log(SCALE)))
        angle = rng.uniform(0, 2 * math.pi)
    rows, cols = (int(n) for n in shape)
    reach = size / 2 / scale  # half the crop, in pixels of the image
    margin = augment and rng.random() < MARGIN_PROBABILITY
    inside = 0 if margin else reach
    y = rng.uniform(min(inside, rows / 2), max(rows - inside, rows / 2))
    x = rng.uniform(min(inside, cols / 2), max(cols - inside, cols / 2))
    if upright:  # whole pixels: at scale 1 nothing is interpolated
        y = round(y)
        x = round(x)
    half = math.ceil(reach * (1.5 if angle else 1)) + 2
    top = max(int(y) - half, 0)
    left = max(int(x) - half, 0)
    cos = math.cos(angle) / scale
    sin = math.sin(angle) / scale
    centre = (size - 1) / 2
    affine = np.array([[flip * cos, -sin, 0], [flip * sin, cos, 0]])
    affine[:, 2] = np.array([x - 0.5 - left, y - 0.5 - top]) - affine[:, :2] @ [centre, centre]
    window = np.s_[top : int(y) + half, left : int(x) + half]
    return CropPosition(window, affine, scale, upright, margin)


def cut_out(
    pairs: Pairs, index: int, size: int, position: CropPosition, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return image (uint8) and mask (bool) of a crop, (size, size)."""

    def warp(source: np.ndarray, border: int, value: int = 0) -> np.ndarray:
        # WARP_INVERSE_MAP: from crop to image, so nothing is interpolated twice.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        affine = position.affine
        return cv2.warpAffine(source, affine, (size, size), None, flags, border, value)

    border = cv2.BORDER_CONSTANT if position.margin else cv2.BORDER_REFLECT_101
    image = pairs.image(index, position.window)
    mask = pairs.mask(index, position.window)
    grey = 255 if position.margin and rng.random() < 0.3 else 0
    if position.scale < 0.8:  # a linear sample of every second pixel would alias
        sigma = AREA_SIGMA / position.scale
        image = cv2.GaussianBlur(image, (0, 0), sigma)
        mask = cv2.GaussianBlur(mask, (0, 0), sigma)
    return warp(image, border, grey), warp(mask, border) > 127


def vary(image: np.ndarray, upright: bool, rng: np.random.Generator) -> np.ndarray:
    """Vary illumination, contrast and brightness, and unless upright sharpness and noise.

    The image, normalised float32 (size, size), may be changed in place.
    """
    size = len(image)
    field = rng.uniform(-MAX_SHADING, MAX_SHADING, (3, 3)).astype(np.float32)
    image *= 1 + cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    if not upright and rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, MAX_BLUR_PX))
    image *= math.exp(rng.uniform(*np.log(CONTRAST)))
    image += rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    if not upright and rng.random() < 0.5:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        image += rng.uniform(0, MAX_NOISE) * noise
    return image
