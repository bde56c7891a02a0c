"""Images in files, folders and folder trees, read as they are: `find_myelin.py --images`.

An id is the path of an image within the tree, without its suffix and with / on every system:
`control/animal1/x`. The outputs folder has the same tree.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from myelin.folders.image_source import ImageSource, SourceImage
from myelin.folders.mask_record import MODELS_OWN, REPLACED, pixel_hash, read_run
from myelin.folders.naming import (
    RAW_TEST,
    UNSAFE_NAME,
    images_among,
    is_folder,
    is_hidden,
    join_id,
    list_folder,
    warn_if_drawn,
)
from myelin.folders.pixel_sizes import usable_size
from myelin.images.image import print_turned, read_record, read_scaled
from myelin.images.plane_selection import stored_take, take_text
from myelin.runtime.cli import UserError, one_line, progress, shortened_list


def open_images(
    given: list[str], out: Path, strict: bool = False, take: dict[str, int] | None = None
) -> ImageSource:
    """Find all images and read each once, so that a damaged one is reported before the run starts.

    Parameters
    ----------
    given, out
        As for `find_images`.
    strict : bool
        Whether an image that cannot be read is an error; else it is in `failed`.
    take : dict of str to int, optional
        Which image of files that hold several.

    Raises
    ------
    UserError
        See `find_images`; or no image can be read.
    """
    base, paths, failed = find_images(given, out)
    take, images, records = take or {}, [], []
    for name, path in progress(paths.items(), "reading"):
        try:
            record = read_record(path, take)
            pixels, limits = read_scaled(record)
        except UserError as mistake:
            failed.extend(mistake.args)
        else:
            size = usable_size(record, "segmented")
            facts = (name, path, record.shape, size, pixel_hash(pixels), take)
            images.append(SourceImage(*facts, grey_limits=limits))
            records.append(record)
            warn_if_drawn(path, pixels)
    if failed and (strict or not images):
        raise UserError(*failed)
    print_turned(records)
    origin = {"source": str(base), "given": list(map(str, given)), "take": take_text(take)}
    return ImageSource(images, origin, failed)


# ---------------------------------------------------------------- finding


def find_images(
    given: list[str], out: Path | None = None
) -> tuple[Path, dict[str, Path], list[str]]:
    """Return the folder that ids begin from, {id: path} of the images, and unreadable folders.

    The folder is the given one, or the nearest that contains all that were given. There is an error
    message for each folder that may not be opened or has images only in unreadable formats.

    Parameters
    ----------
    given : list of str
        Files, folders, or patterns.
    out : Path, optional
        Folder of the outputs; files in it are not images.

    Raises
    ------
    UserError
        All mistakes at once: no images, names that not every system allows or that differ only in
        case, and those of `naming.images_among`.
    """
    paths = existing(given)
    base = common_folder(paths)
    if out and base.resolve() == out.resolve():
        raise UserError(f"--out {out}: is the folder of the images, choose another")
    found, unread, mistakes = {}, [], []
    for folder, only in folders_of(paths, out, mistakes, unread):
        inner = os.path.relpath(os.path.abspath(folder), os.path.abspath(base))
        inner = Path(inner).as_posix()
        mistakes += wrong_parts(folder, inner)
        listing = list_folder(folder, only)
        images, errors = images_among(listing.images)
        mistakes += listing.mistakes + errors
        listing.print_notes()
        if listing.unread and not listing.images:
            unread.append(listing.unread_text)
        found |= {join_id(inner, stem): path for stem, path in images.items()}
    mistakes += case_clashes(found)
    if not found and not mistakes:
        none = f"{shortened_list(given)}: no images, name folders that hold TIFF or PNG files"
        mistakes += unread or [none]
    if mistakes:
        raise UserError(*dict.fromkeys(mistakes))
    return base, dict(sorted(found.items())), unread


def existing(given: Iterable[str]) -> list[Path]:
    """Return the paths that were given, patterns expanded, which PowerShell does not do."""
    paths, missing = [], []
    for text in map(str, given):
        found = [text] if os.path.exists(text) else sorted(glob.glob(text))
        if not found:
            missing.append(f"--images {text}: no such file or folder, check the name")
        paths += map(Path, found)
    if missing:
        raise UserError(*missing)
    return paths


def common_folder(paths: list[Path]) -> Path:
    """Return the folder that was given, or the nearest that contains all paths."""
    folders = [path if is_folder(path) else path.parent for path in paths]
    if len(folders) == 1:
        return folders[0]
    try:
        common = os.path.commonpath(list(map(os.path.abspath, folders)))
        here = os.path.relpath(common)
    except ValueError:  # on Windows
        raise UserError("--images: on several drives, start one run for each") from None
    return Path(common if here.startswith(os.pardir) else here)


def folders_of(
    paths: list[Path], out: Path | None, mistakes: list[str], unread: list[str]
) -> Iterator[tuple[Path, list[Path] | None]]:
    """Yield each folder to search and the files in it that were given, None for all.

    Error messages are added to `mistakes`; those about folders without permission to `unread`.
    """
    files = {}
    for path in paths:
        if is_folder(path):
            if os.path.isfile(path / "run.json"):
                mistakes.append(f"{path}: holds results of a run, name the folder of the images")
                continue
            for folder in walk(path, out and out.resolve(), unread):
                yield folder, None
        else:
            files.setdefault(path.parent, []).append(path)
    yield from files.items()


def walk(
    folder: Path, out: Path | None, unread: list[str], above: tuple[Path, ...] = ()
) -> Iterator[Path]:
    """Yield a folder and all folders in it, sorted, without hidden folders and those of results.

    Error messages about folders without permission are added to `unread`.
    """
    if not os.access(folder, os.R_OK | os.X_OK):
        unread.append(f"{folder}: no permission to open it, ask for it or move it")
        return
    yield folder
    above = (*above, folder.resolve())
    for path in sorted(filter(is_folder, folder.iterdir())):
        real = path.resolve()
        if is_hidden(path) or path.name == REPLACED:
            continue
        if real in above:
            print(f"note: {one_line(str(path))}: leads back to a folder above it, skipped")
        elif real == out or os.path.isfile(path / "run.json"):
            print(f"note: {one_line(str(path))}: results of a run, skipped")
        else:
            yield from walk(path, out, unread, above)


def wrong_parts(folder: Path, inner: str) -> list[str]:
    """Return error messages about the names of folders in an id."""
    parts = [] if inner == "." else inner.split("/")
    if any(UNSAFE_NAME.search(part) for part in parts):
        return [
            f"{one_line(str(folder))}: a character that not every system allows in a name, "
            "rename the folder"
        ]
    if MODELS_OWN in map(str.casefold, parts):
        return [f"{folder}: this name is reserved for the model's masks, rename the folder"]
    return []


def case_clashes(found: dict[str, Path]) -> list[str]:
    """Return error messages about ids that differ only in case: one file on many drives."""
    first, mistakes = {}, []
    for name, path in found.items():
        other = first.setdefault(name.casefold(), path)
        if other != path:
            mistakes.append(f"{path}: differs from {other} only in case, rename one")
    return mistakes


def source_of(run: dict | None) -> Path:
    """Return the folder of the images of a run, from `run.json`; `raw/test` by default."""
    source = (run or {}).get("source")
    return Path(source) if isinstance(source, str) else RAW_TEST


def takes_of(run: dict | None, paths: Iterable[Path]) -> dict[Path, dict[str, int]]:
    """Return {path: which image of a file that holds several} for images that a run read as files.

    `run` is from `read_run`.
    """
    text = (run or {}).get("take")
    if "given" not in (run or {}) or not isinstance(text, str):
        return {}
    return dict.fromkeys(paths, stored_take(text, "take in run.json", "find_myelin.py"))


def names_within(folder: Path) -> list[str]:
    """Return ids that tell in which folders of a tree masks are: those of its run, if it has one.

    Without a run, a tree has its masks in inner folders and none in the outermost.
    """
    run = read_run(folder)
    if run is not None:
        return list(run["images"])
    if not folder.is_dir() or list_folder(folder).images:
        return []
    inner = (path.relative_to(folder).as_posix() for path in walk(folder, folder.resolve(), []))
    return [join_id(one, "x") for one in inner]
