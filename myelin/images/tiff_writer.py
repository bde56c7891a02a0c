"""Write an image as TIFF: its pixel size for ImageJ and QuPath, and a record of how it was made."""

import hashlib
import itertools
import json
import shutil
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from myelin.runtime.files import replacing

COMPRESSION = {"compression": "zlib", "compressionargs": {"level": 1}}  # a quarter of 6's time
# Larger images, above 8192 x 8192, are written as pyramids: tiles of this side, and levels down to
# this longer side, which a viewer shows at once.
MAX_PLAIN_PX = 2**26
TILE_PX = 512
SMALLEST_LEVEL_PX = 1024
RECORD_TAG = 65200  # private, from the range that TIFF 6.0 leaves to users


def write_tiff(
    path: Path,
    image: np.ndarray,
    pixel_size_um: float | None = None,
    record: dict | None = None,
) -> None:
    """Write an image as TIFF; see `image.write_image` for the parameters.

    The same input gives the same bytes.
    """
    from tifffile import imwrite

    tags: dict = {"software": False}
    if record is not None:
        tags["extratags"] = [(RECORD_TAG, "s", 0, json.dumps(record, sort_keys=True), True)]
    if image.ndim == 2 and image.size > MAX_PLAIN_PX:
        write_pyramid(path, image, pixel_size_um, tags)
        return
    image = image[:]
    if pixel_size_um and image.dtype == np.uint32:  # a type that ImageJ's own TIFF lacks
        tags |= {"ome": True, **ome_tags(image, pixel_size_um)}
    elif pixel_size_um:
        resolution = (1 / pixel_size_um, 1 / pixel_size_um)
        tags |= {"imagej": True, "metadata": {"unit": "um"}, "resolution": resolution}
    else:
        tags |= {"metadata": None}
    imwrite(path, image, **COMPRESSION, **tags)


def update_tiff(path: Path, image: np.ndarray, window: tuple[slice, slice], factor: int) -> None:
    """Write a window of an image times a factor into a file that `write_tiff` wrote.

    Only the strips or tiles of the window are compressed, and appended; the file is replaced in one
    step.
    """
    from tifffile import TiffFile

    with replacing(path) as temporary:
        shutil.copyfile(path, temporary)
        with TiffFile(temporary, mode="r+b") as file:
            first = file.pages.first
            for level, page in enumerate([first, *(first.pages or ())]):
                update_page(page, image[:: 1 << level, :: 1 << level], window, level, factor)


def update_page(
    page: object, image: np.ndarray, window: tuple[slice, slice], level: int, factor: int
) -> None:
    """Write the window of an image into a page of a file, which shows a level of it."""
    height, width = page.chunks
    across, file = -(-image.shape[1] // width), page.parent.filehandle
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    rows, cols = (
        range((part.start >> level) // size, (max(part.stop - 1, 0) >> level) // size + 1)
        for part, size in zip(window, (height, width), strict=True)
    )
    for row, col in itertools.product(rows, cols):
        part = image[row * height : (row + 1) * height, col * width : (col + 1) * width]
        if page.is_tiled:
            part = np.pad(part, [(0, height - part.shape[0]), (0, width - part.shape[1])])
        content = zlib.compress(np.ascontiguousarray(part) * np.uint8(factor), 1)
        index = row * across + col
        offsets[index], counts[index] = file.seek(0, 2), len(content)
        file.write(content)
    offsets_tag, counts_tag = (324, 325) if page.is_tiled else (273, 279)
    page.tags[offsets_tag].overwrite(offsets)
    page.tags[counts_tag].overwrite(counts)


def ome_tags(image: np.ndarray, pixel_size_um: float | None = None) -> dict:
    """Return the options by which tifffile writes OME-XML with the pixel size.

    The UUID is derived from pixels and pixel size, so that equal images give equal files.
    """
    content = hashlib.sha256(str(pixel_size_um).encode())
    for row in range(0, image.shape[0], TILE_PX):
        content.update(np.ascontiguousarray(image[row : row + TILE_PX]))
    about = {"axes": "YX", "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content.hexdigest()))}
    if not pixel_size_um:
        return {"metadata": about}
    about |= {f"PhysicalSize{axis}": pixel_size_um for axis in "XY"}
    about |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    # ImageJ without Bio-Formats reads these instead, and shows µm.
    resolution = {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": "CENTIMETER"}
    return {"metadata": about, **resolution}


def write_pyramid(
    path: Path, image: np.ndarray, pixel_size_um: float | None, first_tags: dict
) -> None:
    """Write a scan as tiled BigTIFF with smaller levels, for viewers such as QuPath.

    Each level takes every other pixel of the one above: masks and label images have no means.
    """
    from tifffile import TiffWriter

    steps = [1]
    while -(-max(image.shape) // steps[-1]) > SMALLEST_LEVEL_PX:
        steps.append(2 * steps[-1])
    first_tags = {"subifds": len(steps) - 1, **first_tags, **ome_tags(image, pixel_size_um)}
    with TiffWriter(path, bigtiff=True, ome=True) as file:
        for step in steps:
            file.write(
                tiles(image, step),
                shape=tuple(-(-length // step) for length in image.shape),
                dtype=image.dtype,
                tile=(TILE_PX, TILE_PX),
                **COMPRESSION,
                **(first_tags if step == 1 else {"subfiletype": 1}),
            )


def tiles(image: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a level that has every `step`-th row and column of an image."""
    side = TILE_PX * step
    for row in range(0, image.shape[0], side):
        band = image[row : row + side : step, ::step]
        for col in range(0, band.shape[1], TILE_PX):
            part = band[:, col : col + TILE_PX]
            tile = np.zeros((TILE_PX, TILE_PX), image.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
