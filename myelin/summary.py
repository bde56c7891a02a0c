"""The numbers of a whole image: one row of `summary.csv`."""

import math

import numpy as np

# Columns of the fibers that get a mean, a standard deviation and a median.
SIZES = ("axon_diameter_um", "fiber_diameter_um", "myelin_thickness_um", "g_ratio")


def statistics(values):
    """Return mean, sample standard deviation and median; None where there are too few values."""
    if len(values) == 0:
        return None, None, None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), sd, float(np.median(values))


def summarize(fibers, image="", pixel_size_source="given"):
    """Return one image's row of `summary.csv`.

    Density counts the fibers whose axon touches neither the top nor the left edge: the unbiased
    counting frame of Gundersen (J. Microsc. 111:219-223, 1977), with the image as the frame. Sizes
    are those of fibers that do not touch the border. The aggregate g-ratio follows Stikov et al.
    (NeuroImage 118:397-405, 2015): sqrt(1 / (1 + myelin fraction / axon fraction)).

    Parameters
    ----------
    fibers : fibers.Fibers
    image : str
        The image's id.
    pixel_size_source : str

    Returns
    -------
    dict
        By column of `summary.csv`; None where there is nothing to calculate from.
    """
    pixels = fibers.labels.size
    axon_fraction = np.count_nonzero(fibers.axons) / pixels
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
    }
