"""extra_training.py: continuing a model, its recipe, messages."""

import contextlib
from pathlib import Path

import pytest
from trained import evaluated_loss

import extra_training
import train
import unet
from myelin.measure.fiber_width import FIBER_PX
from myelin.network import engine, model_file, preprocessing
from myelin.runtime import files
from myelin.train import fit as training
from myelin.train import pairs

pytestmark = pytest.mark.usefixtures("small_network", "eager")
NATIVE = preprocessing.Preprocessing(
    frame="native", rows=None, cols=None, myelin="bright", normalize="image"
)


def test_continuing_never_makes_a_model_worse_and_leaves_the_old_alone(packed, calibrated):
    train.main(["old.h5", "2", "--size", "32"])
    before = files.sha256("models/old.h5")
    old_loss = evaluated_loss("old", pairs.Pairs(False))
    with contextlib.suppress(SystemExit):  # a ruinous rate may also end as "diverged"
        extra_training.main(["old.h5", "wild.h5", "1", "--learning-rate", "1"])
    assert evaluated_loss("wild", pairs.Pairs(False)) <= old_loss + 1e-6
    extra_training.main(["old.h5", "new.h5", "2"])
    assert evaluated_loss("new", pairs.Pairs(False)) <= old_loss + 1e-6
    assert calibrated[-1] == Path("models/new.h5")
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


def test_a_model_of_any_size_goes_on_as_it_was_trained(packed, capsys):
    train.main("c.h5 1 --crop 32 --augment --normalize image --steps 2 --pixel-size 0.1".split())
    extra_training.main(["c.h5", "d.h5", "1"])
    settings = model_file.read_model_file("models/d.h5")[1]
    assert settings.training["crop"] == 32
    assert settings.pixel_size_um is None  # that of the new images, which was not given
    assert "from here on" not in capsys.readouterr().out


def test_an_older_model_starts_to_learn_at_one_fiber_scale_and_says_so(packed, capsys):
    engine.start_keras()
    network = unet.get_unet(None, None)
    model_file.save_model("models/c.h5", network, NATIVE, optimizer=False)
    split = ["--validation-split", "0"]
    extra_training.main(["c.h5", "d.h5", "1", "--crop", "32", "--steps", "2", *split])
    assert "from here on their fibers come to 35 pixels" in capsys.readouterr().out
    assert model_file.read_model_file("models/d.h5")[1].fiber_px == FIBER_PX


def test_an_old_model_that_stays_the_better_keeps_its_pixel_size(packed, monkeypatch):
    train.main("c.h5 1 --crop 32 --normalize image --steps 2 --pixel-size 0.1".split())
    monkeypatch.setattr(training, "validate", lambda *_: (-2.0, 1.0))  # none is as low
    extra_training.main(["c.h5", "d.h5", "1"])
    settings = model_file.read_model_file("models/d.h5")[1]
    assert settings.provenance["epochs"] == 0 and settings.pixel_size_um == 0.1
    assert settings.provenance["best_validation_dice"] == 1.0
    extra_training.main(["d.h5", "e.h5", "1"])
    earlier = model_file.read_model_file("models/e.h5")[1].provenance["earlier"]
    assert [old["command"].split()[1] for old in earlier] == ["extra_training.py", "train.py"]


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
        ("precision", "float8"),
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
