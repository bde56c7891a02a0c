"""morphometry.py as a whole."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import (
    SHAPE_COLUMNS,
    TABLE_COLUMNS,
    fails,
    read_table,
    save,
    save_probabilities,
)
from tifffile import imread

import morphometry


def test_end_to_end(two_masks, capsys):
    morphometry.main(["--pixel-size", "0.1"])
    said = capsys.readouterr().out.splitlines()
    assert "0.1 µm per pixel" in said[-2] and "morphometry/report.html" in said[-1]
    rows = read_table("morphometry/one_fibers.csv")
    assert list(rows[0]) == [*TABLE_COLUMNS, "fascicle", *SHAPE_COLUMNS]
    assert [row["fiber"] for row in rows] == ["1", "2"]
    assert float(rows[0]["axon_diameter_um"]) == pytest.approx(4, rel=0.02)
    assert rows[0]["touches_border"] == "False"
    summary = read_table("morphometry/summary.csv")
    assert [row["image"] for row in summary] == ["one", "two"]
    assert summary[0]["pixel_size_source"] == "option --pixel-size"
    labels, axons = (imread(f"morphometry/one_{part}.tif") for part in ("labels", "axons"))
    assert labels.dtype == np.uint16 and set(np.unique(labels)) == {0, 1, 2}
    assert (axons[axons > 0] == labels[axons > 0]).all()
    for name in ("one_overlay", "one_plots", "two_overlay", "plots"):
        assert cv2.imread(f"morphometry/{name}.png").shape[1] >= 800
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["pixel_sizes_um"] == {"one": 0.1, "two": 0.1}
    assert not [path for path in Path("morphometry").iterdir() if path.name.startswith(".")]


def test_confidence_from_the_probability_of_the_same_run(two_masks):
    call = ["--pixel-size", "0.1", "--no-pictures"]
    morphometry.main([*call, "--out", "plain"])
    save_probabilities("one", "two")
    Path("preds/two_pred.png").unlink()
    morphometry.main([*call, "--out", "rated"])
    rows = [read_table(f"{out}/one_fibers.csv") for out in ("plain", "rated")]
    assert [row["confidence"] for row in rows[0]] == ["", ""]
    assert [row["confidence"] for row in rows[1]] == ["0.64", "0.64"]
    for plain, rated in zip(*rows, strict=True):
        blank = dict.fromkeys(("confidence", "doubt", "doubt_reason"), "")
        assert plain | blank == rated | blank
    for name in ("two_fibers.csv", "summary.csv", "one_labels.tif", "one_axons.tif"):
        assert Path("plain", name).read_bytes() == Path("rated", name).read_bytes()
    Path("preds/run.json").unlink()  # without a run that lists the image
    morphometry.main(call)
    assert {row["confidence"] for row in read_table("morphometry/one_fibers.csv")} == {""}


@pytest.mark.parametrize("value", [0, 255])
def test_one_value_masks_give_empty_tables(two_masks, value):
    save(Path("preds/one_mask.tif"), np.full((120, 200), value > 0))
    morphometry.main(["--pixel-size", "0.1"])
    assert read_table("morphometry/one_fibers.csv") == []
    header = Path("morphometry/one_fibers.csv").read_text(encoding="utf-8-sig").strip()
    assert header == ",".join(TABLE_COLUMNS + SHAPE_COLUMNS)
    row = read_table("morphometry/summary.csv")[0]
    assert row["fiber_count"] == "0" and row["g_ratio_mean"] == ""
    assert row["aggregate_g_ratio"] == "" and row["fiber_density_per_mm2"] == "0"
    assert "nan" not in Path("morphometry/summary.csv").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("value", ["0", "-0.1", "text", "1000", "nan", "inf"])
def test_bad_pixel_sizes_and_bins(two_masks, capsys, value):
    assert "--pixel-size" in fails(morphometry.main, capsys, f"--pixel-size={value}")
    call = ["--pixel-size", "1", "--g-ratio-bins", "1", "1"]
    assert "--g-ratio-bins" in fails(morphometry.main, capsys, *call)


def test_an_interrupted_run_leaves_no_run_json(two_masks, monkeypatch):
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert json.loads(Path("morphometry/run.json").read_text())["segmentation"] is None

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(morphometry, "write_fibers", stopped)
    with pytest.raises(SystemExit):
        morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert not Path("morphometry/run.json").exists()


def test_results_of_an_earlier_run_are_named(two_masks, capsys):
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    Path("preds/two_mask.tif").unlink()
    capsys.readouterr()
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    said = capsys.readouterr().out
    assert "morphometry/ also holds older files: two_axons.tif, two_fibers.csv" in said
    assert "one_" not in said and "run.json" not in said
    assert not list(Path("morphometry").glob("*.png"))


@pytest.mark.parametrize("option", [["--numbers"], ["--plot-format", "pdf"]])
def test_options_of_pictures_need_pictures(two_masks, capsys, option):
    said = fails(morphometry.main, capsys, "--pixel-size", "1", "--no-pictures", *option)
    assert "--no-pictures" in said and option[0] in said and not Path("morphometry").exists()
