"""Leave fibers out of the statistics: by `exclude.csv`, by rules, and by class, `classes.csv`.

`report.html` writes both tables. A fiber that is left out keeps its row in
`<id>_fibers.csv`, with the reason in the column `excluded`; counts, density, fractions, sizes,
label images, plots and groups are without it.
"""

import math
import operator
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from myelin.folders.mask_record import pixel_hash
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import mask_without
from myelin.runtime.cli import UserError, count_of, number, shortened_list
from myelin.runtime.files import sha256
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows

SAME_PLACE_PX = 1.0  # in an unchanged mask, an axon's centroid differs by rounding only
OPTIONS = {"reason": "--exclude", "class": "--classes"}  # which gives a table with this column
REMEDY = "remove the line, or measure without {} and decide again in report.html"


# ---------------------------------------------------------------- rules: limits on columns


@dataclass(frozen=True)
class Rule:
    """A limit on one column of `<id>_fibers.csv`; a fiber without a value does not break it.

    Attributes
    ----------
    option : str
        Option of `morphometry.py`.
    column : str
    sign : "<" or ">"
        Whether fibers below or above the limit are left out.
    what : str
        The column in words, with its unit.
    highest : float
        The largest limit allowed.
    whole_only : bool
        Whether the border, which changes the shape of fibers that it cuts, exempts them.
    """

    option: str
    column: str
    sign: str
    what: str
    highest: float = math.inf
    whole_only: bool = False

    @property
    def name(self) -> str:
        """The option's name in the parsed arguments."""
        return self.option.removeprefix("--").replace("-", "_")

    @property
    def side(self) -> str:
        """The side of the limit on which fibers are left out, in words."""
        return "below" if self.sign == "<" else "above"

    def reason(self, limit: float) -> str:
        """Return the text for the column `excluded`."""
        return f"{self.column} {self.sign} {limit:g}"

    def broken(self, columns: dict[str, np.ndarray], limit: float) -> np.ndarray:
        """Return which fibers break the rule, bool (n,)."""
        compare = operator.lt if self.sign == "<" else operator.gt
        broken = compare(columns[self.column], limit)
        return broken & ~columns["touches_border"] if self.whole_only else broken


DOUBTFUL = 0.2  # how many of these fibers are wrong is in docs/measures.md
RULES = (
    Rule("--max-doubt", "doubt", ">", "doubt"),
    Rule("--min-confidence", "confidence", "<", "confidence"),
    Rule("--max-g-ratio", "g_ratio", ">", "g-ratio"),
    Rule("--min-g-ratio", "g_ratio", "<", "g-ratio"),
    Rule("--min-solidity", "axon_solidity", "<", "axon solidity"),
    Rule("--min-circularity", "axon_circularity", "<", "axon circularity"),
    Rule("--min-roundness", "roundness", "<", "roundness (of whole fibers)", 1, whole_only=True),
    Rule("--min-axon-diameter", "axon_diameter_um", "<", "axon diameter in µm"),
    Rule("--max-axon-diameter", "axon_diameter_um", ">", "axon diameter in µm"),
)


def add_rule_options(parser: ArgumentParser) -> None:
    """Add an option for each rule."""
    for rule in RULES:
        parser.add_argument(
            rule.option,
            type=number(float, 0, rule.highest),
            metavar="UM" if "diameter" in rule.option else "X",
            help=f"leave out fibers whose {rule.what} is {rule.side} this, as with --exclude "
            "(default: none)",
        )


def limits_of(args: Namespace) -> dict[Rule, float]:
    """Return {rule: limit} of the rules given on the command line."""
    limits = {rule: getattr(args, rule.name) for rule in RULES}
    return {rule: limit for rule, limit in limits.items() if limit is not None}


def rule_reasons(columns: dict[str, np.ndarray], limits: dict[Rule, float]) -> list[list[str]]:
    """Return for each fiber, from the columns of `<id>_fibers.csv`, the rules that it breaks."""
    reasons = [[] for _ in columns["fiber"]]
    for rule, limit in limits.items():
        for row in np.flatnonzero(rule.broken(columns, limit)):
            reasons[row].append(rule.reason(limit))
    return reasons


def doubtful_order(fibers: Fibers) -> np.ndarray:
    """Return the rows of the doubtful fibers that are not left out, worst first, int (n,)."""
    doubt = fibers.columns["doubt"]
    order = np.argsort(-doubt, kind="stable")
    return order[fibers.kept[order] & (doubt[order] > DOUBTFUL)]


def doubtful_rows(image: str, fibers: Fibers) -> list[dict]:
    """Return rows of `doubtful.csv`: the doubtful fibers that are not left out, worst first."""
    names = ("fiber", "x_px", "y_px", "doubt", "doubt_reason")
    return [
        {"image": image} | {name: fibers.columns[name][row] for name in names}
        for row in doubtful_order(fibers)
    ]


# ---------------------------------------------------------------- what a run leaves out


def add_exclude_options(parser: ArgumentParser) -> None:
    """Add `--exclude`, the options of classes, and an option for each rule."""
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="CSV",
        help="table of fibers to leave out of all statistics, with the columns image, fiber, "
        "reason, as report.html saves it; their rows stay, marked (default: none)",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="CSV",
        help="table of the classes of fibers, in any words, with the columns image, fiber, class: "
        "adds the column class and per_class.csv (default: none)",
    )
    parser.add_argument(
        "--leave-out-class",
        nargs="+",
        default=[],
        metavar="NAME",
        help="classes of --classes whose fibers are left out of all statistics but per_class.csv, "
        "as with --exclude (default: none)",
    )
    add_rule_options(parser)


@dataclass
class Decision:
    """One row of `exclude.csv` or `classes.csv`.

    Attributes
    ----------
    where : str
        File and line, for messages.
    fiber : int
        The fiber's lasting number.
    reason : str
        Or the fiber's class.
    mask_sha256 : str
        `mask_hash` of the mask that was decided on; "" if the row has none.
    place : (float, float) or None
        Centroid of the axon in that mask, px.
    column : {"reason", "class"}
    """

    where: str
    fiber: int
    reason: str
    mask_sha256: str = ""
    place: tuple[float, float] | None = None
    column: str = "reason"


class Exclusions:
    """What a run of `morphometry.py` leaves out, and why.

    Parameters
    ----------
    args : Namespace
        With the options of `add_exclude_options`.
    names : iterable of str
        Ids of the images that are measured.

    Attributes
    ----------
    tables : list of dict of str to list of Decision
        By image id: the fibers that are left out, and the classes of fibers.
    """

    def __init__(self, args: Namespace, names: Iterable[str]) -> None:
        self.paths = args.exclude, args.classes
        self.limits = limits_of(args)
        self.left_out = args.leave_out_class
        self.tables = [
            read_decisions(path, names, column) if path else {}
            for path, column in zip(self.paths, OPTIONS, strict=True)
        ]
        self.reasons = Counter()
        known = {decision.reason for own in self.tables[1].values() for decision in own}
        if unknown := [name for name in self.left_out if name not in known]:
            given = shortened_list(sorted(known)) or "none"
            raise UserError(
                f"--leave-out-class: {shortened_list(unknown)}: no fiber has this class, correct "
                f"the name or the table of --classes, whose classes are: {given}"
            )

    def mark(
        self, name: str, fibers: Fibers, hashes: list[str], highest: int, myelin: np.ndarray
    ) -> Fibers:
        """Return the fibers of an image with those left out marked, see `without`.

        A decision takes precedence over the rules, and both over a class. Print how many decided
        fibers are gone. With a table of classes, the fibers get the column `class`.

        Parameters
        ----------
        name, fibers, hashes, highest
            See `find_rows`.
        myelin : bool array, (rows, cols)
            The mask, without axons.
        """
        found = []
        whats = "excluded fiber", "classified fiber"
        for path, table, what in zip(self.paths, self.tables, whats, strict=True):
            rows, gone, errors = find_rows(table.get(name, []), fibers, hashes, highest)
            raise_first(errors)
            if gone:
                lost = f"{count_of(len(gone), what)} no longer in the mask: {shortened_list(gone)}"
                print(f"note: {path}: {name}: {lost}")
            found.append(rows)
        decided, classes = found
        reasons = ["; ".join(parts) for parts in rule_reasons(fibers.columns, self.limits)]
        for row, reason in decided.items():
            reasons[row] = reason
        for row, word in classes.items():
            if word in self.left_out:
                reasons[row] = reasons[row] or class_reason(word)
        self.reasons.update(filter(None, reasons))
        if self.paths[1]:
            column = np.array([classes.get(row, "") for row in range(len(fibers))], object)
            fibers = replace(fibers, columns=fibers.columns | {"class": column})
        return without(fibers, np.array(reasons, object), myelin)

    def facts(self) -> dict | None:
        """Return what was left out, for `run.json`; None without tables and rules."""
        table, classes = self.paths
        if not (table or self.limits or classes):
            return None
        return {
            "table": str(table) if table else None,
            "table_sha256": sha256(table) if table else None,
            "classes": str(classes) if classes else None,
            "classes_sha256": sha256(classes) if classes else None,
            "left_out_classes": sorted(self.left_out),
            "rules": {rule.option: limit for rule, limit in self.limits.items()},
            "fibers_by_reason": dict(sorted(self.reasons.items())),
        }


def class_reason(name: str) -> str:
    """Return the text for the column `excluded` of a fiber that is left out by its class."""
    return f"class {name}"


def mask_hash(myelin: np.ndarray, axon: np.ndarray | None = None) -> str:
    """Return the hash of a myelin mask, joined with that of its axon mask if there is one."""
    return "+".join(pixel_hash(mask) for mask in (myelin, axon) if mask is not None)


# ---------------------------------------------------------------- the table of decisions


def read_decisions(
    path: Path, names: Iterable[str], column: str = "reason"
) -> dict[str, list[Decision]]:
    """Read which fibers to leave out, or the classes of fibers, by image id.

    Parameters
    ----------
    path : path
        CSV with the columns image and fiber, and optionally reason, mask_sha256, x_px and y_px. If
        a fiber is named twice, the first reason counts.
    names : iterable of str
        Ids of the images that are measured.
    column : {"reason", "class"}
        Column of the decision; class must be there, and rows without one are ignored.

    Raises
    ------
    UserError
        Missing file or columns, an unknown image, a cell that is not a number.
    """
    find, decisions, errors = image_ids(names), {}, []
    needed = ("image", "fiber", "class") if column == "class" else ("image", "fiber")
    for line, row in read_rows(path, needed, "fiber", least=0):
        if column == "class" and not row[column]:
            continue
        where = f"{path}: line {line}"
        image = find(row["image"])
        try:
            if image is None:
                raise ValueError(f"names the image {row['image'][:100]}, which has no mask")
            decisions.setdefault(image, []).append(parse_decision(where, row, column))
        except ValueError as error:
            errors.append(f"{where} {error}, correct or remove the line")
    raise_first(errors)
    return decisions


def parse_decision(where: str, row: dict[str, str], column: str) -> Decision:
    """Return the `Decision` of a table row; raise ValueError about a wrong cell."""

    def value(name: str) -> float | None:
        cell = row.get(name)
        try:
            return float(cell.replace(",", ".")) if cell else None  # or with a decimal comma
        except ValueError:
            raise ValueError(f"has {name} {cell!r}, which is not a number") from None

    fiber, x, y = value("fiber"), value("x_px"), value("y_px")
    if fiber is None or not (fiber >= 1 and fiber.is_integer()):
        raise ValueError(f"has fiber {row['fiber']!r}, which is not the number of a fiber")
    place = None if x is None or y is None else (x, y)
    reason, digest = row.get(column) or "excluded", row.get("mask_sha256", "").lower()
    return Decision(where, int(fiber), reason, digest, place, column)


def raise_first(errors: list[str]) -> None:
    """Raise UserError with the first few of a list of mistakes, if there are any."""
    if len(errors) > MAX_MISTAKES:
        more = count_of(len(errors) - MAX_MISTAKES, "more such line")
        errors = [*errors[:MAX_MISTAKES], f"and {more}"]
    if errors:
        raise UserError(*errors)


def find_rows(
    decisions: list[Decision], fibers: Fibers, hashes: list[str], highest: int
) -> tuple[dict[int, str], list[int], list[str]]:
    """Find the fibers that were decided on, by their lasting numbers.

    In the very mask that was decided on, a fiber whose number is gone is found by its place: it was
    removed and came back.

    Parameters
    ----------
    decisions : list of Decision
    fibers : Fibers
    hashes : list of str
        `mask_hash` of the mask, and of the earlier masks whose fibers the numbers were carried
        over from, see `numbering.Numbers`.
    highest : int
        The highest number that a fiber of the image ever had.

    Returns
    -------
    reasons : dict of int to str
        By row of the table of fibers.
    gone : list of int
        Numbers of fibers that a correction has removed from the mask.
    errors : list of str
    """
    reasons, gone, errors = {}, [], []
    row_of = {int(fiber): row for row, fiber in enumerate(fibers.columns["fiber"])}
    for decision in decisions:
        row, what, text = row_of.get(decision.fiber), f"fiber {decision.fiber}", decision.reason
        same_mask = decision.mask_sha256 == hashes[0]
        if row is None and same_mask and decision.place:
            row = row_at(decision.place, fibers)
        if decision.mask_sha256 and decision.mask_sha256 not in hashes:
            problem = f"was decided on another mask, from which {what} cannot be traced"
        elif row is None and decision.fiber <= highest and not same_mask:
            gone.append(decision.fiber)
            continue
        elif row is None:
            problem = f"names {what}, which the mask does not have"
        elif same_mask and decision.place and row_at(decision.place, fibers) != row:
            problem = f"names {what}, which is elsewhere now, as fibers were numbered again"
        elif decision.column == "class" and reasons.get(row, text) != text:
            problem = f"gives {what} the class {text!r}, and an earlier line {reasons[row]!r}"
        else:
            reasons.setdefault(row, text)
            continue
        remedy = REMEDY.format(OPTIONS[decision.column])
        errors.append(f"{decision.where} {problem}, {remedy}")
    return reasons, gone, errors


def row_at(place: tuple[float, float], fibers: Fibers) -> int | None:
    """Return the row of the fiber whose axon has its centroid at a place, None if there is none."""
    distance = np.hypot(fibers.columns["x_px"] - place[0], fibers.columns["y_px"] - place[1])
    return int(distance.argmin()) if distance.min(initial=np.inf) <= SAME_PLACE_PX else None


def without(fibers: Fibers, reasons: np.ndarray, myelin: np.ndarray) -> Fibers:
    """Return the fibers with some left out: they keep their rows but have no labels and no count.

    Parameters
    ----------
    fibers : Fibers
    reasons : array of str, (n,)
        Why each fiber is left out, "" for the others.
    myelin : bool array, (rows, cols)
        The mask, without axons; the myelin of these fibers no longer counts.
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
