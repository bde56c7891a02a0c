"""Scans segmented in bands of rows: the same as in one piece; written so that viewers open them."""

import re

import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings
from tifffile import TiffFile

from myelin.images import image as images
from myelin.images import overlay, tiff_writer
from myelin.segment import bands
from myelin.segment import tiles as segmentation
from myelin.segment.scale_groups import Choice


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Cut even small images into tiles and bands."""
    monkeypatch.setattr(segmentation, "MAX_TILE", 256)
    monkeypatch.setattr(bands, "MAX_WHOLE_PX", 0)


def joined(image, choice):
    """Return an image's probability from its bands, which must follow one another."""
    parts, row = [], 0
    for first, part in bands.segment_bands(BrightIsMyelin(), NATIVE, image, choice):
        assert first == row
        row += len(part)
        parts.append(part)
    assert len(parts) > 2
    return np.concatenate(parts)


@pytest.mark.parametrize("scale", [0.19, 0.5, 0.73, 1, 1.6])
@pytest.mark.parametrize("dark", [False, True])
def test_bands_give_what_one_piece_gives(scale, dark):
    image = rings(round(600 / scale), round(310 / scale))
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, np.uint8)
    choice = Choice(scale, dark)
    whole = segmentation.segment(BrightIsMyelin(), NATIVE, image, choice)
    found = joined(image, choice)
    assert whole.std() > 0.1
    np.testing.assert_allclose(found, whole, atol=2e-4)
    assert ((found >= 0.5) != (whole >= 0.5)).mean() < 1e-5


def test_without_fibers_all_is_0():
    assert not joined(rings(), Choice(1.0, False, 0.1, group=0)).any()


def test_a_scan_is_kept_as_float_and_returned_in_8_bits():
    image, kept = rings(700, 300), np.full((700, 300), np.nan, np.float32)

    def keep(first, rows):
        kept[first : first + len(rows)] = rows

    choice = Choice(1.0, False)
    greys, mask = bands.segment_scan(BrightIsMyelin(), NATIVE, image, choice, 0.7, keep)
    np.testing.assert_array_equal(greys, np.rint(kept * 255))
    np.testing.assert_array_equal(mask, kept >= 0.7)


def test_small_images_and_networks_of_one_frame_go_in_one_piece(monkeypatch):
    monkeypatch.setattr(bands, "MAX_WHOLE_PX", 2**24)
    assert bands.in_bands((4096, 4097), NATIVE) and not bands.in_bands((4096, 4096), NATIVE)
    fixed = type(NATIVE)(frame="resize", rows=64, cols=64)
    assert not bands.in_bands((40960, 40960), fixed)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("pixel_size_um", [None, 0.25])
def test_a_large_tiff_is_a_pyramid_of_tiles(tmp_path, monkeypatch, dtype, pixel_size_um):
    monkeypatch.setattr(tiff_writer, "MAX_PLAIN_PX", 1000)
    monkeypatch.setattr(tiff_writer, "SMALLEST_LEVEL_PX", 100)
    numbers = np.random.default_rng(0).integers(0, 200, (333, 250)).astype(dtype)
    path = tmp_path / "a_mask.tif"
    images.write_image(path, numbers, pixel_size_um)
    record = images.read_record(path)
    assert record.shape == (333, 250) and record.pixel_size()[0] == pixel_size_um
    np.testing.assert_array_equal(images.decode(path, {}), numbers)
    with TiffFile(path) as file:
        assert file.is_bigtiff and len(file.pages) == 1 and file.pages[0].is_tiled
        levels = file.series[0].levels
        assert [level.shape for level in levels] == [(333, 250), (167, 125), (84, 63)]
        np.testing.assert_array_equal(levels[2].asarray(), numbers[::4, ::4])


@pytest.mark.parametrize("plain_px", [1000, 10**6])
def test_the_same_image_gives_the_same_bytes(tmp_path, monkeypatch, plain_px):
    """Of a pyramid, and of plain OME-TIFF; its UUID tells files apart all the same."""
    monkeypatch.setattr(tiff_writer, "MAX_PLAIN_PX", plain_px)
    numbers = np.random.default_rng(0).integers(0, 200, (333, 250)).astype(np.uint32)
    ids = []
    for name, size in (("a", 0.25), ("b", 0.25), ("c", 0.5)):
        images.write_image(tmp_path / f"{name}.tif", numbers, size)
        with TiffFile(tmp_path / f"{name}.tif") as file:
            ids.append(re.search(r'UUID="urn:uuid:([-0-9a-f]{36})"', file.ome_metadata)[1])
    written = [(tmp_path / f"{name}.tif").read_bytes() for name in "abc"]
    assert written[0] == written[1] != written[2] and ids[0] == ids[1] != ids[2]


def test_the_overlay_of_a_scan_is_made_smaller(monkeypatch):
    image = rings(200, 240)
    monkeypatch.setattr(overlay, "MAX_OVERLAY_PX", image.size // 5)
    small, mask = overlay.reduced(image, image == 220)
    assert small.shape == mask.shape == (66, 80)
    assert abs(mask.mean() - (image == 220).mean()) < 0.02
    monkeypatch.setattr(overlay, "MAX_OVERLAY_PX", image.size)
    assert overlay.reduced(image, mask)[0] is image
