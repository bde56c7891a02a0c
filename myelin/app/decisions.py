"""Decisions about fibers in the tables that the commands read: `exclude.csv`, `classes.csv`.

A row names its fiber by number, by the hash of the mask, and by the centroid of the axon. After a
step the rows follow their fibers, so that `morphometry.py` finds them in the new mask.
"""

from pathlib import Path

import numpy as np

from myelin.measure.exclude import read_decisions, row_at
from myelin.measure.fibers import Fibers
from myelin.runtime.tables import read_rows, write_table

WORDS = {"exclude": "reason", "classes": "class", "kept": "kept"}  # column of what was decided
Rows = dict[int, str]  # by row of the table of fibers: the reason or the class


class Table:
    """One of the tables: `kind` is "exclude", "classes" or "kept"."""

    def __init__(self, kind: str, path: Path) -> None:
        self.word = WORDS[kind]
        self.columns = ["image", "fiber", self.word, "mask_sha256", "x_px", "y_px", "axon_area_px"]
        self.path = path

    def rows(self) -> list[dict[str, str]]:
        """Return all rows as texts; an empty list without a file."""
        if not self.path.exists():
            return []
        found = [row for _, row in read_rows(self.path, ("image", "fiber"), "fiber", least=0)]
        return [{name: row.get(name, "") for name in self.columns} for row in found]

    def own(self, name: str) -> list[dict]:
        """Return the rows of an image."""
        return [row for row in self.rows() if row["image"] == name]

    def read(self, name: str, fibers: Fibers) -> Rows:
        """Return the decisions about the fibers of an image that can be found in it."""
        if not (given := self.own(name)):
            return {}
        decided = read_decisions(self.path, {row["image"] for row in self.rows()})[name]
        return {
            row: text[self.word] or "excluded"
            for decision, text in zip(decided, given, strict=True)
            if (row := row_of(fibers, decision.fiber, decision.place)) is not None
        }

    def rows_of(self, name: str, fibers: Fibers, mask_hash: str, decided: Rows) -> list[dict]:
        """Return the table's rows for decisions about an image with this `mask_hash`."""
        columns = fibers.columns
        return [
            {
                "image": name,
                "fiber": int(columns["fiber"][row]),
                self.word: text,
                "mask_sha256": mask_hash,
                "x_px": round(float(columns["x_px"][row]), 2),
                "y_px": round(float(columns["y_px"][row]), 2),
                "axon_area_px": round(columns["axon_area_um2"][row] / fibers.pixel_size_um**2),
            }
            for row, text in sorted(decided.items())
        ]

    def replace(self, name: str, own: list[dict]) -> None:
        """Replace the rows of an image; those of other images stay."""
        before = self.rows()
        rows = [*(row for row in before if row["image"] != name), *own]
        if rows != before:
            write_table(self.path, self.columns, rows)


def row_of(fibers: Fibers, number: int, place: tuple[float, float] | None) -> int | None:
    """Return the row of a fiber: the axon with its centroid at a place, or else around it."""
    if place is None:
        found = np.flatnonzero(fibers.columns["fiber"] == number)
        return int(found[0]) if len(found) else None
    x, y = place
    if (row := row_at(place, fibers)) is not None:
        return row
    rows, cols = fibers.axons.shape
    inside = 0 <= round(y) < rows and 0 <= round(x) < cols
    index = fibers.axons.at(np.array([round(y)]), np.array([round(x)]))[0] if inside else 0
    return int(index) - 1 if index else None
