"""Tables for statistics programs: all fibers, `fibers.csv`, and a column per group, `prism/`."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from myelin.measure.summary import SIZES
from myelin.runtime.tables import parse_table, write_table
from myelin.statistics.groups import Animals, place_of_images
from myelin.statistics.regression import AGAINST
from myelin.statistics.study import Study

FIRST = ("group", "animal", "image", "fascicle", "class", "excluded")


def write_fibers_table(
    out: Path, ids: Sequence[str], animals: Animals, decimal: str = "point"
) -> None:
    """Write `fibers.csv`: the rows of all `<id>_fibers.csv` of a folder, with `FIRST` in front."""
    header, _, _ = parse_table(out / f"{ids[0]}_fibers.csv")
    others = [name for name in header if name not in FIRST]

    def rows() -> Iterator[list[str]]:
        places = place_of_images(animals)
        for name in ids:
            group, animal = places.get(name, ("", ""))
            header, fibers, _ = parse_table(out / f"{name}_fibers.csv")
            for fiber in fibers:
                row = dict(zip(header, fiber, strict=True), group=group, animal=animal, image=name)
                yield [row.get(column, "") for column in (*FIRST, *others)]

    write_table(out / "fibers.csv", [*FIRST, *others], rows(), decimal)


def write_prism(folder: Path, study: Study, decimal: str = "point") -> None:
    """Write tables with a column per group, each named after its measure.

    `animals_<measure>.csv` and `fibers_<measure>.csv` are column tables;
    `g_ratio_against_<diameter>.csv` are XY tables, in which a row has a value in the column of the
    fiber's group alone.

    Parameters
    ----------
    folder : Path
    study : Study
    decimal : {"point", "comma"}
    """
    pools = {unit.group: unit.sizes for unit in study.at("group")}
    names, animals = list(pools), study.tables["per_animal"]
    for measure in list(animals[0])[3:]:  # after group, animal and images
        columns = [[row[measure] for row in animals if row["group"] == name] for name in names]
        write_columns(folder / f"animals_{measure}.csv", names, columns, decimal)
    for size in SIZES:
        columns = [pools[name][size].tolist() for name in names]
        write_columns(folder / f"fibers_{size}.csv", names, columns, decimal)
    for against in AGAINST:
        rows = []
        for place, name in enumerate(names):
            before, after = [None] * place, [None] * (len(names) - place - 1)
            pairs = zip(pools[name][against].tolist(), pools[name]["g_ratio"].tolist(), strict=True)
            rows += [[x, *before, y, *after] for x, y in pairs]
        write_table(folder / f"g_ratio_against_{against}.csv", [against, *names], rows, decimal)


def write_columns(path: Path, names: list[str], columns: list[list], decimal: str) -> None:
    """Write columns of different lengths."""
    write_table(path, names, itertools.zip_longest(*columns), decimal)
