"""The group and animal of each image, from a table or folders, and the options of their tables."""

import argparse
import itertools
from collections.abc import Iterable
from pathlib import Path

from myelin.runtime.cli import UserError, count_of, number
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows

# Edges of the bins of axon diameter, µm, in which g-ratios are compared: g depends on diameter, so
# a group with thinner axons would seem to have other sheaths. The last bin has no upper edge.
G_RATIO_BINS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
# Lower edges of diameter classes, µm: small, medium and large fibers of nerve and spinal cord.
DIAMETER_CLASSES = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
FOLDERS = Path("folders")  # value of --groups instead of a table

Animals = dict[tuple[str, str], list[str]]  # image ids by group and animal


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
    return groups_of_folders(names) if path == FOLDERS else read_groups(path, names)


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


def place_of_images(animals: Animals) -> dict[str, tuple[str, str]]:
    """Return the group and the animal of each image."""
    return {name: place for place, names in animals.items() for name in names}
