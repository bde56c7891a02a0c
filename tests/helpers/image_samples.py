"""Image files that several test files write: good ones, and every kind of bad one."""

import math
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import data

LUMINANCE = [0.299, 0.587, 0.114]


def stored_files():
    """Return {name: bytes} of the packed arrays, temporary files included."""
    return {path.name: path.read_bytes() for path in Path("npydata").iterdir()}


def refused(capfd, code=2):
    """Pack, expecting failure; return the lines on stderr, which must all be plain errors."""
    with pytest.raises(SystemExit) as stop:
        data.main([])
    assert stop.value.code == code
    lines = capfd.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines) or code != 2, lines
    return lines


def tiff_bytes(rows, cols, bits=8, photometric=1, body=b"", description=b""):
    """Build a TIFF of one uncompressed grey strip by hand, with its directory before its body."""
    tags = [(256, 4, cols), (257, 4, rows), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(270, 2, 0)] if description else []
    tags += [(273, 4, 0), (277, 3, 1), (278, 4, rows), (279, 4, len(body) or 600)]
    end = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, kind, value in tags:
        count = len(description) if tag == 270 else 1
        value = {270: end, 273: end + len(description)}.get(tag, value)
        entries += struct.pack("<HHII", tag, kind, count, value)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + entries + struct.pack("<I", 0) + description + body


def png_bytes(rows, cols):
    """Build a PNG by hand that claims a size and holds nothing."""
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body
        chunks += struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


def ramp(dtype=np.uint8, channels=None):
    """Return a (20, 30[, channels]) image whose values all differ, up to about 200."""
    shape = (20, 30) if channels is None else (20, 30, channels)
    return (np.arange(math.prod(shape)) * 200 / math.prod(shape)).reshape(shape).astype(dtype)


def cut_short(path):
    """Write the first half of an image."""
    whole = cv2.imencode(path.suffix, np.tile(ramp(), (5, 5)))[1].tobytes()
    path.write_bytes(whole[: len(whole) // 2])


def animated(path):
    """Write a PNG of two pages."""
    first, second = (Image.new("L", (9, 9), value) for value in (0, 9))
    first.save(path, save_all=True, append_images=[second])


NAN = np.where(ramp() == 0, np.nan, ramp(np.float32))
HUGE = np.where(ramp() == 0, -1e308, 1e308)
STACK = b"ImageJ=1.53\nimages=7\n\0"
GREY = {"photometric": "minisblack"}


def tiff_of(sample, **options):
    """Return a function that writes a sample as TIFF."""
    return lambda path: tifffile.imwrite(path, sample, **options)


def bytes_of(content):
    """Return a function that writes some content."""
    return lambda path: path.write_bytes(content)


# How to write each kind of bad image, and what its error says.
BAD_IMAGES = {
    "text.png": (bytes_of(b"not an image"), "(not a PNG or JPEG or BMP)"),
    "empty.bmp": (bytes_of(b""), "(empty, 0 bytes)"),
    "no_page.tif": (bytes_of(b"II*\0\xff\xff\0\0"), "no page in it, or cut short"),
    "cut.tif": (cut_short, "cut short"),
    "cut.png": (cut_short, "cannot be read as an image"),
    "cut.jpg": (cut_short, "damaged or cut short"),
    "nan.tif": (tiff_of(NAN), "NaN, infinite or huge pixels"),
    "huge_values.tif": (tiff_of(HUGE), "NaN, infinite or huge pixels"),
    "complex.tif": (tiff_of(ramp(np.complex64)), "complex64"),
    "cmyk.tif": (tiff_of(ramp(channels=4), photometric="separated"), "colours as SEPARATED"),
    "bands.tif": (
        tiff_of(ramp(channels=5), planarconfig="contig", **GREY),
        "5 channels in one file",
    ),
    "pages.tif": (tiff_of(np.zeros((3, 20, 30), np.uint8), **GREY), "3 pages in one file"),
    "stack.tif": (
        bytes_of(tiff_bytes(20, 30, body=bytes(600), description=STACK)),
        "7 pages in one file",
    ),
    "animated.png": (animated, "2 pages in one file"),
    "huge.tif": (
        bytes_of(tiff_bytes(2**20, 2**20, body=bytes(600))),
        "claims 1048576 x 1048576 pixels",
    ),
}


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" SizeX="3" SizeY="2" {sizes}/></Image></OME>'
)


def ome_image(path, sizes):
    """Write an OME-TIFF with some attributes of its `Pixels`; return its path."""
    xml = OME.format(sizes=sizes)
    path.write_bytes(tiff_bytes(2, 3, body=bytes(6), description=xml.encode() + b"\0"))
    return path
