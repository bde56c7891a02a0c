"""Masks corrected by hand are kept, and one run's masks are never taken for another's."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table
from segmenting import NAMES, erase_a_fiber, segment, stop_at, summary
from stand_ins import rings

import evaluate
import find_myelin
import morphometry
from myelin.folders import naming
from myelin.folders.image_source import ImageSource
from myelin.folders.mask_record import hash_of_mask
from myelin.images.image import read_image, read_mask, write_image
from myelin.runtime.lock import holding
from myelin.segment import run_summary


def test_the_images_of_each_scale_are_named_where_scales_differ(tmp_path, capsys):
    fact = {"has_fibers": True, "myelin": "dark", "doubtful": False}
    scales = {"a": 1.0, "b": 0.5, "c": 1.0}
    images = {name: fact | {"network_scale": scale} for name, scale in scales.items()}
    run_summary.Summary(tmp_path, images, model="m.h5").report(ImageSource([], {}), {}, 1)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("segmented 2 images (1 finished before) with m.h5: 2 at scale 1")
    assert lines == ["  at scale 1 (myelin dark): a, c", "  at scale 0.5 (myelin dark): b"]
    summary = run_summary.Summary(tmp_path, {"a": images["a"]}, model="m.h5")
    summary.report(ImageSource([], {}), {}, 0)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_corrected_mask_is_kept_named_and_the_models_is_beside_it(lab, capsys):
    segment()
    shutil.copy("preds/a_mask.tif", "models_own.tif")
    corrected = erase_a_fiber("a")
    (lab / "preds/a_axon.png").write_bytes(b"drawn by hand")
    before = Path("preds/a_mask.tif").read_bytes()
    for _ in range(2):
        capsys.readouterr()
        segment()
        said = capsys.readouterr().out
        assert "note: kept, corrected by hand: a_mask.tif; the model's are in" in said
        assert Path("preds/model/a_overlay.png").exists()
        assert "older files" not in said
        assert Path("preds/a_mask.tif").read_bytes() == before
        assert np.array_equal(read_mask("preds/model/a_mask.tif"), read_mask("models_own.tif"))
        assert [summary()["images"][name]["corrected_by_hand"] for name in NAMES] == [1, 0, 0]
    shown = cv2.imread("preds/a_overlay.png")
    assert np.ptp(shown[:60, :55], axis=2).max() == 0  # the corrected mask is shown
    assert np.array_equal(read_mask("preds/a_mask.tif"), corrected)
    assert (lab / "preds/a_axon.png").read_bytes() == b"drawn by hand"


def test_the_models_mask_put_back_is_the_models_again(lab, capsys):
    segment()
    erase_a_fiber("a")
    segment()
    shutil.copy("preds/model/a_mask.tif", "preds/a_mask.tif")
    capsys.readouterr()
    segment("--threshold", "0.7")
    assert "corrected" not in capsys.readouterr().out
    assert not Path("preds/model/a_mask.tif").exists()
    assert summary()["images"]["a"]["mask_sha256"] == hash_of_mask("preds/a_mask.tif")


def test_force_replaces_after_a_copy_and_never_overwrites_an_earlier_copy(lab, capsys):
    """The axon mask that was drawn on it goes with it."""
    segment()
    models_own = read_mask("preds/a_mask.tif")
    first = erase_a_fiber("a")
    for name in "ab":
        write_image(Path(f"preds/{name}_axon.tif"), np.zeros((120, 140), np.uint8))
    segment("--force")
    said = capsys.readouterr().out.replace("\\", "/")
    assert "(--force): yours are in preds/corrected/: a_axon.tif, a_mask.tif\n" in said
    assert not Path("preds/a_axon.tif").exists() and Path("preds/b_axon.tif").exists()
    assert np.array_equal(read_mask("preds/a_mask.tif"), models_own)
    second = ~models_own
    write_image(Path("preds/a_mask.tif"), second.astype(np.uint8) * 255)
    segment("--force")
    assert np.array_equal(read_mask("preds/corrected/a_mask.tif"), first)
    assert np.array_equal(read_mask("preds/corrected/a_mask_2.tif"), second)
    segment("--force")
    assert len(list(lab.glob("preds/corrected/*"))) == 3


def test_a_correction_in_another_format_counts(lab, capsys):
    segment()
    corrected = ~read_mask("preds/b_mask.tif")
    cv2.imwrite("preds/b_mask.png", corrected.astype(np.uint8) * 255)
    segment()
    assert "kept, corrected by hand: b_mask.png;" in capsys.readouterr().out
    assert not Path("preds/b_mask.tif").exists() and Path("preds/model/b_mask.tif").exists()
    segment("--force")
    assert not Path("preds/b_mask.png").exists() and Path("preds/b_mask.tif").exists()
    assert np.array_equal(read_mask("preds/corrected/b_mask.png"), corrected)


@pytest.mark.parametrize("damage", [b"half a file", None])
def test_what_is_no_mask_any_more_is_kept_too(lab, capsys, damage):
    segment()
    if damage:
        Path("preds/a_mask.tif").write_bytes(damage)
    else:
        write_image(Path("preds/a_mask.tif"), np.zeros((5, 5), np.uint8))
    before = Path("preds/a_mask.tif").read_bytes()
    segment()
    assert "kept, corrected by hand: a_mask.tif" in capsys.readouterr().out
    assert Path("preds/a_mask.tif").read_bytes() == before


@pytest.mark.parametrize("known", [True, False])
def test_a_mask_without_a_record_is_known_by_run_json_alone(lab, capsys, known):
    segment()
    for name in NAMES:
        cv2.imwrite(f"preds/{name}_mask.tif", cv2.imread(f"preds/{name}_mask.tif", 0) // 255)
    erase_a_fiber("b")
    if not known:
        Path("preds/run.json").unlink()
    segment("--threshold", "0.7")
    kept = "b_mask.tif; the" if known else "a_mask.tif, b_mask.tif, c_mask.tif"
    assert f"kept, corrected by hand: {kept}" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["b_pred.png", "b_mask.tif"])
def test_a_stopped_run_is_measured_alone_and_the_rest_named(lab, monkeypatch, capsys, ending):
    segment("--threshold", "0.1")
    stop_at(monkeypatch, ending, "--threshold", "0.9")
    run = summary()
    assert run["complete"] is False and run["threshold"] == 0.9 and list(run["images"]) == ["a"]
    capsys.readouterr()
    morphometry.main(["--no-pictures"])
    said = capsys.readouterr().out
    assert "warning: preds: 2 of 3 images left out" in said
    assert "which was stopped: b, c; run python find_myelin.py --resume\n" in said
    assert [row["image"] for row in read_table("morphometry/summary.csv")] == ["a"]
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["missing"] == ["b", "c"] and facts["segmentation"]["threshold"] == 0.9


def test_corrections_are_named_by_what_measures_them(lab, capsys):
    segment()
    shutil.copy("preds/a_mask.tif", "raw/test/a_mask.tif")
    erase_a_fiber("a")
    for main, folder in ((morphometry.main, "morphometry"), (evaluate.main, "evaluation")):
        capsys.readouterr()
        main(["--no-pictures"])
        assert "note: preds: corrected by hand, used as they are: a\n" in capsys.readouterr().out
        facts = json.loads(Path(folder, "run.json").read_text(encoding="utf-8"))
        assert facts["corrected_by_hand"] == ["a"]


def test_a_mask_that_was_lost_is_named(lab, capsys):
    segment()
    Path("preds/b_mask.tif").unlink()
    morphometry.main(["--no-pictures"])
    said = capsys.readouterr().out
    assert "without a mask from the last run: b; run python find_myelin.py" in said


def test_what_was_drawn_on_another_image_does_not_stay(lab, capsys):
    segment()
    corrected = erase_a_fiber("a")
    erase_a_fiber("b")
    for name in "ab":
        (lab / f"preds/{name}_axon.png").write_bytes(b"drawn by hand")
    segment()
    write_image(Path("raw/test/a.tif"), 255 - rings(150, 150), 0.2)
    capsys.readouterr()
    segment()
    said = capsys.readouterr().out
    assert "kept, corrected by hand: b_mask.tif;" in said
    assert "(the image has changed): yours are in" in said and ": a_mask.tif, a_axon.png\n" in said
    segment()
    assert "the image has changed" not in capsys.readouterr().out
    assert read_mask("preds/a_mask.tif").shape == (150, 150)
    assert np.array_equal(read_mask("preds/corrected/a_mask.tif"), corrected)
    found = sorted(path.name for path in lab.glob("preds/corrected/*"))
    assert found == ["a_axon.png", "a_mask.tif"]
    assert (lab / "preds/b_axon.png").exists()


def test_images_changed_since_they_were_segmented_are_not_measured(lab, capsys):
    segment()
    shutil.copy("preds/b_mask.tif", "raw/test/b_mask.tif")
    write_image(Path("raw/test/a.tif"), rings(120, 140), 0.2)
    for main in (morphometry.main, evaluate.main):
        said = fails(main, capsys, "--no-pictures").replace("\\", "/")
        assert "raw/test/a.tif: has changed since it was segmented, run python find_myelin" in said
    segment()
    morphometry.main(["--no-pictures"])


def test_a_scale_set_in_an_image_is_no_change_of_it(lab):
    segment()
    write_image(Path("raw/test/a.tif"), read_image("raw/test/a.tif"), 0.7)
    morphometry.main(["--no-pictures", "--pixel-size", "0.5"])


def test_exchanged_images_are_an_error_and_new_ones_are_named(lab, capsys):
    segment()
    write_image(Path("raw/test/d.tif"), rings(100, 100), 0.2)
    morphometry.main(["--no-pictures"])
    assert "not segmented, left out: d; run python" in capsys.readouterr().out
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["missing"] == ["d"]
    Path("raw/test/a.tif").unlink()
    said = fails(morphometry.main, capsys, "--no-pictures").replace("\\", "/")
    assert "raw/test: a were segmented, but d are there now, run python find_myelin.py" in said
    Path("raw/test/d.tif").unlink()
    morphometry.main(["--no-pictures"])
    assert "note: raw/test: measured without their images: a\n" in capsys.readouterr().out.replace(
        "\\", "/"
    )
    shutil.rmtree("raw")
    morphometry.main(["--no-pictures"])
    assert "without their images" not in capsys.readouterr().out


@pytest.mark.parametrize("shared", [False, True])
def test_one_run_at_a_time_and_none_while_it_is_measured(lab, capsys, shared):
    segment()
    before = Path("preds/run.json").read_bytes()
    with holding(naming.PREDS, shared=shared):
        said = fails(find_myelin.main, capsys)
        assert "error: preds: in use by " in said and "wait until it has ended" in said
        if shared:
            morphometry.main(["--no-pictures"])
        else:
            assert "preds: in use by" in fails(morphometry.main, capsys)
            assert "preds: in use by" in fails(evaluate.main, capsys)
    assert Path("preds/run.json").read_bytes() == before


def test_label_images_edited_by_hand_are_copied(lab, capsys):
    segment()
    for _ in range(2):
        morphometry.main(["--no-pictures"])
    assert "edited by hand" not in capsys.readouterr().out
    for _ in range(2):
        Path("morphometry/a_labels.tif").write_bytes(Path("morphometry/b_labels.tif").read_bytes())
        edited = Path("morphometry/a_labels.tif").read_bytes()
        morphometry.main(["--no-pictures", "--renumber"])
        said = capsys.readouterr().out.replace("\\", "/")
        assert "note: morphometry/a_labels.tif was edited by hand" in said
        assert Path("morphometry/a_labels.tif").read_bytes() != edited
    for copy in ("a_labels.tif", "a_labels_2.tif"):
        assert Path("morphometry/corrected", copy).read_bytes() == edited
