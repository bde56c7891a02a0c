"""From an image's metadata to µm per pixel."""

import argparse
import contextlib
import itertools
import re

from myelin.runtime.cli import UserError

# Without m, cm and inch: no microscope counts in these, but printing resolutions do.
MICRONS = {"mm": 1e3, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4}
# The first µ is the micro sign, the second the Greek mu, the third ImageJ's escape.
MICRONS |= dict.fromkeys("µm μm \\u00B5m um micron microns micrometer micrometre".split(), 1.0)
# Outside this range (µm per pixel) a stated size is a mistake: 10 pm to 100 µm.
PIXEL_SIZE_RANGE_UM = (1e-5, 100.0)
APERIO_SIZE = re.compile(r"\|MPP = ([\d.]+)")  # µm per pixel, in the description of an SVS
# ImageJ's description of an image is a few hundred letters; each of its lines would be kept.
MAX_IMAGEJ_TEXT = 2**16
# Two pixel sizes of one image that differ by more are a contradiction, not rounding.
PIXEL_SIZE_TOLERANCE = 0.01


def is_possible(size_um):
    """Return whether a number, or each number of an array, can be a pixel size in µm."""
    return (PIXEL_SIZE_RANGE_UM[0] <= size_um) & (size_um < PIXEL_SIZE_RANGE_UM[1])


def check_pixel_size(text):
    """Return a pixel size in µm from a command line, or raise argparse's error."""
    with contextlib.suppress(ValueError):
        if is_possible(float(text)):
            return float(text)
    low, high = PIXEL_SIZE_RANGE_UM
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a pixel size, give µm per pixel between {low:g} and {high:g}, such as 0.1"
    )


def square_size(path, sizes_um):
    """Return the x of an image's (x, y) pixel sizes; a UserError where y is another."""
    x, y = sizes_um
    if abs(x - y) > PIXEL_SIZE_TOLERANCE * max(x, y):
        raise UserError(
            f"{path}: pixels of {x:g} x {y:g} µm are not square, resample the image or give "
            "the right size with --pixel-size"
        )
    return x


def stated_sizes(tif, series=None, shrinking=1.0):
    """Return what the metadata of a TIFF say of its pixel size.

    Resolution tags alone (72 or 96 dpi, say) are what programs write by habit: they mean nothing.

    Parameters
    ----------
    tif : tifffile.TiffFile
    series : int or None
        Which image of OME-XML; None for the first that has a pixel size.
    shrinking : float
        How many times larger a pixel is than they say, as the image is a smaller copy.

    Returns
    -------
    sizes : (float, float) or None
        µm per pixel along x and y. None also where the metadata are damaged.
    source : str
        "OME-XML", "ImageJ tags", "Aperio" or "unknown".
    """
    sizes, source = None, "unknown"
    with contextlib.suppress(Exception):  # damaged tags can raise anything
        if tif.ome_metadata:
            sizes, source = ome_pixel_sizes(tif.ome_metadata, series), "OME-XML"
        elif imagej_metadata(tif):
            sizes, source = imagej_pixel_sizes(tif), "ImageJ tags"
        elif tif.is_svs and (size := APERIO_SIZE.search(tif.pages.first.description)):
            sizes, source = 2 * (float(size[1]),), "Aperio"
        sizes = sizes and tuple(size * shrinking for size in sizes)
    # Impossible sizes are a program's habit as well: the 2018 images state 389 µm, from "inch".
    if sizes is None or not all(map(is_possible, sizes)):
        return None, "unknown"
    return sizes, source


class Found(Exception):
    """Ends the reading of a text at the place that was looked for."""


def ome_pixel_sizes(xml, series=None):
    """Return (x, y) in µm of an image in OME-XML, or None: of a series, or the first that has them.

    The text is looked through, not kept: it may be as long as its file.
    """
    from xml.parsers import expat

    places = itertools.count()

    def start(name, attributes):
        if name.rpartition("}")[2] == "Pixels":
            place = next(places)
            if place == series or (series is None and "PhysicalSizeX" in attributes):
                raise Found(attributes)

    def refuse(*_):
        raise Found({})  # it can hold entity bombs; OME-XML never has one

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml, True)
    except Found as place:
        (pixels,) = place.args
        units = [MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
        x = pixels.get("PhysicalSizeX")
        if x and None not in units:
            return float(x) * units[0], float(pixels.get("PhysicalSizeY", x)) * units[1]
    return None


def imagej_metadata(tif):
    """Return what ImageJ wrote into a TIFF, dict, or None."""
    return tif.imagej_metadata if len(tif.pages.first.description) <= MAX_IMAGEJ_TEXT else None


def imagej_pixel_sizes(tif):
    """Return (x, y) in µm from ImageJ's description and resolution tags, or None."""
    unit = MICRONS.get(str(imagej_metadata(tif).get("unit", "")).strip())
    tags = tif.pages[0].tags
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    ratios = [tags[name].value for name in ("XResolution", "YResolution")]
    return tuple(unit * below / above for above, below in ratios)
