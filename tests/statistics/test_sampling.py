"""Fields of scans and the totals estimated from them, on synthetic fields of known numbers."""

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table, rings, save

import morphometry
from myelin.folders.fields import FieldSampling, choose_fields
from myelin.measure.frame import Frame
from myelin.pixels.labels import LabelImage
from myelin.statistics.sampling import Sample, estimate_totals
from myelin.statistics.units import Measured

SHAPE, FIELD = (900, 1200), (90, 120)


@pytest.fixture(scope="module")
def axons():
    """Axons of a nerve, denser on the right, none beyond its edge; int32 (rows, cols)."""
    rng, image, number = np.random.default_rng(1), np.zeros(SHAPE, np.int32), 0
    for row in range(9, SHAPE[0], 12):
        for col in range(9, SHAPE[1], 12):
            inside = math.hypot((row - 450) / 420, (col - 600) / 560) < 1
            if inside and rng.random() < 0.3 + 0.6 * col / SHAPE[1]:
                number += 1
                cv2.circle(image, (col, row), 4, number, -1)
    return image


def count(axons, row):
    """Return the axons of a field by the counting rule of the suite."""
    left, top, width, height = (row[key] for key in "x_px y_px width_px height_px".split())
    part = axons[top : top + height, left : left + width]
    labels = LabelImage.from_array(part)
    here = np.unique(part)
    counted = Frame(part.shape).counts(labels, int(part.max()))
    return int(np.count_nonzero(counted[here[here > 0] - 1]))


def total_of(rows, counts):
    """Return the row of `sampling.csv` about all fields."""
    facts = {key: rows[0][key] for key in ("sampling_fraction", "height_px", "step_y_px")}
    sample = Sample([r["image"] for r in rows], [str(r["y_px"]) for r in rows], facts)
    measured = {r["image"]: Measured({}, n, 1.0) for r, n in zip(rows, counts, strict=True)}
    found = estimate_totals({"x": sample}, measured, {})
    return next(row for row in found if row["basis"] == "counted"), found


def test_all_tiles_together_count_every_axon_once(axons):
    rows = choose_fields("x", SHAPE, FieldSampling(100, FIELD))
    total, found = total_of(rows, [count(axons, row) for row in rows])
    assert total["total_fibers"] == axons.max() and total["ce"] == 0
    assert [row["fields"] for row in found] == [25, 50, 100]  # there are no more to expect of


@pytest.mark.parametrize("fields", [7, 12, 30])
def test_estimates_are_unbiased_and_their_error_is_predicted(axons, fields):
    known, totals, errors = {}, [], []
    for seed in range(1000):
        rows = choose_fields("x", SHAPE, FieldSampling(fields, FIELD, seed))
        for row in rows:
            place = row["x_px"], row["y_px"]
            known[place] = known[place] if place in known else count(axons, row)
        total, _ = total_of(rows, [known[row["x_px"], row["y_px"]] for row in rows])
        totals.append(total["total_fibers"])
        errors.append(total["ce"])
    true, spread = axons.max(), np.std(totals)
    assert abs(np.mean(totals) - true) < 3 * spread / math.sqrt(1000)
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / (spread / true) < 2


def test_coefficient_of_error_of_a_worked_example():
    """Two strips of two fields each, thin against the step."""
    facts = {"sampling_fraction": 0.1}
    sample = Sample(list("abcd"), ["0", "0", "9", "9"], facts)
    measured = {n: Measured({}, q, 1.0) for n, q in zip("abcd", (10, 30, 20, 60), strict=True)}
    rows = estimate_totals({"x": sample}, measured, {("g", "m"): list("abcd")})
    noise = 120 * 0.9  # Poisson, of nine tenths of the fibers
    squares = 3 * (20**2 + 20**2 - noise) - 4 * (-20 * 20)  # strips deviate by -20 and 20
    found = {row["fields"]: row for row in rows}
    assert found[4]["group"] == "g" and found[4]["total_fibers"] == 1200
    assert found[4]["ce"] == pytest.approx(math.sqrt(noise + squares / 12) / 120)
    assert found[16]["ce"] == pytest.approx(math.sqrt((120 * 0.6 + squares / 12) / 4) / 120)
    assert found[16]["total_fibers"] is None


def test_density_times_the_area_of_the_nerve():
    sample = Sample(["a", "b"], ["a", "b"], {"nerve_area_mm2": 5.0})
    measured = {"a": Measured({}, 99, 1.0, 30, 0.5), "b": Measured({}, 10, 1.0)}
    total = estimate_totals({"x": sample}, measured, {})[0]
    assert total["total_fibers"] == pytest.approx(40 / 1.5 * 5)
    assert total["sampling_fraction"] == pytest.approx(0.3)


@pytest.fixture
def two_fields(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x_f01", "x_f02"):
        save(Path(f"preds/{name}_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))


def write_fields(*lines, path="preds/fields.csv"):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def measure(*arguments):
    morphometry.main(["--pixel-size", "0.1", "--no-pictures", *arguments])


HEADER = "image", "scan", "sampling_fraction"


def test_totals_are_written_and_named(two_fields, capsys):
    write_fields(HEADER, ("x_f01", "x", 0.25), ("x_f02", "x", 0.25))
    measure()
    row = read_table("morphometry/sampling.csv")[0]
    assert (row["scan"], row["fields"], row["total_fibers"]) == ("x", "2", "16")
    assert "x 16 (2 fields" in capsys.readouterr().out
    assert "x 16 (2 fields" in Path("morphometry/methods.txt").read_text(encoding="utf-8")


def test_one_field_has_no_coefficient_of_error(two_fields, capsys):
    write_fields(HEADER, ("x_f01", "x", 0.25), path="own.csv")
    measure("--fields", "own.csv")
    (row,) = read_table("morphometry/sampling.csv")
    assert (row["total_fibers"], row["ce"]) == ("8", "")
    assert "note: x: one field" in capsys.readouterr().out


@pytest.mark.parametrize(
    "lines, named",
    [
        ([("x_f01", "x", 0.2), ("x_f03", "x", 0.2)], "x_f03"),
        ([("x_f01", "x", 0.2), ("x_f01", "x", 0.2)], "x_f01"),
        ([("x_f01", "x", "many")], "line 2: sampling_fraction"),
        ([("x_f01", "x", 2)], "line 2: sampling_fraction"),
        ([("x_f01", "x", "")], "nerve_area_mm2"),
        ([], "image, scan"),
    ],
)
def test_a_wrong_table_of_fields_is_refused(two_fields, capsys, lines, named):
    write_fields(HEADER, *lines)
    said = fails(morphometry.main, capsys, "--pixel-size", "0.1")
    assert "fields.csv" in said and named in said and said.count("\n") == 1


def test_a_table_of_fields_that_another_run_replaced_has_no_effect(two_fields):
    write_fields(HEADER, ("y_f01", "y", 0.25))
    measure()
    assert not Path("morphometry/sampling.csv").exists()
