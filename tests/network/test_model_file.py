"""Model files: where they lie, ours and those of 2018."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from trained import SETTINGS, SIZE, altered

import unet
from myelin.network import model_checks, model_file, preprocessing
from myelin.runtime.cli import UserError

ROOT = Path(unet.__file__).parent
pytestmark = pytest.mark.usefixtures("small_network")


def test_a_bare_model_name_lies_in_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unet, "__file__", str(tmp_path / "scripts" / "unet.py"))
    here, beside = tmp_path / "models/a.h5", tmp_path / "scripts/models/a.h5"
    assert model_file.model_path("a.h5") == Path("models/a.h5")
    with pytest.raises(UserError, match=r"a\.h5: no such model in models or .*scripts.models"):
        model_file.model_path("a.h5", reading=True)
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert model_file.model_path("a.h5", reading=True) == beside
    here.parent.mkdir()
    here.touch()
    assert model_file.model_path("a.h5", reading=True) == Path("models/a.h5")


def test_a_model_name_with_a_path_is_taken_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.hdf5").touch()
    for name in ("./b.hdf5", str(tmp_path / "b.hdf5")):
        for reading in (False, True):
            assert model_file.model_path(name, reading) == Path(name)
    with pytest.raises(UserError, match=r"other.b\.h5: no such model in other"):
        model_file.model_path(os.path.join("other", "b.h5"), reading=True)


@pytest.mark.parametrize("name", ["100", "model.keras", "model", "", "MODEL.H5", "nerve.tif"])
@pytest.mark.parametrize("reading", [False, True])
def test_a_model_name_must_end_in_h5(name, reading):
    with pytest.raises(UserError, match=r"not the name of a model file, .*\.h5"):
        model_file.model_path(name, reading)


def test_a_saved_model_loads_with_equal_predictions_and_settings(trained, saved, frame):
    network, settings, _ = model_file.load_model(saved)
    assert settings == SETTINGS
    with h5py.File(saved) as file:
        assert json.loads(file.attrs["myelin_preprocessing"]) == dataclasses.asdict(SETTINGS)
    assert np.array_equal(np.asarray(network(frame)), np.asarray(trained(frame)))


def test_plain_keras_opens_a_saved_model(trained, saved, frame):
    import keras

    functions = {"dice_coef": unet.dice_coef, "dice_coef_loss": unet.dice_coef_loss}
    network = keras.models.load_model(saved, custom_objects=functions)
    assert np.array_equal(np.asarray(network(frame)), np.asarray(trained(frame)))
    assert network.loss is unet.dice_coef_loss
    assert int(network.optimizer.iterations.numpy()) == 2


def test_adam_is_restored_bit_by_bit_except_its_learning_rate(trained, saved):
    network, _, adam = model_file.load_model(saved)
    network.compile(optimizer="adam", loss=unet.dice_coef_loss)
    network.optimizer.learning_rate = 5e-4
    model_file.restore_adam(network, adam)
    assert float(network.optimizer.learning_rate.numpy()) == pytest.approx(5e-4)
    assert int(network.optimizer.iterations.numpy()) == 2
    ours, theirs = (
        [value.numpy() for value in each.optimizer.variables[2:]] for each in (network, trained)
    )
    assert len(ours) == 2 * len(unet.weight_shapes())
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert any(value.any() for value in ours)


@pytest.mark.slow
def test_adam_is_left_out_when_asked_untrained_or_not_compiled(trained, tmp_path):
    path = tmp_path / "new/x.h5"
    model_file.save_model(path, trained, SETTINGS, optimizer=False)
    assert model_file.load_model(path)[2] is None
    network = unet.get_unet(SIZE, SIZE)
    model_file.save_model(path, network, SETTINGS)
    assert model_file.load_model(path)[2] is None
    network.compile(optimizer="adam", loss=unet.dice_coef_loss)
    model_file.save_model(path, network, SETTINGS)
    assert model_file.load_model(path)[2] is None


def test_an_interrupted_save_keeps_the_old_file(trained, tmp_path, monkeypatch):
    path = tmp_path / "x.h5"
    path.write_text("old", encoding="utf-8")

    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file.dataclasses, "asdict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model_file.save_model(path, trained, SETTINGS)
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_start_keras_is_silent():
    code = "from myelin.network import engine; print(engine.start_keras().__name__)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("keras\n", "")


# Run apart: tf_keras and keras in one process share TensorFlow's state.
WRITE_2018 = """
import sys

import numpy as np
import tf_keras
from tf_keras import layers

folder = sys.argv[1]


def get_unet(rows, cols):
    x = inputs = layers.Input((rows, cols, 1))
    skips = []
    for filters in (4, 8, 8, 8, 16):
        for _ in range(2):
            x = layers.Conv2D(filters, (3, 3), activation="relu", padding="same")(x)
        if len(skips) < 4:
            skips.append(x)
            x = layers.MaxPooling2D(pool_size=(2, 2))(x)
    for filters in (8, 8, 8, 4):
        up = layers.Conv2DTranspose(filters, (2, 2), strides=(2, 2), padding="same")(x)
        x = layers.concatenate([up, skips.pop()], axis=3)
        for _ in range(2):
            x = layers.Conv2D(filters, (3, 3), activation="relu", padding="same")(x)
    outputs = layers.Conv2D(1, (1, 1), activation="sigmoid")(x)
    return tf_keras.Model(inputs=[inputs], outputs=[outputs])


def dice_coef_loss(true, found):
    return -tf_keras.backend.sum(true * found)


frame = np.random.default_rng(0).normal(size=(1, 32, 32, 1)).astype(np.float32)
small = get_unet(32, 32)
np.save(folder + "/prediction.npy", small(frame).numpy())
small.compile(optimizer="adam", loss=dice_coef_loss)
small.optimizer.build(small.trainable_variables)
small.save(folder + "/small.h5")
large = get_unet(1024, 1024)  # its layer names count on from those of the small one
large.set_weights(small.get_weights())
large.save(folder + "/large.h5")
large.save_weights(folder + "/weights.h5")
"""


@pytest.fixture(scope="module")
def files_2018(tmp_path_factory):
    """A folder of files as Keras 2 writes them."""
    pytest.importorskip("tf_keras", reason="pip install tf_keras writes files as of 2018")
    folder = tmp_path_factory.mktemp("keras2")
    script = [sys.executable, "-W", "ignore", "-c", WRITE_2018, folder]
    subprocess.run(script, check=True, capture_output=True, timeout=300)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "large", "weights"])
def test_files_of_2018_load_and_predict_as_they_did(files_2018, frame, name):
    network, settings, adam = model_file.load_model(files_2018 / f"{name}.h5")
    size = SIZE if name == "small" else 1024
    assert network.input_shape == (None, size, size, 1)
    assert settings == preprocessing.Preprocessing(rows=size, cols=size, normalize="test set")
    assert adam is None  # Keras 2 orders it otherwise
    small = unet.get_unet(SIZE, SIZE)
    small.set_weights(network.get_weights())
    prediction = np.load(files_2018 / "prediction.npy")
    assert np.ptp(prediction) > 1e-3
    assert np.abs(np.asarray(small(frame)) - prediction).max() < 1e-5


def test_a_file_of_2018_in_older_names_loads(saved, tmp_path):
    def older(file):
        layers = model_checks.read_attribute(file["model_weights"], "layer_names")
        for index, layer in enumerate(layers):
            group = file["model_weights"][layer]
            names = model_checks.read_attribute(group, "weight_names")
            for name in names:
                group.move(name, f"{layer}_{index}/{name.split('/')[-1]}:0")
            kinds = [f"{layer}_{index}/{name.split('/')[-1]}:0" for name in names]
            group.attrs["weight_names"] = np.array(kinds, "S")
        del file.attrs["myelin_preprocessing"]

    weights, settings, _ = model_file.read_model_file(altered(saved, tmp_path, older))
    assert settings.normalize == "test set"
    pairs = zip(weights, model_file.read_model_file(saved)[0], strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "text"),
    [("models/ourlba.h5", "ourlab.h5"), ("nothing_like_it.h5", "train.py nothing_like_it.h5")],
)
def test_a_missing_model_is_an_error_that_names_a_similar_one(folder, name, text):
    Path("models").mkdir()
    Path("models/ourlab.h5").touch()
    with pytest.raises(UserError, match=f"no such model in .*{text}"):
        model_file.model_path(name, reading=True)
