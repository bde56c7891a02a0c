"""One image of a run: read, segmented, and what is written of it but its mask.

The mask is written by the run that asked for it (`preds.py`): it says that all is there.
"""

import functools
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from myelin.folders.ownership import pixel_hash
from myelin.folders.packed import Stack
from myelin.images.image import read_mask, write_image
from myelin.network.engine import WORKERS
from myelin.runtime.cli import UserError
from myelin.runtime.files import fsync_file
from myelin.segment.bands import in_bands, segment_scan
from myelin.segment.overlay import overlay, reduced
from myelin.segment.tiles import segment


@dataclass
class Setup:
    """What all images of a run share.

    Attributes
    ----------
    images : packed.TestSet or tree.ImageFiles
    settings : preprocessing.Preprocessing
    threshold : float
        Probability from which a pixel is myelin.
    folder : Path
        Where results go.
    probabilities : Path or None
        The `packed.Stack` that takes probabilities.
    """

    images: object
    settings: object
    threshold: float
    folder: Path
    probabilities: Path | None = None


class Segmenter:
    """Segment images of a run one by one; threads may share it.

    Parameters
    ----------
    setup : Setup
    engine : engine.OpenVinoEngine or engine.KerasEngine

    Attributes
    ----------
    width : int
        How many calls keep it busy.
    """

    width = WORKERS
    scan = threading.Lock()  # two scans at once in a process would take twice the memory

    def __init__(self, setup, engine):
        self.setup, self.engine = setup, engine
        self.stack = setup.probabilities and Stack(setup.probabilities)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, index, choice, users):
        """Segment an image and write its probability and its overlay.

        Parameters
        ----------
        index : int
        choice : sharing.Choice
        users : Path or None
            A mask corrected by hand, which the overlay shows instead.

        Returns
        -------
        image_sha256 : str
        mask : bool array, (rows, cols)
            Instead of both a UserError where the image cannot be read any more.
        """
        if not in_bands(self.setup.images.shapes[index], self.setup.settings):
            return self.segment(index, choice, users)
        with self.scan:
            return self.segment(index, choice, users)

    def segment(self, index, choice, users):
        """Do what a call does."""
        name = self.setup.images.ids[index]
        try:
            image = self.setup.images[index]
        except UserError as mistake:
            return mistake
        greys, mask = self.find(index, image, choice)
        paths = [self.setup.folder / f"{name}_{part}.png" for part in ("pred", "overlay")]
        write_image(paths[0], greys, fsync=True)
        shown = users_mask(users, mask) if users else mask
        write_image(paths[1], overlay(*reduced(image, shown)), fsync=True)
        if self.setup.probabilities:
            fsync_file(self.setup.probabilities)
        return pixel_hash(image), mask

    def find(self, index, image, choice):
        """Return an image's probability x 255 and its mask, uint8 and bool (rows, cols)."""
        engine, settings, threshold = self.engine, self.setup.settings, self.setup.threshold
        if in_bands(image.shape, settings):
            keep = functools.partial(self.keep_rows, index)
            return segment_scan(engine, settings, image, choice, threshold, keep)
        probability = segment(engine, settings, image, choice)
        if self.stack:
            self.stack[index] = probability
        return np.rint(probability * 255).astype(np.uint8), probability >= threshold

    def keep_rows(self, index, first, rows):
        """Keep rows of an image's probability where they are kept at all."""
        if self.stack:
            self.stack.put_rows(index, first, rows)


def as_bits(found):
    """Return what a `Segmenter` does for another process: a mask as bits; an error as it is."""
    if isinstance(found, UserError):
        return found
    return found[0], np.packbits(found[1]), found[1].shape


def from_bits(found):
    """Return what a `Segmenter` does from `as_bits` of it."""
    if isinstance(found, UserError):
        return found
    image_sha256, bits, (rows, cols) = found
    return image_sha256, np.unpackbits(bits, count=rows * cols).reshape(rows, cols).view(bool)


def use_threads(count):
    """Let what this process computes, beside OpenVINO, take so many threads, and show no bars."""
    os.environ["TQDM_DISABLE"] = "1"  # those of several processes would be written over each other
    for part in ("INTRAOP", "INTEROP"):
        os.environ[f"TF_NUM_{part}_THREADS"] = str(count)
    cv2.setNumThreads(count)


def users_mask(path, mask):
    """Return a mask corrected by hand, which will be measured; the model's where it is no mask."""
    try:
        corrected = read_mask(path)
    except UserError:
        return mask
    return corrected if corrected.shape == mask.shape else mask
