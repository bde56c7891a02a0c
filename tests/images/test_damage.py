"""Damaged files and absurd sizes: refused in one line that names the file, or read whole."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import fuzzing
import mutations
import numpy as np
import pytest
import tifffile
from image_samples import BAD_IMAGES, png_bytes, ramp, refused, tiff_bytes
from PIL import Image
from whole_files import drawing, encoded, table_samples, with_pillow, with_tifffile

from myelin.images import image as images
from myelin.runtime.cli import UserError


def refusal(path, content):
    """Return the message that refuses a file."""
    path.write_bytes(content)
    with pytest.raises(UserError) as mistake:
        images.read_image(path)
    assert str(mistake.value).startswith(f"{path}: ")
    return str(mistake.value)


def retagged(content, **values):
    """Return a TIFF with other values of some tags of its first page."""
    file = io.BytesIO(content)
    with tifffile.TiffFile(file, mode="r+b") as tif:
        for name, value in values.items():
            tif.pages[0].tags[name].overwrite(value)
        return file.getvalue()


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_one_error_that_names_it(folder, capfd, name):
    write, reason = BAD_IMAGES[name]
    write(folder / "raw/test" / name)
    lines = refused(capfd)
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {Path('raw/test') / name}: ") and reason in lines[0]


@pytest.mark.parametrize("content", [tiff_bytes(2**16, 2**16), png_bytes(2**16, 2**16)])
def test_an_absurd_size_is_refused_before_decoding(tmp_path, content):
    path = tmp_path / ("x.tif" if content.startswith(b"II") else "x.png")
    refusal(path, content)  # the libraries are imported
    tracemalloc.start()
    message, peak = refusal(path, content), tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "65536 x 65536" in message or "cut short" in message
    assert peak < 2**20


@pytest.mark.parametrize("name", ["jpg", "png", "bmp", "deflate", "plain", "lzw", "fax"])
def test_a_size_that_a_file_cannot_hold_is_refused_by_its_header(tmp_path, name):
    """A JPEG of 1.4 kB that claimed 20,000 x 20,000 pixels took 25 s and 3.9 GB."""
    grey, side = drawing(), 20_000
    sides = {"ImageWidth": side, "ImageLength": side, "RowsPerStrip": side}
    jpeg, png, bmp = (encoded(grey, suffix) for suffix in (".jpg", ".png", ".bmp"))
    place = jpeg.find(b"\xff\xc0")
    content = {
        "jpg": jpeg[: place + 5] + struct.pack(">HH", side, side) + jpeg[place + 9 :],
        "png": png[:16] + struct.pack(">II", side, side) + png[24:],
        "bmp": bmp[:18] + struct.pack("<ii", side, side) + bmp[26:],
        "deflate": retagged(with_tifffile(grey, compression="zlib"), **sides),
        "plain": retagged(with_tifffile(grey), **sides),
        "lzw": retagged(with_pillow(grey, "TIFF", compression="tiff_lzw"), **sides),
        "fax": retagged(with_pillow(grey > 100, "TIFF", compression="group4"), **sides),
    }[name]
    if name == "png":
        content = content[:29] + struct.pack(">I", zlib.crc32(content[12:29])) + content[33:]
    path = tmp_path / ("x.tif" if content[:2] == b"II" else f"x.{name}")
    assert "cannot hold 20000 x 20000 pixels" in refusal(path, content)


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_one_value_is_read_however_short_its_file(tmp_path, value):
    side = 2000
    grey = np.full((side, side), value, np.uint8)
    rgb = np.stack([grey] * 3, -1)
    files = {
        "x.png": with_pillow(grey, "PNG", optimize=True),
        "bits.png": with_pillow(grey > 0, "PNG", optimize=True),
        "x.jpg": encoded(grey, ".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1),
        "rgb.jpg": encoded(rgb, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "x.bmp": with_pillow(grey, "BMP"),
        "lzma.tif": with_tifffile(grey, compression="lzma", rowsperstrip=side),
    }
    for packing in ("tiff_lzw", "packbits", "tiff_deflate"):
        files[f"{packing}.tif"] = with_pillow(grey, "TIFF", compression=packing)
    files["jpeg.tif"] = with_pillow(rgb, "TIFF", compression="jpeg")
    files["fax.tif"] = with_pillow(grey > 0, "TIFF", compression="group4")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert (images.read_image(tmp_path / name) == value).all(), name


@pytest.mark.parametrize("kind", ["jpg", "lzw1.tif", "fax.tif"])
def test_damage_that_a_decoder_only_mentions_is_an_error(tmp_path, capfd, kind):
    image = drawing(200, 300)
    whole = {
        "jpg": lambda: encoded(image, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 5),
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


@pytest.mark.parametrize("compression", ["zlib", "lzma", "packbits", "lzw"])
def test_a_strip_cut_short_is_refused(tmp_path, compression):
    if compression in ("packbits", "lzw"):
        names = {"packbits": "packbits", "lzw": "tiff_lzw"}
        content = with_pillow(drawing(), "TIFF", compression=names[compression])
    else:
        content = with_tifffile(drawing(), compression=compression)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        counts = tif.pages[0].tags["StripByteCounts"].value
    short = retagged(content, StripByteCounts=(counts[0] - 50, *counts[1:]))
    assert "cannot be read as an image" in refusal(tmp_path / "x.tif", short)


@pytest.mark.parametrize("order", ["self", "pair"])
def test_pages_that_follow_each_other_in_a_circle_are_refused(tmp_path, order):
    content = bytearray(tiff_bytes(20, 30, body=bytes(600)))
    end = 8 + 2 + 9 * 12  # of the first page's tags
    content[end : end + 4] = struct.pack("<I", 8 if order == "self" else len(content))
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
    ("kind", "count"), [("images", 600), ("arrays", 250), ("tables", 80), ("outlines", 200)]
)
def test_damaged_files_are_read_or_refused_by_one_line(kind, count):
    """`benchmarks/faults.py` tries many more."""
    found = list(fuzzing.run(kind, 1, range(count)))
    assert [facts for facts in found if facts["outcome"] not in fuzzing.GOOD] == []
    assert len(found) == count
    assert {facts["outcome"] for facts in found} == set(fuzzing.GOOD)


@pytest.mark.slow
def test_damaged_model_files_are_read_or_refused_by_one_line(small_network, tmp_path):
    """In this process: the whole file needs Keras, which takes long to start."""
    outcomes = []
    for number, _, content in mutations.cases("models", 1, range(80)):
        path = tmp_path / f"{number}.h5"
        path.write_bytes(content)
        outcomes.append(fuzzing.judge(fuzzing.read_model, path, 1)["outcome"])
        path.unlink()
    assert set(outcomes) == set(fuzzing.GOOD)


@pytest.mark.slow
def test_a_reader_that_hangs_dies_or_fails_is_told_from_one_that_refuses(tmp_path):
    suite = tmp_path / "suite"
    for name in ("myelin/runtime", "myelin/statistics", "raw"):
        (suite / name).mkdir(parents=True)
    (suite / "unet.py").write_text("")
    (suite / "myelin/runtime/cli.py").write_text(
        "class UserError(Exception): pass\ndef script(main):\n    return main\n"
    )
    (suite / "myelin/statistics/groups.py").write_text(
        "import os, time\n"
        "def read_groups(path, names):\n"
        "    if path.name == '4.csv': time.sleep(99)\n"
        "    if path.name == '1.csv': os.kill(os.getpid(), 11)\n"
        "    if path.name == '2.csv': raise TypeError\n"
        "    if path.name == '3.csv': raise SystemExit(2)\n"
    )
    found = list(fuzzing.run("tables", 1, range(5), suite, patience_s=12))
    outcomes = [facts["outcome"] for facts in found]
    assert outcomes[1].startswith("exit")
    assert [outcomes[0], *outcomes[2:]] == ["read", "TypeError", "0 lines", "slow"]
    assert set(table_samples()) == {facts["name"] for facts in found[:4]}
