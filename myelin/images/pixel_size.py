"""Read the pixel size in µm from an image's metadata or from the command line."""

import argparse
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from myelin.runtime.cli import UserError

if TYPE_CHECKING:
    from tifffile import TiffFile

# Without m, cm and inch: printing resolutions use these, microscopes do not.
MICRONS = {"mm": 1e3, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4}
# The first µ is the micro sign, the second the Greek mu, the third ImageJ's escape.
MICRONS |= dict.fromkeys("µm μm \\u00B5m um micron microns micrometer micrometre".split(), 1.0)
# µm per pixel; a size outside this range, 10 pm to 100 µm, is a mistake.
PIXEL_SIZE_RANGE_UM = (1e-5, 100.0)
APERIO_SIZE = re.compile(r"\|MPP = ([\d.]+)")  # µm per pixel, in the description of an SVS
# Two pixel sizes of one image that differ by more are a contradiction, not rounding.
PIXEL_SIZE_TOLERANCE = 0.01


def is_possible(size_um: float | np.ndarray) -> bool | np.ndarray:
    """Return whether a number, or each number of an array, can be a pixel size in µm."""
    return (PIXEL_SIZE_RANGE_UM[0] <= size_um) & (size_um < PIXEL_SIZE_RANGE_UM[1])


def check_pixel_size(text: str) -> float:
    """Return a pixel size in µm from a command line, or raise argparse's error."""
    with contextlib.suppress(ValueError):
        if is_possible(float(text)):
            return float(text)
    low, high = PIXEL_SIZE_RANGE_UM
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a pixel size, give µm per pixel between {low:g} and {high:g}, such as 0.1"
    )


def square_size(path: str | Path, sizes_um: tuple[float, float]) -> float:
    """Return the x of an image's (x, y) pixel sizes; raise a UserError if y differs."""
    x, y = sizes_um
    if abs(x - y) > PIXEL_SIZE_TOLERANCE * max(x, y):
        raise UserError(
            f"{path}: pixels of {x:g} x {y:g} µm are not square, resample the image or give "
            "the right size with --pixel-size"
        )
    return x


def stated_sizes(
    tif: "TiffFile", series: int | None = None, shrinking: float = 1.0
) -> tuple[tuple[float, float] | None, str]:
    """Return (x, y) in µm per pixel that the metadata of a TIFF state, or None, and their source.

    Resolution tags alone (72 or 96 dpi, say) are ignored: programs write them by habit. `series` is
    the number of the image in OME-XML, None for the first that has a pixel size; at a level of a
    pyramid, a pixel is larger than stated by the factor `shrinking`.
    """
    sizes, source = None, "unknown"
    with contextlib.suppress(Exception):  # damaged tags raise anything
        if tif.ome_metadata:
            sizes, source = ome_pixel_sizes(tif.ome_metadata, series), "OME-XML"
        elif tif.imagej_metadata:
            sizes, source = imagej_pixel_sizes(tif), "ImageJ tags"
        elif tif.is_svs and (size := APERIO_SIZE.search(tif.pages.first.description)):
            sizes, source = 2 * (float(size[1]),), "Aperio"
        sizes = sizes and tuple(size * shrinking for size in sizes)
    # Impossible sizes are a program's habit as well: the 2018 images state 389 µm, from "inch".
    if sizes is None or not all(map(is_possible, sizes)):
        return None, "unknown"
    return sizes, source


def ome_pixel_sizes(xml: str, series: int | None = None) -> tuple[float, float] | None:
    """Return (x, y) in µm of an image in OME-XML, None if it has no pixel size."""
    for place, pixels in enumerate(ElementTree.fromstring(xml).iterfind(".//{*}Pixels")):
        x = pixels.get("PhysicalSizeX")
        if x and series in (None, place):
            units = [MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
            if None in units:
                return None
            return float(x) * units[0], float(pixels.get("PhysicalSizeY", x)) * units[1]
    return None


def imagej_pixel_sizes(tif: "TiffFile") -> tuple[float, ...] | None:
    """Return (x, y) in µm from ImageJ's description and resolution tags, None without them."""
    unit = MICRONS.get(str(tif.imagej_metadata.get("unit", "")).strip())
    tags = tif.pages[0].tags
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    ratios = [tags[name].value for name in ("XResolution", "YResolution")]
    return tuple(unit * below / above for above, below in ratios)
