"""Training pairs for the network: whole frames, or random crops that vary as microscopes do.

    pairs = Pairs(as_bright=True)
    image, mask = random_crop(pairs, 0, 256, settings, augment=True, rng=rng)

Used by train.py and extra_training.py.
"""

import math

import cv2
import numpy as np

from myelin import preprocessing
from myelin.cli import UserError, progress
from myelin.naming import NPYDATA
from myelin.packed import load_array, load_train

# Augmentation of crops. Ranges cover what laboratories' microscopes differ by.
UPRIGHT_PROBABILITY = 0.5  # crops turned by right angles only, neither scaled, blurred nor noisy:
# interpolation takes from the others the grain of images as they come
SCALE = (0.6, 2.0)  # magnification; pixel sizes of 0.05 to 0.3 µm around those of a training set
GAMMA = (0.6, 1.6)
CONTRAST = (0.75, 1.35)  # factor on the normalised image: margins and cells shift statistics
BRIGHTNESS = 0.3  # shift, in standard deviations of the image
SHADING = 0.2  # uneven illumination: gain varies by up to this over a crop
MAX_BLUR_PX = 1.5  # standard deviation of the Gaussian
MAX_NOISE = 0.3  # standard deviation, in standard deviations of the image
MARGIN_PROBABILITY = 0.08  # crops that reach over the image's edge see a black or white margin


class Pairs:
    """The packed training pairs, one at a time.

    Parameters
    ----------
    as_bright : bool
        Invert the images whose myelin is darker than the rest, as their masks tell, so that one
        network serves both; else take all as they are, as the original did.
    """

    def __init__(self, as_bright):
        self.images, self.masks, self.shapes = load_train()
        self.ids = [str(name) for name in load_array(NPYDATA / "imgs_id_train.npy")]
        if len(self.ids) != len(self.images):
            raise UserError(f"{NPYDATA}/imgs_id_train.npy: does not fit, run python data.py again")
        self.dark, self.histograms = [], []
        for index in progress(range(len(self)), "reading pairs"):
            self.dark.append(as_bright and self.is_dark(index))
            self.histograms.append(preprocessing.histogram(self.image(index)))

    def __len__(self):
        return len(self.images)

    def is_dark(self, index):
        """Whether the myelin of a pair is darker than the rest, margins left out."""
        rows, cols = self.shapes[index]
        image = np.array(self.images.mapped(index)[:rows, :cols])
        mask = self.masks.mapped(index)[:rows, :cols] > 0
        content = (image > 0) & (image < 255)
        if not (mask & content).any():  # saturated myelin
            content[:] = True
        if not (mask & content).any() or not (~mask & content).any():
            return False
        return bool(image[mask & content].mean() < image[~mask & content].mean())

    def all_images(self):
        """Yield every image, uint8 (rows, cols)."""
        return map(self.image, progress(range(len(self)), "averaging"))

    def image(self, index, window=np.s_[:, :]):
        """Return the image, uint8 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        image = self.images.mapped(index)[:rows, :cols][window]
        return 255 - image if self.dark[index] else np.array(image)

    def mask(self, index, window=np.s_[:, :]):
        """Return the mask, uint8 0/255 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        return np.array(self.masks.mapped(index)[:rows, :cols][window])


def random_crop(pairs, index, size, settings, augment, rng):
    """Return one random crop of a pair: float32 (size, size) image and 0..1 mask.

    Without `augment` the crop is cut as it is. With it, one affine map turns, flips and scales;
    then grey values, illumination, sharpness and noise vary as between microscopes.
    """
    upright = not augment or rng.random() < UPRIGHT_PROBABILITY
    scale, angle, flip = 1.0, 0.0, 1.0
    if augment:
        angle, flip = math.pi / 2 * rng.integers(4), rng.choice([-1.0, 1.0])
    if not upright:
        scale = math.exp(rng.uniform(*np.log(SCALE)))
        angle = rng.uniform(0, 2 * math.pi)
    rows, cols = (int(n) for n in pairs.shapes[index])
    reach = size / 2 / scale  # half the crop, in pixels of the image
    margin = augment and rng.random() < MARGIN_PROBABILITY
    inside = 0 if margin else reach
    y = rng.uniform(min(inside, rows / 2), max(rows - inside, rows / 2))
    x = rng.uniform(min(inside, cols / 2), max(cols - inside, cols / 2))
    if upright:
        y, x = round(y), round(x)  # whole pixels: nothing is interpolated
    half = math.ceil(reach * (1.5 if angle else 1)) + 2
    top, left = max(int(y) - half, 0), max(int(x) - half, 0)
    window = np.s_[top : int(y) + half, left : int(x) + half]
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    centre = (size - 1) / 2
    # Maps crop pixels to image pixels (WARP_INVERSE_MAP), so nothing is interpolated twice.
    affine = np.array([[flip * cos, -sin, 0], [flip * sin, cos, 0]])
    affine[:, 2] = np.array([x - 0.5 - left, y - 0.5 - top]) - affine[:, :2] @ [centre, centre]

    def warp(source, how, border, value=0):
        flags = how | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            source, affine, (size, size), flags=flags, borderMode=border, borderValue=value
        )

    border = cv2.BORDER_CONSTANT if margin else cv2.BORDER_REFLECT_101
    image, mask = pairs.image(index, window), pairs.mask(index, window)
    grey = 255 if margin and rng.random() < 0.3 else 0
    # Shrinking needs the area's mean; a linear sample of every second pixel would alias.
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    image = warp(image, cv2.INTER_LINEAR, border, grey)
    mask = warp(mask, cv2.INTER_LINEAR, border) > 127
    curve = np.arange(256.0)
    if augment:
        curve = 255 * (curve / 255) ** math.exp(rng.uniform(*np.log(GAMMA)))
    mean, std = settings.mean, settings.std
    if settings.normalize == "image":
        mean, std = preprocessing.image_statistics(pairs.histograms[index], curve)
    image = ((curve[image] - mean) / std).astype(np.float32)
    if not augment:
        return image, mask
    field = rng.uniform(-SHADING, SHADING, (3, 3)).astype(np.float32)
    image *= 1 + cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    if not upright and rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, MAX_BLUR_PX))
    image *= math.exp(rng.uniform(*np.log(CONTRAST)))
    image += rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    if not upright and rng.random() < 0.5:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        image += rng.uniform(0, MAX_NOISE) * noise
    return image, mask
