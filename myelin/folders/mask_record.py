"""The record in a mask's own TIFF, which tells the program's masks from those edited by the user.

A mask whose pixels have the hash in its record is the program's. A mask without a record is the
user's, unless `run.json` has the hash of its pixels: ImageJ drops the tag of a mask that it saves.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from myelin.folders.naming import is_id, join_id
from myelin.images.image import read_image, read_mask, read_mask_record
from myelin.runtime.cli import UserError

MODELS_OWN = "model"  # folder beside the user's masks for those of the model
REPLACED = "corrected"  # folder beside the masks for copies of the user's that were replaced
# Entry of the record that `rois.py import` writes: the `pixel_hash` of its file.
IMPORTED = "imported_sha256"
# Settings that all masks of one run share.
SETTINGS = ("model_sha256", "threshold", "options", "test_set")


def pixel_hash(pixels: np.ndarray) -> str:
    """Return the SHA-256 of the pixels of an image or mask as hexadecimal text.

    The hash of a mask stays the same if an editor saves it again unchanged.

    Parameters
    ----------
    pixels : uint8 or bool array, (rows, cols)
        A mask is hashed as 0 and 255, as it is stored.
    """
    if pixels.dtype == bool:
        pixels = pixels.view(np.uint8) * np.uint8(255)
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def hash_of_mask(path: Path, read: Callable[[Path], np.ndarray] = read_mask) -> str | None:
    """Return the `pixel_hash` of a mask file, None if it cannot be read as a mask."""
    try:
        return pixel_hash(read(path))
    except UserError:
        return None


def mask_record(path: Path) -> dict | None:
    """Return the record in a mask's TIFF, None if it has none.

    Returns
    -------
    dict or None
        "mask_sha256" of the pixels that the program wrote, "image_sha256", "model_sha256",
        "view_sha256" (None if polarity and scale were given), "threshold", "options" (those that
        were given), "network_scale", "myelin" ("bright" or "dark"), "has_fibers", "doubtful" and
        the other facts about an image in `run.json`.
    """
    record = read_mask_record(path)
    return None if record and IMPORTED in record else record


def is_imported(path: Path) -> bool:
    """Return whether a file has the pixels that `rois.py import` gave it."""
    known = (read_mask_record(path) or {}).get(IMPORTED)
    try:
        return known is not None and pixel_hash(read_image(path)) == known
    except UserError:
        return False


def written_by_program(
    path: Path,
    run: dict | None = None,
    name: str = "",
    read: Callable[[Path], np.ndarray] = read_mask,
) -> bool:
    """Return whether a mask has the pixels that the program gave it.

    Parameters
    ----------
    path : Path
    run : dict, optional
        From `read_run`; knows the hashes of masks that have no record.
    name : str
        Id of the image.
    read : function
        Returns the pixels of a mask file.
    """
    record = mask_record(path)
    if not record:
        record = run["images"].get(name, {}) if run else {}
    known = record.get("mask_sha256")
    return known is not None and hash_of_mask(path, read) == known


def read_run(folder: Path) -> dict | None:
    """Return the summary of the run that wrote a folder of masks, None if no run did.

    If `run.json` is missing, names no images, or is of a run that was stopped, the images are those
    whose masks have a record of that run.

    Returns
    -------
    dict or None
        As `run.json`: the settings, "source", "complete", and "images", {id: record}.
    """
    run = read_summary(folder / "run.json")
    if run is not None and run.get("complete") is not False and run["images"]:
        return run
    records = records_in(folder)
    if run is None and not records:
        return None
    if run is None:
        run = {"complete": False, "images": {}, **settings_of(records[0][1])}
    wanted = settings_of(run)
    same = {name: fact_of(record) for name, record in records if settings_of(record) == wanted}
    return run | {"images": dict(sorted((run["images"] | same).items()))}


def settings_of(facts: dict) -> dict:
    """Return the settings that all masks of one run share, from a record or a summary."""
    return {key: facts.get(key) for key in SETTINGS}


def fact_of(record: dict) -> dict:
    """Return the entry of one image in `run.json`, from the record of its mask."""
    return {key: record[key] for key in sorted(record) if key not in (*SETTINGS, "version")}


def read_summary(path: Path) -> dict | None:
    """Return the contents of `run.json`, without malformed entries; None if it cannot be read."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        run = None
    if not isinstance(run, dict):
        print(f"note: {path}: cannot be read, ignored")
        return None
    facts = run.get("images", {})
    named = facts.items() if isinstance(facts, dict) else ()
    run["images"] = {name: fact for name, fact in named if is_id(name) and isinstance(fact, dict)}
    if len(run["images"]) < len(facts):
        run["complete"] = False  # the masks' own records take precedence
    return run


def records_in(folder: Path) -> list[tuple[str, dict]]:
    """Return (id, record) of the masks in a folder tree, the latest first."""
    found = []
    for path in folder.rglob("*_mask.tif"):
        record = mask_record(path)
        if record and REPLACED not in path.parts:
            inner = path.parent.parent if path.parent.name == MODELS_OWN else path.parent
            stem = path.stem.removesuffix("_mask")
            found.append(
                (path.stat().st_mtime_ns, join_id(str(inner.relative_to(folder)), stem), record)
            )
    return [(name, record) for _, name, record in sorted(found, key=lambda one: -one[0])]
