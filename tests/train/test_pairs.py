"""Pairs, crops and batches: the network inputs of a training."""

import cv2
import numpy as np
import pytest
from drawings import fiber_image
from stand_ins import NATIVE

import data
from myelin.images import image as images
from myelin.measure.fiber_width import FIBER_PX
from myelin.network import preprocessing
from myelin.train import batches, crops, pairs
from myelin.train.recipe import Recipe


def test_dark_myelin_is_inverted_and_margins_do_not_count(packed):
    as_is, as_bright = pairs.Pairs(as_bright=False), pairs.Pairs(as_bright=True)
    assert as_is.dark == [False] * 5
    assert as_bright.dark == [False, False, False, False, True]
    np.testing.assert_array_equal(as_bright.image(4), 255 - as_is.image(4))
    image, mask = fiber_image(1)
    margin = np.full((200, 96), 255, np.uint8)  # a bright margin outweighs the image
    images.write_image("raw/train/nerve1.tif", np.vstack([image, margin]))
    images.write_image("raw/train/nerve1_mask.png", np.vstack([mask, 0 * margin]))
    data.main([])
    assert not pairs.Pairs(as_bright=True).dark[1]


def test_split_takes_the_last_fifth_or_the_named(packed):
    found = pairs.Pairs(as_bright=False)
    assert pairs.split(found, 0.2) == ([0, 1, 2, 3], [4])
    assert pairs.split(found, 0.5) == ([0, 1], [2, 3, 4])
    assert pairs.split(found, 0) == ([0, 1, 2, 3, 4], [])
    assert pairs.split(found, 0.2, "nerve0,*3") == ([1, 2, 4], [0, 3])


def test_a_plain_crop_is_cut_out_of_the_image(packed):
    found = pairs.Pairs(as_bright=False)
    settings = preprocessing.Preprocessing(frame="native", rows=None, cols=None, mean=0.0, std=1.0)
    crop, mask = crops.random_crop(found, 2, 32, settings, False, np.random.default_rng(0))
    image = found.image(2).astype(np.float32)
    place = cv2.minMaxLoc(cv2.matchTemplate(image, crop, cv2.TM_SQDIFF))[2]
    window = np.s_[place[1] : place[1] + 32, place[0] : place[0] + 32]
    np.testing.assert_allclose(crop, image[window], atol=0.51)
    np.testing.assert_array_equal(mask, found.mask(2)[window] > 0)


def test_augmented_image_and_mask_stay_together(packed):
    found, rng = pairs.Pairs(as_bright=True), np.random.default_rng(3)
    brighter = []
    for trial in range(40):
        size = 256 if trial == 39 else 64  # larger than the image
        crop, mask = crops.random_crop(found, trial % 5, size, NATIVE, True, rng)
        assert crop.shape == mask.shape == (size, size) and np.isfinite(crop).all()
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
        outer = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) == 0
        if inner.sum() > 20 and outer.sum() > 20:
            brighter.append(crop[inner].mean() - crop[outer].mean())
    assert len(brighter) > 25 and min(brighter) > 0 and np.median(brighter) > 1


def test_crops_are_drawn_by_area_and_emphasis(packed):
    """Nearly all crops come from the image that is emphasised, whose grey values are extreme."""
    mask = fiber_image(1, rows=96)[1]
    images.write_image("raw/train/nerve1.tif", np.where(mask > 0, 254, 1).astype(np.uint8))
    data.main([])
    recipe = Recipe(crop=32, batch_size=40, steps=1)
    settings = preprocessing.Preprocessing(frame="native", rows=None, cols=None, mean=0.0, std=1.0)
    found = pairs.Pairs(as_bright=False)
    areas = np.array([80, 96, 112]) * [1, 3, 1]
    weights = pairs.sampling_weights(found, [0, 1, 2], [("*1", 3.0)])
    np.testing.assert_allclose(weights, areas / areas.sum())
    emphasis = [("nerve1", 1000.0)]
    shown, _ = batches.CropBatches(found, [0, 1, 2], settings, recipe, emphasis, seed=0)[0]
    assert (np.ptp(shown, axis=(1, 2, 3)) > 250).mean() > 0.9


def rings(radius, rows=400, cols=400):
    """Draw rings of one size, most of them whole; return image and mask."""
    mask = np.zeros((rows, cols), np.uint8)
    for y in range(3 * radius // 2, rows + radius, 3 * radius):
        for x in range(3 * radius // 2, cols + radius, 3 * radius):
            cv2.circle(mask, (x, y), radius, 255, -1)
            cv2.circle(mask, (x, y), radius * 2 // 3, 0, -1)
    return np.where(mask > 0, 200, 60).astype(np.uint8), mask


@pytest.fixture
def packed_rings(folder):
    """Pairs of three fiber sizes, and one without a fiber, at one fiber scale."""
    for radius in (10, 18, 70):
        image, mask = rings(radius)
        images.write_image(f"raw/train/rings{radius:03}.tif", image)
        images.write_image(f"raw/train/rings{radius:03}_mask.tif", mask)
    images.write_image("raw/train/zero.tif", image)
    images.write_image("raw/train/zero_mask.tif", 0 * mask)
    data.main([])
    return pairs.Pairs(as_bright=True, fiber_px=FIBER_PX)


def test_fibers_of_all_pairs_come_to_one_width(packed_rings):
    found = packed_rings
    small, near, large, without = found.scales
    assert near == without == 1.0  # near the width already: its pixels stay as they are
    assert small == pytest.approx(FIBER_PX / 20, rel=0.1)
    assert large == pytest.approx(FIBER_PX / 140, rel=0.1)
    for index in (0, 1, 2):
        crop, mask = crops.random_crop(found, index, 96, NATIVE, False, np.random.default_rng(1))
        # Sheaths are a third of the radius thick; where the crop cuts them they seem thicker.
        inner = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        assert 2 * inner[12:-12, 12:-12].max() - 1 == pytest.approx(FIBER_PX / 6, abs=2.5)
        assert crop[mask].mean() > crop[~mask].mean() + 1


def test_frames_to_validate_on_have_the_scale_of_their_pair(packed_rings):
    found = packed_rings
    frames = batches.FrameBatches(found, [2], NATIVE)
    image, mask = frames[0]
    size = -(-round(400 * found.scales[2]) // 16) * 16
    assert image.shape == mask.shape == (1, size, size, 1)
    assert mask.mean() == pytest.approx(found.mask(2).mean() / 255, abs=0.05)
    as_they_are = pairs.Pairs(as_bright=True)
    assert as_they_are.scales == [1.0] * 4
    assert batches.validation_shape(as_they_are, [2]) == (400, 400)


def test_large_fibers_are_shrunk_by_the_mean_of_their_pixels(folder):
    """Every second pixel of a fine pattern would give stripes; its mean is even."""
    _, mask = rings(120)
    image = np.where(np.indices(mask.shape).sum(0) % 2, 150, 50).astype(np.uint8)
    images.write_image("raw/train/fine.tif", image)
    images.write_image("raw/train/fine_mask.tif", mask)
    data.main([])
    found = pairs.Pairs(as_bright=False, fiber_px=FIBER_PX)
    assert found.scales[0] < 0.4
    crop, _ = crops.random_crop(found, 0, 64, NATIVE, False, np.random.default_rng(0))
    assert crop[8:-8, 8:-8].std() < 0.05
