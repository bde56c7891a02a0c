"""What `rois.py import` reads: which file is of which image, and what its outlines draw."""

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from myelin.exchange.drawing import AXON, FASCICLE, FIBER, GAP, KINDS, MYELIN, NERVE, Drawing
from myelin.exchange.geojson import read_geojson
from myelin.exchange.imagej_rois import read_rois
from myelin.folders.image_tree import names_within
from myelin.folders.naming import MORPHOMETRY, PREDS, RAW_TEST, ROIS, test_images
from myelin.folders.ownership import masks_in
from myelin.folders.packed import take_of
from myelin.images.image import read_labels, read_record
from myelin.pixels.outlines import fill, paint
from myelin.runtime.cli import UserError, progress, shortened_list

READERS = {".zip": read_rois, ".roi": read_rois, ".geojson": read_geojson, ".json": read_geojson}
# What a file's name may have after the image's id.
LABELS, AXONS, REST, NERVES = "_labels", "_axons", "_rest", "_nerve"
ENDINGS = ("", "_rois", "_RoiSet", NERVES)
ROOTS = (ROIS, MORPHOMETRY)  # where a file lies as its image does in a tree
OF_NERVES = (NERVE, FASCICLE)
# Outlines together cover an image once or twice; above this many times, they are no drawing of it.
MAX_COVERS = 50


@dataclass
class Imported:
    """What the files of one image draw.

    Attributes
    ----------
    name : str
        The image's id.
    record : images.ImageRecord
        Of the image, or of a mask of it.
    source : str
        The files, for messages.
    drawing : drawing.Drawing or None
        None where there are outlines of nerves alone.
    nerves : int32 array, (rows, cols), or None
        Numbers of nerves or fascicles.
    rest : path or None
        The `<id>_rest.tif` that was used.
    warnings : list of str
    """

    name: str
    record: object
    source: str
    drawing: Drawing | None = None
    nerves: np.ndarray | None = None
    rest: Path | None = None
    warnings: list = field(default_factory=list)

    @property
    def content(self):
        """What is drawn, in words."""
        parts = []
        if self.drawing:
            counts = (
                len(np.unique(part[part > 0])) for part in (self.drawing.fibers, self.drawing.axons)
            )
            parts = ["{} fibers, {} axons".format(*counts)]
        if self.rest:
            parts.append(str(self.rest))
        if self.nerves is not None:
            parts.append(f"{len(np.unique(self.nerves[self.nerves > 0]))} fascicles or nerves")
        return ", ".join(parts)


def read_all(paths, name=None):
    """Return the `Imported` images of all files, `name` being the id of the one image if given.

    Raises
    ------
    UserError
        All mistakes at once, before anything is written.
    """
    images, errors, found = known_images(), [], []
    if name is not None and name not in images:
        raise UserError(f"--id {name}: no such image in {RAW_TEST} or {PREDS}, check the name")
    files = {}
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


def known_images():
    """Return {id: path} of the images in raw/test, and of the masks of others in preds/."""
    names = names_within(PREDS)
    images = {name: paths[0] for name, paths in masks_in(PREDS, names).items()}
    if RAW_TEST.is_dir():
        images |= {path.stem: path for path in test_images(RAW_TEST)}
    return images


def id_of(path, images):
    """Return the id of the image that a file belongs to by its name."""
    endings = ENDINGS if path.suffix.lower() in READERS else (LABELS, AXONS, REST, NERVES)
    if not path.is_file():
        raise UserError(f"{path}: no such file, check the name")
    if path.suffix.lower() not in (*READERS, ".tif", ".tiff", ".png"):
        raise UserError(
            f"{path}: not a kind of file that is read, give a ROI zip, GeoJSON, or label images "
            "<id>_labels.tif and <id>_axons.tif"
        )
    inner = {Path(), *(path.parent.relative_to(f) for f in ROOTS if path.is_relative_to(f))}
    for ending, folder in itertools.product(endings, sorted(inner, reverse=True)):
        name = (folder / path.stem.removesuffix(ending)).as_posix()
        if path.stem.endswith(ending) and name in images:
            return name
    raise UserError(
        f"{path}: no image of that name in {RAW_TEST} or {PREDS}, name the file after its image or "
        "give the image with --id"
    )


def read_image_files(name, image, paths):
    """Return what the files of one image draw, as `Imported`."""
    result = Imported(name, read_record(image, take_of(image)), ", ".join(map(str, paths)))
    outlines, labels = [], []
    for path in paths:
        if path.suffix.lower() in READERS:
            outlines += read_outlines(result, path)
        elif path.stem.endswith(NERVES):
            result.nerves = read_labels(path, result.record.shape)
            if not result.nerves.any():
                raise UserError(f"{path}: no nerve in it, fill it or leave it out")
        elif path.stem.endswith((LABELS, AXONS)):
            labels.append(path)
        elif not path.stem.endswith(REST):  # that is looked for by its name
            raise UserError(
                f"{path}: labels or axons is not in its name, call it {name}_labels.tif or "
                f"{name}_axons.tif"
            )
    if labels and any(outline.kind not in OF_NERVES for outline in outlines):
        raise UserError(
            f"{result.source}: outlines and label images at once, give one or the other"
        )
    if outlines:
        draw(result, outlines)
    if labels:
        draw_labels(result, labels)
    if result.drawing:
        add_rest(result, dict.fromkeys(path.parent for path in paths))
    return result


def read_outlines(result, path):
    """Return the outlines in a file; those of `<id>_nerve.*` are of a nerve."""
    found, passed_over = READERS[path.suffix.lower()](path)
    if passed_over:
        result.warnings.append(f"no area, passed over: {shortened_list(passed_over)}")
    for outline in found:
        if path.stem.endswith(NERVES) and outline.kind != FASCICLE:
            outline.kind = NERVE
    return found


def add_rest(result, folders):
    """Add what the mask had besides fibers when it was exported, from beside the files or rois/."""
    for folder in (*folders, ROIS):
        path = folder / f"{result.name}{REST}.tif"
        if path.is_file():
            rest = read_labels(path, result.record.shape)
            result.drawing.myelin |= (rest == 1) & (result.drawing.fibers == 0)
            result.drawing.gaps |= rest == 2
            result.rest = path
            return


# ---------------------------------------------------------------- outlines


def draw(result, outlines):
    """Turn outlines into a drawing: each pixel goes to one of them, and doubts become warnings."""
    shape = result.record.shape
    pixels = fill_all(result, outlines)
    kinds = decide_kinds(outlines, pixels, shape)
    parts = {kind: [index for index, own in enumerate(kinds) if own == kind] for kind in KINDS}

    def painted(kind, indices):
        labels, overlaps = paint([pixels[index] for index in indices], shape)
        if overlaps:
            pairs = [
                " and ".join(outlines[indices[index]].name for index in pair) for pair in overlaps
            ]
            result.warnings.append(
                f"{kind}s that overlap, the first keeps it: {shortened_list(pairs)}"
            )
        return labels

    if parts[NERVE] or parts[FASCICLE]:
        # A nerve around its fascicles is more than what they hold.
        chosen = parts[FASCICLE] or parts[NERVE]
        result.nerves = numbers_of([outlines[i].name for i in chosen])[painted(NERVE, chosen)]
        if not result.nerves.any():
            raise UserError(f"{result.source}: the nerve is drawn outside the image, draw it anew")
    if all(kind in OF_NERVES for kind in kinds):
        return
    fibers = painted(FIBER, parts[FIBER])
    inside = [index for index in parts[AXON] if fibers.ravel()[pixels[index]].any()]
    lost = [outlines[index].name for index in parts[AXON] if index not in set(inside)]
    if lost:
        result.warnings.append(f"axons without a fiber, left out: {shortened_list(lost)}")
    axons = painted(AXON, inside)
    with_axon = np.unique(fibers[axons > 0])
    empty = [
        outlines[index].name
        for number, index in enumerate(parts[FIBER], start=1)
        if number not in with_axon
    ]
    if empty:
        result.warnings.append(
            f"fibers without an axon, myelin throughout: {shortened_list(empty)}"
        )
    result.drawing = Drawing(
        fibers, axons, *(paint([pixels[i] for i in parts[k]], shape)[0] > 0 for k in (MYELIN, GAP))
    )


def numbers_of(names):
    """Return the numbers in the names of regions 1 to n, or 1 to n where they do not tell them.

    Returns
    -------
    int32 array, (n + 1,)
        0, then a number above 0 of each region.
    """
    found = [re.findall(r"\d+", name) for name in names]
    stated = [int(numbers[0]) if len(numbers) == 1 else 0 for numbers in found]
    told = len(set(stated)) == len(names) and all(0 < number < 256 for number in stated)
    return np.array([0, *(stated if told else range(1, len(names) + 1))], np.int32)


def fill_all(result, outlines):
    """Return the pixels of each outline, and warn of outlines that leave the image."""
    rows, cols = result.record.shape
    pixels, leaving, covered = [], [], 0
    for outline in outlines:
        points = np.concatenate(outline.rings)
        if (points < -0.5).any() or (points > (cols + 0.5, rows + 0.5)).any():
            leaving.append(outline.name)
        try:
            pixels.append(fill(outline.rings, (rows, cols)))
        except ValueError as error:
            raise UserError(f"{result.source}: {outline.name} {error}, draw it anew") from None
        covered += len(pixels[-1])
        if covered > MAX_COVERS * rows * cols:
            raise UserError(
                f"{result.source}: outlines cover more than {MAX_COVERS} times the image, remove "
                "what is no fiber"
            )
    if leaving:
        result.warnings.append(f"outlines that leave the image, cut off: {shortened_list(leaving)}")
    return pixels


def decide_kinds(outlines, pixels, shape):
    """Return the kind of each outline; one that does not say is an axon if most of it is covered.

    Outlines are looked at from the largest to the smallest, so of two new ones, one in the other,
    the outer is the fiber.
    """
    kinds = [outline.kind for outline in outlines]
    covered = np.zeros(shape[0] * shape[1], bool)
    for index, kind in enumerate(kinds):
        if kind == FIBER:
            covered[pixels[index]] = True
    for index in sorted(range(len(kinds)), key=lambda index: -len(pixels[index])):
        if not kinds[index]:
            own = covered[pixels[index]]
            kinds[index] = AXON if own.sum() > len(own) / 2 else FIBER
            covered[pixels[index]] = True
    return kinds


# ---------------------------------------------------------------- label images


def draw_labels(result, paths):
    """Turn label images into a drawing; one that was not given is beside it or in morphometry/."""
    folders, shape = (*(path.parent for path in paths), MORPHOMETRY), result.record.shape

    def part(ending):
        own = [path for path in paths if path.stem.endswith(ending)]
        names = (f"{PurePosixPath(result.name).name}{ending}.tif", f"{result.name}{ending}.tif")
        others = [folder / name for folder in folders for name in names]
        found = own or [path for path in others if path.is_file()]
        if not found:
            raise UserError(
                f"{paths[0]}: needs {result.name}{ending}.tif beside it, save both label images"
            )
        return read_labels(found[0], shape)

    fibers, axons = part(LABELS), part(AXONS)
    stray = (axons > 0) & (fibers == 0)
    lost = np.setdiff1d(axons[stray], axons[(axons > 0) & ~stray])
    if len(lost):
        result.warnings.append(
            f"axons without a fiber, left out: {shortened_list([str(number) for number in lost])}"
        )
    axons = np.where(np.isin(axons, lost), 0, axons)
    empty = np.setdiff1d(fibers[fibers > 0], fibers[axons > 0])
    if len(empty):
        result.warnings.append(
            f"fibers without an axon, myelin throughout: {shortened_list([str(n) for n in empty])}"
        )
    result.drawing = Drawing(fibers, axons, *np.zeros((2, *shape), bool))
