"""Lasting numbers: a fiber keeps its number when its mask is corrected and measured again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.images.image import read_labels
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import LabelImage, shared_pixels
from myelin.runtime.cli import UserError
from myelin.runtime.tables import read_table

# Two fibers are the same if they share at least this fraction of the smaller one.
MIN_OVERLAP = 0.5


@dataclass
class Earlier:
    """The labels of the fibers of an earlier run, and those left out, see `read_left_out`."""

    labels: LabelImage
    left_out: list[tuple[int, float, float]]


class Numbers:
    """The numbers that fibers had in an earlier run of `morphometry.py`.

    New fibers get numbers above all that an image ever had, from `run.json`.

    Parameters
    ----------
    folder : Path
        Label images, tables and `run.json` of that run, if there was one.
    renumber : bool
        Whether to number all fibers from 1.

    Attributes
    ----------
    highest : dict of str to int
        The highest number that each image ever had.
    masks : dict of str to list of str
        `exclude.mask_hash` of each image's masks that have these numbers, the latest first.
    """

    def __init__(self, folder: Path, renumber: bool = False) -> None:
        self.folder = folder
        self.renumber = renumber
        self.earlier_highest, self.earlier_masks = read_earlier(folder / "run.json", renumber)
        self.highest = dict(self.earlier_highest)
        self.masks = dict(self.earlier_masks)

    def assign(self, name: str, fibers: Fibers, mask_hash: str) -> None:
        """Set the column `fiber` of an image's fibers; a second call sets the same numbers."""
        earlier = None if self.renumber else self.earlier(name, fibers.labels.shape)
        shared = None if earlier is None else shared_pixels(fibers.labels, earlier.labels)
        self.assign_by(name, fibers, mask_hash, earlier, shared)

    def assign_by(
        self,
        name: str,
        fibers: Fibers,
        mask_hash: str,
        earlier: Earlier | None,
        shared: tuple[np.ndarray, ...] | None,
    ) -> None:
        """Do as `assign`, with the fibers of the earlier run and the `shared_pixels` with them."""
        if earlier is None:
            self.highest[name] = len(fibers)
            self.masks[name] = [mask_hash]
            return
        numbers = carry_over(fibers.labels, earlier.labels, len(fibers), shared)
        carry_over_left_out(numbers, fibers, earlier.left_out)
        highest = max(earlier.labels.count, int(numbers.max(initial=0)))
        highest = max(highest, self.earlier_highest.get(name, 0))
        new = np.flatnonzero(numbers == 0)
        numbers[new] = highest + 1 + np.arange(len(new))
        fibers.columns["fiber"] = numbers
        self.highest[name] = highest + len(new)
        before = self.earlier_masks.get(name, [])
        self.masks[name] = [mask_hash, *(other for other in before if other != mask_hash)]

    def is_latest(self, name: str, mask_hash: str) -> bool:
        """Return whether the earlier run has numbered the fibers of this very mask."""
        return self.earlier_masks.get(name, [""])[0] == mask_hash

    def earlier(self, name: str, shape: tuple[int, int]) -> Earlier | None:
        """Return the fibers of the earlier run; None if it has no label image of this shape."""
        path = self.folder / f"{name}_labels.tif"
        if not path.exists():
            return None
        try:
            labels = LabelImage.from_array(read_labels(path))
        except UserError as mistake:
            print(f"note: {mistake}; its fibers get new numbers")
            return None
        left_out = read_left_out(self.folder / f"{name}_fibers.csv")
        return Earlier(labels, left_out) if labels.shape == shape else None


def read_earlier(path: Path, renumber: bool) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the highest numbers and the masks in a `run.json`, by image id.

    Up to version 1.0.0, only the hash of the latest mask was recorded.
    """
    try:
        run = {} if renumber else json.loads(path.read_text(encoding="utf-8"))
        highest = {name: int(number) for name, number in run.get("highest_numbers", {}).items()}
        masks = {name: [mask] for name, mask in run.get("mask_sha256", {}).items()}
        return highest, masks | run.get("numbered_masks", {})
    except (OSError, ValueError, AttributeError, TypeError):
        return {}, {}


def carry_over(
    labels: LabelImage,
    earlier: LabelImage,
    count: int,
    shared: tuple[np.ndarray, ...] | None = None,
) -> np.ndarray:
    """Return the earlier number of each fiber, int64 (count,); 0 for new ones.

    If a fiber was split, the part with the largest overlap keeps its number. If fibers were merged,
    the number of the one with the largest overlap is kept.

    Parameters
    ----------
    labels : LabelImage
        Numbers 1 to `count`.
    earlier : LabelImage
    count : int
    shared : tuple, optional
        Their `shared_pixels`, if known.
    """
    new, old, shared = shared or shared_pixels(labels, earlier)
    highest = earlier.count
    new_areas = np.append(0, labels.areas(count))
    old_areas = np.append(0, earlier.areas(highest))
    enough = shared >= MIN_OVERLAP * np.minimum(new_areas[new], old_areas[old])
    new, old, shared = new[enough], old[enough], shared[enough]
    numbers, taken = np.zeros(count + 1, np.int64), np.zeros(highest + 1, bool)
    alone = (np.bincount(new)[new] == 1) & (np.bincount(old)[old] == 1)
    numbers[new[alone]] = old[alone]
    order = np.lexsort((old, new, -shared))
    for pair in order[~alone[order]]:
        if not (numbers[new[pair]] or taken[old[pair]]):
            numbers[new[pair]] = old[pair]
            taken[old[pair]] = True
    return numbers[1:]


def carry_over_left_out(
    numbers: np.ndarray, fibers: Fibers, left_out: list[tuple[int, float, float]]
) -> None:
    """Set the earlier numbers of fibers that were left out, which have no labels.

    Each number goes to the nearest fiber without a number if the earlier centroid of its axon is
    within that fiber's axon radius of the centroid now.

    Parameters
    ----------
    numbers : int array, (n,)
        Changed in place; 0 for fibers without a number.
    fibers : Fibers
    left_out : list of (int, float, float)
        From `read_left_out`, of the earlier run.
    """
    columns = fibers.columns
    radius = columns["axon_diameter_um"] / fibers.pixel_size_um / 2
    for number, x, y in left_out:
        distance = np.hypot(columns["x_px"] - x, columns["y_px"] - y)
        distance[(numbers != 0) | (distance > radius)] = np.inf
        if number not in numbers and distance.min(initial=np.inf) < np.inf:
            numbers[distance.argmin()] = number


def read_left_out(path: Path) -> list[tuple[int, float, float]]:
    """Return number, x and y of the fibers that a table of fibers marks as left out."""
    try:
        header, rows = read_table(path)
        table = [dict(zip(header, row, strict=True)) for row in rows]
        return [
            (int(row["fiber"]), float(row["x_px"]), float(row["y_px"]))
            for row in table
            if row["excluded"]
        ]
    except (OSError, ValueError, KeyError):  # missing, damaged, or of version 1.0.0
        return []
