"""Pack microscope pictures into arrays, and read and write every picture of the suite.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes `npydata/`: `imgs_train.npy`, `imgs_mask_train.npy`, `imgs_test.npy` (uint8, one frame
per picture), `imgs_id_test.npy` (file stems) and `imgs_shape_train.npy`, `imgs_shape_test.npy`
(true rows and columns; smaller pictures are zero-padded at the bottom and right).

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

import argparse
import contextlib
import datetime
import functools
import hashlib
import json
import logging
import math
import os
import platform
import re
import sys
from pathlib import Path

import numpy as np

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
SYSTEM_FILES = {"desktop.ini", "thumbs.db"}  # compared in lower case; dot files are skipped too
# A picture is refused before decoding above this; 23,000 x 23,000, more than any one scan here.
MAX_PIXELS = 2**29
# An editor may leave a few blended pixels in a mask; above this fraction it is no mask.
STRAY_MASK_FRACTION = 2e-5
MICRONS = {"m": 1e6, "mm": 1e3, "cm": 1e4, "inch": 25400.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6}
MICRONS |= {"micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "Å": 1e-4}
MICRONS |= {"µm": 1.0, "μm": 1.0, "\\u00B5m": 1.0}  # micro sign, Greek mu, and ImageJ's escape
# Outside this range (µm per pixel) a stated size is a mistake: 10 pm to 100 µm.
PIXEL_SIZE_RANGE_UM = (1e-5, 100.0)
# What tifffile reports of a damaged file, one error line of ours says.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


running = {"command": "called from Python"}  # the script's command line, for provenance

# ---------------------------------------------------------------- messages and scripts


class UserError(Exception):
    """One or more mistakes a user can mend; each argument is `what: found, what to do`."""


def script(main):
    """Decorate a script's `main(argv=None)`: mistakes become `error:` lines and exit code 2.

    Mistakes are `UserError`s, and files that the system will not read or write.
    """

    from subprocess import list2cmdline  # quotes names with spaces, for both kinds of shell

    name = Path(main.__code__.co_filename).name

    @functools.wraps(main)
    def run(argv=None):
        arguments = sys.argv[1:] if argv is None else argv
        running["command"] = list2cmdline(["python", name, *map(str, arguments)])
        # Windows consoles may not know every character of a file name or µ.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        try:
            return main(argv)
        except UserError as mistake:
            for message in mistake.args:
                print("error:", " ".join(str(message).split()), file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            print(
                f"error: {error.filename or 'files'}: {error.strerror or error}, "
                "check free space, permissions, and whether another program has it open",
                file=sys.stderr,
            )
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("stopped by Ctrl-C; what was finished is kept", file=sys.stderr)
            raise SystemExit(130) from None

    return run


@contextlib.contextmanager
def silent_stderr():
    """Turn the file descriptor of stderr away: libraries in C write there whatever Python does."""
    sys.stderr.flush()
    kept = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silent)


def progress(items, description):
    """Return `items` with a progress bar on stderr; no bar when the loop ends within 2 seconds."""
    from tqdm import tqdm

    return tqdm(items, desc=description, delay=2, unit="image", leave=False)


def number(kind, low, high=math.inf):
    """Return an argparse type: a number of `kind` (int, float) from low to high."""

    def check(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high and value != math.inf:
                return value
        what = "whole number" if kind is int else "number"
        top = f" to {high:g}" if high < math.inf else " or more"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {what} of {low:g}{top}")

    return check


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside `path`, renamed onto it on success, removed on failure.

    The folder is made when absent. The temporary name keeps the suffix, which writers look at.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path):
    """Return the SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions():
    """Return the versions of Python and of the installed packages that shape results."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "opencv-python", "scikit-image", "openvino"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def write_run_json(folder, **facts):
    """Write `folder/run.json`: command, date, versions and `facts`, enough to repeat a run.

    Parameters
    ----------
    folder : path
    **facts
        JSON values to keep, such as `threshold=0.5`.
    """
    facts = {
        "command": running["command"],
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
        "versions": versions(),
    }
    with replacing(Path(folder) / "run.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def list_images(folder, errors=None):
    """Return the pictures of a folder as {stem: path}, sorted by stem.

    System files and files of other kinds are skipped.

    Parameters
    ----------
    folder : path
    errors : list, optional
        Takes the texts of clashes, which are raised otherwise.

    Raises
    ------
    UserError
        The folder is missing, or two pictures share one stem (all such pairs are named).
        Stems that differ in case alone clash too: their results would on Windows and macOS.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, make it and put pictures into it")
    found, taken, clashes = {}, {}, []
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.name)):
        hidden = path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        other = taken.setdefault(path.stem.casefold(), path.name)
        if other != path.name:
            clashes.append(
                f"{path}: {other} has the same name before the dot, rename or remove one of them"
            )
        found[path.stem] = path
    if clashes and errors is None:
        raise UserError(*clashes)
    if clashes:
        errors.extend(clashes)
    return found


# ---------------------------------------------------------------- reading pictures


def unreadable(path, why):
    """Return the error for a file that is no picture we can read."""
    return UserError(f"{path}: cannot be read as a picture ({why}), save it again or remove it")


def is_tiff(path):
    return Path(path).suffix.lower() in (".tif", ".tiff")


def tiff_pages(tif):
    """Return the pages of an open TIFF without its thumbnails."""
    pages = [page for page in tif.pages if not page.is_reduced]
    if not pages:
        raise ValueError("no page in it, or cut short")
    return pages


def image_shape(path):
    """Return (rows, cols) from a picture's header, without decoding it.

    Raises
    ------
    UserError
        No readable picture, more than one page, or a size above `MAX_PIXELS`.
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
            with Image.open(path, formats=("PNG", "JPEG", "BMP")) as picture:
                count, (cols, rows) = getattr(picture, "n_frames", 1), picture.size
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
    """Return a picture as stored: (rows, cols) or (rows, cols, channels RGB[A]), any dtype."""
    from tifffile import TIFF, TiffFile

    if is_tiff(path):
        with TiffFile(path) as tif:
            page = tiff_pages(tif)[0]
            strips = zip(page.dataoffsets, page.databytecounts, strict=True)
            if max(map(sum, strips), default=0) > tif.filehandle.size:
                raise ValueError("cut short")
            if page.compression in TIFF.DECOMPRESSORS:  # else OpenCV has the codec
                return decode_tiff_page(page)
    import cv2

    # imdecode of bytes, not imread: imread fails on non-ASCII paths on Windows.
    with silent_stderr():
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("damaged or cut short")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]  # OpenCV stores BGR
    return image


def decode_tiff_page(page):
    """Return a TIFF page as grey or RGB: black is 0, palettes applied, channels last."""
    from tifffile import PHOTOMETRIC

    kinds = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE")
    if page.photometric not in [PHOTOMETRIC[kind] for kind in kinds]:
        raise ValueError(f"colours as {getattr(page.photometric, 'name', page.photometric)}")
    image = page.asarray()
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.moveaxis(page.colormap[:, image] // 256, 0, -1).astype(np.uint8)
    if page.bitspersample < 8:  # values of 0 to 1, 3 or 15
        image = image.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        image = ~image if image.dtype.kind == "u" else image.max() - image
    return np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image


def read_image(path):
    """Read one picture as grey.

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

    A picture of one value becomes 0, or 255 where it is above 0, as an all-myelin mask needs.
    """
    image = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    low, high = image.min(), image.max()
    if not np.isfinite([low, high]).all():
        raise UserError(f"{path}: has NaN or infinite pixels, replace them and save it again")
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
        As `read_image`, or the picture has more than two values.
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


def check_pixel_size(text):
    """Return a pixel size in µm from a command line, or raise argparse's error."""
    with contextlib.suppress(ValueError):
        if PIXEL_SIZE_RANGE_UM[0] <= float(text) < PIXEL_SIZE_RANGE_UM[1]:
            return float(text)
    low, high = PIXEL_SIZE_RANGE_UM
    raise argparse.ArgumentTypeError(
        f"{text!r} is no pixel size, give µm per pixel between {low:g} and {high:g}, such as 0.1"
    )


def read_pixel_size(path):
    """Return a picture's pixel size and where it was found.

    Resolution tags alone (72 or 96 dpi, say) are what programs write by habit: they mean nothing.

    Returns
    -------
    size : float or None
        µm per pixel.
    source : str
        "OME-XML", "ImageJ tags" or "unknown".

    Raises
    ------
    UserError
        x and y differ by more than 1 %, or the size is impossible.
    """
    from tifffile import TiffFile

    sizes, source = None, "unknown"
    if is_tiff(path):
        with contextlib.suppress(Exception), TiffFile(path) as tif:  # damaged tags: unknown
            if tif.ome_metadata:
                sizes, source = ome_pixel_sizes(tif.ome_metadata), "OME-XML"
            elif tif.imagej_metadata:
                sizes, source = imagej_pixel_sizes(tif), "ImageJ tags"
    if sizes is None:
        return None, "unknown"
    x, y = sizes
    if not all(PIXEL_SIZE_RANGE_UM[0] <= size < PIXEL_SIZE_RANGE_UM[1] for size in sizes):
        raise UserError(
            f"{path}: pixel size {x:g} x {y:g} µm in its {source}, give the right one "
            "with --pixel-size"
        )
    if abs(x - y) > 0.01 * max(x, y):
        raise UserError(
            f"{path}: pixels of {x:g} x {y:g} µm are not square, resample the picture or give "
            "the right size with --pixel-size"
        )
    return x, source


def ome_pixel_sizes(xml):
    """Return (x, y) in µm from OME-XML, or None."""
    from xml.etree import ElementTree

    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return None  # these can hold entity bombs; OME-XML never has one
    for node in ElementTree.fromstring(xml).iter():
        if node.tag.endswith("}Pixels") and "PhysicalSizeX" in node.attrib:
            units = [MICRONS.get(node.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
            x = node.get("PhysicalSizeX")
            if None not in units:
                return float(x) * units[0], float(node.get("PhysicalSizeY", x)) * units[1]
    return None


def imagej_pixel_sizes(tif):
    """Return (x, y) in µm from ImageJ's description and resolution tags, or None."""
    unit = MICRONS.get(str(tif.imagej_metadata.get("unit", "")).strip())
    tags = tif.pages[0].tags
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    ratios = [tags[name].value for name in ("XResolution", "YResolution")]
    return tuple(unit * below / above for above, below in ratios)


# ---------------------------------------------------------------- writing pictures


def write_image(path, image, pixel_size_um=None):
    """Write a picture atomically as PNG or TIFF, by its suffix.

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
        imwrite(temporary, image, compression="zlib", **tags)


# ---------------------------------------------------------------- packed arrays


class Stack:
    """A packed `.npy` file as a sequence of frames, mapped into memory one frame at a time.

    A mapping kept open would count every frame it has touched as the program's memory.

    Parameters
    ----------
    path : path
    shape, dtype : optional
        Given both, a new file is made.

    Raises
    ------
    UserError
        No such file, or it holds something else than (N, rows, cols) frames.
    """

    def __init__(self, path, shape=None, dtype=None):
        self.path = Path(path)
        if shape is not None:
            np.lib.format.open_memmap(self.path, "w+", dtype, shape)
        frames = load_array(self.path)
        self.shape, self.dtype = frames.shape, frames.dtype
        if len(self.shape) != 3 or self.dtype not in (np.uint8, np.float32):
            raise UserError(
                f"{self.path}: {self.dtype} of shape {self.shape}, expected frames of uint8 as "
                "(N, rows, cols), run python data.py again"
            )

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        return np.array(self.mapped(index))

    def mapped(self, index):
        """Return a frame still on disk: only what is taken from it is read."""
        return np.load(self.path, mmap_mode="r")[index]

    def __setitem__(self, index, frame):
        np.load(self.path, mmap_mode="r+")[index] = frame


def load_array(path):
    """Return a `.npy` file mapped into memory, never unpickled; or a user's error."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, run python data.py first") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: not a packed array ({error}), run python data.py again") from None


def load_shapes(name, stack):
    """Return the true (rows, cols) of each frame of a stack, int64 (N, 2)."""
    shapes = np.array(load_array(NPYDATA / f"imgs_shape_{name}.npy"))
    fits = shapes.shape == (len(stack), 2) and shapes.dtype.kind in "iu"
    if not fits or (len(shapes) and (shapes.min() < 1 or (shapes > stack.shape[1:]).any())):
        raise UserError(
            f"{NPYDATA}/imgs_shape_{name}.npy: does not fit {stack.path}, run python data.py again"
        )
    return shapes


def load_train():
    """Return the packed training set: image stack, mask stack, true sizes (N, 2)."""
    images, masks = Stack(NPYDATA / "imgs_train.npy"), Stack(NPYDATA / "imgs_mask_train.npy")
    if images.shape != masks.shape:
        raise UserError(
            f"{images.path}: {images.shape}, but {masks.path.name} is {masks.shape}, "
            "run python data.py again"
        )
    return images, masks, load_shapes("train", images)


def load_test():
    """Return the packed test set: image stack, ids (list of str), true sizes (N, 2)."""
    images = Stack(NPYDATA / "imgs_test.npy")
    ids = [str(name) for name in load_array(NPYDATA / "imgs_id_test.npy").ravel()]
    if len(ids) != len(images) or any(re.search(r"[/\\\0]|^\.*$", name) for name in ids):
        raise UserError(
            f"{NPYDATA}/imgs_id_test.npy: does not fit {images.path}, run python data.py again"
        )
    return images, ids, load_shapes("test", images)


def training_pairs(folder):
    """Return ([(image path, mask path)], [error text]) of a folder, paired by stem."""
    pairs, errors = [], []
    found = list_images(folder, errors)
    for stem, path in found.items():
        partner = f"{stem}_mask"
        if stem.endswith("_mask"):
            image = stem.removesuffix("_mask")
            if image not in found:
                errors.append(f"{path}: a mask without an image, add {image}.tif or remove it")
        elif partner in found:
            pairs.append((path, found[partner]))
        else:
            errors.append(f"{path}: an image without a mask, add {partner}.tif or remove it")
    return pairs, errors


def test_images(folder, errors=None):
    """Return the paths to segment: masks beside images are references and stay out."""
    found = list_images(folder, errors)
    references = {stem for stem in found if stem.endswith("_mask")}
    references |= {f"{stem}_axon" for stem in found} & set(found)
    return [path for stem, path in found.items() if stem not in references]


test_images.__test__ = False  # not a test, whatever its name says to pytest


def checked_shapes(paths, errors):
    """Return {path: (rows, cols)} of readable pictures; texts of the others go to `errors`."""
    shapes = {}
    for path in paths:
        try:
            shapes[path] = image_shape(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return shapes


def largest(shapes):
    """Return the frame that all (rows, cols) fit into."""
    rows, cols = zip(*shapes, strict=True)
    return max(rows), max(cols)


def pack(paths, shapes, target, read, errors, description):
    """Write one padded frame per picture to `target`; return (lowest, highest) grey value."""
    rows, cols = largest(shapes[path] for path in paths)
    stack = Stack(target, (len(paths), rows, cols), np.uint8)
    low, high = 255, 0
    for index, path in enumerate(progress(paths, description)):
        try:
            image = read(path)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        frame = np.zeros((rows, cols), np.uint8)
        frame[: image.shape[0], : image.shape[1]] = image
        stack[index] = frame
        low, high = min(low, image.min()), max(high, image.max())
    return low, high


def read_mask_frame(path):
    """Return a mask as 0/255 uint8 (rows, cols)."""
    return read_mask(path).astype(np.uint8) * np.uint8(255)


def scaled_count(paths):
    """Return how many readable pictures are not 8-bit, which `read_image` scales."""
    from tifffile import TiffFile

    count = 0
    for path in paths:
        if is_tiff(path):
            with TiffFile(path) as tif:
                count += tiff_pages(tif)[0].bitspersample > 8
        else:
            with open(path, "rb") as file:
                start = file.read(25)  # byte 24 is the bit depth, PNG specification 11.2.1
            count += start.startswith(b"\x89PNG") and start[24] > 8
    return count


def summary(paths, description, shapes, values):
    """Return the line that says what was packed."""
    rows, cols = largest(shapes[path] for path in paths)
    sizes = len({shapes[path] for path in paths})
    scaled = scaled_count(paths)
    return (
        f"{len(paths)} {description}: frames of {rows} x {cols}"
        + (f" ({sizes} sizes, zero-padded)" if sizes > 1 else "")
        + f", values {values[0]} to {values[1]}"
        + (f", {scaled} scaled to 8-bit by their own range" if scaled else "")
    )


def remove_stale(name, folder):
    """Remove the packed arrays of a folder that has no pictures any more, and say so."""
    names = [f"imgs_{kind}_{name}.npy" for kind in ("shape", "id")] + [f"imgs_{name}.npy"]
    names += ["imgs_mask_train.npy"] if name == "train" else []
    stale = [NPYDATA / file for file in names if (NPYDATA / file).exists()]
    for path in stale:
        path.unlink()
    removed = f", removed the older {', '.join(path.name for path in stale)}" if stale else ""
    print(f"{folder}: no pictures{removed}")


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)

    folders = [folder for folder in (RAW_TRAIN, RAW_TEST) if folder.is_dir()]
    if not folders:
        raise UserError(f"{RAW_TRAIN} and {RAW_TEST}: no such folders, make them, put pictures in")
    pairs, errors = training_pairs(RAW_TRAIN) if RAW_TRAIN in folders else ([], [])
    tests = test_images(RAW_TEST, errors) if RAW_TEST in folders else []
    if not pairs and not tests and not errors:
        raise UserError(f"{' and '.join(map(str, folders))}: no pictures, put TIFF or PNG files in")

    shapes = checked_shapes([path for pair in pairs for path in pair] + tests, errors)
    for image, mask in pairs:
        if {image, mask} <= set(shapes) and shapes[image] != shapes[mask]:
            errors.append(
                f"{mask}: {shapes[mask][0]} x {shapes[mask][1]} pixels, but {image.name} is "
                f"{shapes[image][0]} x {shapes[image][1]}, draw the mask on the image itself"
            )
    images, masks = ([pair[k] for pair in pairs if pair[k] in shapes] for k in (0, 1))
    tests = [path for path in tests if path in shapes]

    lines = []
    # Files are renamed when this block ends without an error; until then npydata stays as it was.
    with contextlib.ExitStack() as files:
        for name, paths, read, description in (
            ("imgs_train", images, read_image, "training images"),
            ("imgs_mask_train", masks, read_mask_frame, "training masks"),
            ("imgs_test", tests, read_image, "test images"),
        ):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"{name}.npy"))
                values = pack(paths, shapes, target, read, errors, description)
                lines.append(summary(paths, description, shapes, values))
        for name, paths in (("train", images), ("test", tests)):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"imgs_shape_{name}.npy"))
                np.save(target, np.array([shapes[path] for path in paths], np.int64))
                target = files.enter_context(replacing(NPYDATA / f"imgs_id_{name}.npy"))
                np.save(target, np.array([path.stem for path in paths], dtype=np.str_))
        if errors:
            raise UserError(*errors)
    print("\n".join(lines))
    for name, folder, paths in (("train", RAW_TRAIN, images), ("test", RAW_TEST, tests)):
        if not paths:
            remove_stale(name, folder)
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
