"""Read each file once: pixels decoded for the check are kept until they are measured."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from myelin.folders.packed import take_of
from myelin.images.image import ImageRecord, read_image, read_mask, read_record

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

    def mask(self, path: Path | None) -> np.ndarray | None:
        """Return a mask, bool (rows, cols); None if `path` is None."""
        return self.decoded(read_mask, path)

    def image(self, path: Path | None) -> np.ndarray | None:
        """Return an image, uint8 (rows, cols); None if `path` is None."""
        return self.decoded(read_image, path)

    def decoded(self, read: Callable, path: Path | None) -> np.ndarray | None:
        """Return the array that `read` returns for a file's header; None if `path` is None."""
        if path is None:
            return None
        if (read, path) in self.kept:
            return self.kept[read, path]
        # Copy a part of a larger array, such as one channel, which would keep all of it.
        array = np.ascontiguousarray(read(self.record(path)))
        if array.nbytes <= self.room:
            self.room -= array.nbytes
            self.kept[read, path] = array
        return array
