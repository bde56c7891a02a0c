"""Images in files, folders and folder trees, as they are: what `find_myelin.py --images` segments.

An id is the path of an image within the tree, without its suffix and with / on every system:
`control/animal1/x`. Results lie at the same place in the folder that they are written to.
"""

import argparse
import glob
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.folders.naming import (
    RAW_TEST,
    UNSAFE_NAME,
    images_among,
    is_hidden,
    join_id,
    list_images,
)
from myelin.folders.ownership import MODELS_OWN, REPLACED, pixel_hash, read_run
from myelin.images.image import read_image, read_record
from myelin.images.plane_selection import parse_take
from myelin.runtime.cli import UserError, printable, progress, shortened_list

MAX_DEPTH = 40  # folders within folders; more are a mistake that no cycle of links shows


@dataclass
class ImageFiles:
    """Images that are read from their files one at a time; a sequence like `packed.TestSet`.

    Attributes
    ----------
    source : Path
        The folder that ids begin from.
    paths : dict of str to Path
        By id.
    take : dict of str to int
        Which image of files that hold several, as from `take.parse_take`.
    ids : list of str
        Of the images that can be read.
    shapes : int array, (N, 2)
    pixel_sizes_um : list of (float or None)
    hashes : list of str
        The `ownership.pixel_hash` of each.
    failed : list of str
        A text for each image, and each folder of images, that cannot be read.
    """

    source: Path
    paths: dict
    take: dict = field(default_factory=dict)
    ids: list = field(default_factory=list)
    shapes: np.ndarray = None
    pixel_sizes_um: list = field(default_factory=list)
    hashes: list = field(default_factory=list)
    failed: list = field(default_factory=list)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        """Return one image, uint8 (rows, cols)."""
        return read_image(read_record(self.paths[self.ids[index]], self.take))


def open_images(given, out, strict=False, take=None):
    """Find and read all images once, so that a night does not end at one that is damaged.

    Parameters
    ----------
    given : list of str
        Files, folders, or patterns of these.
    out : Path
        Where results go; what lies there is none of the images.
    strict : bool
        Whether one that cannot be read is an error.
    take : dict of str to int, optional

    Returns
    -------
    ImageFiles

    Raises
    ------
    UserError
        See `find_images`; or no image can be read.
    """
    base, paths, unread = find_images(given, out)
    images = ImageFiles(base, paths, take or {}, failed=unread)
    shapes = []
    for name, path in progress(images.paths.items(), "reading"):
        try:
            record = read_record(path, images.take)
            pixels = read_image(record)
        except UserError as mistake:
            images.failed.extend(mistake.args)
            continue
        images.ids.append(name)
        images.hashes.append(pixel_hash(pixels))
        images.pixel_sizes_um.append(pixel_size_of(record))
        shapes.append(record.shape)
    if images.failed and (strict or not images.ids):
        raise UserError(*images.failed)
    images.shapes = np.array(shapes, np.int64).reshape(-1, 2)
    return images


def pixel_size_of(record):
    """Return the pixel size that an image records in µm, None where none can be used."""
    try:
        return record.pixel_size()[0]
    except UserError as mistake:
        print(f"note: {mistake}; segmented without a pixel size")
        return None


# ---------------------------------------------------------------- finding


def find_images(given, out=None):
    """Return the folder that ids begin from, {id: path} of the images, and what cannot be read.

    The folder is the one that was given, or the nearest above all that were; of what cannot be read
    a text for each folder that has images only in such formats.

    Parameters
    ----------
    given : list of str
    out : Path, optional
        Where results go; what lies there is none of the images.

    Raises
    ------
    UserError
        All mistakes at once: nothing there or nothing that can be read, names that not every
        system allows, images whose results would have one name, what `naming.test_images` names.
    """
    paths, mistakes = existing(given)
    if mistakes:
        raise UserError(*mistakes)
    base = common_folder(paths)
    if out and base.resolve() == out.resolve():
        raise UserError(f"--out {out}: is the folder of the images, choose another")
    found, unread = {}, []
    for folder, only in folders_of(paths, out, mistakes, unread):
        inner = os.path.relpath(os.path.abspath(folder), os.path.abspath(base))
        inner = Path(inner).as_posix()
        mistakes += wrong_parts(folder, inner)
        images = images_among(list_images(folder, mistakes, only, unread), mistakes)
        found |= {join_id(inner, stem): path for stem, path in images.items()}
    mistakes += clashes(found)
    if not found and not mistakes:
        none = f"{shortened_list(given)}: no images, name folders that hold TIFF or PNG files"
        mistakes += unread or [none]
    if mistakes:
        raise UserError(*dict.fromkeys(mistakes))
    return base, dict(sorted(found.items())), unread


def existing(given):
    """Return the paths that some texts name, patterns among them, and a mistake for each without.

    PowerShell hands on patterns as they are.
    """
    paths, mistakes = [], []
    for text in map(str, given):
        found = [text] if os.path.exists(text) else sorted(glob.glob(text))
        if not found:
            mistakes.append(f"--images {text}: no such file or folder, check the name")
        paths += map(Path, found)
    return paths, mistakes


def common_folder(paths):
    """Return the folder that was given, or the nearest above all that were."""
    folders = [path if is_folder(path) else path.parent for path in paths]
    if len(folders) == 1:
        return folders[0]
    try:
        common = os.path.commonpath(list(map(os.path.abspath, folders)))
        here = os.path.relpath(common)
    except ValueError:  # of Windows
        raise UserError("--images: lie on several drives, make a run for each") from None
    return Path(common if here.startswith(os.pardir) else here)


def folders_of(paths, out, mistakes, unread):
    """Yield each folder to look into, and the files of it that were given, None for all.

    A folder that one may not look into is added to `unread`.
    """
    files = {}
    for path in paths:
        if is_folder(path):
            if os.path.isfile(path / "run.json"):
                mistakes.append(f"{path}: results of a run, name the folder of the images")
                continue
            for folder in walk(path, out and out.resolve()):
                if may_read(folder):
                    yield folder, None
                else:
                    unread.append(f"{folder}: no permission to look into it, ask for it or move it")
        else:
            files.setdefault(path.parent, []).append(path)
    yield from files.items()


def may_read(folder):
    """Whether one may look into a folder."""
    return os.access(folder, os.R_OK | os.X_OK)


def is_folder(path):
    """Whether a path is a folder that holds images; one of OME-Zarr is an image."""
    return path.is_dir() and path.suffix.lower() != ".zarr"


def walk(folder, out, above=()):
    """Yield a folder and all within, sorted; not those of the system, of results, and above it."""
    yield folder
    above = (*above, folder.resolve())
    for path in sorted(filter(is_folder, folder.iterdir() if may_read(folder) else ())):
        real = path.resolve()
        if is_hidden(path) or path.name == REPLACED:
            continue
        if real in above or len(above) > MAX_DEPTH:
            print(f"note: {printable(str(path))}: leads back to a folder above it, not followed")
        elif real == out or os.path.isfile(path / "run.json"):
            print(f"note: {printable(str(path))}: results of a run, not segmented")
        else:
            yield from walk(path, out, above)


def wrong_parts(folder, inner):
    """Return what is wrong with the names of folders in an id, as texts."""
    parts = [] if inner == "." else inner.split("/")
    if any(UNSAFE_NAME.search(part) for part in parts):
        return [
            f"{printable(str(folder))}: a character that not every system allows in a name, "
            "rename the folder"
        ]
    if MODELS_OWN in map(str.casefold, parts):
        return [f"{folder}: a folder of that name is for the model's masks, rename it"]
    return []


def clashes(found):
    """Return a text for each two images whose results would have one name on some system."""
    taken, texts = {}, []
    for name, path in found.items():
        other = taken.setdefault(name.casefold(), path)
        if other != path:
            texts.append(f"{path}: its results would have the names of those of {other}, rename it")
    return texts


def source_of(run):
    """Return the folder of the images of a run, by its `run.json`; `raw/test` where it says none.

    Parameters
    ----------
    run : dict or None
    """
    source = (run or {}).get("source")
    return Path(source) if isinstance(source, str) else RAW_TEST


def takes_of(run, paths):
    """Return {path: which image of a file that holds several} of images of a run that has files.

    Parameters
    ----------
    run : dict or None
    paths : iterable of Path
    """
    text = (run or {}).get("take")
    if "given" not in (run or {}) or not isinstance(text, str):
        return {}
    try:
        return dict.fromkeys(paths, parse_take(text))
    except argparse.ArgumentTypeError as mistake:
        raise UserError(f"take in run.json: {mistake}, run python find_myelin.py again") from None


def names_within(folder):
    """Return ids in the folders of a tree of masks: with `run.json` those in it, else all.

    The folders of masks alone, without `run.json`, are a tree where the first has no image.
    """
    run = read_run(folder) if folder.is_dir() else None
    if run is not None:
        return [*run.get("images", ()), *run.get("pending", ())]
    if not folder.is_dir() or list_images(folder, []):
        return []
    inner = (path.relative_to(folder).as_posix() for path in walk(folder, folder.resolve()))
    return [join_id(one, "x") for one in inner]
