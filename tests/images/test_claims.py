"""What an image may claim is bounded by its file's bytes; damage that a decoder sees is named."""

import io
import struct
import time
import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import ome_image, ramp, refusal, tiff_bytes
from PIL import Image
from whole_files import drawing, encoded, with_pillow, with_tifffile

from myelin.images import image as images
from myelin.images import size_limits as claims
from myelin.runtime.cli import UserError


def retagged(content, **values):
    """Return a TIFF with other values of some tags of its first page."""
    file = io.BytesIO(content)
    with tifffile.TiffFile(file, mode="r+b") as tif:
        for name, value in values.items():
            tif.pages[0].tags[name].overwrite(value)
        return file.getvalue()


def test_more_packed_bits_than_pixels_are_refused(tmp_path):
    """4 MB for an image of 64 x 64 took 26 s and 2.3 GB."""
    body = bytes([255, 7]) * 200_000
    content = retagged(tiff_bytes(64, 64, body=body), Compression=32773)
    message = refusal(tmp_path / "x.tif", content)
    assert "more data in it than its size says" in message


def test_packbits_are_read_as_another_reader_does(tmp_path):
    for image in (drawing() // 16 * 16, drawing() > 100):
        (tmp_path / "x.tif").write_bytes(with_pillow(image, "TIFF", compression="packbits"))
        with Image.open(tmp_path / "x.tif") as opened:
            expected = np.asarray(opened)
        if image.dtype == bool:
            expected = expected * np.uint8(255)
        assert np.array_equal(images.read_image(tmp_path / "x.tif"), expected)


def larger_jpeg(content, side):
    """Return a JPEG whose header says that it is side x side pixels."""
    place = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return content[: place + 5] + struct.pack(">HH", side, side) + content[place + 9 :]


@pytest.mark.parametrize("name", ["jpg", "png", "bmp", "deflate", "plain", "lzw", "fax"])
def test_a_size_that_a_file_cannot_hold_is_refused_by_its_header(tmp_path, name):
    """A JPEG of 1.4 kB that claimed 20,000 x 20,000 pixels took 25 s and 3.9 GB."""
    grey, side = drawing(), 20_000
    sides = {"ImageWidth": side, "ImageLength": side, "RowsPerStrip": side}
    content = {
        "jpg": lambda: larger_jpeg(encoded(grey, ".jpg"), side),
        "png": lambda: (
            encoded(grey, ".png")[:16] + struct.pack(">II", side, side) + encoded(grey, ".png")[24:]
        ),
        "bmp": lambda: (
            encoded(grey, ".bmp")[:18] + struct.pack("<ii", side, side) + encoded(grey, ".bmp")[26:]
        ),
        "deflate": lambda: retagged(with_tifffile(grey, compression="zlib"), **sides),
        "plain": lambda: retagged(with_tifffile(grey), **sides),
        "lzw": lambda: retagged(with_pillow(grey, "TIFF", compression="tiff_lzw"), **sides),
        "fax": lambda: retagged(with_pillow(grey > 100, "TIFF", compression="group4"), **sides),
    }[name]()
    path = tmp_path / ("x.tif" if content[:2] == b"II" else f"x.{name}")
    if name == "png":
        content = with_checksum(content)
    assert "cut short" in refusal(path, content)
    with pytest.raises(UserError, match="cannot hold 20000 x 20000 pixels"):
        images.read_record(path)


def with_checksum(png):
    """Return a PNG whose header has the right checksum."""
    import zlib

    return png[:29] + struct.pack(">I", zlib.crc32(png[12:29])) + png[33:]


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_one_value_is_read_however_short_its_file(tmp_path, value):
    side = 2000
    grey = np.full((side, side), value, np.uint8)
    files = {
        "x.png": with_pillow(grey, "PNG", optimize=True),
        "bits.png": with_pillow(grey > 0, "PNG", optimize=True),
        "x.jpg": encoded(grey, ".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1),
        "p.jpg": encoded(grey, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "rgb.jpg": encoded(np.stack([grey] * 3, -1), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "x.bmp": with_pillow(grey, "BMP"),
        "deflate.tif": with_tifffile(grey, compression="zlib", rowsperstrip=side),
        "lzma.tif": with_tifffile(grey, compression="lzma", rowsperstrip=side),
        "lzw.tif": with_pillow(grey, "TIFF", compression="tiff_lzw"),
        "packbits.tif": with_pillow(grey, "TIFF", compression="packbits"),
        "jpeg.tif": with_pillow(np.stack([grey] * 3, -1), "TIFF", compression="jpeg"),
        "fax.tif": with_pillow(grey > 0, "TIFF", compression="group4"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert (images.read_image(tmp_path / name) == value).all(), name


@pytest.mark.parametrize("kind", ["jpg", "jpeg.tif", "lzw1.tif", "fax.tif"])
def test_damage_that_a_decoder_only_mentions_is_an_error(tmp_path, capfd, kind):
    image = drawing(200, 300)
    whole = {
        "jpg": lambda: encoded(image, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 5),
        "jpeg.tif": lambda: with_pillow(image, "TIFF", compression="jpeg"),
        "lzw1.tif": lambda: with_pillow(image > 100, "TIFF", compression="tiff_lzw"),
        "fax.tif": lambda: with_pillow(image > 100, "TIFF", compression="group4"),
    }[kind]()
    path = tmp_path / f"x.{kind}"
    path.write_bytes(whole)
    images.read_image(path)
    refused = 0
    for seed in range(10):
        content, place = bytearray(whole), len(whole) // 4 + seed * len(whole) // 20
        content[place : place + 16] = np.random.default_rng(seed).bytes(16)
        path.write_bytes(content)
        try:
            images.read_image(path)
        except UserError:
            refused += 1
    assert refused >= 6  # the others are changed pixels, whole as a file
    assert capfd.readouterr().err == ""


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    """Each scan passes over all pixels."""
    content = encoded(drawing(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = content.rfind(b"\xff\xda")
    scans = content[last:-2] * (claims.MAX_SCANS + 2)
    assert "scans in a JPEG" in refusal(tmp_path / "x.jpg", content[:last] + scans + b"\xff\xd9")


def test_parts_that_overlap_and_tiles_beyond_all_measure_are_refused(tmp_path):
    content = with_tifffile(drawing(), compression="zlib", rowsperstrip=4)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        places = tif.pages[0].dataoffsets
        size = len(content) - places[0]
    overlapping = retagged(
        content, StripOffsets=[places[0]] * len(places), StripByteCounts=[size] * len(places)
    )
    assert "cut short" in refusal(tmp_path / "x.tif", overlapping)
    tiles = retagged(
        with_tifffile(drawing(), tile=(16, 16), compression="zlib"),
        TileWidth=2**15,
        TileLength=2**15,
    )
    assert "cannot be read" in refusal(tmp_path / "y.tif", tiles)


def test_long_texts_are_looked_through_and_not_kept(tmp_path):
    """OME-XML of 30 MB took 7 s and 1.2 GB."""
    path = ome_image(tmp_path / "x.tif", 'PhysicalSizeX="0.2"', f"<!--{'x' * 100_000}-->")
    assert images.read_record(path).pixel_size() == (0.2, "OME-XML")
    nested = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        + "<a b='c'/>" * 100_000
        + '<Pixels PhysicalSizeX="0.3"/></OME>'
    )
    path.write_bytes(tiff_bytes(2, 3, body=bytes(6), description=nested.encode() + b"\0"))
    tracemalloc.start()
    start = time.process_time()
    assert images.read_record(path).pixel_size() == (0.3, "OME-XML")
    assert time.process_time() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 5 * len(nested)
    tracemalloc.stop()
    text = b"ImageJ=1.53\nunit=um\n" + b"a=1\n" * 50_000 + b"\0"
    path.write_bytes(tiff_bytes(20, 30, body=ramp().tobytes(), description=text))
    assert images.read_record(path).pixel_size() == (None, "unknown")


def test_a_chunk_of_a_png_longer_than_the_file_is_refused(tmp_path):
    """The decoder would set its claimed gigabyte aside."""
    content = encoded(drawing(), ".png")
    place = content.find(b"IDAT") - 4
    content = content[:place] + struct.pack(">I", 2**30) + content[place + 4 :]
    assert "cut short" in refusal(tmp_path / "x.png", content)


def test_numbers_of_a_tiff_that_are_no_numbers_are_refused(tmp_path):
    for name in ("ImageLength", "BitsPerSample", "StripOffsets", "RowsPerStrip"):
        content = bytearray(with_tifffile(drawing()))
        with tifffile.TiffFile(io.BytesIO(content)) as tif:
            place = tif.pages[0].tags[name].offset
        content[place + 2 : place + 4] = struct.pack("<H", 1)  # BYTE, a text for tifffile
        assert f"its tag {name} is no" in refusal(tmp_path / "x.tif", bytes(content))
