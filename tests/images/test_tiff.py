"""TIFF's own kinds of colour, packing and layout; limits on what a file may unpack to."""

import tracemalloc
import zlib
from unittest import mock

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import LUMINANCE, ramp, tiff_bytes
from PIL import Image

from myelin.images import image as images
from myelin.images import tiff
from myelin.runtime import cli


def test_compressed_palette_gets_its_colours(tmp_path):
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    sample = Image.fromarray(ramp(), mode="P")
    sample.putpalette(palette.tobytes())
    sample.save(tmp_path / "x.tif", compression="tiff_lzw")
    found = images.read_image(tmp_path / "x.tif")
    assert np.abs(found - palette[ramp()] @ LUMINANCE).max() < 0.51


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colours_are_refused(tmp_path, mode, compression):
    channels = [Image.fromarray(ramp())] * len(Image.new(mode, (1, 1)).getbands())
    Image.merge(mode, channels).save(tmp_path / "x.tif", compression=compression)
    with pytest.raises(cli.UserError, match="colours as"):
        images.read_image(tmp_path / "x.tif")


@pytest.mark.parametrize(("photometric", "expected"), [(1, [255, 0]), (0, [0, 255])])
def test_1_bit_tiff_of_either_polarity(tmp_path, photometric, expected):
    body = bytes([0b10000000]) * 8
    (tmp_path / "x.tif").write_bytes(tiff_bytes(8, 2, 1, photometric, body))
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), [expected] * 8)


def test_4_bit_tiff_is_spread_over_the_8_bit_range_or_refused(tmp_path):
    (tmp_path / "x.tif").write_bytes(tiff_bytes(8, 2, 4, body=bytes([0xF3]) * 8))
    try:
        found = images.read_image(tmp_path / "x.tif")
    except cli.UserError as mistake:
        assert "4-bit integers requires the 'imagecodecs' package" in str(mistake)
    else:
        assert np.array_equal(found, [[255, 51]] * 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_white_is_zero_tiff_is_turned_round(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "white.tif", ramp(dtype), photometric="miniswhite")
    tifffile.imwrite(tmp_path / "black.tif", ramp(dtype))
    turned, plain = (images.read_image(tmp_path / f"{name}.tif") for name in ("white", "black"))
    assert np.array_equal(turned, 255 - plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_also_in_lzw(tmp_path, dtype):
    path = tmp_path / "white.tif"
    cv2.imwrite(str(path), ramp(dtype), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    plain = images.read_image(path)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(0)
    assert np.array_equal(images.read_image(path), 255 - plain)


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_more_packed_data_than_pixels_is_refused(tmp_path, compression):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((500, 30), np.uint8), compression=compression, rowsperstrip=500)
    assert not images.read_image(path).any()
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(20)
        tif.pages[0].tags["RowsPerStrip"].overwrite(20)
    with pytest.raises(cli.UserError, match="more data in it than its size says"):
        images.read_image(path)


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


def test_a_thumbnail_before_the_image_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(np.zeros((5, 6), np.uint8), subfiletype=1)
        tif.write(ramp())
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), ramp())


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_part_cut_short_is_refused(tmp_path, compression):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, ramp(), compression=compression)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        counts = tif.pages[0].tags["StripByteCounts"]
        counts.overwrite(counts.value[0] - 5)
    with pytest.raises(cli.UserError, match="cut short"):
        images.read_image(path)


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "x.tif"
    sample = np.zeros((4000, 4000), np.uint8)
    tifffile.imwrite(path, sample, compression="zlib", rowsperstrip=4000)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for tag in ("ImageLength", "RowsPerStrip", "ImageWidth"):
            tif.pages[0].tags[tag].overwrite(100)
    tracemalloc.start()
    with pytest.raises(cli.UserError, match="more data in it than its size says"):
        images.read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < sample.size


@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [(np.uint8, False), (np.uint8, True), (np.uint16, True), (np.float32, False)],
)
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 16)}])
def test_each_packed_part_is_unpacked_once(tmp_path, dtype, predictor, layout):
    path, sample = tmp_path / "x.tif", ramp(dtype)
    options = {"compression": "zlib", "predictor": predictor, **layout}
    tifffile.imwrite(path, sample, byteorder=">", **options)
    with tifffile.TiffFile(path) as tif:
        parts = len(tif.pages[0].dataoffsets)
    with (
        mock.patch.object(zlib, "decompressobj", wraps=zlib.decompressobj) as ours,
        mock.patch.object(zlib, "decompress", wraps=zlib.decompress) as tifffiles,
    ):
        found = images.decode(path)
    assert np.array_equal(found, sample) and found.dtype == dtype
    assert ours.call_count == parts > 1 and tifffiles.call_count == 0


def test_empty_parts_are_zero(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.full((20, 30), 9, np.uint8), compression="zlib", rowsperstrip=10)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        counts = tif.pages[0].tags["StripByteCounts"].value
        tif.pages[0].tags["StripByteCounts"].overwrite((0, counts[1]))
    assert images.read_image(path).mean(axis=1).tolist() == [0] * 10 + [9] * 10


def test_suffixes_of_tiff_in_any_case():
    assert tiff.is_tiff("a.TIF") and tiff.is_tiff("a.tiff") and not tiff.is_tiff("tif.png")
