"""Which page of a TIFF is the image to read: by its number, or by the axes that the file names.

OME-TIFF and ImageJ name channels, planes and times; OME-TIFF and Aperio's `.svs` have levels.
"""

import io
import re
import struct
from typing import NamedTuple

from myelin.images.pixel_size import Found, imagej_metadata
from myelin.images.plane_selection import NAMES, chosen, part, several_pages
from myelin.images.tiff_pages import MAX_PAGES

MAX_OME_TEXT = 2**23  # of 10,000 planes it is 3 MB; tifffile would keep ten times its length
OME_COUNTS = re.compile("Size[CZT]|NumPlanes|PlaneCount|IFD|First[CZT]")
OME_IMAGE = re.compile(r"<(?:\w+:)?Pixels\b")
UNKNOWN = -1


class Picked(NamedTuple):
    """An image in a TIFF.

    Attributes
    ----------
    page : tifffile.TiffPage
    series : int or None
        Of OME-XML; None where the file has one, `UNKNOWN` where it cannot be told.
    shrinking : float
        How many times as wide its first level is.
    """

    page: object
    series: int | None = None
    shrinking: float = 1.0


def pick_page(tif, places, path, take):
    """Return the chosen image.

    Parameters
    ----------
    tif : tifffile.TiffFile
    places : list of int
        Those of its pages that are no thumbnails.
    path : path
        For the messages.
    take : dict
        As from `take.parse_take`.

    Returns
    -------
    Picked

    Raises
    ------
    UserError
        There are several and no choice between them.
    """
    stacked = (imagej_metadata(tif) or {}).get("images", 1)
    if len(places) == 1 and stacked > 1:  # ImageJ keeps stacks above 4 GB as one page
        raise several_pages(path, stacked)
    if "page" not in take:
        if tif.is_svs or (tif.is_ome and (len(places) > 1 or take.get("level", 1) > 1)):
            return pick_plane(path, series_of(tif), take)
        sizes = imagej_sizes(tif)
        if sizes and len(places) > 1 and len(places) == sizes["T"] * sizes["Z"] * sizes["C"]:
            at = chosen(path, {NAMES[axis]: size for axis, size in sizes.items()}, take)
            place = (at["time"] * sizes["Z"] + at["plane"]) * sizes["C"] + at["channel"]
            return Picked(tif.pages[places[place]])
    page = tif.pages[places[chosen(path, {"page": len(places)}, take)["page"]]]
    # Of which of several series a page is, its number does not say.
    several = tif.is_ome and len(OME_IMAGE.findall(tif.ome_metadata)) > 1
    return Picked(page, UNKNOWN if several else None)


def imagej_sizes(tif):
    """Return {letter: size} of ImageJ's axes, the last changing fastest; None without them."""
    facts = imagej_metadata(tif)
    words = {"T": "frames", "Z": "slices", "C": "channels"}
    return facts and {axis: int(facts.get(word, 1)) for axis, word in words.items()}


def series_of(tif):
    """Return what tifffile knows as series in an OME-TIFF or SVS, each with its `levels`."""
    if not tif.is_ome:
        return tif.series[:1]  # of a slide; the others are its label and a view of it
    check_ome(tif.ome_metadata)
    return tif.series


def check_ome(xml):
    """Raise where OME-XML is longer than it need be, or claims more planes than are read."""
    from xml.parsers import expat

    def start(_, attributes):
        for name, value in attributes.items():
            if OME_COUNTS.fullmatch(name) and not -1 < int(value) <= MAX_PAGES:
                raise ValueError(f"{name} of {value} in its OME-XML")
        sizes = [int(attributes.get(f"Size{axis}", 1)) for axis in "CZT"]
        if sizes[0] * sizes[1] * sizes[2] > MAX_PAGES:
            raise ValueError(f"more than {MAX_PAGES:,} planes in its OME-XML")

    def refuse(*_):
        raise Found  # it can hold entity bombs; OME-XML never has one

    if len(xml) > MAX_OME_TEXT:
        raise ValueError(f"OME-XML of {len(xml):,} letters, choose with --take page=N")
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml, True)
    except Found:
        raise ValueError("a document type in its OME-XML") from None


def pick_plane(path, series, take):
    """Return the chosen plane of the chosen series, `Picked`."""
    which = chosen(path, {"series": len(series)}, part(take, "series"))["series"]
    levels = series[which].levels
    level = levels[chosen(path, {"level": len(levels)}, part(take, "level"))["level"]]
    sizes = dict(zip(level.axes, level.shape, strict=True))
    letters = [letter for letter in level.axes if letter not in "YXS"]
    names = [NAMES.get(letter, letter) for letter in letters]
    if len(sizes) < len(level.axes) or len(set(names)) < len(names):
        raise ValueError(f"two axes of one kind ({level.axes}), choose with --take page=N")
    counts = dict(zip(names, [sizes[letter] for letter in letters], strict=True))
    at = chosen(path, counts, {n: take[n] for n in take if n not in ("series", "level")})
    place = 0
    for name, count in counts.items():
        place = place * count + at[name]
    page = level.pages[place]
    if page is None:
        raise ValueError("that plane is not in the file")
    width = dict(zip(levels[0].axes, levels[0].shape, strict=True))["X"]
    return Picked(page.aspage(), which if len(series) > 1 else None, width / sizes["X"])


def with_page_first(file, page):
    """Return an open TIFF, in memory, in which a page is the first: Pillow and OpenCV read that."""
    file.seek(0)
    content = bytearray(file.read())
    form, start = ("Q", 8) if page.parent.is_bigtiff else ("I", 4)
    struct.pack_into(page.parent.byteorder + form, content, start, page.offset)
    return io.BytesIO(content)
