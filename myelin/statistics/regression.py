"""Regression of the g-ratio on diameter, by least squares."""

from collections.abc import Sequence

import numpy as np

from myelin.statistics.units import Unit

AGAINST = ("axon_diameter_um", "fiber_diameter_um")
MIN_FIBERS = 3  # fewer leave nothing to estimate an error from


def regress(units: Sequence[Unit]) -> list[dict]:
    """Return a row of `regression.csv` for each unit and each diameter in `AGAINST`."""
    return [
        unit.names | {"against": against} | line(unit.sizes[against], unit.sizes["g_ratio"])
        for unit in units
        for against in AGAINST
    ]


def line(x: np.ndarray, y: np.ndarray) -> dict:
    """Return slope and intercept of y on x, their standard errors, r, and the number of values.

    The formulas are those of `scipy.stats.linregress`, whose import would take longer than most
    runs. All but the number are None with fewer than `MIN_FIBERS` values or if all x are equal; r
    is None if all y are equal.
    """
    n = len(x)
    if n < MIN_FIBERS or np.ptp(x) == 0:
        return {"n": n} | dict.fromkeys(("slope", "slope_se", "intercept", "intercept_se", "r"))
    dx, dy = x - x.mean(), y - y.mean()
    slope = dx @ dy / (dx @ dx)
    residuals = dy - slope * dx
    slope_se = np.sqrt(residuals @ residuals / (n - 2) / (dx @ dx))
    return {
        "n": n,
        "slope": float(slope),
        "slope_se": float(slope_se),
        "intercept": float(y.mean() - slope * x.mean()),
        "intercept_se": float(slope_se * np.sqrt(np.mean(x**2))),
        "r": float(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy))) if np.ptp(y) > 0 else None,
    }


def slope_columns(unit: Unit) -> dict[str, float | None]:
    """Return the slopes of a unit by column name."""
    return {
        f"g_ratio_slope_{row['against'].removesuffix('_um')}_per_um": row["slope"]
        for row in regress([unit])
    }
