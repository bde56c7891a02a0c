"""train.py: best epoch, resuming, history, messages."""

import math
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawings import fiber_image
from measuring import fails
from stand_ins import NATIVE
from trained import epochs_of, evaluated_loss, interrupt_in_epoch

import data
import extra_training
import train
import unet
from myelin.images import image as images
from myelin.measure.fiber_width import FIBER_PX
from myelin.network import model_file, preprocessing
from myelin.train import batches, pairs, recorder
from myelin.train.recipe import WARM_UP_STEPS, Recipe, Run

pytestmark = pytest.mark.usefixtures("small_network")


def error_of(capsys, script, arguments):
    """Run a command that must end with exit code 2; return its one line on stderr."""
    (line,) = fails(script.main, capsys, *arguments).splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.slow
def test_the_original_call_trains_keeps_the_best_epoch_and_segments(packed, capsys, calibrated):
    train.main(["new.h5", "3", "--size", "32", "--learning-rate", "0.01"])
    assert calibrated == [Path("models/new.h5")]
    rows = epochs_of("new")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    losses = [float(row["validation_loss"]) for row in rows]
    _, settings, adam = model_file.read_model_file("models/new.h5")
    assert settings.provenance["epochs"] == 1 + int(np.argmin(losses))
    assert settings.provenance["best_validation_dice"] == pytest.approx(-min(losses), abs=1e-5)
    assert evaluated_loss("new", pairs.Pairs(False)) == pytest.approx(min(losses), abs=1e-5)
    assert (settings.frame, settings.rows, settings.normalize) == ("resize", 32, "dataset")
    assert settings.myelin == "as it is" and adam is not None and settings.fiber_px is None
    resized = [preprocessing.resize(pairs.Pairs(False).image(i), 32, 32) for i in range(5)]
    assert settings.mean == pytest.approx(np.mean(resized))
    assert settings.std == pytest.approx(np.std(resized))
    assert (packed / "preds/new_mask.tif").exists() and (packed / "models/new_curve.png").exists()
    assert not list((packed / "models").glob("*_resume.h5"))
    assert cv2.imread("preds/new_pred.png", 0).shape == (80, 96)
    printed = capsys.readouterr().out
    assert "4 training images, 1 validation image, 3 epochs" in printed


@pytest.mark.slow
def test_crops_make_a_model_for_any_size_from_validation_frames_of_all_sizes(packed):
    """Keras takes the first batch's shape for that of all: these frames have four sizes."""
    image, mask = fiber_image(0)
    images.write_image("raw/train/tiny.tif", image[:8])
    images.write_image("raw/train/tiny_mask.tif", mask[:8])
    data.main([])
    train.main(
        "any.h5 1 --crop 32 --augment --normalize image --loss dice+crossentropy --steps 2 "
        "--batch-size 2 --schedule cosine --pixel-size 0.1 --validate-on tiny,nerve0,nerve2,nerve3 "
        "--emphasis nerve1=2 --precision bfloat16 --threshold 0.45 --without-optimizer".split()
    )
    _, settings, adam = model_file.read_model_file("models/any.h5")
    assert (settings.frame, settings.myelin, settings.normalize) == ("native", "bright", "image")
    assert settings.pixel_size_um == 0.1 and settings.training["crop"] == 32 and adam is None
    assert settings.fiber_px == FIBER_PX and settings.threshold == 0.45
    held_out = settings.provenance["validation_images"]
    assert held_out == ["nerve0", "nerve2", "nerve3", "tiny"]


def test_validation_frames_are_mirrored_to_one_shape(packed):
    found = pairs.Pairs(as_bright=True)
    assert batches.validation_shape(found, range(len(found))) == (144, 96)
    image, mask = batches.whole_frame(found, 0, NATIVE, (144, 96))
    np.testing.assert_array_equal(mask[:80] * 255, found.mask(0))
    np.testing.assert_array_equal(mask[80:], mask[79:15:-1])
    assert image.shape == (144, 96)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_ctrl_c_keeps_the_best_epoch_and_resume_continues(packed, monkeypatch, capsys):
    command = ["stop.h5", "3", "--size", "32"]
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, "stop", 2)
        with pytest.raises(SystemExit) as stop:
            train.main(command)
    assert stop.value.code == 130
    assert len(epochs_of("stop")) == 1
    assert model_file.read_model_file("models/stop.h5")[1].provenance["epochs"] == 1
    capsys.readouterr()
    message = error_of(capsys, train, [*command, "--resume", "--learning-rate", "0.5"])
    assert "--learning-rate: 0.5" in message and "0.001" in message
    train.main([*command, "--resume"])
    assert "stop.h5: will be replaced" in capsys.readouterr().out
    assert [row["epoch"] for row in epochs_of("stop")] == ["1", "2", "3"]
    _, settings, adam = model_file.read_model_file("models/stop.h5")
    assert adam[0] == 4 * settings.provenance["epochs"]


def test_the_cosine_schedule_reaches_adam_and_continues_after_an_interruption(tmp_path):
    network = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=None))
    recipe = Recipe(schedule="cosine", learning_rate=1.0)
    run = Run(recipe, epochs=4)
    state = recorder.TrainingState(network, NATIVE, epochs=1)
    callback = recorder.Recorder(tmp_path / "m.h5", state, run, 100)
    rates = []
    for step in range(300):
        callback.on_train_batch_begin(step)
        rates.append(network.optimizer.learning_rate)
        callback.on_train_batch_end(step)
    assert rates == [recipe.rate(step, 400) for step in range(100, 400)]
    assert recipe.rate(0, 400) == pytest.approx(1 / WARM_UP_STEPS)  # it warms up
    assert rates[100] == pytest.approx(0.5) and recipe.rate(400, 400) == pytest.approx(0, abs=1e-9)
    assert Recipe(learning_rate=1.0).rate(3, 400) == 1.0  # constant, unless asked for


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (train, ["m.h5", "0"], "'0' is not a whole number of 1 or more"),
        (train, ["m.keras", "1"], "m.keras: not the name of a model file"),
        (train, ["x_resume.h5", "1"], "x_resume.h5: _resume.h5 is"),
        (train, ["folder.h5", "1"], "folder.h5: is a folder"),
        (train, ["m.h5", "1", "--size", "100"], "'100' is not a multiple of 16"),
        (train, ["m.h5", "1", "--augment"], "--augment needs --crop"),
        (train, ["m.h5", "1", "--crop", "32", "--size", "32"], "--size is for whole frames"),
        (train, ["m.h5", "1", "--emphasis", "x"], "'x' is not PATTERN=FACTOR"),
        (train, ["m.h5", "1", "--emphasis", "nerve1=3"], "--emphasis: works on crops only"),
        (train, ["m.h5", "1", "--crop", "32", "--emphasis", "zz=2"], "--emphasis zz: no"),
        (train, ["m.h5", "1", "--validate-on", "zz*"], "--validate-on zz*: no such"),
        (train, ["m.h5", "1", "--crop", "1024", "--batch-size", "64"], "67,108,864 pixels per"),
        (train, ["m.h5", "1", "--resume"], "m_resume.h5: no interrupted run"),
        (extra_training, ["absent.h5", "m.h5", "1"], "absent.h5: no such model"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(packed, capsys, script, arguments, message):
    Path("models/folder.h5").mkdir(parents=True)
    capsys.readouterr()
    assert message in error_of(capsys, script, arguments)


def test_too_few_pairs_are_an_error(folder, capsys):
    image, mask = fiber_image(0)
    images.write_image("raw/train/one.tif", image)
    images.write_image("raw/train/one_mask.tif", mask)
    data.main([])
    capsys.readouterr()
    assert "1 pair, 0 to train on and 1 to validate on" in error_of(
        capsys, train, ["m.h5", "1", "--size", "32"]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_diverging_training_is_stopped(packed, capsys, monkeypatch):
    monkeypatch.setitem(unet.LOSSES, "dice", lambda y, p: unet.dice_coef_loss(y, p) * math.nan)
    assert "diverged" in error_of(capsys, train, ["m.h5", "2", "--size", "32"])
    assert not (packed / "models/m.h5").exists()


def test_a_history_that_cannot_be_written_costs_no_training(tmp_path, monkeypatch, capsys):
    def locked(path, row):
        raise PermissionError(13, "in use", str(path))

    monkeypatch.setattr(recorder, "append_history", locked)
    monkeypatch.setattr(recorder, "save_model", lambda *_: None)
    run = Run(Recipe(), epochs=1)
    state = recorder.TrainingState(None, NATIVE)
    callback = recorder.Recorder(tmp_path / "m.h5", state, run, 1)
    callback.on_epoch_end(0, {"loss": -0.5, "dice_coef": 0.5})
    assert "m_history.csv: in use" in capsys.readouterr().out


@pytest.mark.parametrize("row", ["1;-0,5;0,5", '1,"0,5",1,1,1', "x,1,1,1,1", "1,2", None])
def test_a_history_that_a_spreadsheet_changed_starts_again(tmp_path, row):
    if row:
        (tmp_path / "m_history.csv").write_text(f"epoch,loss\n{row}\n", encoding="utf-8")
    assert recorder.read_history(tmp_path / "m_history.csv") == []
