"""Systematic uniform random fields of scans, as images of their own: `find_myelin.py --fields`.

A scan is divided evenly into tiles of about the size of a field. Rows of tiles are chosen at equal
steps from a random start, and then tiles at equal steps along these rows, so that every tile has
the same chance. Every axon of a scan is counted in one tile, by the forbidden line of
`measure/frame.py`: for that, a field shows one more row of pixels above and one more column to the
left, in which an axon that belongs to another tile touches the line.
"""

import zlib
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.image_tree import find_images
from myelin.folders.naming import is_id
from myelin.folders.pixel_sizes import usable_size
from myelin.images.image import read_image, read_record, write_image
from myelin.runtime.cli import UserError, count_of, number, progress
from myelin.runtime.tables import read_rows, write_table

FIELDS = "fields"  # folder of the fields, and name of their table, in the folder of the outputs
NETWORK_FRAME = (1040, 1392)  # rows and columns of an image of the 2018 study
HEADER = """image scan x_px y_px width_px height_px step_x_px step_y_px sampling_fraction
    seed""".split()


@dataclass(frozen=True)
class FieldSampling:
    """How many fields to take of each scan, their size, and the seed of the random start.

    Attributes
    ----------
    count : int
    size : (int, int)
        Rows and columns of a field.
    seed : int
        The start depends on it and on the id of the scan.
    """

    count: int
    size: tuple[int, int] = NETWORK_FRAME
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.count} of {self.size[0]} x {self.size[1]} px, seed {self.seed}"


def add_field_options(parser: ArgumentParser) -> None:
    """Add `--fields`, `--field-size` and `--seed`."""
    parser.add_argument(
        "--fields",
        type=number(int, 1, 9999),
        metavar="N",
        help="segment N systematic uniform random fields of each image instead of the image, for "
        "an estimate of its total number of fibers (default: the whole image)",
    )
    parser.add_argument(
        "--field-size",
        type=number(int, 16),
        nargs=2,
        default=NETWORK_FRAME,
        metavar=("ROWS", "COLS"),
        help="size of a field in pixels, adjusted so that the image divides evenly "
        f"(default: {NETWORK_FRAME[0]} {NETWORK_FRAME[1]})",
    )
    parser.add_argument(
        "--seed",
        type=number(int, 0),
        default=1,
        metavar="N",
        help="seed of the random start of the fields; each seed gives other fields (default: 1)",
    )


def pop_sampling(args: Namespace) -> FieldSampling | None:
    """Return the sampling of the options, None without `--fields`; remove its parts from `args`."""
    size, seed = vars(args).pop("field_size"), vars(args).pop("seed")
    return FieldSampling(args.fields, tuple(size), seed) if args.fields else None


def write_fields(
    given: list[str], out: Path, sampling: FieldSampling, take: dict[str, int] | None = None
) -> Path:
    """Write the fields of all scans as `<id>_f01.tif` and `fields.csv`; return their folder.

    Parameters
    ----------
    given, take
        As for `image_tree.open_images`.
    out : Path
        Folder of the outputs; the fields lie in its folder `fields`.
    sampling : FieldSampling

    Raises
    ------
    UserError
        A scan cannot be read, is smaller than a field, or has no room for this many.
    """
    folder, rows, mistakes, fields = out / FIELDS, [], [], []
    _, paths, unread = find_images(given, out)
    for name, path in paths.items():
        try:
            record = read_record(path, take)
            fields.append((record, choose_fields(name, record.shape, sampling)))
        except UserError as mistake:
            mistakes.extend(mistake.args)
    if mistakes := unread + mistakes:
        raise UserError(*mistakes)
    if (table := out / f"{FIELDS}.csv").exists():
        for _, old in read_rows(table, ("image",), "field", least=0):
            if is_id(old["image"]):
                (folder / f"{old['image']}.tif").unlink(missing_ok=True)
    for record, own in progress(fields, "taking fields"):
        scan, size = read_image(record), usable_size(record, "fields taken")
        for row in own:
            left, top, width, height = (row[key] for key in HEADER[2:6])
            pixels = scan[top : top + height, left : left + width]
            write_image(folder / f"{row['image']}.tif", np.ascontiguousarray(pixels), size)
        rows += own
    write_table(table, HEADER, rows)
    return folder


def choose_fields(name: str, shape: tuple[int, int], sampling: FieldSampling) -> list[dict]:
    """Return the rows of `fields.csv` of a scan of (rows, cols), row by row of tiles.

    >>> rows = choose_fields("x", (300, 400), FieldSampling(3, (100, 100)))
    >>> [row["image"] for row in rows], rows[0]["sampling_fraction"]
    (['x_f01', 'x_f02', 'x_f03'], 0.25)
    """
    count, (height, width) = sampling.count, sampling.size
    found = f"{name}: {shape[0]} x {shape[1]} pixels"
    if height > shape[0] or width > shape[1]:
        raise UserError(
            f"{found} are smaller than a field of {height} x {width}, give a smaller --field-size"
        )
    down, across = round(shape[0] / height), round(shape[1] / width)
    if count > down * across:
        most = count_of(down * across, "field")
        raise UserError(
            f"{found} hold {most} of {height} x {width}, not {count}, take fewer --fields or a "
            "smaller --field-size"
        )
    rng = np.random.default_rng([sampling.seed, zlib.crc32(name.encode())])
    wanted = round((count * shape[0] / shape[1]) ** 0.5)  # as far apart in rows as in columns
    chosen = max(min(wanted, down, count), -(-count // across))
    rows = systematic_places(chosen, down, rng)
    places = systematic_places(count, chosen * across, rng)
    tops, lefts = (
        np.linspace(0, length, tiles + 1).round().astype(int)
        for length, tiles in zip(shape, (down, across), strict=True)
    )
    step = round(shape[1] * chosen / count, 3), round(shape[0] / chosen, 3)
    fields = []
    for index, place in enumerate(places, 1):
        row, col = rows[place // across], place % across
        top, left = max(tops[row] - 1, 0), max(lefts[col] - 1, 0)
        image = f"{name}_f{index:0{max(2, len(str(count)))}}"
        box = left, top, lefts[col + 1] - left, tops[row + 1] - top
        values = (image, name, *map(int, box), *step, count / (down * across), sampling.seed)
        fields.append(dict(zip(HEADER, values, strict=True)))
    return fields


def systematic_places(count: int, total: int, rng: np.random.Generator) -> list[int]:
    """Return `count` of the places 0 to total - 1 at equal steps from a random start."""
    return ((rng.random() + np.arange(count)) * total / count).astype(int).tolist()
