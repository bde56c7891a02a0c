"""How large a file may claim its image to be: no larger than its bytes can unpack to.

What each way of packing gains at best is known, so that a short file with a large claim is refused
by its header, before anything is set aside for its pixels.
"""

import math
import zlib

# Bytes of pixels that one byte of a file can hold at best.
DEFLATE_GAIN = 1032  # 258 bytes in two bits
LZMA_GAIN = 8000  # 273 bytes in 14 choices of at least 0.022 bits each
LZW_GAIN = 2731  # the longest of 4096 texts in 12 bits
PACKBITS_GAIN = 64  # 128 bytes in two
JPEG_GAIN = 2048  # three colours at half size, each 64 pixels in a bit, would be 1024
BMP_GAIN = 128  # 255 bytes in two
FAX_GAIN = 8  # lines of any length, one in a bit
# A progressive JPEG has some ten scans; each passes over all pixels, and can be a few bytes long.
MAX_SCANS = 500
# A tile may be larger than the image it is of, up to this many values.
MAX_TILE_VALUES = 2**24


def tiff_room(page, size):
    """Return how many bytes of pixels the file of a TIFF page can hold at best.

    0 where a strip or tile leaves the file, or they overlap, or tiles are far larger than an image.

    Parameters
    ----------
    page : tifffile.TiffPage
    size : int
        Bytes of the file.
    """
    counts = page.databytecounts
    ends = [place + count for place, count in zip(page.dataoffsets, counts, strict=True)]
    fits = max(ends, default=0) <= size and min(counts, default=0) >= 0 and sum(counts) <= size
    if page.is_tiled and math.prod(page.chunks) > math.prod(page.shape) + MAX_TILE_VALUES:
        fits = False
    filled = sum(count > 0 for count in counts)
    # Parts without a byte are zero.
    return tiff_gain(page) * size * len(counts) // filled if fits and filled else 0


def tiff_gain(page):
    """Return how many bytes of a TIFF page one byte of its file can hold at best."""
    from tifffile import COMPRESSION

    gains = {
        COMPRESSION.NONE: 1,
        COMPRESSION.ADOBE_DEFLATE: DEFLATE_GAIN,
        COMPRESSION.DEFLATE: DEFLATE_GAIN,
        COMPRESSION.LZW: LZW_GAIN,
        COMPRESSION.PACKBITS: PACKBITS_GAIN,
        COMPRESSION.JPEG: JPEG_GAIN,
        COMPRESSION.OJPEG: JPEG_GAIN,
    }
    if page.compression in (COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6):
        return FAX_GAIN * math.ceil(page.imagewidth / 8)
    return gains.get(page.compression, LZMA_GAIN)


def check_chunks(file):
    """Raise a ValueError where a part of an open PNG claims to be longer than the file."""
    size, place = file.seek(0, 2), 8
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        place += 12 + int.from_bytes(head[:4], "big")
        if place > size:
            raise ValueError("cut short")
        if head[4:] == b"IEND":
            return


def check_scans(content, parts=1):
    """Raise a ValueError where the JPEG, or those in the parts of a TIFF, have too many scans."""
    if content.count(b"\xff\xda") > MAX_SCANS + parts:
        raise ValueError(f"more than {MAX_SCANS} scans in a JPEG")


def plain_png_size(file):
    """Return columns and rows of a usual PNG; None for other files, which Pillow judges.

    Pillow's import takes a tenth of the time of measuring an image. Usual is a sound first chunk,
    and none before the pixels that makes an animation (PNG specification, third edition).
    """
    file.seek(0)
    head = file.read(33)
    if head[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" or len(head) < 33:
        return None
    if zlib.crc32(head[12:29]) != int.from_bytes(head[29:]):
        return None
    while (chunk := file.read(8))[4:] != b"IDAT":
        if len(chunk) < 8 or chunk[4:] == b"acTL":
            return None
        file.seek(int.from_bytes(chunk[:4]) + 4, 1)
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
