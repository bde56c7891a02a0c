"""Synthetic images that several test files share."""

import cv2
import numpy as np


def fiber_image(seed, rows=80, cols=96, myelin=200, rest=60):
    """Draw rings of random place and size; return the image and its exact mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((rows, cols), np.uint8)
    for _ in range(6):
        centre = (int(rng.integers(12, cols - 12)), int(rng.integers(12, rows - 12)))
        cv2.circle(mask, centre, int(rng.integers(6, 11)), 255, 3)
    image = np.where(mask > 0, myelin, rest) + rng.normal(0, 4, mask.shape)
    return np.clip(image, 1, 254).astype(np.uint8), mask
