"""Measures of regions, against scikit-image's."""

import cv2
import numpy as np
import pytest

from myelin.pixels import regions
from myelin.pixels.regions import label_regions


def test_perimeter_equals_scikit_image_on_noise():
    from skimage.measure import regionprops

    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(150, 170)), (0, 0), 2) > 0.05
    labels, _ = label_regions(noise, 4)
    props = regionprops(labels)
    lengths = regions.perimeters(labels, len(props))
    assert lengths == pytest.approx([region.perimeter for region in props])
