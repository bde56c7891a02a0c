"""Write an image as TIFF; a grey one without tifffile, whose import takes as long as measuring."""

import hashlib
import json
import struct
import uuid
import zlib

import numpy as np

LEVEL = 1  # of deflate: takes a quarter of the default's time
STRIP_BYTES = 2**18  # of pixels, before they are packed
# Larger images, above 8192 x 8192, are written as pyramids: tiles of this side, and levels down to
# this longer side, which a viewer shows at once.
MAX_PLAIN_PX = 2**26
TILE = 512
LEAST_LEVEL_PX = 1024
# The types of TIFF fields by the letters of `struct`: text, 16-bit, 32-bit, quotient of 32-bit.
RECORD_TAG = 65200  # private: what made the image, as JSON
TYPES = {"s": 2, "H": 3, "I": 4, "II": 5}


def write_tiff(path, image, pixel_size_um, record=None):
    """Write an image, array or `runs.Runs`, as TIFF, see `images.write_image`."""
    if image.ndim == 2 and image.size > MAX_PLAIN_PX:
        write_pyramid(path, image, pixel_size_um, record)
        return
    image = image[:]
    if image.ndim == 2 and not (pixel_size_um and image.dtype == np.uint32):
        path.write_bytes(grey_tiff(image, pixel_size_um, record))
        return
    from tifffile import imwrite

    tags = {}
    if pixel_size_um and image.dtype == np.uint32:
        tags = {"ome": True, **ome_tags(image, pixel_size_um)}
    elif pixel_size_um:
        tags = {"imagej": True, "metadata": {"unit": "um"}}
        tags["resolution"] = (1 / pixel_size_um, 1 / pixel_size_um)
    imwrite(path, image, compression="zlib", compressionargs={"level": LEVEL}, **tags)


def ome_tags(image, pixel_size_um=None):
    """Return what `tifffile` is to write as OME-XML of an image and its pixel size.

    The file's UUID follows from both: the same image gives the same bytes each time.
    """
    content = hashlib.sha256(str(pixel_size_um).encode())
    for row in range(0, image.shape[0], TILE):
        content.update(np.ascontiguousarray(image[row : row + TILE]))
    about = {"axes": "YX", "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content.hexdigest()))}
    if not pixel_size_um:
        return {"metadata": about}
    about |= {f"PhysicalSize{axis}": pixel_size_um for axis in "XY"}
    about |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    # ImageJ without Bio-Formats reads these instead, and shows µm.
    resolution = {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": "CENTIMETER"}
    return {"metadata": about, **resolution}


def write_pyramid(path, image, pixel_size_um=None, record=None):
    """Write a scan as BigTIFF in tiles, with smaller levels, for viewers such as QuPath.

    Each level has every other pixel of the one above: of a mask or of numbers there are no means.

    Parameters
    ----------
    path, image, pixel_size_um
        As for `grey_tiff`; the image may be `runs.Runs`, of which a band is made at a time.
    """
    from tifffile import TiffWriter

    steps = [1]
    while -(-max(image.shape) // steps[-1]) > LEAST_LEVEL_PX:
        steps.append(2 * steps[-1])
    tags = ome_tags(image, pixel_size_um)
    packed = {"compression": "zlib", "compressionargs": {"level": LEVEL}, "tile": (TILE, TILE)}
    with TiffWriter(path, bigtiff=True, ome=True) as file:
        for step in steps:
            shape = tuple(-(-length // step) for length in image.shape)
            place = {"subfiletype": 1} if step > 1 else {"subifds": len(steps) - 1, **tags}
            if record and step == 1:
                place["extratags"] = [(RECORD_TAG, "s", 0, json.dumps(record), True)]
            file.write(tiles(image, step), shape=shape, dtype=image.dtype, **packed, **place)


def tiles(image, step):
    """Yield the tiles of every so-many-th row and column of an image."""
    side = TILE * step
    for row in range(0, image.shape[0], side):
        band = image[row : row + side : step, ::step]
        for col in range(0, band.shape[1], TILE):
            part = band[:, col : col + TILE]
            tile = np.zeros((TILE, TILE), image.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def grey_tiff(image, pixel_size_um=None, record=None):
    """Return the bytes of a TIFF of one grey image, packed with Adobe's deflate.

    Little-endian, after Adobe, TIFF revision 6.0, 1992, and its Technical Notes of 2002 (deflate).

    Parameters
    ----------
    image : uint8, uint16, uint32 or float32 array, (rows, cols)
    pixel_size_um : float, optional
        Kept in ImageJ's tags.
    """
    rows, cols = image.shape
    image = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    high = max(1, STRIP_BYTES // max(image[0].nbytes, 1))
    strips = [zlib.compress(image[row : row + high], LEVEL) for row in range(0, rows, high)]
    ends = np.cumsum([8, *map(len, strips)]).tolist()
    fields = [
        (256, "I", [cols]),
        (257, "I", [rows]),
        (258, "H", [8 * image.itemsize]),
        (259, "H", [8]),  # deflate
        (262, "H", [1]),  # 0 is black
        (273, "I", ends[:-1]),
        (277, "H", [1]),  # one value per pixel
        (278, "I", [high]),
        (279, "I", [len(strip) for strip in strips]),
        (339, "H", [3 if image.dtype.kind == "f" else 1]),
    ]
    if pixel_size_um:
        whole = 10**9 if pixel_size_um < 4 else 10**7  # both parts of the quotient below 2**32
        fields += [(270, "s", [b"ImageJ=1.11a\nimages=1\nunit=um\n\0"]), (296, "H", [1])]
        fields += [(code, "II", [whole, round(pixel_size_um * whole)]) for code in (282, 283)]
    if record:
        fields.append((RECORD_TAG, "s", [json.dumps(record).encode() + b"\0"]))
    head = struct.pack("<2sHI", b"II", 42, ends[-1])
    return b"".join([head, *strips, pack_fields(sorted(fields), ends[-1])])


def pack_fields(fields, start):
    """Return a TIFF's list of fields, which begins at byte `start`, and the values beyond it.

    Parameters
    ----------
    fields : list of (int, str, list)
        Code, key of `TYPES`, and values of each, sorted.
    start : int
    """
    entries, beyond = struct.pack("<H", len(fields)), b""
    place = start + len(entries) + 12 * len(fields) + 4
    for code, kind, values in fields:
        packed = values[0] if kind == "s" else struct.pack(f"<{len(values)}{kind[0]}", *values)
        count = len(packed) if kind == "s" else len(values) // len(kind)
        if len(packed) > 4:  # no room in the list itself
            reference = struct.pack("<I", place + len(beyond))
            beyond += packed + b"\0" * (len(packed) % 2)
            packed = reference
        entries += struct.pack("<HHI4s", code, TYPES[kind], count, packed)
    return entries + struct.pack("<I", 0) + beyond
