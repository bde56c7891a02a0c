"""The images that morphometry.py draws."""

import cv2
import numpy as np
import pytest

from myelin.fiber_overlay import MIN_INCHES, draw_overlay, scale_bar
from myelin.fibers import measure_fibers
from myelin.plots import DPI


@pytest.mark.parametrize("shape", [(1, 1), (5000, 1), (3, 4000)])
def test_images_of_slender_masks(tmp_path, shape):
    mask = np.zeros(shape, bool)
    draw_overlay(tmp_path / "x.png", measure_fibers(mask, 0.1), mask)
    assert min(cv2.imread(str(tmp_path / "x.png")).shape[:2]) >= MIN_INCHES * DPI - 1


@pytest.mark.parametrize("width_um", [500.0, 1392 / 2.784, 0.05, 3.0, 99.99, 1e4])
def test_scale_bars_are_round_and_about_a_fifth(width_um):
    length = scale_bar(width_um)
    assert length <= width_um / 5 * (1 + 1e-9) < length * 2.5 * (1 + 1e-9)
    assert f"{length:.0e}"[0] in "125"
