"""The counting frame: the whole image, its tissue, or the nerve in it.

Cut fibers are counted by a forbidden line (Gundersen, J. Microsc. 111:219-223, 1977): a fiber that
touches it is not counted, a fiber that touches only the rest of the outline is. In a rectangle the
line is the top and left edge; in any other frame, the connected half of the outline that most faces
up and left. Both halves are equally long, so the fibers lost along one balance those gained along
the other: in a frame of any shape that is much larger than a fiber, the count is unbiased.

A hand-drawn outline of the nerve cuts no fiber, because all of the fiber is visible. It belongs to
the fascicle in which the centre of its axon lies (the associated point rule, Miles, J. Microsc.
113:257-267, 1978).
"""

from __future__ import annotations

import functools
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from myelin.measure.tissue import find_tissue
from myelin.pixels.labels import LabelImage
from myelin.pixels.regions import edge_pixels
from myelin.runtime.cli import shortened_list

# The margin's edge is accurate to this many pixels; fibers closer to it count as cut.
BORDER_PX = 2
DIRECTION_STEPS = 7  # an outline's direction at a point is measured over this many steps each way
Window = tuple[slice, slice] | None  # part of the image that labels cover; None: all of it


def add_frame_options(parser: ArgumentParser) -> None:
    """Add `--whole-frame` and `--renumber`."""
    parser.add_argument(
        "--whole-frame",
        action="store_true",
        help="count blank margins as tissue too (default: if the image itself is found, black and "
        "white margins and missing tiles of a mosaic do not count)",
    )
    parser.add_argument(
        "--renumber",
        action="store_true",
        help="number all fibers from 1 (default: fibers keep the numbers of an earlier run in the "
        "output folder)",
    )


@dataclass
class Frame:
    """Where the fibers of an image are counted.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    tissue : bool array, (rows, cols), or None
        None if the whole image is tissue.
    nerve : LabelImage, or None
        Fascicles, by their numbers; None without an outline of the nerve.
    margin_known : bool
        Whether margins were searched for.
    decisive : list of bool array, (rows, cols)
        Outlines of blank areas along which myelin decides whether they are margins.
    """

    shape: tuple[int, int]
    tissue: np.ndarray | None = None
    nerve: LabelImage | None = None
    margin_known: bool = False
    decisive: list[np.ndarray] = ()

    @functools.cached_property
    def tissue_px(self) -> int:
        rows, cols = self.shape
        return rows * cols if self.tissue is None else int(np.count_nonzero(self.tissue))

    @functools.cached_property
    def inside(self) -> np.ndarray | None:
        """The frame, bool (rows, cols): tissue within the nerve; None if it is the whole image."""
        if self.nerve is None:
            return self.tissue
        nerve = self.nerve.to_mask()
        return nerve if self.tissue is None else self.tissue & nerve

    @property
    def outside(self) -> np.ndarray | None:
        """The rest, bool (rows, cols); None if the frame is the whole image."""
        inside = self.inside
        return None if inside is None else ~inside

    @functools.cached_property
    def area_px(self) -> int:
        """The number of pixels of the frame."""
        rows, cols = self.shape
        return rows * cols if self.inside is None else int(np.count_nonzero(self.inside))

    def pixels(self, mask: np.ndarray) -> int:
        """Return the number of pixels of a mask, bool (rows, cols), in the frame."""
        return int(np.count_nonzero(mask if self.inside is None else mask & self.inside))

    def fascicle_px(self, mask: np.ndarray | None = None) -> dict[int, int]:
        """Return {number: pixels} of the tissue of each fascicle, or of a mask in it.

        A fascicle without tissue is left out.
        """
        count, inside = self.nerve.count, self.inside
        tissue_px = self.nerve.sums(inside, count)
        pixels = tissue_px if mask is None else self.nerve.sums(inside & mask, count)
        return {int(index) + 1: int(pixels[index]) for index in np.flatnonzero(tissue_px)}

    def cut(self, labels: LabelImage, count: int, window: Window = None) -> np.ndarray:
        """Return which fibers 1 to `count`, perhaps of a window, the border cuts, bool (n,)."""
        touched = edge_pixels(placed(labels, window, self.shape), count)[1:] > 0
        if self.tissue is None:
            return touched
        near = self.near_margin if window is None else self.near_margin[window]
        return touched | (np.bincount(labels.numbers_on(near), minlength=count + 1)[1:] > 0)

    @functools.cached_property
    def near_margin(self) -> np.ndarray:
        """The margin with the pixels at which it cuts a fiber, bool (rows, cols)."""
        margin = (~self.tissue).view(np.uint8)
        return cv2.dilate(margin, np.ones((2 * BORDER_PX + 1,) * 2, np.uint8)).view(bool)

    @functools.cached_property
    def line(self) -> np.ndarray:
        """The forbidden line, bool (rows, cols)."""
        return forbidden_line(self.tissue)

    def counts(self, axons: LabelImage, count: int, window: Window = None) -> np.ndarray:
        """Return which fibers 1 to `count` are counted, bool (n,), by their axons."""
        if self.tissue is None:
            whole = placed(axons, window, self.shape)
            touching = whole.number[(whole.row == 0) | (whole.first == 0)]
        else:
            touching = axons.numbers_on(self.line if window is None else self.line[window])
        counted = np.ones(count + 1, bool)
        counted[touching] = False
        return counted[1:]

    def fascicles(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the number of the fascicle at each place, int (n,); 0 outside all."""
        return self.nerve.at(np.rint(y).astype(int), np.rint(x).astype(int))


def find_frame(
    myelin: np.ndarray,
    image: np.ndarray | None = None,
    nerve: LabelImage | None = None,
    margins: bool = True,
) -> Frame:
    """Return the counting frame of an image.

    Margins are searched for in `image`, uint8 (rows, cols), unless `margins` is False. `myelin` is
    bool, (rows, cols), and `nerve` as from `nerve.read_nerve`.
    """
    known = margins and image is not None
    decisive = []
    tissue = find_tissue(image, myelin, decisive) if known else None
    return Frame(myelin.shape, tissue, nerve, known, decisive)


def placed(labels: LabelImage, window: Window, shape: tuple[int, int]) -> LabelImage:
    """Return the label image of a window as that of the image of this shape."""
    return labels if window is None else labels.moved(window, shape)


def name_unseen(cases: Iterable, whole_frame: bool) -> None:
    """Print which `cases.Case`s have no image, in which margins could be found."""
    unseen = [case.name for case in cases if case.image is None]
    if unseen and not whole_frame:
        print(
            f"note: {shortened_list(unseen)}: image not found (--images), so blank margins cannot "
            "be recognized and count as tissue"
        )


def forbidden_line(tissue: np.ndarray) -> np.ndarray:
    """Return the pixels of the forbidden line along the outline of a frame, bool (rows, cols)."""
    padded = cv2.copyMakeBorder(tissue.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outlines, _ = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    line = np.zeros(tissue.shape, bool)
    for outline in outlines:
        points = outline[:, 0] - 1
        chosen = points[half_facing_up_left(points)]
        line[chosen[:, 1], chosen[:, 0]] = True
    return line


def half_facing_up_left(points: np.ndarray) -> np.ndarray:
    """Return which points of a closed outline form the half that most faces up and left.

    `points`, int (n, 2), are x and y in the order of OpenCV: on the screen, the region lies to the
    left of each step. The indices returned, int (m,), are consecutive, but may pass the end of the
    outline.
    """
    count = len(points)
    near = np.pad(points, ((DIRECTION_STEPS, DIRECTION_STEPS), (0, 0)), mode="wrap")
    steps = near[2 * DIRECTION_STEPS :] - near[: -2 * DIRECTION_STEPS]
    facing = np.cumsum(np.tile(steps[:, 1] - steps[:, 0], 2))  # outward is (dy, -dx)
    lengths = np.hypot(*steps.T)
    # Lengths run from the middle of one point to that of another; the tolerance includes both.
    place = np.cumsum(np.tile(lengths, 2)) - np.tile(lengths, 2) / 2
    ends = np.searchsorted(place, place[:count] + lengths.sum() / 2 + 1e-6) - 1
    start = np.argmax(facing[ends] - facing[:count] + steps[:, 1] - steps[:, 0])
    return np.arange(start, ends[start] + 1) % count
