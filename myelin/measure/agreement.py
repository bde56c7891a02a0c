"""Compare two masks of one image: overlap, fibers found, and sizes of fibers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from myelin.measure.fibers import Fibers
from myelin.measure.summary import summarize
from myelin.pixels.labels import LabelImage, row_bands, shared_pixels

# Minimum overlap of the same fiber in two masks: above a half, no fiber can have two partners
# (Kirillov et al., Panoptic Segmentation, CVPR 2019).
MIN_IOU = 0.5
LIMIT_SD = 1.96  # 95 % of normal differences are within this many standard deviations
ENDS = ("bias", "lower", "upper")
MEASURES = ("axon_diameter", "myelin_thickness", "g_ratio")
POOLED = "all"  # id of the row over all images


@dataclass
class Compared:
    """The comparison of the fibers of one image.

    Attributes
    ----------
    row : dict
        One row of `evaluation.csv`.
    pairs : dict of str to pair of float arrays, (p,)
        Reference and predicted values, by column, of matching fibers that touch no border.
    ious : float array, (matches,)
        Intersection over union of matching fibers, including those at the border.
    """

    row: dict
    pairs: dict[str, tuple[np.ndarray, np.ndarray]]
    ious: np.ndarray


@dataclass
class Comparison:
    """Values of one measure in two masks: a panel of the Bland-Altman plot.

    Attributes
    ----------
    title, unit : str
    reference, predicted : float arrays, (n,)
    bias, lower, upper : float or None
        Bias and 95 % limits, see `agreement`.
    """

    title: str
    unit: str
    reference: np.ndarray
    predicted: np.ndarray
    bias: float | None
    lower: float | None
    upper: float | None


def overlap(
    reference: np.ndarray | LabelImage, predicted: np.ndarray | LabelImage
) -> tuple[float, float]:
    """Return Dice and intersection over union of two masks.

    Parameters
    ----------
    reference, predicted : bool arrays, (rows, cols), or LabelImage
        0 is background.

    Returns
    -------
    dice, iou : float
        1 where both masks are empty.
    """
    both = total = 0
    for rows in row_bands(reference.shape):
        one, other = reference[rows] > 0, predicted[rows] > 0
        both += np.count_nonzero(one & other)
        total += np.count_nonzero(one) + np.count_nonzero(other)
    return (2 * both / total, both / (total - both)) if total else (1.0, 1.0)


def match_fibers(reference: LabelImage, predicted: LabelImage) -> tuple[np.ndarray, np.ndarray]:
    """Pair the fibers of two label images.

    Parameters
    ----------
    reference, predicted : LabelImage
        Numbers 1 to n and 1 to m; 0 is background.

    Returns
    -------
    pairs : int array, (p, 2)
        Numbers of fibers that overlap by `MIN_IOU` or more; no number occurs twice.
    ious : float array, (p,)
    """
    one, other, common = shared_pixels(reference, predicted)
    iou = common / (reference.areas()[one - 1] + predicted.areas()[other - 1] - common)
    order = np.argsort(-iou, kind="stable")
    order = order[iou[order] >= MIN_IOU]
    # At exactly one half a fiber can have two partners; the first one stays.
    _, first = np.unique(one[order], return_index=True)
    order = order[np.sort(first)]
    _, first = np.unique(other[order], return_index=True)
    order = order[np.sort(first)]
    return np.stack([one[order], other[order]], axis=1), iou[order]


def detection(
    matched: int, references: int, predictions: int, ious: np.ndarray | list[float]
) -> dict[str, float | None]:
    """Return precision, recall, F1 and panoptic quality; None if there are no fibers."""
    wrong = (references - matched) + (predictions - matched)
    weight = matched + wrong / 2
    return {
        "fibers_reference": references,
        "fibers_predicted": predictions,
        "fibers_matched": matched,
        "precision": matched / predictions if predictions else None,
        "recall": matched / references if references else None,
        "f1": matched / weight if weight else None,
        "panoptic_quality": float(np.sum(ious)) / weight if weight else None,
    }


def agreement(name: str, reference: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Return bias and 95 % limits of agreement (Bland and Altman, Lancet 327:307-310, 1986).

    Parameters
    ----------
    name : str
        Start of the names in the result.
    reference, predicted : float arrays, (n,)
        Values of the same fibers or images in two masks.

    Returns
    -------
    dict
        `<name>_bias`, the mean of predicted - reference, and `<name>_lower`, `<name>_upper`; None
        if there are too few values.
    """
    difference = predicted - reference
    bias = float(difference.mean()) if len(difference) else None
    half = LIMIT_SD * float(difference.std(ddof=1)) if len(difference) > 1 else None
    limits = (None, None) if half is None else (bias - half, bias + half)
    return dict(zip((f"{name}_{end}" for end in ENDS), (bias, *limits), strict=True))


def percent(reference: float | None, predicted: float | None) -> float | None:
    """Return the difference in % of the reference; None if one is missing."""
    if reference is None or predicted is None or reference == 0:
        return None
    return 100 * (predicted / reference - 1)


def compare(
    name: str,
    reference: Fibers,
    predicted: Fibers,
    masks: tuple[np.ndarray, np.ndarray],
    unit: str,
) -> Compared:
    """Compare the fibers of one image.

    Parameters
    ----------
    name : str
    reference, predicted : Fibers
    masks : pair of bool arrays, (rows, cols)
        Myelin of the reference and of the prediction.
    unit : "um" or "px"
    """
    row = {"image": name, "pixel_size_um": reference.pixel_size_um if unit == "um" else None}
    row["myelin_dice"], row["myelin_iou"] = overlap(*masks)
    row["axon_dice"], row["axon_iou"] = overlap(reference.axons, predicted.axons)
    numbers, ious = match_fibers(reference.labels, predicted.labels)
    row |= detection(len(numbers), len(reference), len(predicted), ious)
    one, other = numbers.T - 1
    inside = reference.whole[one] & predicted.whole[other]
    pairs = {}
    for measure, column in measure_columns(unit).items():
        found = "g_ratio" if measure == "g_ratio" else f"{measure}_um"
        values = reference.columns[found][one][inside], predicted.columns[found][other][inside]
        pairs[column] = values
        row |= agreement(column, *values)
    ours, theirs = summarize(predicted), summarize(reference)
    for measure, column in measure_columns(unit).items():
        found = "g_ratio_mean" if measure == "g_ratio" else f"{measure}_um_mean"
        row |= population(column, theirs[found], ours[found])
    density = density_column(unit)
    row |= population(density, *(s["fiber_density_per_mm2"] for s in (theirs, ours)))
    return Compared(row, pairs, ious)


def measure_columns(unit: str) -> dict[str, str]:
    """Return the column of each measure, with its unit."""
    return {name: name if name == "g_ratio" else f"{name}_{unit}" for name in MEASURES}


def density_column(unit: str) -> str:
    """Return the column of density; with pixels of 1 µm, "per mm²" is "per megapixel"."""
    return "fiber_density_per_mm2" if unit == "um" else "fiber_density_per_megapixel"


def population(
    column: str, reference: float | None, predicted: float | None
) -> dict[str, float | None]:
    """Return two means over all whole fibers, matched or not, and their difference in %."""
    return {
        f"{column}_reference": reference,
        f"{column}_predicted": predicted,
        f"{column}_difference_percent": percent(reference, predicted),
    }


def pool(compared: list[Compared], unit: str) -> tuple[dict, list[Comparison]]:
    """Compare all images together.

    Parameters
    ----------
    compared : list of Compared
    unit : "um" or "px"

    Returns
    -------
    row : dict
        From pooled counts and pairs of fibers; other columns are means over images.
    comparisons : list of Comparison
        Each measure of the fibers, and the density of the images.
    """
    rows = [one.row for one in compared]
    total = {"image": POOLED, "pixel_size_um": None}
    for name in ("myelin_dice", "myelin_iou", "axon_dice", "axon_iou"):
        total[name] = float(np.mean([row[name] for row in rows]))
    counts = [
        sum(row[f"fibers_{part}"] for row in rows) for part in ("matched", "reference", "predicted")
    ]
    total |= detection(*counts, np.concatenate([one.ious for one in compared]))
    pairs = {
        column: np.concatenate([one.pairs[column] for one in compared], axis=1)
        for column in measure_columns(unit).values()
    }
    for column, both in pairs.items():
        total |= agreement(column, *both)
    density = density_column(unit)
    for column in (*pairs, density):
        both = [(row[f"{column}_reference"], row[f"{column}_predicted"]) for row in rows]
        # Leave out images without fibers in one of the masks.
        both = np.array([pair for pair in both if None not in pair]).reshape(-1, 2)
        means = (float(mean) for mean in both.mean(axis=0)) if len(both) else (None, None)
        total |= population(column, *means)
    total |= agreement(density, *both.T)
    return total, comparisons(pairs, both.T, total, unit)


def comparisons(
    pairs: dict[str, np.ndarray], densities: np.ndarray, total: dict, unit: str
) -> list[Comparison]:
    """Return the comparisons of the fibers' measures and of the images' densities."""

    def one(title: str, unit: str, column: str, both: np.ndarray) -> Comparison:
        ends = {end: total[f"{column}_{end}"] for end in ENDS}
        return Comparison(title, unit, *both, **ends)

    written = "µm" if unit == "um" else "px"
    found = []
    for name, column in measure_columns(unit).items():
        title = f"{name.replace('_', ' ')} of fibers".replace("g ratio", "g-ratio")
        found.append(one(title, "" if name == "g_ratio" else written, column, pairs[column]))
    area = "per mm²" if unit == "um" else "per megapixel"
    return [*found, one("density of images", area, density_column(unit), densities)]
