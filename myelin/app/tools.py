"""The tools of the window: each changes the myelin mask and the axon mask in place."""

import cv2
import numpy as np

from myelin.images.mask_checks import fill_holes
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import UserError

Masks = dict[str, np.ndarray]  # "mask" and "axon", bool (rows, cols)
SQUARE = np.ones((3, 3), np.uint8)
CUT_PX = 2  # thickness of a cut: pixels that touch only at a corner stay connected
SHIFT = 4  # OpenCV draws with corners to 1 / 16 pixel
MAX_COORDINATE = 1e5


def points_of(value: object, least: int = 1) -> np.ndarray:
    """Return points, float (n, 2), from JSON; raise ValueError if they are none."""
    points = np.array(value, float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least:
        raise ValueError("points")
    if not (np.abs(points) < MAX_COORDINATE).all():
        raise ValueError("points outside the image")
    return points


def fixed(points: np.ndarray) -> np.ndarray:
    """Return points with the fractional bits that OpenCV takes."""
    return np.rint(points * 2**SHIFT).astype(np.int32)


def polygon(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Return the pixels within a closed outline, bool (rows, cols)."""
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [fixed(points)], 1, shift=SHIFT)
    return drawn.view(bool)


def stroke(shape: tuple[int, int], points: np.ndarray, width: float) -> np.ndarray:
    """Return the pixels of a line of some width, bool (rows, cols)."""
    drawn = np.zeros(shape, np.uint8)
    thick = min(max(round(width), 1), 255)
    cv2.polylines(drawn, [fixed(np.repeat(points, 2, axis=0))], False, 1, thick, shift=SHIFT)
    return drawn.view(bool)


def dilate(mask: np.ndarray, kernel: np.ndarray = SQUARE) -> np.ndarray:
    """Return a mask, bool (rows, cols), grown by a pixel."""
    return cv2.dilate(mask.view(np.uint8), kernel).view(bool)


def disk(radius: int) -> np.ndarray:
    """Return a round kernel."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)


# ---------------------------------------------------------------- whole fibers


def add_fiber(masks: Masks, axon: np.ndarray, sheath: np.ndarray) -> None:
    """Add a fiber; its axon keeps a pixel's distance from other axons, whose pixels stay."""
    others = masks["axon"] & ~axon
    axon = axon & ~dilate(others)
    if not axon.any():
        raise UserError("axon: none outside the axons that are there, delete the other fiber first")
    masks["axon"] |= axon
    masks["mask"] |= sheath & ~masks["axon"]
    masks["mask"] &= ~axon


def draw_fiber(masks: Masks, inner: np.ndarray, outer: np.ndarray | None, width_px: float) -> None:
    """Add a fiber from the outline of its axon, and that of its sheath or the sheath's width."""
    shape = masks["mask"].shape
    axon = polygon(shape, inner)
    if outer is not None:
        fiber = polygon(shape, outer)
    else:
        fiber = cv2.dilate(axon.view(np.uint8), disk(max(round(width_px), 1))).view(bool)
    add_fiber(masks, axon, fiber & ~axon)


def delete_fiber(masks: Masks, found: Fibers, row: int) -> None:
    """Remove the axon and the sheath of a fiber."""
    for labels in (found.axons, found.labels):
        window, own = window_of(labels, row)
        masks["axon"][window] &= ~own
        masks["mask"][window] &= ~own


def window_of(labels: LabelImage, row: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the window of the fiber in a row of the table, and its pixels there."""
    x, y, width, height, _ = labels.boxes()[row + 1]
    window = slice(y, y + height), slice(x, x + width)
    return window, labels[window] == row + 1


def merge_fibers(masks: Masks, found: Fibers, one: int, other: int) -> None:
    """Make one fiber of two: what lies between their axons becomes axon."""
    if one == other:
        raise UserError("merge: one and the same fiber, click on another one")
    both = np.isin(np.arange(len(found) + 1), (one + 1, other + 1))
    axons, fibers = found.axons.keep(both).to_mask(), found.labels.keep(both).to_mask()
    joined = axons | (hull_of(axons) & fibers)
    if cv2.connectedComponents(joined.view(np.uint8), connectivity=4)[0] > 2:
        raise UserError("merge: the two fibers do not touch, choose neighbours")
    masks["axon"] |= joined
    masks["mask"] &= ~joined


def split_fiber(masks: Masks, found: Fibers, points: np.ndarray) -> None:
    """Split the axons under a line; the line becomes myelin."""
    line = stroke(masks["mask"].shape, points, CUT_PX)
    cut = line & masks["axon"]
    if not cut.any():
        raise UserError("split: the line crosses no axon, draw it across one")
    numbers = np.unique(found.axons.numbers_on(cut))
    for number in numbers[numbers > 0]:
        window, own = window_of(found.axons, int(number) - 1)
        rest = own & ~cut[window]
        if cv2.connectedComponents(rest.view(np.uint8), connectivity=8)[0] <= 2:
            raise UserError("split: the line ends within the axon, draw it from side to side")
    masks["axon"] &= ~cut
    masks["mask"] |= cut


def choose_axon(masks: Masks, found: Fibers, x: int, y: int) -> None:
    """Make the region around a place, with all it encloses, the one axon of its ring."""
    axon = masks["axon"]
    if masks["mask"][y, x] and not axon[y, x]:
        raise UserError("ring: this is myelin, click into a region within the ring")
    alike = axon if axon[y, x] else ~(masks["mask"] | axon)
    parts = cv2.connectedComponents(alike.view(np.uint8), connectivity=4)[1]
    region = fill_holes(parts == parts[y, x])
    if region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any():
        raise UserError("ring: the region is open, close its ring with the brush first")
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    boxes = found.axons.boxes()
    apart = (boxes[:, 0] > left + width) | (boxes[:, 0] + boxes[:, 2] < left)
    apart |= (boxes[:, 1] > top + height) | (boxes[:, 1] + boxes[:, 3] < top)
    for number in np.flatnonzero(~apart & (boxes[:, 4] > 0)):
        window, own = window_of(found.axons, number - 1)
        if (hull_of(own) & region[window]).any():  # within the region, or around it
            axon[window] &= ~own
    axon |= region & ~dilate(axon & ~region)
    masks["mask"] &= ~axon


def hull_of(mask: np.ndarray) -> np.ndarray:
    """Return the convex hull of a mask that is not empty, bool (rows, cols)."""
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32)), 1)
    return hull.view(bool)


# ---------------------------------------------------------------- brush


def paint(masks: Masks, part: str, points: np.ndarray, width_px: float) -> None:
    """Paint myelin or axon, or erase both, along a stroke."""
    line = stroke(masks["mask"].shape, points, width_px)
    masks["mask"] &= ~line
    masks["axon"] &= ~line
    if part == "axon":
        masks["axon"] |= line
    elif part == "myelin":
        masks["mask"] |= line
    elif part != "nothing":
        raise ValueError(part)
