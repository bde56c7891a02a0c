"""Pack microscope images and their masks into arrays, and load these.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes `npydata/`: `imgs_train.npy`, `imgs_mask_train.npy`, `imgs_test.npy` (uint8, one frame
per image), `imgs_id_test.npy` (file stems) and `imgs_shape_train.npy`, `imgs_shape_test.npy`
(true rows and columns; smaller images are zero-padded at the bottom and right).

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

import contextlib

import numpy as np

from myelin.cli import Parser, UserError, progress, script
from myelin.files import replacing
from myelin.images import high_bit_depth, image_shape, read_image, read_mask
from myelin.naming import NPYDATA, RAW_TEST, RAW_TRAIN, test_images, training_pairs
from myelin.packed import Stack

# ---------------------------------------------------------------- packed arrays


def checked_shapes(paths, errors):
    """Return {path: (rows, cols)} of readable images; texts of the others go to `errors`."""
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
    """Write one padded frame per image to `target`; return what their values are, as text."""
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
    """Remove the packed arrays of a folder that has no images any more, and say so."""
    names = [f"imgs_shape_{name}.npy", f"imgs_id_{name}.npy", f"imgs_{name}.npy"]
    names += ["imgs_mask_train.npy"] if name == "train" else []
    stale = [file for file in names if (NPYDATA / file).exists()]
    for file in stale:
        (NPYDATA / file).unlink()
    print(f"{folder}: no images" + (f", removed the older {', '.join(stale)}" if stale else ""))


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    parser = Parser(__doc__)
    parser.parse_args(argv)

    folders = [folder for folder in (RAW_TRAIN, RAW_TEST) if folder.is_dir()]
    if not folders:
        raise UserError(f"{RAW_TRAIN} and {RAW_TEST}: no such folders, make them, put images in")
    pairs, errors = training_pairs(RAW_TRAIN) if RAW_TRAIN in folders else ([], [])
    tests = test_images(RAW_TEST, errors) if RAW_TEST in folders else []
    if not pairs and not tests and not errors:
        raise UserError(f"{' and '.join(map(str, folders))}: no images, put TIFF or PNG files in")

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
