"""The images that morphometry.py draws."""

import itertools

import cv2
import numpy as np
import pytest
from measuring import rings

from myelin.fiber_numbers import legible_zoom, place_numbers
from myelin.fiber_overlay import MIN_PX, draw_overlay, scale_bar
from myelin.fibers import measure_fibers


@pytest.mark.parametrize("shape", [(1, 1), (5000, 1), (3, 4000)])
def test_images_of_slender_masks(tmp_path, shape):
    mask = np.zeros(shape, bool)
    draw_overlay(tmp_path / "x.png", measure_fibers(mask, 0.1), mask)
    assert min(cv2.imread(str(tmp_path / "x.png")).shape[:2]) >= MIN_PX


@pytest.mark.parametrize("width_um", [500.0, 1392 / 2.784, 0.05, 3.0, 99.99, 1e4])
def test_scale_bars_are_round_and_about_a_fifth(width_um):
    length = scale_bar(width_um)
    assert length <= width_um / 5 * (1 + 1e-9) < length * 2.5 * (1 + 1e-9)
    assert f"{length:.0e}"[0] in "125"


def small_fibers():
    """Return 100 fibers 9 pixels wide, side by side."""
    centers = [(x, y) for x in range(20, 120, 10) for y in range(20, 120, 10)]
    mask = rings((140, 140), centers, 2, 4.6)
    fibers = measure_fibers(mask, 0.1)
    assert len(fibers) == 100
    return fibers, mask


@pytest.mark.parametrize("zoom", [1, 2, 4])
def test_numbers_hide_no_other_and_lie_on_or_near_their_fibers(zoom):
    fibers, _ = small_fibers()
    placed = place_numbers(fibers, range(901, 1001), (zoom, zoom), (140 * zoom, 140 * zoom))
    boxes = [(n.x, n.y, 0.6 * n.size * len(n.text), 0.7 * n.size) for n in placed]
    for one, other in itertools.combinations(boxes, 2):
        apart = [abs(one[k] - other[k]) >= (one[k + 2] + other[k + 2]) / 2 for k in (0, 1)]
        assert any(apart), (one, other)
    if zoom >= legible_zoom(fibers, range(901, 1001)):
        assert len(placed) == 100 and not any(number.moved for number in placed)
    assert all(
        np.hypot(number.x - number.fiber_x, number.y - number.fiber_y) < 200 for number in placed
    )


def test_numbers_are_written_and_the_overlay_enlarged_for_them(tmp_path):
    fibers, mask = small_fibers()
    grey = np.full(mask.shape, 128, np.uint8)
    for name, numbers in (("plain", None), ("numbered", range(9001, 9101))):
        draw_overlay(tmp_path / f"{name}.png", fibers, mask, grey, numbers)
    plain, numbered = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("plain", "numbered"))
    assert numbered.shape[1] >= plain.shape[1]
    zoom = numbered.shape[1] / mask.shape[1]
    x, y = ((fibers.columns[name] + 0.5) * zoom for name in ("x_px", "y_px"))
    for x0, y0 in zip(x.astype(int), y.astype(int), strict=True):
        around = numbered[y0 - 8 : y0 + 9, x0 - 20 : x0 + 21].min(axis=2)
        assert np.count_nonzero(around == 255) > 30, "white digits"
        assert np.count_nonzero(around == 0) > 30, "with a black outline"


@pytest.mark.parametrize("grey", [0, 255])
def test_what_is_outside_is_striped(tmp_path, grey):
    mask = rings((100, 400), [(300, 50)], 20, 32)
    outside = np.zeros(mask.shape, bool)
    outside[:, :150] = True
    image = np.full(mask.shape, grey, np.uint8)
    draw_overlay(tmp_path / "x.png", measure_fibers(mask, 0.1), mask, image, outside=outside)
    drawn = cv2.imread(str(tmp_path / "x.png"))
    zoom = drawn.shape[1] // 400
    margin, tissue = drawn[: 100 * zoom, : 150 * zoom], drawn[: 100 * zoom, 150 * zoom : 200 * zoom]
    assert len(np.unique(margin)) == 2 and grey not in margin
    assert (tissue == grey).all()
