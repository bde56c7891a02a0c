"""Write corrected masks to `preds/` and training pairs to `raw/train`, and restore model masks.

Files of the user are replaced only with `--force`, and after a copy; those of an earlier import,
which nobody has changed since, are simply replaced.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.exchange.import_rois import Imported
from myelin.folders.image_tree import source_of, takes_of
from myelin.folders.mask_record import (
    IMPORTED,
    MODELS_OWN,
    is_imported,
    pixel_hash,
    read_run,
    written_by_program,
)
from myelin.folders.naming import PREDS, RAW_TEST, RAW_TRAIN, list_tree, test_images
from myelin.folders.ownership import files_of, models_own, set_aside
from myelin.folders.packed import take_of
from myelin.images.image import (
    ImageRecord,
    read_image,
    read_labels,
    read_mask,
    read_record,
    write_image,
)
from myelin.images.mask_checks import apart
from myelin.images.overlay import write_overlay
from myelin.measure.nerve import MAX_FASCICLES
from myelin.runtime.cli import UserError, count_of, shortened_list
from myelin.runtime.files import copy_file, sha256, stem_of


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
                shown = overlay_of(path)
                for file in filter(Path.exists, (path, shown)):
                    copy_file(file, path.parent / MODELS_OWN / file.name)
            elif not is_imported(path):
                set_aside(path)
        if isinstance(self.content, Path):
            copy_file(self.content, self.path)
            return
        pixels = self.content.astype(np.uint8)
        if self.content.dtype == bool:
            pixels *= np.uint8(255)
        write_image(self.path, pixels, self.pixel_size_um, record={IMPORTED: pixel_hash(pixels)})


def versions_of(path: Path) -> list[Path]:
    """Return the files with the name of `path`, whatever their format."""
    return files_of(path.parent, stem_of(path), "")


def write_corrected(found: list[Imported], force: bool, train: bool) -> dict[str, list[Path]]:
    """Write the masks of all images, with `train` also training pairs; return new files by image.

    Files of the user are replaced, after a copy, only with `force`: otherwise nothing is written.
    """
    images, targets, errors = segmented_images([image.name for image in found]), {}, []
    hashes = (read_run(PREDS) or {}).get("images", {})
    for image in found:
        own = mask_targets(image)
        if train and image.drawing:
            if own[0].is_done() and is_model_mask(own[0].path):
                image.warnings.append("mask unchanged by hand, train on it only if you checked it")
            known = hashes.get(image.name, {}).get("image_sha256")
            if image.name in images and known not in (
                None,
                pixel_hash(read_image(images[image.name])),
            ):
                errors.append(
                    f"{images[image.name].path}: has changed since it was segmented, put the image "
                    "back, or segment and correct it again"
                )
            elif image.name in images:
                own += training_pair(image.name, images[image.name], own[0].content)
            else:
                errors.append(
                    f"{image.name}: its image is neither in {RAW_TEST} nor where find_myelin.py "
                    "--images read it, put it into raw/test or segment it again"
                )
        targets[image.name] = [target for target in own if not target.is_done()]
    for target in itertools.chain(*targets.values()):
        present = versions_of(target.path)
        by_hand = [path for path in present if not (is_model_mask(path) or is_imported(path))]
        if by_hand and not force:
            errors.append(
                f"{by_hand[0]}: made or corrected by hand and different, replace it with --force, "
                "which keeps a copy, or rename it"
            )
    if errors:
        raise UserError(*errors)
    for target in itertools.chain(*targets.values()):
        target.write()
    for image in filter(lambda image: image.drawing, found):
        draw_overlay(image.name, images.get(image.name))
    return {name: [target.path for target in own] for name, own in targets.items()}


def segmented_images(names: Iterable[str]) -> dict[str, ImageRecord]:
    """Return {id: header} of images that are in raw/test, or where `--images` read them."""
    paths = test_images(RAW_TEST)
    takes = {path: take_of(path) for path in paths.values()}
    run = read_run(PREDS) or {}
    if "given" in run and source_of(run).is_dir():
        listed = list_tree(source_of(run), names)
        listed = {name: listed[name] for name in run["images"] if name in listed}
        paths |= listed
        takes |= takes_of(run, listed.values())
    known = {name: paths[name] for name in names if name in paths}
    return {name: read_record(path, takes.get(path, {})) for name, path in known.items()}


def training_pair(name: str, image: ImageRecord, mask: np.ndarray) -> list[Target]:
    """Return the targets of a training pair; folders of a tree become part of its name."""
    stem, content = name.replace("/", "_"), image.path
    suffix = image.path.suffix
    if image.path.is_dir() or (image.take and image.path.parent != RAW_TEST):
        suffix, content = ".tif", read_image(image)
    pair = Target(RAW_TRAIN / f"{stem}{suffix}", content)
    return [pair, Target(RAW_TRAIN / f"{stem}_mask.tif", mask)]


def draw_overlay(name: str, image: ImageRecord | None) -> None:
    """Draw the overlay of the present mask of an image; remove it if the image is not found."""
    path = PREDS / f"{name}_mask.tif"
    mask = read_mask(path)
    if image and image.shape == mask.shape:
        write_overlay(overlay_of(path), read_image(image), mask)
    else:
        overlay_of(path).unlink(missing_ok=True)


def overlay_of(mask: Path) -> Path:
    """Return the path of the overlay that belongs to a mask."""
    return mask.with_name(f"{mask.stem.removesuffix('_mask')}_overlay.png")


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
    segmented = (read_run(PREDS) or {}).get("images", {})
    same = [other for other in segmented if other.rpartition("/")[2] == name]
    if segmented and name not in segmented:
        known = shortened_list(same or list(segmented))
        raise UserError(f"{name}: not an image of the run in {PREDS}, use an id such as {known}")
    image = segmented_images([name]).get(name)
    path, axon = PREDS / f"{name}_mask.tif", PREDS / f"{name}_axon.tif"
    kept = models_own(PREDS, name)
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
    overlay_of(models_own(PREDS, name)).unlink(missing_ok=True)
    draw_overlay(name, image)
    return moved


def mask_of_probability(name: str) -> np.ndarray:
    """Return the mask at the run's threshold, from a probability that is rounded to 255 levels."""
    probability = PREDS / f"{name}_pred.png"
    threshold = (read_run(PREDS) or {}).get("threshold")
    if not probability.exists() or threshold is None:
        raise UserError(
            f"{name}: no mask of the model and no probability with its threshold in {PREDS}, check "
            "the name or run python find_myelin.py again; it keeps your mask and writes the "
            "model's own beside it"
        )
    return read_image(probability) >= 255 * threshold
