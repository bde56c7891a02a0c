"""A small measured image whose mask has every feature that outlines have to carry."""

from pathlib import Path

import numpy as np
from measuring import read_table, ring, save

import morphometry
from myelin.images.image import write_image

SHAPE = (150, 220)


def drawn_mask():
    """Return a mask of five fibers: two touch, one is cut, one has a vacuole, one is infolded.

    Beside them there is a sheath without axon, and a speck that touches a fiber at a corner.
    """
    parts = [(40, 40, 12, 22), (82, 40, 12, 22), (150, 40, 14, 26), (0, 100, 10, 18)]
    axons = [ring(SHAPE, *part)[1] for part in parts]
    mask = np.any([ring(SHAPE, *part)[0] for part in parts], axis=0) & ~np.any(axons, axis=0)
    mask[38:42, 130:134] = False  # the vacuole
    mask[90:130, 90:130] = True
    mask[96:124, 96:124] = False
    mask[104:108, 96:118] = True  # myelin folded into the axon
    mask[120:126, 180:190] = True
    top = np.flatnonzero(mask[:, 40])[0]
    cols = np.flatnonzero(mask[top])
    mask[top - 1, cols[cols < 60][-1] + 1] = True
    return mask


def measure_drawn(*options):
    """Write the mask to preds/ and an image to raw/test, measure it, return the mask."""
    mask = drawn_mask()
    save(Path("preds/one_mask.tif"), mask)
    Path("raw/test").mkdir(parents=True, exist_ok=True)
    write_image(Path("raw/test/one.tif"), np.where(mask, 200, 60).astype(np.uint8))
    morphometry.main(["--pixel-size", "0.1", "--no-pictures", *options])
    return mask


def fiber_areas_px():
    """Return {"0001_axon": area} and so on, from the table."""
    rows = read_table("morphometry/one_fibers.csv")
    return {
        f"{int(row['fiber']):04}_{part}": float(row[f"{part}_area_um2"]) / 0.01
        for row in rows
        for part in ("axon", "fiber")
    }
