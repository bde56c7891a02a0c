"""Damaged files and absurd sizes: refused in one line that names the file, or read whole."""

import io
import struct
import tracemalloc

import cv2
import fuzzing
import numpy as np
import pytest
import tifffile
from image_samples import png_bytes, ramp, tiff_bytes
from PIL import Image
from whole_files import drawing, encoded, with_pillow, with_tifffile

from myelin.images import image as images
from myelin.runtime.cli import UserError


def refusal(path, content):
    """Return the message that refuses a file."""
    path.write_bytes(content)
    with pytest.raises(UserError) as mistake:
        images.read_image(path)
    assert str(mistake.value).startswith(f"{path}: ")
    return str(mistake.value)


@pytest.mark.parametrize("content", [tiff_bytes(2**16, 2**16), png_bytes(2**16, 2**16)])
def test_an_absurd_size_is_refused_before_decoding(tmp_path, content):
    path = tmp_path / ("x.tif" if content.startswith(b"II") else "x.png")
    refusal(path, content)  # the libraries are imported
    tracemalloc.start()
    message, peak = refusal(path, content), tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "65536 x 65536" in message or "cut short" in message
    assert peak < 2**20


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_damage_that_a_decoder_only_mentions_is_an_error(tmp_path, capfd, suffix):
    image, path = drawing(200, 300), tmp_path / f"x.{suffix}"
    if suffix == "jpg":
        whole = encoded(image, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 5)
    else:
        whole = with_pillow(image > 100, "TIFF", compression="group4")
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


@pytest.mark.parametrize("compression", ["zlib", "lzw"])
def test_a_strip_cut_short_is_refused(tmp_path, compression):
    if compression == "lzw":
        content = with_pillow(drawing(), "TIFF", compression="tiff_lzw")
    else:
        content = with_tifffile(drawing(), compression=compression)
    file = io.BytesIO(content)
    with tifffile.TiffFile(file, mode="r+b") as tif:
        counts = tif.pages[0].tags["StripByteCounts"]
        counts.overwrite((counts.value[0] - 50, *counts.value[1:]))
    assert "cannot be read as an image" in refusal(tmp_path / "x.tif", file.getvalue())


def test_pages_that_follow_each_other_in_a_circle_are_refused(tmp_path):
    content = bytearray(tiff_bytes(20, 30, body=bytes(600)))
    end = 8 + 2 + 9 * 12  # of the first page's tags
    content[end : end + 4] = struct.pack("<I", len(content))
    content += struct.pack("<HHHIII", 1, 254, 4, 1, 1, 8)
    assert "in a circle" in refusal(tmp_path / "x.tif", bytes(content))


def test_a_chunk_of_a_png_longer_than_the_file_is_refused(tmp_path):
    """OpenCV would reserve the gigabyte that it claims."""
    content = encoded(drawing(), ".png")
    place = content.find(b"IDAT") - 4
    content = content[:place] + struct.pack(">I", 2**30) + content[place + 4 :]
    assert "cannot be read as an image" in refusal(tmp_path / "x.png", content)


def test_an_image_that_changes_after_its_header_was_read_is_refused(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "x.png")
    record = images.read_record(tmp_path / "x.png")
    Image.fromarray(ramp()[:10]).save(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"cannot be read as an image \(uint8 of shape"):
        images.read_image(record)


# ---------------------------------------------------------------- random damage


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"),
    [("images", 600), ("arrays", 250), ("tables", 80), ("outlines", 200), ("models", 80)],
)
def test_damaged_files_are_read_or_refused_by_one_line(kind, count):
    """`benchmarks/faults.py` tries many more."""
    found = list(fuzzing.run(kind, 1, range(count)))
    assert [facts for facts in found if facts["outcome"] not in fuzzing.GOOD] == []
    assert len(found) == count
    assert {facts["outcome"] for facts in found} == set(fuzzing.GOOD)
