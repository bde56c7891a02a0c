"""Read the header and the pixels of one TIFF page with tifffile."""

import io
import logging
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from myelin.images.stated_size import stated_sizes
from myelin.images.tiff_planes import pick_page
from myelin.runtime.cli import UserError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

COLOURS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE")
JPEG = 7  # number of the TIFF compression whose codec turns YCbCr into RGB
ORIENTATION = 274  # tag of TIFF and EXIF; 1 for an image that is shown as it is stored
# Damaged files are reported in one error line of ours instead.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def is_tiff(path: str | Path) -> bool:
    """Return whether a file is TIFF by its suffix."""
    return Path(path).suffix.lower() in (".tif", ".tiff", ".svs")


def open_tiff(file: BinaryIO) -> "TiffFile":
    """Open a TIFF without the files it names and the pages of makers' own dialects."""
    from tifffile import TiffFile

    return TiffFile(file, is_lsm=False, is_ndpi=False, is_scanimage=False, _multifile=False)


def tiff_header(file: BinaryIO, take: dict) -> dict:
    """Return the header of the chosen image, see `decoding.read_header`."""
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
