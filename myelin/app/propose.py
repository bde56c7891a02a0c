"""Find the fiber around a click: the axon at it, and its sheath, for a person to accept.

Each map in which myelin is high (the model's probability, the image itself, the network at other
magnifications) is cut at falling levels. The part below a level that holds the click is an axon if
it is closed; the best is the one with the steepest, most complete and most convex outline.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from myelin.app.tools import dilate, disk
from myelin.images.mask_checks import fill_holes
from myelin.pixels.hulls import Hulls
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import UserError

HALF_SIDES = (64, 128, 256, 512)  # of the window around the click, px; the smallest that suffices
LEVELS = tuple(range(242, 10, -12))
CLOSING_RADII = (0, 1, 2, 4, 7)  # px; breaks of up to twice this in a ring are closed
MIN_AXON_PX = 9
MIN_SCORE = 0.2
MAX_CHANGE = 2.5  # of the axon's area, when its outline moves to half the height of the sheath
GOOD = 0.5  # score from which no other map is tried
GREY_WEIGHT = 0.8  # of the image itself: textures have edges too
INVERTED_WEIGHT = 0.5  # of the image the other way round than the run found it
LEAST_SCORE = 0.45  # of a region that the model itself would take for an axon
MAX_RADII = 4  # of the axon, which a sheath may be thick
# Least part of the pixels at a distance from the axon that is sheath; the second where the model
# found the sheath, and the mask lacks it.
MIN_COVERAGE = 0.35
MIN_COVERAGE_ERASED = 0.1
SAME_SCORE = 0.02


Maps = Callable[[tuple[slice, slice]], Iterator[tuple[np.ndarray, float, float]]]


@dataclass
class Proposal:
    """An axon and its sheath in a window of the image."""

    window: tuple[slice, slice]
    axon: np.ndarray
    sheath: np.ndarray
    score: float  # 0 to 1: how closed, steep and convex the outline of the axon is


def propose(
    shape: tuple[int, int], axons: np.ndarray, myelin: np.ndarray, x: int, y: int, maps: Maps
) -> Proposal:
    """Return the fiber around a click; raise UserError if there is none.

    Parameters
    ----------
    shape : (int, int)
    axons, myelin : bool arrays, (rows, cols)
        The masks now.
    x, y : int
        The click.
    maps : function
        Yields for a window: a map, uint8, in which myelin is high; the level from which it is
        myelin; a weight of its scores, 1 for probabilities. The likeliest map is first.
    """
    if axons[y, x]:
        raise UserError("add: there is an axon already, choose it with the select tool")
    best = None
    for half in HALF_SIDES:
        window = tuple(
            slice(max(place - half, 0), min(place + half, length))
            for place, length in zip((y, x), shape, strict=True)
        )
        at = y - window[0].start, x - window[1].start
        found = in_window(window, axons[window], myelin[window], at, maps)
        if found and (best is None or found.score >= best.score - SAME_SCORE):
            best = found  # in a larger window, the sheath is less likely cut
        if half >= max(shape) or (best and best.score > GOOD and not is_cut(best.sheath)):
            break
    if best is None or best.score < MIN_SCORE:
        raise UserError("add: no axon found here, click into its middle, or draw it")
    return best


def in_window(
    window: tuple[slice, slice],
    axons: np.ndarray,
    myelin: np.ndarray,
    at: tuple[int, int],
    maps: Maps,
) -> Proposal | None:
    """Return the best fiber around a place of a window, None if no axon is closed there."""
    best = None
    for levels, threshold, weight in maps(window):
        for score, axon in candidates(levels, threshold, axons, at, weight == 1):
            if best is None or weight * score > best[0]:
                best = weight * score, axon, levels, threshold, weight == 1
        if best and best[0] > GOOD:
            break
    if best is None:
        return None
    score, axon, levels, threshold, is_probability = best
    middle = ring_level(levels, axon)
    tried = [middle]
    if is_probability:  # where the model's threshold leaks, the nearest level that does not
        tried = [threshold, *range(round(threshold) - 12, 10, -12)]
    for level in tried:
        region = region_at((levels >= level) | axons, at, 0)
        if region is not None and is_similar(region, axon):
            axon, middle = region, level
            break
    coverage = MIN_COVERAGE
    if is_probability and middle == threshold:  # what the mask lacks there is this fiber's
        axons, coverage = axons | myelin, MIN_COVERAGE_ERASED
    return Proposal(window, axon, sheath_of(levels >= middle, axon, axons, coverage), score)


def is_cut(sheath: np.ndarray) -> bool:
    """Return whether a sheath reaches the edge of its window."""
    return any(edge.any() for edge in (sheath[0], sheath[-1], sheath[:, 0], sheath[:, -1]))


def candidates(
    levels: np.ndarray,
    threshold: float,
    taken: np.ndarray,
    at: tuple[int, int],
    is_probability: bool,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield score and pixels of the regions around a place that may be its axon."""
    smooth = cv2.GaussianBlur(levels, (0, 0), 1)
    seen = set()
    for level in sorted({*LEVELS, round(threshold)}, reverse=True):
        wall = (levels >= level) | taken
        for radius in CLOSING_RADII if level == round(threshold) else (0,):
            region = region_at(wall, at, radius)
            if region is None:
                continue
            area = int(region.sum())
            if area in seen or area < MIN_AXON_PX:
                continue
            seen.add(area)
            least = (
                LEAST_SCORE if is_probability and level == round(threshold) and not radius else 0.0
            )
            yield score_of(region, smooth, least), region


def region_at(wall: np.ndarray, at: tuple[int, int], radius: int) -> np.ndarray | None:
    """Return the region without wall that holds a place; None if it reaches the window's edge."""
    closed = wall
    if radius:
        closed = cv2.morphologyEx(wall.view(np.uint8), cv2.MORPH_CLOSE, disk(radius)).view(bool)
    if closed[at]:
        return None
    filled = closed.astype(np.uint8)
    _, _, _, (left, top, width, height) = cv2.floodFill(filled, None, (at[1], at[0]), 2, flags=4)
    rows, cols = wall.shape
    if left == 0 or top == 0 or left + width == cols or top + height == rows:
        return None
    region = filled == 2
    if radius:  # back to the wall where the closing took corners
        region = cv2.dilate(region.view(np.uint8), disk(radius)).view(bool) & ~wall
        _, parts = cv2.connectedComponents(region.view(np.uint8), connectivity=4)
        region = parts == parts[at]
    return fill_holes(region)


def score_of(region: np.ndarray, smooth: np.ndarray, least: float) -> float:
    """Return how much a region looks like an axon in its sheath, 0 to 1.

    The steps outward of the map along the outline, from 2 pixels inside to 2 outside, give its
    contrast and how much of the outline has one, `least` or more; multiplied by the solidity.
    """
    inner, outer = (cv2.erode, cv2.dilate)
    part = region.view(np.uint8)
    low = smooth.astype(np.float32)
    edge = dilate(region) & ~region
    high = outer(low, disk(2))
    inside = inner(np.where(region, low, 255).astype(np.float32), disk(2))
    step = np.clip((high - inside)[edge], 0, 255) / 255
    solidity = part.sum() / Hulls(LabelImage.from_array(part)).areas()[0]
    contrast = float(np.median(step)) if len(step) else 0.0
    closed = float(np.mean(step > 0.4 * max(contrast, 0.1))) if len(step) else 0.0
    return max(contrast * closed**2, least) * float(solidity) ** 2


def is_similar(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether the areas of two regions differ no more than by the place of an outline."""
    areas = one.sum(), other.sum()
    return max(areas) < MAX_CHANGE * min(areas)


def ring_level(levels: np.ndarray, axon: np.ndarray) -> float:
    """Return the level half way from the axon to the top of the sheath around it."""
    ring = cv2.dilate(axon.view(np.uint8), disk(3)).view(bool) & ~axon
    return (float(np.median(levels[axon])) + float(np.percentile(levels[ring], 75))) / 2


def sheath_of(
    myelin: np.ndarray, axon: np.ndarray, others: np.ndarray, min_coverage: float
) -> np.ndarray:
    """Return the myelin around an axon: nearer to it than to others, and no thicker than it is
    around a part of the axon, `min_coverage`.
    """
    distance = cv2.distanceTransform((~axon).view(np.uint8), cv2.DIST_L2, 5)
    near = ~axon & ~others
    if min_coverage == MIN_COVERAGE and others.any():
        near &= distance <= cv2.distanceTransform((~others).view(np.uint8), cv2.DIST_L2, 5)
    steps = np.ceil(distance).astype(int)
    total = np.bincount(steps[near], minlength=5)
    covered = np.bincount(steps[near & myelin], minlength=len(total)) / np.maximum(total, 1)
    first = 1 + int(np.argmax(covered[1:4] >= min_coverage))  # it may begin a pixel or two away
    thin = np.flatnonzero(covered[first:] < min_coverage)
    thickness = max(first + int(thin[0]) - 1 if len(thin) else len(covered) - 1, 1)
    thickness = min(thickness, MAX_RADII * np.sqrt(axon.sum() / np.pi) + 2)
    sheath = near & myelin & (steps <= thickness)
    parts = cv2.connectedComponents((sheath | axon).view(np.uint8), connectivity=4)[1]
    return sheath & (parts == parts[axon][0])


def grown(proposal: Proposal, by_px: int, axons: np.ndarray) -> Proposal:
    """Return a proposal whose axon is some pixels larger, or smaller if negative."""
    if not by_px:
        return proposal
    window, axon, sheath = proposal.window, proposal.axon, proposal.sheath
    change = cv2.dilate if by_px > 0 else cv2.erode
    new = change(axon.view(np.uint8), disk(abs(by_px))).view(bool) & ~axons[window]
    if not new.any():
        return proposal
    fiber = change((axon | sheath).view(np.uint8), disk(abs(by_px))).view(bool) & ~axons[window]
    return Proposal(window, new, fiber & ~new, proposal.score)
