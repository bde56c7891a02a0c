"""Find the user's files in a folder of masks, and keep them.

`find_myelin.py` keeps a mask edited by the user and writes the model's to `model/` beside it. With
`--force`, or if the image itself has changed, the user's files move to `corrected/` first.
"""

import glob
import itertools
from collections.abc import Iterable
from pathlib import Path

from myelin.folders.mask_record import MODELS_OWN, REPLACED, read_summary, written_by_program
from myelin.images.formats import SUFFIXES
from myelin.images.image import read_stored
from myelin.runtime.cli import shortened_list
from myelin.runtime.files import copy_file, sha256, stem_of


def files_of(folder: Path, name: str, part: str) -> list[Path]:
    """Return the files of an image of one kind, such as "_mask" or "_axon", in any format."""
    stem = f"{(folder / name).name}{part}"
    found = (folder / name).parent.glob(f"{glob.escape(stem)}.*")
    return sorted(one for one in found if one.suffix.lower() in SUFFIXES and stem_of(one) == stem)


def users_masks(folder: Path, name: str, run: dict | None = None) -> list[Path]:
    """Return the masks of an image that the user made or edited.

    Parameters
    ----------
    folder : Path
    name : str
        The image's id.
    run : dict, optional
        From `read_run`; knows the hashes of masks that have no record.
    """
    own = folder / f"{name}_mask.tif"
    masks = files_of(folder, name, "_mask")
    return [path for path in masks if path != own or not written_by_program(path, run, name)]


def models_own(folder: Path, name: str) -> Path:
    """Return where the model's mask of an image lies if the user has one."""
    own = folder / f"{name}_mask.tif"
    return own.parent / MODELS_OWN / own.name


def set_aside(path: Path) -> Path:
    """Move a user's file to the folder `corrected/` beside it; return its new path."""
    moved = free_path(path)
    path.rename(moved)
    return moved


def free_path(path: Path) -> Path:
    """Return a new name in the folder `corrected/` beside a file."""
    folder = path.parent / REPLACED
    folder.mkdir(exist_ok=True)
    for number in itertools.count(1):
        free = folder / (path.name if number == 1 else f"{path.stem}_{number}{path.suffix}")
        if not free.exists():
            return free


# ---------------------------------------------------------------- outputs of morphometry.py


def edited_nerves(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return {id: path} of found outlines of nerves that the user has edited since; name them."""
    paths = {name: folder / f"{name}_nerve.tif" for name in names}
    edited = {
        name: path
        for name, path in paths.items()
        if path.is_file() and not written_by_program(path, read=read_stored)
    }
    if edited:
        names = shortened_list([*edited])
        print(f"note: {folder}: nerves outlined by hand, used as given: {names}")
    return edited


def label_hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return {file name: SHA-256} of the label images of some images, for `run.json`."""
    files = [folder / f"{name}_{part}.tif" for name in names for part in ("labels", "axons")]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def keep_edited(folder: Path) -> None:
    """Copy label images edited by hand before they are replaced, and name the copies.

    Parameters
    ----------
    folder : Path
        Results of an earlier run of `morphometry.py`, whose `run.json` has the hashes.
    """
    known = (read_summary(folder / "run.json") or {}).get("label_sha256")
    for name, hashed in known.items() if isinstance(known, dict) else ():
        path = folder / name
        if path.is_file() and sha256(path) != hashed:
            copy = free_path(path)
            copy_file(path, copy)
            print(f"note: {path} was edited by hand and is replaced, yours is {copy}")
