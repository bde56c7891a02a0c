"""extra_training.py: continuing a model, its recipe, messages."""

import contextlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails
from trained import evaluated_loss

import extra_training
import train
import unet
from myelin.measure.fiber_width import FIBER_PX
from myelin.network import engine, model_file, preprocessing
from myelin.runtime import files
from myelin.train import fit as training
from myelin.train import pairs, recorder
from myelin.train.recipe import Recipe, recipe_of

pytestmark = pytest.mark.usefixtures("small_network", "eager")


def save_untrained(name, **settings):
    """Save an untrained model, by default for whole frames of 32 x 32."""
    engine.start_keras()
    settings = preprocessing.Preprocessing(
        **{"rows": 32, "cols": 32, "mean": 1.0, "std": 2.0, **settings}
    )
    network = unet.get_unet(settings.rows, settings.cols)
    model_file.save_model(Path("models", name), network, settings, optimizer=False)


@pytest.mark.slow
def test_continuing_never_makes_a_model_worse_and_keeps_the_old_one(packed, calibrated):
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
    assert steps["new"] >= steps["old"]  # Adam's state continued, it did not start from zero
    settings = model_file.read_model_file("models/new.h5")[1]
    assert settings.provenance["old_sha256"] == before and settings.rows == 32


@pytest.mark.slow
def test_a_file_of_2018_is_continued_with_the_statistics_of_the_training_set(
    packed, monkeypatch, capsys
):
    save_untrained("y2018.h5")
    import h5py

    with h5py.File("models/y2018.h5", "a") as file:
        del file.attrs[model_file.PREPROCESSING]
    monkeypatch.setattr(training, "validate", lambda *_: (0.0, 0.01))  # every epoch is better
    extra_training.main(["y2018.h5", "now.h5", "1"])
    settings = model_file.read_model_file("models/now.h5")[1]
    assert settings.normalize == "dataset" and settings.mean > 50
    printed = capsys.readouterr().out.splitlines()
    first = printed.index("before the training: y2018.h5 has Dice 0.0100")
    assert any("val_loss" in line for line in printed[first:])
    assert not any("val_loss" in line for line in printed[:first])
    dice = settings.provenance["best_validation_dice"]
    assert printed[-1].startswith("models/now.h5: epoch 1 was the best, with Dice")
    assert printed[-1].endswith(f"{dice - 0.01:+.4f} against 0.0100 of y2018.h5")
    picture = cv2.imread("models/now_before_after.png")
    assert picture.shape[1] == 1200 and np.ptp(picture) > 200


@pytest.mark.slow
def test_a_model_of_any_size_continues_with_its_recipe(packed, capsys):
    native = {"frame": "native", "rows": None, "cols": None, "myelin": "bright"}
    save_untrained("c.h5", normalize="image", **native)
    split = ["--validation-split", "0"]
    extra_training.main(["c.h5", "d.h5", "1", "--crop", "32", "--steps", "2", *split])
    assert "c.h5: was trained at the images' own scales" in capsys.readouterr().out
    assert model_file.read_model_file("models/d.h5")[1].fiber_px == FIBER_PX
    extra_training.main(["d.h5", "e.h5", "1", *split])
    settings = model_file.read_model_file("models/e.h5")[1]
    assert settings.training["crop"] == 32 and settings.training["steps"] == 2
    assert "own scales" not in capsys.readouterr().out


@pytest.mark.slow
def test_an_old_model_that_stays_the_better_keeps_its_pixel_size(packed, monkeypatch, capsys):
    train.main("c.h5 1 --crop 32 --normalize image --steps 2 --pixel-size 0.1".split())
    monkeypatch.setattr(training, "validate", lambda *_: (-2.0, 1.0))  # no epoch is as good
    extra_training.main(["c.h5", "d.h5", "1"])
    settings = model_file.read_model_file("models/d.h5")[1]
    assert settings.provenance["epochs"] == 0 and settings.pixel_size_um == 0.1
    assert settings.provenance["best_validation_dice"] == 1.0
    earlier = settings.provenance["earlier"]
    assert [old["command"].split()[1] for old in earlier] == ["train.py"]
    last = capsys.readouterr().out.splitlines()[-1]
    copy = "models/d.h5: a copy of c.h5, as no epoch was better (Dice 1.0000 on 1 image)"
    assert last == copy and not Path("models/d_before_after.png").exists()


def test_the_curve_has_the_old_model_as_a_line_and_whole_epochs(tmp_path, monkeypatch):
    figures = []

    def keep(figure, path, **_):
        figures.append(figure)
        Path(path).touch()

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", keep)
    for epoch in (1, 2):
        recorder.append_history(tmp_path / "m_history.csv", [epoch, -0.5, 0.5, -0.6, 0.6])
    recorder.draw_curve(tmp_path / "m.h5", {"old_model": "o$.h5", "old_validation_dice": 0.55})
    (axes,) = figures[0].axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert set(lines["o\\$.h5"]) == {0.55} and list(lines) == ["training", "validation", "o\\$.h5"]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_what_was_kept_is_told_also_without_validation_and_epochs():
    made = {"epochs": 3, "best_validation_dice": None, "validation_images": []}
    assert "m.h5: epoch 3, the last, as no image" in training.kept_text("m.h5", made)
    assert "m.h5: not written" in training.kept_text("m.h5", {"old_model": "o.h5"})
    made |= {"best_validation_dice": 0.7, "validation_images": ["a", "b"]}
    assert training.kept_text("m.h5", made).endswith(
        "the best, with Dice 0.7000 on 2 images held back"
    )


def test_the_recipe_of_a_model_file_is_read():
    recipe = Recipe(crop=64, augment=True, loss="dice+gaps", schedule="cosine")
    assert recipe_of(vars(recipe), Recipe()) == recipe
    assert recipe_of({}, Recipe()) == Recipe()


def test_mistakes_end_with_a_message_and_code_2(folder, saved, capsys):
    Path("models").mkdir()
    for name in ("m.h5", "n_resume.h5"):
        shutil.copy(saved, Path("models", name))
    for call, message in (
        ("m.h5 m.h5 1", "error: m.h5: is the old model"),
        ("m.h5 n.h5 1 --crop 32", "error: --crop: models"),
        ("m.h5 n.h5 1 --augment", "error: --augment: models"),
        ("n_resume.h5 n.h5 1", "error: n_resume.h5: belongs to an interrupted run"),
    ):
        said = fails(extra_training.main, capsys, *call.split())
        assert message in said.replace("\\", "/")
