"""Lasting numbers: a fiber keeps its number when a mask is corrected and measured again."""

import json
from pathlib import Path

import numpy as np

from myelin.cli import UserError
from myelin.images import read_labels
from myelin.tables import read_table

# A fiber is an earlier one if they share this part of the smaller of the two.
SAME_FIBER = 0.5
COUNTED_PAIRS = 2**23  # pairs of numbers that are counted in 64 MiB; more are sorted, more slowly


class Numbers:
    """The numbers that fibers had in an earlier run of `morphometry.py`.

    New fibers get numbers above all that an image ever had, as `run.json` remembers.

    Parameters
    ----------
    folder : Path
        With the label images, tables and `run.json` of that run, if there was one.
    anew : bool
        Whether to number all fibers anew.

    Attributes
    ----------
    highest : dict of image id to int
        The highest number that each image ever had.
    """

    def __init__(self, folder, anew=False):
        self.folder, self.anew = folder, anew
        self.earlier_highest = {} if anew else read_highest(folder / "run.json")
        self.highest = dict(self.earlier_highest)

    def give(self, name, fibers):
        """Number the fibers of an image, in the column `fiber`; asked again, with the same numbers.

        Parameters
        ----------
        name : str
        fibers : fibers.Fibers
        """
        earlier = None if self.anew else self.earlier_labels(name, fibers)
        numbers = fibers.columns["fiber"]
        highest = 0
        if earlier is not None:
            highest = max(int(earlier.max()), self.earlier_highest.get(name, 0))
            numbers = carry_over(fibers.labels, earlier, len(fibers))
            new = numbers == 0
            numbers[new] = highest + 1 + np.arange(np.count_nonzero(new))
            fibers.columns["fiber"] = numbers
        self.highest[name] = max(highest, int(np.max(numbers, initial=0)))

    def earlier_labels(self, name, fibers):
        """Return the label image of the earlier run; None where there is none of the same size.

        Fibers that were left out are in the table alone: their number is put where their axon was.
        """
        path = self.folder / f"{name}_labels.tif"
        if not path.exists():
            return None
        try:
            earlier = read_labels(path)
        except UserError as mistake:
            print(f"note: {mistake}; its fibers get new numbers")
            return None
        if earlier.shape != fibers.labels.shape:
            return None
        for number, x, y in left_out(self.folder / f"{name}_fibers.csv"):
            label = fibers.labels[y, x] if y < earlier.shape[0] and x < earlier.shape[1] else 0
            if label and not (earlier == number).any():
                earlier[fibers.labels == label] = number
        return earlier


def read_highest(path):
    """Return {image id: highest number of a fiber} of a `run.json`, empty where there is none."""
    try:
        highest = json.loads(Path(path).read_text(encoding="utf-8"))["highest_numbers"]
        return {name: int(number) for name, number in highest.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def left_out(path):
    """Return [(number, x, y)] of the fibers that an earlier table names as left out."""
    found = []
    try:
        header, rows = read_table(path)
        for row in (dict(zip(header, row, strict=True)) for row in rows):
            if row["excluded"]:
                places = (round(float(row[name])) for name in ("x_px", "y_px"))
                found.append((int(row["fiber"]), *places))
    except (OSError, ValueError, KeyError):
        pass  # no such table: then no fiber was left out, or its number is lost
    return found


def carry_over(labels, earlier, count):
    """Return the earlier number of each fiber; 0 for new ones.

    Of the parts of a split fiber the one that shares most with it keeps the number, and of fibers
    that were merged the number of the one that shares most is kept.

    Parameters
    ----------
    labels : int array, (rows, cols)
        Numbers 1 to `count`.
    earlier : int array, (rows, cols)
    count : int

    Returns
    -------
    int64 array, (count,)
    """
    both = (labels > 0) & (earlier > 0)
    base = int(earlier.max()) + 1
    pairs = labels[both] * np.int64(base) + earlier[both]
    if (count + 1) * base <= COUNTED_PAIRS:
        times = np.bincount(pairs)
        pairs = np.flatnonzero(times)
        shared = times[pairs]
    else:
        pairs, shared = np.unique(pairs, return_counts=True)
    new, old = np.divmod(pairs, base)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[new]
    sizes = np.minimum(sizes, np.bincount(earlier.ravel(), minlength=base)[old])
    order = np.lexsort((old, new, -shared))
    numbers, taken = np.zeros(count + 1, np.int64), np.zeros(base, bool)
    for pair in order[shared[order] >= SAME_FIBER * sizes[order]]:
        if not (numbers[new[pair]] or taken[old[pair]]):
            numbers[new[pair]], taken[old[pair]] = old[pair], True
    return numbers[1:]
