"""How often tests between groups find a difference where there is none.

    python benchmarks/null_study.py
    python benchmarks/null_study.py --groups 3 --animals 4 --draws 200

Draws studies whose groups are equal, fiber by fiber: animals differ in the size, the g-ratio and
the density of their fibers, groups do not. For each measure in `tests.csv` it prints the share of
studies with p < 0.05 in any pair of groups (with three or more groups, also of Welch's ANOVA), and
then the share with any adjusted p < 0.05. Both should be near 5 %, the second at most.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.statistics.groups import DIAMETER_CLASSES
from myelin.statistics.study import make_study
from myelin.statistics.units import Measured


def draw_animal(rng: np.random.Generator, fibers: int) -> Measured:
    """Return an animal whose fibers differ from those of the mean animal by chance."""
    count = rng.poisson(fibers * np.exp(rng.normal(0, 0.15)))
    fiber = rng.lognormal(1.8 + rng.normal(0, 0.08), 0.4, count)
    ratio = np.clip(rng.normal(0.6 + rng.normal(0, 0.02), 0.07, count), 0.2, 0.95)
    sizes = {
        "axon_diameter_um": ratio * fiber,
        "fiber_diameter_um": fiber,
        "myelin_thickness_um": (1 - ratio) * fiber / 2,
        "g_ratio": ratio,
    }
    return Measured(sizes, count, 0.03)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=2, help="default: 2")
    parser.add_argument("--animals", type=int, default=5, help="in each group (default: 5)")
    parser.add_argument("--fibers", type=int, default=300, help="of an animal (default: 300)")
    parser.add_argument("--draws", type=int, default=1000, help="studies (default: 1000)")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    names = [(f"group {g}", f"{g}-{a}") for g in range(args.groups) for a in range(args.animals)]
    animals = {name: [name[1]] for name in names}
    tested, low, low_anova, any_adjusted = Counter(), Counter(), Counter(), 0
    for _ in range(args.draws):
        measured = {animal: draw_animal(rng, args.fibers) for _, animal in names}
        rows = make_study(animals, measured, (0, 1), DIAMETER_CLASSES).tables["tests"]
        for measure in {row["measure"] for row in rows}:
            own = [row for row in rows if row["measure"] == measure]
            tested[measure] += 1
            low[measure] += any(row["p"] < 0.05 for row in own)
            low_anova[measure] += (own[0]["anova_p"] or 1) < 0.05
        any_adjusted += any(row["p_adjusted"] < 0.05 for row in rows)
    for measure, count in sorted(tested.items()):
        anova = f", ANOVA {100 * low_anova[measure] / count:4.1f} %" if args.groups > 2 else ""
        print(f"{measure:40} p < 0.05 in {100 * low[measure] / count:4.1f} % of {count}{anova}")
    print(f"any adjusted p < 0.05 in {100 * any_adjusted / args.draws:.1f} % of {args.draws}")


if __name__ == "__main__":
    main()
