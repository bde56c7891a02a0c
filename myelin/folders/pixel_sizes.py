"""Pixel sizes that the user gives: one for all images, or a table with one for each."""

import argparse
from collections.abc import Collection, Iterable
from pathlib import Path

from myelin.images.image import ImageRecord
from myelin.images.pixel_size import check_pixel_size, sizes_differ
from myelin.runtime.cli import UserError, count_of
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows

COLUMN = "pixel_size_um"  # as in summary.csv

GivenSizes = dict[str, tuple[float, str]]  # µm per pixel and its source, by image id


def pixel_size_or_table(text: str) -> float | Path:
    """Return a pixel size in µm or the path of a table, or raise argparse's error."""
    return Path(text) if text.lower().endswith((".csv", ".txt")) else check_pixel_size(text)


def given_sizes(
    given: float | Path | None, names: Collection[str], groups: Path | None = None
) -> GivenSizes:
    """Return the pixel size of each image that the user gives: a number, a table, or in `groups`.

    `groups` is a table of groups of animals, perhaps with a column of pixel sizes. Raises UserError
    if a table has a mistake, or sizes are given twice.
    """
    sizes = read_pixel_sizes(groups, names, ["image"]) if groups else {}
    if sizes and given is not None:
        raise UserError(f"--pixel-size: {groups} has a column {COLUMN} too, give one of them")
    if isinstance(given, Path):
        return read_pixel_sizes(given, names, ["image", COLUMN])
    # Not "--pixel-size": in a spreadsheet, "-" begins a formula.
    return sizes if given is None else dict.fromkeys(names, (given, "option --pixel-size"))


def read_pixel_sizes(path: Path, names: Iterable[str], needed: list[str]) -> GivenSizes:
    """Return the pixel sizes in a table with some needed columns; empty cells are left out."""
    find, sizes, errors = image_ids(names), {}, []
    for line, row in read_rows(path, needed, "image"):
        image, text = find(row["image"]), row.get(COLUMN, "").replace(",", ".")
        try:
            if text and (image is None or image in sizes):
                what = "has no mask" if image is None else "has a line already"
                raise ValueError(f"the image {row['image'][:100]} {what}, remove the line")
            if text:
                sizes[image] = check_pixel_size(text), f"table {path.name}"
        except (ValueError, argparse.ArgumentTypeError) as mistake:
            errors.append(f"{path}: line {line}: {mistake}")
    if errors:
        raise UserError(*errors[:MAX_MISTAKES])
    return sizes


def warn_of_other_records(sizes: Iterable[tuple[object, float, float]]) -> None:
    """Print which (file, given µm per pixel, recorded µm per pixel) differ, in one line."""
    other = [one for one in sizes if sizes_differ(*one[1:])]
    if other:
        name, given, recorded = other[0]
        more = f", {count_of(len(other) - 1, 'more image')} likewise" if len(other) > 1 else ""
        print(f"warning: {name}: records {recorded:g} µm per pixel, {given:g} was given{more}")


def usable_size(record: ImageRecord, done: str) -> float | None:
    """Return the pixel size that an image records in µm, None if it has no usable one."""
    try:
        return record.pixel_size()[0]
    except UserError as mistake:
        print(f"note: {mistake}; {done} without a pixel size")
        return None
