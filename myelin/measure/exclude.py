"""Leave fibers out of the statistics: by a table of decisions, `exclude.csv`, and by rules.

Used by `morphometry.py`; `report.html` writes the table and applies the same rules. A fiber that
is left out keeps its row in `<id>_fibers.csv`, with the reason in the column `excluded`. Counts,
density, fractions and sizes leave it out, and so do label images, plots and groups.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from myelin.folders.mask_record import pixel_hash
from myelin.measure.rules import add_rule_options, limits_of, rule_reasons
from myelin.pixels.labels import mask_without
from myelin.runtime.cli import UserError
from myelin.runtime.files import sha256
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows

# A fiber is the one that was decided on if its axon lies where it lay, to a pixel, and is as large,
# to a tenth: then the decision holds although the mask was corrected elsewhere.
SAME_PLACE_PX = 1.0
SAME_AREA = 0.1


def add_exclude_options(parser):
    """Add `--exclude` and an option for each rule."""
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="CSV",
        help="table of fibers to leave out of all statistics, with the columns image, fiber, "
        "reason, as report.html saves it; their rows stay, marked (default: none)",
    )
    add_rule_options(parser)


@dataclass
class Decision:
    """One row of `exclude.csv`.

    Attributes
    ----------
    where : str
        File and line, for messages.
    fiber : int
    reason, mask_sha256 : str
    place : (float, float, float or None) or None
        x and y of the axon's centroid and its area, px; None where the row has none, and the
        number alone counts.
    """

    where: str
    fiber: int
    reason: str
    mask_sha256: str
    place: tuple | None


class Exclusions:
    """What a run of `morphometry.py` leaves out, and why.

    Parameters
    ----------
    args : argparse.Namespace
        With the options of `add_exclude_options`.
    names : iterable of str
        Ids of the images that are measured.
    reader : masks.Reader

    Raises
    ------
    UserError
        As `read_decisions`.
    """

    def __init__(self, args, names, reader):
        self.path, self.limits, self.reader = args.exclude, limits_of(args), reader
        self.decisions = read_decisions(self.path, names) if self.path else {}
        self.hashes, self.reasons = {}, Counter()

    def check(self, cases, measure):
        """Raise if a decision was made on another mask, on a fiber that is no longer as it was.

        Before anything is written. Only images whose mask is another are measured for it.

        Parameters
        ----------
        cases : list of masks.Case
        measure : callable
            Returns the `fibers.Fibers` of a case.
        """
        errors = []
        for case in cases:
            if decisions := self.decisions.get(case.name):
                hashed = self.hash(case)
                if any(decision.mask_sha256 != hashed for decision in decisions):
                    errors += match(decisions, measure(case), hashed)[1]
        raise_first(errors)

    def hash(self, case):
        """Return the `mask_hash` of a case, and remember it."""
        if case.name not in self.hashes:
            self.hashes[case.name] = mask_hash(*map(self.reader.mask, case.masks[0]))
        return self.hashes[case.name]

    def apply(self, case, fibers, myelin):
        """Return the fibers of a case with those left out marked, see `without`.

        A decision goes before the rules.
        """
        reasons = ["; ".join(parts) for parts in rule_reasons(fibers.columns, self.limits)]
        decided, errors = match(self.decisions.get(case.name, []), fibers, self.hash(case))
        raise_first(errors)
        for row, reason in decided.items():
            reasons[row] = reason
        self.reasons.update(filter(None, reasons))
        return without(fibers, np.array(reasons, object), myelin)

    def facts(self):
        """Return what was left out, for `run.json`; None where nothing was asked for."""
        if not (self.path or self.limits):
            return None
        return {
            "table": str(self.path) if self.path else None,
            "table_sha256": sha256(self.path) if self.path else None,
            "rules": {rule.option: limit for rule, limit in self.limits.items()},
            "fibers_by_reason": dict(sorted(self.reasons.items())),
        }


def mask_hash(myelin, axon=None):
    """Return the hash of a myelin mask, with that of the axon mask beside it where there is one."""
    return "+".join(pixel_hash(mask) for mask in (myelin, axon) if mask is not None)


def read_decisions(path, names):
    """Read which fibers to leave out.

    Parameters
    ----------
    path : path
        CSV with the columns image and fiber, and where there are such reason, mask_sha256, x_px,
        y_px and axon_area_px; separated by comma, semicolon or tab. A fiber that is named twice
        is left out for the first reason.
    names : iterable of str
        Ids of the images that are measured.

    Returns
    -------
    dict of image id to list of Decision

    Raises
    ------
    UserError
        Missing file or columns, an unknown image, a cell that is no number.
    """
    find, decisions, errors = image_ids(names), {}, []
    for line, row in read_rows(path, ("image", "fiber"), "fiber", least=0):
        where = f"{path}: line {line}"
        given = row["image"]
        try:
            decision = parse_decision(where, row)
        except ValueError as error:
            errors.append(f"{where} {error}, correct or remove the line")
            continue
        if (image := find(given)) is None:
            errors.append(
                f"{where} names the image {given}, which has no mask, correct or remove the line"
            )
        else:
            decisions.setdefault(image, []).append(decision)
    raise_first(errors)
    return decisions


def parse_decision(where, row):
    """Return the `Decision` of a row, a dict of texts; ValueError says what is wrong with it."""

    def value(name):
        cell = row.get(name)
        try:
            # A spreadsheet of some countries writes a decimal comma.
            return float(cell.replace(",", ".")) if cell else None
        except ValueError:
            raise ValueError(f"has {name} {cell!r}, which is no number") from None

    fiber, x, y = map(value, ("fiber", "x_px", "y_px"))
    if fiber is None or not (fiber >= 1 and fiber.is_integer()):
        raise ValueError(f"has fiber {row['fiber']!r}, which is no number of a fiber")
    place = None if x is None or y is None else (x, y, value("axon_area_px"))
    reason, mask = row.get("reason") or "excluded", row.get("mask_sha256", "").lower()
    return Decision(where, int(fiber), reason, mask, place)


def raise_first(errors):
    """Raise the first few of a list of mistakes, if there are any."""
    if len(errors) > MAX_MISTAKES:
        errors = [*errors[:MAX_MISTAKES], f"and {len(errors) - MAX_MISTAKES} more such lines"]
    if errors:
        raise UserError(*errors)


def axon_areas(fibers):
    """Return the areas of the axons in px, int (n,)."""
    return np.rint(fibers.columns["axon_area_um2"] / fibers.pixel_size_um**2).astype(int)


def match(decisions, fibers, hashed):
    """Find the fibers that were decided on.

    Where a row says where the axon lay, the fiber there is meant, whatever its number is now, and
    whatever was corrected elsewhere in the mask. Where it does not, the number counts, and the
    mask has to be the same if the row has its hash.

    Parameters
    ----------
    decisions : list of Decision
    fibers : fibers.Fibers
    hashed : str
        `mask_hash` of the mask as it is.

    Returns
    -------
    reasons : dict of int to str
        By place in the table.
    errors : list of str
    """
    reasons, errors = {}, []
    columns, areas = fibers.columns, axon_areas(fibers)
    row_of = {int(fiber): row for row, fiber in enumerate(columns["fiber"])}
    for decision in decisions:
        same_mask = decision.mask_sha256 in ("", hashed)
        if decision.place:
            row = row_at(decision.place, columns, areas)
        else:
            row = row_of.get(decision.fiber) if same_mask else None
        if row is not None:
            reasons.setdefault(row, decision.reason)
            continue
        what = f"names fiber {decision.fiber}, which the mask does not hold"
        if not same_mask:
            what = f"was decided on another mask, and fiber {decision.fiber} is not as it was"
        errors.append(
            f"{decision.where} {what}, remove the line, or measure without --exclude and decide "
            "again in report.html"
        )
    return reasons, errors


def row_at(place, columns, areas):
    """Return the row of the fiber whose axon lies at a place and has its area; None where none."""
    x, y, area = place
    if not len(areas):
        return None
    distance = np.hypot(columns["x_px"] - x, columns["y_px"] - y)
    row = int(np.argmin(distance))
    same = distance[row] <= SAME_PLACE_PX
    if area is not None:
        same &= abs(areas[row] - area) <= SAME_AREA * area
    return row if same else None


def without(fibers, reasons, myelin):
    """Return the fibers with some left out.

    Parameters
    ----------
    fibers : fibers.Fibers
    reasons : array of str, (n,)
        Why each is left out, empty where it is not.
    myelin : bool array, (rows, cols)
        The mask, without axons; what of it belongs to these fibers counts no longer as myelin.

    Returns
    -------
    fibers.Fibers
        With all rows, but neither labels, nor axons, nor a count for those left out.
    """
    out = reasons != ""
    columns = fibers.columns | {"excluded": reasons}
    if not out.any():
        return replace(fibers, columns=columns)
    out, kept = np.append(False, out), np.append(False, ~out)
    left = mask_without(myelin, fibers.labels.keep(out))
    return replace(
        fibers,
        columns=columns,
        labels=fibers.labels.keep(kept),
        axons=fibers.axons.keep(kept),
        counted=fibers.counted & kept[1:],
        myelin_px=fibers.myelin_px - int(np.count_nonzero(myelin) - np.count_nonzero(left)),
    )
