"""Implausible numbers of an image and their likely cause, most often the pixel size."""

import numpy as np

from myelin.measure.fibers import Fibers
from myelin.runtime.cli import count_of

USUAL_MEAN_AXON_UM = (0.35, 15.0)
USUAL_G_RATIO = (0.2, 0.95)
# Warn if more fibers than both this number and this fraction of those measured are unusual.
MAX_UNUSUAL = 5
MAX_UNUSUAL_FRACTION = 0.05
# Mouse corpus callosum has 1 to 1.7 million myelinated fibers per mm² of axons of 0.36 µm or more.
MAX_DENSITY_PER_MM2 = 2e6
# Fibers that fill more of the area than this are side by side; fewer of them per mm² would be more
# than 19 µm wide on average.
PACKED_FRACTION = 0.3
MIN_PACKED_DENSITY_PER_MM2 = 1000.0
MAX_DENSITY_DIFFERENCE = 0.1  # between frame and nerve
# What makes a pixel size wrong by a factor; the right one is the wrong one times this factor.
CAUSES = dict.fromkeys((0.1, 10.0), "the decimal point or the magnification is wrong")
CAUSES |= {0.001: "nm were taken for µm", 1000.0: "mm were taken for µm, or µm for nm"}


def doubts(row: dict, fibers: Fibers) -> list[str]:
    """Return a text for each implausible number of an image; `row` is that of `summary.csv`."""
    found = doubt_of_pixel_size(row)
    density, in_nerve = row["fiber_density_per_mm2"], row.get("fiber_density_nerve_per_mm2")
    if in_nerve is not None and abs(in_nerve - density) > MAX_DENSITY_DIFFERENCE * density:
        found.append(
            f"{density:,.0f} fibers per mm² of the frame, but {in_nerve:,.0f} per mm² of the nerve "
            "found in it: check its outline in the overlay, and compare densities of nerves"
        )
    if not len(fibers):
        share = row["myelin_area_fraction"]
        found.append(
            f"no fibers, though {share:.0%} of the area is myelin: does the mask show closed rings?"
            if share
            else "no myelin in the mask: a density of 0 counts, remove the mask if there are fibers"
        )
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


def doubt_of_pixel_size(row: dict) -> list[str]:
    """Return a text if axons or density are implausible, or nobody measured the pixel size."""
    size, mean, found = row["pixel_size_um"], row["axon_diameter_um_mean"], []
    least, most = USUAL_MEAN_AXON_UM
    if mean is not None and not least <= mean <= most:
        shown = f"{mean:.3g}" if mean < 1000 else f"{mean:,.0f}"
        found.append(f"axons are {shown} µm wide on average, {least:g} to {most:g} is usual")
    density = row["fiber_density_per_mm2"]
    filled = row["axon_area_fraction"] + row["myelin_area_fraction"]
    if density > MAX_DENSITY_PER_MM2:
        found.append(f"{density:,.0f} fibers per mm² are more than any tissue has")
    elif 0 < density < MIN_PACKED_DENSITY_PER_MM2 and filled > PACKED_FRACTION:
        share = f"{100 * filled:.0f} %"
        found.append(f"fibers fill {share} of the area, but are only {density:.0f} per mm²")
    if not found and size != 1:
        return []
    found = found or ["the pixel size is exactly 1 µm"]
    source = row["pixel_size_source"]
    return [
        f"{', and '.join(found)}: is {size:g} µm per pixel right ({source})?{cause_of(size, mean)}"
    ]


def cause_of(size_um: float, mean_axon_um: float | None) -> str:
    """Return the likely cause of a wrong pixel size as a sentence, "" if there is none."""
    if size_um == 1:
        return " Programs write 1 if nobody measured it"
    least, most = USUAL_MEAN_AXON_UM
    for factor, cause in CAUSES.items():
        if mean_axon_um is not None and least <= mean_axon_um * factor <= most:
            right, mean = size_um * factor, mean_axon_um * factor
            return f" If {cause}, it is {right:.4g}, and axons are {mean:.2g} µm wide"
    return ""
