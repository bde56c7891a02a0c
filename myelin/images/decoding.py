"""Read the header and the pixels of TIFF, PNG, JPEG and BMP files."""

import io
import logging
import re
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from myelin.images.plane_selection import chosen, several_pages
from myelin.images.stated_size import stated_sizes
from myelin.images.tiff_planes import pick_page
from myelin.runtime.cli import UserError, silent_stderr

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffFile, TiffPage

# Messages of libjpeg and libtiff about pixels that differ from what was written.
DAMAGE = re.compile(
    "corrupt|premature|not enough data|not yet in table|bad code word|line length|TIFF_Error", re.I
)
COLOURS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE")
JPEG = 7  # number of the TIFF compression whose codec turns YCbCr into RGB
ORIENTATION = 274  # tag of TIFF and EXIF; 1 for an image that is shown as it is stored
# Damaged files are reported in one error line of ours instead.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def is_tiff(path: str | Path) -> bool:
    """Return whether a file is TIFF by its suffix."""
    return Path(path).suffix.lower() in (".tif", ".tiff", ".svs")


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
                facts["turned"] = opened.getexif().get(ORIENTATION, 1) not in (0, 1)
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


# ---------------------------------------------------------------- TIFF


def open_tiff(file: BinaryIO) -> "TiffFile":
    """Open a TIFF without the files it names and the pages of makers' own dialects."""
    from tifffile import TiffFile

    return TiffFile(file, is_lsm=False, is_ndpi=False, is_scanimage=False, _multifile=False)


def tiff_header(file: BinaryIO, take: dict) -> dict:
    """Return the header of the chosen image, see `read_header`."""
    with open_tiff(file) as tif:
        page, series, shrinking, _ = pick_page(tif, file.name, take)
        sizes, source = stated_sizes(tif, series, shrinking)
        colours = getattr(page.photometric, "name", page.photometric)
        if colours not in COLOURS and (colours, page.compression) != ("YCBCR", JPEG):
            raise ValueError(f"colours as {colours}")
        ends = [at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > tif.filehandle.size:
            raise ValueError("cut short")
        return {
            "shape": (int(page.imagelength), int(page.imagewidth)),
            "bits": int(np.max(page.bitspersample)),
            "channels": int(page.imagedepth) * int(page.samplesperpixel),
            "pixel_sizes_um": sizes,
            "pixel_size_source": source,
            "turned": page.tags.valueof(ORIENTATION, 1) not in (0, 1),
        }


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


def decode_tiff_page(page: "TiffPage", path: Path) -> np.ndarray:
    """Return a page as grey or RGB: 0 is black, palettes are applied, channels come last."""
    from tifffile import PHOTOMETRIC

    try:
        image = page.asarray()
    except Exception as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        parts = [page.compression, *([page.predictor] if page.predictor > 1 else [])]
        names = ", predictor ".join(getattr(part, "name", str(part)) for part in parts)
        raise UserError(
            f"{path}: its decoder is not installed (compression {names}), run pip install "
            "imagecodecs, or save it without compression"
        ) from None
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.moveaxis(page.colormap[:, image] // 256, 0, -1).astype(np.uint8)
    if page.bitspersample < 8:  # values of 0 to 1, 3 or 15
        image = image.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        image = ~image if image.dtype.kind == "u" else image.max() - image
    return np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image


def first_page_moved(file: BinaryIO, page: "TiffPage") -> io.BytesIO:
    """Return an open TIFF, in memory, whose first page is `page`, for Pillow and OpenCV.

    Its orientation is set to that of the pixels as they are stored: both would turn them.
    """
    file.seek(0)
    content = bytearray(file.read())
    form, start = ("Q", 8) if page.parent.is_bigtiff else ("I", 4)
    order, tag = page.parent.byteorder, page.tags.get(ORIENTATION)
    struct.pack_into(order + form, content, start, page.offset)
    if tag and tag.count == 1:
        struct.pack_into(order + tag.dataformat, content, tag.valueoffset, 1)
    return io.BytesIO(content)
