"""Read corrected outlines: match files with images, and turn outlines into label images."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from skimage.measure import label

from myelin.exchange.drawing import (
    AXON,
    FASCICLE,
    FIBER,
    GAP,
    KINDS,
    MYELIN,
    NERVE,
    Drawing,
    Outline,
)
from myelin.exchange.geojson import read_geojson
from myelin.exchange.imagej_rois import read_rois
from myelin.folders.image_tree import names_within
from myelin.folders.naming import (
    MORPHOMETRY,
    PREDS,
    RAW_TEST,
    ROIS,
    list_tree,
    parts_among,
    test_images,
)
from myelin.folders.packed import take_of
from myelin.folders.reader import Reader
from myelin.images.image import ImageRecord, read_labels, read_record
from myelin.measure.fibers import find_fibers, without_axons
from myelin.pixels.outlines import fill, paint
from myelin.runtime.cli import UserError, count_of, progress, shortened_list
from myelin.runtime.files import stem_of

READERS = {".zip": read_rois, ".roi": read_rois, ".geojson": read_geojson, ".json": read_geojson}
LABEL_SUFFIXES = (".tif", ".tiff", ".png")
# Endings that may follow the image's id in the name of a file.
LABELS, AXONS, REST, NERVES = LABEL_ENDINGS = ("_labels", "_axons", "_rest", "_nerve")
OUTLINE_ENDINGS = ("", "_rois", "_RoiSet", NERVES)
# Outlines of one image may cover it this many times: more would exhaust the memory.
MAX_COVERS = 50
# With fewer fibers before, only an import of one fiber or none is taken for a mistake.
MIN_COMPARED_FIBERS = 10


@dataclass
class Imported:
    """Content of the files of one image."""

    name: str  # the image's id
    record: ImageRecord  # of the image, or of its mask
    source: str  # the files, for messages
    drawing: Drawing | None = None  # None if all outlines are of nerves
    nerves: np.ndarray | None = None  # numbers of nerves or fascicles, int32 (rows, cols)
    rest: Path | None = None  # the `<id>_rest.tif` that was used
    warnings: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        """The content in words."""
        parts = []
        if self.drawing:
            parts.append(count_of(count_labels(self.drawing.fibers), "fiber"))
            parts.append(count_of(count_labels(self.drawing.axons), "axon"))
        if self.rest:
            parts.append(str(self.rest))
        if self.nerves is not None:
            parts.append(count_of(count_labels(self.nerves), "nerve or fascicle", "fascicles"))
        return ", ".join(parts)

    def warn(self, problem: str, names: list[str]) -> None:
        """Add a warning about some outlines, if there are any."""
        if names:
            self.warnings.append(f"{problem}: {shortened_list(names)}")


def count_labels(labels: np.ndarray) -> int:
    """Return how many different numbers above 0 a label image has."""
    return len(np.unique(labels[labels > 0]))


# ---------------------------------------------------------------- files


def read_all(paths: list[Path], name: str | None = None) -> list[Imported]:
    """Return the content of all files by image; `name` is the image of all, if it is given."""
    images = known_images()
    if name is not None and name not in images:
        raise UserError(f"--id {name}: no such image in {RAW_TEST} or {PREDS}, check the name")
    files, found, errors = {}, [], []
    for path in paths:
        try:
            files.setdefault(name or id_of(path, images), []).append(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    for image, own in progress(files.items(), "reading"):
        try:
            found.append(read_image_files(image, images[image], own))
        except UserError as mistake:
            errors.extend(mistake.args)
    if errors:
        raise UserError(*errors)
    return found


def check_fiber_counts(found: list[Imported]) -> None:
    """Raise a UserError for images of which most fibers did not come back.

    They are compared with the fibers measured last, or else with those of the mask in preds/.
    """
    errors = []
    for image in filter(lambda image: image.drawing, found):
        before, after = fibers_before(image.name), count_labels(image.drawing.fibers)
        if after < before / 2 and (before >= MIN_COMPARED_FIBERS or (after <= 1 and before > 2)):
            errors.append(
                f"{image.source}: {count_of(after, 'fiber')}, but {image.name} had {before:,}; was "
                "one outline selected when you saved? Deselect all and save again, or import these "
                "with --force"
            )
    if errors:
        raise UserError(*errors)


def fibers_before(name: str) -> int:
    """Return the number of fibers of an image before its outlines were corrected, 0 if unknown."""
    labels = MORPHOMETRY / f"{name}_labels.tif"
    if labels.is_file():
        return count_labels(read_labels(labels))
    paths = [PREDS / f"{name}_{part}.tif" for part in ("mask", "axon")]
    if not paths[0].is_file():
        return 0
    myelin, axon = Reader().masks((paths[0], paths[1] if paths[1].is_file() else None))
    return len(find_fibers(without_axons(myelin, axon), axon).axon_px)


def known_images() -> dict[str, Path]:
    """Return {id: path} of the images in raw/test, and of the masks in preds/ of other images."""
    found = list_tree(PREDS, names_within(PREDS)) if PREDS.is_dir() else {}
    masks = parts_among(found, "mask")
    images = {name: found[next(iter(own.values()))] for name, own in masks.items()}
    return images | test_images(RAW_TEST)


def id_of(path: Path, images: dict[str, Path]) -> str:
    """Return the id of the image that a file belongs to, from the file's name."""
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such file, check the name")
    if suffix not in (*READERS, *LABEL_SUFFIXES):
        raise UserError(
            f"{path}: not a ROI zip, GeoJSON or label image, give one of these (label images are "
            "called <id>_labels.tif and <id>_axons.tif)"
        )
    # A file of an image in a folder tree lies in the same folder of rois/ or morphometry/.
    inner = [path.parent.relative_to(root) for root in (ROIS, MORPHOMETRY) if root in path.parents]
    endings = OUTLINE_ENDINGS if suffix in READERS else LABEL_ENDINGS
    for folder, ending in itertools.product([*inner, Path()], endings):
        name = (folder / stem_of(path).removesuffix(ending)).as_posix()
        if stem_of(path).endswith(ending) and name in images:
            return name
    raise UserError(
        f"{path}: no image of that name in {RAW_TEST} or {PREDS}, name the file after its image or "
        "give the image with --id"
    )


def read_image_files(name: str, image: Path, paths: list[Path]) -> Imported:
    """Return the content of the files of one image."""
    result = Imported(name, read_record(image, take_of(image)), ", ".join(map(str, paths)))
    outlines, labels = [], []
    for path in paths:
        if path.suffix.lower() in READERS:
            outlines += read_outlines(result, path)
        elif stem_of(path).endswith(NERVES):
            result.nerves = read_labels(path, result.record.shape)
        elif stem_of(path).endswith((LABELS, AXONS)):
            labels.append(path)
        elif not stem_of(path).endswith(REST):  # `add_rest` finds that by its name
            raise UserError(
                f"{path}: neither labels nor axons by its name, call it {name}_labels.tif or "
                f"{name}_axons.tif"
            )
    if outlines:
        rasterize(result, outlines)
    if labels:
        if result.drawing:
            raise UserError(
                f"{result.source}: both outlines and label images of fibers, give one or the other"
            )
        read_label_images(result, labels)
    if result.nerves is not None and not result.nerves.any():
        raise UserError(f"{result.source}: the nerve has no pixel in the image, draw it again")
    if result.drawing:
        add_rest(result, [*(path.parent for path in paths), ROIS])
    return result


def read_outlines(result: Imported, path: Path) -> list[Outline]:
    """Return the outlines in a file; all in `<id>_nerve.*` are nerves or fascicles."""
    outlines, without_area = READERS[path.suffix.lower()](path)
    result.warn("ignored, since they enclose no area", without_area)
    for outline in outlines:
        if stem_of(path).endswith(NERVES) and outline.kind != FASCICLE:
            outline.kind = NERVE
    return outlines


def add_rest(result: Imported, folders: list[Path]) -> None:
    """Add the parts of the exported mask besides fibers, from the first folder that has it."""
    for folder in folders:
        path = folder / f"{result.name}{REST}.tif"
        if path.is_file():
            rest = read_labels(path, result.record.shape)
            result.drawing.myelin |= (rest == 1) & (result.drawing.fibers == 0)
            result.drawing.gaps |= rest == 2
            result.rest = path
            return


# ---------------------------------------------------------------- from outlines to pixels


def rasterize(result: Imported, outlines: list[Outline]) -> None:
    """Set `drawing` and `nerves` from outlines."""
    fill_outlines(result, outlines)
    decide_kinds(outlines, result.record.shape)
    of_kind = {kind: [outline for outline in outlines if outline.kind == kind] for kind in KINDS}
    # Fascicles count, and not the nerve around them.
    if nerves := of_kind[FASCICLE] or of_kind[NERVE]:
        numbers = numbers_of([outline.name for outline in nerves])
        result.nerves = numbers[paint_outlines(result, nerves)]
    if len(outlines) > len(of_kind[FASCICLE]) + len(of_kind[NERVE]):
        fibers, axons, myelin, gaps = (
            paint_outlines(result, of_kind[kind]) for kind in (FIBER, AXON, MYELIN, GAP)
        )
        set_drawing(result, fibers, axons, lambda kind, number: of_kind[kind][number - 1].name)
        result.drawing.myelin |= myelin > 0
        result.drawing.gaps |= gaps > 0


def fill_outlines(result: Imported, outlines: list[Outline]) -> None:
    """Set the pixels within each outline, and warn of outlines that leave the image."""
    rows, cols = result.record.shape
    leaving, covered = [], 0
    for outline in outlines:
        points = np.concatenate(outline.rings)
        if (points < -0.5).any() or (points > (cols + 0.5, rows + 0.5)).any():
            leaving.append(outline.name)
        try:
            outline.pixels = fill(outline.rings, (rows, cols))
        except ValueError as error:
            raise UserError(f"{result.source}: {outline.name} {error}, draw it again") from None
        covered += len(outline.pixels)
        if covered > MAX_COVERS * rows * cols:
            raise UserError(
                f"{result.source}: outlines cover the image more than {MAX_COVERS} times, remove "
                "those that are not fibers"
            )
    result.warn("outlines that leave the image, clipped", leaving)


def decide_kinds(outlines: list[Outline], shape: tuple[int, int]) -> None:
    """Set the kind of outlines without one: axon if fibers cover most of it, otherwise fiber.

    Larger outlines come first, so the outer one of two is the fiber.
    """
    covered = np.zeros(shape[0] * shape[1], bool)
    for outline in outlines:
        if outline.kind == FIBER:
            covered[outline.pixels] = True
    for outline in sorted(outlines, key=lambda outline: -len(outline.pixels)):
        if not outline.kind:
            own = covered[outline.pixels]
            outline.kind = AXON if own.sum() > len(own) / 2 else FIBER
            covered[outline.pixels] = True


def paint_outlines(result: Imported, outlines: list[Outline]) -> np.ndarray:
    """Return a label image of filled outlines, numbered from 1, and warn of overlaps."""
    labels, overlaps = paint([outline.pixels for outline in outlines], result.record.shape)
    pairs = [" and ".join(outlines[index].name for index in pair) for pair in overlaps]
    if pairs:
        result.warn(f"{outlines[0].kind}s overlap, the first keeps the pixels", pairs)
    return labels


def numbers_of(names: list[str]) -> np.ndarray:
    """Return 0, then the numbers (1 to 255) in the names of regions, or 1 to n if not unique."""
    found = [re.findall(r"\d+", name) for name in names]
    numbers = [int(digits[0]) if len(digits) == 1 else 0 for digits in found]
    if len(set(numbers)) < len(names) or not all(0 < number < 256 for number in numbers):
        numbers = range(1, len(names) + 1)
    return np.array([0, *numbers], np.int32)


def set_drawing(
    result: Imported, fibers: np.ndarray, axons: np.ndarray, name_of: Callable[[str, int], str]
) -> None:
    """Set the drawing from numbered fibers and axons; axons outside all fibers are left out."""
    pieces = label(axons, connectivity=2)
    gone = np.isin(pieces, np.setdiff1d(pieces[axons > 0], pieces[fibers > 0]))
    lost = np.unique(axons[gone])
    axons = np.where(gone, 0, axons)
    empty = np.setdiff1d(fibers[fibers > 0], fibers[axons > 0])
    result.warn("axons without a fiber, left out", [name_of(AXON, number) for number in lost])
    names = [name_of(FIBER, number) for number in empty]
    result.warn("fibers without an axon, counted as myelin", names)
    result.drawing = Drawing.of(fibers, axons)


def separated(fibers: np.ndarray, axons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return label images in which each piece of a fiber that has an axon has its own number.

    A number is in several pieces if a fiber was cut, or if numbers above 255 began again from 0.
    """
    pieces = label(fibers, connectivity=2)
    number = np.zeros(pieces.max() + 1, fibers.dtype)
    number[pieces] = fibers
    with_axon = np.setdiff1d(pieces[axons > 0], 0)
    _, first = np.unique(number[with_axon], return_index=True)
    others = np.delete(with_axon, first)
    number[others] = fibers.max(initial=0) + 1 + np.arange(len(others))
    renumbered = number[pieces]
    return renumbered, np.where((axons > 0) & (renumbered != fibers), renumbered, axons)


def read_label_images(result: Imported, paths: list[Path]) -> None:
    """Set the drawing from label images; one that was not given is looked for beside the other."""
    folders = (*(path.parent for path in paths), MORPHOMETRY)
    images = []
    for ending in (LABELS, AXONS):
        names = (f"{PurePosixPath(result.name).name}{ending}.tif", f"{result.name}{ending}.tif")
        candidates = [folder / name for folder in folders for name in names]
        found = [path for path in paths if stem_of(path).endswith(ending)]
        found += [path for path in candidates if path.is_file()]
        if not found:
            raise UserError(
                f"{paths[0]}: needs {result.name}{ending}.tif beside it, save both label images"
            )
        images.append(read_labels(found[0], result.record.shape))
    set_drawing(result, *separated(*images), lambda kind, number: str(number))
