"""Read each file once: pixels decoded for the check are kept until they are measured."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from myelin.folders.packed import take_of
from myelin.images.image import ImageRecord, read_image, read_kinds, read_record
from myelin.images.mask_checks import shows_axons

# Masks, images and probabilities of 247 frames of 1040 x 1392; other files are decoded again.
MAX_KEPT_BYTES = 2**30


class Reader:
    """Read each file's header once, and its pixels once as long as there is room to keep them.

    Parameters
    ----------
    room : int
        Maximum bytes of decoded masks, images and probabilities to keep.

    Attributes
    ----------
    takes : dict of path to dict
        Which image of a file that holds several, see `image_tree.takes_of`; files that are not
        listed are read as `data.py` packed them.
    """

    def __init__(self, room: int = MAX_KEPT_BYTES) -> None:
        self.room = room
        self.takes = {}
        self.records = {}
        self.kept = {}

    def record(self, path: Path) -> ImageRecord:
        """Return the header of a file."""
        if path not in self.records:
            self.records[path] = read_record(path, self.takes.get(path) or take_of(path))
        return self.records[path]

    def mask(self, path: Path) -> np.ndarray:
        """Return the mask in one file, bool (rows, cols), as `image.read_mask` does."""
        myelin, axon = self.decoded(read_kinds, path)
        return myelin if axon is None or not shows_axons(path) else axon

    def masks(self, paths: tuple[Path, Path | None]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the myelin and the axons of an image, bool (rows, cols); None if none are drawn.

        A myelin file may show both; with an axon file, it may be a label image of whole fibers.
        """
        myelin, axon = paths
        if axon is None:
            return self.decoded(read_kinds, myelin)
        return self.decoded(read_filled, myelin)[0], self.mask(axon)

    def image(self, path: Path | None) -> np.ndarray | None:
        """Return an image, uint8 (rows, cols); None if `path` is None."""
        return self.decoded(read_image, path)

    def decoded(self, read: Callable, path: Path | None) -> np.ndarray | tuple | None:
        """Return what `read` returns for a file's header, arrays; None if `path` is None."""
        if path is None:
            return None
        if (read, path) in self.kept:
            return self.kept[read, path]
        found = read(self.record(path))
        if isinstance(found, np.ndarray):
            # Copy a part of a larger array, such as one channel, which would keep all of it.
            found = np.ascontiguousarray(found)
        parts = found if isinstance(found, tuple) else (found,)
        size = sum(part.nbytes for part in parts if part is not None)
        if size <= self.room:
            self.room -= size
            self.kept[read, path] = found
        return found


read_filled = functools.partial(read_kinds, filled=True)
