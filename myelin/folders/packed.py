"""The packed arrays in `npydata/`: stacks of frames, read and written one frame at a time."""

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.naming import NPYDATA, RAW_TEST, RAW_TRAIN, is_stem
from myelin.images.pixel_size import is_possible
from myelin.images.plane_selection import parse_take
from myelin.runtime.cli import UserError
from myelin.runtime.disk import allocate


class Stack:
    """A packed `.npy` file as a sequence of frames, mapped into memory one frame at a time.

    A mapping kept open would count every frame it has touched as the program's memory.

    Parameters
    ----------
    path : path
    shape, dtype : optional
        Given both, a new file is made.

    Raises
    ------
    UserError
        No such file, or it holds anything but (N, rows, cols) frames.
    """

    def __init__(self, path, shape=None, dtype=None):
        self.path = Path(path)
        if shape is not None:
            make_array(self.path, shape, np.dtype(dtype))
        frames = load_array(self.path)
        self.made = self.stamp()
        self.shape, self.dtype = frames.shape, frames.dtype
        if len(self.shape) != 3 or self.dtype not in (np.uint8, np.float32):
            raise UserError(
                f"{self.path}: {self.dtype} of shape {self.shape}, expected frames of uint8 as "
                "(N, rows, cols), run python data.py again"
            )

    def __reduce__(self):
        # Another process opens the file itself: a machine that shares it may number it otherwise.
        return type(self), (self.path,)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        return np.array(self.mapped(index))

    def mapped(self, index):
        """Return a frame still on disk: only what is taken from it is read."""
        if self.stamp() != self.made:
            raise UserError(f"{self.path}: packed anew while in use, start again")
        return np.load(self.path, mmap_mode="r")[index]

    def __setitem__(self, index, image):
        """Write an image into a frame of a new file, whose rest stays zero.

        Written as bytes and not through a mapping: a full disk would kill that unheard.
        """
        frame = np.zeros(self.shape[1:], self.dtype)
        rows, cols = image.shape
        frame[:rows, :cols] = image
        self.write(index, 0, frame)

    def put_rows(self, index, first, rows):
        """Write some rows of an image into a frame of a new file, as `__setitem__` does."""
        padded = np.zeros((len(rows), self.shape[2]), self.dtype)
        padded[:, : rows.shape[1]] = rows
        self.write(index, first, padded)

    def write(self, index, first, rows):
        """Write whole rows of a frame, from its row `first` on."""
        place = (range(len(self))[index] - len(self)) * self.shape[1] + first
        with open(self.path, "r+b") as file:
            file.seek(place * rows[0].nbytes, os.SEEK_END)
            file.write(rows.data)

    def stamp(self):
        """Return what tells this file from another of its name."""
        facts = os.stat(self.path)
        return facts.st_ino, facts.st_size


def make_array(path, shape, dtype):
    """Write a `.npy` file of zeros, its place on the disk set aside."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        allocate(file, math.prod(header["shape"]) * dtype.itemsize)


def load_array(path):
    """Return a `.npy` file mapped into memory, never unpickled; or a user's error."""
    try:
        with np.errstate(over="raise"):  # of a size that no file has
            return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, run python data.py first") from None
    except Exception as error:  # a damaged header can raise anything in NumPy
        found = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path}: not a packed array ({found}), run python data.py again") from None


def load_texts(path):
    """Return a `.npy` file of texts as lists."""
    texts = load_array(path)
    try:
        if texts.dtype.kind == "U" and texts.ndim:
            return texts.tolist()
    except (ValueError, SystemError):  # what NumPy says of numbers that are no letter
        pass
    raise UserError(f"{path}: not a packed array (no texts), run python data.py again")


@dataclass(frozen=True)
class TrainingSet:
    """The packed training pairs.

    Attributes
    ----------
    images, masks : Stack
        uint8, (N, rows, cols).
    ids : list of str
        File stems.
    shapes : int array, (N, 2)
        True rows and columns; the rest of a frame is padding.
    """

    images: Stack
    masks: Stack
    ids: list
    shapes: np.ndarray


@dataclass(frozen=True)
class TestSet:
    """The packed images to segment.

    Attributes
    ----------
    images : Stack
        uint8, (N, rows, cols).
    ids : list of str
        File stems.
    shapes : int array, (N, 2)
        True rows and columns; the rest of a frame is padding.
    pixel_sizes_um : list of (float or None)
        µm per pixel; None where unknown.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    images: Stack
    ids: list
    shapes: np.ndarray
    pixel_sizes_um: list

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        """Return one image at its true size, uint8 (rows, cols)."""
        rows, cols = self.shapes[index]
        return np.array(self.images.mapped(index)[:rows, :cols])


def load_train():
    """Return the packed `TrainingSet`.

    Raises
    ------
    UserError
        An array is missing, or does not fit the images.
    """
    images, masks = Stack(NPYDATA / "imgs_train.npy"), Stack(NPYDATA / "imgs_mask_train.npy")
    if images.shape != masks.shape:
        raise UserError(
            f"{images.path}: {images.shape}, but {masks.path.name} is {masks.shape}, "
            "run python data.py again"
        )
    return TrainingSet(images, masks, load_ids("train", images), load_shapes("train", images))


def load_test():
    """Return the packed `TestSet`.

    Raises
    ------
    UserError
        An array is missing, or does not fit the images.
    """
    images = Stack(NPYDATA / "imgs_test.npy")
    ids, shapes = load_ids("test", images), load_shapes("test", images)
    return TestSet(images, ids, shapes, load_pixel_sizes("test", images))


def misfit(path, images):
    """Return the error for an array that belongs to other images."""
    return UserError(f"{path}: does not fit {images.path}, run python data.py again")


def load_ids(name, images):
    """Return the id of each frame."""
    path = NPYDATA / f"imgs_id_{name}.npy"
    ids = load_texts(path)
    if len(ids) != len(images) or not all(map(is_stem, ids)):
        raise misfit(path, images)
    return ids


def load_shapes(name, images):
    """Return the true (rows, cols) of each frame, int64 (N, 2)."""
    path = NPYDATA / f"imgs_shape_{name}.npy"
    shapes = np.array(load_array(path))
    fits = shapes.shape == (len(images), 2) and shapes.dtype.kind in "iu"
    if not fits or (len(shapes) and (shapes.min() < 1 or (shapes > images.shape[1:]).any())):
        raise misfit(path, images)
    return shapes


def load_pixel_sizes(name, images):
    """Return each frame's µm per pixel, None where the array has NaN."""
    path = NPYDATA / f"imgs_pixel_size_{name}.npy"
    sizes = np.array(load_array(path))
    fits = sizes.shape == (len(images),) and sizes.dtype == np.float64
    if not fits or not (np.isnan(sizes) | is_possible(sizes)).all():
        raise misfit(path, images)
    return [None if math.isnan(size) else size for size in sizes.tolist()]


def packed_take(name):
    """Return which image of files that hold several was packed, as from `take.parse_take`."""
    path = NPYDATA / f"imgs_take_{name}.npy"
    if not path.exists():
        return {}
    try:
        return parse_take(",".join(load_texts(path)))
    except argparse.ArgumentTypeError as mistake:
        raise UserError(f"{path}: {mistake}, run python data.py again") from None


def take_of(path):
    """Return what was packed of an image in `raw/`; masks and other files hold one image only."""
    name = {RAW_TRAIN: "train", RAW_TEST: "test"}.get(path.parent)
    return (
        packed_take(name) if name and not path.stem.endswith(("_mask", "_axon", "_nerve")) else {}
    )
