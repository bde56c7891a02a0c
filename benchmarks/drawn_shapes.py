"""Errors of the measures on drawn fibers whose size is known exactly.

    python benchmarks/drawn_shapes.py

Single fibers: discs and tilted ellipses, axons 6 to 120 px wide, g-ratio 0.3 to 0.9, at random
places between pixels. Fibers in contact: equal ones in a hexagonal field, and pairs of unequal
ones, where the watershed has to find the border. Shapes: perimeter and smallest diameter of single
fibers.
"""

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.measure.agreement import measure_columns
from myelin.measure.fibers import measure_fibers

MEASURE_COLUMNS = list(measure_columns("um").values())


def draw(shape, centres, radii, g_ratios, squeeze=1.0, angle=0.0):
    """Return the myelin of discs, or of ellipses of the same area and one tilt, as a bool mask."""
    rows, cols = np.indices(shape)
    fiber, axon = np.zeros(shape, bool), np.zeros(shape, bool)
    for (y, x), radius, g_ratio in zip(centres, radii, g_ratios, strict=True):
        along = (cols - x) * math.cos(angle) + (rows - y) * math.sin(angle)
        across = (rows - y) * math.cos(angle) - (cols - x) * math.sin(angle)
        distance = np.hypot(along * math.sqrt(squeeze), across / math.sqrt(squeeze))
        fiber |= distance < radius
        axon |= distance < radius * g_ratio
    return fiber & ~axon


def errors(myelin, centres, radii, g_ratios):
    """Return relative errors, (fibers, measures); None where another number of fibers is found."""
    measured = measure_fibers(myelin, 1.0).columns
    if len(measured["x_px"]) != len(radii):
        return None
    places = np.stack([measured["y_px"], measured["x_px"]], axis=1)
    nearest = [np.argmin(np.hypot(*(places - centre).T)) for centre in centres]
    true = (2 * radii * g_ratios, radii * (1 - g_ratios), g_ratios)
    found = [measured[name][nearest] for name in MEASURE_COLUMNS]
    return np.stack([f / t - 1 for f, t in zip(found, true, strict=True)], axis=1)


def single(rng):
    """Return (axon diameter, sheath thickness, errors or None) of one random fiber."""
    diameter, g_ratio = math.exp(rng.uniform(math.log(6), math.log(120))), rng.uniform(0.3, 0.9)
    squeeze, angle = rng.choice([1.0, rng.uniform(0.5, 1)]), rng.uniform(0, math.pi)
    radius = diameter / 2 / g_ratio
    side = int(2 * radius / math.sqrt(squeeze)) + 12
    centre = side / 2 + rng.uniform(-0.5, 0.5, (1, 2))
    fiber = centre, np.array([radius]), np.array([g_ratio])
    myelin = draw((side, side), *fiber, squeeze, angle)
    return diameter, radius * (1 - g_ratio), errors(myelin, *fiber)


def shape(rng):
    """Return errors of a random ellipse: two perimeters, relative, and minimum Feret, px."""
    radius, squeeze = rng.uniform(10, 60), rng.choice([1.0, rng.uniform(0.3, 1)])
    major, minor = radius / math.sqrt(squeeze), radius * math.sqrt(squeeze)
    side = int(2 * major) + 12
    centre, angle = side / 2 + rng.uniform(-0.5, 0.5, (1, 2)), rng.uniform(0, math.pi)
    myelin = draw((side, side), centre, [radius], [0.5], squeeze, angle)
    columns = measure_fibers(myelin, 1.0).columns
    flat = ((major - minor) / (major + minor)) ** 2  # Ramanujan's perimeter
    perimeter = math.pi * (major + minor) * (1 + 3 * flat / (10 + math.sqrt(4 - 3 * flat)))
    lengths = columns["fiber_perimeter_um"][0], math.pi * columns["fiber_perimeter_diameter_um"][0]
    feret = columns["fiber_min_feret_um"][0] - 2 * minor
    return *(length / perimeter - 1 for length in lengths), feret


def field(rng):
    """Return the errors of 25 equal fibers in a hexagonal field, each touching its neighbours."""
    radius, g_ratio = rng.uniform(15, 45), rng.uniform(0.4, 0.8)
    places = [(i, j) for i in range(5) for j in range(5)]
    steps = np.array([(i * math.sqrt(3) / 2, j + i % 2 / 2) for i, j in places])
    centres = radius + 10 + 2 * radius * steps
    side = int(centres.max() + radius + 10)
    fibers = centres, np.full(25, radius), np.full(25, g_ratio)
    return errors(draw((side, side), *fibers), *fibers)


def pair(rng):
    """Return the errors of two fibers of different size and g-ratio that touch."""
    radii, g_ratios = np.array([rng.uniform(12, 20), rng.uniform(12, 50)]), rng.uniform(0.4, 0.8, 2)
    angle, gap = rng.uniform(0, 2 * math.pi), radii.sum() - rng.uniform(0, 2)
    centres = gap * np.array([[0, 0], [math.sin(angle), math.cos(angle)]])
    centres += 10 - (centres - radii[:, None]).min(axis=0)
    side = int((centres + radii[:, None]).max() + 10)
    return errors(draw((side, side), centres, radii, g_ratios), centres, radii, g_ratios)


def show(title, some):
    """Print mean, median absolute and worst error of each measure in percent."""
    found = [error for error in some if error is not None]
    all_errors = 100 * np.concatenate(found)
    cells = zip(
        all_errors.mean(axis=0),
        np.median(abs(all_errors), axis=0),
        abs(all_errors).max(axis=0),
        strict=True,
    )
    text = "   ".join(f"{mean:+6.2f} {median:5.2f} {worst:6.2f}" for mean, median, worst in cells)
    print(f"{title:34s} {len(all_errors):5d} {len(some) - len(found):4d}   {text}")


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    print("errors in %: mean, median of absolute, worst")
    print(f"{'':34s} {'n':>5s} {'lost':>4s}   " + "   ".join(f"{m:20s}" for m in MEASURE_COLUMNS))
    singles = [single(rng) for _ in range(3000)]
    for low, high in ((6, 16), (16, 120)):
        for thin, thick in ((0, 3), (3, 6), (6, 200)):
            chosen = [e for d, t, e in singles if low <= d < high and thin <= t < thick]
            show(f"axon {low}-{high} px, sheath {thin}-{thick} px", chosen)
    show("equal fibers in contact", [field(rng) for _ in range(60)])
    show("unequal pairs in contact", [pair(rng) for _ in range(400)])
    shapes = np.array([shape(rng) for _ in range(1000)])
    whats = "fiber_perimeter_um, %", "fiber_perimeter_diameter_um, %", "fiber_min_feret_um, px"
    for what, scale, found in zip(whats, (100, 100, 1), shapes.T, strict=True):
        low, mean, high = (scale * some for some in (found.min(), found.mean(), found.max()))
        print(f"{what:34s}: mean {mean:+.2f}, from {low:+.2f} to {high:+.2f}")


if __name__ == "__main__":
    main()
