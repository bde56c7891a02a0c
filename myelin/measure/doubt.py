"""Rate how likely each fiber is wrong, and say why: the columns `doubt` and `doubt_reason`.

A logistic regression on a few measures of the fiber. Its table, `models/doubt.csv`, is written by
`models/train_doubt.py`, from fibers that match a reference and fibers that do not.
"""

import functools
from pathlib import Path

import cv2
import numpy as np

import unet
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import row_bands
from myelin.runtime.tables import read_rows

TABLE = Path(unet.__file__).resolve().parent / "models" / "doubt.csv"
# The measures, and the reason that each gives; all but the first three need no probability.
REASONS = {
    "faint": "faint sheath",
    "filled": "axon hard to tell from myelin",
    "uneven": "sheath faint on one side",
    "notch": "two fibers joined?",
    "irregular": "irregular outline",
    "thinnest": "thin or open ring",
    "small": "much smaller than the others",
    "thick": "sheath too thick for its axon",
}
Weights = dict[str, tuple[float, float, float]]
MIN_REASON = 0.05  # fibers with less doubt have no reason
MAX_DEVIATION = 4.0  # standard deviations from the mean beyond which nothing adds to the doubt
SECTORS = 16  # of a sheath, seen from the middle of the axon
REACH_PX = 128  # bands of a scan overlap by this many rows, more than the thickest sheath has


def add_doubt(fibers: Fibers, probability: np.ndarray | None) -> None:
    """Add the columns `doubt`, 0 to 1, and `doubt_reason` to the fibers of an image.

    Parameters
    ----------
    fibers : Fibers
    probability : uint8 array, (rows, cols), or None
        Myelin probability x 255; without it, shape alone is rated.
    """
    add_rating(fibers, fiber_measures(fibers, probability))


def add_rating(fibers: Fibers, measures: dict[str, np.ndarray]) -> None:
    """Add the columns of `add_doubt` to the fibers of an image by their `fiber_measures`."""
    fitted = weights()["probability" if "faint" in measures else "shape"]
    doubt, strongest = rate(relative(measures), fitted)
    fibers.columns["doubt"] = doubt
    fibers.columns["doubt_reason"] = np.where(
        doubt < MIN_REASON, "", np.array(list(REASONS.values()), object)[strongest]
    )


def rate(measures: dict[str, np.ndarray], fitted: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Return the doubt of each fiber, float (n,), and its strongest measure's place in `REASONS`.

    `fitted` holds mean, standard deviation and weight of each measure, and the intercept.
    """
    parts = np.full((len(REASONS), len(measures["notch"])), -np.inf)
    for place, name in enumerate(REASONS):
        if name in fitted:
            mean, sd, weight = fitted[name]
            deviation = (measures[name] - mean) / sd
            parts[place] = weight * np.clip(deviation, -MAX_DEVIATION, MAX_DEVIATION)
    total = np.where(np.isfinite(parts), parts, 0).sum(axis=0) + fitted["intercept"][2]
    return 1 / (1 + np.exp(-total)), np.argmax(parts, axis=0)


@functools.cache
def weights() -> dict[str, Weights]:
    """Return the weights in `TABLE`, of ratings with a probability and by shape alone."""
    found = {}
    for _, row in read_rows(TABLE, ("rating", "measure", "mean", "sd", "weight"), "measure"):
        numbers = tuple(float(row[name]) for name in ("mean", "sd", "weight"))
        found.setdefault(row["rating"], {})[row["measure"]] = numbers
    return found


def doubt_measures(fibers: Fibers, probability: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the measures of `REASONS`, float arrays (n,); the larger, the more doubtful.

    faint       1 - mean p of the sheath; p is the probability of myelin
    filled      mean p of the axon
    uneven      standard deviation of the mean p of sectors of the sheath, minus the image's median
    notch       logarithm of 1.01 - solidity of the fiber
    irregular   1 - circularity of the fiber
    thinnest    1 - least / mean thickness of the sheath
    small       natural logarithm of the image's median fiber diameter / the fiber's, at least 0
    thick       logit of the image's median g-ratio - that of the fiber's, at least 0
    """
    return relative(fiber_measures(fibers, probability))


def relative(measures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `fiber_measures` with three of them replaced by their distance from the median."""
    found = dict(measures)
    for name, sign in (("small", 1), ("thick", 1), ("uneven", -1)):
        if name in found and len(found[name]):
            found[name] = sign * (np.median(found[name]) - found[name])
    return found | {name: np.maximum(found[name], 0) for name in ("small", "thick")}


def fiber_measures(fibers: Fibers, probability: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the measures of each fiber that need no other fiber, float arrays (n,).

    They are those of `doubt_measures`, but `small` is the logarithm of the diameter, `thick` the
    logit of the g-ratio, and `uneven` the standard deviation itself.
    """
    columns, count = fibers.columns, len(fibers)
    area, perimeter = columns["fiber_area_um2"], columns["fiber_perimeter_um"]
    g_ratio = np.clip(columns["g_ratio"], 0.02, 0.995)
    with np.errstate(divide="ignore"):
        circularity = np.fmin(4 * np.pi * area / perimeter**2, 1)
    found = {
        "notch": np.log(np.maximum(1.01 - columns["fiber_solidity"], 0.005)),
        "irregular": 1 - circularity,
        "thinnest": thinnest(fibers),
        "small": np.log(columns["fiber_diameter_um"]),
        "thick": np.log(g_ratio / (1 - g_ratio)),
    }
    if probability is not None:
        on_axon, on_fiber = (
            part.sums(probability, count) / 255 for part in (fibers.axons, fibers.labels)
        )
        axon_px = fibers.axons.areas(count)
        sheath_px = np.maximum(fibers.labels.areas(count) - axon_px, 1)
        found["faint"] = 1 - (on_fiber - on_axon) / sheath_px
        found["filled"] = on_axon / axon_px
        found["uneven"] = sector_spread(fibers, probability)
    return found


def thinnest(fibers: Fibers) -> np.ndarray:
    """Return 1 - least / mean thickness of each sheath along its axon, float (n,); 1: it is open.

    The thickness at a pixel of the axon's edge is its distance from the outline of the fiber.
    """
    count = len(fibers)
    least, total, pixels = np.full(count + 1, np.inf), np.zeros(count + 1), np.zeros(count + 1)
    for rows in row_bands(fibers.labels.shape, 2 * REACH_PX):
        above = min(rows.start, REACH_PX)
        seen = slice(rows.start - above, rows.stop + REACH_PX)
        here = slice(above, above + rows.stop - rows.start)
        labels, axons = fibers.labels[seen], fibers.axons[seen]
        inner = (labels > 0) & ~at_edge(labels)
        depth = cv2.distanceTransform(inner.view(np.uint8), cv2.DIST_L2, 5)[here] + 0.5
        edge = (at_edge(axons) & (axons > 0))[here]
        number, thickness = axons[here][edge], depth[edge]
        np.minimum.at(least, number, thickness)
        total += np.bincount(number, thickness, minlength=count + 1)
        pixels += np.bincount(number, minlength=count + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(1 - least / (total / pixels), nan=1.0, neginf=1.0)[1:]


def at_edge(numbers: np.ndarray) -> np.ndarray:
    """Return which pixels have a 4-neighbour with another number, bool (rows, cols)."""
    found = np.zeros(numbers.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = numbers[one] != numbers[other]
        found[one] |= differs
        found[other] |= differs
    return found


def sector_spread(fibers: Fibers, probability: np.ndarray) -> np.ndarray:
    """Return the standard deviation of p over the sectors of each sheath, float (n,).

    Sectors without a sheath, as where the border cuts a fiber, are left out.
    """
    columns = fibers.columns
    pixels, sums = np.zeros((2, len(fibers) * SECTORS))
    for rows in row_bands(fibers.labels.shape):
        labels = fibers.labels[rows]
        row, col = np.nonzero((labels > 0) & (fibers.axons[rows] == 0))
        fiber = labels[row, col] - 1
        down, across = row + rows.start - columns["y_px"][fiber], col - columns["x_px"][fiber]
        turn = np.arctan2(down, across) / (2 * np.pi) % 1
        sector = fiber * SECTORS + (turn * SECTORS).astype(int) % SECTORS
        pixels += np.bincount(sector, minlength=len(pixels))
        sums += np.bincount(sector, probability[rows][row, col] / 255, minlength=len(pixels))
    used = (pixels > 0).reshape(-1, SECTORS)
    means = (sums / np.maximum(pixels, 1)).reshape(-1, SECTORS)
    sectors = np.maximum(used.sum(axis=1), 1)
    mean = (means * used).sum(axis=1) / sectors
    return np.sqrt((((means - mean[:, None]) * used) ** 2).sum(axis=1) / sectors)
