"""The overlay for checking a mask: the image with its myelin tinted and outlined."""

import math
from pathlib import Path

import cv2
import numpy as np

from myelin.images.image import write_image

OVERLAY_RGB = (230, 159, 0)  # orange of Okabe and Ito's colour-blind-safe palette
MAX_OVERLAY_PX = 2**26  # 8192 x 8192; overlays of larger images are made smaller by a whole factor


def write_overlay(path: Path, image: np.ndarray, mask: np.ndarray) -> None:
    """Write the overlay of an image, uint8 (rows, cols), and its mask, bool (rows, cols)."""
    write_image(path, overlay(*reduced(image, mask)), fsync=True)


def reduced(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its mask, reduced if they are too large for common programs."""
    step = math.ceil(math.sqrt(image.size / MAX_OVERLAY_PX))
    if step == 1:
        return image, mask
    size = image.shape[1] // step, image.shape[0] // step
    share = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), share > 0


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the image with its myelin tinted and outlined, uint8 RGB (rows, cols, 3)."""
    greys = np.arange(256)[:, None]
    tinted = np.rint(0.65 * greys + 0.35 * np.array(OVERLAY_RGB)).astype(np.uint8)
    mask = mask.astype(np.uint8)
    canvas = cv2.merge([image] * 3)
    cv2.copyTo(cv2.applyColorMap(image, tinted[:, None]), mask, canvas)
    outline = mask - cv2.erode(mask, np.ones((3, 3), np.uint8))
    canvas[outline > 0] = OVERLAY_RGB
    return canvas
