"""TIFF's own kinds of colour, compression and layout."""

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import LUMINANCE, ramp, tiff_bytes

from myelin.images import image as images


@pytest.mark.parametrize(("photometric", "expected"), [(1, [255, 0]), (0, [0, 255])])
def test_1_bit_tiff_of_either_polarity(tmp_path, photometric, expected):
    body = bytes([0b10000000]) * 8
    (tmp_path / "x.tif").write_bytes(tiff_bytes(8, 2, 1, photometric, body))
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), [expected] * 8)


@pytest.mark.parametrize("compression", [1, 5])  # none, LZW
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff_is_turned_round(tmp_path, dtype, compression):
    path = tmp_path / "white.tif"
    cv2.imwrite(str(path), ramp(dtype), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    plain = images.read_image(path)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(0)
    assert np.array_equal(images.read_image(path), 255 - plain)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_lzw_tiff_written_by_opencv_reads_as_the_uncompressed_one(tmp_path, dtype, channels):
    for name, compression in (("lzw", 5), ("plain", 1)):
        target = str(tmp_path / f"{name}.tif")
        cv2.imwrite(target, ramp(dtype, channels), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    found, plain = (images.read_image(tmp_path / f"{name}.tif") for name in ("lzw", "plain"))
    assert np.array_equal(found, plain) and np.ptp(found) > 150


@pytest.mark.parametrize("layout", [{"planarconfig": "separate"}, {"tile": (16, 16)}])
def test_planes_and_tiles_of_tiff(tmp_path, layout):
    sample = ramp(channels=3)
    stored = np.moveaxis(sample, -1, 0) if "planarconfig" in layout else sample
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", **layout)
    assert np.abs(images.read_image(tmp_path / "x.tif") - sample @ LUMINANCE).max() < 0.51


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 16)}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_parts_of_either_byte_order(tmp_path, dtype, layout, compression):
    path = tmp_path / "x.tif"
    options = {"compression": compression, "predictor": dtype == np.uint16, **layout}
    tifffile.imwrite(path, ramp(dtype), byteorder=">", **options)
    found = images.read_stored(path)
    assert np.array_equal(found, ramp(dtype)) and found.dtype == dtype


def test_thumbnails_before_the_image_are_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif", bigtiff=True, byteorder=">") as tif:
        for _ in range(3):
            tif.write(np.zeros((5, 6), np.uint8), subfiletype=1)
        tif.write(ramp())
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), ramp())
