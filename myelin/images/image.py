"""Read and write one image: its header as a record, its pixels as grey or as a mask.

    record = read_record("raw/test/a.tif")
    image = read_image(record)

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour; for microscopes' own
formats see `formats`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.images import size_limits as claims
from myelin.images.decoding import decode, open_with_pillow
from myelin.images.formats import foreign_header, is_foreign
from myelin.images.mask_checks import label_mask
from myelin.images.pixel_size import square_size
from myelin.images.plane_selection import chosen, several_pages
from myelin.images.tiff import is_tiff, tiff_header
from myelin.images.tiff_writer import RECORD_TAG, write_tiff
from myelin.runtime.cli import UserError
from myelin.runtime.files import fsync_file, replacing

# An image above this is refused before decoding: 23,000 x 23,000, more than any scan seen so far.
MAX_PIXELS = 2**29
BAND_PX = 2**22  # scaled to 8 bits at a time
# An editor may leave a few blended pixels in a mask; above this fraction it is no mask.
STRAY_MASK_FRACTION = 2e-5

# ---------------------------------------------------------------- header


@dataclass(frozen=True)
class ImageRecord:
    """What an image's header says.

    Attributes
    ----------
    path : Path
    shape : (int, int)
        Rows and columns.
    bits : int
        Bits per value; `read_image` scales values of more than 8.
    pixel_sizes_um : (float, float) or None
        µm per pixel along x and y; None where unknown.
    pixel_size_source : str
        "OME-XML", "ImageJ tags", "Aperio", a microscope's format, or "unknown".
    take : dict of str to int
        Which image of a file that holds several, as from `take.parse_take`.
    """

    path: Path
    shape: tuple
    bits: int
    pixel_sizes_um: tuple | None = None
    pixel_size_source: str = "unknown"
    take: dict = field(default_factory=dict)

    def pixel_size(self):
        """Return the one pixel size of x and y, and where it was found.

        Returns
        -------
        size : float or None
            µm per pixel.
        source : str
            As `pixel_size_source`.

        Raises
        ------
        UserError
            x and y differ by more than 1 %.
        """
        if self.pixel_sizes_um is None:
            return None, "unknown"
        return square_size(self.path, self.pixel_sizes_um), self.pixel_size_source


def unreadable(path, why):
    """Return the error for a file that is no image we can read."""
    return UserError(f"{path}: cannot be read as an image ({why}), save it again or remove it")


def read_record(path, take=None):
    """Read an image's header, without decoding its pixels.

    Parameters
    ----------
    path : path
    take : dict of str to int, optional
        Which image of a file that holds several.

    Returns
    -------
    ImageRecord

    Raises
    ------
    UserError
        Not a readable image, several and no choice between them, or a size above `MAX_PIXELS`.
    """
    path, take = Path(path), take or {}
    try:
        if is_foreign(path):
            values, room, facts = foreign_header(path, take)
        else:
            with open(path, "rb") as file:
                if not file.seek(0, 2):
                    raise unreadable(path, "empty, 0 bytes")
                header = tiff_header if is_tiff(path) else other_header
                values, room, facts = header(file, take)
    except UserError:
        raise
    except Exception as error:  # a damaged header can raise anything in the two libraries
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    rows, cols = facts["shape"]
    if min(rows, cols) < 1 or rows * cols > MAX_PIXELS or values > 4 * MAX_PIXELS:
        raise UserError(
            f"{path}: claims {rows} x {cols} pixels ({values:,} values), the limit is "
            f"{MAX_PIXELS:,} pixels of 4 values, crop it, or remove it if that size is wrong"
        )
    if values * facts["bits"] > 8 * room:
        raise unreadable(path, f"cut short: it cannot hold {rows} x {cols} pixels")
    return ImageRecord(path, **facts, take=take)


def as_record(source):
    """Return the record of a path, or the record itself."""
    return source if isinstance(source, ImageRecord) else read_record(source)


def other_header(file, take):
    """Return as `tiff_header` for an open PNG, JPEG or BMP; these state no pixel size in µm."""
    size = file.seek(0, 2)
    if plain := claims.plain_png_size(file):
        count, (cols, rows), kind = 1, plain, "PNG"
    else:
        file.seek(0)
        with open_with_pillow(file, "PNG", "JPEG", "BMP") as opened:
            count, (cols, rows) = getattr(opened, "n_frames", 1), opened.size
            kind = opened.format
    if count > 1:
        raise several_pages(file.name, count)
    chosen(file.name, {}, take)
    bits, channels, gain = 8, 1, claims.BMP_GAIN if kind == "BMP" else claims.JPEG_GAIN
    if kind == "PNG":
        claims.check_chunks(file)
        file.seek(24)  # bit depth and colour type, PNG specification 11.2.1
        bits, colour = file.read(2)
        channels, gain = {2: 3, 4: 2, 6: 4}.get(colour, 1), claims.DEFLATE_GAIN
    values = rows * cols * channels
    return values, gain * size, {"shape": (rows, cols), "bits": bits}


# ---------------------------------------------------------------- pixels


def read_stored(source):
    """Read one image as it is stored.

    Parameters
    ----------
    source : path or ImageRecord

    Returns
    -------
    array, (rows, cols) or (rows, cols, channels), any dtype

    Raises
    ------
    UserError
        The file cannot be read, has several pages, or claims an absurd size.
    """
    record = as_record(source)
    try:
        return decode(record.path, record.take)
    except UserError:
        raise
    except Exception as error:  # a damaged body can raise anything in the libraries
        raise unreadable(record.path, f"{type(error).__name__}: {error}") from None


def read_image(source):
    """Read one image as grey.

    Colour becomes luminance (ITU-R BT.601), alpha is ignored, 8-bit values stay as they are, and
    other types are scaled from their own minimum and maximum to 0..255.

    Parameters
    ----------
    source : path or ImageRecord
        With a record, the header is not read again.

    Returns
    -------
    uint8 array, (rows, cols)

    Raises
    ------
    UserError
        As `read_stored`, or the image has NaN pixels.
    """
    record = as_record(source)
    image = read_stored(record)
    if image.ndim == 3 and image.shape[2] in (3, 4):
        import cv2

        colour = image[..., :3]
        if colour.dtype not in (np.uint8, np.uint16):
            colour = colour.astype(np.float32)
        image = cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY)
    elif image.ndim == 3 and image.shape[2] in (1, 2):  # grey, grey and alpha
        image = image[..., 0]
    if image.shape != record.shape or image.dtype.kind not in "uif":
        raise unreadable(record.path, f"{image.dtype} of shape {image.shape}")
    return image if image.dtype == np.uint8 else scale_to_uint8(image, record.path)


def scale_to_uint8(image, path):
    """Scale a (rows, cols) image of any number type from its own range to uint8 0..255.

    An image of one value becomes 0, or 255 where it is above 0, as an all-myelin mask needs.
    """
    kind = np.float32 if image.dtype.itemsize <= 2 else np.float64
    with np.errstate(invalid="ignore"):  # of NaN, which is named below
        low, high = kind(image.min()), kind(image.max())
    if not np.isfinite([low, high]).all() or float(high) - float(low) > np.finfo(kind).max:
        raise UserError(f"{path}: has NaN, infinite or huge pixels, replace them and save it again")
    if low == high:
        return np.full(image.shape, 255 if high > 0 else 0, np.uint8)
    tiny = float(high) - float(low) < 255 / float(np.finfo(kind).max)  # its inverse is infinite
    scaled, step = np.empty(image.shape, np.uint8), max(BAND_PX // image.shape[1], 1)
    for row in range(0, len(image), step):
        part = image[row : row + step].astype(kind) - low
        part = part / (high - low) * 255 if tiny else part * (255 / (high - low))
        scaled[row : row + step] = np.rint(part)
    return scaled


def read_mask(source):
    """Read one mask: the higher of its two values is myelin (or axon); one value means all or none.

    Up to `STRAY_MASK_FRACTION` of the pixels may have other values; they go to the nearer one. Of a
    label image, all regions are taken.

    Parameters
    ----------
    source : path or ImageRecord
        As for `read_image`.

    Returns
    -------
    bool array, (rows, cols)

    Raises
    ------
    UserError
        As `read_image`, or the image has more than two values.
    """
    record = as_record(source)
    image = read_image(record)
    lowest, highest = image.min(), image.max()
    if np.count_nonzero(image == lowest) + np.count_nonzero(image == highest) == image.size:
        return image == highest  # the usual case, quickly
    counts = np.bincount(image.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    if len(values) == 1:
        return image > 0
    low, high = np.sort(np.argsort(counts)[-2:])
    strays = image.size - counts[low] - counts[high]
    if strays > STRAY_MASK_FRACTION * image.size:
        if (mask := label_mask(record.path, read_stored(record))) is not None:
            return mask
        raise UserError(
            f"{record.path}: {len(values)} grey values in a mask, which has two (0 and 255), "
            "threshold it and save it as TIFF or PNG"
        )
    return image > (int(low) + int(high)) / 2


def read_labels(path, shape=None):
    """Read a label image: the number of a region on each of its pixels, 0 elsewhere.

    Parameters
    ----------
    path : path
    shape : (int, int), optional
        Rows and columns that it must have.

    Returns
    -------
    int32 array, (rows, cols)

    Raises
    ------
    UserError
        As `read_stored`, or not grey, of another shape, or with values that are no whole numbers.
    """
    labels = read_stored(path)
    whole = labels.ndim == 2 and labels.dtype.kind in "buif"
    if whole and labels.dtype.kind == "f":  # ImageJ keeps 32-bit numbers as floats
        whole = bool((np.isfinite(labels) & (labels == np.floor(labels))).all())
    if not whole or labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(
            f"{path}: {labels.dtype} of shape {labels.shape} is no label image, which is grey with "
            "whole numbers from 0, save it as 16- or 32-bit TIFF"
        )
    if shape not in (None, labels.shape):
        own, wanted = ("{} x {}".format(*size) for size in (labels.shape, shape))
        raise UserError(f"{path}: {own} pixels instead of {wanted}, save it without resizing it")
    return labels.view(np.int32) if labels.dtype == np.uint32 else labels.astype(np.int32)


# ---------------------------------------------------------------- writing images


def write_image(
    path: str | Path,
    pixels: np.ndarray,
    pixel_size_um: float | None = None,
    *,
    fsync: bool = False,
    record: dict | None = None,
) -> None:
    """Write an image atomically as PNG or TIFF, by its suffix.

    Parameters
    ----------
    path : path
    pixels : array
        uint8 (rows, cols) or RGB (rows, cols, 3); for TIFF also uint16, uint32 or float32 grey.
    pixel_size_um : float, optional
        Stored in a TIFF: as ImageJ tags, or as OME-XML for uint32, which ImageJ's format lacks.
    fsync : bool
        Whether to flush the file to disk before it gets its name.
    record : dict, optional
        JSON values that say what made a mask; stored in a TIFF, see `read_mask_record`.
    """
    with replacing(path) as temporary:
        if is_tiff(path):
            write_tiff(temporary, pixels, pixel_size_um, record)
        else:
            import cv2

            bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
            temporary.write_bytes(cv2.imencode(".png", bgr)[1].data)
        if fsync:
            fsync_file(temporary)


def read_mask_record(path: str | Path) -> dict | None:
    """Return the record that `write_image` stored in a TIFF; None for any other file.

    The pixels are not decoded.
    """
    from tifffile import TiffFile

    try:
        with open(path, "rb") as file, TiffFile(file, _multifile=False) as tif:
            record = json.loads(tif.pages.first.tags[RECORD_TAG].value)
    except Exception:  # no such tag or file, or damage, which raises anything in tifffile
        return None
    return record if isinstance(record, dict) else None
