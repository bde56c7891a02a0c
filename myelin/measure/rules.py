"""Rules that a doubtful fiber breaks: limits on the columns of `<id>_fibers.csv`.

Options of `morphometry.py`, which leave such fibers out, and what `report.html` asks about.
"""

import operator
from dataclasses import dataclass

import numpy as np

from myelin.runtime.cli import number


@dataclass(frozen=True)
class Rule:
    """A limit on one column of `<id>_fibers.csv`; a fiber without a value never breaks it.

    Attributes
    ----------
    option : str
        Of `morphometry.py`.
    column : str
    sign : "<" or ">"
        Fibers below, or above, the limit are left out.
    doubt : float or None
        The limit from which `report.html` asks for a decision, unless another is set there.
    what : str
        The column in words, with its unit.
    """

    option: str
    column: str
    sign: str
    doubt: float | None
    what: str

    @property
    def name(self):
        """The option's name in the parsed arguments."""
        return self.option.removeprefix("--").replace("-", "_")

    @property
    def side(self):
        """On which side of the limit fibers are left out, in words."""
        return "below" if self.sign == "<" else "above"

    def reason(self, limit):
        return f"{self.column} {self.sign} {limit:g}"

    def broken(self, columns, limit):
        """Return which fibers break the rule, bool (n,)."""
        compare = operator.lt if self.sign == "<" else operator.gt
        return compare(columns[self.column], limit)


# Doubtful: half of the fibers of such a confidence were wrong (docs/measures.md), hardly any sheath
# is so thin or so thick, and of the axons in 20 images of nerve 3 and 1 % are so far from round.
RULES = (
    Rule("--min-confidence", "confidence", "<", 0.6, "confidence"),
    Rule("--max-g-ratio", "g_ratio", ">", 0.95, "g-ratio"),
    Rule("--min-g-ratio", "g_ratio", "<", 0.2, "g-ratio"),
    Rule("--min-solidity", "axon_solidity", "<", 0.7, "axon solidity"),
    Rule("--min-circularity", "axon_circularity", "<", 0.3, "axon circularity"),
    Rule("--min-axon-diameter", "axon_diameter_um", "<", None, "axon diameter in µm"),
    Rule("--max-axon-diameter", "axon_diameter_um", ">", None, "axon diameter in µm"),
)


def add_rule_options(parser):
    """Add an option for each rule."""
    for rule in RULES:
        parser.add_argument(
            rule.option,
            type=number(float, 0),
            metavar="UM" if "diameter" in rule.option else "X",
            help=f"leave out fibers whose {rule.what} is {rule.side} this, as with --exclude "
            "(default: none)",
        )


def limits_of(args):
    """Return {rule: limit} of the rules given on the command line."""
    limits = {rule: getattr(args, rule.name) for rule in RULES}
    return {rule: limit for rule, limit in limits.items() if limit is not None}


def rule_reasons(columns, limits):
    """Return the rules that each fiber breaks, in words, (n,) lists of str.

    Parameters
    ----------
    columns : dict of str to array, (n,)
        Of `<id>_fibers.csv`.
    limits : dict of Rule to float
    """
    reasons = [[] for _ in columns["fiber"]]
    for rule, limit in limits.items():
        for row in np.flatnonzero(rule.broken(columns, limit)):
            reasons[row].append(rule.reason(limit))
    return reasons
