"""What a file's name says: `x`, its mask `x_mask`, its axons `x_axon`; what lies in a folder."""

import re
from pathlib import Path

from myelin.cli import UserError

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")
SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
SYSTEM_FILES = {"desktop.ini", "thumbs.db"}  # compared in lower case; dot files are skipped too
# What Windows allows in no name, and bytes that are no text: ids name files on every system.
UNSAFE_NAME = re.compile(r'[\x00-\x1f<>:"/\\|?*\ud800-\udfff]')


def list_images(folder, errors=None):
    """Return the images of a folder as {stem: path}, sorted by stem.

    System files and files of other kinds are skipped.

    Parameters
    ----------
    folder : path
    errors : list, optional
        Takes the texts of clashes, which are raised otherwise.

    Raises
    ------
    UserError
        The folder is missing, two images share one stem (all such pairs are named), or a name
        holds what not every system allows in one.
        Stems that differ in case alone clash too: their results would on Windows and macOS.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}, make it and put images into it")
    found, taken, clashes = {}, {}, []
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.name)):
        hidden = path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if UNSAFE_NAME.search(path.stem):
            shown = path.name.encode("utf-8", "replace").decode()
            clashes.append(f"{folder}: {shown!r} is no name for every system, rename it")
            continue
        other = taken.setdefault(path.stem.casefold(), path.name)
        if other != path.name:
            clashes.append(
                f"{path}: {other} has the same name before the dot, rename or remove one of them"
            )
        found[path.stem] = path
    if errors is not None:
        errors.extend(clashes)
    elif clashes:
        raise UserError(*clashes)
    return found


def training_pairs(folder):
    """Return ([(image path, mask path)], [error text]) of a folder, paired by stem."""
    pairs, errors = [], []
    found = list_images(folder, errors)
    for stem, path in found.items():
        if stem.endswith("_axon") and stem.removesuffix("_axon") in found:
            continue  # for evaluate.py and morphometry.py
        partner = f"{stem}_mask"
        if stem.endswith("_mask"):
            image = stem.removesuffix("_mask")
            if image not in found:
                errors.append(f"{path}: a mask without an image, add {image}.tif or remove it")
        elif partner in found:
            pairs.append((path, found[partner]))
        else:
            errors.append(f"{path}: an image without a mask, add {partner}.tif or remove it")
    return pairs, errors


def test_images(folder, errors=None):
    """Return the paths to segment: masks beside images are references and stay out."""
    found = list_images(folder, errors)
    references = {stem for stem in found if stem.endswith("_mask")}
    references |= {f"{stem}_axon" for stem in found}
    return [path for stem, path in found.items() if stem not in references]


test_images.__test__ = False  # not a test, whatever its name says to pytest


def find_masks(folder, remedy="run python find_myelin.py"):
    """Return {id: (mask path, axon mask path or None)} of a folder.

    Masks are called `<id>_mask.*`; where none is, every image is one but `<id>_axon.*`.

    Raises
    ------
    UserError
        The folder is missing or holds no mask.
    """
    found = list_images(folder)
    masks = {stem.removesuffix("_mask"): stem for stem in found if stem.endswith("_mask")}
    if not masks:
        others = ("_axon", "_pred", "_overlay")
        masks = {stem: stem for stem in found if not stem.endswith(others)}
    if not masks:
        raise UserError(f"{folder}: no masks in it, {remedy} or name another folder")
    return {name: (found[stem], found.get(f"{name}_axon")) for name, stem in masks.items()}
