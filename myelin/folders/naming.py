"""What a file's name says: `x`, its mask `x_mask`, its axons `x_axon`; what lies in a folder."""

import functools
import re
from pathlib import Path, PurePosixPath

from myelin.images.formats import LIBRARIES, SUFFIXES
from myelin.runtime.cli import UserError, printable, shortened_list

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")
MORPHOMETRY = Path("morphometry")
ROIS = Path("rois")
IMAGE_SUFFIXES = SUFFIXES | LIBRARIES.keys() | {".svs"}  # of images that are read; masks: SUFFIXES
# What microscopes, scanners and cameras also write, and we do not read.
UNREAD_SUFFIXES = set(
    """.zvi .lsm .lof .oib .oif .oir .vsi .stk .ims .ics .ndpi .scn .mrxs .bif .qptiff .btf .dm3
    .dm4 .mrc .emd .dcm .nrrd .fits .psd .xcf .gif .webp .avif .heic .heif .jp2 .j2k .jxr .jxl .jfif
    .pgm .ppm .tga .dng .nef .cr2""".split()
)
# What may lie beside images and is none: tables, notes, metadata.
COMPANIONS = set(".csv .tsv .txt .md .json .xml .log .ini .xls .xlsx .ods .doc .docx .pdf".split())
SYSTEM_FILES = {"desktop.ini", "thumbs.db"}  # compared in lower case; dot files are skipped too
RESULTS = ("_pred", "_overlay", "_labels", "_plots")  # of the suite, that are images
# Nearly the names of a mask and an axon mask, German ones too; "Mask of x" is ImageJ's.
LIKE_A_MASK = [
    re.compile(r"(?P<kind>mask|axon)(?:s|en?)?(?:[-_. ]*of)?[-_. ]*(?P<image>.+)", re.IGNORECASE),
    re.compile(
        r"(?P<image>.+?)[-_. ]*(?P<kind>mask|axon)(?:s|en?)?[-_. ]*(?:\(?\d+\)?)?", re.IGNORECASE
    ),
]
# What Windows allows in no name, what ends or turns a line, and bytes that are no text: ids name
# files on every system and stand in tables.
UNSAFE_NAME = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def list_images(folder, errors=None, only=None, unread=None):
    """Return the images of a folder as {stem: path}, sorted by stem.

    Images in formats that are not read are named on stdout; other files are skipped silently, and
    so are folders, see `note_others`.

    Parameters
    ----------
    folder : path
    errors : list, optional
        Takes the texts of mistakes, which are raised otherwise.
    only : list of Path, optional
        Of what is in the folder.
    unread : list, optional
        Takes the text about a folder that has images only in formats that are not read; else that
        is a mistake.

    Raises
    ------
    UserError
        The folder is missing, has images only in formats that are not read, two images share one
        stem but for case (on Windows and macOS their results would clash), a name holds what not
        every system allows in one, or is that of a broken link or something else that is no file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}, make it and put images into it")
    found, taken, mistakes, others = {}, {}, [], []
    for path in sorted(only or folder.iterdir(), key=lambda path: (path.stem, path.name)):
        suffix = path.suffix.lower()
        known = suffix in IMAGE_SUFFIXES | UNREAD_SUFFIXES
        if is_hidden(path) or not known or (path.is_dir() and suffix != ".zarr"):
            continue
        if suffix in UNREAD_SUFFIXES and path.is_file():
            others.append(path.name)
            continue
        wrong = what_is_wrong(path)
        if wrong:
            mistakes.append(wrong)
            continue
        other = taken.setdefault(path.stem.casefold(), path.name)
        if other != path.name:
            mistakes.append(
                f"{path}: {other} has the same name before the dot, rename or remove one of them"
            )
        found[path.stem] = path
    if others and found:
        note_unread(folder, folder.resolve(), tuple(others))
    elif others:
        (mistakes if unread is None else unread).append(unread_text(folder, others))
    if errors is not None:
        errors.extend(mistakes)
    elif mistakes:
        raise UserError(*mistakes)
    return found


def what_is_wrong(path):
    """Return what keeps a path from being that of an image, as a text; else None."""
    name = printable(path.name)
    if not (path.is_file() or path.is_dir()):
        what = "a link to nothing" if path.is_symlink() else "not a file"
        return f"{path.parent / name}: {what}, put the image there or remove it"
    if UNSAFE_NAME.search(path.stem):
        return (
            f"{path.parent}: {name!r} has a character that not every system allows in a name, "
            "rename it"
        )
    return None


def is_hidden(path):
    """Whether a file or folder is the system's own, or called so that it is not shown."""
    return path.name.startswith(".") or path.name.lower() in SYSTEM_FILES


def is_id(name):
    """Whether a text can be an image's id: ids name files, so none may lead out of the folder."""
    return isinstance(name, str) and all(map(is_stem, name.split("/")))


def is_stem(name):
    """Whether a text can be the id of an image that lies in no folder of a tree."""
    return isinstance(name, str) and not UNSAFE_NAME.search(name) and bool(name.strip("."))


def unread_text(folder, names):
    """Return the message about images of a folder in formats that are not read."""
    return (
        f"{folder}: cannot read the format of {shortened_list(names)}, save as TIFF or PNG first, "
        "for example with Fiji"
    )


@functools.cache
def note_unread(folder, _resolved, names):
    """Print that message, once for a folder however often a command lists it."""
    print(f"note: {unread_text(folder, names)}")


@functools.cache
def note_others(folder, _resolved):
    """Say, once for a folder, which folders and which files of no known kind lie among images."""
    others = [path for path in sorted(folder.iterdir()) if not is_hidden(path)]
    folders = [path for path in others if path.is_dir() and path.suffix.lower() != ".zarr"]
    inner = [path.name for path in folders if path.name != "corrected"]
    known = IMAGE_SUFFIXES | UNREAD_SUFFIXES | COMPANIONS
    files = [path.name for path in others if path.is_file() and path.suffix.lower() not in known]
    if inner:
        print(
            f"note: {folder}: images in folders within are not read ({shortened_list(inner)}), "
            "move them up"
        )
    if files:
        print(
            f"note: {folder}: not read: {shortened_list(files)}; images end in .tif, "
            ".png, .jpg or .bmp"
        )


def misnamed(stems, images):
    """Find masks whose name is not quite right: `x-mask`, `x_Mask`, `mask_x`, `Mask of x` beside x.

    Parameters
    ----------
    stems, images : iterable of str
        The names to look at; those that they may be masks of.

    Returns
    -------
    dict of str to str
        What each should be called, such as `x_mask`.

    >>> misnamed(["x", "y", "x-Mask", "mask_y", "y_mask"], ["x", "y"])
    {'x-Mask': 'x_mask', 'mask_y': 'y_mask'}
    """
    images, found = set(images), {}
    names = {image.casefold(): image for image in images}
    for stem in stems:
        base, _, ending = stem.rpartition("_")
        if base in images and ending in ("mask", "axon"):
            continue
        for match in filter(None, (pattern.fullmatch(stem) for pattern in LIKE_A_MASK)):
            name = Path(match["image"].casefold())
            image = names.get(str(name)) or names.get(name.stem if name.suffix in SUFFIXES else "")
            if image:
                found[stem] = f"{image}_{match['kind'].lower()}"
    return found


def results_in(found):
    """Return {stem: text} of results of the suite that lie among the images they were made from."""
    return {
        stem: f"{path}: looks like a result made from {stem.rpartition('_')[0]}, not an image, "
        "move it out of the folder"
        for stem, path in found.items()
        if stem.endswith(RESULTS) and stem.rpartition("_")[0] in found
    }


def misnamed_texts(wrong, found):
    """Return the messages about misnamed masks.

    Parameters
    ----------
    wrong : dict of str to str
        As from `misnamed`.
    found : dict of str to Path
        As from `list_images`.
    """
    return [
        f"{found[stem]}: looks like a mask of {right.rpartition('_')[0]}, "
        + (
            f"but {found[right].name} is there too, remove or rename one of them"
            if right in found
            else f"rename it to {right}{found[stem].suffix}, or otherwise if it is an image"
        )
        for stem, right in wrong.items()
    ]


def training_pairs(folder):
    """Return ([(image path, mask path)], [error text]) of a folder, paired by stem."""
    pairs, errors = [], []
    found = list_images(folder, errors)
    note_others(folder, folder.resolve())
    wrong = misnamed(found, [stem for stem in found if not stem.endswith("_mask")])
    results = results_in(found)
    errors += [*misnamed_texts(wrong, found), *results.values()]
    for stem, path in found.items():
        image, _, ending = stem.rpartition("_")
        part = ending in ("axon", "nerve") and image in found  # for evaluate.py and morphometry.py
        if part or stem in wrong or stem in results:
            continue
        partner = f"{stem}_mask"
        if stem.endswith("_mask"):
            image = stem.removesuffix("_mask")
            if image not in found:
                errors.append(f"{path}: a mask without an image, add {image}.tif or remove it")
        elif partner in found:
            pairs.append((path, found[partner]))
        elif partner not in wrong.values():
            errors.append(f"{path}: an image without a mask, add {partner}.tif or remove it")
    return pairs, errors


def test_images(folder, errors=None):
    """Return the paths to segment: masks beside images are references and stay out.

    Parameters
    ----------
    folder : path
    errors : list, optional
        Takes the texts of mistakes, misnamed masks among them, which are raised otherwise.
    """
    folder, mistakes = Path(folder), []
    found = list_images(folder, mistakes)
    note_others(folder, folder.resolve())
    chosen = images_among(found, mistakes)
    if errors is not None:
        errors.extend(mistakes)
    elif mistakes:
        raise UserError(*mistakes)
    return list(chosen.values())


def images_among(found, mistakes):
    """Return what of {stem: path} are images to segment; `mistakes` takes texts as `errors`."""
    references = {stem for stem in found if stem.endswith("_mask")}
    references |= {f"{stem}_{part}" for stem in found for part in ("axon", "nerve")}
    wrong = misnamed(found, [stem for stem in found if stem not in references])
    results = results_in(found)
    mistakes += [*misnamed_texts(wrong, found), *results.values()]
    others = references | wrong.keys() | results.keys()
    return {stem: path for stem, path in found.items() if stem not in others}


test_images.__test__ = False  # not a test, whatever its name says to pytest


def list_tree(folder, names):
    """Return {id: path} of the images in those folders of a tree where some ids are.

    Parameters
    ----------
    folder : path
        Where the tree begins.
    names : iterable of str
        Ids such as `control/animal1/x`: the path from there, with / on every system.
    """
    found = {}
    for inner in sorted({str(PurePosixPath(name).parent) for name in names} | {"."}):
        if inner == "." or (is_id(inner) and (Path(folder) / inner).is_dir()):
            listed = list_images(Path(folder) / inner)
            found |= {join_id(inner, stem): path for stem, path in listed.items()}
    return found


def join_id(inner, stem):
    """Return the id of an image by its folder in a tree, "." for the first, and its stem."""
    return str(PurePosixPath(inner) / stem)


def find_masks(folder, remedy="run python find_myelin.py", names=()):
    """Return {id: (mask path, axon mask path or None)} of a folder.

    Masks are called `<id>_mask.*`; where none is, every image is one but `<id>_axon.*` and
    `<id>_nerve.*`. Where the folder is a tree, those are found too that lie where `names`, ids, do.

    Raises
    ------
    UserError
        The folder is missing or holds no mask.
    """
    if not Path(folder).exists():
        raise UserError(f"{folder}: no such folder, {remedy} or name another folder")
    found = list_tree(folder, names)
    masks = {stem.removesuffix("_mask"): stem for stem in found if stem.endswith("_mask")}
    if not masks:
        others = ("_axon", "_nerve", "_pred", "_overlay")
        masks = {stem: stem for stem in found if not stem.endswith(others)}
    for text in misnamed_texts(misnamed(found, masks), found):
        print(f"note: {text}")
    if not masks:
        raise UserError(f"{folder}: no masks in it, {remedy} or name another folder")
    return {name: (found[stem], found.get(f"{name}_axon")) for name, stem in masks.items()}
