"""What TIFF alone needs: pages, kinds of colour, parts unpacked with a limit."""

import logging
import lzma
import math
import zlib
from pathlib import Path

import numpy as np

from myelin.images.pixel_size import stated_sizes
from myelin.images.size_limits import tiff_room
from myelin.images.tiff_pages import list_pages
from myelin.images.tiff_planes import pick_page

# Damaged files are reported in one error line of ours instead.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def is_tiff(path):
    return Path(path).suffix.lower() in (".tif", ".tiff", ".svs")


def open_page(file, take=None):
    """Return the image of an open TIFF, or the one chosen of several, `tiff_planes.Picked`.

    Thumbnails do not count.
    """
    from tifffile import TiffFile

    places = [place for place, thumbnail in enumerate(list_pages(file)) if not thumbnail]
    if not places:
        raise ValueError("no page in it, or cut short")
    file.seek(0)
    # Of these makers' files tifffile would read far more pages than one.
    tif = TiffFile(file, is_lsm=False, is_ndpi=False, is_scanimage=False, _multifile=False)
    return pick_page(tif, places, file.name, take or {})


def tiff_header(file, take):
    """Return what an open TIFF's header says of an image in it.

    Returns
    -------
    values : int
    room : int
        Most bytes of pixels that the file can hold.
    facts : dict
        Of an `ImageRecord`.
    """
    page, series, shrinking = open_page(file, take)
    tif = page.parent
    shape = page.imagelength, page.imagewidth
    values = math.prod(shape) * page.imagedepth * page.samplesperpixel
    sizes, source = stated_sizes(tif, series, shrinking)
    facts = {"shape": shape, "bits": int(np.max(page.bitspersample))}
    room = tiff_room(page, tif.filehandle.size)
    return values, room, facts | {"pixel_sizes_um": sizes, "pixel_size_source": source}


def check_colours(page):
    """Raise where a TIFF page's numbers are neither grey, nor RGB, nor those of a palette."""
    from tifffile import COMPRESSION, PHOTOMETRIC

    # YCbCr only as JPEG, whose codec turns it into RGB.
    kinds = ["MINISWHITE", "MINISBLACK", "RGB", "PALETTE"]
    kinds += ["YCBCR"] if page.compression == COMPRESSION.JPEG else []
    if page.photometric not in [PHOTOMETRIC[kind] for kind in kinds]:
        raise ValueError(f"colours as {getattr(page.photometric, 'name', page.photometric)}")


def decode_tiff_page(page):
    """Return a TIFF page as grey or RGB: black is 0, palettes applied, channels last."""
    from tifffile import PHOTOMETRIC

    image = unpack_tiff_page(page)
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.moveaxis(page.colormap[:, image] // 256, 0, -1).astype(np.uint8)
    if page.bitspersample < 8:  # values of 0 to 1, 3 or 15
        image = image.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        image = black_is_0(image)
    return np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image


def unpack_tiff_page(page):
    """Return a TIFF page's values; none of its parts is unpacked beyond its size in pixels."""
    from tifffile import COMPRESSION

    unpackers = {
        COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
        COMPRESSION.DEFLATE: zlib.decompressobj,
        COMPRESSION.LZMA: lzma.LZMADecompressor,
        COMPRESSION.PACKBITS: PackBits,
    }
    packing = page.compression
    if packing not in unpackers:
        return page.asarray()
    most = math.prod(page.chunks) * page.dtype.itemsize
    # tifffile unpacks without a limit: it gets the bytes from us and does what comes after.
    page.compression = COMPRESSION.NONE
    decode_bytes = page.decode
    page.compression = packing

    def decode_part(part, index, **options):
        if part is not None:
            unpacker = unpackers[packing]()
            part = unpacker.decompress(part, most + 1)
            if len(part) > most:
                raise ValueError("more data in it than its size says")
            if not unpacker.eof:
                raise ValueError("cut short")
        return decode_bytes(part, index, **options)

    page.decode = decode_part  # page.asarray calls it for each strip or tile
    return page.asarray()


class PackBits:
    """Unpack PackBits (TIFF 6.0, section 9) as zlib's objects unpack theirs.

    Attributes
    ----------
    eof : bool
        Whether the last run was whole.
    """

    eof = False

    def decompress(self, packed, most):
        """Return what is packed; of what is longer than `most` bytes, at least so many."""
        unpacked, place = bytearray(), 0
        while place < len(packed) and len(unpacked) < most:
            head = packed[place]
            if head < 128:  # as many bytes as they are, and one
                unpacked += packed[place + 1 : place + 2 + head]
                place += 2 + head
            elif head > 128:
                unpacked += packed[place + 1 : place + 2] * (257 - head)
                place += 2
            else:
                place += 1
        self.eof = place == len(packed)
        return bytes(unpacked)


def black_is_0(image):
    """Return an image whose white is 0 the other way round."""
    return ~image if image.dtype.kind == "u" else image.max() - image
