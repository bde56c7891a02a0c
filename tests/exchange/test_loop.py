"""The loop of the README: exclude, export, correct, import, measure again, train."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table
from nerves import SHAPE
from test_rois_import import exported, import_without, rewrite

import morphometry
import rois
from myelin.folders.mask_record import pixel_hash
from myelin.images.image import read_image, read_mask, write_image
from myelin.images.overlay import write_overlay


@pytest.mark.parametrize("deleted", ["an excluded fiber", "another"])
def test_exclude_export_correct_import_and_measure_with_the_same_table(measured, capsys, deleted):
    digest = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))["mask_sha256"]
    rows = read_table("morphometry/one_fibers.csv")[1:3]
    lines = [f"one,{r['fiber']},by eye,{digest['one']},{r['x_px']},{r['y_px']}" for r in rows]
    header = "image,fiber,reason,mask_sha256,x_px,y_px"
    Path("exclude.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    call = ["--pixel-size", "0.1", "--no-pictures", "--exclude", "exclude.csv"]
    morphometry.main(call)
    gone = rows[0]["fiber"] if deleted == "an excluded fiber" else "1"
    path = exported()
    rewrite(path, lambda found: [roi for roi in found if not roi.name.startswith(f"000{gone}_")])
    rois.main(["import", path])
    morphometry.main(call)
    said = capsys.readouterr().out
    assert ("exclude.csv: one: 1 excluded fiber no longer" in said) == (gone != "1")
    after = {r["fiber"]: r["excluded"] for r in read_table("morphometry/one_fibers.csv")}
    expected = {r["fiber"]: "by eye" for r in rows} | {"1": "", "4": "", "5": ""}
    assert after == {number: why for number, why in expected.items() if number != gone}
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["excluded"]["fibers_by_reason"] == {"by eye": 1 if gone != "1" else 2}


def test_overlays_follow_imports_and_restore(measured):
    write_image(Path("preds/one_overlay.png"), np.zeros((*SHAPE, 3), np.uint8))
    path = import_without(4)
    shown = write_and_read_overlay()
    assert (imread_png("preds/one_overlay.png") == shown).all()
    assert not imread_png("preds/model/one_overlay.png").any(), "the model's own"
    rewrite(path, lambda found: found[2:])
    rois.main(["import", path])  # again, without --force
    assert (imread_png("preds/one_overlay.png") == write_and_read_overlay()).all()
    assert not Path("preds/corrected").exists()
    rois.main(["restore", "one"])
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert (imread_png("preds/one_overlay.png") == write_and_read_overlay()).all()
    assert not Path("preds/model/one_overlay.png").exists()


def write_and_read_overlay():
    """Return the overlay of the present mask."""
    write_overlay(Path("o.png"), read_image("raw/test/one.tif"), read_mask("preds/one_mask.tif"))
    return imread_png("o.png")


def imread_png(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_training_pairs_of_images_in_a_tree(measured, capsys):
    name, image = "control/a1/one", read_image("raw/test/one.tif")
    Path("study/control/a1").mkdir(parents=True)
    shutil.move("raw/test/one.tif", "study/control/a1/one.tif")
    Path("preds/control/a1").mkdir(parents=True)
    shutil.move("preds/one_mask.tif", f"preds/{name}_mask.tif")
    fact = {"mask_sha256": pixel_hash(measured), "image_sha256": pixel_hash(image)}
    run = {"source": "study", "given": ["study"], "images": {name: fact}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    rois.main(["export"])
    rois.main(["import", f"rois/{name}.zip", "--train"])
    assert (read_image("raw/train/control_a1_one.tif") == image).all()
    assert (read_mask("raw/train/control_a1_one_mask.tif") == measured).all()
    write_image(Path("study/control/a1/one.tif"), 255 - image)
    said = fails(rois.main, capsys, "import", f"rois/{name}.zip", "--train")
    assert "study/control/a1/one.tif: has changed since it was segmented" in said.replace("\\", "/")
    Path("study/control/a1/one.tif").unlink()
    said = fails(rois.main, capsys, "import", f"rois/{name}.zip", "--train")
    assert f"{name}: its image is neither in" in said
