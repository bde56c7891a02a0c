"""The scale of one image, found from drawn fibers whose width is known."""

import cv2
import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings

from myelin.segment.scale import (
    FIBERS,
    MIN_SIDE,
    SCALES,
    Busyness,
    Looker,
    fiber_score,
    sheath_contrast,
)

RING_PX = 36  # diameter of the fibers of `rings`, of which a network was trained on such
SETTINGS = NATIVE.__class__(**{**NATIVE.__dict__, "fiber_px": float(RING_PX)})


def enlarged(image, factor):
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


@pytest.mark.parametrize("factor", [0.5, 1, 2, 3])
@pytest.mark.parametrize("dark", [False, True])
def test_the_scale_undoes_an_enlargement_and_the_polarity_is_told(factor, dark):
    image = enlarged(rings(500, 500), factor)
    look = Looker(BrightIsMyelin(), SETTINGS, 255 - image if dark else image).look()
    assert look.dark == dark and look.best > 0.5
    assert look.own == pytest.approx(1 / factor, rel=0.2)


@pytest.mark.parametrize("fiber_px", [190, 210])
def test_fibers_that_fill_a_window_are_found_in_wider_ones(fiber_px):
    settings = NATIVE.__class__(**{**NATIVE.__dict__, "fiber_px": float(fiber_px)})
    image = enlarged(rings(200, 200), fiber_px / RING_PX)
    look = Looker(BrightIsMyelin(), settings, image).look()
    assert look.best > FIBERS and look.own == pytest.approx(1, rel=0.1)


def test_wider_windows_are_not_looked_at_where_the_image_is_too_small():
    looker, scores = Looker(BrightIsMyelin(), SETTINGS, rings(200, 200)), np.zeros(len(SCALES))
    looker.measure = lambda scale, dark: (scale, scale)
    best = int(np.argmax(200 * SCALES >= MIN_SIDE))
    looker.look_wider(scores, best, False)
    assert list(np.flatnonzero(scores)) == list(range(best, best + 4))


def test_the_wider_windows_say_which_way_round_where_the_small_ones_show_too_little():
    looker, asked = Looker(BrightIsMyelin(), SETTINGS, rings(400, 400)), []
    looker.score = lambda scale, dark, side: (0.4 if dark else 0.3) * (scale in SCALES[6:9])

    def measure(scale, dark, count=1):
        asked.append(count)
        return 0.2 if dark else 0.5, scale

    looker.measure = measure
    assert not looker.look().dark and len(asked) > 1
    asked.clear()
    looker.score = lambda scale, dark, side: (0.4 if dark else 0.1) * (scale in SCALES[6:9])
    assert looker.look().dark and len(asked) == 1, "nothing to doubt"


def test_a_margin_changes_nothing():
    image = rings(600, 500)
    image[:250] = 0
    look = Looker(BrightIsMyelin(), SETTINGS, image).look()
    assert not look.dark and look.own == pytest.approx(1, rel=0.15)


def test_only_the_polarities_asked_for_are_tried():
    look = Looker(BrightIsMyelin(), SETTINGS, rings(300, 300)).look(ways=(True,))
    assert look.scores[1].max() >= 0 and not look.scores[0].any()


def test_what_encloses_no_round_empty_region_scores_0():
    part = rings(200, 240).astype(np.float32)
    myelin = (part == 220).astype(np.float32)
    assert fiber_score(part, 0.98 * myelin, RING_PX) > 0.7
    for other in (0 * myelin, 0 * myelin + 1, (part != 90).astype(np.float32)):
        assert fiber_score(part, other, RING_PX) == 0


def test_gaps_around_fibers_that_are_taken_for_sheaths_score_little():
    fibers = rings(200, 240)
    gaps, upside_down = fibers == 90, 255 - fibers.astype(np.float32)
    assert sheath_contrast(-upside_down, fibers == 220) > 2
    assert fiber_score(upside_down, 0.98 * gaps, RING_PX) == 0
    upside_down[~gaps] = 0  # were they sheaths, what they enclose would be of one kind
    assert sheath_contrast(upside_down, gaps) == pytest.approx(2, abs=0.1)


def test_a_mask_that_encloses_nothing_or_has_no_width_has_no_contrast():
    part = rings(60, 60).astype(np.float32)
    for mask in (part < 0, part >= 0, np.eye(60, dtype=bool)):
        assert sheath_contrast(part, mask) == 0


def test_doubt_and_unusual_widths_lower_the_score():
    part = rings(200, 240).astype(np.float32)
    myelin = (part == 220).astype(np.float32)
    sure, double, fourfold = (fiber_score(part, 0.98 * myelin, n * RING_PX) for n in (1, 2, 4))
    assert fiber_score(part, 0.6 * myelin, RING_PX) < 0.5 * sure
    assert fourfold < double < sure


@pytest.mark.parametrize("shape", [(60, 60), (300, 90), (301, 402)])
def test_the_busiest_window_is_where_grey_values_vary(shape):
    frame = np.zeros(shape, np.uint8)
    frame[:40, -40:] = np.random.default_rng(0).integers(0, 256, (40, 40))
    (window,) = Busyness(frame).windows(60)
    assert frame[window].any() and frame[window].shape == (60, 60)
    assert Busyness(frame).windows(1000, count=3) == [np.s_[0:1000, 0:1000]]


def test_several_windows_do_not_overlap():
    frame = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    seen = np.zeros(frame.shape, int)
    windows = Busyness(frame).windows(90, count=4)
    for window in windows:
        seen[window] += 1
    assert len(windows) == 4 and seen.max() == 1
