"""Classes of fibers that a table gives, such as thin or swollen: how many fibers each has."""

import math
from collections.abc import Sequence

from myelin.statistics.units import Unit


def count_classes(units: Sequence[Unit]) -> list[dict]:
    """Return a row of `per_class.csv` for each unit and class; an empty list without classes.

    Each unit has all classes of the run, in alphabetical order. Fibers without a class come last,
    so that percentages add up to 100; they are NaN in a unit without fibers.
    """
    known = {name for unit in units for name in unit.classes}
    rows = []
    for unit in units:
        total = sum(count for count, _ in unit.classes.values()) or math.nan
        for name in [*sorted(known - {""}), ""] if known else []:
            count, density = unit.classes.get(name, (0, 0.0))
            row = {"class": name, "count": count, "percent": 100 * count / total}
            rows.append(unit.names | row | {"density_per_mm2": density})
    return rows
