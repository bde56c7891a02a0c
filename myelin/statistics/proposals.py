"""Propose classes of fibers, for a person to confirm: `proposed_classes.csv`.

The table has the form of `classes.csv`. All rules compare a fiber with the others of the run:

thin        The g-ratio lies more than `MAX_DEVIATIONS` above the run's line of g-ratio on axon
            diameter: the sheath is too thin for the axon.
swollen     It lies as far below: the sheath is too thick for the axon.
collapsed   It lies as far below, and the axon is a slit.
cluster     `MIN_CLUSTER` or more of the thinnest fibers side by side, each with a
            g-ratio above the line by a standard deviation: regenerating fibers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from myelin.measure.exclude import DOUBTFUL
from myelin.measure.fibers import Fibers
from myelin.statistics.regression import line

# Deviations are divided by 1.4826 x the median absolute deviation, which is the standard deviation
# of normal values and hardly changes with the outliers that are sought. Beyond 2.5 of these a value
# is an outlier (Leys et al., J Exp Soc Psychol 49:764-766, 2013).
MAX_DEVIATIONS, MAD_TO_SD = 2.5, 1.4826
# Ratio of the axes of a slit; an obliquely cut cylinder has it at 60 degrees.
SLIT_AXIS_RATIO = 0.5
# Fibers of a cluster: at least three, as two thin neighbours are common by chance; of the thinnest
# quarter, as with the thinner half ordinary neighbours were proposed (docs/study.md); each above
# the line by one standard deviation only, as their number adds to the evidence.
MIN_CLUSTER, SMALL, MIN_CLUSTER_DEVIATION = 3, 0.25, 1
# Largest gap between two fibers of a cluster, as circles of their areas: their Schwann cells and
# basal laminae are in between, and nothing else.
MAX_GAP_UM = 1.0
MIN_FIBERS = 30  # fewer have no reliable deviations
COLUMNS = ("fiber", "x_px", "y_px", "axon_diameter_um", "fiber_diameter_um", "g_ratio")
COLUMNS += ("axon_minor_axis_um", "axon_major_axis_um")


@dataclass
class Candidates:
    """The fibers of an image that may get a class: whole, not left out, not doubtful.

    Attributes
    ----------
    image : str
        The image's id.
    mask_sha256 : str
        See `exclude.mask_hash`.
    pixel_size_um : float
    columns : dict of str to array, (n,)
        `COLUMNS`.
    decided : bool array, (n,)
        Fibers with a class in `classes.csv`, which are not proposed.
    """

    image: str
    mask_sha256: str
    pixel_size_um: float
    columns: dict[str, np.ndarray]
    decided: np.ndarray

    @classmethod
    def of(cls, image: str, mask_sha256: str, fibers: Fibers) -> "Candidates":
        """Return the candidates among the fibers of an image."""
        rows = fibers.whole & ~(fibers.columns["doubt"] > DOUBTFUL)
        columns = {name: fibers.columns[name][rows] for name in COLUMNS}
        decided = fibers.columns.get("class", np.full(len(fibers), ""))[rows] != ""
        return cls(image, mask_sha256, fibers.pixel_size_um, columns, decided)


def propose_classes(images: Sequence[Candidates]) -> list[dict]:
    """Return the rows of `proposed_classes.csv`, those of an image with the most deviant first."""
    pool = {
        name: np.concatenate([image.columns[name] for image in images]) for name in COLUMNS[3:6]
    }
    fit = line(pool["axon_diameter_um"], pool["g_ratio"])
    if fit["n"] < MIN_FIBERS or fit["slope"] is None:
        return []
    residuals = pool["g_ratio"] - fit["intercept"] - fit["slope"] * pool["axon_diameter_um"]
    centre = np.median(residuals)
    sd = MAD_TO_SD * np.median(np.abs(residuals - centre))
    if sd == 0:
        return []
    small_um, rows, first = np.quantile(pool["fiber_diameter_um"], SMALL), [], 0
    for image in images:
        deviations = (residuals[first : first + len(image.decided)] - centre) / sd
        first += len(image.decided)
        words = classes_of(image, deviations, small_um)
        for row in np.argsort(-np.abs(deviations), kind="stable"):
            if words[row] and not image.decided[row]:
                found = {"image": image.image, "fiber": int(image.columns["fiber"][row])}
                found |= {"class": words[row], "g_ratio_deviation_sd": float(deviations[row])}
                found |= {name: float(image.columns[name][row]) for name in COLUMNS[1:6]}
                rows.append(found | {"mask_sha256": image.mask_sha256})
    return rows


def classes_of(image: Candidates, deviations: np.ndarray, small_um: float) -> np.ndarray:
    """Return the proposed class of each fiber of an image, str (n,), "" for most.

    Parameters
    ----------
    image : Candidates
    deviations : float array, (n,)
        From the run's line, in standard deviations.
    small_um : float
        Fibers of a cluster are thinner than this.
    """
    columns = image.columns
    slit = columns["axon_minor_axis_um"] < SLIT_AXIS_RATIO * columns["axon_major_axis_um"]
    thick = deviations < -MAX_DEVIATIONS
    words = np.select(
        [thick & slit, thick, deviations > MAX_DEVIATIONS], ["collapsed", "swollen", "thin"], ""
    ).astype(object)
    wanted = (deviations > MIN_CLUSTER_DEVIATION) & (columns["fiber_diameter_um"] < small_um)
    words[clustered(image, wanted)] = "cluster"
    return words


def clustered(image: Candidates, wanted: np.ndarray) -> np.ndarray:
    """Return the indices of those of the wanted fibers, bool (n,), that lie in clusters."""
    from scipy.sparse import coo_array  # late, as the imports are slow
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    index = np.flatnonzero(wanted)
    if len(index) < MIN_CLUSTER:
        return index[:0]
    x, y, diameter = (image.columns[name][index] for name in ("x_px", "y_px", "fiber_diameter_um"))
    centres = np.stack([x, y], axis=1) * image.pixel_size_um
    i, j = cKDTree(centres).query_pairs(diameter.max() + MAX_GAP_UM, output_type="ndarray").T
    gaps = np.hypot(*(centres[i] - centres[j]).T) - (diameter[i] + diameter[j]) / 2
    i, j = i[gaps <= MAX_GAP_UM], j[gaps <= MAX_GAP_UM]
    pairs = coo_array((np.ones(len(i)), (i, j)), (len(index), len(index)))
    _, part = connected_components(pairs, directed=False)
    return index[np.bincount(part)[part] >= MIN_CLUSTER]
