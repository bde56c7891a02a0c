"""One image: listing a folder's, reading it as grey or as a mask, its pixel size, writing it.

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

import logging
import lzma
import math
import zlib
from pathlib import Path

import numpy as np

from myelin.cli import UserError, silent_stderr
from myelin.files import replacing

# A image is refused before decoding above this; 23,000 x 23,000, more than any one scan here.
MAX_PIXELS = 2**29
# An editor may leave a few blended pixels in a mask; above this fraction it is no mask.
STRAY_MASK_FRACTION = 2e-5
# What tifffile reports of a damaged file, one error line of ours says.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


# ---------------------------------------------------------------- reading images


def unreadable(path, why):
    """Return the error for a file that is no image we can read."""
    return UserError(f"{path}: cannot be read as a image ({why}), save it again or remove it")


def is_tiff(path):
    return Path(path).suffix.lower() in (".tif", ".tiff")


def tiff_pages(tif):
    """Return the pages of an open TIFF without its thumbnails."""
    pages = [page for page in tif.pages if not page.is_reduced]
    if not pages:
        raise ValueError("no page in it, or cut short")
    return pages


def image_shape(path):
    """Return (rows, cols) from a image's header, without decoding it.

    Raises
    ------
    UserError
        No readable image, more than one page, or a size above `MAX_PIXELS`.
    """
    from PIL import Image
    from tifffile import TiffFile

    try:
        if is_tiff(path):
            with TiffFile(path) as tif:
                pages = tiff_pages(tif)
                # ImageJ keeps stacks above 4 GB as one page.
                count = max(len(pages), (tif.imagej_metadata or {}).get("images", 1))
                rows, cols = pages[0].imagelength, pages[0].imagewidth
                values = rows * cols * pages[0].imagedepth * pages[0].samplesperpixel
        else:
            Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is below ours, which follows
            with Image.open(path, formats=("PNG", "JPEG", "BMP")) as opened:
                count, (cols, rows) = getattr(opened, "n_frames", 1), opened.size
                values = rows * cols
    except Exception as error:  # a damaged header can raise anything in the two libraries
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    if count > 1:
        raise UserError(f"{path}: {count} pages in one file, save each page as a file of its own")
    if not 0 < rows * cols <= MAX_PIXELS or values > 4 * MAX_PIXELS:
        raise UserError(
            f"{path}: claims {rows} x {cols} pixels ({values:,} values), the limit is "
            f"{MAX_PIXELS:,} pixels of 4 values, crop it, or remove it if that size is wrong"
        )
    return rows, cols


def decode(path):
    """Return a image as stored: (rows, cols) or (rows, cols, channels RGB[A]), any dtype."""
    from PIL import Image
    from tifffile import PHOTOMETRIC, TIFF, TiffFile

    white_is_0 = False
    if is_tiff(path):
        with TiffFile(path) as tif:
            page = tiff_pages(tif)[0]
            strips = zip(page.dataoffsets, page.databytecounts, strict=True)
            if max(map(sum, strips), default=0) > tif.filehandle.size:
                raise ValueError("cut short")
            if page.compression in TIFF.DECOMPRESSORS:  # else Pillow or OpenCV has the codec
                return decode_tiff_page(page)
            check_colours(page)
            if page.bitspersample == 8:  # OpenCV would multiply colours by alpha
                with Image.open(path, formats=["TIFF"]) as opened:
                    return np.asarray(opened.convert("RGB") if opened.mode == "P" else opened)
            white_is_0 = page.photometric == PHOTOMETRIC.MINISWHITE  # OpenCV leaves it so
    import cv2

    # imdecode of bytes, not imread: imread fails on non-ASCII paths on Windows.
    with silent_stderr():
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("damaged or cut short")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]  # OpenCV stores BGR
    return black_is_0(image) if white_is_0 else image


def check_colours(page):
    """Raise where a TIFF page's numbers are neither grey, nor RGB, nor those of a palette."""
    from tifffile import COMPRESSION, PHOTOMETRIC

    # YCbCr only as JPEG, whose codec turns it into RGB.
    kinds = ["MINISWHITE", "MINISBLACK", "RGB", "PALETTE"]
    kinds += ["YCBCR"] if page.compression == COMPRESSION.JPEG else []
    if page.photometric not in [PHOTOMETRIC[kind] for kind in kinds]:
        raise ValueError(f"colours as {getattr(page.photometric, 'name', page.photometric)}")


def check_expansion(page):
    """Raise where a packed part of a TIFF page holds more bytes than its size in pixels says."""
    from tifffile import COMPRESSION

    packers = {
        COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
        COMPRESSION.DEFLATE: zlib.decompressobj,
        COMPRESSION.LZMA: lzma.LZMADecompressor,
    }
    if page.compression not in packers:
        return
    most = math.prod(page.chunks) * page.dtype.itemsize
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(start)
        packed = page.parent.filehandle.read(count)
        if len(packers[page.compression]().decompress(packed, most + 1)) > most:
            raise ValueError("more data in it than its size says")


def decode_tiff_page(page):
    """Return a TIFF page as grey or RGB: black is 0, palettes applied, channels last."""
    from tifffile import PHOTOMETRIC

    check_colours(page)
    check_expansion(page)
    image = page.asarray()
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.moveaxis(page.colormap[:, image] // 256, 0, -1).astype(np.uint8)
    if page.bitspersample < 8:  # values of 0 to 1, 3 or 15
        image = image.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        image = black_is_0(image)
    return np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image


def black_is_0(image):
    """Return a image whose white is 0 the other way round."""
    return ~image if image.dtype.kind == "u" else image.max() - image


def high_bit_depth(path):
    """Return whether a readable image has more than 8 bits, which `read_image` scales."""
    from tifffile import TiffFile

    if is_tiff(path):
        with TiffFile(path) as tif:
            return tiff_pages(tif)[0].bitspersample > 8
    with open(path, "rb") as file:
        start = file.read(25)  # byte 24 is the bit depth, PNG specification 11.2.1
    return start.startswith(b"\x89PNG") and start[24] > 8


def read_image(path):
    """Read one image as grey.

    Colour becomes luminance (ITU-R BT.601), alpha is ignored, 8-bit values stay as they are, and
    other types are scaled from their own minimum and maximum to 0..255.

    Returns
    -------
    uint8 array, (rows, cols)

    Raises
    ------
    UserError
        The file cannot be read, has several pages, claims an absurd size, or has NaN pixels.
    """
    shape = image_shape(path)
    try:
        image = decode(path)
    except Exception as error:  # a damaged body can raise anything in the two libraries
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    if image.ndim == 3 and image.shape[2] in (3, 4):
        import cv2

        colour = image[..., :3]
        if colour.dtype not in (np.uint8, np.uint16):
            colour = colour.astype(np.float32)
        image = cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY)
    elif image.ndim == 3 and image.shape[2] in (1, 2):  # grey, grey and alpha
        image = image[..., 0]
    if image.shape != shape or image.dtype.kind not in "uif":
        raise unreadable(path, f"{image.dtype} of shape {image.shape}")
    return image if image.dtype == np.uint8 else scale_to_uint8(image, path)


def scale_to_uint8(image, path):
    """Scale a (rows, cols) image of any number type from its own range to uint8 0..255.

    A image of one value becomes 0, or 255 where it is above 0, as an all-myelin mask needs.
    """
    image = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    low, high = image.min(), image.max()
    if not np.isfinite([low, high]).all() or float(high) - float(low) > np.finfo(image.dtype).max:
        raise UserError(f"{path}: has NaN, infinite or huge pixels, replace them and save it again")
    if low == high:
        return np.full(image.shape, 255 if high > 0 else 0, np.uint8)
    return np.rint((image - low) * (255 / (high - low))).astype(np.uint8)


def read_mask(path):
    """Read one mask: the higher of its two values is myelin (or axon); one value means all or none.

    Up to `STRAY_MASK_FRACTION` of the pixels may have other values; they go to the nearer one.

    Returns
    -------
    bool array, (rows, cols)

    Raises
    ------
    UserError
        As `read_image`, or the image has more than two values.
    """
    image = read_image(path)
    counts = np.bincount(image.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    if len(values) == 1:
        return image > 0
    low, high = np.sort(np.argsort(counts)[-2:])
    strays = image.size - counts[low] - counts[high]
    if strays > STRAY_MASK_FRACTION * image.size:
        raise UserError(
            f"{path}: {len(values)} grey values in a mask, which has two (0 and 255), "
            "threshold it and save it as TIFF or PNG"
        )
    return image > (int(low) + int(high)) / 2


# ---------------------------------------------------------------- pixel size


# ---------------------------------------------------------------- writing images


def write_image(path, image, pixel_size_um=None):
    """Write a image atomically as PNG or TIFF, by its suffix.

    Parameters
    ----------
    path : path
    image : array
        uint8 (rows, cols) or RGB (rows, cols, 3); for TIFF also uint16, uint32 or float32 grey.
    pixel_size_um : float, optional
        Kept in a TIFF: ImageJ tags, or OME-XML for uint32, which ImageJ's format lacks.
    """
    with replacing(path) as temporary:
        if not is_tiff(path):
            import cv2

            bgr = image[..., ::-1] if image.ndim == 3 else image
            cv2.imencode(".png", bgr)[1].tofile(temporary)
            return
        from tifffile import imwrite

        tags = {}
        if pixel_size_um and image.dtype == np.uint32:
            size = {f"PhysicalSize{axis}": pixel_size_um for axis in "XY"}
            units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
            tags = {"ome": True, "metadata": {"axes": "YX", **size, **units}}
        elif pixel_size_um:
            tags = {"imagej": True, "metadata": {"unit": "um"}}
            tags["resolution"] = (1 / pixel_size_um, 1 / pixel_size_um)
        # Level 1 takes a quarter of the default's time.
        imwrite(temporary, image, compression="zlib", compressionargs={"level": 1}, **tags)
