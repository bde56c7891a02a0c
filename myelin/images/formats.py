"""Microscopes' own formats, through libraries that are installed only where they are needed.

All four are BSD or MIT licensed. `.svs` of Aperio is TIFF, see `tiff_planes`.
"""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from myelin.images.pixel_size import MICRONS, is_possible
from myelin.images.plane_selection import chosen_plane, pop_chosen
from myelin.runtime.cli import UserError

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
# Library that reads each of the microscopes' own formats: Zeiss, Leica, Nikon, and OME-Zarr, a
# folder.
LIBRARIES = {".czi": "czifile", ".lif": "liffile", ".nd2": "nd2", ".zarr": "zarr"}
TITLES = {".czi": "CZI", ".lif": "LIF", ".nd2": "ND2", ".zarr": "OME-Zarr"}
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
    pixel_sizes_um: tuple[float, float] | None  # along x and y
    read: Callable[[dict], np.ndarray]  # of one plane, by {letter: index} of the other axes


def foreign_header(path: Path, take: dict) -> dict:
    """Return the contents of a file's header, as `decoding.read_header`."""
    with open_planes(path, take) as (planes, _):
        sizes = planes.pixel_sizes_um
        known = bool(sizes) and all(map(is_possible, sizes))
        return {
            "shape": (planes.sizes["Y"], planes.sizes["X"]),
            "channels": planes.sizes.get("S", 1),
            "bits": 8 * np.dtype(planes.dtype).itemsize,
            # Sizes in m are converted with an error in the last digits.
            "pixel_sizes_um": tuple(float(f"{size:.9g}") for size in sizes) if known else None,
            "pixel_size_source": TITLES[path.suffix.lower()] if known else "unknown",
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
        library = importlib.import_module(name)
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

    return Planes(dict(image.sizes), image.dtype, image.mpp, read)


def open_lif(
    liffile: ModuleType, path: Path, files: contextlib.ExitStack, choose: Choose
) -> Planes:
    """Open one image of a LIF file."""
    images = files.enter_context(liffile.LifFile(path)).images
    image = images[choose("series", len(images))]
    steps = [np.diff(image.coords[axis][:2]) for axis in "XY" if axis in image.coords]
    sizes = tuple(1e6 * float(step[0]) for step in steps)
    known = sizes if len(sizes) == 2 else None
    return Planes(dict(image.sizes), image.dtype, known, lambda place: image.frame(**place))


def open_nd2(nd2: ModuleType, path: Path, files: contextlib.ExitStack, _: Choose) -> Planes:
    """Open an ND2 file; its positions are an axis."""
    file = files.enter_context(nd2.ND2File(path))
    sizes = dict(file.sizes)

    def read(place: dict) -> np.ndarray:
        frame = 0
        for letter in sizes:
            if letter not in "CYXS":
                frame = frame * sizes[letter] + place[letter]
        pixels = file.read_frame(frame)  # all channels of it
        if not pixels.any():  # nd2 returns zeros where the file ends before
            raise ValueError("no pixels, or cut short")
        return pixels[place["C"]] if "C" in place else pixels

    known = None
    with contextlib.suppress(Exception):  # nd2 raises anything if metadata are missing
        volume = file.metadata.channels[0].volume
        known = volume.axesCalibration[:2] if all(volume.axesCalibrated[:2]) else None
    return Planes(sizes, file.dtype, known, read)


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
    letters = [axis["name"].upper() for axis in image["axes"]]

    def read(place: dict) -> np.ndarray:
        return array[tuple(place.get(letter, slice(None)) for letter in letters)]

    sizes = dict(zip(letters, array.shape, strict=True))
    return Planes(sizes, array.dtype, zarr_pixel_sizes(image, level), read)


def zarr_pixel_sizes(image: dict, level: dict) -> tuple[float, float] | None:
    """Return (x, y) in µm of a level of an OME-Zarr image, None if unknown."""
    factors: dict = {}
    for source in (level, image):
        for step in source.get("coordinateTransformations", ()):
            for axis, factor in zip(image["axes"], step.get("scale", ()), strict=False):
                factors[axis["name"]] = factors.get(axis["name"], 1) * factor
    units = {axis["name"]: MICRONS.get(axis.get("unit")) for axis in image["axes"]}
    if not all(factors.get(axis) and units.get(axis) for axis in "xy"):
        return None
    return factors["x"] * units["x"], factors["y"] * units["y"]
