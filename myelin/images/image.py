"""Read and write one image: its header as a record, its pixels as grey or as a mask.

    record = read_record("raw/test/a.tif")
    image = read_image(record)

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour; images also in
microscopes' own formats, see `formats`.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.images.decoding import decode, is_tiff, read_header
from myelin.images.formats import decode_foreign, foreign_header, is_foreign
from myelin.images.mask_checks import (
    drawn_grey,
    is_inverted,
    label_mask,
    shows_axons,
    two_kinds,
)
from myelin.images.pixel_size import square_size
from myelin.images.stated_size import sizes_beside
from myelin.images.tiff_writer import RECORD_TAG, write_tiff
from myelin.runtime.cli import UserError, shortened_list
from myelin.runtime.files import fsync_file, replacing

# Larger images are refused before decoding: 23,000 x 23,000, more than any scan seen so far.
MAX_PIXELS = 2**29
MAX_CHANNELS = 4
BAND_PX = 2**22  # scaled to 8 bits at a time
# Fraction of the pixels that become 0, and 255, when more than 8 bits are scaled: ten times the
# hot pixels of a bad camera. A dead column of 1,000 is in it.
CLIPPED_FRACTION = 1e-3
MAX_SAMPLED_PX = 2**24  # of a scan, to find these
# Fraction of a mask's pixels that may have other values, as an editor blends a few of them.
MAX_STRAY_FRACTION = 2e-5


@dataclass(frozen=True)
class ImageRecord:
    """The header of an image.

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
        "OME-XML", "ImageJ tags", the tags of a maker, a microscope's format, the name of a text
        file beside the image, or "unknown".
    turned : bool
        Whether the file asks viewers to turn or mirror its pixels, which are read as stored.
    take : dict of str to int
        Which image of a file that holds several, from `plane_selection.parse_take`.
    """

    path: Path
    shape: tuple[int, int]
    bits: int
    pixel_sizes_um: tuple[float, float] | None = None
    pixel_size_source: str = "unknown"
    turned: bool = False
    take: dict = field(default_factory=dict)

    def pixel_size(self) -> tuple[float | None, str]:
        """Return the pixel size in µm, None if unknown, and where it was found.

        Raises
        ------
        UserError
            x and y differ by more than 1 %.
        """
        if self.pixel_sizes_um is None:
            return None, "unknown"
        return square_size(self.path, self.pixel_sizes_um), self.pixel_size_source


@contextlib.contextmanager
def decoder_errors(path: Path) -> Iterator[None]:
    """Turn whatever a library raises about a damaged file into a UserError that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise unreadable(path, f"{kind}{error}") from None


def unreadable(path: Path, reason: str) -> UserError:
    """Return the error for a file that cannot be read as an image."""
    return UserError(f"{path}: cannot be read as an image ({reason}), save it again or remove it")


def read_record(path: str | Path, take: dict | None = None) -> ImageRecord:
    """Read an image's header, without decoding its pixels.

    Parameters
    ----------
    path : path
    take : dict of str to int, optional
        Which image of a file that holds several.

    Raises
    ------
    UserError
        The file cannot be read, holds several images with no choice between them, or claims more
        pixels than `MAX_PIXELS`.
    """
    path, take = Path(path), take or {}
    with decoder_errors(path):
        facts = foreign_header(path, take) if is_foreign(path) else read_header(path, take)
        channels = facts.pop("channels")
        rows, cols = facts["shape"]
        if min(rows, cols) < 1:
            raise ValueError(f"{rows} x {cols} pixels")
    if facts.get("pixel_sizes_um") is None:
        facts["pixel_sizes_um"], facts["pixel_size_source"] = sizes_beside(path, cols)
    if rows * cols > MAX_PIXELS or rows * cols * channels > MAX_CHANNELS * MAX_PIXELS:
        raise UserError(
            f"{path}: claims {rows} x {cols} pixels of {channels} values, the limit is "
            f"{MAX_PIXELS:,} pixels of {MAX_CHANNELS}, crop it, or remove it if that size is wrong"
        )
    return ImageRecord(path, **facts, take=take)


def print_turned(records: Iterable[ImageRecord]) -> None:
    """Print which files are shown otherwise by viewers that follow their orientation."""
    if names := [record.path for record in records if record.turned]:
        print(
            f"note: {shortened_list(names)}: pixels are read as stored, as in ImageJ, and the "
            "orientation tag (TIFF, EXIF) is ignored; draw masks that way round"
        )


def as_record(source: str | Path | ImageRecord) -> ImageRecord:
    """Return the record of a path, or the record itself."""
    return source if isinstance(source, ImageRecord) else read_record(source)


# ---------------------------------------------------------------- pixels


def read_stored(source: str | Path | ImageRecord) -> np.ndarray:
    """Read one image as it is stored.

    Returns
    -------
    array, (rows, cols) or (rows, cols, channels), any dtype

    Raises
    ------
    UserError
        The file cannot be read, see `read_record`.
    """
    record = as_record(source)
    with decoder_errors(record.path):
        read = decode_foreign if is_foreign(record.path) else decode
        return read(record.path, record.take)


def read_image(source: str | Path | ImageRecord) -> np.ndarray:
    """Read one image as grey.

    Colour becomes luminance (ITU-R BT.601), alpha is ignored, 8-bit values stay as they are, and
    other types are scaled from their own `grey_limits` to 0..255.

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
        The file cannot be read, see `read_record`, or has NaN pixels.
    """
    return read_scaled(source)[0]


def read_scaled(source: str | Path | ImageRecord) -> tuple[np.ndarray, tuple | None]:
    """Read one image as grey, see `read_image`; return it and its `grey_limits`, None if 8-bit."""
    record = as_record(source)
    image = luminance(read_stored(record), record)
    if image.dtype == np.uint8:
        return image, None
    limits = grey_limits(image, record.path)
    return scale_to_uint8(image, limits), limits


def to_grey(image: np.ndarray, record: ImageRecord) -> np.ndarray:
    """Return a mask as stored as grey uint8; other types are scaled from minimum to maximum."""
    grey = luminance(image, record)
    return grey if grey.dtype == np.uint8 else scale_to_uint8(grey, full_range(grey, record.path))


def luminance(image: np.ndarray, record: ImageRecord) -> np.ndarray:
    """Return an image as stored as grey (rows, cols), of any number type."""
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
    return image


def full_range(image: np.ndarray, path: str | Path) -> tuple[float, float]:
    """Return the lowest and highest value of an image; raise a UserError if it cannot be scaled."""
    low, high = float(image.min()), float(image.max())
    if not math.isfinite(high - low):
        raise UserError(f"{path}: has NaN, infinite or huge pixels, replace them and save it again")
    return low, high


def grey_limits(image: np.ndarray, path: str | Path) -> tuple[float, float]:
    """Return the values of an image that become 0 and 255 when it is scaled to 8 bits.

    `CLIPPED_FRACTION` of the pixels lie below and above, so that hot and dead pixels change
    nothing; it is the full range if nearly all pixels have one value.
    """
    full = full_range(image, path)
    step = image.size // MAX_SAMPLED_PX + 1
    while math.gcd(step, image.shape[1]) > 1:  # the sample would be of some columns only
        step += 1
    ends = (CLIPPED_FRACTION, 1 - CLIPPED_FRACTION)
    low, high = np.quantile(image.ravel()[::step], ends, method="inverted_cdf").tolist()
    return (low, high) if low < high else full


def scale_to_uint8(image: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Scale a (rows, cols) image of any number type from its limits to uint8 0..255.

    An image of one value becomes 0, or 255 where it is above 0, as an all-myelin mask needs.
    """
    kind = np.float32 if image.dtype.itemsize <= 2 else np.float64
    low, high = map(kind, limits)
    if low == high:
        return np.full(image.shape, 255 if high > 0 else 0, np.uint8)
    factor = 255 / (high - low)
    scaled, step = np.empty(image.shape, np.uint8), max(BAND_PX // image.shape[1], 1)
    for row in range(0, len(image), step):
        values = np.clip(image[row : row + step].astype(kind), low, high)
        scaled[row : row + step] = np.rint((values - low) * factor)
    return scaled


def read_mask(source: str | Path | ImageRecord) -> np.ndarray:
    """Read one mask: the higher of its two values is myelin (or axon); one value means all or none.

    Up to `MAX_STRAY_FRACTION` of the pixels may have other values; they go to the nearer one. All
    regions of a label image belong to the mask. If myelin and axons have values of their own, the
    mask is the myelin, or the axons in a file named `<id>_axon`.

    Returns
    -------
    bool array, (rows, cols)

    Raises
    ------
    UserError
        The file cannot be read, see `read_record`, or is not a mask.
    """
    record = as_record(source)
    myelin, axon = read_kinds(record)
    return myelin if axon is None or not shows_axons(record.path) else axon


def read_kinds(
    source: str | Path | ImageRecord, filled: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read one mask, see `read_mask`, and the axons if they have a value of their own.

    With `filled`, a label image may show whole fibers.

    Returns
    -------
    bool array, (rows, cols); and another one or None
    """
    record = as_record(source)
    stored = read_stored(record)
    image = drawn_grey(stored, to_grey(stored, record))
    lowest, highest = image.min(), image.max()
    if np.count_nonzero(image == lowest) + np.count_nonzero(image == highest) == image.size:
        mask = image == highest if lowest < highest else image > 0  # the usual case, quickly
        return ~mask if has_inverting_lut(record.path) and is_inverted(mask) else mask, None
    counts = np.bincount(image.ravel(), minlength=256)
    usual, levels = np.argsort(counts)[::-1], np.arange(256)
    for count in (2, 3):
        if image.size - counts[usual[:count]].sum() <= MAX_STRAY_FRACTION * image.size:
            values = np.sort(usual[:count]).astype(int)
            nearest = np.abs(levels[:, None] - values).argmin(axis=1).astype(np.uint8)[image]
            if count == 2:
                return nearest > 0, None
            if (found := two_kinds(nearest)) is not None:
                return nearest == found[0], nearest == found[1]
    if (mask := label_mask(record.path, stored, filled)) is not None:
        return mask, None
    raise UserError(
        f"{record.path}: {np.count_nonzero(counts)} grey values in a mask, which has two (0 and "
        "255), threshold it and save it as TIFF or PNG"
    )


def read_labels(path: str | Path, shape: tuple[int, int] | None = None) -> np.ndarray:
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
        The file cannot be read, is not grey, has another shape, or values that are not whole
        numbers from 0.
    """
    labels = read_stored(path)
    whole = labels.ndim == 2 and labels.dtype.kind in "buif"
    if whole and labels.dtype.kind == "f":  # ImageJ stores 32-bit numbers as floats
        whole = bool((np.isfinite(labels) & (labels == np.floor(labels))).all())
    if not whole or labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(
            f"{path}: {labels.dtype} of shape {labels.shape} is not a label image, which is grey "
            "with whole numbers from 0, save it as 16- or 32-bit TIFF"
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
        JSON values about how a mask was made; stored in a TIFF, see `read_mask_record`.
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


def has_inverting_lut(path: Path) -> bool:
    """Return whether ImageJ shows a TIFF with black and white exchanged.

    In masks that ImageJ makes from a selection, 255 is inside, and black on the screen.
    """
    from tifffile import PHOTOMETRIC, TiffFile

    try:
        with open(path, "rb") as file, TiffFile(file, _multifile=False) as tif:
            return tif.is_imagej and tif.pages.first.photometric == PHOTOMETRIC.MINISWHITE
    except Exception:  # not a TIFF; the pixels of a damaged one have been read
        return False


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
