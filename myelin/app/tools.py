"""The tools of the window: each changes the myelin mask and the axon mask in place.

The masks are those of a window of the image, `Part`, which each tool names first.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from myelin.images.mask_checks import fill_holes
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import LabelImage
from myelin.pixels.regions import Window, crop
from myelin.runtime.cli import UserError

SQUARE = np.ones((3, 3), np.uint8)
CUT_PX = 2  # thickness of a cut: pixels that touch only at a corner stay connected
SHIFT = 4  # OpenCV draws with corners to 1 / 16 pixel
MAX_COORDINATE = 1e5


@dataclass
class Part:
    """The masks of a window of the image, bool (rows, cols)."""

    window: Window
    mask: np.ndarray
    axon: np.ndarray


def origin(window: Window) -> np.ndarray:
    """Return x and y of the first pixel of a window."""
    return np.array([window[1].start, window[0].start])


def window_around(points: np.ndarray, width: float, shape: tuple[int, int]) -> Window:
    """Return the window of the image that holds points with some width around them."""
    low, high = np.floor(points.min(axis=0)), np.floor(points.max(axis=0))
    low, high = (np.clip(end, 0, np.array(shape[::-1]) - 1) for end in (low, high))
    return crop(np.append(low, high - low + 1), round(width / 2) + 2, shape)


def window_of(labels: LabelImage, rows: Iterable[int]) -> Window:
    """Return the window of the fibers in rows of the table."""
    runs = np.isin(labels.number, np.array([*rows]) + 1)
    row, first, last = labels.row[runs], labels.first[runs], labels.last[runs]
    return slice(int(row[0]), int(row[-1]) + 1), slice(int(first.min()), int(last.max()) + 1)


def union(*windows: Window) -> Window:
    """Return the smallest window that holds some windows."""
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*windows, strict=True)
    )


def own_pixels(labels: LabelImage, row: int) -> tuple[Window, np.ndarray]:
    """Return the window of the fiber in a row of the table, and its pixels there."""
    window = window_of(labels, [row])
    return window, labels[window] == row + 1


def points_of(value: object, least: int = 1) -> np.ndarray:
    """Return points, float (n, 2), from JSON; raise ValueError for anything else."""
    points = np.array(value, float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least:
        raise ValueError("points")
    if not (np.abs(points) < MAX_COORDINATE).all():
        raise ValueError("points outside the image")
    return points


def empty(window: Window) -> np.ndarray:
    """Return an empty mask of a window, bool (rows, cols)."""
    return np.zeros([part.stop - part.start for part in window], bool)


def fixed(points: np.ndarray, window: Window) -> np.ndarray:
    """Return points relative to a window, with the fractional bits that OpenCV takes."""
    return np.rint((points - origin(window)) * 2**SHIFT).astype(np.int32)


def polygon(window: Window, points: np.ndarray) -> np.ndarray:
    """Return the pixels of a window within a closed outline, bool (rows, cols)."""
    drawn = empty(window)
    cv2.fillPoly(drawn.view(np.uint8), [fixed(points, window)], 1, shift=SHIFT)
    return drawn


def stroke(window: Window, points: np.ndarray, width: float) -> np.ndarray:
    """Return the pixels of a window on a line of some width, bool (rows, cols)."""
    drawn, thick = empty(window), min(max(round(width), 1), 255)
    line = fixed(np.repeat(points, 2, axis=0), window)
    cv2.polylines(drawn.view(np.uint8), [line], False, 1, thick, shift=SHIFT)
    return drawn


def dilate(mask: np.ndarray, kernel: np.ndarray = SQUARE) -> np.ndarray:
    """Return a mask, bool (rows, cols), grown by a pixel."""
    return cv2.dilate(mask.view(np.uint8), kernel).view(bool)


def disk(radius: int) -> np.ndarray:
    """Return a round kernel."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)


# ---------------------------------------------------------------- whole fibers


def add_fiber(part: Part, axon: np.ndarray, sheath: np.ndarray) -> None:
    """Add a fiber; its axon keeps a pixel's distance from other axons, whose pixels stay."""
    others = part.axon & ~axon
    axon = axon & ~dilate(others)
    if not axon.any():
        raise UserError("axon: lies within another axon, delete that fiber first")
    part.axon |= axon
    part.mask |= sheath & ~part.axon
    part.mask &= ~axon


def draw_fiber(part: Part, inner: np.ndarray, outer: np.ndarray | None, width_px: float) -> None:
    """Add a fiber from the outline of its axon, and that of its sheath or the sheath's width."""
    axon = polygon(part.window, inner)
    if outer is not None:
        fiber = polygon(part.window, outer)
    else:
        fiber = cv2.dilate(axon.view(np.uint8), disk(max(round(width_px), 1))).view(bool)
    add_fiber(part, axon, fiber & ~axon)


def delete_fiber(part: Part, found: Fibers, row: int) -> None:
    """Remove the axon and the sheath of a fiber."""
    own = found.labels[part.window] == row + 1
    own |= found.axons[part.window] == row + 1
    part.axon &= ~own
    part.mask &= ~own


def merge_fibers(part: Part, found: Fibers, one: int, other: int) -> None:
    """Make one fiber of two: what lies between their axons becomes axon."""
    if one == other:
        raise UserError("merge: the same fiber twice, click another fiber")
    axons, fibers = (
        np.isin(labels[part.window], (one + 1, other + 1)) for labels in (found.axons, found.labels)
    )
    joined = axons | (hull_of(axons) & fibers)
    if cv2.connectedComponents(joined.view(np.uint8), connectivity=4)[0] > 2:
        raise UserError("merge: the two fibers do not touch, choose neighbours")
    part.axon |= joined
    part.mask &= ~joined


def crossed_axons(found: Fibers, points: np.ndarray) -> np.ndarray:
    """Return the rows of the fibers whose axon a line crosses."""
    window = window_around(points, CUT_PX, found.axons.shape)
    numbers = np.unique(found.axons[window][stroke(window, points, CUT_PX)])
    if not numbers.any():
        raise UserError("split: the line crosses no axon, draw it across one")
    return numbers[numbers > 0] - 1


def split_fiber(part: Part, found: Fibers, points: np.ndarray) -> None:
    """Split the axons under a line; the line becomes myelin."""
    cut = stroke(part.window, points, CUT_PX) & part.axon
    axons = found.axons[part.window]
    for number in np.unique(axons[cut]):
        rest = (axons == number) & ~cut
        if number and cv2.connectedComponents(rest.view(np.uint8), connectivity=8)[0] <= 2:
            raise UserError("split: the line ends within the axon, draw it from side to side")
    part.axon &= ~cut
    part.mask |= cut


def ring_region(myelin: np.ndarray, axon: np.ndarray, x: int, y: int) -> tuple[Window, np.ndarray]:
    """Return the region around a place, with all it encloses, in a window with a pixel around it.

    `myelin` and `axon` are bool, (rows, cols). Raises UserError if the region is not closed.
    """
    if myelin[y, x] and not axon[y, x]:
        raise UserError("ring: this is myelin, click into a region within the ring")
    alike = axon if axon[y, x] else ~(myelin | axon)
    filled = alike.astype(np.uint8)
    _, _, _, (left, top, width, height) = cv2.floodFill(filled, None, (x, y), 2, flags=4)
    if left == 0 or top == 0 or left + width == alike.shape[1] or top + height == alike.shape[0]:
        raise UserError("ring: the region is open, close its ring with the brush first")
    window = slice(top - 1, top + height + 1), slice(left - 1, left + width + 1)
    return window, fill_holes(filled[window] == 2)


def axons_beside(found: Fibers, window: Window) -> list[int]:
    """Return the rows of the fibers whose axon's box meets a window."""
    x, y, width, height, area = found.axons.boxes().T
    rows, cols = window
    meets = (x <= cols.stop) & (x + width >= cols.start) & (y <= rows.stop)
    return (np.flatnonzero(meets & (y + height >= rows.start) & (area > 0)) - 1).tolist()


def choose_axon(
    part: Part, found: Fibers, rows: list[int], ring: Window, inner: np.ndarray
) -> None:
    """Make a region in the window `ring` the one axon of its ring.

    Axons in `rows` that lie within the region, or around it, are axons no more.
    """
    left, top = origin(ring) - origin(part.window)
    region = empty(part.window)
    region[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    axons = found.axons[part.window]
    for row in rows:
        own = axons == row + 1
        if (hull_of(own) & region).any():
            part.axon &= ~own
    part.axon |= region & ~dilate(part.axon & ~region)
    part.mask &= ~part.axon


def hull_of(mask: np.ndarray) -> np.ndarray:
    """Return the convex hull of a mask that is not empty, bool (rows, cols)."""
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32)), 1)
    return hull.view(bool)


def paint(part: Part, kind: str, points: np.ndarray, width_px: float) -> None:
    """Paint myelin or axon, or erase both ("nothing"), along a stroke."""
    line = stroke(part.window, points, width_px)
    part.mask &= ~line
    part.axon &= ~line
    if kind == "axon":
        part.axon |= line
    elif kind == "myelin":
        part.mask |= line
    elif kind != "nothing":
        raise ValueError(kind)
