"""Masks the wrong way round, and label images given as masks."""

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import refused
from measuring import fails, read_table, ring, rings, save
from skimage.measure import label

import data
import evaluate
import morphometry
from myelin.images.image import read_kinds, read_mask, write_image
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


@pytest.mark.parametrize("kind", ["blended", "photograph"])
def test_grey_images_are_no_label_images(tmp_path, kind):
    image = MASK.astype(np.uint8) * np.uint8(255)
    if kind == "blended":
        image = cv2.GaussianBlur(image, (5, 5), 1)
    else:
        image = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a_mask.png"), image)
    with pytest.raises(UserError, match="grey values in a mask, which has two"):
        read_mask(tmp_path / "a_mask.png")


# ---------------------------------------------------------------- what a mask shows


AXONS = rings((200, 300), CENTERS, 0, 18)


def drawn(myelin, axon, background=0):
    """Return an image with three values, grey or colours."""
    values = np.array([background, myelin, axon], np.uint8)
    return values[MASK + np.uint8(2) * AXONS]


@pytest.mark.parametrize(
    "image",
    [
        drawn(127, 255),  # AxonDeepSeg
        drawn(255, 128),
        drawn(128, 0, 255),
        drawn(0, 128, 255),
        drawn(1, 2),
        drawn((255, 0, 0), (0, 0, 255), (0, 0, 0)),
        drawn((255, 0, 0), (0, 0, 255), (255, 255, 255)),
        np.where(rings((200, 300), CENTERS, 0, 15), 255, MASK * np.uint8(99)).astype(np.uint8),
    ],
)
def test_a_mask_of_myelin_and_axons_is_both(tmp_path, image):
    path = tmp_path / "x_mask.png"
    write_image(path, image)
    myelin, axon = read_kinds(path)
    apart = image.ndim == 2 and image.max() == 255 and (image == 99).any()
    expected = rings((200, 300), CENTERS, 0, 15) if apart else AXONS
    assert np.array_equal(myelin, MASK) and np.array_equal(axon, expected)
    assert np.array_equal(read_mask(path), MASK)
    write_image(tmp_path / "x_axon.png", image)
    assert np.array_equal(read_mask(tmp_path / "x_axon.png"), expected)


@pytest.mark.parametrize("paint", ["white in alpha", "black in alpha", "red on white", "ImageJ"])
def test_masks_as_painting_programs_store_them(tmp_path, paint):
    white, path = np.full((200, 300, 4), 255, np.uint8), tmp_path / "x_mask.png"
    if paint == "ImageJ":
        path = path.with_suffix(".tif")
        lut = {"photometric": "miniswhite", "description": "ImageJ=1.54f\n", "metadata": None}
        tifffile.imwrite(path, MASK * np.uint8(255), **lut)
    elif paint == "red on white":
        white[MASK] = (0, 0, 255, 255)  # OpenCV stores BGR
        cv2.imwrite(str(path), white[..., :3])
    else:
        white[..., :3] *= paint[:5] == "white"
        white[..., 3] = MASK * np.uint8(255)
        cv2.imwrite(str(path), white)
    assert np.array_equal(read_mask(path), MASK)


def test_masks_without_rings_are_refused(folder, capsys):
    filled = MASK | AXONS
    write_image(folder / "raw/train/a.tif", np.uint8(200) * MASK)
    for mask in (filled, AXONS):
        save(folder / "raw/train/a_mask.tif", mask)
        assert "a_mask.tif: 6 filled regions and no rings" in refused(capsys)[0]
        save(folder / "preds/a_mask.tif", mask)
        said = fails(morphometry.main, capsys, "--pixel-size", "1")
        assert "a_mask.tif: 6 filled regions" in said and "add their axons as <id>_axon" in said


def test_filled_fibers_with_their_axons_are_measured_and_learned(folder, capsys):
    save(folder / "preds/a_mask.tif", MASK)
    tables = []
    for part in ("mask", "axon"):
        if part == "axon":
            numbers = label(MASK | AXONS).astype(np.int64)[None]  # as napari and Cellpose save
            tifffile.imwrite(folder / "preds/a_mask.tif", numbers)
            save(folder / "preds/a_axon.tif", AXONS)
        morphometry.main(["--pixel-size", "1", *["--no-pictures"] * (part == "mask")])
        rows = read_table(folder / "morphometry/a_fibers.csv")
        tables.append([(row["axon_area_um2"], row["fiber_area_um2"]) for row in rows])
    assert tables[0] == tables[1] and len(tables[0]) == 6
    write_image(folder / "raw/train/a.tif", np.uint8(200) * MASK)
    save(folder / "raw/train/a_cp_masks.png", MASK | AXONS)
    save(folder / "raw/train/a_axon.tif", AXONS)
    data.main([])
    assert np.array_equal(np.load("npydata/imgs_mask_train.npy")[0] > 0, MASK)
    save(folder / "raw/train/a_axon.tif", AXONS[:9])
    assert "a_axon.tif: 9 x 300 pixels, but a_cp_masks.png" in refused(capsys)[0]


def test_no_axons_on_purpose(folder):
    """An image of collapsed sheaths has a black axon mask; an empty mask is doubted."""
    save(folder / "preds/a_mask.tif", MASK | AXONS)
    save(folder / "preds/a_axon.tif", MASK & False)
    save(folder / "preds/b_mask.tif", MASK & False)
    save(folder / "preds/c_mask.tif", MASK | True)
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    warnings = [row["warnings"] for row in read_table(folder / "morphometry/summary.csv")]
    assert "no fibers, though" in warnings[0] and "no myelin in the mask" in warnings[1]
    assert "no fibers, though 100% of the area is myelin" in warnings[2]
