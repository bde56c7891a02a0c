"""From an image's file to its pixels as stored, whatever library has the codec."""

import contextlib
import re
import warnings
from pathlib import Path

import numpy as np

from myelin.images.formats import decode_foreign, is_foreign
from myelin.images.size_limits import check_scans, tiff_room
from myelin.images.tiff import black_is_0, check_colours, decode_tiff_page, is_tiff, open_page
from myelin.images.tiff_planes import with_page_first
from myelin.runtime.cli import silent_stderr

LIBTIFF = ("JPEG", "OJPEG", "LZW", "CCITTRLE", "CCITT_T4", "CCITT_T6")
# How libjpeg and libtiff say that pixels are not what was written.
DAMAGE = re.compile(
    "corrupt|premature|not enough data|not yet in table|bad code word|line length|TIFF_Error", re.I
)


def decode(path, take=None):
    """Return an image as stored: (rows, cols) or (rows, cols, channels RGB[A]), any dtype.

    What a decoder mends or guesses is an error: it goes on after most damage, and only says so.
    """
    with silent_stderr() as said:
        image = decode_unheard(path, take)
    for line in said:
        if DAMAGE.search(line):
            raise ValueError(line.strip())
    return image


def decode_unheard(path, take=None):
    """Return as `decode`, whatever the decoder says."""
    if is_foreign(path):
        return decode_foreign(Path(path), take or {})
    white_is_0 = False
    with open(path, "rb") as file:
        if is_tiff(path):
            from tifffile import COMPRESSION, PHOTOMETRIC, TIFF

            page = open_page(file, take).page
            if not tiff_room(page, page.parent.filehandle.size):
                raise ValueError("cut short")
            check_colours(page)
            # The others Pillow or OpenCV has, whose libtiff says what is damaged: where imagecodecs
            # is installed tifffile has them too, and does not.
            others = [COMPRESSION[name] for name in LIBTIFF]
            if page.compression in TIFF.DECOMPRESSORS and page.compression not in others:
                return decode_tiff_page(page)
            if page.offset != page.parent.pages.first.offset:
                file = with_page_first(file, page)
            if page.compression == COMPRESSION.JPEG:
                check_jpeg_parts(file, page)
            if page.bitspersample == 8:  # OpenCV would multiply colours by alpha
                with open_with_pillow(file, "TIFF") as opened:
                    return np.asarray(opened.convert("RGB") if opened.mode == "P" else opened)
            white_is_0 = page.photometric == PHOTOMETRIC.MINISWHITE  # OpenCV leaves it so
        file.seek(0)
        content = file.read()
    if content.startswith(b"\xff\xd8"):
        check_scans(content)
    image = decode_with_opencv(content)
    return black_is_0(image) if white_is_0 else image


def check_jpeg_parts(file, page):
    """Let OpenCV say what is damaged in a TIFF of JPEGs: Pillow, which reads them, does not."""
    parts = []
    for place, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(place)
        parts.append(file.read(count))
    check_scans(b"".join(parts), len(parts))
    file.seek(0)
    with contextlib.suppress(ValueError):  # not all that Pillow reads
        decode_with_opencv(file.read())


def decode_with_opencv(content):
    """Return an image in memory as `decode`."""
    import cv2

    # imdecode of bytes, not imread: imread fails on non-ASCII paths on Windows.
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("damaged or cut short")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]  # OpenCV stores BGR
    return image


def open_with_pillow(file, *formats):
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is below ours
    # Of damaged metadata that do not matter here; damaged pixels are an error.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:  # whose text names an object of Python
        raise ValueError(f"not a {' or '.join(formats)}") from None
