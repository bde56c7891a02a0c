"""Numbers that cannot be right, and what is likely wrong: most often the pixel size."""

import numpy as np

MEAN_AXON_UM = (0.1, 30.0)
G_RATIO = (0.2, 0.95)
# More than a few: this many fibers, and this part of those measured.
MANY, MANY_OF_ALL = 5, 0.05
# Myelinated fibers are 0.3 µm wide at least: no more of them fit beside each other.
MAX_DENSITY_PER_MM2 = 1e7


def doubts(row, fibers):
    """Return what is implausible in an image's numbers, as a list of texts.

    Parameters
    ----------
    row : dict
        Of `summary.csv`.
    fibers : fibers.Fibers
    """
    found = []
    size = f"is {row['pixel_size_um']:g} µm per pixel right ({row['pixel_size_source']})?"
    mean = row["axon_diameter_um_mean"]
    if mean is not None and not MEAN_AXON_UM[0] <= mean <= MEAN_AXON_UM[1]:
        found.append(
            f"axons are {mean:{'.3g' if mean < 1000 else ',.0f'}} µm wide in the mean, "
            f"{MEAN_AXON_UM[0]:g} to "
            f"{MEAN_AXON_UM[1]:g} is usual: {size}"
        )
    density = row["fiber_density_per_mm2"]
    if density > MAX_DENSITY_PER_MM2:
        found.append(f"{density:.3g} fibers per mm² are more than fit: {size}")
    ratios = fibers.columns["g_ratio"][fibers.whole]
    for many, text, reason in (
        (ratios < G_RATIO[0], f"below {G_RATIO[0]:g}", "are axons filled with myelin in the mask?"),
        (ratios > G_RATIO[1], f"above {G_RATIO[1]:g}", "are sheaths too thin or broken there?"),
    ):
        count = int(np.count_nonzero(many))
        if count > max(MANY, MANY_OF_ALL * len(ratios)):
            found.append(f"{count} of {len(ratios)} fibers have a g-ratio {text}: {reason}")
    return found
