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
import math
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import cv2
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
LUMINANCE_RGB = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601-7, section 2.5.1
MICRONS = {"m": 1e6, "mm": 1e3, "cm": 1e4, "inch": 25400.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6}
MICRONS |= {"micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "Å": 1e-4}
MICRONS |= {"µm": 1.0, "μm": 1.0, "\\u00B5m": 1.0}  # micro sign, Greek mu, and ImageJ's escape
# Outside this range (µm per pixel) a stated size is a mistake: 10 pm to 100 µm.
PIXEL_SIZE_RANGE_UM = (1e-5, 100.0)


# ---------------------------------------------------------------- messages and scripts


class UserError(Exception):
    """One or more mistakes a user can mend; each argument is `what: found, what to do`."""


def script(main):
    """Decorate a script's `main(argv=None)`: mistakes become `error:` lines and exit code 2."""

    @functools.wraps(main)
    def run(argv=None):
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
        except KeyboardInterrupt:
            print("stopped by Ctrl-C; what was finished is kept", file=sys.stderr)
            raise SystemExit(130) from None

    return run


def progress(items, description):
    """Return `items` with a progress bar on stderr; no bar when the loop ends within 2 seconds."""
    from tqdm import tqdm

    return tqdm(items, desc=description, delay=2, unit="image", leave=False)


def number(kind, low, high=math.inf):
    """Return an argparse type: a number of `kind` (int, float) from low to high."""

    def check(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:
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
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "opencv-python", "scikit-image", "openvino"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def write_run_json(folder, argv, **facts):
    """Write `folder/run.json`: command, date, versions and `facts`, enough to repeat a run.

    Parameters
    ----------
    folder : path
    argv : list of str or None
        The arguments of the script; None means those of the command line.
    **facts
        JSON values to keep, such as `threshold=0.5`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    name = Path(sys._getframe(1).f_code.co_filename).name
    facts = {
        "command": " ".join(["python", name, *map(str, arguments)]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
        "versions": versions(),
    }
    with replacing(Path(folder) / "run.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def list_images(folder):
    """Return the pictures of a folder as {stem: path}, sorted by stem.

    System files and files of other kinds are skipped.

    Raises
    ------
    UserError
        The folder is missing, or two pictures share one stem (all such pairs are named).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, make it and put pictures into it")
    found, clashes = {}, []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            clashes.append(
                f"{path}: {found[path.stem].name} has the same name before the dot, "
                "rename or remove one of them"
            )
        found[path.stem] = path
    if clashes:
        raise UserError(*clashes)
    return found


# ---------------------------------------------------------------- reading pictures


def unreadable(path, why):
    """Return the error for a file that is no picture we can read."""
    return UserError(f"{path}: cannot be read as a picture ({why}), save it again or remove it")


def is_tiff(path):
    return Path(path).suffix.lower() in (".tif", ".tiff")


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
                pages = [page for page in tif.pages if not page.is_reduced]
                count, (rows, cols) = len(pages), (pages[0].imagelength, pages[0].imagewidth)
        else:
            # Pillow's own size limit only warns up to twice its value; ours is checked below.
            Image.MAX_IMAGE_PIXELS = None
            with Image.open(path) as picture:
                count, (cols, rows) = getattr(picture, "n_frames", 1), picture.size
    except Exception as error:  # a damaged header can raise anything in the two libraries
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    if count > 1:
        raise UserError(f"{path}: {count} pages in one file, save each page as a file of its own")
    if not 0 < rows * cols <= MAX_PIXELS:
        raise UserError(
            f"{path}: claims {rows} x {cols} pixels, above the limit of {MAX_PIXELS:,}; "
            "crop it, or remove it if that size is wrong"
        )
    return rows, cols


def decode(path):
    """Return a picture as stored: (rows, cols) or (rows, cols, channels RGB[A]), any dtype."""
    from tifffile import PHOTOMETRIC, TiffFile

    if is_tiff(path):
        with TiffFile(path) as tif:
            page = tif.pages[0]
            with contextlib.suppress(ValueError):  # a codec tifffile lacks: OpenCV reads on
                image = page.asarray()
                if page.photometric == PHOTOMETRIC.MINISWHITE:
                    image = ~image if image.dtype.kind in "bu" else image.max() - image
                if page.photometric == PHOTOMETRIC.PALETTE:
                    image = np.moveaxis(page.colormap[:, image], 0, -1) // 256
                    image = image.astype(np.uint8)
                if image.ndim == 3 and page.axes.startswith("S"):
                    image = np.moveaxis(image, 0, -1)
                return image
    # imdecode of bytes, not imread: imread fails on non-ASCII paths on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("damaged or cut short")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]  # OpenCV stores BGR
    return image


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
    image_shape(path)
    try:
        image = np.squeeze(decode(path))
    except Exception as error:  # a damaged body can raise anything in the two libraries
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    if image.ndim == 3 and image.shape[2] in (3, 4):
        colour = image[..., :3]
        image = (
            np.rint(colour @ LUMINANCE_RGB)
            if colour.dtype == np.uint8
            else (colour @ LUMINANCE_RGB)
        )
        image = image.astype(np.uint8) if colour.dtype == np.uint8 else image
    elif image.ndim == 3 and image.shape[2] == 2:  # grey and alpha
        image = image[..., 0]
    if image.ndim != 2:
        raise unreadable(path, f"shape {image.shape}")
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    return image if image.dtype == np.uint8 else scale_to_uint8(image, path)


def scale_to_uint8(image, path):
    """Scale a (rows, cols) image of any number type from its own range to uint8 0..255."""
    image = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    low, high = image.min(), image.max()
    if not np.isfinite([low, high]).all():
        raise UserError(f"{path}: has NaN or infinite pixels, replace them and save it again")
    return np.rint((image - low) * (255 / max(high - low, 1e-300))).astype(np.uint8)


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
    if "<!" in re.sub(r"<!--.*?-->", "", xml, flags=re.DOTALL):
        return None  # a document type can hold entity bombs; OME-XML never has one
    for node in ElementTree.fromstring(xml).iter():
        if node.tag.endswith("}Pixels") and "PhysicalSizeX" in node.attrib:
            units = [MICRONS.get(node.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
            sizes = [
                node.get("PhysicalSizeX"),
                node.get("PhysicalSizeY", node.get("PhysicalSizeX")),
            ]
            return (
                None
                if None in units
                else tuple(float(s) * u for s, u in zip(sizes, units, strict=True))
            )
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
        frames = load_array(self.path, mmap_mode="r")
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


def load_array(path, **options):
    """Return `np.load(path)`, never unpickling, with a user's error for a missing or bad file."""
    try:
        return np.load(path, **options)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, run python data.py first") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: not a packed array ({error}), run python data.py again") from None


def load_shapes(name, stack):
    """Return the true (rows, cols) of each frame of a stack, int64 (N, 2)."""
    shapes = load_array(NPYDATA / f"imgs_shape_{name}.npy")
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
    ids = [str(name) for name in load_array(NPYDATA / "imgs_id_test.npy")]
    if len(ids) != len(images) or any(re.search(r"[/\\\0]|^\.*$", name) for name in ids):
        raise UserError(
            f"{NPYDATA}/imgs_id_test.npy: does not fit {images.path}, run python data.py again"
        )
    return images, ids, load_shapes("test", images)


def training_pairs(folder):
    """Return ([(image path, mask path)], [error text]) of a folder, paired by stem."""
    found = list_images(folder)
    pairs, errors = [], []
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


def test_images(folder):
    """Return the paths to segment: masks beside images are references and stay out."""
    found = list_images(folder)
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
    """Return how many pictures are not 8-bit, which `read_image` scales."""
    from tifffile import TiffFile

    count = 0
    for path in paths:
        if is_tiff(path):
            with TiffFile(path) as tif:
                count += tif.pages[0].bitspersample > 8
        elif path.suffix.lower() == ".png":
            with open(path, "rb") as file:
                count += file.read(25)[24] > 8  # bit depth, PNG specification 11.2.1
    return count


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)

    folders = [folder for folder in (RAW_TRAIN, RAW_TEST) if folder.is_dir()]
    if not folders:
        raise UserError(f"{RAW_TRAIN} and {RAW_TEST}: no such folders, make them, put images in")
    pairs, errors = training_pairs(RAW_TRAIN) if RAW_TRAIN in folders else ([], [])
    tests = test_images(RAW_TEST) if RAW_TEST in folders else []
    if not pairs and not tests and not errors:
        raise UserError(f"{' and '.join(map(str, folders))}: no pictures, put TIFF or PNG files in")

    shapes = checked_shapes([path for pair in pairs for path in pair] + tests, errors)
    pairs = [pair for pair in pairs if pair[0] in shapes and pair[1] in shapes]
    tests = [path for path in tests if path in shapes]
    for image, mask in pairs:
        if shapes[image] != shapes[mask]:
            errors.append(
                f"{mask}: {shapes[mask][0]} x {shapes[mask][1]} pixels, but {image.name} is "
                f"{shapes[image][0]} x {shapes[image][1]}, draw the mask on the image itself"
            )

    with contextlib.ExitStack() as files:
        names = {
            "imgs_train": ([image for image, _ in pairs], read_image, "training images"),
            "imgs_mask_train": ([mask for _, mask in pairs], read_mask_frame, "masks"),
            "imgs_test": (tests, read_image, "test images"),
        }
        targets = {name: NPYDATA / f"{name}.npy" for name in names}
        lines = []
        for name, (paths, read, description) in names.items():
            if not paths:
                continue
            target = files.enter_context(replacing(targets[name]))
            low, high = pack(paths, shapes, target, read, errors, description)
            rows, cols = largest(shapes[path] for path in paths)
            sizes = len({shapes[path] for path in paths})
            lines.append(
                f"{len(paths)} {description}: frames of {rows} x {cols}"
                + (f" ({sizes} sizes, zero-padded)" if sizes > 1 else "")
                + f", values {low} to {high}"
                + (f", {n} scaled to 8-bit" if (n := scaled_count(paths)) else "")
            )
        for name, paths in (("train", names["imgs_train"][0]), ("test", tests)):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"imgs_shape_{name}.npy"))
                np.save(target, np.array([shapes[path] for path in paths], np.int64))
                target = files.enter_context(replacing(NPYDATA / f"imgs_id_{name}.npy"))
                np.save(target, np.array([path.stem for path in paths], dtype=np.str_))
        if errors:
            raise UserError(*errors)  # before any file is renamed: the previous npydata stays
    print("\n".join(lines))
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
