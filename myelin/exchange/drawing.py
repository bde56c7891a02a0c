"""The fibers of one image as outlines that a person corrects: what is exported and taken back.

A `Drawing` holds all that is needed to make the mask again to the pixel: fibers and axons, and what
a mask has beside them, myelin of no fiber and gaps within a sheath.
"""

import re
from dataclasses import dataclass

import numpy as np

from myelin.pixels.outlines import trace

# What an outline can be. Myelin is that of no fiber, a gap is within one; both are only read.
KINDS = FIBER, AXON, NERVE, FASCICLE, MYELIN, GAP = (
    "fiber",
    "axon",
    "nerve",
    "fascicle",
    "myelin",
    "gap",
)
# Names as files of other programs have them, anywhere in a text, those that count more first:
# "Axon", "0012_fibre-1", "nerve fibers".
NAMES = {
    "axon": AXON,
    "fiber": FIBER,
    "fibre": FIBER,
    "fascicle": FASCICLE,
    "nerve": NERVE,
    "gap": GAP,
    "myelin": MYELIN,
}
# Okabe and Ito's colour-blind-safe palette.
COLOURS = {
    FIBER: (230, 159, 0),
    AXON: (86, 180, 233),
    NERVE: (0, 158, 115),
    FASCICLE: (0, 158, 115),
}


@dataclass
class Outline:
    """One region as a person sees and moves it.

    Attributes
    ----------
    kind : str
        One of `KINDS`; "" where a file does not say.
    name : str
        Such as "0012_axon".
    polygons : list of list of array, (points, 2)
        Rings as from `outlines.trace`; within one polygon the even-odd rule holds.
    number : int
        Fiber and axon of one number belong together; 0 where there is none.
    """

    kind: str
    name: str
    polygons: list
    number: int = 0

    @property
    def rings(self):
        return [ring for polygon in self.polygons for ring in polygon]


def kind_of(*texts):
    """Return the kind of outline that the first text which names one means, "" where none does.

    >>> kind_of("0012-0345", "Axon"), kind_of("Nerve fibres"), kind_of("taxonomy")
    ('axon', 'fiber', '')
    """
    for text in texts:
        for name, kind in NAMES.items():
            if re.search(rf"(^|[^a-z]){name}s?($|[^a-z])", str(text).lower()):
                return kind
    return ""


@dataclass
class Drawing:
    """What is drawn in one image.

    Attributes
    ----------
    fibers, axons : int arrays, (rows, cols)
        The number of a fiber on its myelin and axon, and on its axon alone.
    myelin, gaps : bool arrays, (rows, cols)
        Myelin of no fiber; what is neither myelin nor axon within a fiber.
    """

    fibers: np.ndarray
    axons: np.ndarray
    myelin: np.ndarray
    gaps: np.ndarray

    @classmethod
    def of(cls, fibers, axons, mask=None):
        """Return the drawing of two label images and, where it is known, their myelin mask."""
        if mask is None:
            mask = (fibers > 0) & (axons == 0)
        return cls(fibers, axons, mask & (fibers == 0), (fibers > 0) & (axons == 0) & ~mask)

    @property
    def mask(self):
        """The myelin mask, bool (rows, cols); an axon is never myelin."""
        return (self.axons == 0) & (((self.fibers > 0) & ~self.gaps) | self.myelin)

    @property
    def rest(self):
        """1 on myelin of no fiber, 2 on gaps within one, 0 elsewhere, (rows, cols)."""
        return self.myelin + np.uint8(2) * self.gaps

    def outlines(self):
        """Return the `Outline`s of its fibers, axon and fiber by number."""
        fibers, axons = trace(self.fibers), trace(self.axons)
        digits = max(4, len(str(max(fibers, default=0))))
        return [
            Outline(kind, f"{number:0{digits}}_{kind}", traced[number], number)
            for number in fibers
            for kind, traced in ((AXON, axons), (FIBER, fibers))
            if number in traced
        ]
