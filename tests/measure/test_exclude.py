"""Fibers left out of the statistics: by `exclude.csv` and by rules."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, ring, rings, save, save_probabilities, save_two
from tifffile import imread

import morphometry
from myelin.images.image import read_mask

CALL = ["--pixel-size", "0.1", "--no-pictures"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two masks of two whole fibers each in preds/."""
    monkeypatch.chdir(tmp_path)
    save_two()
    return tmp_path


def exclude(*rows, columns="image,fiber,reason"):
    Path("exclude.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return [*CALL, "--exclude", "exclude.csv"]


def shrink_second_axon(name):
    """Give the second fiber of an image a smaller axon, so that the two differ."""
    mask = read_mask(f"preds/{name}_mask.tif")
    save(Path(f"preds/{name}_mask.tif"), mask | ring(mask.shape, 140, 60, 12, 32)[0])


def test_an_excluded_fiber_keeps_its_row_and_leaves_the_rest(folder):
    shrink_second_axon("one")
    morphometry.main([*CALL, "--out", "all"])
    morphometry.main(exclude("one,2,blood cell"))
    before, after = (read_table(f"{out}/one_fibers.csv") for out in ("all", "morphometry"))
    assert [row["excluded"] for row in after] == ["", "blood cell"]
    assert [row | {"excluded": ""} for row in after] == before
    # What is left is what an image with the first fiber alone gives.
    save(Path("alone/one.png"), rings((120, 200), [(50, 60)], 20, 32))
    morphometry.main([*CALL, "--masks", "alone", "--out", "alone_measured"])
    (alone,) = read_table("alone_measured/summary.csv")
    row = read_table("morphometry/summary.csv")[0]
    assert row == alone | {"excluded_fibers": "1"}
    assert row["fiber_count"] == "1" and float(row["axon_diameter_um_mean"]) > 3.9
    for part in ("labels", "axons"):
        kept, all_of_them = (imread(f"{out}/one_{part}.tif") for out in ("morphometry", "all"))
        assert np.array_equal(kept, all_of_them * (all_of_them == 1))
    assert (
        Path("morphometry/two_labels.tif").read_bytes() == Path("all/two_labels.tif").read_bytes()
    )


def test_groups_and_run_json_leave_it_out_too(folder):
    shrink_second_axon("one")
    Path("g.csv").write_text("image,group,animal\none,a,A\ntwo,b,B\n", encoding="utf-8")
    call = exclude("one,2,blood cell", "two,1,", "two,1,twice")
    morphometry.main([*call, "--groups", "g.csv", "--min-g-ratio", "0.3"])
    rows = read_table("morphometry/per_animal.csv")
    assert [row["measured_fibers"] for row in rows] == ["1", "1"]
    assert float(rows[0]["g_ratio_mean"]) == pytest.approx(20 / 32, rel=0.01)
    assert float(rows[0]["fiber_density_per_mm2"]) == pytest.approx(1 / (0.012 * 0.02))
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))["excluded"]
    assert facts["table"] == "exclude.csv" and len(facts["table_sha256"]) == 64
    assert facts["rules"] == {"--min-g-ratio": 0.3}
    assert facts["fibers_by_reason"] == {"blood cell": 1, "excluded": 1}


@pytest.mark.parametrize(
    "option, limit, expected",
    [
        ("--max-g-ratio", "0.6", ["g_ratio > 0.6", ""]),
        ("--min-g-ratio", "0.6", ["", "g_ratio < 0.6"]),
        ("--max-axon-diameter", "3.5", ["axon_diameter_um > 3.5", ""]),
        ("--min-axon-diameter", "3.5", ["", "axon_diameter_um < 3.5"]),
        ("--min-circularity", "0", ["", ""]),
        ("--min-solidity", "1.5", ["axon_solidity < 1.5", "axon_solidity < 1.5"]),
    ],
)
def test_rules(folder, option, limit, expected):
    shrink_second_axon("one")
    morphometry.main([*CALL, option, limit])
    rows = read_table("morphometry/one_fibers.csv")
    assert [row["excluded"] for row in rows] == expected
    kept = [float(row["g_ratio"]) for row in rows if not row["excluded"]]
    mean = read_table("morphometry/summary.csv")[0]["g_ratio_mean"]
    assert float(mean or -1) == pytest.approx(np.mean(kept) if kept else -1, abs=1e-6)


def test_a_fiber_without_confidence_breaks_no_rule(folder):
    save_probabilities("one", "two")
    Path("preds/two_pred.png").unlink()
    morphometry.main([*CALL, "--min-confidence", "0.65", "--max-g-ratio", "0.5"])
    marks = [read_table(f"morphometry/{name}_fibers.csv")[0]["excluded"] for name in ("one", "two")]
    assert marks == ["confidence < 0.65; g_ratio > 0.5", "g_ratio > 0.5"]


def decided(name, fiber):
    """Return the row of `exclude.csv` that the report writes for a fiber."""
    morphometry.main([*CALL, "--out", "decided"])
    row = read_table(f"decided/{name}_fibers.csv")[fiber - 1]
    area = round(float(row["axon_area_um2"]) / 0.1**2)
    digest = json.loads(Path("decided/run.json").read_text(encoding="utf-8"))["mask_sha256"][name]
    return f"{name},{fiber},wrong,{digest},{row['x_px']},{row['y_px']},{area}"


REPORT_COLUMNS = "image,fiber,reason,mask_sha256,x_px,y_px,axon_area_px"


def test_a_decision_holds_where_the_mask_is_corrected_elsewhere(folder):
    row = decided("one", 2)
    # A third fiber comes first and takes the number 1.
    mask = read_mask("preds/one_mask.tif") | ring((120, 200), 95, 14, 6, 10)[0]
    save(Path("preds/one_mask.tif"), mask)
    morphometry.main(exclude(row, columns=REPORT_COLUMNS))
    rows = read_table("morphometry/one_fibers.csv")
    assert len(rows) == 3
    assert [round(float(row["x_px"])) for row in rows if row["excluded"]] == [140]


def test_a_new_fiber_has_one_number_though_it_is_looked_at_twice(folder):
    """Once to check the table of decisions, and once to measure."""
    morphometry.main(CALL)
    mask = read_mask("preds/one_mask.tif") | ring((120, 200), 95, 14, 6, 10)[0]
    save(Path("preds/one_mask.tif"), mask)
    morphometry.main(exclude("one,3,new"))
    rows = read_table("morphometry/one_fibers.csv")
    assert {row["fiber"]: row["excluded"] for row in rows} == {"1": "", "2": "", "3": "new"}


@pytest.mark.parametrize("change", ["gone", "larger"])
def test_a_decision_on_a_fiber_that_is_not_as_it_was(folder, capsys, change):
    row = decided("one", 2)
    mask = rings((120, 200), [(50, 60)], 20, 32)
    if change == "larger":
        mask |= ring((120, 200), 140, 60, 25, 32)[0]
    save(Path("preds/one_mask.tif"), mask)
    said = fails(morphometry.main, capsys, *exclude(row, columns=REPORT_COLUMNS))
    assert "exclude.csv: line 2 was decided on another mask, and fiber 2 is not as it was" in said
    assert not Path("morphometry").exists()


def test_a_number_of_another_mask_counts_for_nothing(folder, capsys):
    columns = "image;fiber;reason;mask_sha256"
    row = ";".join(decided("one", 2).split(",")[:4])
    morphometry.main(exclude(row, columns=columns))
    save(Path("preds/one_mask.tif"), rings((120, 200), [(50, 60), (141, 60)], 20, 32))
    said = fails(morphometry.main, capsys, *exclude(row, columns=columns))
    assert "decided on another mask" in said


def test_a_spreadsheets_way_to_write_it(folder):
    values = decided("one", 2).split(",")
    Path("exclude.csv").write_text(
        "\ufeff" + REPORT_COLUMNS.replace(",", ";") + "\r\n" + ";".join(values).replace(".", ","),
        encoding="utf-8",
    )
    morphometry.main([*CALL, "--exclude", "exclude.csv"])
    assert [row["excluded"] for row in read_table("morphometry/one_fibers.csv")] == ["", "wrong"]


def test_an_empty_table_excludes_nothing(folder):
    morphometry.main(exclude())
    assert read_table("morphometry/summary.csv")[0]["excluded_fibers"] == "0"


@pytest.mark.parametrize(
    "row, message",
    [
        ("one,3,x", "line 2 names fiber 3, which the mask does not hold"),
        ("nobody,1,x", "line 2 names the image nobody"),
        ("one,0,x", "line 2 has fiber '0'"),
        ("one,1.5,x", "line 2 has fiber '1.5'"),
        ("one,,x", "line 2 has fiber ''"),
        ("one,nan,x", "line 2 has fiber 'nan'"),
        ("one,x,x", "line 2 has fiber 'x'"),
    ],
)
def test_bad_rows(folder, capsys, row, message):
    assert message in fails(morphometry.main, capsys, *exclude(row))
    assert not Path("morphometry").exists()


def test_bad_tables(folder, capsys):
    assert "columns image" in fails(morphometry.main, capsys, *exclude(columns="image,reason"))
    said = fails(morphometry.main, capsys, *exclude(*["nobody,1,x"] * 1000))
    assert "and 980 more such lines" in said and len(said.splitlines()) == 21
    said = fails(morphometry.main, capsys, *exclude("one,1,x,y,z", columns=REPORT_COLUMNS))
    assert "line 2 has x_px 'z', which is no number" in said
    assert "no such file" in fails(morphometry.main, capsys, *CALL, "--exclude", "none.csv")
    assert "--max-g-ratio" in fails(morphometry.main, capsys, *CALL, "--max-g-ratio", "-1")


def test_the_table_is_one_that_python_writes(folder):
    with open("exclude.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "fiber", "reason"], ["one", 1, 'a "b", c\nd']])
    morphometry.main([*CALL, "--exclude", "exclude.csv"])
    assert read_table("morphometry/one_fibers.csv")[0]["excluded"] == 'a "b", c\nd'
