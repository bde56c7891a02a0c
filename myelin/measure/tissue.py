"""Tell tissue from the blank margins of an image: padding, missing tiles, a round field of view.

A margin is blank, meets the edge of the image, and cuts through tissue. Blank areas inside tissue
(vessels, holes, fat) are none, and neither is a background however black, which runs along sheaths.
"""

import cv2
import numpy as np

WINDOW = 9  # px; the mean deviation from a level over so many squared says what is blank
INSET = 5  # px; registered frames have a few lines of other content on their outermost pixels
# Near black and white, where cameras and programs clip, a margin may carry noise: +-3 deviates by
# 1.7 in the mean. Less than 0.1 % of the tissue of 20 nerve images is as blank as this allows, but
# 7 % of a clipped electron microscope image. Any other margin is one exact grey, as padding is.
CLIPPED_LEVELS = 4
NOISE = 2
SHRINK = 4  # what margins there are is decided at a quarter of the size, in less time
# A margin holds a square of this part of the image's shorter side, and of so many pixels.
SQUARE, SQUARE_PX = 1 / 40, 15
# Where a margin ends: pixels so near to its level, so far from what is surely blank.
EDGE_NOISE, REACH_PX = 6, 9
# What is thinner belongs to the margin, such as lines at its far side, and so does what has less
# than this part of the largest piece of tissue, such as burnt-in text.
THINNEST_TISSUE_PX, LEAST_TISSUE = 17, 0.05
# Share of a margin's outline on lines along rows or columns, of so many pixels: of one that holds
# a corner of the image, and of others.
STRAIGHT_PX = 64
MOSTLY_STRAIGHT, STRAIGHT = 0.5, 0.75
# Another outline is a margin's if squares reach nearly all of the margin (a background goes on
# between fibers), ...
MAX_LEAK = 1.15
# ... if the outline bulges into it, as that of an aperture and of a turned frame, or out of it by
# no more than this in the mean, ...
MAX_DEPTH_PX = 8
# ... if it does not run along sheaths: no more of it near myelin, ...
MAX_NEAR = 0.8
# ... and if it cuts some: no less of it beside myelin. The margin of one exact level, but for so
# many pixels, need not cut any.
MIN_BESIDE = 0.12
MAX_INEXACT = 0.05


def find_tissue(image, myelin):
    """Return where an image shows tissue.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    myelin : bool array, (rows, cols)
        Tells a margin from a background.

    Returns
    -------
    bool array, (rows, cols), or None
        None where there is no margin: all is tissue.
    """
    found = [find_margin(image, level, myelin) for level in edge_levels(image)]
    found = [margin for margin in found if margin is not None]
    return trim(np.logical_or.reduce(found)) if found else None


def edge_levels(image):
    """Return the grey levels of blank places along the edge of an image, at most one per side."""
    if min(image.shape) < 4 * (INSET + WINDOW):
        return []
    levels, window, middle = set(), (WINDOW, WINDOW), WINDOW // 2
    for turned in (image, image[::-1], image.T, image.T[::-1]):
        strip = np.ascontiguousarray(turned[INSET : INSET + WINDOW])
        level = cv2.blur(strip, window)[middle]
        spread = cv2.blur(cv2.absdiff(strip, np.tile(level, (WINDOW, 1))), window)[middle]
        blank = level[spread <= noise_at(level)]
        if len(blank) >= SQUARE_PX:
            levels.add(int(np.bincount(blank).argmax()))
    return sorted(levels)


def noise_at(level):
    """Return the mean deviation from a level, or from each of several, that counts as blank."""
    return np.where((level > CLIPPED_LEVELS) & (level < 255 - CLIPPED_LEVELS), 0, NOISE)


def find_margin(image, level, myelin):
    """Return the margin of one grey level, bool (rows, cols), or None."""
    deviation = cv2.absdiff(image, np.full_like(image, level))
    blank = cv2.blur(deviation, (WINDOW, WINDOW)) <= noise_at(level)
    rim = INSET + WINDOW // 2
    for turned in (blank, blank[::-1], blank.T, blank.T[::-1]):
        turned[:rim] = turned[rim]
    blank = shrink(blank)
    side = max(SQUARE * min(image.shape), SQUARE_PX)
    wide = open_by_square(blank, int(side / SHRINK) | 1, outside=1)  # an even square would shift it
    _, parts = cv2.connectedComponents(blank.view(np.uint8), connectivity=4)
    corners = {parts[0, 0], parts[0, -1], parts[-1, 0], parts[-1, -1]}
    edges = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    margin, others = np.zeros_like(blank), np.zeros_like(blank)
    for part in edges[edges > 0]:
        region = parts == part
        core = region & wide
        if straight_share(core) >= (MOSTLY_STRAIGHT if part in corners else STRAIGHT):
            margin |= core
        elif part in corners and np.count_nonzero(region) < MAX_LEAK * np.count_nonzero(core):
            others |= core
    # Where the tissue is as blank in as many places, so is its background at the corners.
    rare = 2 * np.count_nonzero(others) > np.count_nonzero(blank & ~margin)
    if rare and cuts_tissue(enlarge(others, image.shape), level, deviation, myelin):
        margin |= others
    return grow(enlarge(margin, image.shape), deviation) if margin.any() else None


def shrink(mask):
    """Return a mask at a quarter of its size, of the squares that lie in it wholly."""
    rows, cols = (-length % SHRINK for length in mask.shape)
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 0, rows, 0, cols, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // SHRINK, padded.shape[0] // SHRINK)
    return cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_AREA) == 255


def enlarge(mask, shape):
    """Return a mask of `shrink` at its own size again."""
    size = (mask.shape[1] * SHRINK, mask.shape[0] * SHRINK)
    large = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(large[: shape[0], : shape[1]]).view(bool)


def open_by_square(mask, side, outside):
    """Return a mask without what is narrower than a square; around the image it is `outside`."""
    padded = cv2.copyMakeBorder(
        mask.view(np.uint8), side, side, side, side, cv2.BORDER_CONSTANT, value=outside
    )
    square = np.ones((side, side), np.uint8)
    cv2.morphologyEx(padded, cv2.MORPH_OPEN, square, dst=padded)  # of a scan, room matters
    return padded[side:-side, side:-side] > 0


def straight_share(region):
    """Return how much of a shrunken region's outline lies on long rows and columns, 0 to 1."""
    line, share = np.ones((1, STRAIGHT_PX // SHRINK), np.uint8), []
    for turned in (region, region.T):
        outline = (turned[1:] != turned[:-1]).view(np.uint8)
        long = cv2.morphologyEx(outline, cv2.MORPH_OPEN, line, borderValue=0)
        share.append((np.count_nonzero(long), np.count_nonzero(outline)))
    straight, whole = np.sum(share, axis=0)
    return straight / max(whole, 1)


def cuts_tissue(region, level, deviation, myelin):
    """Whether blank regions at the corners of an image are margins whose outline is not straight.

    Parameters
    ----------
    region : bool array, (rows, cols)
    level : int
    deviation : uint8 array, (rows, cols)
        From that level.
    myelin : bool array, (rows, cols)
    """
    grown = grow(region, deviation)
    tissue, square = trim(grown), np.ones((3, 3), np.uint8)
    outline = cv2.dilate(grown.view(np.uint8), square).view(bool)
    outline &= ~grown
    del grown  # of a scan, room matters
    if tissue is None or not outline.any():
        return False
    depth = np.count_nonzero(region & filled_hull(tissue)) / np.count_nonzero(outline)
    del tissue
    beside = cv2.dilate(myelin.view(np.uint8), square)[outline].mean()
    near = cv2.dilate(myelin.view(np.uint8), square, iterations=3)[outline].mean()
    exact = np.count_nonzero(deviation[region]) <= MAX_INEXACT * np.count_nonzero(region)
    padding = exact and not 0 < min(level, 255 - level) <= CLIPPED_LEVELS
    return depth <= MAX_DEPTH_PX and near <= MAX_NEAR and (padding or beside >= MIN_BESIDE)


def filled_hull(mask):
    """Return the convex hull of a mask, bool (rows, cols)."""
    corners, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(corners))
    return cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1).view(bool)


def grow(core, deviation):
    """Return what is surely blank, up to where the margin ends."""
    reach = np.ones((2 * REACH_PX + 1,) * 2, np.uint8)
    grown = cv2.dilate(core.view(np.uint8), reach).view(bool)
    grown &= deviation <= EDGE_NOISE
    grown |= core
    return grown


def trim(margin):
    """Return the tissue that a margin leaves, without the lines and the text in the margin."""
    tissue = open_by_square(~margin, THINNEST_TISSUE_PX, outside=0)
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(tissue[::SHRINK, ::SHRINK]).view(np.uint8), connectivity=4
    )
    areas = boxes[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    if not areas.any():
        return None
    small = areas < LEAST_TISSUE * areas.max()
    small[0] = False
    return tissue & ~enlarge(small[parts], tissue.shape) if small.any() else tissue
