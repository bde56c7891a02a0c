"""Names of files: image `x`, its masks `x_mask`, `x_axon`, `x_nerve`; listing of folders."""

import glob
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from myelin.images.formats import LIBRARIES, SUFFIXES
from myelin.images.image import read_image, read_record
from myelin.images.mask_checks import has_few_values
from myelin.runtime.cli import UserError, one_line, shortened_list
from myelin.runtime.files import stem_of

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")
MORPHOMETRY = Path("morphometry")
ROIS = Path("rois")
BLIND_KEY = Path("blind_key.csv")  # names of the images that app.py --blind shows
IMAGE_SUFFIXES = SUFFIXES | LIBRARIES.keys() | {".svs"}  # images that are read; masks: SUFFIXES
# Formats of microscopes, cameras and documents that are not read; other files are skipped silently.
UNREAD_SUFFIXES = set(
    """.zvi .lsm .oib .oif .oir .vsi .ims .ndpi .scn .mrxs .dcm .gif .webp .heic
    .psd .jp2 .jfif .heif .avif .dng .nef .cr2 .arw .svg .eps .ai .pdf .doc .docx .ppt
    .pptx""".split()
)
SYSTEM_FILES = {"desktop.ini", "thumbs.db"}  # compared in lower case; dot files are skipped too
RESULTS = ("_pred", "_overlay", "_labels", "_plots")  # outputs of the suite that are images
# Endings of the files of an image `x` by what they show, best first: those of this suite, of
# AxonDeepSeg (`-manual` in its data sets) and of Cellpose. `_nerve` and `_outline` in any case.
ENDINGS = {
    "mask": (
        "_mask _seg-axonmyelin _seg-axonmyelin-manual _seg-myelin _seg-myelin-manual _myelin "
        "_cp_masks"
    ).split(),
    "axon": "_axon _seg-axon _seg-axon-manual".split(),
    "nerve": "_nerve _outline".split(),
    "other": "_seg-uaxon _axonmyelin_index _index _instance-map _cp_output _flows".split(),
}
# Files with these endings are never images, even without an image `x`.
NO_IMAGES = ("_mask", "_cp_masks", "_cp_output")
MAX_DRAWN_PX = 2**26  # a larger image is not read only to tell by its pixels what it is
# Common names of masks beside `x_mask`: x-mask, x_Mask, mask_x, and ImageJ's "Mask of x".
LIKE_A_MASK = (
    re.compile(r"(?i)(?P<image>.+?)(?:\.ome)?[-_ ](?P<kind>mask|axon|myelin|nerve)s?"),
    re.compile(
        r"(?i)(?P<kind>mask|axon|myelin|nerve)s?[-_ ](?:of )?(?P<image>.+?)(?:(?:\.ome)?\.tiff?)?"
    ),
)
# Characters that Windows forbids in names, control and direction characters, and undecodable
# bytes: ids become file names on every system, and cells of tables.
UNSAFE_NAME = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


# ---------------------------------------------------------------- ids


def is_hidden(path: Path) -> bool:
    """Return whether a file or folder is hidden or belongs to the operating system."""
    return path.name.startswith(".") or path.name.lower() in SYSTEM_FILES


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder of images; an OME-Zarr folder is one image."""
    return path.is_dir() and path.suffix.lower() != ".zarr"


def is_id(name: object) -> bool:
    """Return whether a value can be an image id: a path of file names inside a folder."""
    stems = name.split("/") if isinstance(name, str) else [""]
    return all(stem.strip(".") and not UNSAFE_NAME.search(stem) for stem in stems)


def join_id(inner: str, stem: str) -> str:
    """Return the id of an image from its folder in a tree ("." is the outermost) and its stem."""
    return str(PurePosixPath(inner) / stem)


# ---------------------------------------------------------------- one folder


@dataclass
class Listing:
    """The images in a folder.

    Attributes
    ----------
    folder : Path
    images : dict of str to Path
        By stem, sorted.
    mistakes : list of str
        Error messages.
    unread : list of str
        File names of images in formats that are not read.
    """

    folder: Path
    images: dict[str, Path] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def unread_text(self) -> str:
        """The message about images in formats that are not read."""
        return (
            f"{self.folder}: cannot read the format of {shortened_list(self.unread)}, save as TIFF "
            "or PNG first, for example with Fiji"
        )

    @property
    def all_mistakes(self) -> list[str]:
        """The error messages; unread formats are a mistake if there are no images."""
        return self.mistakes + ([self.unread_text] if self.unread and not self.images else [])

    def print_notes(self) -> None:
        """Print which files are not read, and which are masks without their image."""
        texts = [self.unread_text] if self.unread and self.images else []
        for text in [*texts, *lone_texts(self.images)]:
            print(f"note: {text}")


def list_folder(folder: Path, only: Iterable[Path] | None = None) -> Listing:
    """Return the images in a folder, without those in inner folders.

    Mistakes are broken links and the like, two images with the same stem (ignoring case, as their
    results would clash on Windows and macOS), and names that not every system allows.

    Parameters
    ----------
    folder : path
    only : iterable of Path, optional
        Consider only these files of the folder.

    Raises
    ------
    UserError
        The folder is missing.
    """
    folder, taken = Path(folder), {}
    listing = Listing(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}, make it and put images into it")
    for path in sorted(only or folder.iterdir(), key=lambda path: (stem_of(path), path.name)):
        suffix = path.suffix.lower()
        if is_hidden(path) or is_folder(path):
            continue
        if suffix in UNREAD_SUFFIXES:
            listing.unread.append(path.name)
        elif suffix not in IMAGE_SUFFIXES:
            continue
        elif mistake := mistake_in(path):
            listing.mistakes.append(mistake)
        else:
            stem = stem_of(path)
            other = taken.setdefault(stem.casefold(), path.name)
            if other != path.name:
                listing.mistakes.append(
                    f"{path}: {other} has the same name before the dot, rename or remove one"
                )
            listing.images[stem] = path
    return listing


def mistake_in(path: Path) -> str | None:
    """Return the error message about a path that cannot be the file of an image, else None."""
    name = one_line(path.name)
    if not (path.is_file() or path.is_dir()):
        what = "not a file" if path.exists() else "a link to nothing"
        return f"{path.parent / name}: {what}, put the image there or remove it"
    if UNSAFE_NAME.search(path.stem):
        return (
            f"{path.parent}: {name!r} has a character that not every system allows in a name, "
            "rename it"
        )
    return None


def list_images(folder: Path) -> dict[str, Path]:
    """Return {stem: path} of the images in a folder, sorted; raise UserError on any mistake."""
    listing = list_folder(folder)
    if listing.all_mistakes:
        raise UserError(*listing.all_mistakes)
    return listing.images


def list_tree(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return {id: path} of the images in those folders of a tree that `names`, ids, lie in."""
    found = {}
    for inner in sorted({str(PurePosixPath(name).parent) for name in names} | {"."}):
        if inner == "." or (is_id(inner) and (Path(folder) / inner).is_dir()):
            listed = list_images(Path(folder) / inner)
            found |= {join_id(inner, stem): path for stem, path in listed.items()}
    return found


def print_folder_notes(folder: Path) -> None:
    """Print which images and inner folders in a folder of images are not read."""
    if text := inner_folders_text(folder):
        print(f"note: {text}")
    list_folder(folder).print_notes()


def inner_folders_text(folder: Path) -> str:
    """Return the message about folders in a folder of images, "" if there are none."""
    folders = [path for path in sorted(folder.iterdir()) if is_folder(path)]
    inner = [path.name for path in folders if not is_hidden(path) and path.name != "corrected"]
    remedy = "move them up"
    if folder == RAW_TEST:
        remedy = f"run python find_myelin.py --images {folder.as_posix()}, which keeps the folders"
    what = f"images in inner folders are not read ({shortened_list(inner)})"
    return f"{folder}: {what}, {remedy}" if inner else ""


# ---------------------------------------------------------------- images and their masks


def part_of(stem: str) -> tuple[str, str, str] | None:
    """Return the image of a file by its name, what it shows (a key of `ENDINGS`) and its ending.

    >>> part_of("a/x_seg-axon"), part_of("x_Nerve"), part_of("x")
    (('a/x', 'axon', '_seg-axon'), ('x', 'nerve', '_nerve'), None)
    """
    for part, endings in ENDINGS.items():
        name = stem.lower() if part == "nerve" else stem
        for ending in endings:
            if name.endswith(ending) and len(name) > len(ending):
                return stem[: -len(ending)], part, ending
    return None


def parts_among(stems: Iterable[str], part: str) -> dict[str, dict[str, str]]:
    """Return {image: {ending: stem}} of the files that show one part of an image, best first."""
    found = {}
    for stem in stems:
        match part_of(stem):
            case (image, kind, ending) if kind == part:
                found.setdefault(image, {})[ending] = stem
    order = ENDINGS[part].index
    return {
        image: {key: own[key] for key in sorted(own, key=order)} for image, own in found.items()
    }


def axon_for(mask: str, axons: dict[str, str]) -> str | None:
    """Return the stem of the axon mask that belongs to a mask of one ending; None without one.

    `axons` is an entry of `parts_among(..., "axon")`; AxonDeepSeg's do not belong to `x_mask`.
    """
    allowed = ENDINGS["axon"][:1] if mask == "_mask" else ENDINGS["axon"]
    if mask.startswith("_seg"):
        allowed = [*allowed[1:], allowed[0]]
    return next((axons[ending] for ending in allowed if ending in axons), None)


def misnamed(stems: Iterable[str], images: Iterable[str]) -> dict[str, str]:
    """Return {stem: right name} of masks whose names nearly follow the rule.

    Parameters
    ----------
    stems : iterable of str
        Names to check.
    images : iterable of str
        Names of images that they may be masks of.

    >>> misnamed(["x", "y", "x-Mask", "mask_y", "Mask of x", "y_mask"], ["x", "y"])
    {'x-Mask': 'x_mask', 'mask_y': 'y_mask', 'Mask of x': 'x_mask'}
    """
    names, found = set(images), {}
    by_name = {image.casefold(): image for image in names}
    for stem in stems:
        known = part_of(stem)
        if known and known[0] in names:
            continue
        for match in filter(None, (pattern.fullmatch(stem) for pattern in LIKE_A_MASK)):
            if image := by_name.get(match["image"].casefold()):
                found[stem] = f"{image}_{match['kind'].lower().replace('myelin', 'mask')}"
    return found


def misnamed_texts(wrong: dict[str, str], found: dict[str, Path]) -> list[str]:
    """Return the messages about misnamed masks; `wrong` is from `misnamed`."""
    texts = []
    for stem, right in wrong.items():
        looks = f"{found[stem]}: looks like a mask of {right.rpartition('_')[0]}"
        if right in found:
            texts.append(f"{looks}, but {found[right].name} is there too, rename or remove one")
        else:
            name = right + found[stem].suffix
            texts.append(f"{looks}, rename it to {name}, or otherwise if it is an image")
    return texts


def results_in(found: dict[str, Path]) -> dict[str, str]:
    """Return {stem: error message} of results that lie beside the images they were made from."""
    return {
        stem: f"{path}: looks like a result made from {stem.rpartition('_')[0]}, not an image, "
        "move it out of the folder"
        for stem, path in found.items()
        if stem.endswith(RESULTS) and stem.rpartition("_")[0] in found
    }


def references_among(found: dict[str, Path]) -> dict[str, str]:
    """Return {stem: image} of the files that show masks, axons or the nerve of an image.

    Without that image, names such as `x_axon` may be those of images: their pixels decide.
    """
    references = {}
    for stem, path in found.items():
        image, _, ending = part_of(stem) or ("", "", "")
        certain = image in found or ending.startswith("_seg") or ending in NO_IMAGES
        if image and (certain or is_drawn(path)):
            references[stem] = image
    return references


def is_drawn(path: Path) -> bool:
    """Return whether an image file has so few grey values that it is drawn, not photographed."""
    try:
        record = read_record(path)
        small = math.prod(record.shape) <= MAX_DRAWN_PX
        return small and has_few_values(read_image(record))
    except UserError:  # named where images are read
        return False


def warn_if_drawn(path: Path, image: np.ndarray) -> None:
    """Print a warning if an image to segment, uint8 (rows, cols), looks like a mask."""
    if has_few_values(image):
        print(
            f"warning: {path}: has {len(np.unique(image))} grey values, as a mask does; name it "
            f"after its image, x_mask{path.suffix}, or move it away, since it affects the scale of "
            "the other images"
        )


def lone_texts(found: dict[str, Path]) -> list[str]:
    """Return a message for each mask, axon mask or outline among {stem: path} without its image."""
    return [
        f"{found[stem]}: shows a part of {image}, but there is no image {image}; left out"
        for stem, image in references_among(found).items()
        if image not in found
    ]


def training_pairs(folder: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return (image, mask) paths of a folder, paired by stem, and error messages."""
    listing = list_folder(folder)
    found, pairs = listing.images, []
    references, masks = references_among(found), parts_among(found, "mask")
    wrong = misnamed(found, [stem for stem in found if stem not in references])
    results = results_in(found)
    errors = listing.all_mistakes + misnamed_texts(wrong, found) + [*results.values()]
    for stem, path in found.items():
        partner = f"{stem}_mask"
        if stem in references:
            image = references[stem]
            if image not in found:
                errors.append(f"{path}: a mask without an image, add {image}.tif or remove it")
        elif stem in wrong or stem in results:
            continue
        elif stem in masks:
            pairs.append((path, found[next(iter(masks[stem].values()))]))
        elif partner not in wrong.values():
            errors.append(f"{path}: an image without a mask, add {partner}.tif or remove it")
    return pairs, errors


def axon_beside(mask: Path) -> Path | None:
    """Return the axon mask that lies beside a myelin mask and belongs to it; None without one."""
    image, part, ending = part_of(stem_of(mask)) or ("", "", "")
    if part != "mask":
        return None
    pattern = f"{glob.escape(image)}_*axon*"
    found = filter(lambda path: path.suffix.lower() in SUFFIXES, mask.parent.glob(pattern))
    there = {stem_of(path): path for path in found}
    stem = axon_for(ending, parts_among(there, "axon").get(image, {}))
    return there.get(stem)


def find_test_images(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return {stem: path} of the images to segment in a folder, and error messages."""
    listing = list_folder(folder)
    images, errors = images_among(listing.images)
    return images, listing.all_mistakes + errors


def test_images(folder: Path) -> dict[str, Path]:
    """Return {stem: path} of the images to segment in a folder, none if it does not exist.

    Raises UserError on any mistake in it.
    """
    images, errors = find_test_images(folder) if folder.is_dir() else ({}, [])
    if errors:
        raise UserError(*errors)
    return images


test_images.__test__ = False  # pytest would take it for a test


def images_among(found: dict[str, Path]) -> tuple[dict[str, Path], list[str]]:
    """Return the images to segment among {stem: path}, and error messages.

    Masks, axon masks and nerve outlines are references and stay out.
    """
    references = references_among(found)
    wrong = misnamed(found, [stem for stem in found if stem not in references])
    results = results_in(found)
    others = references.keys() | wrong.keys() | results.keys()
    images = {stem: path for stem, path in found.items() if stem not in others}
    return images, [*misnamed_texts(wrong, found), *results.values()]
