"""The frame in which fibers are counted: the whole image, its tissue, or the nerve in it.

Cut fibers are counted by a forbidden line (Gundersen, J. Microsc. 111:219-223, 1977): a fiber that
touches it is not counted, one that touches only the rest of the outline is. With a rectangle it is
the top and left edge; with any other frame, that half of the outline, in one piece, which most
faces up and left. As the halves are equally long, what is lost along one is gained along the other,
and the count is unbiased in a frame of any shape that is much larger than a fiber.

A hand-drawn outline of the nerve cuts no fiber, as all of it is seen: the fiber belongs to the
fascicle in which the centre of its axon lies (the associated point rule, Miles, J. Microsc.
113:257-267, 1978).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.measure.tissue import find_tissue
from myelin.pixels.regions import edge_pixels, numbers_on, sum_pixels
from myelin.runtime.cli import shortened_list

# The outline of a margin is known to so many pixels; so near to it a fiber is cut.
BORDER_PX = 2
STEPS_PX = 7  # the direction of an outline is that from so many steps before to so many after


def add_frame_options(parser):
    """Add `--whole-frame` and `--renumber`."""
    parser.add_argument(
        "--whole-frame",
        action="store_true",
        help="count blank margins as tissue too (default: black and white margins, and missing "
        "tiles of a mosaic, are no tissue, where the image itself is at hand)",
    )
    parser.add_argument(
        "--renumber",
        action="store_true",
        help="number all fibers anew (default: a fiber that an earlier run left in the output "
        "folder keeps its number)",
    )


@dataclass
class Frame:
    """Where the fibers of an image are counted.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    tissue : bool array, (rows, cols), or None
        None where all of the image is.
    nerve : int32 array, (rows, cols), or None
        The number of a fascicle on it, 0 elsewhere; None where there is no outline.
    margin_known : bool
        Whether margins were looked for.
    """

    shape: tuple
    tissue: np.ndarray | None = None
    nerve: np.ndarray | None = None
    margin_known: bool = False

    @property
    def tissue_px(self):
        rows, cols = self.shape
        return rows * cols if self.tissue is None else int(np.count_nonzero(self.tissue))

    @property
    def inside(self):
        """What is tissue, and nerve where there is an outline, bool (rows, cols); None: all is."""
        if self.nerve is None:
            return self.tissue
        return self.nerve > 0 if self.tissue is None else self.tissue & (self.nerve > 0)

    @property
    def outside(self):
        """The rest, bool (rows, cols); None where there is none."""
        return None if self.inside is None else ~self.inside

    def pixels(self, mask=None):
        """Return the pixels of the frame, or of a mask, bool (rows, cols), in it."""
        parts = [part for part in (self.inside, mask) if part is not None]
        if not parts:
            return self.shape[0] * self.shape[1]
        return int(np.count_nonzero(np.logical_and.reduce(parts)))

    def fascicle_px(self, mask=None):
        """Return {number: pixels} of the tissue of each fascicle, or of a mask in it.

        A fascicle that lies in the margin wholly is left out.
        """
        count, inside = int(self.nerve.max()), self.inside
        numbers = np.flatnonzero(sum_pixels(self.nerve, count, inside))
        pixels = sum_pixels(self.nerve, count, inside if mask is None else inside & mask)
        return {int(number): int(pixels[number]) for number in numbers}

    def cut(self, labels, count):
        """Return which fibers 1 to `count` the border cuts, bool (n,)."""
        touched = edge_pixels(labels, count)[1:] > 0
        if self.tissue is None:
            return touched
        margin = (~self.tissue).view(np.uint8)
        near = cv2.dilate(margin, np.ones((2 * BORDER_PX + 1,) * 2, np.uint8))
        return touched | (np.bincount(numbers_on(labels, near > 0), minlength=count + 1)[1:] > 0)

    def counts(self, axons, count):
        """Return which fibers 1 to `count` are counted, bool (n,), by their axons' numbers."""
        if self.tissue is None:
            touching = np.append(axons[:1], axons[:, :1])
        else:
            touching = numbers_on(axons, forbidden_line(self.tissue))
        counted = np.ones(count + 1, bool)
        counted[touching] = False
        return counted[1:]

    def fascicles(self, x, y):
        """Return the number of the fascicle of each place, int (n,); 0 outside all."""
        return self.nerve[np.rint(y).astype(int), np.rint(x).astype(int)]


def find_frame(myelin, image=None, nerve=None, margins=True):
    """Return the `Frame` of an image.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    image : uint8 array, (rows, cols), optional
        Without it no margin is found.
    nerve : int32 array, (rows, cols), optional
    margins : bool
        Whether to look for margins.
    """
    known = margins and image is not None
    tissue = find_tissue(image, myelin) if known else None
    return Frame(myelin.shape, tissue, nerve, known)


def name_unseen(cases, whole_frame):
    """Say of which `masks.Case`s the image is missing, so that no margin can be found."""
    unseen = [case.name for case in cases if case.image is None]
    if unseen and not whole_frame:
        print(
            f"note: no image of {shortened_list(unseen)} at hand (--images): blank margins "
            "cannot be told and count as tissue"
        )


def forbidden_line(tissue):
    """Return the pixels of the forbidden line along the outline of a frame, bool (rows, cols)."""
    padded = cv2.copyMakeBorder(tissue.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outlines, _ = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    line = np.zeros(tissue.shape, bool)
    for outline in outlines:
        points = outline[:, 0] - 1
        chosen = points[half_facing_up_left(points)]
        line[chosen[:, 1], chosen[:, 0]] = True
    return line


def half_facing_up_left(points):
    """Return which points of a closed outline form the half that most faces up and left.

    Parameters
    ----------
    points : int array, (n, 2)
        x and y, in the order of OpenCV: a region lies to the left of each step, as seen on a
        screen, and what surrounds it to the right.

    Returns
    -------
    int array, (m,)
        A run of indices, over the end of the outline where need be.
    """
    count = len(points)
    near = np.pad(points, ((STEPS_PX, STEPS_PX), (0, 0)), mode="wrap")
    steps = near[2 * STEPS_PX :] - near[: -2 * STEPS_PX]
    facing = np.cumsum(np.tile(steps[:, 1] - steps[:, 0], 2))  # outward is (dy, -dx)
    lengths = np.hypot(*steps.T)
    # From the middle of one point to that of another; the tolerance lets both ends in.
    place = np.cumsum(np.tile(lengths, 2)) - np.tile(lengths, 2) / 2
    ends = np.searchsorted(place, place[:count] + lengths.sum() / 2 + 1e-6) - 1
    start = np.argmax(facing[ends] - facing[:count] + steps[:, 1] - steps[:, 0])
    return np.arange(start, ends[start] + 1) % count
