"""evaluate.py on masks whose overlap and fibers are known by construction."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table, rings, save

import evaluate
from myelin.images.image import write_image
from myelin.measure import agreement
from myelin.measure.fibers import measure_fibers
from myelin.pixels.labels import LabelImage

SHAPE = (160, 320)
CENTERS = [(50, 80), (130, 80), (210, 80), (280, 80)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder: a reference of four fibers, a prediction with one missed, one invented."""
    monkeypatch.chdir(tmp_path)
    save(Path("raw/test/a_mask.png"), rings(SHAPE, CENTERS, 20, 30))
    other = rings(SHAPE, [*CENTERS[:3], (40, 20)], 20, 30) & ~rings(SHAPE, [(40, 20)], 0, 19)
    save(Path("preds/a_mask.tif"), other | rings(SHAPE, [(290, 20)], 8, 14))
    return tmp_path


def table():
    return read_table("evaluation/evaluation.csv")


def test_overlap_by_hand():
    one = np.array([[1, 1, 1, 0]], bool)
    other = np.array([[0, 1, 1, 1]], bool)
    assert agreement.overlap(one, other) == (pytest.approx(4 / 6), pytest.approx(2 / 4))
    assert agreement.overlap(one, one) == (1, 1)
    assert agreement.overlap(one, ~one) == (0, 0)
    assert agreement.overlap(one & False, one & False) == (1, 1)
    assert agreement.overlap(LabelImage.from_array(one), other) == agreement.overlap(one, other)


def test_matching_by_hand():
    reference = LabelImage.from_array(np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]]))
    predicted = LabelImage.from_array(np.array([[1, 1, 1, 0, 0, 0, 2, 2, 0]]))
    pairs, ious = agreement.match_fibers(reference, predicted)
    assert pairs.tolist() == [[1, 1]] and ious.tolist() == [0.75]
    halves, whole, none = (
        LabelImage.from_array(np.array([row])) for row in ([1, 1, 2, 2], [1, 1, 1, 1], [0, 0, 0, 0])
    )
    pairs, ious = agreement.match_fibers(whole, halves)
    assert len(pairs) == 1 and ious.tolist() == [0.5], "no fiber has two partners"
    assert len(agreement.match_fibers(none, halves)[0]) == 0


def test_detection_by_hand():
    found = agreement.detection(3, 4, 5, [0.9, 0.8, 0.7])
    assert found["precision"] == pytest.approx(3 / 5) and found["recall"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert found["panoptic_quality"] == pytest.approx(2.4 / (3 + 0.5 + 1))
    empty = agreement.detection(0, 0, 0, [])
    assert empty["precision"] is empty["recall"] is empty["f1"] is None


def test_agreement_by_hand():
    found = agreement.agreement("d", np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 4.1]))
    differences = [0.5, 0.5, 1.1]
    assert found["d_bias"] == pytest.approx(0.7)
    half = 1.96 * np.std(differences, ddof=1)
    assert (found["d_lower"], found["d_upper"]) == pytest.approx((0.7 - half, 0.7 + half))
    assert agreement.agreement("d", np.array([]), np.array([]))["d_bias"] is None
    assert agreement.agreement("d", np.ones(1), np.ones(1))["d_lower"] is None


def test_a_mask_agrees_with_itself(folder, capsys):
    save(Path("preds/a_mask.tif"), rings(SHAPE, CENTERS, 20, 30))
    evaluate.main(["--pixel-size", "0.2"])
    row, total = table()
    for name in ("myelin_dice", "myelin_iou", "axon_dice", "axon_iou", "precision", "recall"):
        assert row[name] == total[name] == "1"
    assert row["panoptic_quality"] == "1"
    assert row["fibers_matched"] == "4"
    for name in ("axon_diameter_um", "myelin_thickness_um", "g_ratio"):
        assert float(row[f"{name}_bias"]) == float(row[f"{name}_upper"]) == 0
        assert float(row[f"{name}_difference_percent"]) == 0
    said = capsys.readouterr().out
    assert "1.000" in said and "density %" in said and "of the reference" in said
    assert cv2.imread("evaluation/bland_altman.png").shape[1] >= 900
    facts = json.loads(Path("evaluation/run.json").read_text(encoding="utf-8"))
    assert facts["pixel_sizes_um"] == {"a": 0.2}


@pytest.mark.slow
def test_the_plot_as_svg_and_decimal_commas(folder):
    evaluate.main("--pixel-size 0.2 --plot-format svg --decimal comma".split())
    assert {"bland_altman.png", "bland_altman.svg"} <= {
        path.name for path in Path("evaluation").iterdir()
    }
    first, row = Path("evaluation/evaluation.csv").read_text(encoding="utf-8-sig").split("\n")[:2]
    assert first.startswith("image;pixel_size_um;") and row.startswith("a;0,2;")


def test_missed_and_invented_fibers(folder):
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    row = table()[0]
    assert (row["fibers_reference"], row["fibers_matched"]) == ("4", "3")
    assert float(row["recall"]) == 0.75
    assert float(row["precision"]) < 1
    assert not Path("evaluation/bland_altman.png").exists()


def test_thicker_sheaths_give_the_bias_drawn(folder):
    save(Path("preds/a_mask.tif"), rings(SHAPE, CENTERS, 20, 34))
    evaluate.main(["--pixel-size", "0.1", "--no-pictures"])
    row = table()[0]
    assert float(row["axon_diameter_um_bias"]) == pytest.approx(0, abs=1e-9)
    assert float(row["myelin_thickness_um_bias"]) == pytest.approx(0.4, rel=0.02)
    assert float(row["myelin_thickness_um_difference_percent"]) == pytest.approx(40, rel=0.02)
    assert float(row["g_ratio_bias"]) == pytest.approx(20 / 34 - 20 / 30, rel=0.02)


def test_axon_masks_on_the_reference_side(folder):
    save(Path("raw/test/a_axon.png"), rings(SHAPE, CENTERS, 0, 16))
    save(Path("preds/a_mask.tif"), rings(SHAPE, CENTERS, 20, 30))
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    assert float(table()[0]["axon_dice"]) == pytest.approx(2 * 256 / (256 + 400), rel=0.02)


def test_axons_are_those_of_morphometry(folder):
    myelin = np.zeros((260, 260), bool)
    for x, y in ((60, 60), (122, 60), (91, 112)):  # three that touch, with a gap between them
        myelin |= rings(myelin.shape, [(x, y)], 20, 32)
    for path in ("raw/test/a_mask.png", "preds/a_mask.tif"):
        save(Path(path), myelin)
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    found = len(measure_fibers(cv2.imread("raw/test/a_mask.png", 0) > 0, 1.0))
    assert table()[0]["fibers_reference"] == str(found) == "3"


def test_without_pixel_size_in_pixels(folder, capsys):
    evaluate.main(["--no-pictures"])
    row = table()[0]
    assert "pixel size unknown" in capsys.readouterr().out
    assert float(row["axon_diameter_px_reference"]) == pytest.approx(40, rel=0.02)
    assert float(row["fiber_density_per_megapixel_reference"]) == pytest.approx(4e6 / 160 / 320)
    assert "axon_diameter_um_reference" not in row and row["pixel_size_um"] == ""


def test_pixel_size_of_the_image_beside_the_reference(folder):
    write_image(Path("raw/test/a.TIFF"), np.zeros(SHAPE, np.uint8), pixel_size_um=0.5)
    evaluate.main(["--no-pictures"])
    assert table()[0]["pixel_size_um"] == "0.5"


def test_several_images_and_empty_masks(folder):
    for name, reference, predicted in (("b", True, False), ("c", False, False)):
        full, empty = rings(SHAPE, CENTERS, 20, 30), np.zeros(SHAPE, bool)
        save(Path(f"raw/test/{name}_mask.png"), full if reference else empty)
        save(Path(f"preds/{name}_mask.tif"), full if predicted else empty)
    evaluate.main(["--pixel-size", "1"])
    rows = {row["image"]: row for row in table()}
    assert list(rows) == ["a", "b", "c", "all"]
    assert rows["b"]["recall"] == "0" and rows["b"]["precision"] == ""
    assert rows["c"]["myelin_dice"] == "1" and rows["c"]["axon_diameter_um_bias"] == ""
    assert rows["all"]["fibers_reference"] == "8"
    # Only "a" has fibers on both sides: b's must not shift the mean of the reference alone.
    assert rows["all"]["axon_diameter_um_reference"] == rows["a"]["axon_diameter_um_reference"]
    for column in ("axon_diameter_um", "myelin_thickness_um", "g_ratio"):
        name = f"{column}_difference_percent"
        assert rows["all"][name] == rows["a"][name]
    assert "nan" not in Path("evaluation/evaluation.csv").read_text(encoding="utf-8").lower()


def test_other_folders(folder):
    save(Path("hand/a.png"), rings(SHAPE, CENTERS, 20, 30))
    save(Path("net/a.png"), rings(SHAPE, CENTERS, 20, 30))
    argv = ["--reference", "hand", "--preds", "net", "--pixel-size", "1", "--no-pictures"]
    evaluate.main(argv)
    assert table()[0]["recall"] == "1"


@pytest.mark.parametrize("out", ["raw/test", "preds", "raw/train"])
def test_out_is_no_folder_of_the_input(folder, capsys, out):
    assert f"--out {out}: is an input folder" in fails(evaluate.main, capsys, "--out", out).replace(
        "\\", "/"
    )


def test_missing_masks_and_folders(folder, capsys):
    save(Path("raw/test/b_mask.png"), rings(SHAPE, CENTERS, 20, 30))
    said = fails(evaluate.main, capsys, "--pixel-size", "1")
    assert "b_mask.png" in said and "b_mask in preds" in said and "a_mask" not in said
    Path("preds/a_mask.tif").unlink()
    assert "error: preds: " in fails(evaluate.main, capsys)
    Path("preds").rmdir()
    assert "error: preds: " in fails(evaluate.main, capsys)
    for name in "ab":
        Path(f"raw/test/{name}_mask.png").rename(f"raw/test/{name}.png")
    assert "raw/test: no reference masks" in fails(evaluate.main, capsys).replace("\\", "/")
