"""Whose is a mask in `preds/`: the program's, which knows it by its hash, or the user's.

`run.json`, with its journal, is written before the masks it speaks of, so that it is right whenever
a run is stopped:

    "complete": false                        true at the end of the run
    "pending": ["b", "c"]                    images that the run has not come to
    "decided": {"b": {"image_sha256": ...}}  how those will be segmented
    "images": {"a": {"mask_sha256": ...}}    what it has written or is about to write
    "earlier": {"b": {"mask_sha256": ...}}   what earlier runs have left in the folder

A mask that has none of these hashes is the user's: `find_myelin.py` keeps it, and writes its own to
`preds/model/`. Where the image itself (`image_sha256`) has changed, what the user has drawn on the
old one moves to `preds/corrected/`.
"""

import hashlib
import itertools
import json
import shutil
from pathlib import PurePosixPath

import numpy as np

from myelin.folders.journal import add_journal
from myelin.images.formats import SUFFIXES
from myelin.images.image import read_image, read_mask
from myelin.runtime.cli import UserError, progress
from myelin.runtime.files import replacing, sha256

MODELS_OWN = "model"  # folder beside masks of the model's masks where a corrected one stands
REPLACED = "corrected"  # folder beside masks of corrected masks that --force has replaced


def pixel_hash(pixels):
    """Return the SHA-256 of an image's or a mask's pixels as hexadecimal text.

    Of the pixels, not of the file: a mask that an editor saved again unchanged is the same mask.

    Parameters
    ----------
    pixels : uint8 or bool array, (rows, cols)
        A mask counts as 0 and 255, as it is stored.
    """
    if pixels.dtype == bool:
        pixels = pixels.view(np.uint8) * np.uint8(255)
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def read_run(folder):
    """Return a folder's `run.json`, None where it has none.

    Raises
    ------
    UserError
        It cannot be read.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if run is not None:
            set(run.get("images", ())) | set(run.get("pending", ()))
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}), run python find_myelin.py or remove it"
        ) from None
    if isinstance(run, dict):
        add_journal(folder, run)
    return run


def hashes_in(run, key, kind="mask_sha256"):
    """Return {id: hash} of what `run.json` lists under "images" or "earlier".

    Parameters
    ----------
    run : dict
        Those of version 1.0.0 recorded no hashes.
    key : "images" or "earlier"
    kind : "mask_sha256" or "image_sha256"
    """
    return facts_in(run, key, kind, str)


def facts_in(run, key, name, kind):
    """Return {id: value} of one fact of the images that `run.json` lists under a key.

    Values of another type than `kind` are left out: the file may be of another version, or edited.
    """
    listed = run.get(key)
    return {
        image: fact[name]
        for image, fact in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(fact, dict) and isinstance(fact.get(name), kind)
    }


def masks_in(folder, names=()):
    """Return {id: [path]} of the masks in a folder, in whatever format; empty without a folder.

    Of a tree, those in the folders of some ids, `names`.
    """
    found = {}
    for inner in sorted({PurePosixPath(name).parent for name in names} | {PurePosixPath()}):
        for path in sorted((folder / inner).glob("*_mask.*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                found.setdefault(str(inner / path.stem.removesuffix("_mask")), []).append(path)
    return found


def hash_of_mask(path, read=read_mask):
    """Return the `pixel_hash` of a mask, None where the file is no mask."""
    try:
        return pixel_hash(read(path))
    except UserError:
        return None


def earlier_runs(folder, names=()):
    """Return what earlier runs have left in `preds/`, as `run.json` lists it under "earlier".

    Where an older version left no hash, a mask is taken for the program's if a threshold of the
    probability beside it gives the same: then nothing is lost with it.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Ids of images whose folders are looked into besides those of earlier runs.

    Returns
    -------
    dict of str to dict
        "mask_sha256" of a mask that the program wrote, "image_sha256" of the image.
    """
    try:
        run = read_run(folder) or {}
    except UserError:  # damaged; it is about to be replaced
        run = {}
    hashes = hashes_in(run, "images"), hashes_in(run, "earlier")
    images = (hashes_in(run, key, "image_sha256") for key in ("earlier", "images"))
    found = {name: {"image_sha256": known} for some in images for name, known in some.items()}
    for name, paths in progress(masks_in(folder, [*names, *found]).items(), "checking masks"):
        path = folder / f"{name}_mask.tif"
        known = [some[name] for some in hashes if name in some]
        actual = programs_hash(path, known, run.get("threshold")) if path in paths else None
        if actual:
            found.setdefault(name, {})["mask_sha256"] = actual
    return found


def programs_hash(path, known, threshold):
    """Return the hash of `<id>_mask.tif` where the program wrote it, else None.

    Parameters
    ----------
    path : Path
    known : collection of str
        The hashes that runs have recorded of it.
    threshold : float or None
        That of the run.
    """
    actual = hash_of_mask(path)
    if actual in known or (actual and not known and is_threshold(path, threshold)):
        return actual
    return None


def is_threshold(path, threshold=None):
    """Whether a mask is what a threshold makes of the probability beside it.

    Parameters
    ----------
    path : Path
        `<id>_mask.tif`, with `<id>_pred.png` beside it.
    threshold : float, optional
        The one to try; else any.
    """
    mask = read_mask(path)
    try:
        probability = read_image(path.with_name(f"{path.stem.removesuffix('_mask')}_pred.png"))
    except UserError:
        return False
    if probability.shape != mask.shape:
        return False
    lowest_in = int(probability[mask].min(initial=255))
    highest_out = int(probability[~mask].max(initial=0))
    if isinstance(threshold, int | float):  # half a grey level was lost in rounding
        return highest_out - 0.5 <= 255 * threshold <= lowest_in + 0.5
    return highest_out <= lowest_in


def set_aside(path):
    """Move a user's file to `preds/corrected/` under a name of its own; return its new path."""
    moved = free_path(path)
    path.rename(moved)
    return moved


def free_path(path):
    """Return a name in the folder `corrected/` beside a file that nothing there has."""
    folder = path.parent / REPLACED
    folder.mkdir(exist_ok=True)
    for number in itertools.count(1):
        free = folder / (path.name if number == 1 else f"{path.stem}_{number}{path.suffix}")
        if not free.exists():
            return free


# ---------------------------------------------------------------- label images of morphometry.py


def label_hashes(folder, names):
    """Return {file name: SHA-256} of the label images of some images, for `run.json`."""
    files = [folder / f"{name}_{part}.tif" for name in names for part in ("labels", "axons")]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def keep_edited(folder):
    """Copy label images that were edited by hand, before they are written anew, and say so.

    Parameters
    ----------
    folder : Path
        That of an earlier run of `morphometry.py`, whose `run.json` has the hashes.
    """
    try:
        known = (read_run(folder) or {}).get("label_sha256")
    except UserError:
        return
    for name, hashed in known.items() if isinstance(known, dict) else ():
        path = folder / name
        inside = path.is_relative_to(folder) and ".." not in path.parts
        if inside and path.is_file() and sha256(path) != hashed:
            copy = free_path(path)
            with replacing(copy) as temporary:
                shutil.copyfile(path, temporary)
            print(f"note: {path} was edited by hand and is written anew, yours is {copy}")
