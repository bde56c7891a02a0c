"""Pack microscope images and their masks into arrays.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes to `npydata/`:

    imgs_train.npy, imgs_mask_train.npy, imgs_test.npy   uint8, one frame per image
    imgs_id_train.npy, imgs_id_test.npy                  file names without their ending
    imgs_shape_train.npy, imgs_shape_test.npy            rows and columns; smaller images are
                                                         zero-padded at the bottom and right
    imgs_pixel_size_test.npy                             µm per pixel, NaN where unknown

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

import contextlib

import numpy as np

from myelin.cli import Parser, UserError, progress, script
from myelin.files import replacing
from myelin.images import read_image, read_mask, read_record
from myelin.locking import holding
from myelin.naming import NPYDATA, RAW_TEST, RAW_TRAIN, test_images, training_pairs
from myelin.packed import Stack


def find_images(errors):
    """Return [(image path, mask path)] to train with and [image path] to segment."""
    folders = [folder for folder in (RAW_TRAIN, RAW_TEST) if folder.is_dir()]
    if not folders:
        raise UserError(f"{RAW_TRAIN} and {RAW_TEST}: no such folders, make them, put images in")
    pairs, mistakes = training_pairs(RAW_TRAIN) if RAW_TRAIN in folders else ([], [])
    errors.extend(mistakes)
    tests = test_images(RAW_TEST, errors) if RAW_TEST in folders else []
    if not pairs and not tests and not errors:
        raise UserError(f"{' and '.join(map(str, folders))}: no images, put TIFF or PNG files in")
    return pairs, tests


def read_records(paths, errors):
    """Return {path: record} of the readable images."""
    records = {}
    for path in progress(paths, "reading headers"):
        try:
            records[path] = read_record(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return records


def check_pairs(pairs, records, errors):
    """Name each mask that is not of its image's size."""
    for image, mask in pairs:
        if image in records and mask in records and records[image].shape != records[mask].shape:
            (rows, cols), (mask_rows, mask_cols) = records[image].shape, records[mask].shape
            errors.append(
                f"{mask}: {mask_rows} x {mask_cols} pixels, but {image.name} is {rows} x {cols}, "
                "draw the mask on the image itself"
            )


def new_array(name, files):
    """Return a temporary path that becomes `npydata/<name>.npy` when `files` closes."""
    return files.enter_context(replacing(NPYDATA / f"{name}.npy"))


def pack_facts(name, records, files):
    """Pack the ids and true sizes of a set of images.

    Files are renamed in reverse order: the ids come first here to be renamed last.
    """
    ids = np.array([record.path.stem for record in records], np.str_)
    np.save(new_array(f"imgs_id_{name}", files), ids)
    shapes = np.array([record.shape for record in records], np.int64)
    np.save(new_array(f"imgs_shape_{name}", files), shapes)


def pack_pixel_sizes(records, files):
    """Pack the pixel sizes of the test images; name images whose pixels are not square."""
    sizes = np.full(len(records), np.nan)
    for index, record in enumerate(records):
        try:
            sizes[index] = record.pixel_size()[0] or np.nan
        except UserError as mistake:
            print(f"note: {mistake}; packed without a pixel size")
    np.save(new_array("imgs_pixel_size_test", files), sizes)


def pack_frames(name, description, records, read, files, errors):
    """Pack one padded frame per image; return the line that says what was packed."""
    rows, cols = (max(lengths) for lengths in zip(*(r.shape for r in records), strict=True))
    stack = Stack(new_array(name, files), (len(records), rows, cols), np.uint8)
    low, high, shares = 255, 0, []
    for index, record in enumerate(progress(records, description)):
        try:
            image = read(record)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        stack[index] = image
        low, high = min(low, image.min()), max(high, image.max())
        shares.append(np.count_nonzero(image) / image.size)
    values = f"values {low} to {high}"
    if read is read_mask_frame and shares:  # a mask saved the wrong way round stands out
        values = f"myelin on {min(shares):.0%} to {max(shares):.0%} of the area"
    sizes = len({record.shape for record in records})
    scaled = sum(record.bits > 8 for record in records)
    return (
        f"{len(records)} {description}: frames of {rows} x {cols}"
        + (f" ({sizes} sizes, zero-padded)" if sizes > 1 else "")
        + f", {values}"
        + (f", {scaled} scaled to 8-bit by their own range" if scaled else "")
    )


def read_mask_frame(record):
    """Return a mask as 0/255 uint8 (rows, cols)."""
    return read_mask(record).astype(np.uint8) * np.uint8(255)


def pack(images, masks, tests, errors):
    """Write all arrays, or none where there is a mistake; return lines that say what was packed."""
    lines = []
    # Files are renamed when this block ends without an error; until then npydata stays as it was.
    with contextlib.ExitStack() as files:
        for name, records in (("train", images), ("test", tests)):
            if records:
                pack_facts(name, records, files)
        if tests:
            pack_pixel_sizes(tests, files)
        for name, description, records, read in (
            ("imgs_train", "training images", images, read_image),
            ("imgs_mask_train", "training masks", masks, read_mask_frame),
            ("imgs_test", "test images", tests, read_image),
        ):
            if records:
                lines.append(pack_frames(name, description, records, read, files, errors))
        if errors:
            raise UserError(*errors)
        # The old ids go before anything is renamed: were the renaming cut off, new and old arrays
        # could not pass for one set. What was found in the old test images goes with them.
        if tests and remove("imgs_mask_test"):
            lines.append("removed imgs_mask_test.npy, which was of the test images packed before")
        for name, records in (("train", images), ("test", tests)):
            if records:
                remove(f"imgs_id_{name}")
    return lines


def remove(*names):
    """Remove arrays from `npydata/`; return the file names of those that were there."""
    stale = [path for name in names if (path := NPYDATA / f"{name}.npy").exists()]
    for path in stale:
        path.unlink()
    return [path.name for path in stale]


def remove_stale(name, folder):
    """Remove the arrays of a folder that has no images any more; return the line that says so."""
    kinds = ("shape_", "id_", "", "mask_", "pixel_size_")
    stale = remove(*(f"imgs_{kind}{name}" for kind in kinds))
    return f"{folder}: no images" + (f", removed the older {', '.join(stale)}" if stale else "")


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    Parser(__doc__).parse_args(argv)
    with holding(NPYDATA, "imgs_train.npy"), holding(NPYDATA, "imgs_test.npy"):
        pack_folders()


def pack_folders():
    """Pack both folders, or nothing where there is a mistake; say what was packed."""
    errors = []
    pairs, tests = find_images(errors)
    records = read_records([path for pair in pairs for path in pair] + tests, errors)
    check_pairs(pairs, records, errors)
    images, masks = ([records[pair[k]] for pair in pairs if pair[k] in records] for k in (0, 1))
    tests = [records[path] for path in tests if path in records]

    lines = pack(images, masks, tests, errors)
    for name, folder, packed in (("train", RAW_TRAIN, images), ("test", RAW_TEST, tests)):
        if not packed:
            lines.append(remove_stale(name, folder))
    print("\n".join(lines))
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
