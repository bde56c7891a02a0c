"""Fields of scans: find_myelin.py --fields."""

from pathlib import Path

import numpy as np
import pytest
from measuring import read_table
from segmenting import files_in, segment, stopped, summary
from stand_ins import RINGS, rings, stand_in_for_the_engine

import morphometry
from myelin.folders.fields import FieldSampling, choose_fields
from myelin.images.image import read_image, write_image

SIZE = "--field-size", 100, 120


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Two scans in a folder tree; returns one of them."""
    monkeypatch.chdir(tmp_path)
    scan = rings(320, 480)
    for name in ("a/1/x", "b/2/y"):
        write_image(Path(f"scans/{name}.tif"), scan, 0.2)
    stand_in_for_the_engine(monkeypatch, RINGS)
    return scan


def test_fields_are_images_of_their_own(scans):
    segment("--images", "scans", "--fields", 5, *SIZE)
    table = read_table("preds/fields.csv")
    assert {row["image"]: row["scan"] for row in table} == {
        f"{scan}_f{n:02d}": scan for scan in ("a/1/x", "b/2/y") for n in range(1, 6)
    }
    assert summary()["images"].keys() == {row["image"] for row in table}
    for row in table:
        x, y, width, height = (int(row[f"{k}_px"]) for k in ("x", "y", "width", "height"))
        field = read_image(f"preds/fields/{row['image']}.tif")
        assert np.array_equal(field, scans[y : y + height, x : x + width])
    morphometry.main(["--no-pictures", "--groups", "folders"])
    totals = [r for r in read_table("morphometry/sampling.csv") if r["basis"] == "counted"]
    assert [(r["group"], r["animal"], r["fields"]) for r in totals] == [
        ("a", "1", "5"),
        ("b", "2", "5"),
    ]


def test_the_same_call_takes_the_same_fields_and_resumes(scans, capsys):
    call = "--images", "scans", "--fields", 4, *SIZE
    segment(*call)
    before = Path("preds/fields.csv").read_bytes()
    Path("preds/a/1/x_f02_mask.tif").unlink()
    segment(*call, "--resume")
    assert "7 of 8 images" in capsys.readouterr().out
    assert Path("preds/fields.csv").read_bytes() == before
    (said,) = stopped(capsys, 2, *call, "--seed", 2, "--resume")
    assert "--fields" in said


def test_fields_of_an_earlier_run_go_but_nothing_else(scans):
    segment("--images", "scans", "--fields", 4, *SIZE)
    write_image(Path("preds/fields/a/1/x_f01_nerve.tif"), np.full((100, 120), 255, np.uint8))
    segment("--images", "scans", "--fields", 2, *SIZE)
    assert {name for name in files_in("preds/fields") if "a/1" in name} == {
        "a/1/x_f01.tif",
        "a/1/x_f02.tif",
        "a/1/x_f01_nerve.tif",
    }


def test_raw_test_has_the_scans_if_none_are_named(scans):
    write_image(Path("raw/test/z.tif"), scans, 0.2)
    segment("--fields", 1, *SIZE)
    assert list(summary()["images"]) == ["z_f01"]


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("--fields", 2), "1040 x 1392"),  # larger than the scans
        (("--fields", 13, *SIZE), "12 fields"),
        (("--fields", 0), "--fields"),
    ],
)
def test_fields_that_do_not_fit_are_refused(scans, capsys, arguments, named):
    said = stopped(capsys, 2, "--images", "scans/a/1/x.tif", *arguments)
    assert len(said) == 1 and named in said[0]
    assert not Path("preds/fields.csv").exists()


@pytest.mark.parametrize("count", [1, 7, 12, 35])
def test_fields_do_not_overlap_and_each_tile_has_the_same_chance(count):
    chosen = np.zeros((5, 7))
    for seed in range(2000):
        rows = choose_fields("x", (500, 840), FieldSampling(count, (100, 120), seed))
        places = {((row["y_px"] + 1) // 100, (row["x_px"] + 1) // 120) for row in rows}
        assert len(places) == count == len(rows)
        for place in places:
            chosen[place] += 1
    expected = 2000 * count / 35
    assert abs(chosen - expected).max() <= 5 * np.sqrt(expected)
