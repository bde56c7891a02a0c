"""How wide fibers are in pixels, and the width that networks are trained and used at."""

import numpy as np

from myelin.measure.fibers import measure_fibers

# What a pair's fibers come to in crops, see `fiber_width`. Mouse nerve at the 0.15 µm per pixel of
# 2018 is near it, rat spinal cord from 0.06 to 0.1 µm, corpus callosum of mice at 0.02 µm.
FIBER_PX = 35.0
# Up to this factor a pair stays at its own pixels, where no interpolation changes its grain.
TOLERANCE = 1.3
SCALES = (1 / 16, 4)  # at least and at most: a mask may say anything


def fiber_scale(myelin, fiber_px):
    """Return the magnification that brings the fibers of a mask to a width; 1 without fibers."""
    width = fiber_width(myelin)
    if width is None or 1 / TOLERANCE <= fiber_px / width <= TOLERANCE:
        return 1.0
    return min(max(fiber_px / width, SCALES[0]), SCALES[1])


def fiber_width(myelin):
    """Return the typical width of the fibers of a mask, px; None where there are none.

    The median of `fiber_widths`: widths spread over a factor of ten, and the few large ones fill
    most of the area.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    """
    widths = fiber_widths(myelin)
    return float(np.median(widths)) if len(widths) else None


def fiber_widths(myelin):
    """Return the diameter (circle of equal area) of every fiber of a mask, float array (n,), px.

    Those cut by the image's edge count too: an image of large fibers has few others, and large
    fibers are cut most often.
    """
    return measure_fibers(myelin, 1.0).columns["fiber_diameter_um"]
