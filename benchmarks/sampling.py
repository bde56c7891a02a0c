"""How well the total of a synthetic scan is estimated from fields: bias and coefficient of error.

    python benchmarks/sampling.py

Draws a scan, measures the mask of each of its tiles as a field, and takes 1,000 samples of fields,
from the whole scan and from an ellipse in it, as a nerve. It takes some minutes.
"""

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from myelin.folders.fields import FieldSampling, choose_fields
from myelin.measure.fibers import measure_fibers
from myelin.statistics.sampling import Sample, estimate_totals
from myelin.statistics.units import Measured
from myelin.synthetic.nerve import draw_nerve

SHAPE, FIELD, STARTS, PIXEL_SIZE_UM = (5200, 6960), (520, 696), 1000, 0.12


def counted_at(mask: np.ndarray, left: int = 0, top: int = 0) -> tuple[int, int]:
    """Return the counted fibers of a part of the scan, and those of them in the ellipse."""
    fibers = measure_fibers(np.ascontiguousarray(mask), PIXEL_SIZE_UM)
    x, y = fibers.columns["x_px"] + left, fibers.columns["y_px"] + top
    inside = np.hypot((x - 3480) / 3300, (y - 2600) / 2450) < 1
    return int(fibers.counted.sum()), int((fibers.counted & inside).sum())


def main() -> None:
    """Print bias, true and predicted coefficient of error for several numbers of fields."""
    rng = np.random.default_rng(5)
    _, mask, _ = draw_nerve(*SHAPE, PIXEL_SIZE_UM, rng, scenes=())
    counts = {}
    for tile in choose_fields("scan", SHAPE, FieldSampling(100, FIELD)):
        left, top, width, height = (tile[f"{name}_px"] for name in ("x", "y", "width", "height"))
        counts[left, top] = counted_at(mask[top : top + height, left : left + width], left, top)
    for which, true in enumerate(counted_at(mask)):
        print(f"{('scan', 'ellipse')[which]}: {true} fibers, in all fields together", end=" ")
        print(sum(both[which] for both in counts.values()))
        for fields in (2, 3, 5, 7, 12, 20, 30):
            totals, errors = [], []
            for seed in range(STARTS):
                rows = choose_fields("scan", SHAPE, FieldSampling(fields, FIELD, seed))
                facts = {k: rows[0][k] for k in ("sampling_fraction", "height_px", "step_y_px")}
                sample = Sample([r["image"] for r in rows], [r["y_px"] for r in rows], facts)
                measured = {
                    r["image"]: Measured({}, counts[r["x_px"], r["y_px"]][which], 1.0) for r in rows
                }
                found = estimate_totals({"scan": sample}, measured, {})
                row = next(row for row in found if row["basis"] == "counted")
                totals.append(row["total_fibers"])
                errors.append(row["ce"])
            spread, bias = np.std(totals) / true, np.mean(totals) / true - 1
            ratio = math.sqrt(np.mean(np.square(errors))) / spread
            print(
                f"{fields:3} fields: bias {bias:+.2%}, CE {spread:.3f}, predicted/true {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
