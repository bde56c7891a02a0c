"""Total number of fibers from fields, and its coefficient of error: `sampling.csv`.

Fields are a systematic uniform random sample, as from `find_myelin.py --fields` or listed in a
table. Their rows are the strips of a two-stage sample: the variance is that between systematic
strips (Gundersen et al., J Microsc 193:199-211, 1999, for smoothness class 0, with the factor for
strips of finite width of Cruz-Orive, J Microsc 222:158-165, 2006) plus that within strips, taken as
Poisson. Strips enter as deviations from the mean density, since the area that they sample is known:
the estimate is a ratio.
"""

import argparse
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.folders.fields import FIELDS
from myelin.runtime.cli import UserError, number, shortened_list
from myelin.runtime.tables import MAX_MISTAKES, image_ids, read_rows
from myelin.statistics.groups import Animals, place_of_images
from myelin.statistics.units import Measured, Unit

# Multiples of the number of fields for which the coefficient of error is expected, so that a few
# fields tell how many suffice.
MULTIPLES = (0.25, 0.5, 1, 2, 4)
COUNTED, EXPECTED = "counted", "expected"  # values of the column basis
NUMBERS = {"sampling_fraction": 1, "nerve_area_mm2": math.inf, "height_px": math.inf}
NUMBERS |= {"step_y_px": math.inf}  # the largest that each may be


@dataclass
class Sample:
    """The fields of one scan or nerve.

    Attributes
    ----------
    images : list of str
        Ids of the fields.
    rows : list of str
        The row of fields that each field lies in; its own if the table has no `y_px`.
    facts : dict of str to float
        The values of `NUMBERS` that the table has, the same for all fields.
    """

    images: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)


def add_fields_option(parser: argparse.ArgumentParser) -> None:
    """Add `--fields`."""
    parser.add_argument(
        "--fields",
        type=Path,
        metavar="CSV",
        help="table of systematic random fields with the columns image, scan, and "
        "sampling_fraction or nerve_area_mm2: adds sampling.csv, the total number of fibers of "
        "each scan (default: fields.csv of find_myelin.py --fields beside the masks)",
    )


def read_samples(given: Path | None, masks: Path, names: Collection[str]) -> dict[str, Sample]:
    """Return the fields of each scan from a table, by default `fields.csv` beside the masks.

    Raises
    ------
    UserError
        Missing file or columns, a field without a mask, a cell that is not a number, a scan with
        neither fraction nor area.
    """
    path = given or masks / f"{FIELDS}.csv"
    if given is None and not path.exists():
        return {}
    find, samples, missing, errors = image_ids(names), {}, {}, []
    for line, row in read_rows(path, ("image", "scan"), "field"):
        sample, image = samples.setdefault(row["scan"], Sample()), find(row["image"])
        if image is None or image in sample.images:
            missing.setdefault(row["scan"], []).append(row["image"])
            continue
        sample.images.append(image)
        sample.rows.append(row.get("y_px") or image)
        for name, most in NUMBERS.items():
            try:
                if text := row.get(name, "").replace(",", "."):
                    sample.facts.setdefault(name, number(float, 0, most)(text))
            except argparse.ArgumentTypeError as mistake:
                errors.append(f"{path}: line {line}: {name} {mistake}, correct it")
    if given is None:  # another run has replaced the fields
        samples = {scan: sample for scan, sample in samples.items() if sample.images}
    for scan, sample in samples.items():
        if scan in missing:
            errors.append(
                f"{path}: {scan}: no mask of its own for {shortened_list(missing[scan])}, "
                "segment all fields, as the total would be too low"
            )
        elif not errors and not (
            sample.facts.get("sampling_fraction") or sample.facts.get("nerve_area_mm2")
        ):
            errors.append(f"{path}: {scan}: give it sampling_fraction (above 0) or nerve_area_mm2")
    if errors:
        raise UserError(*errors[:MAX_MISTAKES])
    return samples


def estimate_totals(
    samples: dict[str, Sample], measured: dict[str, Measured], animals: Animals
) -> list[dict]:
    """Return the rows of `sampling.csv`: for each scan, one for each of `MULTIPLES`.

    The total is counted fibers / sampling fraction, or if the area of the nerve is given, their
    density x this area. Rows of other numbers of fields hold the coefficient of error to expect.
    """
    places, rows = place_of_images(animals), []
    for scan, sample in samples.items():
        group, animal = places.get(sample.images[0], ("", ""))
        names = {"group": group, "animal": animal, "scan": scan}
        rows += [names | row for row in rows_of(sample, [measured[n] for n in sample.images])]
        if len(sample.images) == 1:
            print(f"note: {scan}: one field has no coefficient of error, take two or more")
    return rows


def rows_of(sample: Sample, images: list[Measured]) -> list[dict]:
    """Return the rows of one scan, without its names; `images` are its fields."""
    units = [Unit("image", "", "", "", [image]) for image in images]
    areas = np.array([unit.counted_area_mm2 for unit in units])
    if area_mm2 := sample.facts.get("nerve_area_mm2"):
        counts = np.array([unit.density_per_mm2 for unit in units]) * areas
        fraction = min(areas.sum() / area_mm2, 1.0)
    else:  # all fields of a scan have one area
        counts = np.array([image.counted for image in images], float)
        areas, fraction = np.ones(len(images)), sample.facts["sampling_fraction"]
    height, step = (sample.facts.get(name, 0) for name in ("height_px", "step_y_px"))
    thickness = min(height / step, 1.0) if step else 0.0
    strips, total, rows = strip_deviations(counts, areas, sample.rows), counts.sum(), []
    for times in (k for k in MULTIPLES if k * fraction <= 1 or k == 1):
        fields = round(times * len(images))
        parts = None, None
        if min(fields, len(images)) > 1 and total:
            parts = relative_errors(total, strips, fraction, thickness, times)
        elif times != 1:
            continue
        row = {"fields": fields, "basis": COUNTED if times == 1 else EXPECTED}
        row["fibers_counted"] = round(float(times * total))
        row["area_mm2"] = times * sum(image.area_mm2 for image in images)
        row["sampling_fraction"] = times * fraction
        row["total_fibers"] = float(total / fraction) if times == 1 else None
        row["ce"] = None if parts[0] is None else math.hypot(*parts)
        rows.append(row | {"ce_noise": parts[0], "ce_systematic": parts[1]})
    return rows


def strip_deviations(counts: np.ndarray, areas: np.ndarray, rows: Sequence[str]) -> np.ndarray:
    """Return the fibers of each row of fields minus those expected at the mean density.

    A single row has no variance between rows, so each of its fields is a strip.
    `counts` and `areas`, float (n,), and `rows` are those of the fields.
    """
    deviations, strips = counts - counts.sum() / areas.sum() * areas, {}
    rows = rows if len(set(rows)) > 1 else range(len(rows))
    for row, deviation in zip(rows, deviations.tolist(), strict=True):
        strips[row] = strips.get(row, 0.0) + deviation
    return np.array([*strips.values()])


def relative_errors(
    counted: float, strips: np.ndarray, fraction: float, thickness: float = 0.0, times: float = 1
) -> tuple[float, float]:
    """Return the coefficient of error within strips (noise) and between strips (systematic).

    Parameters
    ----------
    counted : float
        Fibers counted in all fields.
    strips : float array, (n,)
        From `strip_deviations`.
    fraction : float
        Sampled fraction of the area.
    thickness : float
        Height of a strip / distance between the upper edges of two strips, 0 to 1.
    times : float
        Number of fields relative to that counted; other than 1, the errors are those expected if
        both steps, down and across, change by the same factor.
    """
    noise = counted * (1 - fraction)
    products = [strips[k:] @ strips[: len(strips) - k] for k in (0, 1, 2)]
    squares = max(3 * (products[0] - noise) - 4 * products[1] + products[2], 0.0)
    thickness = min(thickness * math.sqrt(times), 1.0)
    between = (1 - thickness) ** 2 / (6 * (2 - thickness)) * squares
    within = counted * max(1 - times * fraction, 0.0)
    return math.sqrt(within / times) / counted, math.sqrt(between / times) / counted
