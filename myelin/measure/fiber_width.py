"""The width of fibers in pixels, and the width at which networks are trained and used."""

import numpy as np

from myelin.measure.fibers import measure_fibers

# Fiber width in training crops, see `fiber_width`. Mouse nerve at the 0.15 µm per pixel of 2018 is
# near it, rat spinal cord from 0.06 to 0.1 µm, corpus callosum of mice at 0.02 µm.
FIBER_PX = 35.0
# Up to this factor a pair keeps its own pixels, whose grain no interpolation changes.
TOLERANCE = 1.3
MIN_SCALE, MAX_SCALE = 1 / 16, 4  # whatever a mask contains


def fiber_scale(myelin: np.ndarray, fiber_px: float) -> float:
    """Return the magnification that brings the fibers of a mask to a width; 1 without fibers."""
    width = fiber_width(myelin)
    if width is None or 1 / TOLERANCE <= fiber_px / width <= TOLERANCE:
        return 1.0
    return min(max(fiber_px / width, MIN_SCALE), MAX_SCALE)


def fiber_width(myelin: np.ndarray) -> float | None:
    """Return the typical width of the fibers of a mask, bool (rows, cols), px; None without any.

    It is the median of `fiber_widths`: widths spread over a factor of ten, and the few large ones
    fill most of the area.
    """
    widths = fiber_widths(myelin)
    return float(np.median(widths)) if len(widths) else None


def fiber_widths(myelin: np.ndarray) -> np.ndarray:
    """Return the diameter (circle of equal area) of every fiber of a mask, float array (n,), px.

    Fibers cut by the image's edge are included: an image of large fibers has few others, and large
    fibers are cut most often.
    """
    return measure_fibers(myelin, 1.0).columns["fiber_diameter_um"]
