"""Leave fibers out of the statistics: by a table of decisions, `exclude.csv`, and by rules.

`report.html` writes the table and applies the same rules. A fiber that is left out keeps its row in
`<id>_fibers.csv`, with the reason in the column `excluded`; counts, density, fractions, sizes,
label images, plots and groups are without it.
"""

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
REMEDY = "remove the line, or measure without --exclude and decide again in report.html"


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
    doubt : float or None
        Limit with which `report.html` begins to ask for decisions.
    what : str
        The column in words, with its unit.
    """

    option: str
    column: str
    sign: str
    doubt: float | None
    what: str

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
        return compare(columns[self.column], limit)


DOUBTFUL = 0.2  # how many of these fibers are wrong is in docs/measures.md
# Hardly any sheath is as thin or as thick as these limits of the g-ratio.
RULES = (
    Rule("--max-doubt", "doubt", ">", DOUBTFUL, "doubt"),
    Rule("--min-confidence", "confidence", "<", None, "confidence"),
    Rule("--max-g-ratio", "g_ratio", ">", 0.95, "g-ratio"),
    Rule("--min-g-ratio", "g_ratio", "<", 0.2, "g-ratio"),
    Rule("--min-solidity", "axon_solidity", "<", None, "axon solidity"),
    Rule("--min-circularity", "axon_circularity", "<", None, "axon circularity"),
    Rule("--min-axon-diameter", "axon_diameter_um", "<", None, "axon diameter in µm"),
    Rule("--max-axon-diameter", "axon_diameter_um", ">", None, "axon diameter in µm"),
)


def add_rule_options(parser: ArgumentParser) -> None:
    """Add an option for each rule."""
    for rule in RULES:
        parser.add_argument(
            rule.option,
            type=number(float, 0),
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


def doubtful_rows(image: str, fibers: Fibers) -> list[dict]:
    """Return rows of `doubtful.csv`: the doubtful fibers that are not left out, worst first."""
    columns = fibers.columns
    names = ("fiber", "x_px", "y_px", "doubt", "doubt_reason")
    order = np.argsort(-columns["doubt"], kind="stable")
    wanted = order[fibers.kept[order] & (columns["doubt"][order] > DOUBTFUL)]
    return [{"image": image} | {name: columns[name][row] for name in names} for row in wanted]


# ---------------------------------------------------------------- what a run leaves out


def add_exclude_options(parser: ArgumentParser) -> None:
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
        The fiber's lasting number.
    reason : str
    mask_sha256 : str
        `mask_hash` of the mask that was decided on; "" if the row has none.
    place : (float, float) or None
        Centroid of the axon in that mask, px.
    """

    where: str
    fiber: int
    reason: str
    mask_sha256: str = ""
    place: tuple[float, float] | None = None


class Exclusions:
    """What a run of `morphometry.py` leaves out, and why.

    Parameters
    ----------
    path : Path or None
        Table of decisions.
    limits : dict of Rule to float
        See `limits_of`.
    names : iterable of str
        Ids of the images that are measured.

    Attributes
    ----------
    decisions : dict of str to list of Decision
        By image id.
    """

    def __init__(self, path: Path | None, limits: dict[Rule, float], names: Iterable[str]) -> None:
        self.path = path
        self.limits = limits
        self.decisions = read_decisions(path, names) if path else {}
        self.reasons = Counter()

    def mark(
        self, name: str, fibers: Fibers, hashes: list[str], highest: int, myelin: np.ndarray
    ) -> Fibers:
        """Return the fibers of an image with those left out marked, see `without`.

        A decision takes precedence over the rules. Print how many decided fibers are gone.

        Parameters
        ----------
        name, fibers, hashes, highest
            See `find_rows`.
        myelin : bool array, (rows, cols)
            The mask, without axons.
        """
        decided, gone, errors = find_rows(self.decisions.get(name, []), fibers, hashes, highest)
        raise_first(errors)
        if gone:
            listed = count_of(len(gone), "excluded fiber")
            print(
                f"note: {self.path}: {name}: {listed} no longer in the mask: {shortened_list(gone)}"
            )
        reasons = ["; ".join(parts) for parts in rule_reasons(fibers.columns, self.limits)]
        for row, reason in decided.items():
            reasons[row] = reason
        self.reasons.update(filter(None, reasons))
        return without(fibers, np.array(reasons, object), myelin)

    def facts(self) -> dict | None:
        """Return what was left out, for `run.json`; None without a table and rules."""
        if not (self.path or self.limits):
            return None
        return {
            "table": str(self.path) if self.path else None,
            "table_sha256": sha256(self.path) if self.path else None,
            "rules": {rule.option: limit for rule, limit in self.limits.items()},
            "fibers_by_reason": dict(sorted(self.reasons.items())),
        }


def mask_hash(myelin: np.ndarray, axon: np.ndarray | None = None) -> str:
    """Return the hash of a myelin mask, joined with that of its axon mask if there is one."""
    return "+".join(pixel_hash(mask) for mask in (myelin, axon) if mask is not None)


# ---------------------------------------------------------------- the table of decisions


def read_decisions(path: Path, names: Iterable[str]) -> dict[str, list[Decision]]:
    """Read which fibers to leave out, by image id.

    Parameters
    ----------
    path : path
        CSV with the columns image and fiber, and optionally reason, mask_sha256, x_px and y_px. If
        a fiber is named twice, the first reason counts.
    names : iterable of str
        Ids of the images that are measured.

    Raises
    ------
    UserError
        Missing file or columns, an unknown image, a cell that is not a number.
    """
    find, decisions, errors = image_ids(names), {}, []
    for line, row in read_rows(path, ("image", "fiber"), "fiber", least=0):
        where = f"{path}: line {line}"
        image = find(row["image"])
        try:
            if image is None:
                raise ValueError(f"names the image {row['image'][:100]}, which has no mask")
            decisions.setdefault(image, []).append(parse_decision(where, row))
        except ValueError as error:
            errors.append(f"{where} {error}, correct or remove the line")
    raise_first(errors)
    return decisions


def parse_decision(where: str, row: dict[str, str]) -> Decision:
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
    reason = row.get("reason") or "excluded"
    return Decision(where, int(fiber), reason, row.get("mask_sha256", "").lower(), place)


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
        `mask_hash` of the mask, and of the earlier masks whose fibers the numbers were carried over
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
        row, what = row_of.get(decision.fiber), f"fiber {decision.fiber}"
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
        else:
            reasons.setdefault(row, decision.reason)
            continue
        errors.append(f"{decision.where} {problem}, {REMEDY}")
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
