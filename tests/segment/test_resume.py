"""A run that was stopped or killed continues and gives the files of an undisturbed one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from segmenting import TREE, contents, segment, stop_at, stopped, summary
from stand_ins import RINGS, rings, stand_in_for_the_engine

import find_myelin
from myelin.folders.mask_record import mask_record, read_run
from myelin.folders.naming import PREDS
from myelin.images.image import read_image, write_image
from myelin.segment import run_plan

FILES = ("--images", "study")


@pytest.fixture(params=[True, False], ids=["packed", "files"])
def call(request, study):
    """The arguments of a run over four images, packed or as they are."""
    if request.param:
        for name in TREE:
            target = Path("raw/test", name.replace("/", "_") + ".tif")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"study/{name}.tif", target)
    return () if request.param else FILES


def folders():
    return ["preds", *(["npydata"] if Path("npydata").exists() else [])]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("ending", ["treated_a1_x_pred.png", "treated_a1_x_mask.tif"])
def test_a_stopped_run_continues_to_the_same_files(call, monkeypatch, capsys, killed, ending):
    ending = ending if not call else ending.replace("_", "/", 2)
    segment(*call)
    wanted = contents(*folders())
    shutil.rmtree(PREDS)
    stop_at(monkeypatch, ending, *call, "--resume", killed=killed)  # begins, as there is none
    assert summary()["complete"] is False and len(read_run(PREDS)["images"]) == 2
    engine = stand_in_for_the_engine(monkeypatch, RINGS)
    capsys.readouterr()
    for _ in range(2):
        segment(*call, "--resume")
        assert len(engine.seen) == 2 and contents(*folders()) == wanted
    assert "2 of 4 images" in capsys.readouterr().out


def test_probabilities_are_complete_after_a_run_that_began_anew_was_killed(study, monkeypatch):
    for name in TREE:
        Path("raw/test").mkdir(parents=True, exist_ok=True)
        shutil.copy(f"study/{name}.tif", Path("raw/test", name.replace("/", "_") + ".tif"))
    segment()
    wanted = contents(*folders())
    stop_at(monkeypatch, "control_a1_y_pred.png", killed=True)  # masks of the first run are there
    segment("--resume")
    assert contents(*folders()) == wanted


def test_scales_are_those_of_the_finished_masks(study, monkeypatch):
    find_myelin.main([*FILES])
    mask, pred = PREDS / "control/a1/x_mask.tif", PREDS / "treated/a2/x_mask.tif"
    record = mask_record(mask) | {"network_scale": 0.9}
    write_image(mask, read_image(mask), 0.2, record=record)
    pred.unlink()
    for name in TREE[1:3]:
        (PREDS / f"{name}_mask.tif").unlink()
    find_myelin.main([*FILES, "--resume"])
    assert {fact["network_scale"] for fact in summary()["images"].values()} == {0.9}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--threshold", "0.7"], ["--threshold", "0.7"]),
        (["--pixel-size", "0.1"], ["--pixel-size", "0.1", "not given"]),
        (["--scale", "0.5", "--myelin", "dark"], ["--scale", "0.5", "--myelin", "dark"]),
    ],
)
@pytest.mark.parametrize("complete", [False, True])
def test_runs_with_other_options_are_not_mixed(
    study, monkeypatch, capsys, arguments, named, complete
):
    if complete:
        segment(*FILES)
    else:
        stop_at(monkeypatch, "control/a1/y_pred.png", *FILES)
    before = contents("preds")
    (line,) = stopped(capsys, 2, *FILES, "--resume", *arguments)
    assert line.startswith("error: preds: ") and all(text in line for text in named)
    assert contents("preds") == before
    segment(*FILES, "--resume", "--force", *arguments)  # begins anew
    assert summary()["complete"] and "are finished" not in capsys.readouterr().out


def test_a_run_over_other_folders_is_not_mixed_in(study, capsys):
    segment(*FILES)
    before = contents("preds")
    (line,) = stopped(capsys, 2, "--images", "study/control", "--resume")
    assert line.startswith("error: preds: ") and "study" in line
    assert contents("preds") == before
    segment("--images", str(study.resolve()), "--resume")  # the same folder, written otherwise
    assert "4 of 4 images" in capsys.readouterr().out


def test_images_that_are_new_or_changed_are_segmented(study, monkeypatch, capsys):
    segment(*FILES)
    write_image(study / "control/a1/y.tif", rings(60, 60), 0.2)
    write_image(study / "control/a1/z.tif", rings(70, 70), 0.2)
    segment(*FILES, "--resume")
    assert "3 of 5 images" in capsys.readouterr().out
    resumed = contents("preds")
    segment(*FILES)
    assert contents("preds") == resumed


def test_what_was_lost_is_done_again(call):
    segment(*call)
    wanted = contents(*folders())
    masks = sorted(PREDS.rglob("*_mask.tif"))
    masks[1].unlink()
    masks[2].write_bytes(masks[2].read_bytes()[:100])
    next(PREDS.rglob("*_overlay.png")).unlink()
    segment(*call, "--resume")
    found, wanted = contents(*folders())[0], wanted[0]
    models = [name for name in found if "/model/" in name]  # the damaged one may be the user's
    assert [name.rpartition("_")[2] for name in models] == ["mask.tif", "overlay.png"]
    assert all(found.pop(name) == wanted[name.replace("/model/", "/")] for name in models)
    assert [found[name] == wanted[name] for name in wanted].count(False) == 1


def test_a_corrected_mask_stays_and_its_image_is_not_segmented_again(study, monkeypatch, capsys):
    segment(*FILES)
    users = PREDS / "control/a1/x_mask.tif"
    write_image(users, np.zeros((120, 140), np.uint8))
    before = users.read_bytes()
    segment(*FILES, "--resume")
    segment(*FILES, "--resume")
    assert "4 of 4 images" in capsys.readouterr().out and users.read_bytes() == before
    segment(*FILES, "--resume", "--force")
    assert "3 of 4 images" in capsys.readouterr().out
    assert (PREDS / "control/a1/corrected/x_mask.tif").read_bytes() == before


def test_an_image_that_changes_during_the_run_is_named_and_the_rest_done(study, capsys):
    real = run_plan.decide

    def change(*arguments):
        write_image(study / "control/a1/y.tif", rings(60, 60), 0.2)
        (study / "treated/a1/x.tif").write_bytes(b"")
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_plan, "decide", change)
        lines = stopped(capsys, 3, *FILES)
    assert "control/a1/y" in lines[0] and "changed" in lines[0]
    assert "treated/a1/x.tif" in lines[1] and list(summary()["images"]) == [TREE[0], TREE[3]]
