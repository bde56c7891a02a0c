"""The tables of a study that follow from the sizes of its fibers, from classes to tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from myelin.measure.summary import SIZES
from myelin.statistics.comparisons import MIN_ANIMALS, compare_animals
from myelin.statistics.diameter_classes import classify, share_columns
from myelin.statistics.fiber_classes import count_classes
from myelin.statistics.groups import (
    Animals,
    GroupTables,
    Measured,
    animals_by_group,
    compare_groups,
)
from myelin.statistics.regression import regress, slope_columns
from myelin.statistics.units import Unit, units_of

# Classes with fewer of all fibers are not tested: their percentages are 0 in too many animals.
MIN_TESTED_PERCENT = 5
FRAME_DENSITY, NERVE_DENSITY = "fiber_density_per_mm2", "fiber_density_nerve_per_mm2"


@dataclass
class Study:
    """The results of a run beyond its images.

    Attributes
    ----------
    units : list of Unit
    groups : GroupTables or None
        The tables of the groups; None without groups.
    tables : dict of str to list of dict
        The rows of the other tables, by the name of their file.
    """

    units: list[Unit]
    groups: GroupTables | None
    tables: dict[str, list[dict]]

    @property
    def all_tables(self) -> dict[str, list[dict]]:
        """The tables of the groups, if there are any, and the others."""
        return (vars(self.groups) if self.groups else {}) | self.tables

    def facts(self) -> dict | None:
        """Return what `run.json` says of the tests; None without tests."""
        tests = self.tables.get("tests")
        if not tests:
            return None
        return {
            "measures": list(dict.fromkeys(row["measure"] for row in tests)),
            "tests": sorted({row["test"] for row in tests if row["p"] is not None}),
        }


def make_study(
    animals: Animals,
    measured: dict[str, Measured],
    bins: Sequence[float],
    classes: Sequence[float],
) -> Study:
    """Return the tables of groups, classes, regressions and tests.

    Parameters
    ----------
    animals : dict of (group, animal) to list of image ids
        Empty without groups.
    measured : dict of image id to Measured
    bins : sequence of float
        Edges of the bins of axon diameter in which g-ratios are compared, µm.
    classes : sequence of float
        Lower edges of the diameter classes, µm.
    """
    units = units_of(animals, measured)
    tables = {"per_diameter_class": classify(units, classes), "regression": regress(units)}
    if of_fibers := count_classes(units):
        tables["per_class"] = of_fibers
    if not animals:
        return Study(units, None, tables)
    groups = compare_groups(animals, measured, bins)
    outlined = any(measured[name].nerve_area_mm2 for names in animals.values() for name in names)
    densities = {(u.group, u.animal): u.density_per_mm2 for u in units if u.level == "animal"}
    for row in groups.per_animal:
        if outlined:
            row[NERVE_DENSITY] = densities[row["group"], row["animal"]]
        own = [
            [part for part in table if part["level"] == "animal" and is_of(part, row)]
            for table in tables.values()
        ]
        shares, slopes = share_columns(own[0]), slope_columns(own[1])
        row |= slopes | shares
    tested = [
        NERVE_DENSITY if outlined else FRAME_DENSITY,
        *(f"{size}_mean" for size in SIZES),
        *slopes,
    ]
    tested += [name for name in shares if mean_share(groups.per_animal, name) >= MIN_TESTED_PERCENT]
    note_few_animals(animals)
    tables["tests"] = compare_animals(groups.per_animal, tested)
    return Study(units, groups, tables)


def is_of(part: dict, row: dict) -> bool:
    """Return whether two rows are of the same animal."""
    return (part["group"], part["animal"]) == (row["group"], row["animal"])


def mean_share(animals: list[dict], name: str) -> float:
    """Return the mean percentage of a class over the animals that have fibers, otherwise 0."""
    known = [row[name] for row in animals if row[name] is not None]
    return sum(known) / len(known) if known else 0.0


def note_few_animals(animals: Animals) -> None:
    """Print why groups get no tests or no p values."""
    groups = {group: len(parts) for group, parts in animals_by_group(animals).items()}
    few = [f"{group} {count}" for group, count in groups.items() if count < MIN_ANIMALS]
    if len(groups) == 1:
        print(f"note: --groups: only one group, {', '.join(groups)}, so there is no tests.csv")
    elif few:
        print(
            f"note: --groups: p values need {MIN_ANIMALS} animals a group, tests.csv has none for "
            f"{', '.join(few)}"
        )
