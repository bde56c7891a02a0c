"""Pack microscope pictures and their masks into arrays, and load these.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes `npydata/`: `imgs_train.npy`, `imgs_mask_train.npy`, `imgs_test.npy` (uint8, one frame
per picture), `imgs_id_test.npy` (file stems) and `imgs_shape_train.npy`, `imgs_shape_test.npy`
(true rows and columns; smaller pictures are zero-padded at the bottom and right).

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

import contextlib
import math
import os
import re
import shutil
from pathlib import Path

import numpy as np

from myelin.cli import NPYDATA, RAW_TEST, RAW_TRAIN, Parser, UserError, progress, replacing, script
from myelin.images import high_bit_depth, image_shape, list_images, read_image, read_mask

# ---------------------------------------------------------------- packed arrays


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
        """Write a picture into a frame of a new file, whose rest stays zero."""
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
            "pack fewer pictures"
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


def training_pairs(folder):
    """Return ([(image path, mask path)], [error text]) of a folder, paired by stem."""
    pairs, errors = [], []
    found = list_images(folder, errors)
    for stem, path in found.items():
        if stem.endswith("_axon") and stem.removesuffix("_axon") in found:
            continue  # for evaluate.py and morphometry.py
        partner = f"{stem}_mask"
        if stem.endswith("_mask"):
            image = stem.removesuffix("_mask")
            if image not in found:
                errors.append(f"{path}: a mask without an image, add {image}.tif or remove it")
        elif partner in found:
            pairs.append((path, found[partner]))
        else:
            errors.append(f"{path}: an image without a mask, add {partner}.tif or remove it")
    return pairs, errors


def test_images(folder, errors=None):
    """Return the paths to segment: masks beside images are references and stay out."""
    found = list_images(folder, errors)
    references = {stem for stem in found if stem.endswith("_mask")}
    references |= {f"{stem}_axon" for stem in found}
    return [path for stem, path in found.items() if stem not in references]


test_images.__test__ = False  # not a test, whatever its name says to pytest


def checked_shapes(paths, errors):
    """Return {path: (rows, cols)} of readable pictures; texts of the others go to `errors`."""
    shapes = {}
    for path in paths:
        try:
            shapes[path] = image_shape(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return shapes


def largest(shapes):
    """Return the frame that all (rows, cols) fit into."""
    rows, cols = zip(*shapes, strict=True)
    return max(rows), max(cols)


def pack(paths, shapes, target, read, errors, description):
    """Write one padded frame per picture to `target`; return what their values are, as text."""
    rows, cols = largest(shapes[path] for path in paths)
    stack = Stack(target, (len(paths), rows, cols), np.uint8)
    low, high, shares = 255, 0, []
    for index, path in enumerate(progress(paths, description)):
        try:
            image = read(path)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        stack[index] = image
        low, high = min(low, image.min()), max(high, image.max())
        shares.append(np.count_nonzero(image) / image.size)
    if read is read_mask_frame and shares:  # a mask saved the wrong way round stands out
        return f"myelin on {min(shares):.0%} to {max(shares):.0%} of the area"
    return f"values {low} to {high}"


def read_mask_frame(path):
    """Return a mask as 0/255 uint8 (rows, cols)."""
    return read_mask(path).astype(np.uint8) * np.uint8(255)


def summary(paths, description, shapes, values):
    """Return the line that says what was packed."""
    rows, cols = largest(shapes[path] for path in paths)
    sizes = len({shapes[path] for path in paths})
    scaled = sum(map(high_bit_depth, paths))
    return (
        f"{len(paths)} {description}: frames of {rows} x {cols}"
        + (f" ({sizes} sizes, zero-padded)" if sizes > 1 else "")
        + f", {values}"
        + (f", {scaled} scaled to 8-bit by their own range" if scaled else "")
    )


def remove_stale(name, folder):
    """Remove the packed arrays of a folder that has no pictures any more, and say so."""
    names = [f"imgs_shape_{name}.npy", f"imgs_id_{name}.npy", f"imgs_{name}.npy"]
    names += ["imgs_mask_train.npy"] if name == "train" else []
    stale = [file for file in names if (NPYDATA / file).exists()]
    for file in stale:
        (NPYDATA / file).unlink()
    print(f"{folder}: no pictures" + (f", removed the older {', '.join(stale)}" if stale else ""))


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    parser = Parser(__doc__)
    parser.parse_args(argv)

    folders = [folder for folder in (RAW_TRAIN, RAW_TEST) if folder.is_dir()]
    if not folders:
        raise UserError(f"{RAW_TRAIN} and {RAW_TEST}: no such folders, make them, put pictures in")
    pairs, errors = training_pairs(RAW_TRAIN) if RAW_TRAIN in folders else ([], [])
    tests = test_images(RAW_TEST, errors) if RAW_TEST in folders else []
    if not pairs and not tests and not errors:
        raise UserError(f"{' and '.join(map(str, folders))}: no pictures, put TIFF or PNG files in")

    shapes = checked_shapes([path for pair in pairs for path in pair] + tests, errors)
    for image, mask in pairs:
        if {image, mask} <= set(shapes) and shapes[image] != shapes[mask]:
            errors.append(
                f"{mask}: {shapes[mask][0]} x {shapes[mask][1]} pixels, but {image.name} is "
                f"{shapes[image][0]} x {shapes[image][1]}, draw the mask on the image itself"
            )
    images, masks = ([pair[k] for pair in pairs if pair[k] in shapes] for k in (0, 1))
    tests = [path for path in tests if path in shapes]

    lines = []
    # Files are renamed when this block ends without an error; until then npydata stays as it was.
    # The ids, opened first, are renamed last, and their old file goes before: were the renaming
    # cut off, new and old arrays could not pass for one set.
    with contextlib.ExitStack() as files:
        for name, paths in (("train", images), ("test", tests)):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"imgs_id_{name}.npy"))
                np.save(target, np.array([path.stem for path in paths], dtype=np.str_))
        for name, paths, read, description in (
            ("imgs_train", images, read_image, "training images"),
            ("imgs_mask_train", masks, read_mask_frame, "training masks"),
            ("imgs_test", tests, read_image, "test images"),
        ):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"{name}.npy"))
                values = pack(paths, shapes, target, read, errors, description)
                lines.append(summary(paths, description, shapes, values))
        for name, paths in (("train", images), ("test", tests)):
            if paths:
                target = files.enter_context(replacing(NPYDATA / f"imgs_shape_{name}.npy"))
                np.save(target, np.array([shapes[path] for path in paths], np.int64))
        if errors:
            raise UserError(*errors)
        for name, paths in (("train", images), ("test", tests)):
            if paths:
                (NPYDATA / f"imgs_id_{name}.npy").unlink(missing_ok=True)
    print("\n".join(lines))
    for name, folder, paths in (("train", RAW_TRAIN, images), ("test", RAW_TEST, tests)):
        if not paths:
            remove_stale(name, folder)
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
