"""Scale and polarity of one image, found from drawn fibers of a known width."""

import dataclasses

import cv2
import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings

from myelin.segment.scale import (
    MIN_FIBER_SCORE,
    MIN_SIDE_PX,
    SCALES,
    ScaleProbe,
    TextureMap,
    fiber_score,
    sheath_contrast,
)

RING_PX = 36  # diameter of the fibers of `rings`
SETTINGS = dataclasses.replace(NATIVE, fiber_px=float(RING_PX))


def enlarged(image, factor):
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


def probe(image, settings=SETTINGS):
    return ScaleProbe(BrightIsMyelin(), settings, image)


@pytest.mark.parametrize("factor", [0.5, 1, 2, 3])
@pytest.mark.parametrize("dark", [False, True])
def test_preferred_scale_undoes_an_enlargement_in_either_polarity(factor, dark):
    image = enlarged(rings(500, 500), factor)
    found = probe(255 - image if dark else image).score_scales()
    assert found.dark == dark and found.best > 0.5
    assert found.preferred_scale == pytest.approx(1 / factor, rel=0.2)


@pytest.mark.parametrize("fiber_px", [190, 210])
def test_fibers_that_fill_a_window_are_found_in_wider_windows(fiber_px):
    image = enlarged(rings(200, 200), fiber_px / RING_PX)
    found = probe(image, dataclasses.replace(NATIVE, fiber_px=float(fiber_px))).score_scales()
    assert found.best > MIN_FIBER_SCORE
    assert found.preferred_scale == pytest.approx(1, rel=0.1)


def test_wider_windows_are_scored_only_where_the_image_is_large_enough():
    small, scores = probe(rings(200, 200)), np.zeros(len(SCALES))
    small.score_and_measure = lambda scale, dark: (scale, scale)
    best = int(np.argmax(200 * SCALES >= MIN_SIDE_PX))
    small.score_wider_windows(scores, best, False)
    assert list(np.flatnonzero(scores)) == list(range(best, best + 4))


@pytest.mark.parametrize(("bright_score", "dark"), [(0.3, False), (0.1, True)])
def test_wider_windows_decide_the_polarity_if_small_ones_score_alike(bright_score, dark):
    image, counts = probe(rings(400, 400)), []

    def score_and_measure(scale, dark, count=1):
        counts.append(count)
        return 0.2 if dark else 0.5, scale

    image.score = lambda scale, dark, side: (0.4 if dark else bright_score) * (scale in SCALES[6:9])
    image.score_and_measure = score_and_measure
    assert image.score_scales().dark == dark
    assert (len(counts) == 1) == dark, "wider windows are not needed where one polarity is clear"


def test_a_black_margin_changes_nothing():
    image = rings(600, 500)
    image[:250] = 0
    found = probe(image).score_scales()
    assert not found.dark and found.preferred_scale == pytest.approx(1, rel=0.15)


def test_only_the_given_polarities_are_scored():
    bright = rings(300, 300)
    assert not probe(bright).score_scales(polarities=(True,)).scores[0].any()
    assert probe(255 - bright).score_scales(polarities=(True,)).scores[1].any()


def test_a_mask_without_round_empty_regions_scores_0():
    part = rings(200, 240).astype(np.float32)
    myelin = (part == 220).astype(np.float32)
    assert fiber_score(part, 0.98 * myelin, RING_PX) > 0.7
    for other in (0 * myelin, 0 * myelin + 1, (part != 90).astype(np.float32)):
        assert fiber_score(part, other, RING_PX) == 0


def test_gaps_between_fibers_taken_for_sheaths_have_no_contrast():
    fibers = rings(200, 240)
    gaps, inverted = fibers == 90, 255 - fibers.astype(np.float32)
    assert sheath_contrast(-inverted, fibers == 220) > 2
    assert fiber_score(inverted, 0.98 * gaps, RING_PX) == 0
    inverted[~gaps] = 0  # uniform regions, as axons are
    assert sheath_contrast(inverted, gaps) == pytest.approx(2, abs=0.1)


def test_a_mask_that_encloses_nothing_or_has_no_width_has_no_contrast():
    part = rings(60, 60).astype(np.float32)
    for mask in (part < 0, part >= 0, np.eye(60, dtype=bool)):
        assert sheath_contrast(part, mask) == 0


def test_uncertain_output_and_unusual_widths_lower_the_score():
    part = rings(200, 240).astype(np.float32)
    myelin = (part == 220).astype(np.float32)
    trained, double, fourfold = (fiber_score(part, 0.98 * myelin, n * RING_PX) for n in (1, 2, 4))
    assert fiber_score(part, 0.6 * myelin, RING_PX) < 0.5 * trained
    assert fourfold < double < trained


@pytest.mark.parametrize("shape", [(60, 60), (300, 90), (301, 402)])
def test_the_most_textured_window_is_where_grey_values_vary(shape):
    image = np.zeros(shape, np.uint8)
    image[:40, -40:] = np.random.default_rng(0).integers(0, 256, (40, 40))
    (window,) = TextureMap(image).windows(60)
    assert image[window].any() and image[window].shape == (60, 60)
    assert TextureMap(image).windows(1000, count=3) == [np.s_[0:1000, 0:1000]]


def test_windows_do_not_overlap():
    image = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    seen = np.zeros(image.shape, int)
    windows = TextureMap(image).windows(90, count=4)
    for window in windows:
        seen[window] += 1
    assert len(windows) == 4 and seen.max() == 1
