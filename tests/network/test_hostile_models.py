"""Model files that are damaged or hostile."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from trained import SETTINGS, altered

from myelin.network import hdf5, model_file
from myelin.runtime.cli import UserError


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
