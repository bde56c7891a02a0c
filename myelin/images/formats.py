"""Microscopes' own formats, through libraries that are installed only where they are needed.

All are BSD, MIT or Apache licensed. `.svs` of Aperio is TIFF, see `tiff_planes`.
"""

import contextlib
import importlib
import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from myelin.images.plane_selection import chosen_plane, place_of, pop_chosen
from myelin.images.stated_size import Stated, in_um
from myelin.runtime.cli import UserError

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
# Library that reads each of the microscopes' own formats: Zeiss, Leica, Nikon, OME-Zarr, a folder,
# and Gatan's and the MRC format of transmission electron microscopes.
LIBRARIES = {".czi": "czifile", ".lif": "liffile", ".nd2": "nd2", ".zarr": "zarr"}
LIBRARIES |= {".dm3": "nionswift-io", ".dm4": "nionswift-io", ".mrc": "mrcfile"}
# Modules whose name is not that of their library.
MODULES = {"nionswift-io": "nionswift_plugin.DM_IO.dm3_image_utils"}
ONE_DM = threading.Lock()
IMOD_MARK = 1146047817  # in the header of MRC files of IMOD and SerialEM
TITLES = {suffix: suffix[1:].upper() for suffix in LIBRARIES} | {".zarr": "OME-Zarr"}
for library in LIBRARIES.values():  # damage is an error line of ours
    logging.getLogger(library).setLevel(logging.CRITICAL)


def is_foreign(path: str | Path) -> bool:
    """Return whether a file is read through one of these libraries."""
    return Path(path).suffix.lower() in LIBRARIES


@dataclass
class Planes:
    """The planes of one image in such a file."""

    sizes: dict  # by letter, all axes in order; Y and X among them, and S for colours
    dtype: np.dtype
    pixel_size: Callable[[], Stated]  # raises an exception if it is unknown
    read: Callable[[dict], np.ndarray]  # of one plane, by {letter: index} of the other axes


def foreign_header(path: Path, take: dict) -> dict:
    """Return the contents of a file's header, as `decoding.read_header`."""
    with open_planes(path, take) as (planes, _):
        sizes = None
        with contextlib.suppress(Exception):  # missing metadata raise anything
            sizes = in_um(planes.pixel_size())
        return {
            "shape": (planes.sizes["Y"], planes.sizes["X"]),
            "channels": planes.sizes.get("S", 1),
            "bits": 8 * np.dtype(planes.dtype).itemsize,
            "pixel_sizes_um": sizes,
            "pixel_size_source": TITLES[path.suffix.lower()] if sizes else "unknown",
        }


def decode_foreign(path: Path, take: dict) -> np.ndarray:
    """Return the chosen plane as stored: (rows, cols) or (rows, cols, channels RGB[A])."""
    with open_planes(path, take) as (planes, place):
        pixels = np.array(planes.read(place))  # a copy: nd2 maps the file, which is closed here
        letters = [letter for letter in planes.sizes if letter in "YXS"]
        return pixels.transpose([letters.index(letter) for letter in "YXS" if letter in letters])


@contextlib.contextmanager
def open_planes(path: Path, take: dict) -> Iterator[tuple[Planes, dict]]:
    """Yield the `Planes` of the chosen image, and the place of the chosen plane in it."""
    openers = {".czi": open_czi, ".lif": open_lif, ".nd2": open_nd2, ".zarr": open_zarr}
    openers |= {".dm3": open_dm, ".dm4": open_dm, ".mrc": open_mrc}
    library, left = library_for(path), dict(take)

    def choose(name: str, count: int) -> int:
        return pop_chosen(path, name, count, left)

    with contextlib.ExitStack() as files:
        files.enter_context(warnings.catch_warnings(action="ignore"))  # damage is an error line
        planes = openers[path.suffix.lower()](library, path, files, choose)
        yield planes, chosen_plane(path, planes.sizes, left)


def library_for(path: Path) -> ModuleType:
    """Return the library that reads a file's format, imported."""
    name = LIBRARIES[path.suffix.lower()]
    try:
        library = importlib.import_module(MODULES.get(name, name))
    except ImportError:
        raise UserError(
            f"{path}: needs {name}, which is not installed, run pip install {name}, or save the "
            "image as TIFF, for example with Fiji"
        ) from None
    if name == "czifile" and not hasattr(library.CziFile, "scenes"):
        raise UserError(
            f"{path}: needs czifile of 2026, which is for Python 3.12 or newer, run it there, or "
            "save the image as TIFF, for example with Fiji"
        )
    return library


# ---------------------------------------------------------------- one opener for each format
#
# `files` closes what is opened; `choose` takes the name and the number of the images in the file
# and returns the index of the chosen one.

Choose = Callable[[str, int], int]


def open_czi(
    czifile: ModuleType, path: Path, files: contextlib.ExitStack, choose: Choose
) -> Planes:
    """Open one scene of a CZI file."""
    scenes = files.enter_context(czifile.CziFile(path)).scenes
    image = scenes[list(scenes)[choose("series", len(scenes))]]
    starts = dict(zip(image.dims, image.start, strict=True))

    def read(place: dict) -> np.ndarray:
        return image(**{letter: starts[letter] + k for letter, k in place.items()}).asarray()

    return Planes(dict(image.sizes), image.dtype, lambda: (*image.mpp, "µm"), read)


def open_lif(
    liffile: ModuleType, path: Path, files: contextlib.ExitStack, choose: Choose
) -> Planes:
    """Open one image of a LIF file."""
    images = files.enter_context(liffile.LifFile(path)).images
    image = images[choose("series", len(images))]

    def pixel_size() -> Stated:
        return (*(np.diff(image.coords[axis][:2])[0] for axis in "XY"), "m")

    return Planes(dict(image.sizes), image.dtype, pixel_size, lambda place: image.frame(**place))


def open_nd2(nd2: ModuleType, path: Path, files: contextlib.ExitStack, _: Choose) -> Planes:
    """Open an ND2 file; its positions are an axis."""
    file = files.enter_context(nd2.ND2File(path))
    sizes = dict(file.sizes)

    def read(place: dict) -> np.ndarray:
        frames = {letter: place[letter] for letter in sizes if letter not in "CYXS"}
        pixels = file.read_frame(place_of(frames, sizes))  # all channels of it
        if not pixels.any():  # nd2 returns zeros where the file ends before
            raise ValueError("no pixels, or cut short")
        return pixels[place["C"]] if "C" in place else pixels

    def pixel_size() -> Stated:
        volume = file.metadata.channels[0].volume
        return (*volume.axesCalibration[:2], "µm" if all(volume.axesCalibrated[:2]) else "")

    return Planes(sizes, file.dtype, pixel_size, read)


def open_zarr(zarr: ModuleType, path: Path, _: contextlib.ExitStack, choose: Choose) -> Planes:
    """Open one level of the first image of an OME-Zarr folder, version 0.4 or 0.5."""
    store = zarr.storage.LocalStore(path, read_only=True)
    attributes = zarr.open_group(store, mode="r", use_consolidated=False).attrs.asdict()
    image = attributes.get("ome", attributes)["multiscales"][0]
    level = image["datasets"][choose("level", len(image["datasets"]))]
    array = zarr.open_array(store, path=level["path"], mode="r")
    facts = array.metadata.to_dict()
    packing = str([facts.get(name) for name in ("codecs", "filters", "compressor")])
    if "pickle" in packing:  # the only codec of numcodecs that runs code of the file
        raise ValueError(f"packed as {packing}")
    letters = "".join(axis["name"].upper() for axis in image["axes"])
    return planes_of(array, letters, lambda: zarr_pixel_size(image, level))


def zarr_pixel_size(image: dict, level: dict) -> Stated:
    """Return the pixel size of a level of an OME-Zarr image; a KeyError if it is unknown."""
    factors: dict = {}
    for source in (level, image):
        for step in source.get("coordinateTransformations", ()):
            for axis, factor in zip(image["axes"], step.get("scale", ()), strict=False):
                factors[axis["name"]] = factors.get(axis["name"], 1) * factor
    (unit,) = {axis["unit"] for axis in image["axes"] if axis["name"] in "xy"}
    return factors["x"], factors["y"], unit


def open_dm(dm: ModuleType, path: Path, *_: object) -> Planes:
    """Open the image of a DM3 or DM4 file of Gatan's DigitalMicrograph, or its stack."""
    # The library keeps the version of a file in a global, and prints what it read of a damaged one.
    with open(path, "rb") as file, ONE_DM, contextlib.redirect_stdout(io.StringIO()):
        image = dm.load_image(file)
    pixels, colours = image.data, image.data.dtype == np.uint8
    if pixels.dtype == np.int8:  # nionswift-io returns unsigned 8-bit values as signed
        pixels = pixels.view(np.uint8)
    letters = "YXS" if colours else "ZYX"[-pixels.ndim :]
    along = dict(zip(letters, image.dimensional_calibrations, strict=False))
    x, y = along["X"], along["Y"]
    return planes_of(pixels, letters, lambda: (x.scale, y.scale, x.units))


def open_mrc(mrcfile: ModuleType, path: Path, files: contextlib.ExitStack, _: Choose) -> Planes:
    """Open the image or the stack of an MRC file."""
    mrc = files.enter_context(mrcfile.open(path, permissive=True))
    if mrc.data is None:
        raise ValueError("not an MRC file, or cut short")
    pixels = mrc.data
    # IMOD and SerialEM wrote unsigned bytes where the standard has signed ones, with a mark.
    mark, flags = np.frombuffer(mrc.header.extra2.tobytes(), "<i4", 2, offset=40)
    if pixels.dtype == np.int8 and mark == IMOD_MARK and not flags & 1:
        pixels = pixels.view(np.uint8)
    x, y = float(mrc.voxel_size.x), float(mrc.voxel_size.y)
    # Programs write 1 Å if nobody calibrated; myelin is not imaged at that size.
    unit = "" if x == y == 1 else "Å"
    return planes_of(pixels, "ZYX"[-pixels.ndim :], lambda: (x, y, unit))


def planes_of(pixels: np.ndarray, letters: str, pixel_size: Callable[[], Stated]) -> Planes:
    """Return the `Planes` of an array whose axes have these letters."""
    sizes = dict(zip(letters, pixels.shape, strict=True))

    def read(place: dict) -> np.ndarray:
        return pixels[tuple(place.get(letter, slice(None)) for letter in letters)]

    return Planes(sizes, pixels.dtype, pixel_size, read)
