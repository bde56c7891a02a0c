"""Choose the page of a TIFF to read: by its number, or by the axes that the file names.

OME-TIFF and ImageJ name channels, planes and times; OME-TIFF and Aperio's `.svs` have levels.
"""

import itertools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from myelin.images.plane_selection import (
    MAX_PAGES,
    chosen,
    chosen_plane,
    place_of,
    pop_chosen,
    several_pages,
)

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

OME_IMAGE = re.compile(r"<(?:\w+:)?Pixels\b")
OME_TAG = re.compile(r"<(?:\w+:)?(?:Pixels|TiffData)\b[^>]*")
OME_COUNT = re.compile(r"""(?:Size[ZCT]|NumPlanes|PlaneCount)\s*=\s*["'](\d+)""")
UNKNOWN = -1


class PickedPage(NamedTuple):
    """The chosen page of a TIFF, a `tifffile.TiffPage`."""

    page: "TiffPage"
    # Number of its image in the OME-XML; None where there is only one, UNKNOWN where the page
    # number does not tell.
    series: int | None = None
    shrinking: float = 1.0  # width of the first level, in widths of this one
    sample: int | None = None  # which channel, where the page holds several


def pick_page(tif: "TiffFile", path: str | Path, take: dict) -> PickedPage:
    """Return the chosen image of a TIFF; thumbnails do not count."""
    pages = image_pages(tif)
    facts = tif.imagej_metadata or {}
    if len(pages) == 1 and facts.get("images", 1) > 1:  # ImageJ stores stacks above 4 GB as one
        raise several_pages(path, facts["images"])
    if "page" not in take:
        if tif.is_svs or (tif.is_ome and (len(pages) > 1 or take.get("level", 1) > 1)):
            return pick_plane(tif, path, dict(take))
        words = {"T": "frames", "Z": "slices", "C": "channels"}
        sizes = {axis: int(facts.get(word, 1)) for axis, word in words.items()}
        if 1 < len(pages) == math.prod(sizes.values()) and channels_in(pages[0]) == 1:
            return PickedPage(pages[place_of(chosen_plane(path, sizes, take), sizes)])
    channels = channels_in(pages[min(take.get("page", 1), len(pages)) - 1])
    at = chosen(path, {"page": len(pages), "channel": channels}, take)
    several = tif.is_ome and len(OME_IMAGE.findall(tif.ome_metadata)) > 1
    sample = at["channel"] if channels > 1 else None
    return PickedPage(pages[at["page"]], UNKNOWN if several else None, sample=sample)


def channels_in(page: "TiffPage") -> int:
    """Return how many channels a page holds as samples; colours, and grey with alpha, are one."""
    if page.photometric not in (0, 1):  # MINISWHITE, MINISBLACK
        return 1
    alphas = sum(kind in (1, 2) for kind in page.extrasamples)  # 0 is unspecified: a channel
    return max(page.samplesperpixel - alphas, 1)


def image_pages(tif: "TiffFile") -> list:
    """Return the pages of a TIFF without thumbnails."""
    pages = {}  # by place in the file
    for page in itertools.islice(tif.pages, MAX_PAGES + 1):
        if page.offset in pages:
            raise ValueError("its pages follow each other in a circle")
        pages[page.offset] = page
    if len(pages) > MAX_PAGES:
        raise ValueError(f"more than {MAX_PAGES:,} pages")
    pages = [page for page in pages.values() if not page.is_reduced]
    if not pages:
        raise ValueError("no page in it, or cut short")
    return pages


def pick_plane(tif: "TiffFile", path: str | Path, take: dict) -> PickedPage:
    """Return the chosen plane and level of an OME-TIFF or a slide, see `pick_page`."""
    for tag in OME_TAG.findall(tif.ome_metadata or ""):  # tifffile makes a list as long as these
        if math.prod(map(int, OME_COUNT.findall(tag))) > MAX_PAGES:
            raise ValueError(f"OME-XML with more than {MAX_PAGES:,} planes")
    series = tif.series if tif.is_ome else tif.series[:1]  # the others are label and overview
    which = pop_chosen(path, "series", len(series), take)
    levels = [
        (level, dict(zip(level.axes, level.shape, strict=True))) for level in series[which].levels
    ]
    level, sizes = levels[pop_chosen(path, "level", len(levels), take)]
    channels = channels_in(level.keyframe)
    counts = sizes | ({"C": sizes.get("C", 1) * channels} if channels > 1 else {})
    at = chosen_plane(path, counts, take)
    sample = None
    if channels > 1:  # those of one page follow each other, as OME counts them
        at["C"], sample = divmod(at["C"], channels)
    page = level.pages[place_of(at, {"C": 1} | sizes)]
    if page is None:
        raise ValueError("that plane is not in the file")
    shrinking = levels[0][1]["X"] / sizes["X"]
    return PickedPage(page.aspage(), which if len(series) > 1 else None, shrinking, sample)
