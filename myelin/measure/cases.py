"""The masks to measure: what belongs to each, all of it checked first, and every file read once.

What `morphometry.py` and `evaluate.py` share, their options too.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.naming import RAW_TRAIN, list_tree
from myelin.folders.packed import take_of
from myelin.images.image import read_image, read_mask, read_record
from myelin.images.pixel_size import PIXEL_SIZE_TOLERANCE, check_pixel_size
from myelin.measure.nerve import read_nerve
from myelin.runtime.cli import UserError, progress

# What is decoded to be checked is kept until it is measured, up to this: masks, images and
# probabilities of 247 frames of 1040 x 1392. The rest is decoded again.
KEPT_BYTES = 2**30


# ---------------------------------------------------------------- options


def add_pixel_size_option(parser, default):
    """Add `--pixel-size`; `default` says what happens without it."""
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help=f"µm per pixel of every image (default: {default})",
    )


def add_out_option(parser, default):
    """Add `--out`, the folder to write to."""
    parser.add_argument(
        "--out",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"folder to write to (default: {default})",
    )


def add_no_pictures_option(parser, effect):
    """Add `--no-pictures`; `effect` says what is written with and without it."""
    parser.add_argument("--no-pictures", action="store_true", help=effect)


def check_out(folder, *inputs):
    """Raise where results would be written among the images or masks they are made from."""
    for other in (*inputs, RAW_TRAIN):
        if folder.resolve() == other.resolve():
            raise UserError(f"--out {folder}: is an input folder, choose another")


# ---------------------------------------------------------------- what to measure


def images_of(masks, folder):
    """Return {id: path} of the images in a folder that have a mask and are not the mask itself."""
    found = list_tree(folder, masks)
    return {name: found[name] for name in masks if found.get(name) not in (None, masks[name][0])}


@dataclass
class Case:
    """One image to measure.

    Attributes
    ----------
    name : str
        The image's id.
    masks : list of (path, path or None)
        A myelin mask and perhaps an axon mask; `evaluate.py` has those of the reference first,
        then those to evaluate.
    image : path or None
    pixel_size_um : float or None
        None where unknown.
    pixel_size_source : str
    probability : path or None
        Myelin probability x 255, 8-bit.
    nerve : path or None
        Outline of the nerve, see `nerve.py`.
    """

    name: str
    masks: list
    image: Path | None
    pixel_size_um: float | None
    pixel_size_source: str
    probability: Path | None = None
    nerve: Path | None = None


class Reader:
    """Read the header of each file once, and its pixels once as long as there is room to keep them.

    Parameters
    ----------
    room : int
        Most bytes of decoded masks, images and probabilities to keep.

    Attributes
    ----------
    takes : dict of path to dict
        Which image of a file that holds several, where it was not packed, see `tree.takes_of`.
    """

    def __init__(self, room=KEPT_BYTES):
        self.room, self.records, self.kept, self.takes = room, {}, {}, {}

    def record(self, path):
        """Return the `images.ImageRecord` of a file."""
        if path not in self.records:
            self.records[path] = read_record(path, self.takes.get(path) or take_of(path))
        return self.records[path]

    def mask(self, path):
        """Return a mask, bool (rows, cols), see `images.read_mask`; None where `path` is None."""
        return self.decoded(read_mask, path)

    def image(self, path):
        """Return an image, uint8 (rows, cols), see `images.read_image`; None as for `mask`."""
        return self.decoded(read_image, path)

    def nerve(self, path):
        """Return the outline of a nerve, see `nerve.read_nerve`; None as for `mask`."""
        return None if path is None else read_nerve(self.record(path))

    def decoded(self, read, path):
        if path is None:
            return None
        if (read, path) in self.kept:
            return self.kept[read, path]
        # A copy of what is a part of a larger array, such as one channel, which it would keep.
        array = np.ascontiguousarray(read(self.record(path)))
        if array.nbytes <= self.room:
            self.room -= array.nbytes
            self.kept[read, path] = array
        return array


def read_cases(
    sources, images, pixel_size_um, reader, in_pixels=False, probabilities=None, nerves=None
):
    """Gather and read what belongs to each image, so that a long run cannot fail late.

    Parameters
    ----------
    sources : list of dict
        {id: (mask path, axon mask path or None)} as from `naming.find_masks`; the ids of the first
        are those of the cases.
    images : dict of id to path
    pixel_size_um : float or None
        That of every image; None: what each image records.
    reader : Reader
    in_pixels : bool
        Whether a case may do without a pixel size.
    probabilities : dict of id to path, optional
        Those of another size than their mask, or not of 8 bits, are named and left out.
    nerves : dict of id to path, optional

    Returns
    -------
    list of Case

    Raises
    ------
    UserError
        All mistakes at once: files that cannot be read, sizes that differ, pixel sizes that are
        unknown or contradict each other.
    """
    cases, errors, unknown = [], [], []
    for name in progress(sources[0], "checking"):
        masks, image = [folder[name] for folder in sources], images.get(name)
        nerve = (nerves or {}).get(name)
        errors += check_files(masks, image, nerve, reader)
        probability, mistakes = check_probability((probabilities or {}).get(name), masks, reader)
        errors += mistakes
        size, source = None, "unknown"
        try:
            # The image is asked before the masks.
            paths = [image, *(myelin for myelin, _ in masks)]
            size, source = find_pixel_size(paths, pixel_size_um, reader)
            if size is None and not in_pixels:
                unknown.append(paths[-1])
        except UserError as mistake:
            errors.extend(mistake.args)
        cases.append(Case(name, masks, image, size, source, probability, nerve))
    if unknown:  # in one line: mostly it is all of them
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        errors.append(
            f"{unknown[0]}{others}: pixel size unknown (no OME-XML or ImageJ scale; dpi tags do "
            "not count), give it in µm per pixel with --pixel-size"
        )
    if errors:
        raise UserError(*errors)
    return cases


def check_files(masks, image, nerve, reader):
    """Return what is wrong with the masks, the image and the outline of a `Case`, as texts.

    All must be readable, and of the size of the first mask.
    """
    errors, shape, first = [], None, masks[0][0]
    for path in filter(None, (*itertools.chain(*masks), image, nerve)):
        try:
            rows, cols = reader.record(path).shape
            if path == first:
                shape = rows, cols
            elif shape and shape != (rows, cols):
                errors.append(
                    f"{path}: {rows} x {cols} pixels, but {first.name} is {shape[0]} x {shape[1]}, "
                    "make them the same size"
                )
            read = {image: reader.image, nerve: reader.nerve}.get(path, reader.mask)
            read(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return errors


def check_probability(path, masks, reader):
    """Return the path of a `Case`'s probability, None where it cannot serve, and what is wrong.

    One of another size than the first mask, or not of 8 bits, is named on stdout: it is not the
    one that `find_myelin.py` wrote with this mask.
    """
    mask = masks[0][0]
    if path is None or mask not in reader.records:
        return None, []
    try:
        record = reader.record(path)
        if record.shape != reader.record(mask).shape or record.bits != 8:
            rows, cols = record.shape
            print(
                f"note: {path}: {rows} x {cols} pixels of {record.bits} bits do not belong to "
                f"{mask.name}, no confidence is given"
            )
            return None, []
        reader.image(path)
    except UserError as mistake:
        return None, list(mistake.args)
    return path, []


def find_pixel_size(paths, given, reader):
    """Return pixel size in µm and its source: what is given, or the first of `paths` that has one.

    None and "unknown" where none has.

    Raises
    ------
    UserError
        Two contradict each other, or pixels are not square.
    """
    if given is not None:
        return given, "option --pixel-size"  # a leading - would be a formula in a spreadsheet
    # What could not be read has no record, and has been named before.
    records = [reader.records[path] for path in paths if path in reader.records]
    known = [(record, record.pixel_size()[0]) for record in records if record.pixel_sizes_um]
    if not known:
        return None, "unknown"
    first, size = known[0]
    for other, other_size in known[1:]:
        if abs(size - other_size) > PIXEL_SIZE_TOLERANCE * size:
            raise UserError(
                f"{first.path}: {size:g} µm per pixel, but {other.path} says {other_size:g}, give "
                "the right one with --pixel-size"
            )
    return size, f"{first.pixel_size_source} of {first.path.name}"
