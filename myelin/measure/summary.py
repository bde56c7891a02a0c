"""The numbers of a whole image: one row of `summary.csv`."""

import math

import numpy as np

from myelin.measure.fibers import Fibers
from myelin.measure.frame import Frame

# Columns of fibers that get a mean, a standard deviation and a median.
SIZES = ("axon_diameter_um", "fiber_diameter_um", "myelin_thickness_um", "g_ratio")


def statistics(values: np.ndarray | list[float]) -> tuple[float | None, ...]:
    """Return mean, sample standard deviation and median; None if there are too few values."""
    if len(values) == 0:
        return None, None, None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), sd, float(np.median(values))


def summarize(
    fibers: Fibers, image: str = "", pixel_size_source: str = "given", frame: Frame | None = None
) -> dict:
    """Return one image's row of `summary.csv`; None where there is nothing to calculate from.

    Density counts fibers in the unbiased counting frame, see `frame.py`. Sizes are those of fibers
    that do not touch the border. The aggregate g-ratio follows Stikov et al.
    (NeuroImage 118:397-405, 2015): sqrt(1 / (1 + myelin fraction / axon fraction)).

    Parameters
    ----------
    fibers : Fibers
    image : str
        The image's id.
    pixel_size_source : str
    frame : Frame, optional
    """
    pixels = fibers.area_px
    axon_fraction = fibers.axon_px / pixels
    myelin_fraction = fibers.myelin_px / pixels
    counted, whole = int(fibers.counted.sum()), fibers.whole
    row = {
        "image": image,
        "pixel_size_um": fibers.pixel_size_um,
        "area_mm2": fibers.area_mm2,
        "fiber_count": int(fibers.kept.sum()),
        "fiber_density_per_mm2": counted / fibers.area_mm2,
        "axon_area_fraction": axon_fraction,
        "myelin_area_fraction": myelin_fraction,
        "aggregate_g_ratio": math.sqrt(axon_fraction / (axon_fraction + myelin_fraction))
        if axon_fraction
        else None,
    }
    for size in SIZES:
        mean, sd, median = statistics(fibers.columns[size][whole])
        row |= {f"{size}_mean": mean, f"{size}_sd": sd, f"{size}_median": median}
    return row | {
        "counted_fibers": counted,
        "measured_fibers": int(whole.sum()),
        "border_fibers": int((fibers.kept & ~whole).sum()),
        "collapsed": fibers.collapsed,
        "pixel_size_source": pixel_size_source,
        "excluded_fibers": int((~fibers.kept).sum()),
        **tissue_of(frame, fibers.pixel_size_um),
    }


def tissue_of(frame: Frame | None, pixel_size_um: float) -> dict[str, float | None]:
    """Return the columns about the margins of an image; None if they were not searched for."""
    if frame is None or not frame.margin_known:
        return {"tissue_area_mm2": None, "margin_fraction": None}
    rows, cols = frame.shape
    return {
        "tissue_area_mm2": frame.tissue_px * (pixel_size_um / 1000) ** 2,
        "margin_fraction": 1 - frame.tissue_px / (rows * cols),
    }
