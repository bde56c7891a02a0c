"""The network, its loss, and model files: ours, those of 2018, and hostile ones."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import unet
from myelin import engine, hdf5, model_file, preprocessing
from myelin.cli import UserError

ROOT = Path(unet.__file__).parent
SIZE = 32
SETTINGS = preprocessing.Preprocessing(
    rows=SIZE, cols=SIZE, mean=120.5, std=40.25, pixel_size_um=0.1, provenance={"epochs": 3}
)


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(frame):
    """A compiled network after two steps of Adam."""
    engine.start_keras()
    network = unet.get_unet(SIZE, SIZE)
    network.compile(optimizer="adam", loss=unet.dice_coef_loss, metrics=[unet.dice_coef])
    for _ in range(2):
        network.train_on_batch(frame, (frame > 0).astype(np.float32))
    return network


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    """The model file of `trained`."""
    path = tmp_path_factory.mktemp("models") / "saved.h5"
    model_file.save_model(path, trained, SETTINGS)
    return path


# ---------------------------------------------------------------- network and loss


def test_the_network_has_the_layers_and_parameters_of_2018():
    network = unet.get_unet()
    assert network.count_params() == 7_759_521
    assert network.input_shape == network.output_shape == (None, 1024, 1024, 1)
    assert [tuple(weight.shape) for weight in network.weights] == model_file.weight_shapes()
    kinds = [type(layer).__name__ for layer in network.layers]
    block = ["Conv2D", "Conv2D"]
    up = ["Conv2DTranspose", "Concatenate", *block]
    assert kinds == ["InputLayer", *([*block, "MaxPooling2D"] * 4), *block, *(up * 4), "Conv2D"]
    convolutions = [layer for layer in network.layers if type(layer).__name__ == "Conv2D"]
    filters = [layer.filters for layer in convolutions]
    down = [32, 32, 64, 64, 128, 128, 256, 256]
    assert filters == [*down, 512, 512, *down[::-1], 1]
    activations = {layer.activation.__name__ for layer in convolutions[:-1]}
    assert activations == {"relu"} and convolutions[-1].activation.__name__ == "sigmoid"


def test_a_skip_is_concatenated_behind_the_upsampled():
    network = unet.get_unet(SIZE, SIZE)
    for layer in network.layers:
        if type(layer).__name__ == "Concatenate":
            before, behind = (tensor._keras_history.operation.name for tensor in layer.input)
            assert before.startswith("conv2d_transpose") and not behind.startswith("conv2d_tr")


def test_the_network_takes_any_frame_of_multiples_of_16(trained, frame):
    free = unet.get_unet(None, None)
    free.set_weights(trained.get_weights())
    wide = np.concatenate([frame, frame[:, :, :16]], axis=2)
    assert free(wide).shape == (1, SIZE, SIZE + 16, 1)
    assert np.allclose(free(frame), trained(frame), atol=1e-6)


def test_dice_coefficient_and_losses_by_hand():
    true = np.array([[[0, 1], [1, 1]]], np.uint8)
    found = np.array([[[0.1, 0.8], [0.6, 0.0]]], np.float32)
    dice = (2 * (0.8 + 0.6) + 1) / (3 + 1.5 + 1)
    assert float(unet.dice_coef(true, found)) == pytest.approx(dice)
    assert float(unet.LOSSES["dice"](true, found)) == pytest.approx(-dice)
    found[0, 1, 1] = 0.5
    dice = (2 * (0.8 + 0.6 + 0.5) + 1) / (3 + 2 + 1)
    entropy = -np.mean(np.log([0.9, 0.8, 0.6, 0.5]))
    combined = float(unet.LOSSES["dice+crossentropy"](true, found))
    assert combined == pytest.approx(entropy - dice, abs=1e-6)


def test_dice_of_two_empty_masks_is_1():
    empty = np.zeros((1, 4, 4, 1), np.float32)
    assert float(unet.dice_coef(empty, empty)) == 1


# ---------------------------------------------------------------- preparing images


def test_resizing_equals_that_of_scikit_image():
    from skimage.transform import resize

    image = np.random.default_rng(0).integers(0, 256, (1040, 1392), dtype=np.uint8)
    expected = resize(
        image, (1024, 1024), order=1, mode="constant", anti_aliasing=False, preserve_range=True
    )
    found = preprocessing.resize(image, 1024, 1024)
    assert found.dtype == np.uint8 and found.shape == (1024, 1024)
    assert np.abs(found - expected).max() <= 1
    exact = preprocessing.resize(image.astype(np.float32), 1024, 1024)
    assert exact.dtype == np.float32 and np.abs(exact - expected).max() < 0.01


def test_resizing_to_the_same_size_changes_nothing():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(preprocessing.resize(image, 3, 4), image)


def test_histogram_and_statistics_of_a_image():
    image = np.array([[0, 0, 10], [30, 255, 255]], np.uint8)
    counts = preprocessing.histogram(image)
    assert counts.shape == (256,) and counts[[0, 10, 30, 255]].tolist() == [2, 1, 1, 2]
    assert preprocessing.image_statistics(counts) == (20, 10)  # margins of 0 and 255 are left out
    curve = np.arange(256) * 2.0
    assert preprocessing.image_statistics(counts, curve) == (40, 20)
    margins = np.array([[0, 0], [255, 255]], np.uint8)
    assert preprocessing.image_statistics(preprocessing.histogram(margins)) == (127.5, 127.5)


def test_a_image_of_one_grey_value_has_a_deviation_to_divide_by():
    grey = np.full((4, 4), 90, np.uint8)
    assert preprocessing.image_statistics(preprocessing.histogram(grey)) == (90, 1)
    assert preprocessing.dataset_statistics(
        [grey], preprocessing.Preprocessing(rows=4, cols=4)
    ) == (90, 1)


def test_dataset_statistics_are_those_of_the_frames_at_network_size():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 30), (20, 50))]
    settings = preprocessing.Preprocessing(rows=16, cols=32)
    frames = np.stack([preprocessing.resize(image, 16, 32) for image in images])
    expected = frames.mean(), frames.std()
    assert preprocessing.dataset_statistics(images, settings) == pytest.approx(expected)
    pixels = np.concatenate([image.ravel() for image in images])
    found = preprocessing.dataset_statistics(images, preprocessing.Preprocessing(frame="native"))
    assert found == pytest.approx((pixels.mean(), pixels.std()))


def test_normalizing_by_dataset_and_by_image():
    image = np.array([[10, 30], [10, 30]], np.uint8)
    found = preprocessing.normalize(image, preprocessing.Preprocessing(mean=20.0, std=5.0))
    assert found.dtype == np.float32 and found.tolist() == [[-2, 2], [-2, 2]]
    found = preprocessing.normalize(image, preprocessing.Preprocessing(normalize="image"))
    assert found.dtype == np.float32 and found.tolist() == [[-1, 1], [-1, 1]]


# ---------------------------------------------------------------- where models lie


def test_a_bare_model_name_lies_in_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unet, "__file__", str(tmp_path / "scripts" / "unet.py"))
    here, beside = tmp_path / "models/a.h5", tmp_path / "scripts/models/a.h5"
    assert model_file.model_path("a.h5") == Path("models/a.h5")
    with pytest.raises(UserError, match=r"a\.h5: no such model in models or .*scripts.models, tra"):
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
        assert (
            model_file.model_path(name) == model_file.model_path(name, reading=True) == Path(name)
        )
    with pytest.raises(UserError, match=r"other.b\.h5: no such model in other"):
        model_file.model_path(os.path.join("other", "b.h5"), reading=True)


@pytest.mark.parametrize("name", ["100", "model.keras", "model", "", "MODEL.H5"])
def test_a_model_name_must_end_in_h5(name):
    with pytest.raises(
        UserError, match=r"not the name of a model file, give one that ends in \.h5"
    ):
        model_file.model_path(name)


# ---------------------------------------------------------------- saving and loading


def test_a_saved_model_loads_with_equal_predictions_and_settings(trained, saved, frame):
    network, settings, _ = model_file.load_model(saved)
    assert settings == SETTINGS
    assert np.array_equal(np.asarray(network(frame)), np.asarray(trained(frame)))


def test_plain_keras_opens_a_saved_model(trained, saved, frame):
    import keras

    functions = {"dice_coef": unet.dice_coef, "dice_coef_loss": unet.dice_coef_loss}
    network = keras.models.load_model(saved, custom_objects=functions)
    assert np.array_equal(np.asarray(network(frame)), np.asarray(trained(frame)))
    assert network.loss is unet.dice_coef_loss
    assert int(network.optimizer.iterations.numpy()) == 2


def test_the_preprocessing_is_a_json_attribute(saved):
    with h5py.File(saved) as file:
        assert json.loads(file.attrs["myelin_preprocessing"]) == dataclasses.asdict(SETTINGS)


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
    assert len(ours) == 2 * len(model_file.weight_shapes())
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert any(value.any() for value in ours)


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
    model_file.save_model(path, trained, SETTINGS)
    before = path.read_bytes()

    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file.dataclasses, "asdict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model_file.save_model(path, trained, SETTINGS)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_start_keras_is_silent():
    code = "from myelin import engine; print(engine.start_keras().__name__)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("keras\n", "")


# ---------------------------------------------------------------- files of 2018

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
    for filters in (32, 64, 128, 256, 512):
        for _ in range(2):
            x = layers.Conv2D(filters, (3, 3), activation="relu", padding="same")(x)
        if filters < 512:
            skips.append(x)
            x = layers.MaxPooling2D(pool_size=(2, 2))(x)
    for filters in (256, 128, 64, 32):
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
small.compile(optimizer=tf_keras.optimizers.legacy.Adam(), loss=dice_coef_loss)
small.optimizer._create_all_weights(small.trainable_variables)
small.save(folder + "/older.h5")
large = get_unet(1024, 1024)  # the names of its layers go on counting where the small one's ended
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


@pytest.mark.parametrize("name", ["small", "older", "large", "weights"])
def test_files_of_2018_load_and_predict_as_they_did(files_2018, frame, name):
    network, settings, adam = model_file.load_model(files_2018 / f"{name}.h5")
    size = SIZE if name in ("small", "older") else 1024
    assert network.input_shape == (None, size, size, 1)
    assert settings == preprocessing.Preprocessing(rows=size, cols=size, normalize="test set")
    assert adam is None  # Keras 2 orders it otherwise
    small = unet.get_unet(SIZE, SIZE)
    small.set_weights(network.get_weights())
    prediction = np.load(files_2018 / "prediction.npy")
    assert np.ptp(prediction) > 1e-3
    assert np.abs(np.asarray(small(frame)) - prediction).max() < 1e-5


def test_files_of_2018_have_names_of_the_old_style_and_any_number(files_2018):
    with h5py.File(files_2018 / "weights.h5") as file:
        layers = hdf5.read_attribute(file, "layer_names")
        assert layers[1] == "conv2d_19"
        names = hdf5.read_attribute(file["conv2d_19"], "weight_names")
    assert names == ["conv2d_19/kernel:0", "conv2d_19/bias:0"]
    for name in ("small", "older"):
        with h5py.File(files_2018 / f"{name}.h5") as file:
            assert len(file["optimizer_weights"].attrs["weight_names"]) == 93


def test_a_file_of_2018_in_older_names_loads(saved, tmp_path):
    def older(file):
        layers = hdf5.read_attribute(file["model_weights"], "layer_names")
        for index, layer in enumerate(layers):
            group = file["model_weights"][layer]
            names = hdf5.read_attribute(group, "weight_names")
            for name in names:
                group.move(name, f"{layer}_{index}/{name.split('/')[-1]}:0")
            kinds = [f"{layer}_{index}/{name.split('/')[-1]}:0" for name in names]
            group.attrs["weight_names"] = np.array(kinds, "S")
        del file.attrs["myelin_preprocessing"]

    weights, settings, _ = model_file.read_model_file(altered(saved, tmp_path, older))
    assert settings.normalize == "test set"
    pairs = zip(weights, model_file.read_model_file(saved)[0], strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


# ---------------------------------------------------------------- hostile files


@pytest.fixture(scope="module")
def empty(saved):
    """A model file like `saved`, whose arrays are all zero and take no room."""

    def copy(source, target):
        for name, value in source.attrs.items():
            target.attrs[name] = value
        for name, item in source.items():
            if isinstance(item, h5py.Group):
                copy(item, target.create_group(name))
            else:
                target.create_dataset(name, item.shape, item.dtype)

    path = saved.with_name("empty.h5")
    with h5py.File(saved) as source, h5py.File(path, "w") as target:
        copy(source, target)
    model_file.read_model_file(path)  # as it is, it is fine
    return path


def altered(model, folder, change):
    """Return a copy of a model file after `change(file)`."""
    path = folder / "altered.h5"
    path.write_bytes(model.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def first_convolution(file):
    """Return the group of the first convolution and the name of its kernel."""
    weights = file["model_weights"]
    names = hdf5.read_attribute(weights, "layer_names")
    layer = next(name for name in names if name.startswith("conv2d"))
    return weights[layer], hdf5.read_attribute(weights[layer], "weight_names")[0]


def replaced_kernel(make):
    """Return a change: the first kernel is deleted, `make(group, name)` puts another there."""

    def change(file):
        group, name = first_convolution(file)
        del group[name]
        make(group, name)

    return change


def external_storage(group, name):
    secret = Path(group.file.filename).with_name("secret.bin")
    secret.write_bytes(bytes(1152))
    group.create_dataset(name, (3, 3, 1, 32), "f4", external=[(str(secret), 0, 1152)])


def virtual_dataset(group, name):
    layout = h5py.VirtualLayout((3, 3, 1, 32), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 3, 1, 32))
    group.create_virtual_dataset(name, layout)


def array(values, **options):
    return replaced_kernel(lambda group, name: group.create_dataset(name, data=values, **options))


def link(kind):
    return replaced_kernel(lambda group, name: group.__setitem__(name, kind))


def config(change):
    """Return a change of the layers in the model's configuration."""

    def change_file(file):
        model = json.loads(file.attrs["model_config"])
        change(model["config"]["layers"])
        file.attrs["model_config"] = json.dumps(model)

    return change_file


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def with_settings(**fields):
    settings = {**dataclasses.asdict(SETTINGS), **fields}
    return attribute("myelin_preprocessing", json.dumps(settings))


def set_layer(index, key, value):
    return config(lambda layers: layers[index]["config"].__setitem__(key, value))


def lambda_layer(layers):
    code = ["4wEAAAAAAAAA", None, None]
    layers.insert(3, {"class_name": "Lambda", "config": {"name": "lambda", "function": code}})


def cyclic(file):
    group, name = first_convolution(file)
    del group[name]
    group[name] = group


def root_link(name, kind):
    def change(file):
        del file[name]
        file[name] = kind

    return change


def wide_chunks(group, name):
    group.create_dataset(name, (3, 3, 1, 32), "f4", chunks=(64, 64, 64, 64), maxshape=(None,) * 4)


def empty_huge(group, name):
    group.create_dataset(name, (2**20, 2**20), "f4", chunks=(1024, 1024))


def many_names(file):
    names = np.array(["x" * 100] * 200, object)
    file["model_weights"].attrs.create("layer_names", names, dtype=h5py.string_dtype())


def shared_names(file):
    names = np.array(["x" * 2**21] + ["x"] * 127, object)
    file["model_weights"].attrs.create("layer_names", names, dtype=h5py.string_dtype())


def swapped_concatenation(layers):
    """Swap the two sources of the first Concatenate layer."""
    (layer,) = [layer for layer in layers if layer["class_name"] == "Concatenate"][:1]
    layer["inbound_nodes"][0]["args"][0].reverse()


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"x": value}
    return value


def without_last_layer(file):
    names = file["model_weights"].attrs["layer_names"]
    file["model_weights"].attrs["layer_names"] = names[:-1]


def other_layer_name(file):
    weights = file["model_weights"]
    weights.create_group("lambda_1")
    names = [*hdf5.read_attribute(weights, "layer_names"), "lambda_1"]
    weights.attrs["layer_names"] = np.array(names, "S")


def adam_changed(change):
    def change_file(file):
        group = file["optimizer_weights"]
        change(group, hdf5.read_attribute(group, "weight_names"))

    return change_file


def adam_link(group, names):
    del group[names[5]]
    group[names[5]] = h5py.ExternalLink("other.h5", "/x")


def adam_nan(group, names):
    group[names[5]][...] = np.nan


KERNEL = np.zeros((3, 3, 1, 32), np.float32)
HOSTILE = {
    "Lambda layer": (config(lambda_layer), "layer 3 is Lambda, expected MaxPooling2D"),
    "Lambda layer by name alone": (other_layer_name, "layer lambda_1 with weights"),
    "external link": (link(h5py.ExternalLink("other.h5", "/x")), "ExternalLink, which is never"),
    "soft link": (link(h5py.SoftLink("/model_weights")), "SoftLink, which is never followed"),
    "external link to all weights": (
        root_link("model_weights", h5py.ExternalLink("other.h5", "/")),
        "model_weights is a ExternalLink, which is never followed",
    ),
    "external link to Adam": (
        root_link("optimizer_weights", h5py.ExternalLink("other.h5", "/")),
        "optimizer_weights is a ExternalLink, which is never followed",
    ),
    "external link in Adam": (adam_changed(adam_link), "ExternalLink, which is never followed"),
    "raw external storage": (replaced_kernel(external_storage), "in another file, which is never"),
    "virtual dataset": (replaced_kernel(virtual_dataset), "in another file, which is never"),
    "chunks larger than the array": (replaced_kernel(wide_chunks), "is in pieces"),
    "huge array in pieces": (replaced_kernel(empty_huge), "is in pieces"),
    "other shape": (array(np.zeros((3, 3, 1, 33), np.float32)), "expected (3, 3, 1, 32)"),
    "other type": (array(KERNEL.astype(np.int32)), "is int32 (3, 3, 1, 32), expected"),
    "text in place of numbers": (array(np.full((3, 3, 1, 32), b"x")), "is |S1"),
    "a group in place of an array": (replaced_kernel(lambda g, n: g.create_group(n)), "no array"),
    "NaN": (array(KERNEL + np.nan), "has NaN or infinite values"),
    "too large for float32": (array(KERNEL.astype(np.float64) + 1e300), "has NaN or infinite"),
    "NaN in Adam": (adam_changed(adam_nan), "has NaN or infinite values"),
    "missing array": (replaced_kernel(lambda group, name: None), "is missing"),
    "missing layer": (without_last_layer, "44 weight arrays, expected 46"),
    "missing layer in its description": (config(lambda layers: layers.pop(5)), "layer 5 is Max"),
    "shorter description": (config(lambda layers: layers.pop()), "layer 31 is nothing, expected"),
    "longer description": (
        config(lambda layers: layers.append(layers[-1])),
        "layer 32 is Conv2D, expected the end",
    ),
    "cyclic hard link": (cyclic, "is no array"),
    "wrong activation": (set_layer(1, "activation", "tanh"), "layer 1 has activation tanh"),
    "code as activation": (
        set_layer(1, "activation", {"class_name": "function", "config": "exec"}),
        "layer 1 has activation {",
    ),
    "last layer no sigmoid": (set_layer(-1, "activation", "relu"), "layer 31 has activation relu"),
    "other padding": (set_layer(1, "padding", "valid"), "layer 1 has padding valid"),
    "other strides": (set_layer(15, "strides", [1, 1]), "layer 15 has strides [1, 1]"),
    "other input": (set_layer(0, "batch_shape", [None, 32, 32, 3]), "expected (batch, rows, cols"),
    "odd frame": (set_layer(0, "batch_shape", [None, 33, 32, 1]), "expected multiples of 16"),
    "huge frame": (set_layer(0, "batch_shape", [None, 2**20, 2**20, 1]), "expected multiples of"),
    "large frame": (set_layer(0, "batch_shape", [None, 4096, 4096, 1]), "limit is 2896 squared"),
    "other connections": (config(swapped_concatenation), "layer 16 follows ['conv2d"),
    "no JSON": (attribute("model_config", "__import__('os')"), "model_config cannot be read"),
    "JSON of something else": (attribute("model_config", "[1]"), "model_config cannot be read"),
    "huge description": (
        attribute("model_config", "x" * (hdf5.MAX_ATTRIBUTE_BYTES + 1)),
        "has texts above 1048576 bytes",
    ),
    "many names, all one long text": (shared_names, "has texts above 1048576 bytes"),
    "many names": (many_names, "attribute layer_names has 200 values"),
    "settings: no JSON": (attribute("myelin_preprocessing", "{"), "preprocessing cannot be read"),
    "settings: list": (attribute("myelin_preprocessing", "[1]"), "preprocessing cannot be read"),
    "settings: another field": (with_settings(run="rm"), "preprocessing cannot be read"),
    "settings: huge": (with_settings(provenance={"x": "y" * 2**20}), "texts above 1048576 bytes"),
    "settings: rows": (with_settings(rows=64), "another frame than its input"),
    "settings: native": (with_settings(frame="native"), "another frame than its input"),
    "settings: frame": (with_settings(frame="crop"), "frame 'crop'"),
    "settings: myelin": (with_settings(myelin="dark"), "myelin 'dark'"),
    "settings: normalize": (with_settings(normalize="test set"), "normalize 'test set'"),
    "settings: mean NaN": (with_settings(mean=float("nan")), "mean nan"),
    "settings: mean infinite": (with_settings(mean=float("inf")), "mean inf"),
    "settings: mean absent": (with_settings(mean=None), "mean None"),
    "settings: std text": (with_settings(std="40"), "std '40'"),
    "settings: std zero": (with_settings(std=0), "std 0"),
    "settings: std true": (with_settings(std=True), "std True"),
    "settings: pixel size": (with_settings(pixel_size_um=-1), "pixel_size_um -1"),
    "settings: threshold": (with_settings(threshold=1), "threshold 1"),
    "settings: training": (with_settings(training=[]), "training []"),
    "settings: nested": (with_settings(provenance=nested(900)), "preprocessing cannot be read"),
    "settings: provenance": (with_settings(provenance="me"), "provenance 'me'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(empty, tmp_path, name):
    change, reason = HOSTILE[name]
    path = altered(empty, tmp_path, change)
    with pytest.raises(UserError) as mistake:
        model_file.read_model_file(path)
    (message,) = mistake.value.args
    assert message.startswith(f"{path}: ") and reason in message and len(message) < 600
    assert message.endswith(", use a model file written by train.py or extra_training.py")


def test_a_huge_array_in_one_piece_is_refused_by_its_shape(empty, tmp_path):
    def huge(group, name):
        space = h5py.h5s.create_simple((2**20, 2**20))
        late = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        late.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        parents = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        parents.set_create_intermediate_group(True)
        kind = h5py.h5t.IEEE_F32LE
        h5py.h5d.create(group.id, name.encode(), kind, space, late, parents)

    path = altered(empty, tmp_path, replaced_kernel(huge))
    with pytest.raises(UserError, match=r"is float32 \(1048576, 1048576\), expected \(3, 3, 1, 32"):
        model_file.read_model_file(path)


def test_long_names_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = np.array([b"x" * 20000] * 100)
    with pytest.raises(UserError, match="attribute layer_names is above 1048576 bytes"):
        model_file.read_model_file(tmp_path / "x.h5")


def test_a_file_far_too_large_is_not_opened(tmp_path):
    with open(tmp_path / "x.h5", "wb") as file:
        file.truncate(hdf5.MAX_FILE_BYTES + 1)  # takes no room on the disk
    with pytest.raises(UserError, match="above 268435456 bytes"):
        model_file.read_model_file(tmp_path / "x.h5")


@pytest.mark.parametrize("content", ["text", "empty", "cut short", "missing", "Keras 3 weights"])
def test_a_file_that_is_no_model_is_one_clear_error(saved, trained, tmp_path, content):
    path = tmp_path / "x.weights.h5"
    if content == "Keras 3 weights":
        trained.save_weights(path)
    elif content != "missing":
        whole = saved.read_bytes()
        contents = {"text": b"no model", "empty": b"", "cut short": whole[: len(whole) // 2]}
        path.write_bytes(contents[content])
    reason = "0 weight arrays, expected 46" if content == "Keras 3 weights" else "not a readable HD"
    with pytest.raises(UserError, match=reason):
        model_file.load_model(path)


def test_settings_by_image_need_no_mean(empty, tmp_path):
    path = altered(empty, tmp_path, with_settings(normalize="image", mean=None, std=None))
    settings = model_file.read_model_file(path)[1]
    assert settings.normalize == "image" and settings.mean is None


def test_a_frame_size_written_as_a_fraction_is_a_whole_number(empty, tmp_path):
    settings = model_file.read_model_file(altered(empty, tmp_path, with_settings(rows=32.0)))[1]
    assert isinstance(settings.rows, int)


def test_adam_of_another_layout_is_left_out(empty, tmp_path):
    def renamed(group, names):
        group.attrs["weight_names"] = np.array(names[1:], "S")

    assert model_file.read_model_file(altered(empty, tmp_path, adam_changed(renamed)))[2] is None
