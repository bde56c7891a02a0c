"""train.py, pairs.py and extra_training.py: crops, best epoch, resuming, continuing, messages."""

import argparse
import contextlib
import csv
import math
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

import data
import extra_training
import train
import unet
from myelin import (
    batches,
    engine,
    files,
    images,
    model_file,
    pairs,
    preprocessing,
    recorder,
    training,
)

pytestmark = pytest.mark.usefixtures("small_network")
NATIVE = preprocessing.Preprocessing(
    frame="native", rows=None, cols=None, myelin="bright", normalize="image"
)


def fiber_image(seed, rows=80, cols=96, myelin=200, rest=60):
    """Draw rings of random place and size; return the image and its exact mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((rows, cols), np.uint8)
    for _ in range(6):
        centre = (int(rng.integers(12, cols - 12)), int(rng.integers(12, rows - 12)))
        cv2.circle(mask, centre, int(rng.integers(6, 11)), 255, 3)
    image = np.where(mask > 0, myelin, rest) + rng.normal(0, 4, mask.shape)
    return np.clip(image, 1, 254).astype(np.uint8), mask


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A folder with five packed pairs, the last with dark myelin, and one test image."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        image, mask = fiber_image(number, rows=80 + 16 * number)
        images.write_image(f"raw/train/nerve{number}.tif", 255 - image if number == 4 else image)
        images.write_image(f"raw/train/nerve{number}_mask.png", mask)
    images.write_image("raw/test/new.tif", fiber_image(9)[0])
    data.main([])
    return tmp_path


def history(name):
    with open(f"models/{name}_history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def evaluated_loss(name, training_set):
    """Return the validation loss of a model file, computed anew."""
    network, settings, _ = model_file.load_model(f"models/{name}.h5")
    args = argparse.Namespace(**training.RECIPE, validation_split=0.2, validate_on=None, seed=0)
    args.emphasis = []
    training.compile_network(network, args)
    return training.validate(network, settings, training_set, args)[0]


# ---------------------------------------------------------------- pairs.py


def test_dark_myelin_is_inverted_and_margins_do_not_count(packed):
    as_is, as_bright = pairs.Pairs(as_bright=False), pairs.Pairs(as_bright=True)
    assert as_is.dark == [False] * 5
    assert as_bright.dark == [False, False, False, False, True]
    np.testing.assert_array_equal(as_bright.image(4), 255 - as_is.image(4))
    image, mask = fiber_image(1)
    margin = np.full((200, 96), 255, np.uint8)  # a bright margin outweighs the image
    images.write_image("raw/train/nerve1.tif", np.vstack([image, margin]))
    images.write_image("raw/train/nerve1_mask.png", np.vstack([mask, 0 * margin]))
    data.main([])
    assert not pairs.Pairs(as_bright=True).dark[1]


def test_pairs_are_read_at_their_true_size(packed):
    found = pairs.Pairs(as_bright=False)
    for index in range(5):
        np.testing.assert_array_equal(
            found.mask(index), fiber_image(index, rows=80 + 16 * index)[1]
        )


def test_split_takes_the_last_fifth_or_the_named(packed):
    found = pairs.Pairs(as_bright=False)
    assert batches.split(found, 0.2) == ([0, 1, 2, 3], [4])
    assert batches.split(found, 0.5) == ([0, 1], [2, 3, 4])
    assert batches.split(found, 0) == ([0, 1, 2, 3, 4], [])
    assert batches.split(found, 0.2, "nerve0,*3") == ([1, 2, 4], [0, 3])


def test_a_plain_crop_is_cut_out_of_the_image(packed):
    found = pairs.Pairs(as_bright=False)
    settings = preprocessing.Preprocessing(frame="native", rows=None, cols=None, mean=0.0, std=1.0)
    crop, mask = pairs.random_crop(found, 2, 32, settings, False, np.random.default_rng(0))
    image = found.image(2).astype(np.float32)
    place = cv2.minMaxLoc(cv2.matchTemplate(image, crop, cv2.TM_SQDIFF))[2]
    window = np.s_[place[1] : place[1] + 32, place[0] : place[0] + 32]
    np.testing.assert_allclose(crop, image[window], atol=0.51)
    np.testing.assert_array_equal(mask, found.mask(2)[window] > 0)


def test_augmented_image_and_mask_stay_together(packed):
    found, rng = pairs.Pairs(as_bright=True), np.random.default_rng(3)
    brighter = []
    for trial in range(40):
        crop, mask = pairs.random_crop(found, trial % 5, 64, NATIVE, True, rng)
        assert crop.shape == mask.shape == (64, 64) and np.isfinite(crop).all()
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
        outer = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) == 0
        if inner.sum() > 20 and outer.sum() > 20:
            brighter.append(crop[inner].mean() - crop[outer].mean())
    assert len(brighter) > 25 and min(brighter) > 0 and np.median(brighter) > 1


def test_a_crop_may_be_larger_than_the_image(packed):
    found = pairs.Pairs(as_bright=True)
    crop, mask = pairs.random_crop(found, 0, 256, NATIVE, True, np.random.default_rng(0))
    assert crop.shape == mask.shape == (256, 256) and mask.any()


def test_crops_are_drawn_by_area_and_emphasis(packed):
    found = pairs.Pairs(as_bright=False)
    areas = np.array([80, 96, 112, 128.0])
    np.testing.assert_allclose(
        batches.sampling_weights(found, [0, 1, 2, 3], []), areas / areas.sum()
    )
    areas[1] *= 3
    np.testing.assert_allclose(
        batches.sampling_weights(found, [0, 1, 2, 3], [("*1", 3.0)]), areas / areas.sum()
    )


# ---------------------------------------------------------------- train.py


def test_the_original_call_trains_keeps_the_best_epoch_and_segments(packed, capsys):
    train.main(["new.h5", "3", "--size", "32", "--learning-rate", "0.01"])
    rows = history("new")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    losses = [float(row["validation_loss"]) for row in rows]
    _, settings, adam = model_file.read_model_file("models/new.h5")
    assert settings.provenance["epochs"] == 1 + int(np.argmin(losses))
    assert settings.provenance["best_validation_dice"] == pytest.approx(-min(losses), abs=1e-5)
    assert evaluated_loss("new", pairs.Pairs(False)) == pytest.approx(min(losses), abs=1e-5)
    assert (settings.frame, settings.rows, settings.normalize) == ("resize", 32, "dataset")
    assert settings.myelin == "as it is" and adam is not None
    resized = [preprocessing.resize(pairs.Pairs(False).image(i), 32, 32) for i in range(5)]
    assert settings.mean == pytest.approx(np.mean(resized))
    assert settings.std == pytest.approx(np.std(resized))
    assert (packed / "preds/new_mask.tif").exists() and (packed / "models/new_curve.png").exists()
    assert not list((packed / "models").glob("*_resume.h5"))
    assert cv2.imread("preds/new_pred.png", 0).shape == (80, 96)
    printed = capsys.readouterr().out
    assert " parameters" in printed and "4 training and 1 validation images" in printed


def test_crops_make_a_model_for_any_size(packed):
    train.main(
        "any.h5 1 --crop 32 --augment --normalize image --loss dice+crossentropy --steps 2 "
        "--batch-size 2 --schedule cosine --pixel-size 0.1 --validate-on nerve0 "
        "--emphasis nerve1=2 --without-optimizer".split()
    )
    _, settings, adam = model_file.read_model_file("models/any.h5")
    assert (settings.frame, settings.myelin, settings.normalize) == ("native", "bright", "image")
    assert settings.pixel_size_um == 0.1 and settings.training["crop"] == 32 and adam is None
    assert settings.provenance["validation_images"] == ["nerve0"]


def interrupt_in_epoch(monkeypatch, name, wanted):
    """Make the training stop as by Ctrl-C at the end of an epoch, before it is recorded."""
    save = model_file.save_model

    def stop(*arguments):
        if len(recorder.read_history(Path(f"models/{name}_history.csv"))) == wanted - 1:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(model_file, "save_model", stop)


def test_ctrl_c_keeps_the_best_epoch_and_resume_goes_on(packed, monkeypatch, capsys):
    command = ["stop.h5", "3", "--size", "32"]
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, "stop", 2)
        with pytest.raises(SystemExit) as stop:
            train.main(command)
    assert stop.value.code == 130
    assert len(history("stop")) == 1
    assert model_file.read_model_file("models/stop.h5")[1].provenance["epochs"] == 1
    with pytest.raises(SystemExit) as stop:
        train.main([*command, "--resume", "--learning-rate", "0.5"])
    assert stop.value.code == 2 and "give the same options" in capsys.readouterr().err
    train.main([*command, "--resume"])
    assert [row["epoch"] for row in history("stop")] == ["1", "2", "3"]
    steps = model_file.read_model_file("models/stop.h5")[2][0]
    assert steps == 4 * model_file.read_model_file("models/stop.h5")[1].provenance["epochs"]


def test_without_validation_the_last_epoch_is_kept(packed):
    train.main(["all.h5", "2", "--size", "32", "--validation-split", "0"])
    assert model_file.read_model_file("models/all.h5")[1].provenance["epochs"] == 2
    assert history("all")[0]["validation_loss"] == ""


def test_cosine_warms_up_and_falls_to_zero():
    args = argparse.Namespace(schedule="cosine", learning_rate=1.0, epochs=4)
    rates = [recorder.learning_rate(args, step, 400) for step in range(401)]
    assert rates[0] == pytest.approx(1 / recorder.WARM_UP_STEPS)
    assert max(rates) == pytest.approx(rates[recorder.WARM_UP_STEPS - 1], rel=0.05)
    assert rates[200] == pytest.approx(0.5) and rates[400] == pytest.approx(0, abs=1e-9)
    args.schedule = "constant"
    assert recorder.learning_rate(args, 3, 400) == 1.0


def test_the_schedule_reaches_adam_and_goes_on_after_an_interruption(tmp_path):
    network = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=None))
    args = argparse.Namespace(schedule="cosine", learning_rate=1.0, epochs=4)
    callback = recorder.make_recorder(tmp_path / "m.h5", network, NATIVE, args, 100, 1, math.inf)
    callback.on_train_begin()
    rates = []
    for step in range(300):
        callback.on_train_batch_begin(step)
        rates.append(network.optimizer.learning_rate)
        callback.on_train_batch_end(step)
    assert rates == [recorder.learning_rate(args, step, 400) for step in range(100, 400)]


def test_emphasis_reaches_the_batches(packed):
    """Nearly all crops come from the one image whose grey values are far apart."""
    mask = fiber_image(1, rows=96)[1]
    images.write_image("raw/train/nerve1.tif", np.where(mask > 0, 254, 1).astype(np.uint8))
    data.main([])
    args = argparse.Namespace(
        **{**training.RECIPE, "crop": 32, "batch_size": 40, "steps": 1}, seed=0
    )
    args.emphasis = [("nerve1", 1000.0)]
    settings = preprocessing.Preprocessing(frame="native", rows=None, cols=None, mean=0.0, std=1.0)
    found = pairs.Pairs(as_bright=False)
    crops, _ = batches.make_batches(found, [0, 1, 2], settings, args, training=True)[0]
    assert (np.ptp(crops, axis=(1, 2, 3)) > 250).mean() > 0.9


# ---------------------------------------------------------------- extra_training.py


def test_continuing_never_makes_a_model_worse_and_leaves_the_old_alone(packed):
    train.main(["old.h5", "2", "--size", "32"])
    before = files.sha256("models/old.h5")
    old_loss = evaluated_loss("old", pairs.Pairs(False))
    with contextlib.suppress(SystemExit):  # a ruinous rate may also end as "diverged"
        extra_training.main(["old.h5", "wild.h5", "1", "--learning-rate", "1"])
    assert evaluated_loss("wild", pairs.Pairs(False)) <= old_loss + 1e-6
    extra_training.main(["old.h5", "new.h5", "2"])
    assert evaluated_loss("new", pairs.Pairs(False)) <= old_loss + 1e-6
    assert files.sha256("models/old.h5") == before
    steps = {name: model_file.read_model_file(f"models/{name}.h5")[2][0] for name in ("old", "new")}
    assert steps["new"] >= steps["old"]  # Adam's state went on, it did not start anew
    settings = model_file.read_model_file("models/new.h5")[1]
    assert settings.provenance["old_sha256"] == before and settings.rows == 32


def test_a_file_of_2018_is_continued_with_the_statistics_of_the_training_set(packed):
    engine.start_keras()
    model_file.save_model(
        "models/y2018.h5",
        unet.get_unet(32, 32),
        preprocessing.Preprocessing(rows=32, cols=32, mean=1.0, std=2.0),
    )
    import h5py

    with h5py.File("models/y2018.h5", "a") as file:
        del file.attrs[model_file.PREPROCESSING]
    extra_training.main(["y2018.h5", "now.h5", "1"])
    settings = model_file.read_model_file("models/now.h5")[1]
    assert settings.normalize == "dataset" and settings.mean > 50


def test_a_model_of_any_size_goes_on_as_it_was_trained(packed):
    train.main("c.h5 1 --crop 32 --augment --normalize image --steps 2 --pixel-size 0.1".split())
    extra_training.main(["c.h5", "d.h5", "1"])
    settings = model_file.read_model_file("models/d.h5")[1]
    assert settings.training["crop"] == 32
    assert settings.pixel_size_um is None  # that of the new images, which was not given


def test_an_old_model_that_stays_the_better_keeps_its_pixel_size(packed, monkeypatch):
    train.main("c.h5 1 --crop 32 --normalize image --steps 2 --pixel-size 0.1".split())
    monkeypatch.setattr(extra_training, "validate", lambda *_: (-2.0, 1.0))  # none is as low
    extra_training.main(["c.h5", "d.h5", "1"])
    settings = model_file.read_model_file("models/d.h5")[1]
    assert settings.provenance["epochs"] == 0 and settings.pixel_size_um == 0.1
    assert settings.provenance["best_validation_dice"] == 1.0
    extra_training.main(["d.h5", "e.h5", "1"])
    earlier = model_file.read_model_file("models/e.h5")[1].provenance["earlier"]
    assert [old["command"].split()[1] for old in earlier] == ["extra_training.py", "train.py"]


def test_a_history_that_cannot_be_written_or_read_costs_no_training(packed, monkeypatch, capsys):
    def locked(path, row):
        raise PermissionError(13, "in use", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "append_history", locked)
        train.main(["m.h5", "1", "--size", "32"])
    assert "m_history.csv: in use, this epoch is not in it" in capsys.readouterr().out
    assert model_file.read_model_file("models/m.h5")[1].provenance["epochs"] == 1
    history_file = packed / "models/m_history.csv"
    history_file.write_text("epoch;loss;dice\n1;-0,5;0,5\n\n", encoding="utf-8")
    assert recorder.read_history(history_file) == []


def test_a_model_that_will_be_replaced_is_named(packed, capsys):
    for _ in range(2):
        train.main(["m.h5", "1", "--size", "32"])
    assert "m.h5 is replaced by the first epoch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("loss", "foo"),
        ("loss", ["dice"]),
        ("crop", "abc"),
        ("crop", 200),
        ("crop", 2**20),
        ("batch_size", 10**9),
        ("steps", 0),
        ("learning_rate", "fast"),
        ("schedule", "--resume"),
    ],
)
def test_training_options_of_a_model_file_are_checked(packed, capsys, option, value):
    engine.start_keras()
    settings = preprocessing.Preprocessing(
        rows=32, cols=32, mean=1.0, std=2.0, training={option: value}
    )
    model_file.save_model("models/m.h5", unet.get_unet(32, 32), settings)
    with pytest.raises(SystemExit) as stop:
        extra_training.main(["m.h5", "n.h5", "1"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "m.h5: its training options: argument --" in said


def test_a_step_that_no_memory_holds_is_refused(packed, capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["m.h5", "1", "--crop", "1024", "--batch-size", "64"])
    assert stop.value.code == 2
    assert "67,108,864 pixels in a step, the limit is 33,554,432" in capsys.readouterr().err


def test_emphasis_without_crops_is_refused(packed, capsys):
    with pytest.raises(SystemExit):
        train.main(["m.h5", "1", "--size", "32", "--emphasis", "nerve1=3"])
    assert "--emphasis: is of crops" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["text", {"options": None}, {"options": {"a": 1}, "epoch": "x"}])
def test_a_damaged_file_of_an_interrupted_run_is_said(packed, capsys, state):
    keras = engine.start_keras()
    network = unet.get_unet(32, 32)
    network.compile(keras.optimizers.Adam(1e-3), unet.dice_coef_loss)
    network.optimizer.build(network.trainable_variables)
    settings = preprocessing.Preprocessing(
        rows=32, cols=32, mean=1.0, std=2.0, provenance={"state": state}
    )
    model_file.save_model("models/m_resume.h5", network, settings)
    with pytest.raises(SystemExit) as stop:
        train.main(["m.h5", "2", "--size", "32", "--resume"])
    assert stop.value.code == 2 and "not of an interrupted run" in capsys.readouterr().err


@pytest.mark.parametrize("row", ["1;-0,5;0,5", '1,"0,5",1,1,1', "x,1,1,1,1", "1,2"])
def test_a_history_that_a_spreadsheet_changed_starts_anew(tmp_path, row):
    (tmp_path / "m_history.csv").write_text(f"epoch,loss\n{row}\n", encoding="utf-8")
    assert recorder.read_history(tmp_path / "m_history.csv") == []


def test_names_of_interrupted_runs_are_kept_for_them(packed, capsys):
    train.main(["m.h5", "1", "--size", "32"])
    Path("models/m.h5").rename("models/n_resume.h5")
    for call in (
        (train.main, ["x_resume.h5", "1"]),
        (extra_training.main, ["n_resume.h5", "n.h5", "1"]),
    ):
        with pytest.raises(SystemExit) as stop:
            call[0](call[1])
        assert stop.value.code == 2 and "--resume" in capsys.readouterr().err
    assert Path("models/n_resume.h5").exists()
    Path("models/folder.h5").mkdir()
    with pytest.raises(SystemExit):
        train.main(["folder.h5", "1"])
    assert "folder.h5: is a folder" in capsys.readouterr().err


def test_resuming_needs_the_file_of_an_interrupted_run(packed, capsys):
    engine.start_keras()
    settings = preprocessing.Preprocessing(rows=32, cols=32, mean=1.0, std=2.0)
    model_file.save_model("models/m_resume.h5", unet.get_unet(32, 32), settings)
    with pytest.raises(SystemExit) as stop:
        train.main(["m.h5", "1", "--size", "32", "--resume"])
    assert stop.value.code == 2 and "not of an interrupted run" in capsys.readouterr().err


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (train, ["m.h5", "0"], "'0' is not a whole number of 1 or more"),
        (train, ["m.h5", "many"], "'many' is not a whole number"),
        (train, ["m.keras", "1"], "error: m.keras: not the name of a model file"),
        (train, ["m.h5", "1", "--size", "100"], "'100' is not a multiple of 16"),
        (train, ["m.h5", "1", "--augment"], "--augment needs --crop"),
        (train, ["m.h5", "1", "--crop", "32", "--size", "32"], "--size is of whole frames"),
        (train, ["m.h5", "1", "--emphasis", "x"], "'x' is not PATTERN=FACTOR"),
        (train, ["m.h5", "1", "--validate-on", "zz*"], "error: --validate-on zz*: no such"),
        (train, ["m.h5", "1", "--crop", "32", "--emphasis", "zz=2"], "error: --emphasis zz: no"),
        (train, ["m.h5", "1", "--resume"], "no interrupted run"),
        (extra_training, ["absent.h5", "m.h5", "1"], "error: absent.h5: no such model"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(packed, capsys, script, arguments, message):
    with pytest.raises(SystemExit) as stop:
        script.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_continuing_refuses_one_name_for_both_and_crops_for_whole_frames(packed, capsys):
    engine.start_keras()
    model_file.save_model(
        "models/m.h5",
        unet.get_unet(32, 32),
        preprocessing.Preprocessing(rows=32, cols=32, mean=1.0, std=2.0),
    )
    for arguments, message in (
        (["m.h5", "m.h5", "1"], "error: m.h5: both the old and the new model"),
        (["m.h5", "n.h5", "1", "--crop", "32"], "error: --crop: models"),
        (["m.h5", "n.h5", "1", "--augment"], "error: --augment: models"),
    ):
        with pytest.raises(SystemExit) as stop:
            extra_training.main(arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err.replace("\\", "/")


def test_too_few_pairs_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    image, mask = fiber_image(0)
    images.write_image("raw/train/one.tif", image)
    images.write_image("raw/train/one_mask.tif", mask)
    data.main([])
    with pytest.raises(SystemExit) as stop:
        train.main(["m.h5", "1", "--size", "32"])
    assert stop.value.code == 2
    assert "1 pairs" in capsys.readouterr().err


def test_validation_frames_of_all_sizes_go_together(packed):
    """Keras takes the first batch's shape for that of all: these are of five sizes."""
    data_small, mask = fiber_image(0)
    images.write_image("raw/train/tiny.tif", data_small[:8])
    images.write_image("raw/train/tiny_mask.tif", mask[:8])
    data.main([])
    train.main("m.h5 1 --crop 32 --steps 1 --validate-on tiny,nerve0,nerve1,nerve3".split())
    assert len(history("m")) == 1
    found = pairs.Pairs(as_bright=True)
    assert batches.validation_shape(found, range(len(found))) == (144, 96)
    image, mask = batches.whole_frame(found, 0, NATIVE, (144, 96))
    np.testing.assert_array_equal(mask[:80] * 255, found.mask(0))
    np.testing.assert_array_equal(mask[80:], mask[79:15:-1])
    assert image.shape == (144, 96)


def test_a_diverging_run_is_stopped(packed, capsys, monkeypatch):
    monkeypatch.setitem(unet.LOSSES, "dice", lambda y, p: unet.dice_coef_loss(y, p) * math.nan)
    with pytest.raises(SystemExit) as stop:
        train.main(["m.h5", "2", "--size", "32"])
    assert stop.value.code == 2
    assert "diverged" in capsys.readouterr().err
    assert not (packed / "models/m.h5").exists()
