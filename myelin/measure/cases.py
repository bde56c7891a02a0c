"""The images to measure: the files of each, and the check of all files before measuring."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.mask_set import Masks
from myelin.folders.pixel_sizes import GivenSizes, warn_of_other_records
from myelin.folders.reader import Reader
from myelin.images.image import print_turned
from myelin.images.mask_checks import check_rings
from myelin.images.pixel_size import sizes_differ
from myelin.measure.doubt import add_doubt
from myelin.measure.exclude import Decision, find_rows, mask_hash, raise_first
from myelin.measure.fibers import Fibers, measure_fibers
from myelin.measure.frame import Frame, find_frame
from myelin.measure.nerve import read_nerve
from myelin.measure.numbering import Numbers
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import UserError, progress

# Minimum fraction of an image's myelin in the outline of its nerve; an inverted one has hardly any.
MIN_MYELIN_IN_NERVE = 0.02


@dataclass
class Case:
    """One image to measure.

    Attributes
    ----------
    name : str
        The image's id.
    masks : list of (path, path or None)
        A myelin mask and perhaps an axon mask; for `evaluate.py` those of the reference first,
        then those to evaluate.
    image : path or None
    probability : path or None
        Myelin probability x 255, 8-bit.
    nerve : path or None
        Outline of the nerve, see `nerve.py`.
    pixel_size_um : float or None
        None if unknown.
    pixel_size_source : str
    """

    name: str
    masks: list[tuple[Path, Path | None]]
    image: Path | None = None
    probability: Path | None = None
    nerve: Path | None = None
    pixel_size_um: float | None = None
    pixel_size_source: str = "unknown"


# ---------------------------------------------------------------- find and check the files


def make_cases(
    sources: list[Masks],
    images: dict[str, Path],
    nerves: dict[str, Path],
    probabilities: dict[str, Path] | None = None,
) -> list[Case]:
    """Return a case for each mask of the first source, with the files of the same id."""
    probabilities = probabilities or {}
    return [
        Case(
            name,
            [masks[name] for masks in sources],
            images.get(name),
            probabilities.get(name),
            nerves.get(name),
        )
        for name in sources[0]
    ]


def check_cases(
    cases: list[Case],
    given: GivenSizes,
    reader: Reader,
    in_pixels: bool = False,
    hand_made: Collection[Path] = (),
) -> None:
    """Read all files of the cases and set their pixel sizes, so that no run fails late.

    Parameters
    ----------
    cases : list of Case
    given : dict of str to (float, str)
        Pixel sizes from `given_sizes`; other images are measured with what they record.
    reader : Reader
    in_pixels : bool
        Whether images without a pixel size are allowed.
    hand_made : collection of Path
        Myelin masks that a person made or edited, which may be inverted.

    Raises
    ------
    UserError
        All mistakes at once: files that cannot be read, sizes that differ, inverted masks, pixel
        sizes that are unknown or contradict each other.
    """
    errors, unknown, recorded = [], [], []
    for case in progress(cases, "checking"):
        errors += mistakes_in_files(case, reader, hand_made)
        try:
            recorded += set_pixel_size(case, given.get(case.name), reader)
        except UserError as mistake:
            errors.extend(mistake.args)
        else:
            unknown += [case.masks[-1][0]] if case.pixel_size_um is None else []
    print_turned(reader.records.values())
    if unknown and not in_pixels:  # one line, as usually no image has one
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        errors.append(
            f"{unknown[0]}{others}: pixel size unknown (none or an impossible one in the "
            "metadata; dpi tags do not count), give it in µm per pixel with --pixel-size"
        )
    if errors:
        raise UserError(*errors)
    warn_of_other_records(recorded)


def mistakes_in_files(case: Case, reader: Reader, hand_made: Collection[Path]) -> list[str]:
    """Return error messages about files that cannot be read or differ in size from the mask.

    A probability that does not belong to the mask is only noted, and not used.
    """
    shape, errors = None, []

    def check(path: Path | None, read: Callable) -> None:
        nonlocal shape
        if path is None:
            return
        try:
            rows, cols = reader.record(path).shape
            shape = shape or (rows, cols)
            if shape != (rows, cols):
                errors.append(
                    f"{path}: {rows} x {cols} pixels, but {first.name} is {shape[0]} x {shape[1]}, "
                    "make them the same size"
                )
            else:
                read()
        except UserError as mistake:
            errors.extend(mistake.args)

    first = case.masks[0][0]
    for masks in case.masks:
        before = len(errors)
        check(masks[0], lambda: None)  # its size comes first
        check(masks[1], lambda masks=masks: reader.mask(masks[1]))
        if len(errors) == before:
            check(masks[0], lambda masks=masks: check_masks(masks, reader, hand_made))
    check(case.image, lambda: reader.image(case.image))
    check(case.nerve, lambda: check_nerve(case, reader))
    if shape and case.probability:
        try:
            reader.image(case.probability)
        except UserError as mistake:
            return [*errors, *mistake.args]
        record = reader.record(case.probability)
        if record.shape != shape or record.bits != 8:
            print(
                f"note: {record.path}: {record.shape[0]} x {record.shape[1]} pixels of "
                f"{record.bits} bits do not belong to {first.name}, confidence is left out"
            )
            case.probability = None
    return errors


def check_masks(
    paths: tuple[Path, Path | None], reader: Reader, hand_made: Collection[Path]
) -> None:
    """Read the masks of an image; raise a UserError if a person's mask shows no rings of myelin."""
    myelin, axon = reader.masks(paths)
    if paths[0] in hand_made:
        check_rings(paths[0], myelin, axon)


def check_nerve(case: Case, reader: Reader) -> None:
    """Raise a UserError if an outline of a nerve has hardly any of the myelin inside."""
    inside, (myelin, _) = nerve_of(case, reader).to_mask(), reader.masks(case.masks[0])
    share = np.count_nonzero(myelin & inside) / max(np.count_nonzero(myelin), 1)
    if myelin.any() and share < MIN_MYELIN_IN_NERVE:
        raise UserError(
            f"{case.nerve}: {share:.1%} of the myelin is inside this outline; the nerve must be "
            "white (255) on black, invert it (in Fiji: Edit > Invert) or draw it again"
        )


def set_pixel_size(
    case: Case, given: tuple[float, str] | None, reader: Reader
) -> list[tuple[Path, float, float]]:
    """Set a case's pixel size: the given one, or what its image or else its masks record.

    Returns the first file that records another size than the given one, and both. Raises UserError
    if nothing is given, and two files contradict each other or pixels are not square.
    """
    paths = [case.image, *(myelin for myelin, _ in case.masks)]
    # A file that cannot be read has no record; it has been reported.
    records = [reader.records[path] for path in paths if path in reader.records]
    records = [record for record in records if record.pixel_sizes_um]
    if given:
        case.pixel_size_um, case.pixel_size_source = given
        for record in records:
            for recorded in record.pixel_sizes_um:
                if sizes_differ(recorded, given[0]):
                    case.pixel_size_source += f", but {record.path.name} records {recorded:g}"
                    return [(record.path, given[0], recorded)]
        return []
    known = [(record, record.pixel_size()[0]) for record in records]
    if not known:
        return []
    first, size = known[0]
    for other, other_size in known[1:]:
        if sizes_differ(size, other_size):
            raise UserError(
                f"{first.path}: {size:g} µm per pixel, but {other.path} has {other_size:g}, give "
                "the right one with --pixel-size"
            )
    case.pixel_size_um = size
    case.pixel_size_source = f"{first.pixel_size_source} of {first.path.name}"
    return []


# ---------------------------------------------------------------- measure


def nerve_of(case: Case, reader: Reader) -> LabelImage | None:
    """Return the outline of an image's nerve, see `read_nerve`; None without one."""
    if case.nerve and (read_nerve, case.nerve) not in reader.kept:
        reader.kept[read_nerve, case.nerve] = read_nerve(reader.record(case.nerve))
    return reader.kept.get((read_nerve, case.nerve))


def frame_of(case: Case, reader: Reader, whole_frame: bool = False) -> Frame:
    """Return the counting frame of an image; with `whole_frame`, margins count as tissue."""
    (myelin, _), image = reader.masks(case.masks[0]), reader.image(case.image)
    return find_frame(myelin, image, nerve_of(case, reader), not whole_frame)


def fibers_of(case: Case, reader: Reader, frame: Frame, place: int = 0) -> Fibers:
    """Return the fibers of one of a case's masks; sizes are in px if its pixel size is unknown."""
    myelin, axon = reader.masks(case.masks[place])
    return measure_fibers(
        myelin,
        case.pixel_size_um or 1.0,
        axon,
        reader.image(case.image),
        probability=lambda: reader.image(case.probability),
        frame=frame,
    )


def pixels_of(cases: list[Case], reader: Reader) -> int:
    """Return the number of pixels of all images."""
    return sum(math.prod(reader.record(case.masks[0][0]).shape) for case in cases)


def numbered_fibers(
    case: Case, reader: Reader, numbers: Numbers, whole_frame: bool
) -> tuple[Fibers, Frame]:
    """Return the fibers of an image, numbered and rated, and its counting frame."""
    frame = frame_of(case, reader, whole_frame)
    fibers = fibers_of(case, reader, frame)
    add_doubt(fibers, reader.image(case.probability))
    numbers.assign(case.name, fibers, mask_hash_of(case, reader))
    return fibers, frame


def mask_hash_of(case: Case, reader: Reader) -> str:
    """Return the `mask_hash` of a case's first masks."""
    return mask_hash(*reader.masks(case.masks[0]))


def check_decisions(
    cases: list[Case],
    tables: Sequence[dict[str, list[Decision]]],
    numbers: Numbers,
    reader: Reader,
    whole_frame: bool,
) -> None:
    """Raise UserError if `exclude.csv` or `classes.csv` names fibers that cannot be found.

    Only images whose mask or numbers may have changed since the decisions are measured for it, or
    of which a table names a fiber twice.
    """
    errors = []
    for case in cases:
        lists = [table[case.name] for table in tables if case.name in table]
        if not lists:
            continue
        hashed = mask_hash_of(case, reader)
        same = all({one.mask_sha256 for one in own} == {hashed} for own in lists)
        same &= all(len({one.fiber for one in own}) == len(own) for own in lists)
        if not (same and numbers.is_latest(case.name, hashed)):
            fibers, _ = numbered_fibers(case, reader, numbers, whole_frame)
            known = numbers.masks[case.name], numbers.highest[case.name]
            for decided in lists:
                errors += find_rows(decided, fibers, *known)[2]
    raise_first(errors)
