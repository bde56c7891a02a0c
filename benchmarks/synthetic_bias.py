"""Bias of the measures on synthetic nerves, from the exact mask and without the image.

    python benchmarks/synthetic_bias.py [IMAGES]

Draws images of 1400 x 1400 pixels with swollen fibers and a vessel (other contents, such as black
margins, make density a matter of definition), measures their masks, and compares whole fibers with
the outlines they were drawn from. Density counts the fibers whose axon is centred in the image.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.measure.agreement import measure_columns
from myelin.measure.fibers import measure_fibers
from myelin.synthetic.nerve import draw_nerve

MEASURE_COLUMNS = list(measure_columns("um").values())
SIDE, PIXEL_SIZE_UM, SEED = 1400, 0.1, 6


def compare(index):
    """Return (matched true values, measured values, fibers found, whole fibers, counts)."""
    rng = np.random.default_rng([SEED, index])
    _, mask, true = draw_nerve(SIDE, SIDE, PIXEL_SIZE_UM, rng, scenes=("diseased", "vessel"))
    found = measure_fibers(mask, PIXEL_SIZE_UM)
    x, y = (np.rint(true[name]).astype(int).clip(0, SIDE - 1) for name in ("x_px", "y_px"))
    living = np.isfinite(true["axon_diameter_um"])
    inside = (true["x_px"] > -0.5) & (true["x_px"] < SIDE - 0.5)
    inside &= (true["y_px"] > -0.5) & (true["y_px"] < SIDE - 0.5)
    number = found.axons.at(y, x)
    whole = living & inside & ~true["touches_border"].astype(bool)
    matched = whole & (number > 0)
    values = [true[name][matched] for name in MEASURE_COLUMNS]
    measured = [found.columns[name][number[matched] - 1] for name in MEASURE_COLUMNS]
    counts = np.count_nonzero(living & inside), np.count_nonzero(found.counted)
    return np.stack(values), np.stack(measured), matched.sum(), whole.sum(), counts


def main():
    """Print the bias of the means over all images."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    results = [compare(index) for index in range(1, images + 1)]
    true, measured = (np.concatenate([r[k] for r in results], axis=1) for k in (0, 1))
    found, whole = (sum(int(r[k]) for r in results) for k in (2, 3))
    print(f"{images} images, {whole} whole fibers drawn, {found} found")
    for name, one, other in zip(MEASURE_COLUMNS, true, measured, strict=True):
        bias = 100 * (other.mean() / one.mean() - 1)
        worst = 100 * np.percentile(abs(other / one - 1), 99)
        print(f"{name:20s} bias of the mean {bias:+.2f} %, 99th percentile of errors {worst:.1f} %")
    centred, counted = np.sum([r[4] for r in results], axis=0)
    print(f"density              bias {100 * (counted / centred - 1):+.2f} %")


if __name__ == "__main__":
    main()
