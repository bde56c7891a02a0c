"""Commands that the window runs: progress, stop, going on after a kill, one image again."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from measuring import rings, save

import morphometry
from myelin.app import learning
from myelin.app.runs import BAR, Run
from myelin.app.segmenting import ONE, adopt, segmenting, trial_of_one
from myelin.app.study import STATE, Study
from myelin.folders.mask_record import mask_record, pixel_hash
from myelin.images.image import read_mask, write_image
from myelin.runtime.cli import UserError

SYNTHETIC = ["synthetic.py", "--train", "0", "--size", "64", "64", "--test"]


def wait(run):
    end = time.monotonic() + 120
    while run.is_running():
        assert time.monotonic() < end
        time.sleep(0.05)
    return run.status()


def test_a_command_runs_ends_and_is_stopped(folder):
    run = Run()
    assert run.status() == {"running": False}
    run.start("draw", [*SYNTHETIC, "1"])
    with pytest.raises(UserError, match="draw: still running"):
        run.start("draw", SYNTHETIC)
    status = wait(run)
    assert status["code"] == 0 and status["command"].startswith("python synthetic.py")
    assert len(list(Path("raw/test").glob("*.tif"))) == 2
    run.start("draw", [*SYNTHETIC, "500"])
    while len(list(Path("raw/test").glob("*.tif"))) < 4:
        time.sleep(0.05)
    run.stop()
    status = run.status()
    assert not status["running"] and status["code"] == 143
    assert status["lines"][-1].startswith("stopped by SIGTERM")


def test_a_run_that_was_killed_goes_on_and_others_are_over(folder):
    STATE.mkdir()
    facts = {"what": "draw", "command": "", "pid": 2**22 + 1, "began": 0}
    (STATE / "run.json").write_text(json.dumps(facts | {"resume": [*SYNTHETIC, "1"]}))
    run = Run()
    assert run.is_running() and wait(run)["code"] == 0
    (STATE / "run.json").write_text(json.dumps(facts))
    assert Run().facts["code"] == -1
    (STATE / "run.json").write_text(json.dumps(facts | {"pid": os.getpid()}))
    assert Run().is_running()  # another window has started it


def test_progress_is_read_from_the_bar():
    bar = "segmenting:  50%|#####     | 1/2 [00:03<00:04,  3.89s/image]"
    assert BAR.findall(bar) == [("segmenting", "50", "1", "2", "00:03", "00:04")]


def test_progress_of_a_training_is_read_from_its_epochs(folder, monkeypatch):
    run = Run()
    run.start("train", [*SYNTHETIC, "0"])
    wait(run)
    lines = ["reading: 50%|# | 1/2 [00:03<00:04, 3 s/it]", "Epoch 1/5", "about 40 s per epoch, 3"]
    run.log.write_text("\n".join([*lines, "Epoch 3/5", ""]))
    monkeypatch.setattr(run, "is_running", lambda: True)
    status = run.status()
    assert (status["done"], status["total"], status["left"]) == (2, 5, "02:00")


def test_one_image_is_segmented_again_and_stays_part_of_the_run(folder):
    shape, centers = (120, 200), [(50, 60), (140, 60)]
    masks = {"one": rings(shape, centers, 20, 32), "again": rings(shape, centers[:1], 20, 32)}
    for name in ("one", "two"):
        write_image(f"raw/test/{name}.tif", np.full(shape, 90, np.uint8))
        save(Path(f"preds/{name}_mask.tif"), masks["one"])
    facts = {name: {"mask_sha256": pixel_hash(masks["one"])} for name in ("one", "two")}
    Path("preds/run.json").write_text(json.dumps({"complete": True, "images": facts}))
    study = Study()
    call = trial_of_one(study, "one", "dark", "0.5")
    assert call[-4:] == ["--myelin", "dark", "--scale", "0.5"] and "raw/test/one.tif" in call[3]
    with pytest.raises(ValueError, match="scale"):
        trial_of_one(study, "one", "dark", "1e9")
    record = {"mask_sha256": pixel_hash(masks["again"]), "network_scale": 0.5, "myelin": "dark"}
    (ONE / "preds").mkdir()
    (ONE / "preds/run.json").write_text(json.dumps({"images": {"one": record}}))
    pixels = masks["again"].astype(np.uint8) * np.uint8(255)
    write_image(ONE / "preds/one_mask.tif", pixels, record=record)
    for part in ("pred", "overlay"):
        write_image(ONE / f"preds/one_{part}.png", pixels)
    adopt({"what": "segment one image", "code": 0})
    assert np.array_equal(read_mask("preds/one_mask.tif"), masks["again"])
    assert mask_record(Path("preds/one_mask.tif"))["network_scale"] == 0.5
    morphometry.main(["--no-pictures", "--pixel-size", "0.1"])
    run = json.loads(Path("morphometry/run.json").read_text())
    assert run["fibers"] == {"one": 1, "two": 2} and run["corrected_by_hand"] == []


def test_calls_take_what_is_set(folder, monkeypatch):
    study = Study()
    with pytest.raises(UserError, match="no images in it"):
        segmenting(study)
    write_image("raw/test/one.tif", np.full((20, 30), 90, np.uint8))
    study = Study()
    study.set_pixel_size(study.images(), 0.25)
    study.set(threshold=0.4)
    words = segmenting(study)
    assert words == "find_myelin.py bestmyelin.h5 --pixel-size 0.25 --threshold 0.4".split()
    save(Path("preds/one_mask.tif"), np.eye(20, 30, dtype=bool))
    with pytest.raises(UserError, match="1 corrected image, correct at least 2"):
        learning.training(study, ["one"], 3)
    words, where = learning.training(study, ["one", "one"], 3, ["a/one"])
    assert words[0] == "extra_training.py" and words[-3:] == ["3", "--validate-on", "a_one"]
    assert {path.name for path in (where / "raw/train").iterdir()} == {"one.tif", "one_mask.tif"}
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match="Keras is not installed"):
        learning.training(study, ["one", "one"], 3)
