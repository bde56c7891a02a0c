"""Write corrected masks to `preds/` and training pairs to `raw/train`, and restore model masks.

Files of the user are replaced only with `--force`, and after a copy.
"""

import glob
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.exchange.import_rois import Imported
from myelin.folders.mask_record import MODELS_OWN, read_run, written_by_program
from myelin.folders.naming import PREDS, RAW_TEST, RAW_TRAIN, is_id, test_images
from myelin.folders.ownership import set_aside
from myelin.images.formats import SUFFIXES
from myelin.images.image import read_image, read_labels, read_mask, read_record, write_image
from myelin.images.mask_checks import apart
from myelin.measure.nerve import MAX_FASCICLES
from myelin.runtime.cli import UserError, count_of, shortened_list
from myelin.runtime.files import replacing, sha256


@dataclass
class Target:
    """A file to write; its content is a mask, an image of numbers, or a file to copy."""

    path: Path
    content: np.ndarray | Path
    pixel_size_um: float | None = None

    def is_done(self) -> bool:
        """Return whether the file exists with the same content."""
        if versions_of(self.path) != [self.path]:
            return False
        if isinstance(self.content, Path):
            return sha256(self.path) == sha256(self.content)
        read = read_mask if self.content.dtype == bool else read_labels
        try:
            return np.array_equal(read(self.path), self.content)
        except UserError:
            return False

    def write(self) -> None:
        """Write the file, after a copy of what it replaces."""
        for path in versions_of(self.path):
            if is_model_mask(path):
                copy_file(path, path.parent / MODELS_OWN / path.name)
            else:
                set_aside(path)
        if isinstance(self.content, Path):
            copy_file(self.content, self.path)
            return
        pixels = self.content.astype(np.uint8)
        if self.content.dtype == bool:
            pixels *= np.uint8(255)
        write_image(self.path, pixels, self.pixel_size_um)


def versions_of(path: Path) -> list[Path]:
    """Return the files with the name of `path`, whatever their format."""
    found = path.parent.glob(f"{glob.escape(path.stem)}.*")
    return sorted(one for one in found if one.suffix.lower() in SUFFIXES)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file to a path, whose folder is made if it is missing."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def write_corrected(found: list[Imported], force: bool, train: bool) -> dict[str, list[Path]]:
    """Write the masks of all images, with `train` also training pairs; return new files by image.

    Files of the user are replaced, after a copy, only with `force`: otherwise nothing is written.
    """
    images = {path.stem: path for path in test_images(RAW_TEST)} if RAW_TEST.is_dir() else {}
    targets, errors = {}, []
    for image in found:
        own = mask_targets(image)
        if train and image.drawing:
            if own[0].is_done() and is_model_mask(own[0].path):
                image.warnings.append("mask unchanged by hand, train on it only if you checked it")
            if image.name in images:
                path = images[image.name]
                pair_mask = RAW_TRAIN / f"{image.name}_mask.tif"
                own += [Target(RAW_TRAIN / path.name, path), Target(pair_mask, own[0].content)]
            else:
                errors.append(f"{image.name}: no image of that name in {RAW_TEST}, put it there")
        targets[image.name] = [target for target in own if not target.is_done()]
    for target in itertools.chain(*targets.values()):
        by_hand = [path for path in versions_of(target.path) if not is_model_mask(path)]
        if by_hand and not force:
            errors.append(
                f"{by_hand[0]}: made or corrected by hand and different, replace it with --force, "
                "which keeps a copy, or rename it"
            )
    if errors:
        raise UserError(*errors)
    for target in itertools.chain(*targets.values()):
        target.write()
    return {name: [target.path for target in own] for name, own in targets.items()}


def mask_targets(image: Imported) -> list[Target]:
    """Return the targets in preds/ of an imported image, its mask first."""
    size, _ = image.record.pixel_size()
    parts = {}
    if image.drawing:
        parts = {"mask": image.drawing.mask, "axon": apart(image.drawing.axons)}
    if image.nerves is not None:
        numbers = np.unique(image.nerves[image.nerves > 0]).tolist()
        if len(numbers) >= MAX_FASCICLES or numbers[-1] > 255:
            raise UserError(
                f"{image.source}: {count_of(len(numbers), 'fascicle')} with numbers up to "
                f"{numbers[-1]}, keep at most {MAX_FASCICLES - 1}, numbered 1 to 255"
            )
        # One region is stored as a mask, which every viewer shows.
        parts["nerve"] = image.nerves > 0 if numbers == [1] else image.nerves.astype(np.uint8)
    return [
        Target(PREDS / f"{image.name}_{part}.tif", content, size) for part, content in parts.items()
    ]


# ---------------------------------------------------------------- masks of the model


def is_model_mask(path: Path) -> bool:
    """Return whether a file is an unchanged mask of `find_myelin.py` in preds/."""
    if not path.is_relative_to(PREDS) or not path.name.endswith("_mask.tif"):
        return False
    name = path.relative_to(PREDS).as_posix().removesuffix("_mask.tif")
    return written_by_program(path, read_run(PREDS), name)


def restore(name: str) -> list[Path]:
    """Restore the model's mask of an image; return the corrected files, now in corrected/."""
    if not is_id(name):
        raise UserError(f"{name}: not an image id, use the file name without its extension")
    segmented = (read_run(PREDS) or {}).get("images", {})
    same = [other for other in segmented if other.rpartition("/")[2] == name]
    if segmented and name not in segmented:
        remedy = f"use {shortened_list(same)}" if same else "use an image id of preds/run.json"
        raise UserError(f"{name}: not an image of the run in {PREDS}, {remedy}")
    path, axon = PREDS / f"{name}_mask.tif", PREDS / f"{name}_axon.tif"
    kept = path.parent / MODELS_OWN / path.name
    present = versions_of(path) + versions_of(axon)
    if path in present and is_model_mask(path):
        if present == [path]:
            raise UserError(f"{path}: is the model's own mask, nothing to restore")
        kept = path
    restored = None if kept.exists() else mask_of_probability(name)
    size = read_record(path).pixel_size()[0] if path in present else None
    moved = [set_aside(other) for other in present if other != kept]
    if restored is not None:
        write_image(path, restored.astype(np.uint8) * np.uint8(255), size)
    elif kept != path:
        kept.replace(path)
    return moved


def mask_of_probability(name: str) -> np.ndarray:
    """Return the mask at the run's threshold, from a probability that is rounded to 255 levels."""
    probability = PREDS / f"{name}_pred.png"
    threshold = (read_run(PREDS) or {}).get("threshold")
    if not probability.exists() or not isinstance(threshold, int | float):
        raise UserError(
            f"{name}: no mask of the model and no probability with its threshold in {PREDS}, run "
            "python find_myelin.py again; it keeps your mask and writes the model's own beside it"
        )
    return read_image(probability) >= 255 * threshold
