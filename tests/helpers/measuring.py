"""Helpers for tests of measuring: synthetic masks, columns of the tables."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from myelin.images.image import read_mask, write_image

# fmt: off
FIBER_COLUMNS = [
    "fiber", "x_px", "y_px", "axon_area_um2", "axon_perimeter_um", "axon_diameter_um",
    "axon_minor_axis_um", "axon_major_axis_um", "fiber_area_um2", "fiber_perimeter_um",
    "fiber_diameter_um", "myelin_area_um2", "myelin_thickness_um", "g_ratio", "axon_solidity",
    "axon_circularity", "axon_eccentricity", "touches_border", "confidence", "excluded",
]
SHAPE_COLUMNS = [
    "fiber_minor_axis_um", "myelin_thickness_minor_axis_um", "g_ratio_minor_axis",
    "axon_min_feret_um", "fiber_min_feret_um", "myelin_thickness_min_feret_um",
    "g_ratio_min_feret", "axon_perimeter_diameter_um", "fiber_perimeter_diameter_um",
    "myelin_thickness_perimeter_diameter_um", "g_ratio_perimeter_diameter", "fiber_solidity",
    "roundness", "vacuole_area_um2", "cleft_area_um2", "periaxonal_area_um2",
    "g_ratio_with_spaces", "g_ratio_without_spaces",
]
TABLE_COLUMNS = [*FIBER_COLUMNS, "doubt", "doubt_reason"]
SUMMARY_COLUMNS = [
    "image", "pixel_size_um", "area_mm2", "fiber_count", "fiber_density_per_mm2",
    "axon_area_fraction", "myelin_area_fraction", "aggregate_g_ratio",
    "axon_diameter_um_mean", "axon_diameter_um_sd", "axon_diameter_um_median",
    "fiber_diameter_um_mean", "fiber_diameter_um_sd", "fiber_diameter_um_median",
    "myelin_thickness_um_mean", "myelin_thickness_um_sd", "myelin_thickness_um_median",
    "g_ratio_mean", "g_ratio_sd", "g_ratio_median",
    "counted_fibers", "measured_fibers", "border_fibers", "collapsed", "pixel_size_source",
    "excluded_fibers",
    "tissue_area_mm2", "margin_fraction",
]
NERVE_COLUMNS = [
    "nerve_area_mm2", "fibers_in_nerve", "fiber_density_nerve_per_mm2", "nerve_outline",
]
# fmt: on


def ring(shape, x, y, inner, outer, squeeze=1.0, angle=0.0):
    """Return myelin and axon of a disc or a tilted ellipse (minor axis = squeeze x major axis)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    dx, dy = cols - x, rows - y
    along = dx * math.cos(angle) + dy * math.sin(angle)
    across = (dy * math.cos(angle) - dx * math.sin(angle)) / squeeze
    radius = np.hypot(along, across)
    return (radius < outer) & (radius >= inner), radius < inner


def rings(shape, centers, inner, outer):
    """Return the union of equal discs as one myelin mask, axons open even where discs overlap."""
    parts = [ring(shape, x, y, inner, outer) for x, y in centers]
    axons = np.any([axon for _, axon in parts], axis=0)
    return np.any([myelin for myelin, _ in parts], axis=0) & ~axons


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, mask.astype(np.uint8) * 255)


def read_table(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def save_two():
    """Write two masks of two whole fibers each into preds/."""
    for name in ("one", "two"):
        save(Path(f"preds/{name}_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))


def save_probabilities(*listed):
    """Write preds/<id>_pred.png for both, 0.8 on myelin and 0.2 elsewhere, and a run.json."""
    for name in ("one", "two"):
        myelin = read_mask(f"preds/{name}_mask.tif")
        write_image(Path(f"preds/{name}_pred.png"), np.where(myelin, 204, 51).astype(np.uint8))
    run = {"images": {name: {} for name in listed}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")


def fails(main, capsys, *argv):
    """Return the stderr of a call that must end with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said
