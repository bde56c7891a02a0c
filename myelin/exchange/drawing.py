"""Fibers of one image as outlines, for export and import by `rois.py`.

A `Drawing` holds all that is needed to rebuild the mask to the pixel: fibers and axons, and also
myelin outside fibers and gaps within a sheath.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from myelin.pixels.outlines import trace

FIBER = "fiber"
AXON = "axon"
NERVE = "nerve"
FASCICLE = "fascicle"
MYELIN = "myelin"  # outside all fibers; only imported
GAP = "gap"  # within a fiber; only imported
KINDS = (FIBER, AXON, NERVE, FASCICLE, MYELIN, GAP)
# Words that tell the kind of an outline anywhere in its name ("Axon", "0012_fibre-1", "nerve
# fibers"). The first in this list counts.
WORDS = {
    "axon": AXON,
    "fiber": FIBER,
    "fibre": FIBER,
    "fascicle": FASCICLE,
    "nerve": NERVE,
    "gap": GAP,
    "myelin": MYELIN,
}
EXCLUDED = "excluded"  # in the names of fibers that are left out of the statistics
# From the colour-blind-safe palette of Okabe and Ito.
COLOURS = {
    FIBER: (230, 159, 0),
    AXON: (86, 180, 233),
    NERVE: (0, 158, 115),
    FASCICLE: (0, 158, 115),
    EXCLUDED: (204, 121, 167),
}


@dataclass
class Outline:
    """Outline of one region."""

    kind: str  # one of `KINDS`; "" if unknown
    name: str  # for example "0012_axon"
    # Rings as from `outlines.trace`, (points, 2); the even-odd rule holds within a polygon.
    polygons: list[list[np.ndarray]]
    number: int = 0  # of the fiber that it belongs to
    excluded: bool = False
    pixels: np.ndarray | None = None  # flat indices of the pixels within, once it is filled

    @property
    def rings(self) -> list[np.ndarray]:
        return [ring for polygon in self.polygons for ring in polygon]

    @property
    def colour(self) -> tuple[int, int, int]:
        return COLOURS[EXCLUDED if self.excluded else self.kind]


def kind_of(*texts: object) -> str:
    """Return the kind of outline that the first text with one of `WORDS` names, otherwise "".

    >>> kind_of("0012-0345", "Axon"), kind_of("Nerve fibres"), kind_of("taxonomy")
    ('axon', 'fiber', '')
    """
    for text in texts:
        for word, kind in WORDS.items():
            if re.search(rf"(^|[^a-z]){word}s?($|[^a-z])", str(text).lower()):
                return kind
    return ""


@dataclass
class Drawing:
    """Fibers of one image, and the rest of its mask: arrays, (rows, cols)."""

    fibers: np.ndarray  # int: number of the fiber on its myelin and axon
    axons: np.ndarray  # int: number of the fiber on its axon
    myelin: np.ndarray  # bool: myelin outside all fibers
    gaps: np.ndarray  # bool: pixels of a fiber that are neither myelin nor axon

    @classmethod
    def of(cls, fibers: np.ndarray, axons: np.ndarray, mask: np.ndarray | None = None) -> "Drawing":
        """Return the drawing of two label images and their myelin mask, if that is known."""
        if mask is None:
            mask = (fibers > 0) & (axons == 0)
        return cls(fibers, axons, mask & (fibers == 0), (fibers > 0) & (axons == 0) & ~mask)

    @property
    def mask(self) -> np.ndarray:
        """Myelin mask, bool (rows, cols); an axon is never myelin."""
        return (self.axons == 0) & (((self.fibers > 0) & ~self.gaps) | self.myelin)

    @property
    def rest(self) -> np.ndarray:
        """1 on myelin outside fibers, 2 on gaps within a fiber, otherwise 0; uint8 (rows, cols)."""
        return self.myelin + np.uint8(2) * self.gaps

    def outlines(self, excluded: Collection[int] = ()) -> list[Outline]:
        """Return the outlines of axons and fibers by number; `excluded` are named so."""
        fibers, axons = trace(self.fibers), trace(self.axons)
        digits = max(4, len(str(max(fibers, default=0))))
        return [
            Outline(
                kind,
                f"{number:0{digits}}_{kind}" + f"_{EXCLUDED}" * (number in excluded),
                traced[number],
                number,
                number in excluded,
            )
            for number in fibers
            for kind, traced in ((AXON, axons), (FIBER, fibers))
            if number in traced
        ]
