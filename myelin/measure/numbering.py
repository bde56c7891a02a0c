"""Lasting numbers: a fiber keeps its number when a mask is corrected and measured again."""

import json
from pathlib import Path

import numpy as np

from myelin.images.image import read_labels
from myelin.measure.exclude import axon_areas, row_at
from myelin.pixels.labels import LabelImage, shared_pixels
from myelin.runtime.cli import UserError
from myelin.runtime.tables import read_table

# A fiber is an earlier one if they share this part of the smaller of the two.
SAME_FIBER = 0.5


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
            highest = max(earlier.count, self.earlier_highest.get(name, 0))
            numbers = carry_over(fibers.labels, earlier, len(fibers))
            new = numbers == 0
            numbers[new] = highest + 1 + np.arange(np.count_nonzero(new))
            fibers.columns["fiber"] = numbers
        self.highest[name] = max(highest, int(np.max(numbers, initial=0)))

    def earlier_labels(self, name, fibers):
        """Return the earlier run's label image; None where there is none of the size.

        Fibers that were left out are in the table alone: their number is put where their axon was.
        """
        path = self.folder / f"{name}_labels.tif"
        if not path.exists():
            return None
        try:
            earlier = LabelImage.from_array(read_labels(path))
        except UserError as mistake:
            print(f"note: {mistake}; its fibers get new numbers")
            return None
        if earlier.shape != fibers.labels.shape:
            return None
        number, *place = left_out(self.folder / f"{name}_fibers.csv")
        lost = ~np.isin(number, earlier.number)
        if not lost.any():
            return earlier
        numbers = np.zeros(len(fibers) + 1, int)
        numbers[fibers_at(fibers, *(part[lost] for part in place))] = number[lost]
        numbers[0] = 0
        return earlier.painted_over(fibers.labels.renumbered(numbers))


def read_highest(path):
    """Return {image id: highest number of a fiber} of a `run.json`, empty where there is none."""
    try:
        highest = json.loads(Path(path).read_text(encoding="utf-8"))["highest_numbers"]
        return {name: int(number) for name, number in highest.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def left_out(path):
    """Return number, x and y of the fibers that an earlier table names as left out, (3, n)."""
    found = []
    try:
        header, rows = read_table(path)
        for row in (dict(zip(header, row, strict=True)) for row in rows):
            if row["excluded"]:
                found.append((int(row["fiber"]), float(row["x_px"]), float(row["y_px"])))
    except (OSError, ValueError, KeyError):
        pass  # no such table: then no fiber was left out, or its number is lost
    return np.array(found, float).reshape(-1, 3).T


def fibers_at(fibers, x, y):
    """Return the numbers of the fibers, 1 to n, whose axon has its centre at some places.

    Else of those that lie there, 0 for none: the centre of a bent axon may lie on a neighbour.

    Parameters
    ----------
    fibers : fibers.Fibers
    x, y : float arrays, (places,)

    Returns
    -------
    int array, (places,)
    """
    found, (rows, cols) = np.zeros(len(x), int), fibers.labels.shape
    inside = (x >= 0) & (x <= cols - 1) & (y >= 0) & (y <= rows - 1)
    row, column = (np.rint(part[inside]).astype(int) for part in (y, x))
    found[inside] = fibers.labels.at(row, column)
    areas = axon_areas(fibers)
    for index, place in enumerate(zip(x, y, strict=True)):
        same = row_at((*place, None), fibers.columns, areas)
        if same is not None:
            found[index] = same + 1
    return found


def carry_over(labels, earlier, count):
    """Return the earlier number of each fiber; 0 for new ones.

    Of the parts of a split fiber the one that shares most with it keeps the number, and of fibers
    that were merged the number of the one that shares most is kept.

    Parameters
    ----------
    labels : LabelImage
        Numbers 1 to `count`.
    earlier : LabelImage
    count : int

    Returns
    -------
    int64 array, (count,)
    """
    new, old, shared = shared_pixels(labels, earlier)
    highest = earlier.count
    sizes = np.minimum(
        *(
            np.append(0, runs.areas(last))[numbers]
            for runs, last, numbers in ((labels, count, new), (earlier, highest, old))
        )
    )
    order = np.lexsort((old, new, -shared))
    numbers, taken = np.zeros(count + 1, np.int64), np.zeros(highest + 1, bool)
    for pair in order[shared[order] >= SAME_FIBER * sizes[order]]:
        if not (numbers[new[pair]] or taken[old[pair]]):
            numbers[new[pair]], taken[old[pair]] = old[pair], True
    return numbers[1:]
