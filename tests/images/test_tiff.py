"""TIFF's own kinds of colour, compression and layout."""

import importlib.util

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import ramp, tiff_bytes
from PIL import Image

import data
from myelin.folders import packed
from myelin.images import image as images
from myelin.runtime.cli import UserError

without_imagecodecs = pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is not None, reason="imagecodecs decodes all of these"
)


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


# ---------------------------------------------------------------- orientation


STORED = {  # what Pillow would turn, what OpenCV would, and what neither reads
    "l.tif": (ramp(), {"compression": "tiff_lzw"}),
    "rgb.tif": (ramp(channels=3), {"compression": "tiff_lzw"}),
    "bits.tif": (ramp() > 90, {"compression": "group4"}),
    "deep.tif": (ramp(np.uint16) * np.uint16(300), {"compression": "tiff_lzw"}),
    "big.tif": (ramp(), {"compression": "tiff_lzw", "big_tiff": True}),
    "plain.tif": (ramp(), {}),
    "x.png": (ramp(channels=3), {}),
    "x.jpg": (ramp(), {"quality": 100}),
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("number", [1, 3, 6, 8])
def test_pixels_are_read_as_stored_whatever_the_orientation(tmp_path, name, number):
    pixels, options = STORED[name]
    if name.endswith(".tif"):
        options = {"tiffinfo": {274: number}, **options}
    else:
        options = {"exif": Image.Exif(), **options}
        options["exif"][274] = number
    Image.fromarray(pixels).save(tmp_path / name, **options)
    record = images.read_record(tmp_path / name)
    assert record.turned == (number != 1) and record.shape == (20, 30)
    found = images.read_stored(record).astype(int)
    expected = pixels * 255 if pixels.dtype == bool else pixels
    assert np.abs(found - expected).max() <= (3 if name == "x.jpg" else 0)


def test_files_that_ask_to_be_turned_are_named(folder, write_sample, capsys):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(ramp(channels=3)).save("raw/test/phone.jpg", exif=exif)
    write_sample("raw/test/plain.tif")
    data.main([])
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "phone.jpg: pixels are read as stored, as in ImageJ" in notes[0]
    assert packed.load_test()[0].shape == (20, 30)


# ---------------------------------------------------------------- missing decoders


@without_imagecodecs
@pytest.mark.parametrize("name", ["ZSTD", "WEBP", "LERC", "JPEG2000", "JPEGXL"])
def test_a_compression_without_a_decoder_is_named(tmp_path, name):
    tifffile.imwrite(tmp_path / "x.tif", ramp(), compression="zlib")
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+b") as tif:
        tif.pages[0].tags["Compression"].overwrite(tifffile.COMPRESSION[name])
    with pytest.raises(UserError, match=rf"compression {name}\), run pip install imagecodecs, or"):
        images.read_image(tmp_path / "x.tif")


@without_imagecodecs
def test_what_libtiff_would_misread_is_not_given_to_it(tmp_path):
    """OpenCV takes deep planes for pixels side by side, and Pillow signed bytes for unsigned."""
    deep = ramp(np.uint16, 3)
    cv2.imwrite(str(tmp_path / "a.tif"), deep, [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        tif.pages[0].tags["PlanarConfiguration"].overwrite(2)
    signed = {"compression": "tiff_lzw", "tiffinfo": {339: 2}}
    Image.fromarray(ramp()).save(tmp_path / "b.tif", **signed)
    for name in ("a.tif", "b.tif"):
        with pytest.raises(UserError, match=r"compression LZW.*, run pip install imagecodecs"):
            images.read_image(tmp_path / name)
