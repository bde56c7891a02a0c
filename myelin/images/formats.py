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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.images.pixel_size import MICRONS, is_possible
from myelin.images.plane_selection import NAMES, chosen, part
from myelin.runtime.cli import UserError

SOURCES = {".czi": "CZI", ".lif": "LIF", ".nd2": "ND2", ".zarr": "OME-Zarr"}
# Zarr unpacks with whatever its metadata names: of what it knows, only these are no program.
CODECS = set(
    """blosc zlib gzip zstd lz4 bz2 lzma delta shuffle bytes transpose crc32c bitround fletcher32
    sharding_indexed packbits""".split()
)
SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
# Microscopes' own formats and the library that reads each; .zarr is a folder.
LIBRARIES = {".czi": "czifile", ".lif": "liffile", ".nd2": "nd2", ".zarr": "zarr"}
for library in LIBRARIES.values():  # they mention damage
    logging.getLogger(library).setLevel(logging.CRITICAL)
MAX_CHUNK_VALUES = 2**26  # 8192 x 8192: one is unpacked whole, however little is read of it


def is_foreign(path):
    """Whether a file is read through one of these libraries."""
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
        Takes {letter: index} of the axes other than Y, X and S; returns the pixels, whose axes are
        those of `kept`.
    """

    sizes: dict
    dtype: np.dtype
    pixel_sizes_um: tuple | None
    read: object

    @property
    def kept(self):
        """The letters of the axes of one plane, in order."""
        return [letter for letter in self.sizes if letter in "YXS"]

    @property
    def others(self):
        """{letter: size} of the axes from which to choose."""
        return {letter: n for letter, n in self.sizes.items() if letter not in "YXS"}


def foreign_header(path, take):
    """Return what a file's header says, as `tiff.tiff_header`."""
    with open_planes(path, take) as (planes, _):
        shape = planes.sizes["Y"], planes.sizes["X"]
        sizes = planes.pixel_sizes_um
        if not sizes or not all(map(is_possible, sizes)):
            sizes = None
        else:
            sizes = tuple(float(f"{size:.9g}") for size in sizes)  # they were in m
        return {
            "shape": shape,
            "channels": planes.sizes.get("S", 1),
            "bits": 8 * np.dtype(planes.dtype).itemsize,
            "pixel_sizes_um": sizes,
            "pixel_size_source": SOURCES[path.suffix.lower()] if sizes else "unknown",
        }


def decode_foreign(path, take):
    """Return the chosen plane as stored: (rows, cols) or (rows, cols, channels RGB[A])."""
    with open_planes(path, take) as (planes, place):
        pixels = np.array(planes.read(place))  # a copy: nd2 maps the file, which is closed here
        letters = planes.kept
        if pixels.ndim != len(letters):
            raise ValueError(f"{pixels.ndim} axes, expected {len(letters)}")
        return pixels.transpose([letters.index(letter) for letter in "YXS" if letter in letters])


@contextlib.contextmanager
def open_planes(path, take):
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
        names = {letter: NAMES.get(letter, letter) for letter in planes.others}
        inner = {names[letter]: size for letter, size in planes.others.items()}
        at = chosen(path, inner, {name: take[name] for name in take if name not in counts})
        yield planes, {letter: at[name] for letter, name in names.items()}


def library_for(path):
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
# Each takes the library, the path, and an ExitStack that closes what is opened. It returns how many
# images and sizes of them there are, {name: count}, and a function that takes {name: index} and
# returns the `Planes`.


def open_czi(czifile, path, files):
    """Open a CZI file: its scenes, and the levels of each."""
    check_czi(path)
    file = files.enter_context(czifile.CziFile(path))
    scenes = [file.scenes[key] for key in file.scenes]

    def select(series):
        image = scenes[series]
        starts = dict(zip(image.dims, image.start, strict=True))

        def read(place):
            return image(**{letter: starts[letter] + k for letter, k in place.items()}).asarray()

        return Planes(dict(image.sizes), image.dtype, image.mpp, read)

    return {"series": len(scenes)}, select


def check_czi(path):
    """Raise where a CZI file's directory claims more than the file holds: czifile reads on and on.

    Its place is at 84 in the file, its count at 32 in it; from 160 on each block has 32 bytes, of
    which the last 4 count its axes, and 20 for each axis.
    """
    with open(path, "rb") as file:
        file.seek(84)
        (place,) = struct.unpack("<Q", file.read(8))
        file.seek(min(place + 32, path.stat().st_size))
        (count,) = struct.unpack("<i", file.read(4))
        if not 0 <= count * 32 <= path.stat().st_size:
            raise ValueError(f"{count:,} blocks in its directory")
        file.seek(124, 1)
        for _ in range(count):
            (axes,) = struct.unpack("<28xi", file.read(32))
            if not 0 <= axes <= 20:
                raise ValueError(f"{axes:,} axes in its directory")
            file.seek(20 * axes, 1)


def open_lif(liffile, path, files):
    """Open a LIF file: its images."""
    if path.open("rb").read(4) != b"\x70\0\0\0":  # Leica's other formats name further files
        raise ValueError("not a LIF file")
    images = files.enter_context(liffile.LifFile(path)).images

    def select(series):
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


def open_nd2(nd2, path, files):
    """Open an ND2 file; its positions are an axis."""
    file = files.enter_context(nd2.ND2File(path))
    sizes = dict(file.sizes)

    def read(place):
        loops = [letter for letter in sizes if letter not in "CYXS"]
        frame = 0
        for letter in loops:
            frame = frame * sizes[letter] + place[letter]
        pixels = file.read_frame(frame)  # all channels of it
        if not pixels.any():  # what nd2 returns where the file ends before
            raise ValueError("no pixels, or cut short")
        return pixels[place["C"]] if "C" in place else pixels

    def select():
        known = None
        with contextlib.suppress(Exception):  # metadata that lack something raise anything in nd2
            volume = file.metadata.channels[0].volume
            known = volume.axesCalibration[:2] if all(volume.axesCalibrated[:2]) else None
        return Planes(sizes, file.dtype, known, read)

    return {}, select


def open_zarr(zarr, path, files):
    """Open an OME-Zarr folder, versions 0.4 and 0.5: the levels of its first multiscale image."""
    store = zarr.storage.LocalStore(path, read_only=True)
    attributes = zarr.open_group(store, mode="r", use_consolidated=False).attrs.asdict()
    image = attributes.get("ome", attributes)["multiscales"][0]
    letters = [axis["name"].upper() for axis in image["axes"]]

    def select(level):
        data = image["datasets"][level]
        array = zarr.open_array(store, path=data["path"], mode="r")
        check_codecs(array)
        sizes = dict(zip(letters, array.shape, strict=True))

        def read(place):
            return array[tuple(place.get(letter, slice(None)) for letter in letters)]

        return Planes(sizes, array.dtype, zarr_pixel_sizes(image, data), read)

    return {"level": len(image["datasets"])}, select


def check_codecs(array):
    """Raise where a Zarr array is packed in a way that could run code or fill memory."""
    facts = array.metadata.to_dict()
    names = set(codec_names([facts.get(name) for name in ("codecs", "filters", "compressor")]))
    unknown = names - CODECS
    if unknown or array.dtype.kind not in "uif":
        raise ValueError(f"packed as {', '.join(sorted(unknown)) or array.dtype}")
    chunk = array.shards or array.chunks
    if math.prod(chunk) > MAX_CHUNK_VALUES:
        raise ValueError(f"chunks of {math.prod(chunk):,} values")


def codec_names(metadata):
    """Yield the name of each codec in Zarr's metadata; that of shards holds others."""
    if isinstance(metadata, dict):
        if {"name", "id"} & metadata.keys():
            yield str(metadata.get("name", metadata.get("id"))).removeprefix("numcodecs.")
        metadata = metadata.values()
    if not isinstance(metadata, str | int | float | None):
        for inner in metadata:
            yield from codec_names(inner)


def zarr_pixel_sizes(image, data):
    """Return (x, y) in µm of a level of an OME-Zarr image, or None."""
    factors = {}
    for step in (
        *data.get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ):
        for axis, factor in zip(image["axes"], step.get("scale", ()), strict=False):
            factors[axis["name"]] = factors.get(axis["name"], 1) * factor
    units = {axis["name"]: MICRONS.get(axis.get("unit")) for axis in image["axes"]}
    if not all(factors.get(axis) and units.get(axis) for axis in "xy"):
        return None
    return tuple(factors[axis] * units[axis] for axis in "xy")
