"""The packed arrays in `npydata/`: the training pairs and the images to segment."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.image_source import ImageSource, SourceImage
from myelin.folders.mask_record import pixel_hash
from myelin.folders.naming import NPYDATA, RAW_TEST, RAW_TRAIN
from myelin.folders.stack import Stack, load_array
from myelin.images.plane_selection import stored_take, take_text
from myelin.runtime.cli import UserError, progress
from myelin.runtime.files import stem_of

PROBABILITIES = NPYDATA / "imgs_mask_test.npy"
UNFINISHED = NPYDATA / "imgs_mask_test.unfinished.npy"  # that array while a run writes it


def load_texts(path: Path) -> list:
    """Return an `.npy` file of texts as lists."""
    texts = load_array(path)
    try:
        if texts.dtype.kind == "U" and texts.ndim:
            return texts.tolist()
    except (ValueError, SystemError):  # NumPy's error for numbers that are not characters
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


def load_train() -> TrainingSet:
    """Return the packed `TrainingSet`; raise UserError if an array is missing or does not fit."""
    images, masks = Stack(NPYDATA / "imgs_train.npy"), Stack(NPYDATA / "imgs_mask_train.npy")
    if images.shape != masks.shape:
        raise UserError(
            f"{images.path}: {images.shape}, but {masks.path.name} is {masks.shape}, "
            "run python data.py again"
        )
    return TrainingSet(images, masks, load_ids("train", images), load_shapes("train", images))


def load_test() -> ImageSource:
    """Return the packed images to segment; raise UserError if an array is missing or misfits."""
    stack = Stack(NPYDATA / "imgs_test.npy")
    ids, shapes = load_ids("test", stack), load_shapes("test", stack)
    sizes, limits, images = load_pixel_sizes("test", stack), load_limits("test", stack), []
    for frame, name in enumerate(progress(ids, "checking")):
        rows, cols = map(int, shapes[frame])
        hashed = pixel_hash(stack.mapped(frame)[:rows, :cols])
        facts = (name, stack.path, (rows, cols), sizes[frame], hashed)
        images.append(SourceImage(*facts, frame=frame, grey_limits=limits[frame]))
    origin = {"source": str(RAW_TEST), "take": take_text(packed_take("test"))}
    return ImageSource(images, origin, packed_shape=stack.shape)


# The `shape` of the next two functions is that of the packed images, None if they are not packed.


def earlier_probabilities(shape: tuple[int, int, int] | None) -> Stack | None:
    """Return the array of probabilities of a stopped or finished run, None if it does not fit."""
    for path in (UNFINISHED, PROBABILITIES) if shape else ():
        try:
            stack = Stack(path)
        except UserError:
            continue
        if stack.shape == shape and stack.dtype == np.float32:
            return stack
    return None


def begin_probabilities(shape: tuple[int, int, int] | None, earlier: Stack | None) -> Path | None:
    """Return the path of the array for the probabilities of a run, which continues `earlier`."""
    if shape is None:
        return None
    if earlier is None:
        Stack(UNFINISHED, shape, np.float32)
    else:
        os.replace(earlier.path, UNFINISHED)
    return UNFINISHED


def finish_probabilities(path: Path | None) -> None:
    """Give the array of a run that has ended its final name."""
    if path:
        os.replace(path, PROBABILITIES)


def misfit(path: Path, images: Stack) -> UserError:
    """Return the error for an array that belongs to other images."""
    return UserError(f"{path}: does not fit {images.path}, run python data.py again")


def load_ids(name: str, images: Stack) -> list[str]:
    """Return the id of each frame."""
    path = NPYDATA / f"imgs_id_{name}.npy"
    ids = load_texts(path)
    if len(ids) != len(images):
        raise misfit(path, images)
    return ids


def load_rows(path: Path, images: Stack, dtype: type, *columns: int) -> np.ndarray:
    """Return an array of numbers with a row for each frame."""
    rows = np.array(load_array(path))
    if rows.shape != (len(images), *columns) or rows.dtype != dtype:
        raise misfit(path, images)
    return rows


def load_shapes(name: str, images: Stack) -> np.ndarray:
    """Return the true (rows, cols) of each frame, int64 (N, 2)."""
    path = NPYDATA / f"imgs_shape_{name}.npy"
    shapes = load_rows(path, images, np.int64, 2)
    if len(shapes) and (shapes.min() < 1 or (shapes > images.shape[1:]).any()):
        raise misfit(path, images)
    return shapes


def load_pixel_sizes(name: str, images: Stack) -> list[float | None]:
    """Return each frame's µm per pixel, None where the array has NaN."""
    sizes = load_rows(NPYDATA / f"imgs_pixel_size_{name}.npy", images, np.float64)
    return [None if math.isnan(size) else size for size in sizes.tolist()]


def load_limits(name: str, images: Stack) -> list[tuple[float, float] | None]:
    """Return the values of each image that became 0 and 255, None if it was 8-bit."""
    path = NPYDATA / f"imgs_limits_{name}.npy"
    if not path.exists():  # packed by an older version, and the folder is empty now
        return [None] * len(images)
    limits = load_rows(path, images, np.float64, 2).tolist()
    return [None if math.isnan(low) else (low, high) for low, high in limits]


def packed_take(name: str) -> dict[str, int]:
    """Return which image of a file that holds several was packed, see `parse_take`."""
    path = NPYDATA / f"imgs_take_{name}.npy"
    if not path.exists():
        return {}
    return stored_take(",".join(load_texts(path)), str(path), "data.py")


def take_of(path: Path) -> dict[str, int]:
    """Return which image of a file was packed; masks and other files hold one image only."""
    name = {RAW_TRAIN: "train", RAW_TEST: "test"}.get(path.parent)
    is_image = not stem_of(path).endswith(("_mask", "_axon", "_nerve"))
    return packed_take(name) if name and is_image else {}
