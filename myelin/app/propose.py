"""Find the fiber around a click: the axon at it, and its sheath, for a person to accept.

The click model sees the click at several magnifications and tells which fits the fiber. At that
one, centred on the axon, it outlines axon and sheath.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.app.tools import disk
from myelin.images.mask_checks import fill_holes
from myelin.network.click import FIBER_PX, SIDE, ClickModel, cut_window, open_click
from myelin.pixels.regions import Window, crop
from myelin.runtime.cli import UserError

WIDTHS_PX = tuple(6 * 1.6**step for step in range(10))  # of fibers, 6 to 412 px
MIN_FIT = 0.4  # 0 to 1, see `network/click.py`
MIN_WITHIN = 0.9  # share of a segmented axon that is within the fiber outlined at the click
FINE_SCALES = (0.8, 1.25)  # of the magnification that fits, at which the axon is outlined


@dataclass
class Proposal:
    """An axon and its sheath in a window of the image."""

    window: Window
    axon: np.ndarray
    sheath: np.ndarray
    score: float  # 0 to 1: how sure the click model is that there is an axon


def propose(
    image: np.ndarray,
    axons: np.ndarray,
    myelin: np.ndarray,
    x: int,
    y: int,
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
    model: ClickModel | None = None,
) -> Proposal:
    """Return the fiber around a click; only a window around the click is read.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    axons, myelin : bool arrays, (rows, cols)
        The masks now.
    x, y : int
        The click.
    probability : uint8 array, (rows, cols), optional
        Myelin probability x 255 of the run.
    threshold : float
        Probability from which the run took a pixel for myelin.
    model : ClickModel, optional
        By default the bundled one.

    Raises
    ------
    UserError
        The click is in an axon, or no axon is found there.
    """
    if axons[y, x]:
        raise UserError("add: there is an axon already, choose it with the select tool")
    model = model or open_click()
    reach_px = int(np.ceil(SIDE * WIDTHS_PX[-1] / FIBER_PX / 2))
    window = crop(np.array([x, y, 1, 1]), reach_px, image.shape)
    part, at = image[window], (x - window[1].start, y - window[0].start)
    widths = np.array(WIDTHS_PX)
    windows = np.stack([cut_window(part, *at, FIBER_PX / width) for width in widths])
    maps = averaged(model, windows)
    fits = maps[..., 2].mean(axis=(1, 2))
    best = int(fits.argmax())
    outlined = outlines(in_image(maps[best], at, FIBER_PX / widths[best], part.shape), at)
    if fits[best] >= MIN_FIT and outlined:
        outlined = outlines(fine_maps(model, part, *outlined, at), at)
    if fits[best] < MIN_FIT or not outlined:
        raise UserError("add: no axon found here, click into its middle, or draw it")
    axon, fiber = outlined
    if probability is not None:
        segmented = probability[window] >= 255 * threshold
        axon, fiber = as_segmented(segmented, segmented & ~myelin[window], axon, fiber, at)
    others = axons[window]
    return Proposal(window, axon & ~others, fiber & ~axon & ~others, float(fits[best]))


def averaged(model: ClickModel, windows: np.ndarray) -> np.ndarray:
    """Return the maps of windows, each the mean over four rotations, (n, SIDE, SIDE, 3)."""
    axes = 1, 2
    found = [model.predict(np.rot90(windows, turns, axes)) for turns in range(4)]
    return np.mean([np.rot90(one, -turns, axes) for turns, one in enumerate(found)], axis=0)


def in_image(
    maps: np.ndarray, center: tuple[float, float], scale: float, shape: tuple[int, int]
) -> np.ndarray:
    """Return the maps of axon and fiber in an image, float32 (rows, cols, 2).

    Parameters
    ----------
    maps : float32 array, (SIDE, SIDE, 3)
        Output of the click model for a window.
    center : (float, float)
        x and y of the window's centre in the image.
    scale : float
        Magnification of the window.
    shape : (int, int)
        Shape of the image.
    """
    shift = (SIDE - 1) / 2 - scale * np.array(center)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(np.ascontiguousarray(maps[..., :2]), matrix, shape[::-1], flags=flags)


def fine_maps(
    model: ClickModel, image: np.ndarray, axon: np.ndarray, fiber: np.ndarray, at: tuple[int, int]
) -> np.ndarray:
    """Return the mean of the maps from some magnifications, centred on an axon.

    `axon` and `fiber` are rough outlines; see `in_image` for the result.
    """
    y, x = (float(np.mean(places)) for places in np.nonzero(axon))
    center = (x, y) if axon[round(y), round(x)] else at
    scales = np.array(FINE_SCALES) * FIBER_PX / np.sqrt(4 / np.pi * fiber.sum())
    maps = averaged(model, np.stack([cut_window(image, *center, scale) for scale in scales]))
    found = zip(maps, scales, strict=True)
    return np.mean([in_image(one, center, scale, image.shape) for one, scale in found], axis=0)


def outlines(maps: np.ndarray, at: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return axon and fiber at a place (x, y), bool arrays; None if there is no axon.

    `maps` is as from `in_image`.
    """
    axon = part_at(maps[..., 0] > 0.5, at)
    if axon is None:
        return None
    axon = fill_holes(axon)
    return axon, part_at(axon | (maps[..., 1] > 0.5), at)


def part_at(mask: np.ndarray, at: tuple[int, int]) -> np.ndarray | None:
    """Return the connected part of a mask that holds a place (x, y), None if none does."""
    if not mask[at[::-1]]:
        return None
    filled = mask.astype(np.uint8)
    cv2.floodFill(filled, None, at, 2, flags=4)
    return filled == 2


def as_segmented(
    myelin: np.ndarray,
    lost: np.ndarray,
    axon: np.ndarray,
    fiber: np.ndarray,
    at: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return axon and fiber as the run segmented them, if it found an axon within the fiber.

    A fiber that was segmented and deleted thus comes back as it was: `myelin` is where the
    probability reaches the threshold, `lost` the part of it that the mask lacks now.
    """
    region = part_at(~myelin, at)
    if region is None:
        return axon, fiber
    region = fill_holes(region)
    if (region & fiber).sum() < MIN_WITHIN * region.sum():
        return axon, fiber
    distance = cv2.distanceTransform((~(fiber | region)).view(np.uint8), cv2.DIST_L2, 5)
    reach = np.where(lost, np.sqrt(fiber.sum() / np.pi), 2)
    return region, part_at(region | (myelin & (distance <= reach)), at)


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
