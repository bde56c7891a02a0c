"""Margins are found, whatever blank they are; vessels, holes and backgrounds are none."""

import cv2
import numpy as np
import pytest

from myelin.measure.tissue import find_tissue

SHAPE = (400, 520)


@pytest.fixture(scope="module")
def nerve():
    """An image of touching fibers on a textured background, and its mask."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, np.uint8)
    for row in range(-1, 12):
        for col in range(-1, 15):
            centre = (38 * col + 19 * (row % 2), 37 * row)
            cv2.circle(mask, centre, int(rng.integers(12, 17)), 1, 5)
    image = np.where(mask > 0, 190, 70) + cv2.GaussianBlur(rng.normal(0, 40, SHAPE), (5, 5), 0)
    return np.clip(image, 12, 243).astype(np.uint8), mask > 0


def jpeg(image, quality):
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)


ROWS, COLS = np.mgrid[: SHAPE[0], : SHAPE[1]]
ACROSS, DOWN = COLS - SHAPE[1] / 2, ROWS - SHAPE[0] / 2
MARGINS = {
    "left fifth": COLS < 104,
    "lower two fifths": ROWS >= 240,
    "two tiles": ((COLS < 150) & (ROWS < 180)) | ((COLS > 400) & (ROWS > 250)),
    "side tile": (COLS < 160) & (ROWS > 120) & (ROWS < 300),
    "frame": (ROWS < 20) | (ROWS >= 380) | (COLS < 24) | (COLS >= 500),
    "aperture": np.hypot(ACROSS, DOWN) > 225,
    "turned": (abs(0.9 * ACROSS + 0.43 * DOWN) > 210) | (abs(0.9 * DOWN - 0.43 * ACROSS) > 160),
}


@pytest.mark.parametrize("level", [0, 255, 128])
@pytest.mark.parametrize("shape", MARGINS)
def test_blank_margins_are_no_tissue(nerve, shape, level):
    image, mask = nerve
    outside = MARGINS[shape]
    tissue = find_tissue(np.where(outside, np.uint8(level), image), mask & ~outside)
    assert np.count_nonzero(tissue == outside) < 0.01 * outside.size


@pytest.mark.parametrize("level", [0, 255, 128])
def test_hot_pixels_hide_no_margin(nerve, level):
    image, mask = nerve
    outside = cv2.resize(MARGINS["left fifth"].view(np.uint8), None, fx=4, fy=4) > 0
    image, mask = (cv2.resize(part.view(np.uint8), outside.shape[::-1]) for part in (image, mask))
    painted = np.where(outside, np.uint8(level), image)
    hot = np.random.default_rng(2).integers(painted.size, size=painted.size // 5000)
    painted.flat[hot] ^= 255
    tissue = find_tissue(painted, (mask > 0) & ~outside)
    assert np.count_nonzero(tissue == outside) < 0.01 * outside.size


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("shape", ["left fifth", "lower two fifths", "two tiles", "aperture"])
def test_margins_may_be_nearly_blank(nerve, shape, level):
    image, mask = nerve
    outside = MARGINS[shape]
    painted = np.where(outside, np.uint8(level), image)
    rng = np.random.default_rng(1)
    noise = np.where(outside, rng.integers(-3, 4, SHAPE), 0)
    noisy = np.clip(painted.astype(int) + noise, 0, 255).astype(np.uint8)
    for sample in (jpeg(painted, 75), jpeg(painted, 90), noisy):
        tissue = find_tissue(sample, mask & ~outside)
        assert tissue is not None
        assert tissue.mean() == pytest.approx(1 - outside.mean(), rel=0.015)


def test_lines_beyond_the_margin_and_text_in_it_are_no_tissue(nerve):
    image, mask = (part.copy() for part in nerve)
    image[:120], mask[:120] = 0, False
    image[:3], mask[:3] = 230, True
    cv2.putText(image, "10 um", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    tissue = find_tissue(image, mask)
    assert not tissue[:115].any() and tissue[125:].all()


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("centre", [(200, 260), (0, 260), (200, 519), (0, 0)])
def test_vessels_and_holes_are_tissue_also_where_the_edge_cuts_them(nerve, level, centre):
    image, mask = nerve
    hole = np.hypot(ROWS - centre[0], COLS - centre[1]) < 90
    assert find_tissue(np.where(hole, np.uint8(level), image), mask & ~hole) is None


@pytest.mark.parametrize("black", [0, 255, 70])
@pytest.mark.parametrize("noise", [0, 3])
def test_a_blank_background_between_fibers_is_tissue(nerve, black, noise):
    _, mask = nerve
    image = np.where(mask, 190 if black < 128 else 60, black)
    image = image + np.random.default_rng(2).normal(0, noise, SHAPE)
    assert find_tissue(np.clip(image, 0, 255).astype(np.uint8), mask) is None


def test_plain_images_and_few_fibers_on_black_are_tissue(nerve):
    for level in (0, 255, 77):
        assert find_tissue(np.full(SHAPE, level, np.uint8), np.zeros(SHAPE, bool)) is None
    assert find_tissue(np.zeros((5, 5), np.uint8), np.zeros((5, 5), bool)) is None
    assert find_tissue(*nerve) is None
    few = np.zeros((300, 400), np.uint8)
    for centre in ((60, 60), (220, 90), (130, 210), (330, 230)):
        cv2.circle(few, centre, 30, 1, 9)
    assert find_tissue(few * np.uint8(200), few > 0) is None
