"""Check the contents of a model file before it is used; nothing in the file is run or followed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

import unet

if TYPE_CHECKING:
    import h5py

MAX_ATTRIBUTE_BYTES = 2**20  # attributes of a model file have a few kB
# Training on a frame of 2896 x 2896 pixels takes some 22 GB, estimated from 1024 x 1024.
MAX_FRAME_SIDE = 2896
SAME = {"padding": "same", "data_format": "channels_last"}
# Settings that a file's layers must have, where the file states them.
EXPECTED = {
    "InputLayer": {},
    "Conv2D": {**SAME, "strides": [1, 1], "dilation_rate": [1, 1]},
    "MaxPooling2D": {"pool_size": [2, 2], "strides": [2, 2]},
    "Conv2DTranspose": {**SAME, "strides": [2, 2]},
    "Concatenate": {"axis": 3},
}


class ModelFileError(Exception):
    """A defect of a model file; `read_model_file` adds its name and what to do."""


# ---------------------------------------------------------------- HDF5


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Return a member of an HDF5 group by its path, over hard links only."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise ModelFileError(f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(f"{name} is a {type(link).__name__}, which is never followed")
        group = group[part]
    return group


def read_attribute(group: h5py.Group, name: str) -> str | list[str] | None:
    """Return a text attribute, or a list of texts; None if it is absent."""
    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    if math.prod(attribute.shape or (1,)) * attribute.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise ModelFileError(f"attribute {name} is above {MAX_ATTRIBUTE_BYTES} bytes")
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value.ravel()]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_array(group: h5py.Group, name: str, shape: tuple, kind: str = "f") -> np.ndarray:
    """Return an array of a model file, after checking its storage, dtype and shape."""
    import h5py

    dataset = member(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFileError(f"{name} is not an array")
    storage = dataset.id.get_create_plist()
    # Keras writes arrays in one piece. A chunk can be far larger than its array, and virtual
    # datasets name other files.
    plain = storage.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    if not plain or storage.get_external_count():
        raise ModelFileError(f"{name} is in chunks or in another file, which is never opened")
    known = dataset.dtype.kind == kind and dataset.dtype.itemsize in (2, 4, 8)
    if dataset.shape != shape or not known:
        raise ModelFileError(f"{name} is {dataset.dtype} {dataset.shape}, expected {shape}")
    with np.errstate(over="ignore"):  # values too large for float32 become infinite
        array = np.asarray(dataset[()], np.float32 if kind == "f" else None)
    if not np.isfinite(array).all():
        raise ModelFileError(f"{name} has NaN or infinite values")
    return array


# ---------------------------------------------------------------- layers


def source_layers(nodes: object) -> list[str]:
    """Return the names of the layers that a layer's `inbound_nodes` refer to, in order.

    Keras 2 writes each as [name, node, output, ...], Keras 3 as {"keras_history": [same three]}.
    """
    if isinstance(nodes, dict):
        nodes = list(nodes.values())
    if not isinstance(nodes, list):
        return []
    if len(nodes) >= 3 and isinstance(nodes[0], str) and nodes[1:3] == [0, 0]:
        return nodes[:1]
    return [name for part in nodes for name in source_layers(part)]


def check_architecture(text: str) -> tuple[int | None, int | None]:
    """Return rows and cols of the input in a file's `model_config` (JSON).

    Raise if a layer has another class, setting or source than the network's.
    """
    try:
        layers = json.loads(text)["config"]["layers"]
        kinds = [layer["class_name"] for layer in layers]
        configs = [dict(layer["config"]) for layer in layers]
        names = [config["name"] for config in configs]
        sources = [source_layers(layer.get("inbound_nodes")) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError("its model_config cannot be read") from None
    ours = unet.layers()
    expected = [layer.kind for layer in ours]
    if kinds != expected:
        index = next(i for i, kind in enumerate([*kinds, None]) if kind not in expected[i : i + 1])
        raise ModelFileError(f"layer {index} is {[*kinds, 'missing'][index]}, not as in this U-Net")
    for index, layer in enumerate(ours):
        # Padding makes no difference to a 1x1 convolution.
        settings = {} if layer.kernel == 1 else EXPECTED[layer.kind]
        if layer.kernel:
            settings = {**settings, "activation": layer.activation}
        for key, value in settings.items():
            if configs[index].get(key, value) != value:
                raise ModelFileError(f"layer {index} has {key} {configs[index][key]}")
        feeding = [names[place] for place in layer.sources]
        if sources[index] != feeding:
            raise ModelFileError(f"layer {index} follows {sources[index]}, expected {feeding}")
    return check_input(configs[0].get("batch_shape") or configs[0].get("batch_input_shape") or [])


def check_input(shape: list) -> tuple[int | None, int | None]:
    """Return rows and cols of an input's shape, which must be (batch, rows, cols, 1)."""
    if len(shape) != 4 or shape[3] != 1:
        raise ModelFileError(f"its input is {shape}, expected (batch, rows, cols, 1)")
    for size in shape[1:3]:
        multiple = isinstance(size, int) and 0 < size <= 2**14 and size % unet.STRIDE == 0
        if size is not None and not multiple:
            raise ModelFileError(f"its input is {shape}, expected multiples of {unet.STRIDE}")
    if math.prod(size or 1 for size in shape[1:3]) > MAX_FRAME_SIDE**2:
        raise ModelFileError(f"its input is {shape}, the limit is {MAX_FRAME_SIDE} squared")
    return tuple(shape[1:3])
