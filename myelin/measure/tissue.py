"""Tell tissue from the blank margins of an image: padding, missing tiles, a round field of view.

A margin is blank, meets the edge of the image, and cuts through tissue. Blank areas inside tissue
(vessels, holes, fat) do not count, nor does a background, however black: it runs along sheaths.
"""

import cv2
import numpy as np

WINDOW = 9  # px; an area is blank if it deviates little from a level, averaged over this square
INSET = 5  # px; registered frames have a few lines of other content on their outermost pixels
# Mean deviation near black and white, where cameras and programs clip: noise of +-3 deviates
# by 1.7. Less than 0.1 % of the tissue of 20 nerve images is as blank as this allows, but 7 % of a
# clipped electron microscope image. Any other margin must be one exact grey, as padding is.
CLIPPED_LEVELS = 4
NOISE = 2
SHRINK = 4  # margins are found at a quarter of the size, in less time
# A margin holds a square of this part of the image's shorter side, and of at least this many px.
MIN_SQUARE, MIN_SQUARE_PX = 1 / 40, 15
# A margin ends at pixels further than this from its level, or from what is surely blank.
EDGE_NOISE, REACH_PX = 6, 9
# Thinner parts belong to the margin, such as lines at its far side, and so do pieces smaller than
# this part of the largest piece of tissue, such as burnt-in text.
MIN_TISSUE_PX, MIN_TISSUE_PART = 17, 0.05
# An area is a margin if at least this part of its outline lies on lines along rows or columns of
# this length, ...
STRAIGHT_PX, MIN_STRAIGHT = 64, 0.5
# ... or if it holds a corner of the image, its outline bulges into it, as that of an aperture and
# of a turned frame, or out of it by at most this in the mean, ...
MAX_DEPTH_PX = 8
# ... and it cuts sheaths: at least this part of its outline lies beside myelin, if it has noise.
MIN_BESIDE = 0.12
# A pixel that differs more from all its neighbours is hot or dead; one that differs less leaves the
# mean deviation of a window at 0.
MAX_SPECK = WINDOW**2 // 2


def find_tissue(
    image: np.ndarray, myelin: np.ndarray, decisive: list[np.ndarray] | None = None
) -> np.ndarray | None:
    """Return where an image shows tissue.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    myelin : bool array, (rows, cols)
        Tells a margin from a background.
    decisive : list, optional
        The outlines, bool (rows, cols), where myelin decides between the two are appended.

    Returns
    -------
    bool array, (rows, cols), or None
        None if there is no margin: the whole image is tissue.
    """
    levels = edge_levels(image)
    image = without_specks(image) if levels else image
    decisive = [] if decisive is None else decisive
    margins = [find_margin(image, level, myelin, decisive) for level in levels]
    margins = [margin for margin in margins if margin is not None]
    return trim(np.logical_or.reduce(margins)) if margins else None


def without_specks(image: np.ndarray) -> np.ndarray:
    """Return an image without hot and dead pixels, which stand out from all their neighbours."""
    around = np.uint8([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    specks = cv2.subtract(image, cv2.dilate(image, around)) > MAX_SPECK
    specks |= cv2.subtract(cv2.erode(image, around), image) > MAX_SPECK
    return np.where(specks, cv2.medianBlur(image, 3), image)


def edge_levels(image: np.ndarray) -> list[int]:
    """Return the grey levels of blank places along the edge of an image, at most one per side."""
    if min(image.shape) < 4 * (INSET + WINDOW):
        return []
    levels, window, middle = set(), (WINDOW, WINDOW), WINDOW // 2
    for turned in (image, image[::-1], image.T, image.T[::-1]):
        strip = np.ascontiguousarray(turned[INSET : INSET + WINDOW])
        level = cv2.blur(strip, window)[middle]
        spread = cv2.blur(cv2.absdiff(strip, np.tile(level, (WINDOW, 1))), window)[middle]
        blank = level[spread <= noise_at(level)]
        if len(blank) >= MIN_SQUARE_PX:
            levels.add(int(np.bincount(blank).argmax()))
    return sorted(levels)


def noise_at(level: int | np.ndarray) -> np.ndarray:
    """Return the mean deviation from a level, or from each of several, that counts as blank."""
    return np.where((level > CLIPPED_LEVELS) & (level < 255 - CLIPPED_LEVELS), 0, NOISE)


def find_margin(
    image: np.ndarray, level: int, myelin: np.ndarray, decisive: list[np.ndarray]
) -> np.ndarray | None:
    """Return the margin of one grey level, bool (rows, cols), or None."""
    deviation = cv2.absdiff(image, np.full_like(image, level))
    blank = blank_areas(deviation, level)
    margin, curved = sort_areas(blank, min(image.shape))
    if cuts_tissue(enlarge(curved, image.shape), level, deviation, myelin, decisive):
        margin |= curved
    return grow(enlarge(margin, image.shape), deviation) if margin.any() else None


def blank_areas(deviation: np.ndarray, level: int) -> np.ndarray:
    """Return where the deviation from a level is small, shrunken, bool; the rim is extrapolated."""
    blank = cv2.blur(deviation, (WINDOW, WINDOW)) <= noise_at(level)
    rim = INSET + WINDOW // 2
    for turned in (blank, blank[::-1], blank.T, blank.T[::-1]):
        turned[:rim] = turned[rim]
    return shrink(blank)


def sort_areas(blank: np.ndarray, shorter_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the shrunken blank areas at the edge of an image that can be margins, as two masks.

    Those with an outline along rows and columns are margins; those at a corner with another outline
    are margins if they cut tissue. `shorter_side` is that of the image, px.
    """
    side = int(max(MIN_SQUARE * shorter_side, MIN_SQUARE_PX) / SHRINK) | 1  # even ones would shift
    wide = open_by_square(blank, side, outside=1)
    _, parts = cv2.connectedComponents(blank.view(np.uint8), connectivity=4)
    corners = {parts[0, 0], parts[0, -1], parts[-1, 0], parts[-1, -1]}
    edges = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    straight, curved = np.zeros_like(blank), np.zeros_like(blank)
    for part in edges[edges > 0]:
        core = (parts == part) & wide
        if straight_part(core) >= MIN_STRAIGHT:
            straight |= core
        elif part in corners:
            curved |= core
    return straight, curved


def shrink(mask: np.ndarray) -> np.ndarray:
    """Return a mask at a quarter of its size: the squares of 4 x 4 pixels that lie fully in it."""
    rows, cols = (-length % SHRINK for length in mask.shape)
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 0, rows, 0, cols, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // SHRINK, padded.shape[0] // SHRINK)
    return cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_AREA) == 255


def enlarge(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a shrunken mask at the size of the image again."""
    size = (mask.shape[1] * SHRINK, mask.shape[0] * SHRINK)
    large = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(large[: shape[0], : shape[1]]).view(bool)


def open_by_square(mask: np.ndarray, side: int, outside: int) -> np.ndarray:
    """Return a mask without parts narrower than a square; it continues as `outside`, 0 or 1."""
    padded = cv2.copyMakeBorder(
        mask.view(np.uint8), side, side, side, side, cv2.BORDER_CONSTANT, value=outside
    )
    square = np.ones((side, side), np.uint8)
    cv2.morphologyEx(padded, cv2.MORPH_OPEN, square, dst=padded)  # in place: scans are large
    return padded[side:-side, side:-side] > 0


def straight_part(region: np.ndarray) -> float:
    """Return which part of a shrunken region's outline lies on long rows and columns, 0 to 1."""
    line, lengths = np.ones((1, STRAIGHT_PX // SHRINK), np.uint8), []
    for turned in (region, region.T):
        outline = (turned[1:] != turned[:-1]).view(np.uint8)
        long = cv2.morphologyEx(outline, cv2.MORPH_OPEN, line, borderValue=0)
        lengths.append((np.count_nonzero(long), np.count_nonzero(outline)))
    straight, whole = np.sum(lengths, axis=0)
    return straight / max(whole, 1)


def cuts_tissue(
    region: np.ndarray,
    level: int,
    deviation: np.ndarray,
    myelin: np.ndarray,
    decisive: list[np.ndarray],
) -> bool:
    """Return whether blank areas at the corners of an image cut through tissue, as margins do.

    `deviation`, uint8 (rows, cols), is the difference from their grey level; `decisive` is as for
    `find_tissue`.
    """
    grown = grow(region, deviation)
    tissue, square = trim(grown), np.ones((3, 3), np.uint8)
    outline = cv2.dilate(grown.view(np.uint8), square).view(bool)
    outline &= ~grown
    del grown  # scans are large
    if tissue is None or not outline.any():
        return False
    depth = np.count_nonzero(region & filled_hull(tissue)) / np.count_nonzero(outline)
    del tissue
    padding = not deviation[region].any() and not 0 < min(level, 255 - level) <= CLIPPED_LEVELS
    if depth > MAX_DEPTH_PX or padding:
        return depth <= MAX_DEPTH_PX
    decisive.append(outline)
    return cv2.dilate(myelin.view(np.uint8), square)[outline].mean() >= MIN_BESIDE


def filled_hull(mask: np.ndarray) -> np.ndarray:
    """Return the convex hull of a mask, bool (rows, cols)."""
    corners, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(corners))
    return cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1).view(bool)


def grow(core: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return a surely blank area extended to the edge of the margin."""
    reach = np.ones((2 * REACH_PX + 1,) * 2, np.uint8)
    grown = cv2.dilate(core.view(np.uint8), reach).view(bool)
    grown &= deviation <= EDGE_NOISE
    grown |= core
    return grown


def trim(margin: np.ndarray) -> np.ndarray | None:
    """Return the tissue beside a margin, without lines and text in it; None if none is left."""
    tissue = open_by_square(~margin, MIN_TISSUE_PX, outside=0)
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(tissue[::SHRINK, ::SHRINK]).view(np.uint8), connectivity=4
    )
    areas = boxes[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    if not areas.any():
        return None
    small = areas < MIN_TISSUE_PART * areas.max()
    small[0] = False
    return tissue & ~enlarge(small[parts], tissue.shape) if small.any() else tissue
