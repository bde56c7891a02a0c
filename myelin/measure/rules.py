"""Rules for doubtful fibers: limits on columns of `<id>_fibers.csv`.

They are options of `morphometry.py`, which leave such fibers out, and questions of `report.html`.
"""

import operator
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

import numpy as np

from myelin.runtime.cli import number


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


# Half of the fibers with this confidence were wrong (docs/measures.md); few sheaths are thinner or
# thicker; 3 % and 1 % of the axons in 20 images of nerves are less solid or less circular.
RULES = (
    Rule("--min-confidence", "confidence", "<", 0.6, "confidence"),
    Rule("--max-g-ratio", "g_ratio", ">", 0.95, "g-ratio"),
    Rule("--min-g-ratio", "g_ratio", "<", 0.2, "g-ratio"),
    Rule("--min-solidity", "axon_solidity", "<", 0.7, "axon solidity"),
    Rule("--min-circularity", "axon_circularity", "<", 0.3, "axon circularity"),
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
