"""The packed arrays in `npydata/`: stacks of frames, read and written one frame at a time."""

import math
import os
import re
import shutil
from pathlib import Path

import numpy as np

from myelin.cli import UserError
from myelin.naming import NPYDATA


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
        No such file, or it holds something else than (N, rows, cols) frames.
    """

    def __init__(self, path, shape=None, dtype=None):
        self.path = Path(path)
        if shape is not None:
            check_free_space(self.path, math.prod(shape) * np.dtype(dtype).itemsize)
            np.lib.format.open_memmap(self.path, "w+", dtype, shape)
        frames = load_array(self.path)
        self.made = self.stamp()
        self.shape, self.dtype = frames.shape, frames.dtype
        if len(self.shape) != 3 or self.dtype not in (np.uint8, np.float32):
            raise UserError(
                f"{self.path}: {self.dtype} of shape {self.shape}, expected frames of uint8 as "
                "(N, rows, cols), run python data.py again"
            )

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
        """Write a image into a frame of a new file, whose rest stays zero."""
        rows, cols = image.shape
        np.load(self.path, mmap_mode="r+")[index, :rows, :cols] = image

    def stamp(self):
        """Return what tells this file from another of its name."""
        facts = os.stat(self.path)
        return facts.st_ino, facts.st_size


def check_free_space(path, size):
    """Raise a UserError where a file would not fit: a full disk kills a mapped write unheard."""
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise UserError(
            f"{path.parent}: {size / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free, make room or "
            "pack fewer images"
        )


def load_array(path):
    """Return a `.npy` file mapped into memory, never unpickled; or a user's error."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, run python data.py first") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: not a packed array ({error}), run python data.py again") from None


def load_shapes(name, stack):
    """Return the true (rows, cols) of each frame of a stack, int64 (N, 2)."""
    shapes = np.array(load_array(NPYDATA / f"imgs_shape_{name}.npy"))
    fits = shapes.shape == (len(stack), 2) and shapes.dtype.kind in "iu"
    if not fits or (len(shapes) and (shapes.min() < 1 or (shapes > stack.shape[1:]).any())):
        raise UserError(
            f"{NPYDATA}/imgs_shape_{name}.npy: does not fit {stack.path}, run python data.py again"
        )
    return shapes


def load_train():
    """Return the packed training set: image stack, mask stack, true sizes (N, 2)."""
    images, masks = Stack(NPYDATA / "imgs_train.npy"), Stack(NPYDATA / "imgs_mask_train.npy")
    if images.shape != masks.shape:
        raise UserError(
            f"{images.path}: {images.shape}, but {masks.path.name} is {masks.shape}, "
            "run python data.py again"
        )
    return images, masks, load_shapes("train", images)


def load_test():
    """Return the packed test set: image stack, ids (list of str), true sizes (N, 2)."""
    images = Stack(NPYDATA / "imgs_test.npy")
    ids = [str(name) for name in load_array(NPYDATA / "imgs_id_test.npy").ravel()]
    if len(ids) != len(images) or any(re.search(r"[/\\:\0]|^\.*$", name) for name in ids):
        raise UserError(
            f"{NPYDATA}/imgs_id_test.npy: does not fit {images.path}, run python data.py again"
        )
    return images, ids, load_shapes("test", images)
