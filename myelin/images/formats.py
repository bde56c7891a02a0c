"""Microscopes' own formats, through libraries that are installed only where they are needed.

    .czi  czifile      Zeiss             .nd2   nd2     Nikon
    .lif  liffile      Leica             .zarr  zarr    OME-Zarr, a folder

All four are BSD or MIT licensed. `.svs` of Aperio is TIFF, see `tiff_planes`.
"""

import contextlib
import importlib
import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from myelin.images.pixel_size import MICRONS, is_possible
from myelin.images.plane_selection import NAMES, chosen, part
from myelin.runtime.cli import UserError

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
# Library that reads each of the microscopes' own formats; .zarr is a folder.
LIBRARIES = {".czi": "czifile", ".lif": "liffile", ".nd2": "nd2", ".zarr": "zarr"}
TITLES = {".czi": "CZI", ".lif": "LIF", ".nd2": "ND2", ".zarr": "OME-Zarr"}
# Zarr unpacks with the codec that its metadata name; of those it knows, only these run no code.
CODECS = set(
    """blosc zlib gzip zstd lz4 bz2 lzma delta shuffle bytes transpose crc32c bitround fletcher32
    sharding_indexed packbits""".split()
)
MAX_CHUNK_VALUES = 2**26  # 8192 x 8192: a chunk is unpacked whole, however little of it is read
for library in LIBRARIES.values():  # damage is an error line of ours
    logging.getLogger(library).setLevel(logging.CRITICAL)


def is_foreign(path: str | Path) -> bool:
    """Return whether a file is read through one of these libraries."""
    return Path(path).suffix.lower() in LIBRARIES


@dataclass
class Planes:
    """The planes of one image in such a file.

    Attributes
    ----------
    sizes : dict of str to int
        By letter, all axes in order; Y and X among them, and S for colours.
    dtype : numpy.dtype
    pixel_sizes_um : (float, float) or None
        µm per pixel along x and y.
    read : function
        Takes {letter: index} of the axes other than Y, X and S; returns the pixels of one plane.
    """

    sizes: dict
    dtype: np.dtype
    pixel_sizes_um: tuple[float, float] | None
    read: Callable[[dict], np.ndarray]


def foreign_header(path: Path, take: dict) -> dict:
    """Return what a file's header says, as `decoding.read_header`."""
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
        if pixels.ndim != len(letters):
            raise ValueError(f"{pixels.ndim} axes, expected {len(letters)}")
        return pixels.transpose([letters.index(letter) for letter in "YXS" if letter in letters])


@contextlib.contextmanager
def open_planes(path: Path, take: dict) -> Iterator[tuple[Planes, dict]]:
    """Yield the `Planes` of the chosen image, and the place of the chosen plane for their `read`.

    Raises
    ------
    UserError
        The library is not installed, or there are several images and no choice between them.
    """
    library = library_for(path)
    openers = {".czi": open_czi, ".lif": open_lif, ".nd2": open_nd2, ".zarr": open_zarr}
    with contextlib.ExitStack() as files:
        files.enter_context(warnings.catch_warnings(action="ignore"))  # damage is an error line
        counts, select = openers[path.suffix.lower()](library, path, files)
        planes = select(**chosen(path, counts, part(take, *counts)))
        names = {
            letter: NAMES.get(letter, letter) for letter in planes.sizes if letter not in "YXS"
        }
        inner = {name: planes.sizes[letter] for letter, name in names.items()}
        at = chosen(path, inner, {name: take[name] for name in take if name not in counts})
        yield planes, {axis: at[name] for axis, name in names.items()}


def library_for(path: Path) -> ModuleType:
    """Return the library that reads a file's format, imported."""
    name = LIBRARIES[path.suffix.lower()]
    instead = "or save the image as TIFF, for example with Fiji"
    try:
        library = importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"{path}: needs {name}, which is not installed, run pip install {name}, {instead}"
        ) from None
    if name == "czifile" and not hasattr(library.CziFile, "scenes"):
        raise UserError(
            f"{path}: needs czifile of 2026, which is for Python 3.12 or newer, run it there, "
            f"{instead}"
        )
    return library


# ---------------------------------------------------------------- one opener for each format
#
# Each takes the library, the path, and an ExitStack that closes what is opened. It returns how many
# images and sizes of them there are, {name: count}, and a function that takes {name: index} and
# returns the `Planes`.

Opened = tuple[dict, Callable[..., Planes]]


def open_czi(czifile: ModuleType, path: Path, files: contextlib.ExitStack) -> Opened:
    """Open a CZI file: its scenes."""
    check_czi(path)
    file = files.enter_context(czifile.CziFile(path))
    scenes = [file.scenes[key] for key in file.scenes]

    def select(series: int) -> Planes:
        image = scenes[series]
        starts = dict(zip(image.dims, image.start, strict=True))

        def read(place: dict) -> np.ndarray:
            return image(**{letter: starts[letter] + k for letter, k in place.items()}).asarray()

        return Planes(dict(image.sizes), image.dtype, image.mpp, read)

    return {"series": len(scenes)}, select


def check_czi(path: Path) -> None:
    """Raise a ValueError if a CZI file's directory claims more than the file holds.

    czifile reads as many entries as a damaged count says. The directory's place is at 84 in the
    file, its count at 32 in the directory.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(84)
        (place,) = struct.unpack("<Q", file.read(8))
        file.seek(min(place + 32, size))
        (count,) = struct.unpack("<i", file.read(4))
    if not 0 <= count * 32 <= size:  # the least bytes of an entry
        raise ValueError(f"{count:,} blocks in its directory")


def open_lif(liffile: ModuleType, path: Path, files: contextlib.ExitStack) -> Opened:
    """Open a LIF file: its images."""
    with open(path, "rb") as file:
        if file.read(4) != b"\x70\0\0\0":  # Leica's other formats name further files
            raise ValueError("not a LIF file")
    images = files.enter_context(liffile.LifFile(path)).images

    def select(series: int) -> Planes:
        image = images[series]
        steps = [np.diff(image.coords[axis][:2]) for axis in "XY" if axis in image.coords]
        sizes = tuple(1e6 * float(step[0]) for step in steps)
        return Planes(
            dict(image.sizes),
            image.dtype,
            sizes if len(sizes) == 2 else None,
            lambda place: image.frame(**place),
        )

    return {"series": len(images)}, select


def open_nd2(nd2: ModuleType, path: Path, files: contextlib.ExitStack) -> Opened:
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

    def select() -> Planes:
        known = None
        with contextlib.suppress(Exception):  # nd2 raises anything if metadata are missing
            volume = file.metadata.channels[0].volume
            known = volume.axesCalibration[:2] if all(volume.axesCalibrated[:2]) else None
        return Planes(sizes, file.dtype, known, read)

    return {}, select


def open_zarr(zarr: ModuleType, path: Path, files: contextlib.ExitStack) -> Opened:
    """Open an OME-Zarr folder, versions 0.4 and 0.5: the levels of its first multiscale image."""
    store = zarr.storage.LocalStore(path, read_only=True)
    attributes = zarr.open_group(store, mode="r", use_consolidated=False).attrs.asdict()
    image = attributes.get("ome", attributes)["multiscales"][0]
    letters = [axis["name"].upper() for axis in image["axes"]]

    def select(level: int) -> Planes:
        data = image["datasets"][level]
        array = zarr.open_array(store, path=data["path"], mode="r")
        check_codecs(array)
        sizes = dict(zip(letters, array.shape, strict=True))

        def read(place: dict) -> np.ndarray:
            return array[tuple(place.get(letter, slice(None)) for letter in letters)]

        return Planes(sizes, array.dtype, zarr_pixel_sizes(image, data), read)

    return {"level": len(image["datasets"])}, select


def check_codecs(array: object) -> None:
    """Raise a ValueError if unpacking a Zarr array could run code or fill the memory."""
    facts = array.metadata.to_dict()
    names = set(codec_names([facts.get(name) for name in ("codecs", "filters", "compressor")]))
    unknown = names - CODECS
    if unknown or array.dtype.kind not in "uif":
        raise ValueError(f"packed as {', '.join(sorted(unknown)) or array.dtype}")
    chunk = math.prod(array.shards or array.chunks)
    if chunk > MAX_CHUNK_VALUES:
        raise ValueError(f"chunks of {chunk:,} values")


def codec_names(metadata: object) -> Iterator[str]:
    """Yield the name of each codec in Zarr's metadata; the codec of shards holds others."""
    if isinstance(metadata, dict):
        if {"name", "id"} & metadata.keys():
            yield str(metadata.get("name", metadata.get("id"))).removeprefix("numcodecs.")
        metadata = metadata.values()
    if not isinstance(metadata, str | int | float | None):
        for inner in metadata:
            yield from codec_names(inner)


def zarr_pixel_sizes(image: dict, data: dict) -> tuple[float, float] | None:
    """Return (x, y) in µm of a level of an OME-Zarr image, None if unknown."""
    factors: dict = {}
    for source in (data, image):
        for step in source.get("coordinateTransformations", ()):
            for axis, factor in zip(image["axes"], step.get("scale", ()), strict=False):
                factors[axis["name"]] = factors.get(axis["name"], 1) * factor
    units = {axis["name"]: MICRONS.get(axis.get("unit")) for axis in image["axes"]}
    if not all(factors.get(axis) and units.get(axis) for axis in "xy"):
        return None
    return factors["x"] * units["x"], factors["y"] * units["y"]
