"""The scale of one image, found from drawn fibers whose width is known."""

import cv2
import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings

from myelin.scale import FIBERS, MIN_SIDE, SCALES, Busyness, Looker, fiber_score

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


def test_a_margin_changes_nothing():
    image = rings(600, 500)
    image[:250] = 0
    look = Looker(BrightIsMyelin(), SETTINGS, image).look()
    assert not look.dark and look.own == pytest.approx(1, rel=0.15)


def test_only_the_polarities_asked_for_are_tried():
    look = Looker(BrightIsMyelin(), SETTINGS, rings(300, 300)).look(ways=(True,))
    assert look.scores[1].max() >= 0 and not look.scores[0].any()


def test_what_encloses_no_round_empty_region_scores_0():
    myelin = (rings(200, 240) == 220).astype(np.float32)
    assert fiber_score(0.98 * myelin, RING_PX) > 0.7
    for other in (0 * myelin, 0 * myelin + 1, (rings(200, 240) != 90).astype(np.float32)):
        assert fiber_score(other, RING_PX) == 0


def test_doubt_and_unusual_widths_lower_the_score():
    myelin = (rings(200, 240) == 220).astype(np.float32)
    sure = fiber_score(0.98 * myelin, RING_PX)
    assert fiber_score(0.6 * myelin, RING_PX) < 0.5 * sure
    assert fiber_score(0.98 * myelin, 4 * RING_PX) < fiber_score(0.98 * myelin, 2 * RING_PX) < sure


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
