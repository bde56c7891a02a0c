"""Read the header and the pixels of TIFF, PNG, JPEG and BMP files."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from myelin.images.plane_selection import chosen, several_pages
from myelin.images.tiff import decode_tiff_page, first_page_moved, is_tiff, open_tiff, tiff_header
from myelin.images.tiff_planes import pick_page
from myelin.runtime.cli import silent_stderr

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffPage

# Messages of libjpeg and libtiff about pixels that differ from what was written.
DAMAGE = re.compile(
    "corrupt|premature|not enough data|not yet in table|bad code word|line length|TIFF_Error", re.I
)


def read_header(path: Path, take: dict) -> dict:
    """Return the contents of a file's header, as the fields of an `ImageRecord` and "channels"."""
    with open(path, "rb") as file:
        if not file.seek(0, 2):
            raise ValueError("empty, 0 bytes")
        file.seek(0)
        if is_tiff(path):
            return tiff_header(file, take)
        with open_with_pillow(file, "PNG", "JPEG", "BMP") as opened:
            count = getattr(opened, "n_frames", 1)
            if count > 1:
                raise several_pages(path, count)
            chosen(path, {}, take)
            facts = {"shape": opened.size[::-1], "bits": 8, "channels": len(opened.getbands())}
            if opened.format != "PNG" or "exif" in opened.info:  # a PNG would be decoded
                facts["turned"] = opened.getexif().get(274, 1) not in (0, 1)
            if opened.format == "PNG":
                opened.verify()  # OpenCV would reserve the memory that a damaged chunk claims
                file.seek(24)  # bit depth, PNG specification 11.2.1
                facts["bits"] = file.read(1)[0]
    return facts


def decode(path: Path, take: dict) -> np.ndarray:
    """Return an image as stored, (rows, cols) or (rows, cols, channels RGB[A]).

    Damage that the decoder reports is a ValueError, even if it went on after it.
    """
    with silent_stderr() as messages:
        image = decode_tiff(path, take) if is_tiff(path) else decode_with_opencv(path.read_bytes())
    for line in messages:
        if DAMAGE.search(line):
            raise ValueError(line.strip())
    return image


def decode_tiff(path: Path, take: dict) -> np.ndarray:
    """Return the chosen image of a TIFF, see `decode`."""
    from tifffile import PHOTOMETRIC

    with open(path, "rb") as file, open_tiff(file) as tif:
        page, _, _, sample = pick_page(tif, path, take)
        if sample is not None:
            return decode_tiff_page(page, path)[..., sample]
        if not is_for_libtiff(page):
            return decode_tiff_page(page, path)
        whole = first_page_moved(file, page)
        if page.bitspersample == 8:  # OpenCV would multiply colours by alpha
            with open_with_pillow(whole, "TIFF") as opened:
                return np.asarray(opened.convert("RGB") if opened.mode == "P" else opened)
        image = decode_with_opencv(whole.read())
        # OpenCV leaves white at 0.
        return ~image if page.photometric == PHOTOMETRIC.MINISWHITE else image


def is_for_libtiff(page: "TiffPage") -> bool:
    """Return whether Pillow and OpenCV decode a page: libtiff reports damage, tifffile does not.

    They read int8 as uint8, and deeper colours in separate planes as if they were side by side.
    """
    from tifffile import COMPRESSION

    codecs = "JPEG OJPEG LZW CCITTRLE CCITT_T4 CCITT_T6".split()
    if page.compression not in [COMPRESSION[name] for name in codecs]:
        return False
    if page.bitspersample <= 8:
        return page.dtype != np.int8
    separate = page.samplesperpixel > 1 and page.planarconfig == 2
    return page.dtype != np.float16 and not separate and page.compression != COMPRESSION.JPEG


def decode_with_opencv(content: bytes) -> np.ndarray:
    """Return an image in memory, see `decode`."""
    import cv2

    # imdecode of bytes, not imread: imread fails on non-ASCII paths on Windows.
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("damaged or cut short")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]  # OpenCV stores BGR
    return image


def open_with_pillow(file: BinaryIO, *formats: str) -> "Image":
    """Open an image with Pillow as one of some formats."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is below ours
    warnings.filterwarnings("ignore", module="PIL")  # about damaged metadata, which is harmless
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:  # its text names a Python object
        raise ValueError(f"not a {' or '.join(formats)}") from None
