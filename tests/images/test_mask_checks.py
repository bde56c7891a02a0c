"""Masks the wrong way round, and label images given as masks."""

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import refused
from measuring import SHARED, fails, needs_shared, ring, rings, save
from skimage.measure import label

import evaluate
import morphometry
from myelin.images.image import read_mask, write_image
from myelin.images.mask_checks import is_inverted
from myelin.runtime.cli import UserError

CENTERS = [(x, y) for x in (50, 140, 230) for y in (50, 140)]
MASK = rings((200, 300), CENTERS, 18, 30)


def test_sheaths_are_white():
    assert not is_inverted(MASK) and is_inverted(~MASK)


def crowded():
    """A mask of touching sheaths, myelin on most of the image and of its edge."""
    mask = np.ones((200, 300), bool)
    for x, y in [(x, y) for x in range(20, 300, 40) for y in range(20, 200, 40)]:
        mask[y - 12 : y + 12, x - 12 : x + 12] = False
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        crowded(),
        np.zeros((50, 50), bool),
        np.ones((50, 50), bool),
        ring((200, 300), 90, 90, 40, 60)[0],
        ~ring((200, 300), 90, 90, 40, 60)[0],  # too little to tell anything from
        rings((200, 300), CENTERS, 0, 30),  # collapsed, without axons
        np.random.default_rng(0).random((200, 300)) < 0.6,
    ],
)
def test_what_is_no_inverted_mask(mask):
    assert not is_inverted(mask)


@needs_shared
def test_hand_drawn_masks_are_told_from_their_inverse():
    paths = [*SHARED.glob("[st]em/*_mask.png"), *SHARED.glob("morphometry_reference/*_myelin.png")]
    assert len(paths) > 10
    for path in paths:
        mask = read_mask(path)
        assert not is_inverted(mask) and is_inverted(~mask), path


def test_inverted_masks_are_refused_where_a_person_made_them(folder, capsys):
    write_image(folder / "raw/train/a.tif", np.uint8(200) * MASK)
    save(folder / "raw/train/a_mask.tif", ~MASK)
    (line,) = refused(capsys)
    assert "a_mask.tif: looks inverted" in line
    save(folder / "preds/b_mask.tif", ~MASK)
    save(folder / "raw/test/b_mask.tif", ~MASK)
    assert "b_mask.tif: looks inverted" in fails(morphometry.main, capsys, "--pixel-size", "1")
    save(folder / "preds/b_mask.tif", MASK)
    assert "b_mask.tif: looks inverted" in fails(evaluate.main, capsys, "--pixel-size", "1")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_label_image_of_sheaths_is_a_mask(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a_mask.tif", label(MASK).astype(dtype) * dtype(20))
    assert np.array_equal(read_mask(tmp_path / "a_mask.tif"), MASK)


def test_label_images_of_whole_fibers_are_axons_or_refused(tmp_path):
    filled = label(rings((200, 300), CENTERS, 0, 30)).astype(np.uint16)
    touching = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((40, 40))).astype(np.uint16)
    touching = np.pad(touching, 5)
    both = np.where(MASK, label(MASK), 0).astype(np.uint16)
    both[filled > 0] = filled[filled > 0]  # a number on myelin and axon, as in <id>_labels.tif
    for image in (filled, touching, both):
        tifffile.imwrite(tmp_path / "a_mask.tif", image)
        with pytest.raises(UserError, match="6 filled regions"):
            read_mask(tmp_path / "a_mask.tif")
        tifffile.imwrite(tmp_path / "a_axon.tif", image)
        assert label(read_mask(tmp_path / "a_axon.tif")).max() == 6


@pytest.mark.parametrize("kind", ["blended", "photograph", "two tissues"])
def test_grey_images_are_no_label_images(tmp_path, kind):
    image = MASK.astype(np.uint8) * np.uint8(255)
    if kind == "blended":
        image = cv2.GaussianBlur(image, (5, 5), 1)
    elif kind == "photograph":
        image = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    else:
        image[rings((200, 300), CENTERS, 0, 18)] = 128
    cv2.imwrite(str(tmp_path / "a_mask.png"), image)
    with pytest.raises(UserError, match="grey values in a mask, which has two"):
        read_mask(tmp_path / "a_mask.png")
