"""Segmenting one image: tiles, polarity, scale."""

import itertools

import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, random_network, rings

from myelin.network import engine, preprocessing
from myelin.segment import tiles as segmentation
from myelin.segment.scale_groups import Choice
from unet import STRIDE

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def random_engine(small_network):
    """An engine of a random network that takes frames of any size."""
    return engine.OpenVinoEngine(random_network().get_weights(), "float32")


@pytest.fixture
def tiled(monkeypatch):
    """Cut even small frames into tiles."""
    monkeypatch.setattr(segmentation, "MAX_FRAME_PX", 0)
    monkeypatch.setattr(segmentation, "MAX_TILE", 256)


def test_tiles_give_what_one_piece_gives(random_engine, request):
    frame = np.random.default_rng(1).normal(size=(400, 530)).astype(np.float32)
    whole = segmentation.predict(random_engine, frame)
    request.getfixturevalue("tiled")
    assert whole.std() > 0.01
    np.testing.assert_allclose(segmentation.predict(random_engine, frame), whole, atol=1e-5)


@pytest.mark.parametrize("length", [16, 256, 272, 480, 1600, 16 * 1001])
def test_tiles_are_of_one_size_and_cover_everything_once_or_more(tiled, length):
    spans = segmentation.cut(length)
    assert len({span.stop - span.start for span in spans}) == 1
    assert max(span.stop - span.start for span in spans) <= 256
    assert all(span.start % STRIDE == 0 for span in spans)
    assert spans[0].first == 0 and spans[-1].last == length
    assert all(one.last >= other.first for one, other in itertools.pairwise(spans))
    for span in spans:
        assert span.first - span.start in (0, segmentation.HALO)
        assert span.start == 0 or span.first > span.start
        assert span.stop == length or span.stop - span.last == segmentation.HALO


@pytest.mark.slow
def test_blank_tiles_are_computed_once_and_exactly(tiled, random_engine):
    frame = np.full((1200, 1200), 0.5, np.float32)
    frame[500:560, 500:560] = np.random.default_rng(0).normal(size=(60, 60))
    shown = BrightIsMyelin()
    segmentation.predict(shown, frame)
    assert len(shown.seen) < len(list(segmentation.cut(1200))) ** 2 / 2
    tiles = list(itertools.product(segmentation.cut(1200), repeat=2))
    exact = [
        random_engine.predict(np.ascontiguousarray(frame[a.start : a.stop, b.start : b.stop]))[
            a.first - a.start : a.last - a.start, b.first - b.start : b.last - b.start
        ]
        for a, b in tiles
    ]
    found = segmentation.predict(random_engine, frame)
    for (a, b), part in zip(
        itertools.product(segmentation.cut(1200), repeat=2), exact, strict=True
    ):
        np.testing.assert_array_equal(found[a.first : a.last, b.first : b.last], part)


def test_a_rescaled_image_keeps_its_size_and_content():
    image = rings()
    for scale in (0.5, 1.0, 3.0):
        found = segmentation.segment(BrightIsMyelin(), NATIVE, image, Choice(scale, dark=False))
        assert found.shape == image.shape
        agreement = 2 * ((found > 0.5) & (image == 220)).sum()
        assert agreement / ((found > 0.5).sum() + (image == 220).sum()) > 0.93


def test_dark_myelin_is_inverted_for_the_network():
    bright = segmentation.segment(BrightIsMyelin(), NATIVE, rings(), Choice(1.0, dark=False))
    dark = segmentation.segment(BrightIsMyelin(), NATIVE, 255 - rings(), Choice(1.0, dark=True))
    np.testing.assert_allclose(dark, bright, atol=1e-6)


def test_frames_of_a_fixed_size_are_resized_to_it_and_back():
    settings = preprocessing.Preprocessing(rows=32, cols=48, mean=100.0, std=40.0)
    network = BrightIsMyelin()
    found = segmentation.segment(network, settings, rings(), Choice(1.0, dark=False))
    assert network.seen[0].shape == (32, 48) and found.shape == rings().shape
