"""The images to measure: the files of each, and the check of all files before measuring."""

import itertools
import math
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from myelin.folders.mask_set import Masks, MaskSet, match_files, open_masks
from myelin.folders.reader import Reader
from myelin.images.pixel_size import PIXEL_SIZE_TOLERANCE
from myelin.measure.exclude import Exclusions, find_rows, mask_hash, raise_first
from myelin.measure.fibers import Fibers, measure_fibers
from myelin.measure.frame import Frame, find_frame, name_unseen
from myelin.measure.nerve import read_nerve
from myelin.measure.numbering import Numbers
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import UserError, progress


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
    cases: list[Case], pixel_size_um: float | None, reader: Reader, in_pixels: bool = False
) -> None:
    """Read all files of the cases and set their pixel sizes, so that no run fails late.

    Parameters
    ----------
    cases : list of Case
    pixel_size_um : float or None
        Pixel size of every image; None to use what each image records.
    reader : Reader
    in_pixels : bool
        Whether images without a pixel size are allowed.

    Raises
    ------
    UserError
        All mistakes at once: files that cannot be read, sizes that differ, pixel sizes that are
        unknown or contradict each other.
    """
    errors, unknown = [], []
    for case in progress(cases, "checking"):
        errors += mistakes_in_files(case, reader)
        try:
            set_pixel_size(case, pixel_size_um, reader)
        except UserError as mistake:
            errors.extend(mistake.args)
        else:
            unknown += [case.masks[-1][0]] if case.pixel_size_um is None else []
    if unknown and not in_pixels:  # one line, as usually no image has one
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        errors.append(
            f"{unknown[0]}{others}: pixel size unknown (no OME-XML or ImageJ scale; dpi tags do "
            "not count), give it in µm per pixel with --pixel-size"
        )
    if errors:
        raise UserError(*errors)


def mistakes_in_files(case: Case, reader: Reader) -> list[str]:
    """Return error messages about files that cannot be read or differ in size from the mask.

    A probability that does not belong to the mask is only noted, and not used.
    """
    files = [(reader.mask, path) for path in itertools.chain(*case.masks)]
    files += [(reader.image, case.image), (lambda _: nerve_of(case, reader), case.nerve)]
    first, shape, errors = case.masks[0][0], None, []
    for read, path in files:
        if path is None:
            continue
        try:
            rows, cols = reader.record(path).shape
            shape = (rows, cols) if path == first else shape
            if shape not in (None, (rows, cols)):
                errors.append(
                    f"{path}: {rows} x {cols} pixels, but {first.name} is {shape[0]} x {shape[1]}, "
                    "make them the same size"
                )
            read(path)
        except UserError as mistake:
            errors.extend(mistake.args)
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


def set_pixel_size(case: Case, given_um: float | None, reader: Reader) -> None:
    """Set a case's pixel size: the given one, or what its image or else its masks record.

    Raises
    ------
    UserError
        Two files contradict each other, or pixels are not square.
    """
    if given_um is not None:
        case.pixel_size_um = given_um
        case.pixel_size_source = "option --pixel-size"  # in a spreadsheet, "-" begins a formula
        return
    paths = [case.image, *(myelin for myelin, _ in case.masks)]
    # A file that cannot be read has no record; it has been reported.
    records = [reader.records[path] for path in paths if path in reader.records]
    known = [(record, record.pixel_size()[0]) for record in records if record.pixel_sizes_um]
    if not known:
        return
    first, size = known[0]
    for other, other_size in known[1:]:
        if abs(size - other_size) > PIXEL_SIZE_TOLERANCE * size:
            raise UserError(
                f"{first.path}: {size:g} µm per pixel, but {other.path} has {other_size:g}, give "
                "the right one with --pixel-size"
            )
    case.pixel_size_um = size
    case.pixel_size_source = f"{first.pixel_size_source} of {first.path.name}"


# ---------------------------------------------------------------- measure


def nerve_of(case: Case, reader: Reader) -> LabelImage | None:
    """Return the outline of an image's nerve, see `read_nerve`; None without one."""
    if case.nerve and (read_nerve, case.nerve) not in reader.kept:
        reader.kept[read_nerve, case.nerve] = read_nerve(reader.record(case.nerve))
    return reader.kept.get((read_nerve, case.nerve))


def frame_of(case: Case, reader: Reader, whole_frame: bool = False) -> Frame:
    """Return the counting frame of an image; with `whole_frame`, margins count as tissue."""
    myelin, image = reader.mask(case.masks[0][0]), reader.image(case.image)
    return find_frame(myelin, image, nerve_of(case, reader), not whole_frame)


def fibers_of(case: Case, reader: Reader, frame: Frame, place: int = 0) -> Fibers:
    """Return the fibers of one of a case's masks; sizes are in px if its pixel size is unknown."""
    myelin, axon = map(reader.mask, case.masks[place])
    return measure_fibers(
        myelin,
        case.pixel_size_um or 1.0,
        axon,
        reader.image(case.image),
        probability=lambda: reader.image(case.probability),
        frame=frame,
    )


@dataclass
class Study:
    """The images that a run of `morphometry.py` measures, and what decides about their fibers.

    Attributes
    ----------
    masks : MaskSet
    cases : list of Case
    reader : Reader
    exclusions : Exclusions
    numbers : Numbers
    whole_frame : bool
        Whether blank margins count as tissue.
    """

    masks: MaskSet
    cases: list[Case]
    reader: Reader
    exclusions: Exclusions
    numbers: Numbers
    whole_frame: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of all images."""
        return sum(math.prod(self.reader.record(case.masks[0][0]).shape) for case in self.cases)

    def mask_hash(self, case: Case) -> str:
        """Return the `mask_hash` of a case."""
        return mask_hash(*map(self.reader.mask, case.masks[0]))

    def find_fibers(self, case: Case) -> tuple[Fibers, Frame]:
        """Return the fibers of an image with their lasting numbers, and the counting frame."""
        frame = frame_of(case, self.reader, self.whole_frame)
        fibers = fibers_of(case, self.reader, frame)
        self.numbers.assign(case.name, fibers, self.mask_hash(case))
        return fibers, frame


def find_study(args: Namespace) -> Study:
    """Return the study of a folder of masks, from the options of `morphometry.py`."""
    reader = Reader()
    masks = open_masks(args.masks, reader)
    match_files(masks, args.images, reader)
    cases = make_cases([masks.masks], masks.images, masks.nerves, masks.probabilities)
    exclusions = Exclusions(args, masks.masks)
    numbers = Numbers(args.out, args.renumber)
    return Study(masks, cases, reader, exclusions, numbers, args.whole_frame)


def check_study(study: Study, pixel_size_um: float | None) -> None:
    """Check all files and decisions; raise UserError about all mistakes, see `check_cases`."""
    check_cases(study.cases, pixel_size_um, study.reader)
    name_unseen(study.cases, study.whole_frame)
    check_exclusions(study)


def check_exclusions(study: Study) -> None:
    """Raise UserError if `exclude.csv` names fibers that cannot be found.

    Only images whose mask or numbers may have changed since the decisions are measured for it.
    """
    errors = []
    for case in study.cases:
        decisions = study.exclusions.decisions.get(case.name)
        if not decisions:
            continue
        hashed = study.mask_hash(case)
        same = all(decision.mask_sha256 == hashed for decision in decisions)
        if not (same and study.numbers.is_latest(case.name, hashed)):
            fibers, _ = study.find_fibers(case)
            errors += find_rows(decisions, fibers, study.numbers.masks[case.name])[1]
    raise_first(errors)
