"""Votes of one image for scale and polarity: drawn fibers of known width."""

import numpy as np
import pytest
from stand_ins import RING_PX, enlarged, rings

from myelin.measure.fiber_width import FIBER_PX
from myelin.network.view import SIDE, open_view
from myelin.segment.votes import SCALES, Pyramid, collect_votes, resized, weighted_median


@pytest.fixture(scope="module")
def view():
    return open_view()


def factor_off(votes, width):
    """Return by how much the scale of votes differs from that of fibers of a width, 1 or more."""
    return 2 ** abs(votes.octave - np.log2(FIBER_PX / width))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("factor", [0.4, 1, 2, 6])
def test_scale_and_polarity_of_drawn_fibers_are_found(view, factor, dark):
    image = enlarged(rings(500, 600), factor)
    votes = collect_votes(view, 255 - image if dark else image)
    assert votes.has_fibers and (votes.polarity > 0) == dark
    assert factor_off(votes, factor * RING_PX) < 1.8


@pytest.mark.parametrize("shape", [(70, 83), (60, 900), (100, 100)])
def test_strips_and_images_smaller_than_a_window_are_mirrored(view, shape):
    votes = collect_votes(view, rings(*shape))
    assert votes.has_fibers and votes.polarity < 0 and factor_off(votes, RING_PX) < 1.8


def test_an_image_that_is_mostly_blank_is_judged_by_the_rest(view):
    image = np.full((1500, 1500), 255, np.uint8)
    image[200:600, 300:700] = rings(400, 400)
    votes = collect_votes(view, image)
    assert votes.has_fibers and votes.polarity < 0 and factor_off(votes, RING_PX) < 1.8


@pytest.mark.parametrize("kind", ["blank", "ramp", "noise", "pixel"])
def test_no_fibers_are_found_where_there_are_none(view, kind):
    image = {
        "blank": np.full((300, 400), 90, np.uint8),
        "ramp": np.tile(np.linspace(20, 220, 400).astype(np.uint8), (300, 1)),
        "noise": np.random.default_rng(1).integers(0, 256, (300, 400), dtype=np.uint8),
        "pixel": np.zeros((1, 1), np.uint8),
    }[kind]
    assert not collect_votes(view, image).has_fibers


def test_windows_have_one_size_and_those_with_most_detail_come_first():
    image = np.full((1000, 1000), 90, np.uint8)
    image[400:, 400:] = rings(600, 600)
    for scale in SCALES:
        windows = Pyramid(image).windows(scale, 3)
        assert windows.shape[1:] == (SIDE, SIDE) and 1 <= len(windows) <= 3
    assert Pyramid(image).windows(1.0, 1)[0].std() > 30
    assert resized(image[:3, :1000], 0.1).shape == (SIDE, SIDE)


def test_a_weighted_median_follows_the_weights():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 3.0])) == 2
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([5.0, 1.0, 3.0])) == 3
