"""Implausible numbers of an image and their likely cause, most often the pixel size."""

import numpy as np

from myelin.measure.fibers import Fibers
from myelin.runtime.cli import count_of

USUAL_MEAN_AXON_UM = (0.1, 30.0)
USUAL_G_RATIO = (0.2, 0.95)
# Warn if more fibers than both this number and this fraction of those measured are unusual.
MAX_UNUSUAL = 5
MAX_UNUSUAL_FRACTION = 0.05
# Myelinated fibers are at least 0.3 µm wide: more of them do not fit beside each other.
MAX_DENSITY_PER_MM2 = 1e7


def doubts(row: dict, fibers: Fibers) -> list[str]:
    """Return a text for each implausible number of an image; `row` is that of `summary.csv`."""
    found = []
    size = f"is {row['pixel_size_um']:g} µm per pixel right ({row['pixel_size_source']})?"
    mean = row["axon_diameter_um_mean"]
    least, most = USUAL_MEAN_AXON_UM
    if mean is not None and not least <= mean <= most:
        shown = f"{mean:.3g}" if mean < 1000 else f"{mean:,.0f}"
        found.append(
            f"axons are {shown} µm wide on average, {least:g} to {most:g} is usual: {size}"
        )
    density = row["fiber_density_per_mm2"]
    if density > MAX_DENSITY_PER_MM2:
        found.append(f"{density:.3g} fibers per mm² do not fit beside each other: {size}")
    ratios = fibers.columns["g_ratio"][fibers.whole]
    low, high = USUAL_G_RATIO
    for unusual, text, question in (
        (ratios < low, f"below {low:g}", "are axons filled with myelin in the mask?"),
        (ratios > high, f"above {high:g}", "are sheaths too thin or broken in the mask?"),
    ):
        count = int(np.count_nonzero(unusual))
        if count > max(MAX_UNUSUAL, MAX_UNUSUAL_FRACTION * len(ratios)):
            total = count_of(len(ratios), "fiber")
            found.append(f"{count} of {total} have a g-ratio {text}: {question}")
    return found
