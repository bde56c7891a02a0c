"""What a file's name says: `x`, its mask `x_mask`, its axons `x_axon`; what lies in a folder."""

import functools
import re
from pathlib import Path

from myelin.cli import UserError

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")
MORPHOMETRY = Path("morphometry")
SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
# What microscopes, scanners and cameras also write, and we do not read.
UNREAD_SUFFIXES = set(
    """.czi .zvi .lsm .lif .lof .nd2 .oib .oif .oir .vsi .stk .ims .ics .svs .ndpi .scn .mrxs .bif
    .qptiff .btf .dm3 .dm4 .mrc .emd .dcm .nrrd .fits .psd .xcf .gif .webp .avif .heic .heif .jp2
    .j2k .jxr .jxl .jfif .pgm .ppm .tga .dng .nef .cr2""".split()
)
SYSTEM_FILES = {"desktop.ini", "thumbs.db"}  # compared in lower case; dot files are skipped too
# What Windows allows in no name, what ends or turns a line, and bytes that are no text: ids name
# files on every system and stand in tables.
UNSAFE_NAME = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def list_images(folder, errors=None):
    """Return the images of a folder as {stem: path}, sorted by stem.

    Images in formats that are not read are named on stdout; other files are skipped silently.

    Parameters
    ----------
    folder : path
    errors : list, optional
        Takes the texts of mistakes, which are raised otherwise.

    Raises
    ------
    UserError
        The folder is missing, has images only in formats that are not read, two images share one
        stem (all such pairs are named), or a name holds what not every system allows in one.
        Stems that differ in case alone clash too: their results would on Windows and macOS.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}, make it and put images into it")
    found, taken, mistakes, unread = {}, {}, [], []
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.name)):
        suffix = path.suffix.lower()
        hidden = path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
        if hidden or suffix not in SUFFIXES | UNREAD_SUFFIXES or not path.is_file():
            continue
        if suffix in UNREAD_SUFFIXES:
            unread.append(path.name)
            continue
        if UNSAFE_NAME.search(path.stem):
            mistakes.append(
                f"{folder}: {printable(path.name)!r} has a character that not every system allows "
                "in a name, rename it"
            )
            continue
        other = taken.setdefault(path.stem.casefold(), path.name)
        if other != path.name:
            mistakes.append(
                f"{path}: {other} has the same name before the dot, rename or remove one of them"
            )
        found[path.stem] = path
    if unread and found:
        note_unread(folder, folder.resolve(), tuple(unread))
    elif unread:
        mistakes.append(unread_text(folder, unread))
    if errors is not None:
        errors.extend(mistakes)
    elif mistakes:
        raise UserError(*mistakes)
    return found


def printable(name):
    """Return a file name with a question mark for each byte that is not text."""
    return name.encode("utf-8", "replace").decode()


def unread_text(folder, names):
    """Return the message about images of a folder in formats that are not read."""
    shown = ", ".join(map(printable, names[:5]))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"{folder}: cannot read the format of {shown}{more}, save as TIFF or PNG first, for "
        "example with Fiji"
    )


@functools.cache
def note_unread(folder, _resolved, names):
    """Print that message, once for a folder however often a command lists it."""
    print(f"note: {unread_text(folder, names)}")


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
