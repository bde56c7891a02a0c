"""What is not a fiber in synthetic nerves: never in the mask, flagged where it cuts a fiber."""

import hashlib

import cv2
import numpy as np
import pytest

from myelin.synthetic.looks import LOOKS
from myelin.synthetic.nerve import SCENES, draw_nerve

OLD = ("diseased", "vessel", "perineurium", "fat", "margin")
LAID_OVER = ("debris", "cracks", "annotation", "frame")  # and no body among the fibers


def draw(seed, scenes, myelin="bright", look="light", side=256, pixel_size_um=0.1):
    rng = np.random.default_rng(seed)
    return draw_nerve(side, side, pixel_size_um, rng, myelin, look, scenes)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "electron"])
@pytest.mark.parametrize("scene", LAID_OVER)
def test_what_covers_a_fiber_takes_its_mask_and_flags_it(scene, look):
    taken = 0
    for seed in range(4):
        plain, whole, before = draw(seed, (), look=look)
        image, mask, fibers = draw(seed, (scene,), look=look)
        assert not (mask & ~whole).any()  # nothing new is myelin
        assert (image != plain).any()
        lost = whole & ~mask
        taken += lost.sum()
        # The fibers stay the same; each is in both tables at the same point, unless hidden.
        spots = {spot: flag for *spot, flag in rows(before) for spot in [tuple(spot)]}
        after = {spot: flag for *spot, flag in rows(fibers) for spot in [tuple(spot)]}
        assert set(after) <= set(spots)
        assert all(after[spot] for spot in after if spots[spot])
        near = cv2.dilate(lost.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        _, axons = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
        for (x, y), flag in after.items():
            if not flag:  # a fiber said to be whole: enclosed, and nothing of it was taken
                axon = axons == axons[round(y), round(x)]
                assert not axon[[0, -1]].any() and not axon[:, [0, -1]].any()
                assert not (near & axon).any()
    assert taken > 0


def rows(fibers):
    return zip(fibers["x_px"], fibers["y_px"], fibers["touches_border"], strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "electron"])
@pytest.mark.parametrize("scene", ["blood", "mast"])
def test_bodies_without_myelin_are_as_bright_as_myelin_and_not_in_the_mask(scene, look):
    bright = 0
    for seed in range(4):
        image, mask, _ = draw(seed, (scene,), look=look, side=400)
        level = np.median(image[mask]) * 0.8
        far = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        smooth = cv2.GaussianBlur(image, (0, 0), 2)
        bright += (far & (smooth > level)).sum() * 0.1**2
    assert bright > 5  # µm²


@pytest.mark.parametrize("look", list(LOOKS))
@pytest.mark.parametrize("pixel_size_um", [0.02, 0.1, 0.5])
def test_the_same_seed_draws_the_same_image(look, pixel_size_um):
    for side in (64, 150):
        first, second, other = (
            draw(seed, tuple(SCENES), "mixed", look, side, pixel_size_um) for seed in (1, 1, 2)
        )
        assert (first[0] != other[0]).any()
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])
        assert first[0].shape == (side, side) and first[0].dtype == np.uint8


# Of masks only: grey values may differ in the last bit between processors, outlines do not.
@pytest.mark.parametrize("scenes, expected", [((), "2b714499565b75e3"), (OLD, "61657120c251dd7f")])
def test_old_scenes_are_drawn_as_ever(scenes, expected):
    _, mask, _ = draw(11, scenes)
    assert hashlib.sha256(np.packbits(mask)).hexdigest()[:16] == expected
