"""Fibers left out of the statistics: by `exclude.csv` and by rules."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, ring, rings, save, save_probabilities
from tifffile import imread

import morphometry
from myelin.images.image import read_mask

CALL = ["--pixel-size", "0.1", "--no-pictures"]


def exclude(*rows, columns="image,fiber,reason"):
    Path("exclude.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return [*CALL, "--exclude", "exclude.csv"]


def shrink_second_axon(name):
    """Give the second fiber of an image a smaller axon, so that the two differ."""
    mask = read_mask(f"preds/{name}_mask.tif")
    save(Path(f"preds/{name}_mask.tif"), mask | ring(mask.shape, 140, 60, 12, 32)[0])


def test_an_excluded_fiber_keeps_its_row_and_leaves_the_rest(two_masks):
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


def test_groups_and_run_json_leave_it_out_too(two_masks):
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
        ("--min-roundness", "1", ["roundness < 1", "roundness < 1"]),
        ("--min-solidity", "1.5", ["axon_solidity < 1.5", "axon_solidity < 1.5"]),
    ],
)
def test_rules(two_masks, option, limit, expected):
    shrink_second_axon("one")
    morphometry.main([*CALL, option, limit])
    rows = read_table("morphometry/one_fibers.csv")
    assert [row["excluded"] for row in rows] == expected
    kept = [float(row["g_ratio"]) for row in rows if not row["excluded"]]
    mean = read_table("morphometry/summary.csv")[0]["g_ratio_mean"]
    assert float(mean or -1) == pytest.approx(np.mean(kept) if kept else -1, abs=1e-6)


def test_fibers_cut_by_the_border_have_no_roundness_limit(two_masks):
    save(Path("preds/one_mask.tif"), rings((120, 200), [(12, 60), (140, 60)], 20, 32))
    morphometry.main([*CALL, "--min-roundness", "1"])
    rows = read_table("morphometry/one_fibers.csv")
    found = {row["touches_border"]: row["excluded"] for row in rows}
    assert found == {"True": "", "False": "roundness < 1"}


def test_a_fiber_without_confidence_breaks_no_rule(two_masks):
    save_probabilities("one", "two")
    Path("preds/two_pred.png").unlink()
    morphometry.main([*CALL, "--min-confidence", "0.65", "--max-g-ratio", "0.5"])
    marks = [read_table(f"morphometry/{name}_fibers.csv")[0]["excluded"] for name in ("one", "two")]
    assert marks == ["confidence < 0.65; g_ratio > 0.5", "g_ratio > 0.5"]


REPORT_COLUMNS = "image,fiber,reason,mask_sha256,x_px,y_px,axon_area_px"


def decided(name, fiber, out="morphometry"):
    """Return the row of `exclude.csv` that the report writes for a fiber."""
    morphometry.main([*CALL, "--out", out])
    row = read_table(f"{out}/{name}_fibers.csv")[fiber - 1]
    area = round(float(row["axon_area_um2"]) / 0.1**2)
    digest = json.loads(Path(f"{out}/run.json").read_text(encoding="utf-8"))["mask_sha256"][name]
    return f"{name},{fiber},wrong,{digest},{row['x_px']},{row['y_px']},{area}"


def add_fiber():
    """Add a third fiber to a mask, which comes first if fibers are numbered from 1."""
    mask = read_mask("preds/one_mask.tif") | ring((120, 200), 95, 14, 6, 10)[0]
    save(Path("preds/one_mask.tif"), mask)


def marked():
    """Return {number: reason} of the fibers of an image."""
    return {row["fiber"]: row["excluded"] for row in read_table("morphometry/one_fibers.csv")}


def test_a_decision_holds_through_corrections_elsewhere(two_masks):
    call = exclude(decided("one", 2), columns=REPORT_COLUMNS)
    add_fiber()
    for _ in range(2):
        morphometry.main(call)
        assert marked() == {"1": "", "2": "wrong", "3": ""}
    shrink_second_axon("one")
    morphometry.main(call)
    assert marked() == {"1": "", "2": "wrong", "3": ""}
    row = next(row for row in read_table("morphometry/one_fibers.csv") if row["excluded"])
    assert round(float(row["x_px"])) == 140


def test_a_new_fiber_has_one_number_although_it_is_measured_twice(two_masks):
    """Once to check the table of decisions, and once to measure."""
    morphometry.main(CALL)
    add_fiber()
    morphometry.main(exclude("one,3,new"))
    assert marked() == {"1": "", "2": "", "3": "new"}


def test_a_decision_on_a_fiber_that_is_gone_is_fulfilled_until_it_comes_back(two_masks, capsys):
    call = exclude(decided("one", 2), columns=REPORT_COLUMNS)
    whole = read_mask("preds/one_mask.tif")
    save(Path("preds/one_mask.tif"), rings((120, 200), [(50, 60)], 20, 32))
    for _ in range(2):
        morphometry.main(call)
        note = "note: exclude.csv: one: 1 excluded fiber no longer in the mask: 2\n"
        assert note in capsys.readouterr().out
        assert marked() == {"1": ""}
    save(Path("preds/one_mask.tif"), whole)
    morphometry.main(call)
    assert marked() == {"1": "", "3": "wrong"}, "under a new number, found by its place"
    said = fails(morphometry.main, capsys, *exclude("one,4,x"))
    assert "exclude.csv: line 2 names fiber 4" in said, "no fiber ever had this number"


@pytest.mark.parametrize("columns", ["image,fiber,reason,mask_sha256", REPORT_COLUMNS])
@pytest.mark.parametrize("lost", ["other folder", "renumbered", "without labels"])
def test_a_decision_on_another_mask_that_cannot_be_traced(two_masks, capsys, columns, lost):
    row = ",".join(decided("one", 2).split(",")[: columns.count(",") + 1])
    morphometry.main(exclude(row, columns=columns))
    add_fiber()
    if lost == "other folder":
        Path("morphometry").rename("elsewhere")
    elif lost == "without labels":
        Path("morphometry/one_labels.tif").unlink()
    call = exclude(row, columns=columns) + ["--renumber"] * (lost == "renumbered")
    said = fails(morphometry.main, capsys, *call)
    assert "exclude.csv: line 2" in said and "another mask" in said and said.count("error:") == 1


def test_a_number_that_another_fiber_has_now_excludes_nothing(two_masks, capsys):
    morphometry.main(CALL)
    first = read_mask("preds/one_mask.tif")
    save(Path("preds/one_mask.tif"), rings((120, 200), [(140, 60)], 20, 32))
    morphometry.main(CALL)
    save(Path("preds/one_mask.tif"), first)
    call = exclude(decided("one", 1), columns=REPORT_COLUMNS)
    assert set(marked()) == {"2", "3"}
    Path("exclude.csv").write_text(
        Path("exclude.csv").read_text().replace("one,1,", "one,2,"), encoding="utf-8"
    )
    said = fails(morphometry.main, capsys, *call)
    assert "exclude.csv: line 2" in said and "fiber 2" in said and "elsewhere" in said


def test_a_table_saved_by_a_spreadsheet(two_masks):
    values = decided("one", 2).split(",")
    Path("exclude.csv").write_text(
        "\ufeff" + REPORT_COLUMNS.replace(",", ";") + "\r\n" + ";".join(values).replace(".", ","),
        encoding="utf-8",
    )
    morphometry.main([*CALL, "--exclude", "exclude.csv"])
    assert marked() == {"1": "", "2": "wrong"}
    with open("exclude.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "fiber", "reason"], ["one", 1, 'a "b", c\nd']])
    morphometry.main([*CALL, "--exclude", "exclude.csv"])
    assert marked() == {"1": 'a "b", c\nd', "2": ""}
    morphometry.main(exclude())
    assert marked() == {"1": "", "2": ""}


@pytest.mark.parametrize(
    "row, found",
    [
        ("one,3,x", "fiber 3"),
        ("nobody,1,x", "image nobody"),
        *((f"one,{number},x", f"fiber '{number}'") for number in ("0", "1.5", "", "nan", "x")),
    ],
)
def test_bad_rows(two_masks, capsys, row, found):
    said = fails(morphometry.main, capsys, *exclude(row))
    assert "exclude.csv: line 2" in said and found in said
    assert not Path("morphometry").exists()


def test_bad_tables(two_masks, capsys):
    assert "columns image" in fails(morphometry.main, capsys, *exclude(columns="image,reason"))
    said = fails(morphometry.main, capsys, *exclude(*["nobody,1,x"] * 1000))
    assert "980" in said and len(said.splitlines()) == 21
    said = fails(morphometry.main, capsys, *exclude("one,1,x,y,z", columns=REPORT_COLUMNS))
    assert "line 2 has x_px 'z'" in said
    assert "no such file" in fails(morphometry.main, capsys, *CALL, "--exclude", "none.csv")
    for option, limit in (("--max-g-ratio", "-1"), ("--min-roundness", "1.2")):
        assert option in fails(morphometry.main, capsys, *CALL, option, limit)


def classes(*rows, left_out=()):
    Path("classes.csv").write_text("\n".join(["image,fiber,class", *rows]), encoding="utf-8")
    call = [*CALL, "--classes", "classes.csv"]
    return [*call, "--leave-out-class", *left_out] if left_out else call


def test_a_class_is_a_column_and_can_be_left_out(two_masks):
    Path("exclude.csv").write_text("image,fiber,reason\ntwo,1,blood\n", encoding="utf-8")
    rows = "one,1,thin", "one,2,onion bulb", "two,1,thin", "two,2,"
    morphometry.main([*classes(*rows, left_out=["onion bulb", "thin"]), "--exclude", "exclude.csv"])
    fibers = read_table("morphometry/fibers.csv")
    assert [row["class"] for row in fibers] == ["thin", "onion bulb", "thin", ""]
    reasons = ["class thin", "class onion bulb", "blood", ""]
    assert [row["excluded"] for row in fibers] == reasons
    methods = " ".join(Path("morphometry/methods.txt").read_text(encoding="utf-8").split())
    assert "1 fiber was excluded by eye (blood 1). 2 fibers were excluded by class (" in methods
    assert "by class (onion bulb 1, thin 1)." in methods
    assert '"classes": "classes.csv"' in Path("morphometry/run.json").read_text(encoding="utf-8")
    # The table of all fibers is a table of classes too, and the saved exclusions are the same.
    Path("fibers.csv").write_bytes(Path("morphometry/fibers.csv").read_bytes())
    before = read_table("morphometry/per_class.csv")
    call = exclude("one,1,class thin", "one,2,class onion bulb", "two,1,blood")
    morphometry.main([*call, "--classes", "fibers.csv"])
    assert read_table("morphometry/per_class.csv") == before
    assert read_table("morphometry/fibers.csv") == fibers
    morphometry.main(CALL)
    assert not Path("morphometry/per_class.csv").exists(), "of an earlier run"


def test_classes_alone_exclude_nothing(two_masks):
    morphometry.main(classes("one.tif,1,thin", "one,1,thin"))
    assert "No fiber was excluded." in Path("morphometry/methods.txt").read_text(encoding="utf-8")
    assert [row["excluded_fibers"] for row in read_table("morphometry/summary.csv")] == ["0", "0"]


@pytest.mark.parametrize(
    "rows, left_out, found",
    [
        (["one,3,x"], (), ["line 2 names fiber 3"]),
        (["nobody,1,x"], (), ["line 2 names the image nobody"]),
        (["one,1,thin", "one,1,swollen"], (), ["line 3 gives fiber 1", "swollen", "thin"]),
        (["one,1,thin"], ["thick"], ["--leave-out-class: thick", "thin"]),
    ],
)
def test_bad_classes(two_masks, capsys, rows, left_out, found):
    said = fails(morphometry.main, capsys, *classes(*rows, left_out=left_out))
    assert all(text in said for text in found) and len(said.splitlines()) == 1
    assert not Path("morphometry").exists()


def test_classes_need_their_column_and_a_table(two_masks, capsys):
    Path("bare.csv").write_text("image,fiber\none,1\n", encoding="utf-8")
    assert "image, fiber, class" in fails(morphometry.main, capsys, *CALL, "--classes", "bare.csv")
    said = fails(morphometry.main, capsys, *CALL, "--leave-out-class", "thin")
    assert "--leave-out-class: thin" in said and "--classes" in said
