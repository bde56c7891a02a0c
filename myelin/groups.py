"""Compare groups of animals: which image belongs to whom, and tables per animal and group.

Used by `morphometry.py --groups groups.csv`. The animals are the statistical units: a group's mean
and standard deviation are those of its animals, not of fibers or images, which depend on each
other within an animal.
"""

import csv
import io
import itertools
import unicodedata
from pathlib import Path

import numpy as np

from myelin.cli import UserError

# Columns that get a mean, a standard deviation and a median per image, animal and group.
SIZES = ("axon_diameter_um", "fiber_diameter_um", "myelin_thickness_um", "g_ratio")
# Edges of the bins of axon diameter, µm, in which g-ratios are compared: g depends on diameter, so
# that a group with thinner axons would seem to have other sheaths. Steps of 1 µm,
# and a wider last one, as thick axons are few.
G_RATIO_BINS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)


def statistics(values):
    """Return mean, sample standard deviation and median; None where there are too few values."""
    if len(values) == 0:
        return None, None, None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), sd, float(np.median(values))


def read_groups(path, names):
    """Read which image belongs to which animal and group.

    Parameters
    ----------
    path : path
        CSV with the columns image, group, animal; separated by comma, semicolon or tab.
    names : iterable of str
        Ids of the images that are measured.

    Returns
    -------
    dict of (group, animal) to list of image ids

    Raises
    ------
    UserError
        Missing file or columns, an unknown or repeated image, an empty cell, an animal in two
        groups.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}), save it as CSV in UTF-8") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    try:
        columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}: no table ({error}), save it as CSV in UTF-8") from None
    if not {"image", "group", "animal"} <= set(columns) or not rows:
        raise UserError(
            f"{path}: columns {', '.join(columns)} and {len(rows)} rows, give it the columns "
            "image, group, animal and a row per image"
        )
    # macOS may write the ä of a file name as two letters, and a spreadsheet as one.
    composed = {unicodedata.normalize("NFC", name): name for name in names}
    animals, seen, errors = {}, set(), []
    for number, row in rows:
        given, group, animal = ((row[key] or "").strip() for key in ("image", "group", "animal"))
        image = unicodedata.normalize("NFC", given)
        if image not in composed:
            image = Path(image).stem.removesuffix("_mask")
        image = composed.get(image, image)
        if not (image and group and animal):
            errors.append(f"{path}: line {number} has an empty cell, fill it or remove the line")
        elif image not in composed.values():
            errors.append(
                f"{path}: line {number} names the image {given}, of which there is no "
                "mask, correct or remove it"
            )
        elif image in seen:
            errors.append(f"{path}: line {number} repeats {image}, keep one line per image")
        elif any(animal == other and group != found for found, other in animals):
            errors.append(f"{path}: line {number} puts {animal} into a second group, give it one")
        else:
            animals.setdefault((group, animal), []).append(image)
            seen.add(image)
    if errors:
        raise UserError(*errors)
    return animals


def compare_groups(animals, measured, edges):
    """Return the tables that compare groups; animals are the statistical units.

    Parameters
    ----------
    animals : dict of (group, animal) to list of image ids
    measured : dict of image id to dict
        `columns` of the fibers that do not touch the border, `counted`, `area_mm2`.
    edges : sequence of float
        Edges of the bins of axon diameter, µm.

    Returns
    -------
    per_animal, per_group, bins : lists of dict
    """
    per_animal, bins = [], []
    for (group, animal), images in animals.items():
        pooled = {
            size: np.concatenate([measured[image]["columns"][size] for image in images])
            for size in SIZES
        }
        area = sum(measured[image]["area_mm2"] for image in images)
        row = {"group": group, "animal": animal, "images": len(images)}
        row["measured_fibers"] = len(pooled["g_ratio"])
        row["fiber_density_per_mm2"] = sum(measured[image]["counted"] for image in images) / area
        row |= {f"{size}_mean": statistics(pooled[size])[0] for size in SIZES}
        per_animal.append(row)
        place = np.digitize(pooled["axon_diameter_um"], edges)
        for index, (low, high) in enumerate(itertools.pairwise(edges), 1):
            values = pooled["g_ratio"][place == index]
            bins.append(
                {
                    "group": group,
                    "animal": animal,
                    "axon_diameter_um_from": float(low),
                    "axon_diameter_um_to": float(high),
                    "fibers": len(values),
                    "g_ratio_mean": statistics(values)[0],
                }
            )
    per_group = []
    for group in dict.fromkeys(group for group, _ in animals):
        members = [row for row in per_animal if row["group"] == group]
        row = {"group": group, "animals": len(members)}
        for name in ("fiber_density_per_mm2", *(f"{size}_mean" for size in SIZES)):
            values = [member[name] for member in members if member[name] is not None]
            mean, sd, _ = statistics(values)
            row |= {name.removesuffix("_mean") + "_mean": mean}
            row |= {name.removesuffix("_mean") + "_sd_of_animals": sd}
        per_group.append(row)
    return per_animal, per_group, bins
