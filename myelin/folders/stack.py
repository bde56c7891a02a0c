"""Stacks of frames in `.npy` files, read and written one frame at a time."""

import math
import os
from pathlib import Path

import numpy as np

from myelin.runtime.cli import UserError
from myelin.runtime.disk import allocate


class Stack:
    """An `.npy` file as a sequence of frames, mapped into memory one frame at a time.

    A mapping kept open would count every frame it has touched as the program's memory.

    Parameters
    ----------
    path : path
    shape, dtype : optional
        With both, a new file of zeros is made.

    Raises
    ------
    UserError
        The file is missing, or holds anything but (N, rows, cols) frames.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...] | None = None, dtype: type | None = None
    ) -> None:
        self.path = Path(path)
        if shape is not None:
            make_array(self.path, shape, np.dtype(dtype))
        frames = load_array(self.path)
        self.shape, self.dtype = frames.shape, frames.dtype
        if len(self.shape) != 3 or self.dtype not in (np.uint8, np.float32):
            raise UserError(
                f"{self.path}: {self.dtype} of shape {self.shape}, expected frames of uint8 as "
                "(N, rows, cols), run python data.py again"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array(self.mapped(index))

    def mapped(self, index: int) -> np.ndarray:
        """Return a frame that stays on disk: only the part that is used is read."""
        return np.load(self.path, mmap_mode="r")[index]

    def __setitem__(self, index: int, image: np.ndarray) -> None:
        """Write an image into the top left of a frame, see `put_rows`."""
        self.put_rows(index, 0, image)

    def put_rows(self, index: int, first: int, rows: np.ndarray) -> None:
        """Write rows of an image into a frame, from row `first` on, with zeros beside them.

        They are written as bytes: on a full disk, writing to a mapping kills the process.
        """
        padded = np.zeros((len(rows), self.shape[2]), self.dtype)
        padded[:, : rows.shape[1]] = rows
        place = (range(len(self))[index] - len(self)) * self.shape[1] + first
        with open(self.path, "r+b") as file:
            file.seek(place * padded[0].nbytes, os.SEEK_END)
            file.write(padded.data)


def make_array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write an `.npy` file of zeros and reserve its space on the disk."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        allocate(file, math.prod(header["shape"]) * dtype.itemsize)


def load_array(path: Path) -> np.ndarray:
    """Return an `.npy` file mapped into memory, never unpickled.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    try:
        with np.errstate(over="raise"):  # for a size beyond that of any file
            return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, run python data.py first") from None
    except Exception as error:  # a damaged header can raise anything in NumPy
        found = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path}: not a packed array ({found}), run python data.py again") from None
