"""Compare groups of animals: the animal of each image, and tables per animal and group.

The animals are the statistical units: a group's mean and standard deviation are those of its
animals, not of fibers or images, which depend on each other within an animal.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.measure.exclude import class_reason
from myelin.measure.fibers import Fibers
from myelin.measure.summary import SIZES, statistics
from myelin.runtime.cli import UserError, count_of, number, shortened_list
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows

# Edges of the bins of axon diameter, µm, in which g-ratios are compared: g depends on diameter, so
# a group with thinner axons would seem to have other sheaths. The last bin has no upper edge.
G_RATIO_BINS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
# Lower edges of diameter classes, µm: small, medium and large fibers of nerve and spinal cord.
DIAMETER_CLASSES = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
FOLDERS = Path("folders")  # value of --groups instead of a table

Animals = dict[tuple[str, str], list[str]]  # image ids by group and animal


@dataclass
class Measured:
    """Sizes and counts of one image's fibers.

    Attributes
    ----------
    sizes : dict of str to array, (n,)
        The columns `SIZES` of fibers that do not touch the border.
    counted : int
        Fibers in the unbiased counting frame.
    area_mm2 : float
    nerve_counted, nerve_area_mm2 : float or None
        The same for the nerve in the image; None without an outline.
    classes, classes_counted : Counter
        Fibers by class, and those of them that `nerve_counted` or else `counted` counts; "" is no
        class. Fibers that are left out by their class alone count. Empty without classes.
    """

    sizes: dict[str, np.ndarray]
    counted: int
    area_mm2: float
    nerve_counted: float | None = None
    nerve_area_mm2: float | None = None
    classes: Counter = field(default_factory=Counter)
    classes_counted: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, fibers: Fibers, row: dict, counted: np.ndarray) -> "Measured":
        """Return sizes and counts of the fibers of one image, and of its row of `summary.csv`.

        `counted`, bool (n,), is `Fibers.counted` before any fiber was left out.
        """
        sizes = {size: fibers.columns[size][fibers.whole] for size in SIZES}
        area = row.get("nerve_area_mm2")
        nerve = (row["fiber_density_nerve_per_mm2"] * area, area) if area else (None, None)
        found = cls(sizes, int(fibers.counted.sum()), fibers.area_mm2, *nerve)
        if (classes := fibers.columns.get("class")) is not None:
            reasons = np.array([class_reason(name) for name in classes], object)
            kept = fibers.kept | (fibers.columns["excluded"] == reasons)
            inside = fibers.columns["fascicle"] > 0 if area else True
            found.classes = Counter(classes[kept])
            found.classes_counted = Counter(classes[kept & counted & inside])
        return found


@dataclass
class GroupTables:
    """The tables that compare groups, each a list of rows; a file each, named as the field."""

    per_animal: list[dict]
    per_group: list[dict]
    per_g_ratio_bin: list[dict]


def add_group_options(parser: argparse.ArgumentParser) -> None:
    """Add `--groups` and the options of its tables."""
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with the columns image, group, animal: adds tables and a plot per group; "
        "folders: from the folders of the images, group/animal/image (default: no groups)",
    )
    parser.add_argument(
        "--g-ratio-bins",
        type=float,
        nargs="+",
        metavar="UM",
        default=G_RATIO_BINS,
        help="rising lower edges of the bins of axon diameter, µm, for g-ratios with --groups; "
        f"the last bin is open (default: {' '.join(f'{edge:g}' for edge in G_RATIO_BINS)})",
    )
    parser.add_argument(
        "--diameter-classes",
        type=number(float, 0, 1000),
        nargs="+",
        metavar="UM",
        default=DIAMETER_CLASSES,
        help="rising lower edges of the classes of axon and fiber diameter, µm, in "
        "per_diameter_class.csv; the last class is open "
        f"(default: {' '.join(f'{edge:g}' for edge in DIAMETER_CLASSES)})",
    )


def check_edges(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Raise if the edges of bins or classes do not rise."""
    for option, edges, wanted in (
        ("--g-ratio-bins", args.g_ratio_bins, "two or more rising numbers"),
        ("--diameter-classes", args.diameter_classes, "rising numbers"),
    ):
        rising = all(low < high for low, high in itertools.pairwise(edges))
        if not rising or (len(edges) < 2 and option == "--g-ratio-bins"):
            parser.error(f"argument {option}: {' '.join(map(str, edges))}: give {wanted}")


def find_groups(path: Path, names: Iterable[str]) -> Animals:
    """Return the images of each animal from a table, or, for `FOLDERS`, from the images' ids."""
    animals = groups_of_folders(names) if path == FOLDERS else read_groups(path, names)
    single = [group for group, own in animals_by_group(animals).items() if len(own) == 1]
    if single:
        print(f"note: {path}: one animal, so no standard deviation: {shortened_list(single)}")
    return animals


def groups_of_folders(names: Iterable[str]) -> Animals:
    """Return the images of each animal from their ids, group/animal/image, and print them.

    Inner folders of an animal belong to it. The same name in two groups means two animals.
    """
    animals, errors = {}, []
    for name in sorted(names):
        parts = name.split("/")
        if len(parts) < 3:
            errors.append(
                f"--groups folders: {name} is not in a folder group/animal, move it or give a table"
            )
        else:
            animals.setdefault((parts[0], parts[1]), []).append(name)
    if errors:
        raise UserError(*errors[:MAX_MISTAKES])
    print("groups and animals, from the folders:")
    for (group, animal), images in animals.items():
        shown = ", ".join(image.split("/", 2)[2] for image in images)
        print(f"  {group}  {animal}  {count_of(len(images), 'image')}: {shown}")
    return animals


def read_groups(path: Path, names: Iterable[str]) -> Animals:
    """Return the images of each animal from a CSV with the columns image, group, animal.

    Raises
    ------
    UserError
        Missing file or columns, an unknown or repeated image, an empty cell, an animal in two
        groups.
    """
    find, group_of, animals, seen, errors = image_ids(names), {}, {}, set(), []
    for line, row in read_rows(path, ("image", "group", "animal"), "image"):
        given, group, animal = (row[key] for key in ("image", "group", "animal"))
        image = find(given)
        if not (given and group and animal):
            errors.append(f"{path}: line {line} has an empty cell, fill it or remove the line")
        elif image is None:
            errors.append(
                f"{path}: line {line} names the image {given[:100]}, which has no mask, correct or "
                "remove the line"
            )
        elif image in seen:
            errors.append(f"{path}: line {line} repeats {image}, keep one line per image")
        elif group_of.setdefault(animal, group) != group:
            errors.append(f"{path}: line {line} puts {animal[:100]} into a second group, keep one")
        else:
            animals.setdefault((group, animal), []).append(image)
            seen.add(image)
        if len(errors) > MAX_MISTAKES:
            errors[-1] = f"{path}: more mistakes from line {line} on, mend these first"
            break
    if errors:
        raise UserError(*errors)
    ungrouped = sorted(set(names) - seen)
    if ungrouped:
        print(f"note: {path}: without these images: {', '.join(ungrouped)}")
    return animals


def animals_by_group(animals: Animals) -> dict[str, dict[str, list[str]]]:
    """Return {group: {animal: image ids}}."""
    groups = {}
    for (group, animal), names in animals.items():
        groups.setdefault(group, {})[animal] = names
    return groups


def compare_groups(
    animals: Animals, measured: dict[str, Measured], edges: Sequence[float]
) -> GroupTables:
    """Return the tables that compare groups.

    Parameters
    ----------
    animals : dict of (group, animal) to list of image ids
    measured : dict of image id to Measured
    edges : sequence of float
        Lower edges of the bins of axon diameter, µm, rising.
    """
    per_animal, bins = [], []
    for (group, animal), names in animals.items():
        images = [measured[name] for name in names]
        sizes = pool_sizes(images)
        row = {"group": group, "animal": animal, "images": len(images)}
        row["measured_fibers"] = len(sizes["g_ratio"])
        row["fiber_density_per_mm2"] = sum(image.counted for image in images) / sum(
            image.area_mm2 for image in images
        )
        row |= {f"{size}_mean": statistics(sizes[size])[0] for size in SIZES}
        per_animal.append(row)
        bins += [{"group": group, "animal": animal, **part} for part in by_diameter(sizes, edges)]
    per_group = [
        {"group": group, **describe([row for row in per_animal if row["group"] == group])}
        for group in dict.fromkeys(group for group, _ in animals)
    ]
    return GroupTables(per_animal, per_group, bins)


def pool_sizes(images: list[Measured]) -> dict[str, np.ndarray]:
    """Return the sizes of the fibers of several images together, by column."""
    return {size: np.concatenate([image.sizes[size] for image in images]) for size in SIZES}


def by_diameter(sizes: dict[str, np.ndarray], edges: Sequence[float]) -> list[dict]:
    """Return a row for each bin of axon diameter, with the mean g-ratio of its fibers.

    The last bin has no upper edge.
    """
    place = np.digitize(sizes["axon_diameter_um"], edges)
    rows = []
    for index, (low, high) in enumerate(itertools.pairwise([*edges, None]), 1):
        ratios = sizes["g_ratio"][place == index]
        rows.append(
            {
                "axon_diameter_um_from": float(low),
                "axon_diameter_um_to": high and float(high),
                "fibers": len(ratios),
                "g_ratio_mean": statistics(ratios)[0],
            }
        )
    return rows


def describe(animals: list[dict]) -> dict:
    """Return the mean and standard deviation of a group's rows of animals, as a row."""
    row = {"animals": len(animals)}
    for name in ("fiber_density_per_mm2", *(f"{size}_mean" for size in SIZES)):
        values = [animal[name] for animal in animals if animal[name] is not None]
        mean, sd, _ = statistics(values)
        measure = name.removesuffix("_mean")
        row |= {f"{measure}_mean": mean, f"{measure}_sd_of_animals": sd}
    return row
