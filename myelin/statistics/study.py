"""The tables of a study that follow from the sizes of its fibers, from classes to tests.

The animals are the statistical units: a group's mean and standard deviation are those of its
animals, not of fibers or images, which depend on each other within an animal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from myelin.measure.summary import SIZES, statistics
from myelin.statistics.comparisons import MIN_ANIMALS, compare_animals
from myelin.statistics.diameter_classes import classes_of, classify, share_columns
from myelin.statistics.fiber_classes import count_classes
from myelin.statistics.groups import Animals, animals_by_group
from myelin.statistics.regression import regress, slope_columns
from myelin.statistics.sampling import COUNTED
from myelin.statistics.units import Measured, Unit, units_of

# Classes with fewer of all fibers are not tested: their percentages are 0 in too many animals.
MIN_TESTED_PERCENT = 5
FRAME_DENSITY, NERVE_DENSITY = "fiber_density_per_mm2", "fiber_density_nerve_per_mm2"
# Columns of `per_animal.csv` that are no measures.
ANIMAL_COLUMNS = ("group", "animal", "images", "measured_fibers")
# Names in `per_g_ratio_bin.csv` of what `classes_of` returns.
BIN_COLUMNS = {
    "axon_diameter_um_from": "low_um",
    "axon_diameter_um_to": "high_um",
    "fibers": "count",
    "g_ratio_mean": "g_ratio_mean",
}


@dataclass
class Study:
    """The results of a run beyond its images.

    Attributes
    ----------
    units : list of Unit
    tables : dict of str to list of dict
        The rows of the tables, by the name of their file; `per_animal` and other tables about
        groups only if there are groups.
    """

    units: list[Unit]
    tables: dict[str, list[dict]]

    def at(self, level: str) -> list[Unit]:
        """Return the units of a level, "image", "animal" or "group"."""
        return [unit for unit in self.units if unit.level == level]

    def facts(self) -> dict:
        """Return the entries of `run.json` about the totals of scans and the tests."""
        found = {
            "totals": [row for row in self.tables.get("sampling", []) if row["basis"] == COUNTED]
        }
        if tests := self.tables.get("tests"):
            found["tests"] = {
                "measures": list(dict.fromkeys(row["measure"] for row in tests)),
                "tests": sorted({row["test"] for row in tests if row["p"] is not None}),
            }
        return found


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
    study = Study(units_of(animals, measured), {})
    if animals:
        outlined = any(image.nerve_area_mm2 for unit in study.at("group") for image in unit.images)
        per_animal = [row_of_animal(unit, classes, outlined) for unit in study.at("animal")]
        study.tables["per_animal"] = per_animal
        study.tables["per_group"] = [
            row_of_group(group.group, per_animal) for group in study.at("group")
        ]
        study.tables["per_g_ratio_bin"] = [
            {"group": unit.group, "animal": unit.animal}
            | {name: part[own] for name, own in BIN_COLUMNS.items()}
            for unit in study.at("animal")
            for part in classes_of(unit, "axon", bins)
        ]
    study.tables["per_diameter_class"] = classify(study.units, classes)
    study.tables["regression"] = regress(study.units)
    if of_fibers := count_classes(study.units):
        study.tables["per_class"] = of_fibers
    if animals:
        note_few_animals(animals)
        study.tables["tests"] = compare_animals(per_animal, tested_measures(per_animal))
    return study


def row_of_animal(unit: Unit, classes: Sequence[float], outlined: bool) -> dict:
    """Return an animal's row of `per_animal.csv`; `outlined`: images of the study have outlines."""
    names = (unit.group, unit.animal, len(unit.images), len(unit.sizes["g_ratio"]))
    row = dict(zip(ANIMAL_COLUMNS, names, strict=True))
    row[FRAME_DENSITY] = unit.frame_density_per_mm2
    row |= {f"{size}_mean": statistics(unit.sizes[size])[0] for size in SIZES}
    if outlined:
        row[NERVE_DENSITY] = unit.density_per_mm2
    return row | slope_columns(unit) | share_columns(unit, classes)


def row_of_group(group: str, animals: list[dict]) -> dict:
    """Return a group's row of `per_group.csv`: mean and standard deviation of its animals."""
    own = [row for row in animals if row["group"] == group]
    row = {"group": group, "animals": len(own)}
    for name in [name for name in own[0] if name not in ANIMAL_COLUMNS]:
        mean, sd, _ = statistics([animal[name] for animal in own if animal[name] is not None])
        measure = name.removesuffix("_mean")
        row |= {f"{measure}_mean": mean, f"{measure}_sd_of_animals": sd}
    return row


def tested_measures(animals: list[dict]) -> list[str]:
    """Return the columns of `per_animal.csv` that are tested."""
    densities = [name for name in (NERVE_DENSITY, FRAME_DENSITY) if name in animals[0]]
    names = [name for name in animals[0] if name not in (*ANIMAL_COLUMNS, *densities)]
    return densities[:1] + [
        name
        for name in names
        if not name.endswith("_percent")
        or (statistics([row[name] for row in animals if row[name] is not None])[0] or 0)
        >= MIN_TESTED_PERCENT
    ]


def note_few_animals(animals: Animals) -> None:
    """Print which groups have too few animals for standard deviations or p values."""
    groups = {group: len(parts) for group, parts in animals_by_group(animals).items()}
    few = [f"{group} {count}" for group, count in groups.items() if count < MIN_ANIMALS]
    if few:
        print(
            f"note: --groups: a standard deviation needs 2 animals, a p value {MIN_ANIMALS} in "
            f"each group: {', '.join(few)}"
        )
    if len(groups) == 1:
        print(f"note: --groups: only one group, {', '.join(groups)}, so there is no tests.csv")
