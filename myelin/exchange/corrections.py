"""Write what a person corrected: the mask in `preds/`, the pair for training; take it back again.

Nothing of the user's is replaced unless asked for, and then after a copy.
"""

import glob
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.folders.naming import PREDS, RAW_TEST, RAW_TRAIN, is_id, test_images
from myelin.folders.ownership import MODELS_OWN, hashes_in, programs_hash, read_run, set_aside
from myelin.images.formats import SUFFIXES
from myelin.images.image import read_image, read_labels, read_mask, read_record, write_image
from myelin.images.mask_checks import apart
from myelin.measure.nerve import MAX_FASCICLES
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing, sha256


@dataclass
class Target:
    """A file to write.

    Attributes
    ----------
    path : Path
    content : bool or uint8 array, (rows, cols), or Path
        A mask, numbers to store as they are, or a file to copy.
    pixel_size_um : float or None
    """

    path: Path
    content: object
    pixel_size_um: float | None = None

    def present(self):
        """Return the files that have this name, in whatever format."""
        found = self.path.parent.glob(f"{glob.escape(self.path.stem)}.*")
        return sorted(path for path in found if path.suffix.lower() in SUFFIXES)

    def done(self):
        """Whether the file is there already and the same."""
        if self.present() != [self.path]:
            return False
        if isinstance(self.content, Path):
            return sha256(self.path) == sha256(self.content)
        try:
            read = read_mask if self.content.dtype == bool else read_labels
            return np.array_equal(read(self.path), self.content)
        except UserError:
            return False

    def write(self):
        """Write the file, after a copy of what is in its place."""
        for path in self.present():
            if is_models(path):
                keep_models(path)
            else:
                set_aside(path)
        if isinstance(self.content, Path):
            with replacing(self.path) as temporary:
                shutil.copyfile(self.content, temporary)
        else:
            pixels = self.content.astype(np.uint8)
            if self.content.dtype == bool:
                pixels *= np.uint8(255)
            write_image(self.path, pixels, self.pixel_size_um)


def write_corrected(found, force, train):
    """Write the masks of all images and their pairs for training.

    Parameters
    ----------
    found : list of rois_import.Imported
    force : bool
        Whether what the user has made is replaced, after a copy.
    train : bool
        Whether to make pairs for training, too.

    Returns
    -------
    dict of str to list of Path
        By image: what was written; what was there already and the same is not.

    Raises
    ------
    UserError
        Something of the user's is in the way; nothing was written.
    """
    images = {path.stem: path for path in test_images(RAW_TEST)} if RAW_TEST.is_dir() else {}
    targets, errors = {}, []
    for image in found:
        targets[image.name] = targets_of(image)
        if train and image.drawing:
            if targets[image.name][0].done() and is_models(targets[image.name][0].path):
                image.warnings.append("as the model drew it: learn from it only if you checked it")
            if image.name in images:
                targets[image.name] += training_pair(image, images[image.name])
            else:
                errors.append(f"{image.name}: no image of that name in {RAW_TEST}, put it there")
    targets = {name: [one for one in own if not one.done()] for name, own in targets.items()}
    for target in itertools.chain(*targets.values()):
        users = [path for path in target.present() if not is_models(path)]
        if users and not force:
            errors.append(
                f"{users[0]}: made or corrected by hand and not the same, replace it with --force, "
                "which keeps a copy, or rename it"
            )
    if errors:
        raise UserError(*errors)
    for target in itertools.chain(*targets.values()):
        target.write()
    return {name: [target.path for target in own] for name, own in targets.items()}


def targets_of(image):
    """Return the `Target`s in preds/ of an imported image."""
    size, _ = image.record.pixel_size()
    parts = {}
    if image.drawing:
        parts = {"mask": image.drawing.mask, "axon": apart(image.drawing.axons)}
    if image.nerves is not None:
        found = np.unique(image.nerves[image.nerves > 0]).tolist()
        if len(found) >= MAX_FASCICLES or found[-1] > 255:
            raise UserError(
                f"{image.source}: {len(found)} fascicles of numbers up to {found[-1]}, more than "
                f"{MAX_FASCICLES - 1} or 255 cannot be, remove or rename what is none"
            )
        # One region is stored as a mask, which can be seen in any viewer.
        parts["nerve"] = image.nerves > 0 if found == [1] else image.nerves.astype(np.uint8)
    return [
        Target(PREDS / f"{image.name}_{part}.tif", content, size) for part, content in parts.items()
    ]


def training_pair(image, path):
    """Return the `Target`s in raw/train: a copy of the image, and its mask."""
    copy = Target(RAW_TRAIN / path.name, path)
    return [copy, Target(RAW_TRAIN / f"{image.name}_mask.tif", image.drawing.mask)]


# ---------------------------------------------------------------- the model's own mask


def is_models(path):
    """Whether a file is a mask that `find_myelin.py` wrote to preds/ and nobody has changed."""
    if not path.is_relative_to(PREDS) or not path.name.endswith("_mask.tif"):
        return False
    run, name = read_run(PREDS) or {}, path.stem.removesuffix("_mask")
    name = (path.parent.relative_to(PREDS) / name).as_posix()
    hashes = hashes_in(run, "images"), hashes_in(run, "earlier")
    known = [some[name] for some in hashes if name in some]
    return programs_hash(path, known, run.get("threshold")) is not None


def keep_models(path):
    """Copy the model's mask to where `find_myelin.py` puts it beside a corrected one."""
    with replacing(path.parent / MODELS_OWN / path.name) as temporary:
        shutil.copyfile(path, temporary)


def restore(name):
    """Bring back the model's mask of an image; what was corrected goes to preds/corrected/.

    Parameters
    ----------
    name : str
        The image's id.

    Returns
    -------
    list of Path
        The copies of what was corrected.

    Raises
    ------
    UserError
        No id; the mask is the model's already, or the model's is not there any more.
    """
    if not is_id(name):
        raise UserError(f"{name}: no id of an image, which is its name without the ending")
    path, axon = PREDS / f"{name}_mask.tif", PREDS / f"{name}_axon.tif"
    present = [*Target(path, None).present(), *Target(axon, None).present()]
    if path.exists() and is_models(path) and present == [path]:
        raise UserError(f"{path}: is the model's own mask, nothing to take back")
    mask, size = models_mask(name, path)
    copies = [set_aside(other) for other in present if not is_models(other)]
    write_image(path, mask.astype(np.uint8) * np.uint8(255), size)
    (path.parent / MODELS_OWN / path.name).unlink(missing_ok=True)
    axon.unlink(missing_ok=True)
    return copies


def models_mask(name, path):
    """Return the model's mask of an image and its pixel size, from where it was kept.

    Where it was not, from the probability at the threshold of the run, which may differ by the
    rounding to 255 levels where the threshold is not 0.5.
    """
    kept, probability = path.parent / MODELS_OWN / path.name, PREDS / f"{name}_pred.png"
    if path.exists() and is_models(path):
        kept = path
    if kept.exists():
        return read_mask(kept), read_record(kept).pixel_size()[0]
    threshold = (read_run(PREDS) or {}).get("threshold")
    if not probability.exists() or not isinstance(threshold, int | float):
        raise UserError(
            f"{name}: no mask of the model and no probability with its threshold in {PREDS}, run "
            "python find_myelin.py --force"
        )
    size = read_record(path).pixel_size()[0] if path.exists() else None
    return read_image(probability) >= 255 * threshold, size
