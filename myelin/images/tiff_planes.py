"""Choose the page of a TIFF to read: by its number, or by the axes that the file names.

OME-TIFF and ImageJ name channels, planes and times; OME-TIFF and Aperio's `.svs` have levels.
"""

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from myelin.images.plane_selection import MAX_PAGES, NAMES, chosen, part, several_pages

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

OME_IMAGE = re.compile(r"<(?:\w+:)?Pixels\b")
UNKNOWN = -1


class PickedPage(NamedTuple):
    """The chosen page of a TIFF.

    Attributes
    ----------
    page : tifffile.TiffPage
    series : int or None
        Number of its image in the OME-XML; None where there is only one, `UNKNOWN` where the page
        number does not tell.
    shrinking : float
        Width of the first level, in widths of this one.
    """

    page: "TiffPage"
    series: int | None = None
    shrinking: float = 1.0


def pick_page(tif: "TiffFile", path: str | Path, take: dict) -> PickedPage:
    """Return the chosen image of a TIFF; thumbnails do not count.

    Parameters
    ----------
    tif : tifffile.TiffFile
    path : path
        For the messages.
    take : dict
        From `plane_selection.parse_take`.

    Raises
    ------
    UserError
        There are several images and no choice between them.
    """
    pages = image_pages(tif)
    stacked = (tif.imagej_metadata or {}).get("images", 1)
    if len(pages) == 1 and stacked > 1:  # ImageJ stores stacks above 4 GB as one page
        raise several_pages(path, stacked)
    if "page" not in take:
        if tif.is_svs or (tif.is_ome and (len(pages) > 1 or take.get("level", 1) > 1)):
            return pick_plane(tif, path, take)
        sizes = imagej_sizes(tif)
        if sizes and len(pages) > 1 and len(pages) == sizes["T"] * sizes["Z"] * sizes["C"]:
            at = chosen(path, {NAMES[axis]: size for axis, size in sizes.items()}, take)
            place = (at["time"] * sizes["Z"] + at["plane"]) * sizes["C"] + at["channel"]
            return PickedPage(pages[place])
    page = pages[chosen(path, {"page": len(pages)}, take)["page"]]
    several = tif.is_ome and len(OME_IMAGE.findall(tif.ome_metadata)) > 1
    return PickedPage(page, UNKNOWN if several else None)


def image_pages(tif: "TiffFile") -> list:
    """Return the pages of a TIFF that are no thumbnails, at most `MAX_PAGES` and one more."""
    pages = {}  # by place in the file
    for page in itertools.islice(tif.pages, MAX_PAGES + 1):
        if page.offset in pages:
            raise ValueError("its pages follow each other in a circle")
        pages[page.offset] = page
    pages = [page for page in pages.values() if not page.is_reduced]
    if not pages:
        raise ValueError("no page in it, or cut short")
    return pages


def imagej_sizes(tif: "TiffFile") -> dict | None:
    """Return {letter: size} of ImageJ's axes, the last changing fastest; None without them."""
    facts = tif.imagej_metadata
    words = {"T": "frames", "Z": "slices", "C": "channels"}
    return facts and {axis: int(facts.get(word, 1)) for axis, word in words.items()}


def pick_plane(tif: "TiffFile", path: str | Path, take: dict) -> PickedPage:
    """Return the chosen plane and level of an OME-TIFF or a slide, see `pick_page`."""
    series = tif.series if tif.is_ome else tif.series[:1]  # the others are label and overview
    which = chosen(path, {"series": len(series)}, part(take, "series"))["series"]
    levels = series[which].levels
    level = levels[chosen(path, {"level": len(levels)}, part(take, "level"))["level"]]
    sizes = dict(zip(level.axes, level.shape, strict=True))
    counts = {NAMES.get(letter, letter): n for letter, n in sizes.items() if letter not in "YXS"}
    at = chosen(path, counts, {n: take[n] for n in take if n not in ("series", "level")})
    place = 0
    for name, count in counts.items():
        place = place * count + at[name]
    page = level.pages[place]
    if page is None:
        raise ValueError("that plane is not in the file")
    width = dict(zip(levels[0].axes, levels[0].shape, strict=True))["X"]
    return PickedPage(page.aspage(), which if len(series) > 1 else None, width / sizes["X"])
