"""Compare the fibers found with the points and the counts of persons."""

import itertools
from collections.abc import Sequence

import numpy as np

from myelin.measure.agreement import ENDS, POOLED, Comparison, agreement, detection
from myelin.measure.fibers import Fibers

PROGRAM = "counted_fibers"  # as in `summary.csv`
PARTS = ("points", "fibers", "found", "missed", "invented", "invented_at_border")
MIN_CORRELATED_IMAGES = 3  # two always lie on a line


def match_points(image: str, points: np.ndarray, fibers: Fibers) -> tuple[dict, list[dict]]:
    """Match points, float (n, 2), x and y within the image, with the fibers of that image.

    A fiber is found if a point lies on its axon or myelin. If several do, the first one counts, and
    the others are missed fibers.

    Returns
    -------
    row : dict
        One row of `points.csv`.
    places : list of dict
        Rows of `missed_invented.csv`, px from the outer corner of the top left pixel.
    """
    number = fibers.labels.at(*np.floor(points[:, ::-1]).astype(int).T)
    found, first = np.unique(number, return_index=True)
    missed = np.delete(points, first[found > 0], axis=0)
    invented = ~np.isin(np.arange(1, len(fibers) + 1), found)
    centers = np.stack([fibers.columns[axis] + 0.5 for axis in ("x_px", "y_px")], axis=1)
    places = [
        {"image": image, "kind": kind, "x": x, "y": y}
        for kind, where in (("missed", missed), ("invented", centers[invented]))
        for x, y in where.tolist()
    ]
    at_border = np.count_nonzero(invented & fibers.columns["touches_border"])
    sizes = len(points), len(fibers), sum(found > 0), len(missed), sum(invented), at_border
    return with_scores(image, map(int, sizes)), places


def with_scores(image: str, sizes: Sequence[int]) -> dict:
    """Return a row of `points.csv`: `PARTS`, precision, recall and F1."""
    row = {"image": image} | dict(zip(PARTS, sizes, strict=True))
    scores = detection(row["found"], row["points"], row["fibers"], [])
    return row | {name: scores[name] for name in ("precision", "recall", "f1")}


def pool_points(rows: Sequence[dict]) -> dict:
    """Return the row of `points.csv` over all images."""
    sums = [sum(row[part] for row in rows) for part in PARTS]
    return with_scores(POOLED, sums)


def compare_counts(
    counts: dict[str, np.ndarray],
) -> tuple[list[dict], list[Comparison]]:
    """Compare the counts of each two observers, the last of which is the program.

    Parameters
    ----------
    counts : dict of str to float array, (images,)
        By observer; NaN where an observer did not count.

    Returns
    -------
    rows : list of dict
        Rows of `count_agreement.csv`; with several persons, the last one has the ICC of all.
    comparisons : list of Comparison
        The program's counts against those of each person.
    """
    rows, comparisons = [], []
    for one, other in itertools.combinations(counts, 2):
        both = np.stack([counts[one], counts[other]])
        both = both[:, ~np.isnan(both).any(axis=0)]
        ends = dict(zip(ENDS, agreement("", *both).values(), strict=True))
        r2 = None
        if both.shape[1] >= MIN_CORRELATED_IMAGES and np.ptp(both, axis=1).all():
            r2 = float(np.corrcoef(both)[0, 1] ** 2)
        row = {"compared": f"{other} - {one}", "images": both.shape[1], **ends}
        rows.append(row | {"r_squared": r2, "icc": intraclass_correlation(both.T)})
        if other == PROGRAM:
            comparisons.append(Comparison(f"fibers, reference: {one}", "", *both, **ends))
    persons = np.stack([values for name, values in counts.items() if name != PROGRAM], axis=1)
    if persons.shape[1] > 1:
        persons = persons[~np.isnan(persons).any(axis=1)]
        everyone = {"compared": "all persons", "images": len(persons)}
        icc = {"icc": intraclass_correlation(persons)}
        rows.append(dict.fromkeys(rows[0]) | everyone | icc)
    return rows, comparisons


def intraclass_correlation(counts: np.ndarray) -> float | None:
    """Return the ICC of counts, float (images, observers); None for few or equal values.

    ICC(2,1) of Shrout and Fleiss (Psychol Bull 86:420-428, 1979), called ICC(A,1) by McGraw and
    Wong (Psychol Methods 1:30-46, 1996): absolute agreement of single counts.

    >>> four = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> round(intraclass_correlation(np.array(four)), 2)  # the example of Shrout and Fleiss
    0.29
    """
    images, observers = counts.shape
    if images < 2:
        return None
    by_image, by_observer = counts.mean(axis=1, keepdims=True), counts.mean(axis=0)
    between_images = observers * by_image.var(ddof=1)
    between_observers = images * by_observer.var(ddof=1)
    residuals = counts - by_image - by_observer + counts.mean()
    error = (residuals**2).sum() / ((images - 1) * (observers - 1))
    bias = observers * (between_observers - error) / images
    total = between_images + (observers - 1) * error + bias
    return float((between_images - error) / total) if total else None
