"""Classes of axon and fiber diameter: how many fibers each has, and how thick their myelin is."""

import math
from collections.abc import Sequence

import numpy as np

from myelin.statistics.units import Unit

DIAMETERS = ("axon", "fiber")


def classify(units: Sequence[Unit], edges: Sequence[float]) -> list[dict]:
    """Return a row of `per_diameter_class.csv` for each unit, diameter and class.

    A class holds the fibers from its lower edge to below its upper edge, µm; the last is open.
    Percentages are those of all whole fibers of the unit. Density is the percentage of the unit's
    density, because fibers that the border cuts count for density but have no size.
    """
    return [
        unit.names | {"diameter": diameter} | part
        for unit in units
        for diameter in DIAMETERS
        for part in classes_of(unit, diameter, edges)
    ]


def classes_of(unit: Unit, diameter: str, edges: Sequence[float]) -> list[dict]:
    """Return what the rows of one unit and one diameter hold, a row for each class."""
    values = unit.sizes[f"{diameter}_diameter_um"]
    place = np.digitize(values, edges)
    counts = np.bincount(place, minlength=len(edges) + 1)
    # Without fibers, percentages are NaN, which are empty cells.
    percent = 100 * counts / (len(values) or np.nan)
    cumulative = np.cumsum(percent)
    rows = []
    for index, (low, high) in enumerate(zip(edges, [*edges[1:], None], strict=True), 1):
        row = {
            "low_um": float(low),
            "high_um": high if high is None else float(high),
            "count": int(counts[index]),
            "percent": float(percent[index]),
            "cumulative_percent": float(cumulative[index]),
            "density_per_mm2": float(percent[index]) / 100 * unit.density_per_mm2,
        }
        for name in ("g_ratio", "myelin_thickness_um"):
            inside = unit.sizes[name][place == index]
            row[f"{name}_mean"] = float(np.mean(inside)) if len(inside) else None
        rows.append(row)
    return rows


def share_columns(unit: Unit, edges: Sequence[float]) -> dict[str, float | None]:
    """Return the percentages in the classes of axon diameter of a unit, by column name."""
    columns = {}
    for row in classes_of(unit, "axon", edges):
        low, high = row["low_um"], row["high_um"]
        ends = f"from_{low:g}" if high is None else f"{low:g}_to_{high:g}"
        percent = None if math.isnan(row["percent"]) else row["percent"]
        columns[f"axon_diameter_{ends}_um_percent"] = percent
    return columns
