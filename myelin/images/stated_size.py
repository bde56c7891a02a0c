"""Read the pixel size that an image states: OME-XML, ImageJ, makers' tags, a text beside it."""

import contextlib
import re
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from myelin.images.pixel_size import is_possible, unit_um

if TYPE_CHECKING:
    from tifffile import TiffFile

APERIO_SIZE = re.compile(r"\|MPP = ([\d.]+)")  # µm per pixel, in the description of an SVS
SIZE_OF_FOLDER = "pixel_size_in_micrometer.txt"  # of AxonDeepSeg
MAX_TEXT_BYTES = 2**16  # of a text file beside an image

Stated = tuple[float, float, str]  # along x and y, and the unit
Sizes = tuple[float, float]  # µm per pixel along x and y


def stated_sizes(
    tif: "TiffFile", series: int | None = None, shrinking: float = 1.0
) -> tuple[Sizes | None, str]:
    """Return (x, y) in µm per pixel that the metadata of a TIFF state, or None, and their source.

    Resolution tags alone (72 or 96 dpi, say) are ignored: programs write them by habit. `series` is
    the number of the image in OME-XML, None for the first that has a pixel size; at a level of a
    pyramid, a pixel is larger than stated by the factor `shrinking`.
    """
    readers = {"OME-XML": lambda _: ome_pixel_sizes(tif.ome_metadata, series)} | READERS
    for source, read in readers.items():
        with contextlib.suppress(Exception):  # missing and damaged tags raise anything
            return in_um(read(tif), shrinking), source
    return None, "unknown"


def in_um(stated: Stated, shrinking: float = 1.0) -> Sizes:
    """Return sizes in µm; raise an exception if a unit is unknown or a size impossible."""
    *sizes, unit = stated
    # Rounded, as 1e-7 m would be 0.09999999999999999 µm.
    x, y = (float(f"{float(size) * unit_um(unit) * shrinking:.9g}") for size in sizes)
    # Impossible sizes are a program's habit: the 2018 images state 389 µm, from "inch".
    if not (is_possible(x) and is_possible(y)):
        raise ValueError(stated)
    return x, y


# ---------------------------------------------------------------- one reader for each kind of TIFF
#
# Each raises an exception at a TIFF of another kind.


def ome_pixel_sizes(xml: str, series: int | None = None) -> Stated:
    """Return the pixel size of an image in OME-XML."""
    for place, pixels in enumerate(ElementTree.fromstring(xml).iterfind(".//{*}Pixels")):
        x = pixels.get("PhysicalSizeX")
        if x and series in (None, place):
            units = [unit_um(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
            return float(x) * units[0], float(pixels.get("PhysicalSizeY", x)) * units[1], "µm"
    raise ValueError


def imagej_pixel_sizes(tif: "TiffFile") -> Stated:
    """Return the pixel size from ImageJ's unit and the resolution tags."""
    x, y = (tif.pages[0].tags[f"{axis}Resolution"].value for axis in "XY")
    return x[1] / x[0], y[1] / y[0], tif.imagej_metadata["unit"]


def fei_pixel_sizes(tif: "TiffFile") -> Stated:
    """Return the pixel size from the tag of FEI's scanning electron microscopes."""
    parts = [tif.fei_metadata.get("Scan", {}), *tif.fei_metadata.values()]
    scan = next(part for part in parts if "PixelWidth" in part)
    return scan["PixelWidth"], scan["PixelHeight"], "m"


READERS = {
    "ImageJ tags": imagej_pixel_sizes,
    "Aperio": lambda tif: (*2 * APERIO_SIZE.findall(tif.pages.first.description)[:1], "µm"),
    "FEI tag": fei_pixel_sizes,
    # "ap_pixel_size" is the pixel size of the screen.
    "Zeiss tag": lambda tif: itemgetter(1, 1, 2)(tif.sem_metadata["ap_image_pixel_size"]),
    "Olympus tag": lambda tif: (*map(tif.sis_metadata.get, ("pixelsizex", "pixelsizey")), "m"),
    # Scales along x and y, and unit, of a TIFF that DigitalMicrograph exported.
    "Gatan tags": lambda tif: map(tif.pages.first.tags.valueof, (65010, 65009, 65003)),
}


# ---------------------------------------------------------------- text files beside an image


def sizes_beside(path: Path, cols: int) -> tuple[Sizes | None, str]:
    """Return the sizes in the text file that a microscope writes beside an image, and their source.

    JEOL and Hitachi write `x.txt` beside `x.tif`. A text about an image that is not `cols` wide is
    not used, as the image was resized. AxonDeepSeg reads the size of all images of a folder from
    one file.
    """
    for ending in (".txt", ".TXT"):
        beside = path.with_name(path.stem + ending)
        with contextlib.suppress(Exception):  # missing files and other texts raise anything
            with open(beside, "rb") as file:
                content = file.read(MAX_TEXT_BYTES)
            wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
            text = content.decode("utf-16" if wide else "latin-1")
            return in_um(size_in_text(text, cols)), beside.name
    with contextlib.suppress(OSError, ValueError):
        beside = path.with_name(SIZE_OF_FOLDER)
        size = float(beside.read_text(encoding="utf-8-sig")[:MAX_TEXT_BYTES].replace(",", "."))
        return in_um((size, size, "um")), beside.name
    return None, "unknown"


def size_in_text(text: str, cols: int) -> Stated:
    """Return the pixel size in a text of `sizes_beside`; raise an exception at other texts."""
    facts = dict(re.findall(r"^\$*(\w+)[ \t=]+(.+?)\s*$", text, re.MULTILINE))
    width = re.match(r"\d+", facts.get("CM_FULL_SIZE") or facts.get("DataSize") or str(cols))
    if int(width[0]) != cols:
        raise ValueError
    if "SM_MICRON_BAR" in facts:  # JEOL: pixels and length of the scale bar
        length, unit = re.match(r"([\d.]+)\s*(\w+)", facts["SM_MICRON_MARKER"]).groups()
        return 2 * (float(length) / float(facts["SM_MICRON_BAR"]),) + (unit,)
    if "ImageFile]" not in text:
        raise ValueError
    return facts["PixelSize"], facts["PixelSize"], "nm"  # Hitachi: [SemImageFile], [TemImageFile]
