"""Model files that are damaged or hostile: each is one error, and nothing in it is run."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from trained import SETTINGS, altered

from myelin.network import model_checks, model_file
from myelin.runtime.cli import UserError

pytestmark = pytest.mark.usefixtures("small_network")
SHAPE = (3, 3, 1, 4)  # of the first kernel


@pytest.fixture(scope="module")
def empty(saved):
    """A model file like `saved`, whose arrays are zero and take no room."""

    def copy(source, target):
        target.attrs.update(source.attrs)
        for name, item in source.items():
            if isinstance(item, h5py.Group):
                copy(item, target.create_group(name))
            else:
                target.create_dataset(name, item.shape, item.dtype)

    path = saved.with_name("empty.h5")
    with h5py.File(saved) as source, h5py.File(path, "w") as target:
        copy(source, target)
    model_file.read_model_file(path)  # unchanged, it is accepted
    return path


def kernel(make):
    """Return a change: the first kernel is deleted, `make(group, name)` puts another there."""

    def change(file):
        weights = file["model_weights"]
        names = model_checks.read_attribute(weights, "layer_names")
        group = weights[next(name for name in names if name.startswith("conv2d"))]
        name = model_checks.read_attribute(group, "weight_names")[0]
        del group[name]
        make(group, name)

    return change


def array(values, **options):
    return kernel(lambda group, name: group.create_dataset(name, data=values, **options))


def link(target):
    return kernel(lambda group, name: group.__setitem__(name, target))


def external_storage(group, name):
    secret = Path(group.file.filename).with_name("secret.bin")
    secret.write_bytes(bytes(144))
    group.create_dataset(name, SHAPE, "f4", external=[(str(secret), 0, 144)])


def virtual_dataset(group, name):
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", SHAPE)
    group.create_virtual_dataset(name, layout)


def config(change):
    """Return a change of the layers in the model's configuration."""

    def change_file(file):
        model = json.loads(file.attrs["model_config"])
        change(model["config"]["layers"])
        file.attrs["model_config"] = json.dumps(model)

    return change_file


def layer(index, key, value):
    return config(lambda layers: layers[index]["config"].__setitem__(key, value))


def lambda_layer(layers):
    function = ["4wEAAAAAAAAA", None, None]
    layers.insert(3, {"class_name": "Lambda", "config": {"name": "x", "function": function}})


def swapped_concatenation(layers):
    layer = next(layer for layer in layers if layer["class_name"] == "Concatenate")
    layer["inbound_nodes"][0]["args"][0].reverse()


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def settings(**fields):
    return attribute(
        model_file.PREPROCESSING, json.dumps({**dataclasses.asdict(SETTINGS), **fields})
    )


def external_weights(file):
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink("other.h5", "/")


def without_last_layer(file):
    weights = file["model_weights"]
    weights.attrs["layer_names"] = weights.attrs["layer_names"][:-1]


def nan_in_adam(file):
    group = file["optimizer_weights"]
    group[group.attrs["weight_names"][5]][...] = np.nan


ZEROS = np.zeros(SHAPE, np.float32)
HOSTILE = {
    "Lambda layer": (config(lambda_layer), "layer 3 is Lambda"),
    "external link": (link(h5py.ExternalLink("other.h5", "/x")), "ExternalLink"),
    "external weights": (external_weights, "ExternalLink"),
    "raw external storage": (kernel(external_storage), "another file"),
    "virtual dataset": (kernel(virtual_dataset), "another file"),
    "chunks": (array(ZEROS, chunks=SHAPE), "chunks"),
    "other shape": (array(np.zeros((3, 3, 1, 5), np.float32)), "expected (3, 3, 1, 4)"),
    "other type": (array(ZEROS.astype(np.int32)), "is int32"),
    "NaN": (array(ZEROS + np.nan), "NaN"),
    "too large for float32": (array(ZEROS.astype(np.float64) + 1e300), "infinite"),
    "NaN in Adam": (nan_in_adam, "NaN"),
    "missing layer": (without_last_layer, "44 weight arrays"),
    "shorter description": (config(lambda layers: layers.pop()), "layer 31 is missing"),
    "other activation": (layer(1, "activation", "elu"), "activation elu"),
    "other padding": (layer(1, "padding", "valid"), "padding valid"),
    "other connections": (config(swapped_concatenation), "layer 16 follows"),
    "other input": (layer(0, "batch_shape", [None, 32, 32, 3]), "expected (batch, rows, cols"),
    "large frame": (layer(0, "batch_shape", [None, 4096, 4096, 1]), "the limit is 2896"),
    "no JSON": (attribute("model_config", "__import__('os')"), "model_config cannot be read"),
    "settings: no JSON": (attribute(model_file.PREPROCESSING, "{"), "cannot be read"),
    "settings: another field": (settings(run="rm"), "cannot be read"),
    "settings: rows": (settings(rows=64), "another frame"),
    "settings: frame": (settings(frame="native"), "another frame"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(empty, tmp_path, name):
    change, reason = HOSTILE[name]
    path = altered(empty, tmp_path, change)
    with pytest.raises(UserError) as mistake:
        model_file.read_model_file(path)
    (message,) = mistake.value.args
    assert message.startswith(f"{path}: ") and reason in message and len(message) < 600


def test_long_attributes_are_refused_before_they_are_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = np.array([b"x" * 20000] * 100)
    with pytest.raises(UserError, match="layer_names is above 1048576 bytes"):
        model_file.read_model_file(tmp_path / "x.h5")


@pytest.mark.parametrize("content", ["text", "empty", "cut short", "missing", "Keras 3 weights"])
def test_a_file_that_is_no_model_is_one_clear_error(saved, trained, tmp_path, content):
    path = tmp_path / "x.weights.h5"
    whole = saved.read_bytes()
    if content == "Keras 3 weights":
        trained.save_weights(path)
    elif content != "missing":
        path.write_bytes(
            {"text": b"no", "empty": b"", "cut short": whole[: len(whole) // 2]}[content]
        )
    with pytest.raises(UserError, match=r"0 weight arrays|not a readable HDF5 file"):
        model_file.load_model(path)


def test_valid_variants_are_read(empty, tmp_path):
    def variant(file):
        settings(normalize="image", mean=None, std=None, rows=32.0)(file)
        group = file["optimizer_weights"]  # of a Keras that orders it otherwise
        group.attrs["weight_names"] = group.attrs["weight_names"][1:]

    _, found, adam = model_file.read_model_file(altered(empty, tmp_path, variant))
    assert found.mean is None and isinstance(found.rows, int) and adam is None
